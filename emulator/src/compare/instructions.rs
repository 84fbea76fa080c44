//! How many instructions a batch takes, counted under valgrind.
//!
//! In: the amp-sidecar binary. Out: [`Counts`] that a machine's load cannot change. Two runs differ in nothing but the number of
//! batches, so that their difference is what the batches took, without start, handshake and exchange. valgrind hides sha_ni: the
//! hash of a body counts some 50 instructions a byte that no present processor needs, which is why the smallest batch says most
//! about everything else, and why counting is told by the difference that `--inspect off` makes.

use std::path::Path;

use serde::Serialize;

use super::bodies::Body;
use super::measure::Bench;
use super::proxies::{COUNTING, OFF, Proxy};
use super::sink::Sink;
use super::{Error, Options};
use crate::peers::process::Log;
use crate::world::{World, WorldConfig};

const FEW: u64 = 20;
const MANY: u64 = 120;

/// Instructions a batch.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Counts {
    /// One sample, through all stages.
    pub smallest_batch: u64,
    /// A real Prometheus' 500 samples, uncounted: mostly the hash.
    pub real_batch_uncounted: u64,
    /// What counting them adds.
    pub counting_500_samples: u64,
}

/// Counts, with the valgrind of the `PATH`.
///
/// # Errors
/// [`Error`].
pub async fn count(sidecar: &Path) -> Result<Counts, Error> {
    let world = World::start(WorldConfig::default()).await?;
    let sink = Sink::start(&world).await.map_err(Error::Io)?;
    let options = Options::quick(sidecar.to_owned());
    let bench = Bench {
        world: &world,
        sink: &sink,
        options: &options,
    };
    let counting = Proxy::sidecar(COUNTING, sidecar, "");
    let off = Proxy::sidecar(OFF, sidecar, "--inspect off");
    let smallest = Body::generated(1);
    let real = Body::real();
    let uncounted = a_batch(&bench, &off, &real).await?;
    Ok(Counts {
        smallest_batch: a_batch(&bench, &counting, &smallest).await?,
        real_batch_uncounted: uncounted,
        counting_500_samples: a_batch(&bench, &counting, &real)
            .await?
            .saturating_sub(uncounted),
    })
}

async fn a_batch(bench: &Bench<'_>, proxy: &Proxy, body: &Body) -> Result<u64, Error> {
    let few = run(bench, proxy, body, FEW).await?;
    let many = run(bench, proxy, body, MANY).await?;
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// All that a process took that was sent so many batches, from its start to its end.
async fn run(bench: &Bench<'_>, proxy: &Proxy, body: &Body, batches: u64) -> Result<u64, Error> {
    let proxy = proxy
        .clone()
        .under("valgrind --tool=callgrind --callgrind-out-file=/dev/null");
    let running = bench.start(&proxy).await?;
    let done = running.target.row(body, batches).await;
    let log = running.log();
    if done.failed > 0 {
        return Err(Error::Failed {
            body: body.title(),
            failed: done.failed,
            log: log.last_words(),
        });
    }
    running.stop().await?;
    collected(&log).ok_or_else(|| Error::NoCount(log.last_words()))
}

/// `==4711== Collected : 123456`
fn collected(log: &Log) -> Option<u64> {
    let lines = log.lines();
    let line = lines
        .iter()
        .rev()
        .find_map(|line| line.split_once("Collected : "))?;
    line.1.trim().parse().ok()
}
