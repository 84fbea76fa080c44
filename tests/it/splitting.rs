//! A batch that is too large for AMP reaches it in parts.

use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;

use crate::bodies;
use crate::rig::{Rig, V1, V2, text};

fn small_limit(bytes: usize) -> WorldConfig {
    let mut world = WorldConfig::default();
    world.amp.max_request_bytes = bytes;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_split_before_amp_sees_it() {
    let rig = Rig::start().await;
    let batch = bodies::incompressible("up", 400, 6_000);
    assert!(batch.body.len() > 1_500_000, "{}", batch.body.len());
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    assert!(rig.has_stored(&batch));
    let statuses = rig.world.journal(Target::Amp).counts().statuses;
    assert_eq!(
        statuses.keys().copied().collect::<Vec<_>>(),
        [200],
        "AMP never had to say 413"
    );
    assert_eq!(rig.count("amp_sidecar_splits_total").await, 1);
    assert_eq!(rig.count("amp_sidecar_forwarded_samples_total").await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_413_of_amp_is_answered_by_smaller_parts() {
    let rig = Rig::start_in(small_limit(20_000), &[]).await;
    let batch = bodies::incompressible("up", 100, 1_000);
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    assert!(rig.has_stored(&batch));
    let stored = r#"amp_sidecar_batches_total{outcome="stored"}"#;
    assert_eq!(rig.count(stored).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_parts_of_a_version_2_batch_wrote_is_added_up() {
    let rig = Rig::start_in(small_limit(2_000), &[]).await;
    let batch = bodies::v2("up", 500);
    assert!(batch.body.len() > 2_000);
    let response = rig.post("/api/v1/write", V2, batch.body.clone()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let written = |kind: &str| {
        response.headers()[format!("x-prometheus-remote-write-{kind}-written")]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (
            written("samples"),
            written("histograms"),
            written("exemplars")
        ),
        ("500".into(), "1".into(), "1".into())
    );
    assert!(rig.has_stored(&batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_fails_brings_the_whole_batch_back_and_nothing_is_missing_after_it() {
    let rig = Rig::start_in(small_limit(20_000), &[("max-upstream-bytes", "20000")]).await;
    rig.until_ready().await;
    let batch = bodies::incompressible("up", 100, 1_000);
    // The parts are sent in sequence: the third gets the fault.
    rig.world.faults(Target::Amp).set([
        Fault::new(FaultKind::Delay(std::time::Duration::ZERO)).times(2),
        Fault::new(FaultKind::answer(500, "")).times(1),
    ]);
    assert_eq!(rig.write(&batch).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!rig.has_stored(&batch));
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    assert!(rig.has_stored(&batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_that_is_too_large_alone_is_refused_and_the_others_are_stored() {
    let rig = Rig::start_in(small_limit(5_000), &[]).await;
    let giant = bodies::incompressible("giant", 1, 8_000);
    let response = rig.post("/api/v1/write", V1, giant.body).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let words = text(response).await;
    assert!(words.contains("cannot be cut"), "{words}");
    let too_large = r#"amp_sidecar_samples_in_refused_batches_total{reason="too_large_for_amp"}"#;
    assert_eq!(rig.count(too_large).await, 1);
}

/// `check` writes one, and a sender may. Cut again and again, it would end the process.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_that_is_too_large_for_somebody_is_not_cut_without_end() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let too_large = Fault::new(FaultKind::answer(413, ""));
    rig.world.faults(Target::Amp).set([too_large]);
    for message in [&[][..], &[0x0a, 0x00]] {
        let body = bodies::snappy(message);
        let answer = rig.post("/api/v1/write", V1, body).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert!(rig.world.journal(Target::Amp).counts().statuses[&413] < 20);
    rig.world.faults(Target::Amp).set([]);
    assert_eq!(rig.write(&bodies::v1("up", 1)).await, StatusCode::OK);
}
