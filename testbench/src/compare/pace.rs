//! What a batch costs at the rates of one Prometheus.
//!
//! In: [`Proxy`]s and bodies. Out: [`Pace`]: all that the process took while so many batches a second came at their times, answered or
//! not, for each batch: its wake-ups and whatever it does by itself are in it, and weigh more than in a closed loop. Of ours also what
//! its `/metrics` say: what counting took, and how many batches were estimated instead.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bodies::Body;
use super::error::Error;
use super::load::Done;
use super::measure::{Bench, WARM_UP, stop_all};
use super::measurements::Table;
use super::proxies::{COUNTING, Proxy, Running};

/// Batches a second: of a Prometheus of 10,000 samples a second, and of one of 50,000 or more.
pub(crate) const RATES: [u32; 2] = [20, 100];
const ROUNDS: usize = 2;

/// The cost of batches that come at their times.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Milliseconds a batch.
    pub(crate) cpu: Table,
    /// Of these, of ours by default settings, what counting took.
    pub(crate) counting: Table,
    /// Batches that were estimated, and all.
    pub(crate) estimated: BTreeMap<String, [f64; 2]>,
}

/// Of a batch and a rate, for tables.
pub(crate) fn key(body: &Body, rate: u32) -> String {
    format!("{}@{rate}", body.name)
}

// === impl Bench ===

impl Bench<'_> {
    /// Each proxy with each body at each rate, in turn.
    pub(crate) async fn pace(
        &self,
        proxies: &[Proxy],
        bodies: &[Body],
        progress: &(impl Fn(String) + ?Sized),
    ) -> Result<Pace, Error> {
        let mut pace = Pace::default();
        let all = self.start_all(proxies).await?;
        let rounds = self.options.rounds.min(ROUNDS);
        for round in 1..=rounds {
            for (body, rate) in bodies
                .iter()
                .flat_map(|body| RATES.map(|rate| (body, rate)))
            {
                for (proxy, running) in proxies.iter().zip(&all) {
                    self.paced(&mut pace, proxy, running, body, rate).await?;
                }
            }
            progress(format!("round {round} of {rounds}"));
        }
        stop_all(all).await?;
        Ok(pace)
    }

    async fn paced(
        &self,
        pace: &mut Pace,
        proxy: &Proxy,
        running: &Running,
        body: &Body,
        rate: u32,
    ) -> Result<(), Error> {
        // The seldom ones take longer to give a mean.
        let lasts = match rate {
            ..=50 => self.options.paced,
            _ => self.options.paced / 2,
        };
        let open = |lasts: Duration| running.target.open(body, rate, lasts);
        open(WARM_UP).await;
        let counts = proxy.name == COUNTING;
        let counted = async || match counts {
            true => inspected(running).await,
            false => Ok([0.0; 2]),
        };
        let [seconds, estimated] = counted().await?;
        let before = running.usage.cpu();
        let took = open(lasts).await;
        let cpu = running.usage.cpu().millis_since(&before);
        let [more_seconds, more_estimated] = counted().await?;
        let taken = took.iter().filter(|millis| millis.is_finite()).count();
        let done = Done {
            taken: taken as u64,
            failed: (took.len() - taken) as u64,
        };
        running.all_taken(body, done)?;
        let taken = taken as f64;
        let key = (proxy.name.clone(), key(body, rate));
        if counts {
            let millis = 1000.0 * (more_seconds - seconds);
            let counting = pace.counting.entry(key.clone()).or_default();
            counting.push(millis / taken);
            let sum = pace.estimated.entry(key.1.clone()).or_default();
            let [some, all] = *sum;
            *sum = [some + more_estimated - estimated, all + taken];
        }
        pace.cpu.entry(key).or_default().push(cpu / taken);
        Ok(())
    }
}

/// Seconds that counting took so far, and batches that were not counted.
async fn inspected(running: &Running) -> Result<[f64; 2], Error> {
    let metrics = running.metrics().await?;
    Ok([
        metrics.value("amp_sidecar_inspect_cpu_seconds_total", &[])?,
        metrics.value("amp_sidecar_uncounted_batches_total", &[])?,
    ])
}
