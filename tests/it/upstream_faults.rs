//! Whatever AMP and the network do, the sender gets the response in the table of verdicts.

use std::time::Duration;

use emulator::fault::{Fault, FaultKind};
use emulator::tls::Presented;
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;

use crate::bodies;
use crate::rig::{Rig, V1, text};

/// Sets one fault, writes, and returns the sender's response.
async fn response(rig: &Rig, fault: Fault) -> (u16, String) {
    rig.world.faults(Target::Amp).set([fault]);
    let response = rig
        .post("/api/v1/write", V1, bodies::v1("up", 3).body)
        .await;
    rig.world.faults(Target::Amp).clear();
    (response.status().as_u16(), text(response).await)
}

/// The contract, status by status, with and without a `Retry-After`, over the wire from an AMP that sends nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn every_status_that_amp_may_answer_is_heard_as_the_contract_says() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    for status in 100..=599 {
        for asked in [None, Some("90")] {
            let headers = asked.map(|asked| ("retry-after".to_owned(), asked.to_owned()));
            rig.world
                .faults(Target::Amp)
                .set([Fault::new(FaultKind::Answer {
                    status,
                    headers: headers.into_iter().collect(),
                    body: String::new(),
                })]);
            let response = rig
                .post("/api/v1/write", V1, bodies::v1("up", 1).body)
                .await;
            let pause = response
                .headers()
                .get("retry-after")
                .map(|pause| pause.to_str().unwrap());
            let heard = (response.status().as_u16(), pause);
            let capped = asked.and(Some("5"));
            // Nothing proves that the store sent the 400, 402, 415 or 422.
            let expected = match status {
                200..=299 | 413 => (status, None),
                429 => (503, capped.or(Some("1"))),
                500 | 502 | 503 | 504 => (status, capped),
                _ => (503, None),
            };
            assert_eq!(heard, expected, "{status}, Retry-After {asked:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/api/v1/write", rig.host);
        let kind = FaultKind::Redirect { status, location };
        assert_eq!(response(&rig, Fault::new(kind)).await.0, 503, "{status}");
    }
    assert_eq!(rig.world.journal(Target::Amp).total(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_and_answers_become_503() {
    let rig = Rig::start_in(Default::default(), &[("upstream-timeout", "2s")]).await;
    rig.until_ready().await;
    for (kind, outcome) in [
        (FaultKind::Reset, "broken"),
        (FaultKind::Close, "broken"),
        (FaultKind::ResetAfter { bytes: 9 }, "broken"),
        (FaultKind::CutAfter { bytes: 20 }, "broken"),
        (
            FaultKind::Garbage("SSH-2.0-OpenSSH_9.2\r\n\r\n".into()),
            "garbage",
        ),
        (FaultKind::Hang, "timed_out"),
        (FaultKind::HeaderOnly { status: Some(400) }, "timed_out"),
        (FaultKind::BrokenBody { status: Some(403) }, "broken"),
    ] {
        let metric = format!("amp_sidecar_upstream_errors_total{{reason=\"{outcome}\"}}");
        let before = rig.find_count(&metric).await;
        let (status, words) = response(&rig, Fault::new(kind.clone())).await;
        assert_eq!(status, 503, "{kind:?}: {words}");
        assert!(
            rig.find_count(&metric).await > before,
            "{kind:?} is not counted as {outcome}: {words}"
        );
    }
    assert_eq!(rig.write(&bodies::v1("after", 3)).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_counts_once_it_is_whole() {
    let rig = Rig::start_in(WorldConfig::default(), &[("upstream-timeout", "1s")]).await;
    rig.until_ready().await;
    for (kind, said) in [
        (
            FaultKind::BrokenBody { status: None },
            "the connection broke",
        ),
        (
            FaultKind::EndlessBody { status: None },
            "a body of more than 64 KiB",
        ),
        (FaultKind::HeaderOnly { status: None }, "no response within"),
    ] {
        let (status, words) = response(&rig, Fault::new(kind.clone())).await;
        assert_eq!(status, 503, "{kind:?}");
        assert!(words.contains(said), "{kind:?}: {words}");
    }
    assert_eq!(
        rig.write(&bodies::v1("after", 3)).await,
        StatusCode::OK,
        "on another connection"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_refusal_is_cut() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let (status, words) = response(
        &rig,
        Fault::new(FaultKind::EndlessBody { status: Some(422) }),
    )
    .await;
    assert_eq!(status, 503, "nobody knows whose words these are");
    assert!(words.len() < 1200, "{}", words.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_closes_as_the_request_leaves_costs_nothing() {
    let rig = Rig::start().await;
    assert_eq!(rig.write(&bodies::v1("first", 3)).await, StatusCode::OK);
    for kind in [FaultKind::Close, FaultKind::Reset] {
        rig.world
            .faults(Target::Amp)
            .set([Fault::new(kind.clone()).times(1)]);
        let batch = bodies::v1("second", 3);
        assert_eq!(rig.write(&batch).await, StatusCode::OK, "{kind:?}");
        assert!(rig.has_stored(&batch));
        assert_eq!(rig.world.faults(Target::Amp).hits(), [1]);
    }
    let resends = rig
        .count(r#"amp_sidecar_upstream_retries_total{reason="stale_connection"}"#)
        .await;
    assert_eq!(resends, 2);
    // Only once, and only if no byte of a response came.
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::Close).times(2)]);
    assert_eq!(
        rig.write(&bodies::v1("third", 3)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(rig.write(&bodies::v1("fourth", 3)).await, StatusCode::OK);
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::CutAfter { bytes: 12 }).times(1)]);
    assert_eq!(
        rig.write(&bodies::v1("fifth", 3)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amp_that_cannot_prove_who_it_is_gets_nothing() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    for presented in [
        Presented::Expired,
        Presented::WrongName,
        Presented::UnknownAuthority,
    ] {
        rig.world.present(presented);
        let response = rig
            .post("/api/v1/write", V1, bodies::v1("up", 3).body)
            .await;
        assert_eq!(
            response.status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "{presented:?}"
        );
        let words = text(response).await;
        assert!(words.contains("TLS with"), "{words}");
    }
    assert_eq!(rig.world.journal(Target::Amp).total(), 0);
    assert!(
        rig.count(r#"amp_sidecar_upstream_errors_total{reason="tls"}"#)
            .await
            >= 3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_amps_address_is_answered_at_once() {
    let rig = Rig::start_in(
        Default::default(),
        &[
            (
                "remote-write-url",
                "https://127.0.0.1:9/workspaces/ws-1/api/v1/remote_write",
            ),
            ("workspace-id", "ws-1"),
        ],
    )
    .await;
    rig.until_ready().await;
    let started = std::time::Instant::now();
    assert_eq!(
        rig.write(&bodies::v1("up", 3)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(
        rig.count(r#"amp_sidecar_upstream_errors_total{reason="connect"}"#)
            .await
            >= 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_connections_and_says_nothing_is_left_after_three_seconds() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::StallOnAccept)]);
    let started = std::time::Instant::now();
    assert_eq!(
        rig.write(&bodies::v1("up", 3)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let took = started.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(8),
        "{took:?}"
    );
}
