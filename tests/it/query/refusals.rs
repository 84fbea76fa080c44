//! The response to a client when AMP's store does not answer.

use std::time::Duration;

use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};

use super::{data, error, get, start, with_reading};
use crate::rig::Rig;

const EXPIRED: &str = r#"{"message":"The security token included in the request is expired"}"#;
const LABELS: &str = "/api/v1/labels";

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_read_is_told_what_it_lacks() {
    let rig = Rig::start_in(WorldConfig::default(), &with_reading(&[])).await;
    rig.until_ready().await;
    let arn = format!(
        "arn:aws:aps:{}:123456789012:workspace/{}",
        rig.world.region(),
        rig.world.workspace_id()
    );
    for (path, action) in [
        ("query?query=up", "aps:QueryMetrics"),
        ("query_range?query=up", "aps:QueryMetrics"),
        ("series?match[]=up", "aps:GetSeries"),
        ("labels", "aps:GetLabels"),
        ("label/job/values", "aps:GetLabels"),
        ("metadata", "aps:GetMetricMetadata"),
        ("rules?type=alert", "aps:ListRules"),
        ("alerts", "aps:ListAlerts"),
    ] {
        let (status, kind, why) = error(get(&rig, &format!("/api/v1/{path}")).await).await;
        assert_eq!((status, kind.as_str()), (403, "forbidden"));
        assert!(
            why.starts_with(&format!("the role needs {action} on {arn}; AMP said: ")),
            "{why}"
        );
    }
    let denied = rig.count(r#"amp_sidecar_access_denied_total{action="aps:GetLabels"}"#);
    assert_eq!(denied.await, 2);
    // New credentials do not help, so they are requested once in half a minute.
    assert_eq!(rig.world.journal(Target::Sts).total(), 2);
    let again = rig.count(r#"amp_sidecar_queries_total{code="403"}"#).await;
    assert_eq!(again, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_amp_does_not_take_are_renewed_and_the_query_is_sent_again() {
    let (_storage, rig) = start(&[]).await;
    let faults = rig.world.faults(Target::Amp);
    faults.set([Fault::new(FaultKind::answer(403, EXPIRED)).times(1)]);
    data(get(&rig, LABELS).await).await;
    assert_eq!(rig.world.journal(Target::Sts).total(), 2);
    let resent = rig.count(r#"amp_sidecar_upstream_retries_total{reason="credentials"}"#);
    assert_eq!(resent.await, 1);

    faults.set([Fault::new(FaultKind::answer(403, EXPIRED))]);
    let (status, kind, why) = error(get(&rig, LABELS).await).await;
    assert_eq!((status, kind.as_str()), (502, "unavailable"), "{why}");
    assert!(why.contains("is expired"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_the_answer_is_503() {
    let world = crate::leak_check::World::start(WorldConfig::default())
        .await
        .unwrap();
    world
        .faults(Target::Sts)
        .set([Fault::new(FaultKind::answer(503, ""))]);
    let rig = Rig::start_beside(world, &with_reading(&[])).await;
    let (status, kind, why) = error(get(&rig, LABELS).await).await;
    assert_eq!((status, kind.as_str()), (503, "unavailable"));
    assert!(why.starts_with("no AWS credentials yet: "), "{why}");
    assert_eq!(rig.world.journal(Target::Amp).total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn amps_own_words_come_with_its_own_status() {
    let rig = Rig::start_in(WorldConfig::default(), &with_reading(&[])).await;
    rig.until_ready().await;
    let json = vec![("content-type".to_owned(), "application/json".to_owned())];
    let html = vec![("content-type".to_owned(), "text/html".to_owned())];
    let packed = [
        json.clone(),
        vec![("content-encoding".to_owned(), "br".to_owned())],
    ]
    .concat();
    for (kind, expected) in [
        (
            FaultKind::answer(429, r#"{"message":"Rate exceeded"}"#),
            (429, "too_many_requests"),
        ),
        (
            FaultKind::answer(404, r#"{"Message":"Workspace not found"}"#),
            (404, "not_found"),
        ),
        (FaultKind::answer(400, "bad"), (400, "bad_data")),
        (FaultKind::answer(500, ""), (500, "internal")),
        (FaultKind::answer(503, "<html>"), (503, "unavailable")),
        (FaultKind::answer(501, ""), (501, "unavailable")),
        (
            FaultKind::Redirect {
                status: 302,
                location: format!("http://{}/", rig.host),
            },
            (502, "unavailable"),
        ),
        (
            FaultKind::Answer {
                status: 200,
                headers: html,
                body: "{}".into(),
            },
            (502, "unavailable"),
        ),
        (
            FaultKind::Answer {
                status: 200,
                headers: packed,
                body: "x".into(),
            },
            (502, "unavailable"),
        ),
        (FaultKind::answer(200, "no type"), (502, "unavailable")),
        (FaultKind::Reset, (502, "unavailable")),
        (FaultKind::Close, (502, "unavailable")),
        (
            FaultKind::Garbage("SSH-2.0\r\n".into()),
            (502, "unavailable"),
        ),
        (FaultKind::ResetAfter { bytes: 20 }, (502, "unavailable")),
        // Two bytes of JSON are a response too.
        (
            FaultKind::Answer {
                status: 200,
                headers: json,
                body: "{}".into(),
            },
            (200, ""),
        ),
    ] {
        rig.world
            .faults(Target::Amp)
            .set([Fault::new(kind.clone())]);
        let answer = get(&rig, LABELS).await;
        if expected.0 == 200 {
            assert_eq!(crate::rig::text(answer).await, "{}");
            continue;
        }
        let (status, named, why) = error(answer).await;
        assert_eq!((status, named.as_str()), expected, "{kind:?}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_is_504_in_time() {
    let rig = Rig::start_in(
        WorldConfig::default(),
        &with_reading(&[("query-timeout", "1s")]),
    )
    .await;
    rig.until_ready().await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::Hang)]);
    let started = std::time::Instant::now();
    let (status, kind, why) = error(get(&rig, LABELS).await).await;
    assert_eq!((status, kind.as_str()), (504, "timeout"));
    assert!(why.contains("--query-timeout"), "{why}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

/// AMP closes an idle connection between two queries; the second still succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_connection_is_no_fault() {
    let (_storage, rig) = start(&[]).await;
    data(get(&rig, LABELS).await).await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::Reset).times(1)]);
    data(get(&rig, LABELS).await).await;
}
