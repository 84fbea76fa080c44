//! A batch that AMP does not accept as a whole still arrives, and each part of it once.

use std::time::Duration;

use emulator::amp::{EngineAnswer, Rate, RemoteWrite2};
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;

use crate::bodies;
use crate::rig::{Rig, V2, text};

/// A sender with one shard: repeats a batch until it is settled, at Prometheus' initial pace.
const PATIENCE: Duration = Duration::from_secs(30);

async fn counted(rig: &Rig, selector: &str) -> u64 {
    rig.count(selector).await
}

async fn forwarded(rig: &Rig) -> u64 {
    counted(rig, "amp_sidecar_forwarded_samples_total").await
}

async fn refused(rig: &Rig) -> u64 {
    counted(rig, "amp_sidecar_samples_in_refused_batches_total").await
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_pass_one_by_one_under_a_rate_that_refuses_the_whole() {
    let mut world = WorldConfig::default();
    // At most 150 samples at once, where the batch has 600.
    world.amp.limits.ingestion_rate = Some(Rate::new(200.0, 150));
    let rig = Rig::start_in(world, &[("max-upstream-bytes", "110000")]).await;
    rig.until_ready().await;
    let batch = bodies::incompressible("up", 600, 1_000);
    rig.write_until_stored(&batch, PATIENCE).await;
    assert!(rig.has_stored(&batch));
    assert_eq!(forwarded(&rig).await, 600, "each part counts once");
    assert_eq!(refused(&rig).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_needs_longer_than_the_deadline_gets_there() {
    let mut world = WorldConfig::default();
    world.amp.limits.write_delay = Duration::from_millis(600);
    let settings = [("max-upstream-bytes", "50000"), ("upstream-timeout", "1s")];
    let rig = Rig::start_in(world, &settings).await;
    rig.until_ready().await;
    let batch = bodies::incompressible("up", 400, 1_000);
    let response = rig
        .post("/api/v1/write", crate::rig::V1, batch.body.clone())
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let said = text(response).await;
    assert!(
        said.contains(" parts are settled and will not be sent again"),
        "{said}"
    );
    assert!(
        said.contains("no response within --upstream-timeout"),
        "{said}"
    );
    rig.write_until_stored(&batch, PATIENCE).await;
    assert!(rig.has_stored(&batch));
    // The request in flight at the deadline is sent once more.
    let parts = rig.world.journal(Target::Amp).counts().statuses[&200];
    let split = counted(&rig, "amp_sidecar_split_parts_total").await;
    let tries = counted(&rig, "amp_sidecar_splits_total").await;
    let parts_in_all = split / tries;
    assert!(
        parts <= parts_in_all + tries * 4,
        "{parts} of {parts_in_all}"
    );
    assert_eq!(forwarded(&rig).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_part_lost_is_counted_when_the_batch_is_settled_and_once() {
    let rig = Rig::start_in(WorldConfig::default(), &[("max-upstream-bytes", "30000")]).await;
    rig.until_ready().await;
    let batch = bodies::incompressible("up", 100, 1_000);
    let too_long = "label value too long for metric (actual: 1000, limit: 200) metric: \"up\"";
    rig.world.faults(Target::Amp).set([
        Fault::new(FaultKind::plain_text(400, too_long)).on_series("host-00003"),
        Fault::new(FaultKind::answer(503, "")).on_series("host-00099"),
    ]);
    for _ in 0..5 {
        assert_eq!(rig.write(&batch).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(
        refused(&rig).await,
        0,
        "the batch may still be settled otherwise"
    );
    rig.world.faults(Target::Amp).clear();
    assert_eq!(rig.write(&batch).await, StatusCode::BAD_REQUEST);
    let lost = refused(&rig).await;
    assert!((1..50).contains(&lost), "{lost}");
    assert_eq!(forwarded(&rig).await + lost, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_too_large_are_split_and_the_limit_is_remembered() {
    type Change = fn(&mut WorldConfig);
    let forms: [(&str, u16, Change); 4] = [
        ("413", 413, |world| world.amp.max_request_bytes = 60_000),
        ("400, packed", 400, |world| {
            world.amp.limits.max_recv_msg_size = 60_000;
        }),
        ("500, received", 500, |world| {
            world.amp.limits.ingester_max_recv_msg_size = Some(60_000);
        }),
        ("500, sent", 500, |world| {
            world.amp.limits.ingester_max_send_msg_size = Some(60_000);
        }),
    ];
    for (form, status, change) in forms {
        let mut world = WorldConfig::default();
        change(&mut world);
        let rig = Rig::start_in(world, &[]).await;
        rig.until_ready().await;
        let refusals = || {
            let statuses = rig.world.journal(Target::Amp).counts().statuses;
            statuses.get(&status).copied().unwrap_or(0)
        };
        for name in ["up", "down"] {
            let batch = bodies::incompressible(name, 200, 1_000);
            assert_eq!(rig.write(&batch).await, StatusCode::OK, "{form}");
            assert!(rig.has_stored(&batch), "{form}");
        }
        // The first batch has proved it.
        let shown = refusals();
        assert!(shown >= 1, "{form}");
        let batch = bodies::incompressible("third", 200, 1_000);
        assert_eq!(rig.write(&batch).await, StatusCode::OK, "{form}");
        assert_eq!(refusals(), shown, "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_unpacked_alone_is_split() {
    let mut world = WorldConfig::default();
    world.amp.limits.max_recv_msg_size = 20_000;
    let rig = Rig::start_in(world, &[]).await;
    // Compressed it is far below.
    let batch = bodies::v1("up", 1_000);
    assert!(batch.body.len() < 20_000);
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    assert!(rig.has_stored(&batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_over_half_of_the_limit_is_tried_alone() {
    let mut world = WorldConfig::default();
    world.amp.max_request_bytes = 10_000;
    let rig = Rig::start_in(world, &[]).await;
    // Together they exceed the limit, each alone does not, and half of both is below it.
    let batch = bodies::incompressible("up", 2, 6_500);
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    assert!(rig.has_stored(&batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_amp_wrote_of_a_refused_2_0_batch_is_passed_on_and_not_counted_as_lost() {
    let mut world = WorldConfig::default();
    // The histogram's name is longer, and nothing else is.
    world.amp.limits.max_label_value_length = Some(10);
    let rig = Rig::start_in(world, &[]).await;
    let batch = bodies::v2("up", 3);
    let response = rig.post("/api/v1/write", V2, batch.body.clone()).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let written = |kind: &str| {
        let header = format!("x-prometheus-remote-write-{kind}-written");
        response.headers()[header].to_str().unwrap().to_owned()
    };
    assert_eq!(
        (written("samples"), written("histograms")),
        ("3".into(), "0".into())
    );
    assert_eq!((forwarded(&rig).await, refused(&rig).await), (3, 0));
    let histograms =
        "amp_sidecar_histograms_in_refused_batches_total{reason=\"label_value_too_long\"}";
    assert_eq!(counted(&rig, histograms).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_other_replica_has_stored_is_taken_and_counted_apart() {
    let mut world = WorldConfig::default();
    world.amp.limits.answer = EngineAnswer::named("ha-not-elected");
    let rig = Rig::start_in(world, &[]).await;
    let batch = bodies::v1("up", 7);
    assert_eq!(rig.write(&batch).await, StatusCode::ACCEPTED);
    assert_eq!(forwarded(&rig).await, 0);
    assert_eq!(
        counted(&rig, "amp_sidecar_deduplicated_samples_total").await,
        7
    );
    let outcome = "amp_sidecar_batches_total{outcome=\"deduplicated\"}";
    assert_eq!(counted(&rig, outcome).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_amps_decides_nothing() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let batch = bodies::v1("up", 3);
    let answers = [
        499, 407, 421, 425, 426, 428, 431, 451, 400, 402, 415, 422, 418,
    ]
    .map(|status| FaultKind::answer(status, "no"))
    .into_iter()
    .chain([200, 202, 400, 403, 404, 429, 503].map(|status| FaultKind::html(status, "Blocked")))
    .chain([
        FaultKind::BrokenBody { status: Some(200) },
        FaultKind::EndlessBody { status: Some(200) },
    ]);
    for answer in answers {
        let shown = format!("{answer:?}");
        rig.world.faults(Target::Amp).set([Fault::new(answer)]);
        let response = rig
            .post("/api/v1/write", crate::rig::V1, batch.body.clone())
            .await;
        assert_eq!(
            response.status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "{shown}"
        );
    }
    rig.world.faults(Target::Amp).clear();
    assert!(!rig.has_stored(&batch));
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_write_2_0_works_whatever_amp_speaks() {
    for speaks in [RemoteWrite2::Rejected, RemoteWrite2::Misread] {
        for inspect in ["on", "off"] {
            let mut world = WorldConfig::default();
            world.amp.limits.remote_write_2 = speaks;
            world.amp.report_written = false;
            let rig = Rig::start_in(world, &[("inspect", inspect)]).await;
            for name in ["up", "down"] {
                let batch = bodies::v2(name, 3);
                let response = rig.post("/api/v1/write", V2, batch.body.clone()).await;
                assert!(response.status().is_success(), "{speaks:?}");
                assert!(rig.has_stored(&batch), "{speaks:?}");
                let written = ["samples", "histograms", "exemplars"].map(|kind| {
                    let header = format!("x-prometheus-remote-write-{kind}-written");
                    response.headers()[header].to_str().unwrap().to_owned()
                });
                assert_eq!(written, ["3", "1", "1"], "{speaks:?}");
            }
            // The second one is not attempted as 2.0 again.
            assert_eq!(
                rig.world.journal(Target::Amp).counts().requests,
                3,
                "{speaks:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_exemplars_alone_do_not_take_the_batch_with_them() {
    let rig = Rig::start().await;
    let batch = bodies::v2_with_exemplars_alone("up", 3);
    let response = rig.post("/api/v1/write", V2, batch.body.clone()).await;
    assert!(response.status().is_success());
    assert!(rig.has_stored(&batch));
    assert_eq!(
        response.headers()["x-prometheus-remote-write-samples-written"],
        "3"
    );
}
