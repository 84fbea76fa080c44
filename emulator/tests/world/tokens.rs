//! The projected token as a pod sees it, over its life.

use std::fs;
use std::time::Duration;

use emulator::issuer::BrokenToken;
use emulator::world::{World, WorldConfig};

use crate::client::assume;

#[tokio::test]
async fn the_token_lies_where_kubelet_puts_it_and_rotates() {
    let world = World::start(WorldConfig::default()).await.expect("a world");
    let path = world.token_file();
    let folder = path.parent().expect("a folder");
    assert_eq!(
        fs::read_link(&path).expect("a link").to_str(),
        Some("..data/token")
    );
    let dated = fs::read_link(folder.join("..data")).expect("a link");
    let first = fs::read_to_string(&path).expect("a token");
    world.rotate_token().expect("written");
    assert_ne!(fs::read_to_string(&path).expect("a token"), first);
    assert_ne!(fs::read_link(folder.join("..data")).expect("a link"), dated);
    assert!(!folder.join(dated).exists(), "the old folder goes");
    world.break_token(BrokenToken::Missing).expect("written");
    assert!(fs::read(&path).is_err());
}

#[tokio::test]
async fn a_short_lived_token_is_renewed_before_it_expires() {
    let mut config = WorldConfig::default();
    config.token.life = Duration::from_secs(2);
    let world = World::start(config).await.expect("a world");
    let first = fs::read_to_string(world.token_file()).expect("a token");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_ne!(
        fs::read_to_string(world.token_file()).expect("a token"),
        first
    );
    assert_eq!(assume(&world, &[]).await.status, 200);
    assert_eq!(
        assume(&world, &[("WebIdentityToken", &first)])
            .await
            .element("Code"),
        "ExpiredTokenException"
    );
}

#[tokio::test]
async fn the_audience_is_settable_and_must_be_a_client_id() {
    let mut config = WorldConfig::default();
    config.token.audience = vec!["elsewhere".into()];
    let world = World::start(config.clone()).await.expect("a world");
    assert_eq!(
        assume(&world, &[]).await.element("Message"),
        "Incorrect token audience"
    );
    config.client_ids = vec!["sts.amazonaws.com".into(), "elsewhere".into()];
    let world = World::start(config).await.expect("a world");
    assert_eq!(assume(&world, &[]).await.element("Audience"), "elsewhere");
}
