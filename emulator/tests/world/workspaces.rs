//! Several workspaces in one world, and the query API over the wire.

use emulator::fault::{Fault, FaultKind};
use emulator::world::{OtherWorkspace, Target, World, WorldConfig};
use serde_json::json;

use crate::client::{address, ask, assume};
use crate::signing::{first, question, session, write};

const ELSEWHERE: &str = "eu-west-2";

#[tokio::test]
async fn each_workspace_has_region_role_faults_and_store_of_its_own() {
    let world = World::start(WorldConfig::default().second_region(ELSEWHERE))
        .await
        .expect("a world");
    let [other] = world.others() else {
        panic!("one more")
    };
    assert_eq!(other.region(), ELSEWHERE);
    let own = first(&world).await;
    let others = session(
        &world,
        &assume(&world, &[("RoleArn", other.role_arn())]).await,
    );
    for (session, url, region, status) in [
        (&own, world.amp_url(), world.region(), 200),
        (&others, other.url(), ELSEWHERE, 200),
        (&own, other.url(), ELSEWHERE, 403),
        (&others, world.amp_url(), world.region(), 403),
        (&others, other.url(), world.region(), 403),
    ] {
        let answer = write(&world, session, url, region).await;
        assert_eq!(answer.status, status, "{url} {region}: {}", answer.body);
    }
    assert_eq!(other.store().stats().batches, 1);
    assert_eq!(world.store().stats().batches, 1);

    other
        .faults()
        .set([Fault::new(FaultKind::answer(500, "broken"))]);
    let broken = write(&world, &others, other.url(), ELSEWHERE).await;
    assert_eq!((broken.status, broken.body.as_str()), (500, "broken"));
    let fine = write(&world, &own, world.amp_url(), world.region()).await;
    assert_eq!(fine.status, 200);
    assert_eq!(world.journal(Target::Amp).counts().faults.len(), 0);
    assert_eq!(other.journal().counts().faults["answer"], 1);
    let state = world.state();
    assert_eq!(state["others"][other.id()]["amp"]["statuses"]["500"], 1);
    assert_eq!(state["others"][other.id()]["stored"]["batches"], 1);
}

#[tokio::test]
async fn another_workspaces_faults_are_set_by_its_id() {
    let world = World::start(WorldConfig::default().second_region(ELSEWHERE))
        .await
        .expect("a world");
    let [other] = world.others() else {
        panic!("one more")
    };
    let admin = address(world.admin_url());
    let path = format!("/faults/amp/{}", other.id());
    let set = ask(admin, "PUT", &path, "application/json", r#"{"do": "hang"}"#).await;
    assert_eq!(set.status, 200);
    assert_eq!(other.faults().script(), [Fault::new(FaultKind::Hang)]);
    assert!(world.faults(Target::Amp).script().is_empty());
    let unknown = ask(admin, "GET", "/faults/amp/ws-none", "application/json", "").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_workspace_without_a_role_of_its_own_takes_the_worlds() {
    let mut config = WorldConfig::default();
    let mut other = OtherWorkspace::in_region(ELSEWHERE);
    other.role_name = None;
    config.others.push(other);
    let world = World::start(config).await.expect("a world");
    let other = &world.others()[0];
    assert_eq!(other.role_arn(), world.role_arn());
    let answer = write(&world, &first(&world).await, other.url(), ELSEWHERE).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn queries_need_a_permission_and_somebody_who_can_answer() {
    let config = WorldConfig {
        role_may_query: true,
        ..WorldConfig::default()
    };
    let world = World::start(config).await.expect("a world");
    let url = world.amp_url().replace("remote_write", "query?query=up");
    let able = first(&world).await;
    let answer = question(&world, &able, "GET", &url, "").await;
    assert_eq!(answer.status, 501, "{}", answer.body);
    assert!(
        answer.body.contains("evaluates no PromQL"),
        "{}",
        answer.body
    );
    let narrow = [(
        "PolicyArns.member.1.arn",
        "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess",
    )];
    let writer = session(&world, &assume(&world, &narrow).await);
    let answer = question(&world, &writer, "GET", &url, "").await;
    let message = answer.json()["Message"].clone();
    assert_eq!(answer.status, 403);
    assert!(message.as_str().expect("a text").contains(
        "perform: aps:QueryMetrics on resource: arn:aws:aps:us-east-1:123456789012:workspace/"
    ));

    let world = World::start(WorldConfig::default()).await.expect("a world");
    let unable = first(&world).await;
    let url = world.amp_url().replace("remote_write", "labels");
    let answer = question(&world, &unable, "POST", &url, "match%5B%5D=up").await;
    assert_eq!(answer.status, 403);
    let text = "because no identity-based policy allows the aps:GetLabels action";
    assert!(answer.body.contains(text), "{}", answer.body);
    assert_eq!(answer.json()["message"], json!(null));
}
