//! What amp-sidecar costs beside other proxies, measured side by side.
//!
//! ```text
//!  core 1          core 0             core 1
//!  load ─▶ one proxy after the other ─▶ sink (TLS)
//!                                 └──▶ AMP, once, before: are its signatures right?
//! ```
//!
//! In: which binary, which other proxies, how long. Out: a [`Results`] with a table of goals, each met or short by so much.
//! This program has to be started on another core than the first; `benches/compare` does that and fetches the proxies.
//!
//! - `bodies`, `load`, `sink`: what is sent, how, and where it ends.
//! - `proxies`: who is compared; `floor`: what none of them can do without; `entrance`: how senders reach a gateway.
//! - `usage`, `measure`: processor time, memory, latency. `pace`: the same at one Prometheus' rates. `gateway`: TLS, and two threads.
//! - `quiet`: whether the machine was.
//! - `goals`, `report`, `grid`, `plot`: what came of it. `instructions`: the same batches counted under valgrind.

mod bodies;
mod entrance;
mod error;
pub mod floor;
mod gateway;
mod goals;
mod grid;
pub mod instructions;
mod load;
mod measure;
mod measurements;
mod options;
mod pace;
mod plot;
mod proxies;
mod quiet;
mod report;
mod results;
mod sink;
mod usage;

use std::collections::BTreeMap;

pub use self::error::Error;
pub use self::options::Options;
pub use self::results::Results;
use bodies::Body;
use entrance::Entrance;
use measure::Bench;
use options::CROWD_BUDGET;
use proxies::{COUNTING, COUNTING_ALL, ENVOY, HAPROXY, OFF, Proxy};
use quiet::{Load, Reading};
use sink::Sink;

use emulator::world::{World, WorldConfig};

const CROWD: usize = 1000;

/// Measures everything, and what others took of the processors before and meanwhile; `progress` is called with each step.
///
/// # Errors
/// [`Error`]; [`Error::Busy`] where the machine has to be quiet and is not.
pub async fn compare(options: Options, progress: impl Fn(String)) -> Result<Results, Error> {
    let before = Load::over(options.rest).await;
    progress(before.to_string());
    if options.quiet_only {
        before.quiet()?;
    }
    let began = Reading::now();
    let mut report = measure_all(options, &progress).await?;
    report.others = vec![before, began.until(&Reading::now())];
    Ok(report)
}

async fn measure_all(options: Options, progress: &impl Fn(String)) -> Result<Results, Error> {
    let world = World::start(WorldConfig::default()).await?;
    let sink = Sink::start(&world).await.map_err(Error::Io)?;
    let bench = Bench {
        world: &world,
        sink: &sink,
        options: &options,
    };
    let mut all = Proxy::all(&options.sidecar, &options.peers);
    let chosen = |proxy: &Proxy| options.only.is_empty() || options.only.contains(&proxy.name);
    all.retain(chosen);
    let mut signs = BTreeMap::new();
    for proxy in &all {
        let signed = bench.check(proxy).await?;
        let word = if signed {
            "signs, and AMP takes it"
        } else {
            "does not sign"
        };
        progress(format!("{}: {word}", proxy.name));
        signs.insert(proxy.name.clone(), signed);
    }
    let named = |names: &[&str]| {
        let wanted = |proxy: &&Proxy| names.contains(&proxy.name.as_str());
        all.iter().filter(wanted).cloned().collect::<Vec<_>>()
    };

    let mut bodies = vec![
        Body::real(),
        Body::real_large(),
        Body::real_v2(),
        Body::generated(2000),
        Body::generated(10_000),
    ];
    bodies.retain(|body| options.body.as_ref().is_none_or(|name| *name == body.name));
    progress("processor time a batch".to_owned());
    let cpu = bench.cpu_table(&all, &bodies, &[8], progress).await?;

    let mut report = Results {
        waits: all
            .iter()
            .map(|proxy| (proxy.name.clone(), proxy.waits))
            .collect(),
        signs,
        bodies,
        cpu,
        options: options.clone(),
        ..Results::default()
    };
    if !options.only.is_empty() {
        return Ok(report);
    }

    progress("the same, from 1 to 64 connections and from 10 to 10,000 samples".to_owned());
    let ours = named(&[COUNTING]);
    let connections = [1, 2, 4, 8, 16, 32, 64];
    let by_connections = [Body::generated(2000)];
    report.by_connections = bench
        .cpu_table(&ours, &by_connections, &connections, progress)
        .await?;
    report.sizes = [10, 100, 500, 2000, 10_000].map(Body::generated).into();
    let ours = named(&[COUNTING, OFF]);
    report.by_size = bench
        .cpu_table(&ours, &report.sizes, &[8], progress)
        .await?;

    progress("at the rates of one Prometheus".to_owned());
    let paced = named(&[COUNTING, COUNTING_ALL, OFF, ENVOY, HAPROXY]);
    let bodies = [Body::real(), Body::real_large()];
    report.pace = bench.pace(&paced, &bodies, progress).await?;

    progress("gateways: TLS and a token from 64 senders".to_owned());
    let entrance = Entrance::create(world.folder())?;
    report.gateways = bench.gateways(&entrance, progress).await?;
    report.scale = bench.scale(&entrance).await?;

    progress("latency at 100 batches a second".to_owned());
    report.latency = bench
        .latency(&named(&[COUNTING, OFF, ENVOY, HAPROXY]))
        .await?;

    progress("memory, size, start".to_owned());
    for proxy in &all {
        let memory = bench.memory(proxy).await?;
        report.memory.insert(proxy.name.clone(), memory);
    }
    let flags = format!("--max-inflight-bytes {CROWD_BUDGET}MiB");
    let pressed = Proxy::sidecar(COUNTING, &options.sidecar, &flags);
    report.crowd = bench.crowd(&pressed, CROWD).await?;
    report.start_up = bench.start_up(&options.sidecar, 20)?;
    let binary = std::fs::metadata(&options.sidecar).map_err(Error::Io)?;
    report.binary = binary.len() as f64;
    Ok(report)
}
