//! A real Prometheus is stopped with a backlog: what the manifests' hook and `queue_config` keep, and what is lost without them.

use std::time::Duration;

use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testbench::peers::compare::{Comparison, compare};
use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::source::Source;

use crate::bodies;
use crate::rig::Rig;

/// `scripts/check-deploy` holds all manifests to the same hook.
const CHART: &str = include_str!("../../deploy/helm/amp-sidecar/templates/_container.tpl");
/// In an outage of so long, the log has several times what the queue of one shard holds: 3,000 samples by Prometheus 2's defaults.
const OUTAGE: Duration = Duration::from_secs(12);
const STOPPED_AFTER: Duration = Duration::from_secs(9);
const SERIES: usize = 1000;

fn hook() -> &'static str {
    let (_, rest) = CHART
        .split_once("  httpGet:\n    path: /caught-up")
        .unwrap();
    let end = rest.find('\n').unwrap();
    let start = CHART.len() - rest.len() - "/caught-up".len();
    &CHART[start..start + "/caught-up".len() + end]
}

/// A Prometheus that is stopped as by kubelet while AMP fails; what of its samples is missing then.
async fn stopped_in_an_outage(queue: Value, with_hook: bool) -> Comparison {
    let installed = Installed::find(None).await.unwrap();
    let installed = installed.expect("prometheus is not on the PATH: scripts/test brings it");
    let rig = Rig::start().await;
    rig.until_ready().await;
    let source = Source::start(SERIES).await.unwrap();
    let write_url = format!("http://{}/api/v1/write", rig.host);
    let mut setup = Setup::new(&installed.program, source.address(), write_url);
    setup.remote_write = json!({ "queue_config": queue });
    let mut prometheus = Prometheus::start(setup).await.unwrap();
    while rig.world.store().stats().samples == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::answer(500, "")).lasting(OUTAGE)]);
    tokio::time::sleep(STOPPED_AFTER).await;
    if with_hook {
        let (status, words) = rig.admin(hook()).await;
        assert_eq!(status, StatusCode::OK, "{words}");
    }
    // The last scrape may still be on its way from the log to the queue.
    let until = bodies::now_ms() - 1500;
    let flush_deadline = Duration::from_secs(70);
    let ended = prometheus.process_mut().stop(flush_deadline).await.unwrap();
    assert!(ended.is_some(), "it flushes within its deadline");
    prometheus.start_again().await.unwrap();
    let sent = prometheus.sent().await.unwrap().until(until);
    compare(&sent, rig.world.store())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_is_stopped_loses_its_backlog_without_hook_and_queue_config() {
    let one_shard = json!({"max_shards": 1});
    // As `setup prometheus` prints it.
    let printed = json!({"max_shards": 50, "capacity": 10_000, "max_samples_per_send": 2000});
    let (by_hook, by_queue, by_neither) = tokio::join!(
        stopped_in_an_outage(one_shard.clone(), true),
        stopped_in_an_outage(printed, false),
        stopped_in_an_outage(one_shard, false),
    );
    for kept in [&by_hook, &by_queue] {
        assert_eq!(kept.missing, 0, "{kept:?}");
        assert!(kept.total > 6_000, "only {}", kept.total);
    }
    assert!(by_neither.missing > 1_000, "{by_neither:?}");
}
