//! Which batches are counted, when, and what is exact though not all are.

use std::time::Duration;

use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;

use crate::bodies;
use crate::rig::{Rig, V1, V2, text};

const RECEIVED: &str = "amp_sidecar_received_samples_total";
const STORED: &str = "amp_sidecar_forwarded_samples_total";
const ESTIMATED: &str = "amp_sidecar_estimated_samples_total";
const UNCOUNTED: &str = "amp_sidecar_uncounted_batches_total";
const LOST: &str = "amp_sidecar_samples_in_refused_batches_total";
const CPU: &str = "amp_sidecar_inspect_cpu_seconds_total";

/// So many samples in each batch of [`spent`].
const EACH: u64 = 400;

/// A sidecar that has spent its budget, and how many batches that took.
async fn spent() -> (Rig, u64) {
    let rig = Rig::start_in(WorldConfig::default(), &[("inspect-budget", "0.001%")]).await;
    rig.until_ready().await;
    let batch = bodies::v1("up", EACH as usize);
    // A minute's budget is 0.6 ms.
    for sent in 1..=5000 {
        assert_eq!(rig.write(&batch).await, StatusCode::OK);
        if sent % 50 == 0 && rig.count(UNCOUNTED).await > 20 {
            return (rig, sent);
        }
    }
    panic!("the budget lasts: {} s", rig.gauge(CPU).await);
}

async fn status(rig: &Rig) -> serde_json::Value {
    let (_, status) = rig.admin("/status.json").await;
    let mut status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["workspaces"][0].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_within_the_budget_is_counted_whole() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    for _ in 0..20 {
        assert_eq!(rig.write(&bodies::v1("up", 100)).await, StatusCode::OK);
    }
    assert_eq!(rig.count(RECEIVED).await, 2000);
    assert_eq!(rig.count(STORED).await, 2000);
    assert_eq!(
        (rig.count(ESTIMATED).await, rig.count(UNCOUNTED).await),
        (0, 0)
    );
    assert!(rig.gauge(CPU).await > 0.0);
    let flow = &status(&rig).await["flow"];
    assert_eq!(flow["counted_one_in"], 1.0, "{flow}");
    assert_eq!(flow["estimated_samples"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_budget_what_is_stored_is_estimated_and_the_rest_is_exact() {
    let (rig, sent) = spent().await;
    let (received, stored) = (rig.count(RECEIVED).await, rig.count(STORED).await);
    let estimated = rig.count(ESTIMATED).await;
    // All batches are alike, so the estimate has no error but the rounding.
    for counted in [received, stored] {
        assert!(
            counted.abs_diff(sent * EACH) <= 1,
            "{counted} of {sent} batches"
        );
    }
    let uncounted = rig.count(UNCOUNTED).await;
    assert!(estimated.abs_diff(uncounted * EACH) <= 1, "{estimated}");
    let flow = &status(&rig).await["flow"];
    assert!(flow["counted_one_in"].as_f64().unwrap() > 1.0, "{flow}");
    assert_eq!(flow["estimated_samples"], estimated);

    // Refused, held, split: each exactly, though hardly any batch is chosen.
    let faults = rig.world.faults(Target::Amp);
    let mut lost = 0;
    for samples in [3, 70, 500] {
        faults.set([Fault::new(FaultKind::answer(
            400,
            "user=1: err: out of order sample",
        ))]);
        let status = rig.write(&bodies::v1("refused", samples)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        lost += samples as u64;
        assert_eq!(rig.count(LOST).await, lost);
    }
    let now = bodies::now_ms();
    faults.set([Fault::new(FaultKind::answer(500, "no"))]);
    rig.write(&bodies::v1_at("held", 10, now - 40 * 60_000))
        .await;
    let held = rig
        .gauge("amp_sidecar_oldest_held_sample_timestamp_seconds")
        .await;
    assert!((held - (now as f64 / 1000.0 - 2400.0)).abs() < 0.01);
    faults.clear();
    let before = rig.count(STORED).await;
    assert_eq!(
        rig.write(&bodies::incompressible("split", 1200, 1000))
            .await,
        StatusCode::OK
    );
    assert!((rig.count(STORED).await - before).abs_diff(1200) <= 1);
    let exact = received + lost + 10 + 1200;
    assert!(rig.count(RECEIVED).await.abs_diff(exact) <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_whether_senders_have_caught_up_is_answered_by_all_batches() {
    let (rig, _) = spent().await;
    let (status, words) = rig.admin("/caught-up?within=1s").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{words}");
    assert!(words.contains("not every batch was counted"), "{words}");
    let uncounted = rig.count(UNCOUNTED).await;
    for _ in 0..50 {
        rig.write(&bodies::v1("up", 100)).await;
    }
    assert_eq!(rig.count(UNCOUNTED).await, uncounted);
}

/// AMP answers 2xx to a body of the other version and stores none of it, so none is sent unseen.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_other_version_is_not_forwarded_though_none_is_counted() {
    let (rig, _) = spent().await;
    let before = rig.world.journal(Target::Amp).total();
    for (named, batch) in [(V1, bodies::v2("up", 3)), (V2, bodies::v1("up", 3))] {
        for _ in 0..20 {
            let response = rig.post("/api/v1/write", named, batch.body.clone()).await;
            assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
    }
    assert_eq!(rig.world.journal(Target::Amp).total(), before);
}

/// AMP refuses it, and the response is what it is if nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_body_gets_the_same_response_whether_it_was_chosen_or_not() {
    let whole = bodies::v1("up", 300).body;
    let malformed = whole[..whole.len() - 20].to_vec();
    let (beyond, _) = spent().await;
    let all = Rig::start_in(WorldConfig::default(), &[("inspect", "on")]).await;
    all.until_ready().await;
    for rig in [beyond, all] {
        let received = rig.count(RECEIVED).await;
        let before = rig.world.journal(Target::Amp).total();
        for _ in 0..10 {
            let response = rig.post("/api/v1/write", V1, malformed.clone()).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            let words = text(response).await;
            assert!(words.starts_with("not a remote-write body: "), "{words}");
        }
        assert_eq!(rig.world.journal(Target::Amp).total(), before + 10);
        let outcome = r#"amp_sidecar_batches_total{outcome="malformed"}"#;
        assert_eq!(rig.count(outcome).await, 10);
        assert_eq!(rig.count(RECEIVED).await, received);
    }
}

/// What AMP stored is not lost, whatever we make of its body.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_body_that_amp_stores_is_answered_as_amp_answers_and_reported() {
    let whole = bodies::v1("up", 300).body;
    let malformed = whole[..whole.len() - 20].to_vec();
    let rig = Rig::start().await;
    rig.until_ready().await;
    assert_eq!(rig.write(&bodies::v1("up", 7)).await, StatusCode::OK);
    let faults = rig.world.faults(Target::Amp);
    faults.set([Fault::new(FaultKind::answer(200, ""))]);
    for _ in 0..3 {
        let response = rig.post("/api/v1/write", V1, malformed.clone()).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
    faults.clear();
    assert_eq!(rig.count("amp_sidecar_unreadable_batches_total").await, 3);
    let lost = r#"amp_sidecar_batches_total{outcome="malformed"}"#;
    assert_eq!((rig.count(lost).await, rig.count(LOST).await), (0, 0));
    assert_eq!((rig.count(RECEIVED).await, rig.count(STORED).await), (7, 7));
    let (_, status) = rig.admin("/status.json").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let incidents = status["incidents"].as_array().unwrap();
    let [incident] = incidents.as_slice() else {
        panic!("{incidents:#?}");
    };
    assert_eq!(incident["kind"], "unreadable", "{incident}");
    assert_eq!(incident["count"], 3, "{incident}");
    let reason = incident["reason"].as_str().unwrap();
    assert!(
        reason.starts_with(&format!("a body of {} bytes: ", malformed.len())),
        "{reason}"
    );

    // AMP refuses it: so do we.
    let response = rig.post("/api/v1/write", V1, malformed).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(rig.count(lost).await, 1);
    assert_eq!(rig.count("amp_sidecar_unreadable_batches_total").await, 3);
}

/// The request is read by AMP before the batch is counted, and long before AMP answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_counted_while_amp_works() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    assert_eq!(rig.write(&bodies::v1("first", 1)).await, StatusCode::OK);
    let faults = rig.world.faults(Target::Amp);
    let slow = Fault::new(FaultKind::Delay(Duration::from_secs(2)));
    faults.set([slow]);
    let cpu = rig.gauge(CPU).await;
    let batch = bodies::v1("up", 2000);
    let (written, ()) = tokio::join!(rig.write(&batch), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(rig.gauge(CPU).await, cpu, "it is accounted for at the end");
    });
    assert_eq!(written, StatusCode::OK);
    assert!(rig.gauge(CPU).await > cpu);
    assert_eq!(rig.count(STORED).await, 2001);
}
