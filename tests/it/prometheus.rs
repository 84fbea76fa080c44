//! A real Prometheus writes through the real binary during a minute of failures, and no sample is missing.

use std::path::Path;
use std::time::Duration;

use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use testbench::peers::compare::arrived;
use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::sidecar::{Program, Sidecar};
use testbench::peers::source::Source;

use crate::leak_check::World;

const EXPIRED: &str = r#"{"message":"The security token included in the request is expired"}"#;

/// Token rotated, credentials expired, STS down for 20 s, AMP answering 403 for 15 s; 200 series, scraped each second.
#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_trouble_costs_no_sample() {
    let prometheus = Installed::find(None).await.unwrap();
    let prometheus = prometheus.expect("prometheus is not on the PATH: scripts/test brings it");
    let seconds = Duration::from_secs;
    let world = World::start(WorldConfig {
        session_life: Some(seconds(16)),
        ..WorldConfig::default()
    })
    .await
    .unwrap();
    let program = Program::Sidecar(Path::new(env!("CARGO_BIN_EXE_amp-sidecar")).to_owned());
    let sidecar = Sidecar::start(&program, &world, &[]).await.unwrap();
    let source = Source::start(200).await.unwrap();
    let setup = Setup::new(&prometheus.program, source.address(), sidecar.write_url());
    let prometheus = Prometheus::start(setup).await.unwrap();

    tokio::time::sleep(seconds(8)).await;
    world.rotate_token().unwrap();
    tokio::time::sleep(seconds(4)).await;
    world
        .faults(Target::Sts)
        .set([Fault::new(FaultKind::answer(503, "")).lasting(seconds(20))]);
    tokio::time::sleep(seconds(24)).await;
    world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::answer(403, EXPIRED)).lasting(seconds(15))]);
    tokio::time::sleep(seconds(25)).await;

    // Most of a minute's samples are older than a few seconds; the last ones get the time that they need.
    prometheus.stop_scraping().await.unwrap();
    let sent = prometheus.sent().await.unwrap();
    let found = arrived(&sent, world.store(), seconds(30)).await;
    assert_eq!(
        found.missing,
        0,
        "{found:?}\n{}",
        sidecar.log().last_words()
    );
    assert!(
        found.total > 200 * 50,
        "only {} samples in a minute",
        found.total
    );

    let metrics = sidecar.metrics().await.unwrap();
    let outcome = |name: &str| {
        metrics
            .count("amp_sidecar_batches_total", &[("outcome", name)])
            .unwrap()
    };
    assert!(
        outcome("no_credentials") > 0,
        "the credentials did not expire in the outage"
    );
    assert!(outcome("unauthenticated") > 0, "AMP's 403 was not met");
    let tokens: std::collections::BTreeSet<_> = world
        .sts_calls()
        .into_iter()
        .filter_map(|call| call.token_id)
        .collect();
    assert!(tokens.len() >= 2, "the new token was not used");
}
