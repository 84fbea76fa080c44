//! What amp-sidecar costs beside other proxies, measured side by side.
//!
//! ```text
//!  core 1          core 0             core 1
//!  load ─▶ one proxy after the other ─▶ sink (TLS)
//!                                 └──▶ AMP, once, before: are its signatures right?
//! ```
//!
//! In: which binary, which other proxies, how long. Out: a [`Report`] with a table of goals, each met or short by so much.
//! This program has to be started on another core than the first; `benches/compare` does that and fetches the proxies.
//!
//! - `bodies`, `load`, `sink`: what is sent, how, and where it ends.
//! - `proxies`: who is compared. `usage`, `measure`: processor time, memory, latency.
//! - `goals`, `report`, `plot`: what came of it. `instructions`: the same batches counted under valgrind.

mod bodies;
mod goals;
pub mod instructions;
mod load;
mod measure;
mod plot;
mod proxies;
pub mod report;
mod sink;
mod usage;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use self::report::Report;
use bodies::Body;
use measure::Bench;
use proxies::{COUNTING, ENVOY, HAPROXY, OFF, Proxy};
use sink::Sink;

use crate::peers::PeerError;
use emulator::world::{self, World, WorldConfig};

/// What the budget of a crowd is, in MiB.
const CROWD_BUDGET: u32 = 16;
const CROWD: usize = 1000;

/// What is compared, and for how long.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The amp-sidecar binary, of a release build.
    pub sidecar: PathBuf,
    /// More proxies, by name and command line.
    pub peers: Vec<(String, String)>,
    /// These proxies alone, and their processor time alone; all of everything where there are none.
    pub only: Vec<String>,
    /// Of the bodies this one alone, by its name: `real` or a number of samples.
    pub body: Option<String>,
    /// How often everything is measured.
    pub rounds: usize,
    /// How long a closed loop lasts.
    pub window: Duration,
    /// How long an open loop lasts.
    pub paced: Duration,
    /// How long a proxy is idle before its memory is read.
    pub rest: Duration,
}

// === impl Options ===

impl Options {
    /// As much as tells ratios from each other: ten minutes.
    #[must_use]
    pub fn full(sidecar: PathBuf) -> Self {
        Self {
            sidecar,
            peers: Vec::new(),
            only: Vec::new(),
            body: None,
            rounds: 7,
            window: Duration::from_millis(1200),
            paced: Duration::from_secs(6),
            rest: Duration::from_secs(5),
        }
    }

    /// A look.
    #[must_use]
    pub fn quick(sidecar: PathBuf) -> Self {
        Self {
            rounds: 2,
            window: Duration::from_millis(500),
            paced: Duration::from_secs(2),
            rest: Duration::from_secs(1),
            ..Self::full(sidecar)
        }
    }
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world did not start.
    #[error("the world")]
    World(#[from] world::Error),
    /// A proxy did not start.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A proxy ended.
    #[error("a proxy ended by itself")]
    Gone,
    /// A proxy signs wrongly, or signs where it should not.
    #[error("{proxy}: a batch was {}, which is not what was expected; its last words:\n{log}", if *signs { "signed and stored" } else { "not stored" })]
    Signature {
        /// Its name.
        proxy: String,
        /// Whether AMP took its batch.
        signs: bool,
        /// The end of its log.
        log: String,
    },
    /// Nothing came through a proxy.
    #[error("{proxy}: no batch came through; its last words:\n{log}")]
    NoFlow {
        /// Its name.
        proxy: String,
        /// The end of its log.
        log: String,
    },
    /// Batches failed.
    #[error("{failed} batches of {body} failed; the proxy's last words:\n{log}")]
    Failed {
        /// The body.
        body: String,
        /// How many.
        failed: u64,
        /// The end of its log.
        log: String,
    },
    /// valgrind did not say how many instructions it counted.
    #[error("valgrind gave no count; its last words:\n{0}")]
    NoCount(String),
    /// The system said no.
    #[error("the system")]
    Io(#[source] io::Error),
    /// A result could not be written or read.
    #[error("{path}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Measures everything and tells how far it is.
///
/// # Errors
/// [`Error`].
pub async fn compare(options: Options, told: impl Fn(String)) -> Result<Report, Error> {
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
        told(format!("{}: {word}", proxy.name));
        signs.insert(proxy.name.clone(), signed);
    }
    let named = |names: &[&str]| {
        let wanted = |proxy: &&Proxy| names.contains(&proxy.name.as_str());
        all.iter().filter(wanted).cloned().collect::<Vec<_>>()
    };

    let bodies: Vec<Body> = [500, 2000, 10_000].map(Body::generated).into();
    let mut bodies = [vec![Body::real()], bodies].concat();
    bodies.retain(|body| options.body.as_ref().is_none_or(|name| *name == body.name));
    told("processor time a batch".to_owned());
    let cpu = bench.cpu_table(&all, &bodies, &[8], &told).await?;

    let mut report = Report {
        waits: all
            .iter()
            .map(|proxy| (proxy.name.clone(), proxy.waits))
            .collect(),
        signs,
        bodies,
        cpu,
        options: options.clone(),
        ..Report::default()
    };
    if !options.only.is_empty() {
        return Ok(report);
    }

    told("the same, from 1 to 64 connections and from 10 to 10,000 samples".to_owned());
    let ours = named(&[COUNTING]);
    let connections = [1, 2, 4, 8, 16, 32, 64];
    let by_connections = [Body::generated(2000)];
    report.by_connections = bench
        .cpu_table(&ours, &by_connections, &connections, &told)
        .await?;
    report.sizes = [10, 100, 500, 2000, 10_000].map(Body::generated).into();
    let ours = named(&[COUNTING, OFF]);
    report.by_size = bench.cpu_table(&ours, &report.sizes, &[8], &told).await?;

    told("latency at 100 batches a second".to_owned());
    report.latency = bench
        .latency(&named(&[COUNTING, OFF, ENVOY, HAPROXY]))
        .await?;

    told("memory, size, start".to_owned());
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
