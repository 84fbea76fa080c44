//! SIGTERM as kubelet sends it, as the sender sees it.

use std::time::{Duration, Instant};

use amp_sidecar::app::Stage;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;
use reqwest::StatusCode;

use crate::bodies;
use crate::rig::{Rig, V1};

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_sidecar_serves_until_its_senders_are_done() {
    let mut rig = Rig::start_in(Default::default(), &[("drain-idle", "1s")]).await;
    rig.until_ready().await;
    let batch = bodies::v1("before", 1);
    let response = rig.try_post("/api/v1/write", V1, batch.body).await.unwrap();
    assert!(!response.headers().contains_key("connection"));
    rig.stage.send_replace(Stage::Draining);
    for n in 0..15 {
        let batch = bodies::v1(&format!("up_{n}"), 3);
        let response = rig.try_post("/api/v1/write", V1, batch.body).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{n}");
        if n > 0 {
            // Behind a balancer, the sender's next connection leads to another replica.
            assert_eq!(response.headers()["connection"], "close", "{n}");
        }
        if n == 1 {
            let (status, why) = rig.admin("/readyz").await;
            assert_eq!(
                (status, why.trim()),
                (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining")
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let idle = Instant::now();
    (&mut rig.sidecar).await.unwrap();
    assert!(
        idle.elapsed() < Duration::from_secs(3),
        "{:?}",
        idle.elapsed()
    );
    let late = rig.try_post("/api/v1/write", V1, bodies::v1("late", 1).body);
    assert!(late.await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_flight_is_answered_before_it_stops() {
    let rig = Rig::start_in(Default::default(), &[("drain-idle", "100ms")]).await;
    rig.until_ready().await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::Delay(Duration::from_secs(2)))]);
    let batch = bodies::v1("up", 3);
    let write = rig.write(&batch);
    let leave = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        rig.stage.send_replace(Stage::Draining);
    };
    let (status, ()) = tokio::join!(write, leave);
    assert_eq!(status, StatusCode::OK);
    assert!(rig.has_stored(&batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeout_ends_a_drain_whose_senders_never_stop() {
    let mut rig = Rig::start_in(Default::default(), &[("drain-timeout", "1s")]).await;
    rig.until_ready().await;
    rig.stage.send_replace(Stage::Draining);
    let started = Instant::now();
    while !rig.sidecar.is_finished() {
        assert!(started.elapsed() < Duration::from_secs(5));
        let answer = rig
            .try_post("/api/v1/write", V1, bodies::v1("up", 3).body)
            .await;
        assert!(
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
                || started.elapsed() > Duration::from_secs(1)
        );
    }
    (&mut rig.sidecar).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_it_at_once() {
    let mut rig = Rig::start().await;
    rig.until_ready().await;
    rig.stage.send_replace(Stage::Draining);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    rig.stage.send_replace(Stage::Stopping);
    (&mut rig.sidecar).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_owes_a_retry_is_waited_for() {
    let mut rig = Rig::start_in(Default::default(), &[("drain-idle", "1s")]).await;
    rig.until_ready().await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::answer(503, "")).times(1)]);
    rig.stage.send_replace(Stage::Draining);
    let batch = bodies::v1("up", 3);
    assert_eq!(rig.write(&batch).await, StatusCode::SERVICE_UNAVAILABLE);
    // Longer than the idle time, as Prometheus' pause may be.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    assert!(rig.has_stored(&batch));
    (&mut rig.sidecar).await.unwrap();
}
