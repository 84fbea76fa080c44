//! A collector that is gone, hangs or fails costs spans and nothing else.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amp_sidecar::app::Stage;
use emulator::world::WorldConfig;
use reqwest::StatusCode;
use tracing_subscriber::fmt::MakeWriter;

use super::collector::{Collector, Mood};
use super::{is_batch, traced};
use crate::bodies;
use crate::rig::Rig;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The queue is short, so that all reasons for lost spans occur.
const NARROW: [(&str, &str); 5] = [
    ("bsp-max-queue-size", "8"),
    ("bsp-max-export-batch-size", "4"),
    ("otlp-timeout", "300"),
    ("bsp-export-timeout", "600"),
    ("drain-idle", "100ms"),
];

async fn spans(rig: &Rig, result: &str) -> u64 {
    rig.count(&format!(
        r#"amp_sidecar_trace_spans_total{{result="{result}"}}"#
    ))
    .await
}

/// Every batch is stored, as fast as without traces, and the program stops in time.
async fn costs_nothing(rig: Rig) {
    for n in 0..20 {
        let batch = bodies::v1(&format!("up_{n}"), 2);
        let began = Instant::now();
        assert_eq!(rig.write(&batch).await, StatusCode::OK);
        assert!(began.elapsed() < Duration::from_secs(2), "a batch waited");
        assert!(rig.has_stored(&batch));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lost = spans(&rig, "failed").await + spans(&rig, "dropped").await;
    assert!(lost >= 20, "{lost}");
    assert_eq!(spans(&rig, "exported").await, 0);
    let mut rig = rig;
    rig.stage.send_replace(Stage::Draining);
    let drained = tokio::time::timeout(Duration::from_secs(4), &mut rig.sidecar);
    drained
        .await
        .expect("the drain waited for the collector")
        .unwrap();
}

/// On one thread, so that its log lines are separate from those of other tests.
#[tokio::test]
async fn a_collector_that_is_gone_hangs_or_fails_costs_nothing_but_spans_and_is_one_line() {
    let captured = Captured::default();
    let lines = tracing_subscriber::fmt()
        .with_writer(captured.clone())
        .finish();
    let _here = tracing::subscriber::set_default(lines);

    for mood in [Mood::Answers(500), Mood::Answers(503), Mood::Hangs] {
        let collector = Collector::start(mood).await;
        costs_nothing(traced(&collector, WorldConfig::default(), &NARROW).await).await;
    }
    let mut gone = Collector::start(Mood::Takes).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    gone.address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    costs_nothing(traced(&gone, WorldConfig::default(), &NARROW).await).await;

    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let text = text
        .lines()
        .filter(|line| line.contains("spans are lost"))
        .count();
    assert_eq!(text, 4, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_takes_again_is_exported_and_what_it_rejects_is_counted() {
    let collector = Collector::start(Mood::Answers(503)).await;
    let rig = traced(&collector, WorldConfig::default(), &[]).await;
    assert_eq!(rig.write(&bodies::v1("up", 1)).await, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(collector.spans().is_empty());
    collector.is(Mood::RejectsOne);
    collector.until(is_batch).await;
    assert_eq!(spans(&rig, "failed").await, 0);
    assert!(spans(&rig, "rejected").await >= 1);
}

/// Spans that wait when the program stops are exported.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_exported_during_the_drain() {
    let collector = Collector::start(Mood::Takes).await;
    let late = [("bsp-schedule-delay", "60000"), ("drain-idle", "100ms")];
    let mut rig = traced(&collector, WorldConfig::default(), &late).await;
    assert_eq!(rig.write(&bodies::v1("up", 1)).await, StatusCode::OK);
    assert!(collector.spans().is_empty());
    rig.stage.send_replace(Stage::Draining);
    let drained = tokio::time::timeout(Duration::from_secs(4), &mut rig.sidecar);
    drained.await.unwrap().unwrap();
    assert!(collector.spans().iter().any(is_batch));
}
