//! Networks that drop packets silently, for which the test has its own network namespace.
//!
//! A proxy in user space cannot simulate that: the kernel acknowledges what the proxy does not read. In the test's own network a route drops every packet
//! to AMP.

use std::time::{Duration, Instant};

use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;
use tokio::net::{TcpListener, TcpStream};

use crate::bodies;
use crate::leak_check::World;
use crate::namespace::{in_a_network_of_its_own, run};
use crate::rig::Rig;

/// A loopback address that is separate from all that must stay reachable.
const AWAY: &str = "127.0.0.9";

/// A name of AMP, which resolves to the other address here.
async fn move_away(world: &World) -> String {
    let url = world.amp_url().replacen("127.0.0.1", "localhost", 1);
    let port: u16 = url
        .split(['/', ':'])
        .find_map(|part| part.parse().ok())
        .unwrap();
    let hosts = world.folder().join("hosts");
    std::fs::write(&hosts, format!("{AWAY} localhost\n")).unwrap();
    run("mount", &["--bind", hosts.to_str().unwrap(), "/etc/hosts"]);
    let listener = TcpListener::bind((AWAY, port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                // Whatever the result: the test checks it.
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            });
        }
    });
    url
}

#[test]
fn a_connection_that_dies_without_a_word_is_given_up_long_before_the_deadline() {
    in_a_network_of_its_own(
        "network::a_connection_that_dies_without_a_word_is_given_up_long_before_the_deadline",
        async {
            let world = World::start(WorldConfig::default()).await.unwrap();
            let url = move_away(&world).await;
            // Minutes, so that only the kernel's timeout can end it.
            let settings = [
                ("remote-write-url", url.as_str()),
                ("upstream-timeout", "2m"),
            ];
            let rig = Rig::start_beside(world, &settings).await;
            assert_eq!(rig.write(&bodies::v1("before", 3)).await, StatusCode::OK);

            let swallowed = ["route", "add", "blackhole", AWAY, "table", "local"];
            run("ip", &swallowed);
            let batch = bodies::v1("up", 3);
            let started = Instant::now();
            assert_eq!(rig.write(&batch).await, StatusCode::SERVICE_UNAVAILABLE);
            let took = started.elapsed();
            // TCP_USER_TIMEOUT is 10 s; without it the kernel would try for a quarter of an hour.
            assert!(
                took > Duration::from_secs(8) && took < Duration::from_secs(30),
                "{took:?}"
            );
            assert_eq!(rig.world.journal(Target::Amp).total(), 1);

            let passes = ["route", "del", "blackhole", AWAY, "table", "local"];
            run("ip", &passes);
            rig.write_until_stored(&batch, Duration::from_secs(10))
                .await;
            assert!(rig.has_stored(&batch));
        },
    );
}

#[test]
fn a_name_that_nobody_knows_holds_no_batch() {
    in_a_network_of_its_own("network::a_name_that_nobody_knows_holds_no_batch", async {
        let url = "https://amp.invalid/workspaces/ws-1/api/v1/remote_write";
        let settings = [("remote-write-url", url), ("workspace-id", "ws-1")];
        let rig = Rig::start_in(WorldConfig::default(), &settings).await;
        rig.until_ready().await;
        let started = Instant::now();
        assert_eq!(
            rig.write(&bodies::v1("up", 3)).await,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert!(started.elapsed() < Duration::from_secs(6));
        let faults = r#"amp_sidecar_upstream_errors_total{reason="dns"}"#;
        assert!(rig.count(faults).await >= 1);
    });
}
