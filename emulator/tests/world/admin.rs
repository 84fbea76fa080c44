//! The controls over HTTP, as another process turns them.

use std::fs;
use std::time::Duration;

use emulator::amp::{Limits, Rate, RemoteWrite2};
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, World, WorldConfig};
use serde_json::json;

use crate::client::{Answer, address, ask, assume, handshake};

async fn call(world: &World, method: &str, path: &str, body: &str) -> Answer {
    ask(
        address(world.admin_url()),
        method,
        path,
        "application/json",
        body,
    )
    .await
}

#[tokio::test]
async fn fault_scripts_are_set_shown_and_cleared() {
    let world = World::start(WorldConfig::default()).await.expect("a world");
    let script = r#"[{"count": 1, "do": {"answer": {"status": 503}}}, {"after": 60, "for": 20, "do": "hang"}]"#;
    assert_eq!(call(&world, "PUT", "/faults/sts", script).await.status, 200);
    assert_eq!(
        world.faults(Target::Sts).script(),
        [
            Fault::new(FaultKind::answer(503, "")).times(1),
            Fault::new(FaultKind::Hang)
                .after(Duration::from_secs(60))
                .lasting(Duration::from_secs(20)),
        ]
    );
    assert_eq!(assume(&world, &[]).await.status, 503);
    assert_eq!(assume(&world, &[]).await.status, 200);
    assert_eq!(
        call(&world, "GET", "/faults/sts", "").await.json()["hits"],
        json!([1, 0])
    );
    assert_eq!(
        call(&world, "GET", "/faults/amp", "").await.json()["script"],
        json!([])
    );
    assert_eq!(call(&world, "DELETE", "/faults/sts", "").await.status, 200);
    assert_eq!(
        call(&world, "GET", "/faults/sts", "").await.json()["script"],
        json!([])
    );
    assert_eq!(
        call(&world, "PUT", "/faults/issuer", r#"{"do": "reset"}"#)
            .await
            .status,
        200
    );
    assert_eq!(
        world.faults(Target::Issuer).script(),
        [Fault::new(FaultKind::Reset)]
    );
}

#[tokio::test]
async fn limits_are_shown_replaced_changed_and_given_back() {
    let mut config = WorldConfig::default().second_region("eu-west-2");
    config.amp.limits.max_recv_msg_size = 5_000;
    let world = World::start(config).await.expect("a world");
    let limits = |answer: Answer| {
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let shown = limits(call(&world, "GET", "/limits", "").await);
    assert_eq!(shown["max_recv_msg_size"], 5_000);
    assert_eq!(shown["ingestion_rate"], json!(null));
    let change = r#"{"ingestion_rate": {"per_second": 5, "burst": 20}, "answer": "stopping"}"#;
    limits(call(&world, "PATCH", "/limits", change).await);
    assert_eq!(
        world.amp().limits().ingestion_rate,
        Some(Rate::new(5.0, 20))
    );
    assert_eq!(world.amp().limits().max_recv_msg_size, 5_000);
    limits(call(&world, "PUT", "/limits", r#"{"write_delay": 0.5}"#).await);
    assert_eq!(
        world.amp().limits(),
        Limits {
            write_delay: Duration::from_millis(500),
            ..Limits::default()
        }
    );
    limits(call(&world, "DELETE", "/limits", "").await);
    assert_eq!(world.amp().limits(), world.amp().config().limits);

    let other = world.others().first().expect("another workspace");
    let path = format!("/limits/{}", other.id());
    let change = r#"{"remote_write_2": "misread"}"#;
    limits(call(&world, "PATCH", &path, change).await);
    assert_eq!(other.amp().limits().remote_write_2, RemoteWrite2::Misread);
    assert_eq!(world.amp().limits(), world.amp().config().limits);
}

#[tokio::test]
async fn what_is_not_understood_changes_nothing() {
    let world = World::start(WorldConfig::default()).await.expect("a world");
    for (method, path, body, status) in [
        ("PUT", "/faults/sts", r#"{"do": "explode"}"#, 400),
        ("PUT", "/faults/sts", "", 400),
        ("PUT", "/faults/dns", r#"{"do": "hang"}"#, 404),
        ("POST", "/faults/sts", r#"{"do": "hang"}"#, 404),
        ("POST", "/clock", r#"{"offset": 3}"#, 400),
        ("POST", "/token/break", r#"{"how": "somehow"}"#, 400),
        ("PUT", "/limits", r#"{"burst": 3}"#, 400),
        ("PATCH", "/limits", r#"{"answer": "hm"}"#, 400),
        ("PATCH", "/limits", "[]", 400),
        ("POST", "/limits", "{}", 404),
        ("GET", "/limits/ws-0", "", 404),
        ("GET", "/", "", 404),
    ] {
        let answer = call(&world, method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path} {body}");
        assert!(answer.json()["error"].is_string());
    }
    assert!(world.faults(Target::Sts).script().is_empty());
    assert_eq!(world.clock().offset_seconds(), 0);
}

#[tokio::test]
async fn tokens_keys_sessions_clock_and_certificate_can_be_turned() {
    let world = World::start(WorldConfig::default()).await.expect("a world");
    let before = fs::read_to_string(world.token_file()).expect("a token");
    for (path, body) in [
        ("/keys/rotate", ""),
        ("/token/rotate", ""),
        ("/sessions/life", r#"{"seconds": 5}"#),
        ("/certificate", r#"{"present": "expired"}"#),
    ] {
        assert_eq!(call(&world, "POST", path, body).await.status, 200, "{path}");
    }
    assert_ne!(
        fs::read_to_string(world.token_file()).expect("a token"),
        before
    );
    let granted = assume(&world, &[]).await;
    let session = world
        .sessions()
        .find(granted.element("AccessKeyId"))
        .expect("issued");
    let life = session
        .expiration
        .duration_since(world.clock().now())
        .expect("ahead");
    assert!(life <= Duration::from_secs(5));
    let trust = world.certificates().client_config();
    assert!(
        handshake(address(world.amp_url()), "localhost", trust)
            .await
            .is_err()
    );

    assert_eq!(
        call(&world, "POST", "/sessions/revoke", "").await.status,
        200
    );
    assert!(world.sessions().find(&session.access_key_id).is_none());
    assert_eq!(
        call(&world, "POST", "/token/break", r#"{"how": "empty"}"#)
            .await
            .status,
        200
    );
    assert_eq!(fs::read(world.token_file()).expect("a file"), b"");
    assert_eq!(
        call(&world, "POST", "/clock", r#"{"offset_seconds": -600}"#)
            .await
            .status,
        200
    );
    assert_eq!(world.clock().offset_seconds(), -600);

    let state = call(&world, "GET", "/state", "").await.json();
    assert_eq!(state["clock_offset_seconds"], -600);
    assert_eq!(state["sessions_issued"], 1);
    assert_eq!(state["tokens_published"], 3);
    assert_eq!(state["sts"]["statuses"]["200"], 1);
    assert_eq!(state["issuer"]["requests"], 2);
    assert_eq!(state["stored"]["samples"], 0);
}
