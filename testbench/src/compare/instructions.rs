//! How many instructions a batch takes, and each of its steps alone, counted under valgrind.
//!
//! In: the amp-sidecar binary, and the steps of `benches/`. Out: counts that a machine's load cannot change. Two runs differ in
//! nothing but the number of batches, so that their difference is what the batches took, without start, handshake and exchange.
//! valgrind hides sha_ni: the hash of a body counts some 50 instructions a byte that no present processor needs, which is why the
//! smallest batch says most about everything else, why counting is measured as the difference that `--inspect off` makes, and why
//! steps are counted without it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use tokio::process::Command;

use super::bodies::Body;
use super::error::Error;
use super::measure::Bench;
use super::options::Options;
use super::proxies::{COUNTING, OFF, Proxy};
use super::sink::Sink;
use emulator::world::{World, WorldConfig};

const FEW: u64 = 20;
const MANY: u64 = 120;
const VALGRIND: &str = "valgrind --tool=callgrind --callgrind-out-file=/dev/null";
/// Counting begins with the program and pauses in here: most of a signature is hashing, and would hide what else grows in it.
const WITHOUT_HASHING: [&str; 2] = [
    "--toggle-collect=sha2::sha256::soft::unroll::compress",
    "--collect-atstart=yes",
];

/// Instructions a batch, and a step.
#[derive(Debug, Clone, Serialize)]
pub struct InstructionCounts {
    /// One sample, through all stages.
    pub smallest_batch: u64,
    /// A real Prometheus' 500 samples, uncounted: mostly the hash.
    pub real_batch_uncounted: u64,
    /// What counting them adds.
    pub counting_500_samples: u64,
    /// Each step that `steps` names, alone and without what it hashes.
    #[serde(flatten)]
    pub steps: BTreeMap<String, u64>,
}

/// InstructionCounts, with the valgrind of the `PATH`.
///
/// # Errors
/// [`Error`].
pub async fn count(sidecar: &Path, steps: &Path) -> Result<InstructionCounts, Error> {
    let world = World::start(WorldConfig::default()).await?;
    let sink = Sink::start(&world).await.map_err(Error::Io)?;
    let options = Options::quick(sidecar.to_owned());
    let bench = Bench {
        world: &world,
        sink: &sink,
        options: &options,
    };
    // Under valgrind the default budget would not last.
    let counting = Proxy::sidecar(COUNTING, sidecar, "--inspect on");
    let off = Proxy::sidecar(OFF, sidecar, "--inspect off");
    let smallest = Body::generated(1);
    let real = Body::real();
    let uncounted = a_batch(&bench, &off, &real).await?;
    Ok(InstructionCounts {
        smallest_batch: a_batch(&bench, &counting, &smallest).await?,
        real_batch_uncounted: uncounted,
        counting_500_samples: a_batch(&bench, &counting, &real)
            .await?
            .saturating_sub(uncounted),
        steps: each_step(steps).await?,
    })
}

async fn each_step(steps: &Path) -> Result<BTreeMap<String, u64>, Error> {
    let named = Command::new(steps).output().await.map_err(Error::Io)?;
    let mut counts = BTreeMap::new();
    for name in String::from_utf8_lossy(&named.stdout).lines() {
        let few = run_step(steps, name, FEW).await?;
        let many = run_step(steps, name, 2 * FEW).await?;
        counts.insert(name.to_owned(), many.saturating_sub(few) / FEW);
    }
    Ok(counts)
}

async fn run_step(steps: &Path, name: &str, times: u64) -> Result<u64, Error> {
    let mut line = VALGRIND.split(' ');
    let run = Command::new(line.next().unwrap_or_default())
        .args(line)
        .args(WITHOUT_HASHING)
        .arg(steps)
        .args([name, &times.to_string()])
        .output();
    let run = run.await.map_err(Error::Io)?;
    let log = String::from_utf8_lossy(&run.stderr);
    let count = collected(log.lines()).filter(|_| run.status.success());
    count.ok_or_else(|| Error::NoCount(log.into_owned()))
}

async fn a_batch(bench: &Bench<'_>, proxy: &Proxy, body: &Body) -> Result<u64, Error> {
    let few = run(bench, proxy, body, FEW).await?;
    let many = run(bench, proxy, body, MANY).await?;
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// All that a process took that was sent so many batches, from its start to its end.
async fn run(bench: &Bench<'_>, proxy: &Proxy, body: &Body, batches: u64) -> Result<u64, Error> {
    let proxy = proxy.clone().under(VALGRIND);
    let running = bench.start(&proxy).await?;
    let done = running.target.row(body, batches).await;
    let log = running.log();
    running.all_taken(body, done)?;
    running.stop().await?;
    let lines = log.lines();
    collected(lines.iter().map(String::as_str)).ok_or_else(|| Error::NoCount(log.last_words()))
}

/// `==4711== Collected : 123456`
fn collected<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> Option<u64> {
    let (_, count) = lines
        .rev()
        .find_map(|line| line.split_once("Collected : "))?;
    count.trim().parse().ok()
}
