//! What was sent is what is stored, and the comparison would notice if it were not.

use std::path::Path;
use std::time::Duration;

use emulator::amp::Labels;
use testbench::peers::PeerError;
use testbench::peers::compare::compare;
use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::sender::{Sender, SenderConfig};
use testbench::peers::sidecar::{Program, Sidecar};
use testbench::peers::source::Source;

use crate::faces::{FLAGS, prometheus, until, world_and_sidecar};

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_the_built_in_sender_arrives_and_a_planted_one_is_missed() {
    let (world, mut sidecar) = world_and_sidecar().await;
    let config = SenderConfig {
        interval: Duration::from_millis(100),
        ..SenderConfig::new(sidecar.write_url())
    };
    let mut sender = Sender::start(&config).unwrap();
    until("1,000 samples are stored", async || {
        world.store().stats().samples >= 1000
    })
    .await;
    assert!(sender.finish(Duration::from_secs(20)).await);

    let mut samples = sender.samples();
    let comparison = compare(&samples, world.store());
    assert_eq!(comparison.missing, 0, "{comparison:?}");
    assert_eq!(comparison.total, sender.sent().made);
    assert_eq!(comparison.stored(), world.store().stats().samples);
    assert_eq!(samples.series(), 200);

    // One that was never sent, and one that differs in the last bit.
    let (labels, timestamp, value) = samples.iter().next().unwrap();
    let (labels, changed) = (labels.clone(), f64::from_bits(value.to_bits() ^ 1));
    samples.insert(labels.clone(), timestamp, changed);
    samples.insert(Labels::new([("__name__", "planted")]), timestamp + 1, 1.0);
    let comparison = compare(&samples, world.store());
    assert_eq!(comparison.missing, 2, "{comparison:?}");
    assert_eq!(comparison.series_concerned, 2);
    assert_eq!(comparison.span, Some((timestamp, timestamp + 1)));
    let planted = comparison
        .examples
        .iter()
        .find(|missing| missing.stored.is_none());
    assert_eq!(planted.unwrap().labels.get("__name__"), Some("planted"));
    let differing = comparison
        .examples
        .iter()
        .find(|missing| missing.stored.is_some());
    assert_eq!(differing.unwrap().stored, Some(value));

    let metrics = sidecar.metrics().await.unwrap();
    assert_eq!(
        metrics
            .count("amp_sidecar_forwarded_samples_total", &[])
            .unwrap(),
        sender.sent().delivered
    );
    let status = sidecar
        .process_mut()
        .stop(Duration::from_secs(20))
        .await
        .unwrap();
    assert!(
        status.expect("ended by itself").success(),
        "{}",
        sidecar.log().last_words()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_raw_sample_of_a_real_prometheus_arrives() {
    let installed = prometheus().await;
    let (world, sidecar) = world_and_sidecar().await;
    let source = Source::start(50).await.unwrap();
    let setup = Setup::new(&installed.program, source.address(), sidecar.write_url());
    let mut prometheus = Prometheus::start(setup).await.unwrap();
    let scraped = source.scrapes();
    until("it was scraped five times", async || {
        source.scrapes() >= scraped + 5
    })
    .await;
    prometheus.stop_scraping().await.unwrap();

    let sent = prometheus.sent().await.unwrap();
    until("everything is stored", async || {
        compare(&sent, world.store()).missing == 0
    })
    .await;
    let comparison = compare(&prometheus.sent().await.unwrap(), world.store());
    assert_eq!(comparison.missing, 0, "{comparison:?}");
    // 50 series and what Prometheus adds to each scrape: up, and four about the scrape itself.
    assert_eq!(sent.series(), 55);
    assert!(comparison.total >= 5 * 55, "{comparison:?}");
    for (labels, _, _) in sent.iter() {
        assert_eq!(labels.get("cluster"), Some("emulator"));
        assert_eq!(labels.get("job"), Some("shop"));
    }
    let metrics = prometheus.metrics().await.unwrap();
    assert!(
        metrics
            .count("prometheus_remote_storage_samples_total", &[])
            .unwrap()
            >= comparison.total
    );
    assert_eq!(
        metrics
            .count("prometheus_remote_storage_samples_failed_total", &[])
            .unwrap(),
        0
    );

    assert!(prometheus.stop(Duration::from_secs(30)).await.unwrap());
    prometheus.start_again().await.unwrap();
    assert_eq!(prometheus.sent().await.unwrap().len(), comparison.total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_killed_comes_back_at_the_same_place() {
    let (world, mut sidecar) = world_and_sidecar().await;
    let config = SenderConfig {
        interval: Duration::from_millis(100),
        ..SenderConfig::new(sidecar.write_url())
    };
    let mut sender = Sender::start(&config).unwrap();
    until("something is stored", async || {
        world.store().stats().samples > 0
    })
    .await;
    sidecar.process_mut().kill().await.unwrap();
    let before = sender.sent();
    until("the sender notices", async || {
        sender.sent().retries > before.retries
    })
    .await;
    sidecar.start_again().await.unwrap();
    until("it goes on", async || {
        sender.sent().batches > before.batches + 10
    })
    .await;
    assert!(sender.finish(Duration::from_secs(20)).await);
    assert_eq!(compare(&sender.samples(), world.store()).missing, 0);
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let (world, _sidecar) = world_and_sidecar().await;
    let nowhere = Path::new("/does/not/exist");
    let error = Program::sidecar(Some(nowhere)).await.unwrap_err();
    assert!(matches!(error, PeerError::NoProgram(_)), "{error}");
    let error = Installed::find(Some(nowhere)).await.unwrap_err();
    assert!(matches!(error, PeerError::NoProgram(_)), "{error}");
    let program = Program::sidecar(None).await.unwrap();
    let error = Sidecar::start(
        &program,
        &world,
        &["--region=", "--drain-idle=soon", FLAGS[0]],
    )
    .await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("amp-sidecar ended") && error.contains("--drain-idle"),
        "{error}"
    );
}
