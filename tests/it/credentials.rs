//! The credentials' lifetime, against an STS that validates.

use std::time::Duration;

use emulator::fault::{Fault, FaultKind};
use emulator::issuer::BrokenToken;
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;

use crate::bodies;
use crate::rig::{Rig, V1, text};

fn short_lived(life: u64) -> WorldConfig {
    WorldConfig {
        session_life: Some(Duration::from_secs(life)),
        ..WorldConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_what_is_missing_until_credentials_are_held() {
    let world = crate::leak_check::World::start(WorldConfig::default())
        .await
        .unwrap();
    world.break_token(BrokenToken::Empty).unwrap();
    let rig = Rig::start_beside(world, &[]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (status, why) = rig.admin("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(why.contains("token file") && why.contains("empty"), "{why}");
    assert_eq!(rig.admin("/livez").await.0, StatusCode::OK);
    assert_eq!(
        rig.write(&bodies::v1("up", 1)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );

    rig.world.rotate_token().unwrap();
    rig.until_ready().await;
    assert_eq!(rig.write(&bodies::v1("up", 1)).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_renewed_before_they_expire_from_the_token_of_that_moment() {
    let rig = Rig::start_in(short_lived(4), &[]).await;
    let mut tokens = Vec::new();
    for n in 0..40 {
        if n % 10 == 0 {
            rig.world.rotate_token().unwrap();
        }
        assert_eq!(
            rig.write(&bodies::v1(&format!("up_{n}"), 3)).await,
            StatusCode::OK
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for call in rig.world.sts_calls() {
        assert!(call.outcome.is_ok(), "{call:?}");
        tokens.push(call.token_id);
    }
    let exchanges = tokens.len();
    tokens.dedup();
    assert!(
        (4..=7).contains(&exchanges),
        "{exchanges} exchanges in 8 s of credentials that live 4 s"
    );
    assert!(
        tokens.len() >= 3,
        "the same token was exchanged again and again"
    );
    assert_eq!(rig.world.journal(Target::Sts).counts().max_in_flight, 1);
    assert_eq!(
        rig.world
            .journal(Target::Amp)
            .counts()
            .statuses
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [200]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_sts_is_survived_on_the_last_good_credentials() {
    let rig = Rig::start_in(short_lived(6), &[]).await;
    rig.until_ready().await;
    rig.world
        .faults(Target::Sts)
        .set([Fault::new(FaultKind::answer(503, "")).lasting(Duration::from_secs(4))]);
    for n in 0..25 {
        assert_eq!(
            rig.write(&bodies::v1(&format!("up_{n}"), 3)).await,
            StatusCode::OK
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(
        rig.count(r#"amp_sidecar_credential_exchanges_total{result="unusable_answer"}"#)
            .await
            >= 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_are_never_used_and_senders_are_asked_to_come_again() {
    let rig = Rig::start_in(short_lived(2), &[]).await;
    rig.until_ready().await;
    rig.world
        .faults(Target::Sts)
        .set([Fault::new(FaultKind::Hang)]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = rig.world.journal(Target::Amp).total();
    let started = std::time::Instant::now();
    let response = rig
        .post("/api/v1/write", V1, bodies::v1("up", 3).body)
        .await;
    assert!(
        started.elapsed() < Duration::from_millis(4500),
        "a batch waits 2 s at most"
    );
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(response).await.contains("no AWS credentials"));
    assert_eq!(
        rig.world.journal(Target::Amp).total(),
        before,
        "nothing went out"
    );

    rig.world.faults(Target::Sts).clear();
    let batch = bodies::v1("down", 3);
    rig.write_until_stored(&batch, Duration::from_secs(20))
        .await;
    assert!(rig.has_stored(&batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_credentials_are_replaced_within_the_batch_that_noticed() {
    let rig = Rig::start().await;
    assert_eq!(rig.write(&bodies::v1("up", 3)).await, StatusCode::OK);
    rig.world.sessions().revoke_all();
    let batch = bodies::v1("down", 3);
    assert_eq!(
        rig.write(&batch).await,
        StatusCode::OK,
        "the sender does not notice"
    );
    assert!(rig.has_stored(&batch));
    assert_eq!(rig.world.sts_calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_batches_that_amp_refuses_cause_one_exchange() {
    let rig = std::sync::Arc::new(Rig::start().await);
    rig.until_ready().await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::answer(
            403,
            r#"{"message":"The security token included in the request is expired"}"#,
        ))]);
    let batches: Vec<_> = (0..100)
        .map(|n| {
            let rig = std::sync::Arc::clone(&rig);
            tokio::spawn(async move { rig.write(&bodies::v1(&format!("up_{n}"), 3)).await })
        })
        .collect();
    for batch in batches {
        assert_eq!(batch.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(
        rig.world.sts_calls().len(),
        2,
        "one at the start, one for all of them"
    );
    assert_eq!(rig.world.journal(Target::Sts).counts().max_in_flight, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_write_hears_what_it_lacks() {
    let rig = Rig::start_in(
        WorldConfig {
            role_may_write: false,
            ..WorldConfig::default()
        },
        &[],
    )
    .await;
    rig.until_ready().await;
    let response = rig
        .post("/api/v1/write", V1, bodies::v1("up", 3).body)
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let words = text(response).await;
    let arn = format!("workspace/{}", rig.world.workspace_id());
    assert!(
        words.contains("the role needs aps:RemoteWrite on arn:aws:aps:") && words.contains(&arn),
        "{words}"
    );
    let denials = format!(
        r#"amp_sidecar_access_denied_total{{action="aps:RemoteWrite",resource="arn:aws:aps:{}:123456789012:{arn}"}}"#,
        rig.world.region()
    );
    assert!(rig.count(&denials).await >= 1);

    rig.world
        .amp()
        .allow_roles([rig.world.role_arn().to_owned()]);
    assert_eq!(
        rig.write(&bodies::v1("up", 3)).await,
        StatusCode::OK,
        "no restart is needed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ten_minutes_off_is_corrected_from_amps_answers() {
    for minutes in [-10, 10] {
        let rig = Rig::start().await;
        rig.until_ready().await;
        rig.world.clock().set_offset_seconds(minutes * 60);
        let batch = bodies::v1_at("up", 3, bodies::now_ms() + minutes * 60 * 1000);
        assert_eq!(rig.write(&batch).await, StatusCode::OK, "{minutes} min");
        assert!(rig.has_stored(&batch));
        let offset = rig.gauge("amp_sidecar_clock_offset_seconds").await;
        assert!((offset - 60.0 * minutes as f64).abs() < 3.0, "{offset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_sts_is_shown_with_its_words() {
    for (how, words) in [
        (BrokenToken::WrongAudience, "Incorrect token audience"),
        (
            BrokenToken::WrongSubject,
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        ),
        (BrokenToken::Expired, "ExpiredTokenException"),
        (BrokenToken::Truncated, "does not hold a JSON web token"),
    ] {
        let world = crate::leak_check::World::start(WorldConfig::default())
            .await
            .unwrap();
        world.break_token(how).unwrap();
        let rig = Rig::start_beside(world, &[]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (status, why) = rig.admin("/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(why.contains(words), "{how:?}: {why}");
    }
}
