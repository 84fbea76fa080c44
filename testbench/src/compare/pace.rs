//! What a batch costs at the rates of one Prometheus.
//!
//! In: [`Proxy`]s and bodies. Out: [`Pace`]: all that the process took while so many batches a second came at their times, answered or
//! not, for each batch: its wake-ups and whatever it does by itself are in it, and weigh more than in a closed loop. Of ours also what
//! its `/metrics` say: what counting took, and how many batches were estimated instead. By default it has a budget
//! for counting, of which it saves a minute's: a few seconds after a pause would all be paid from that. So what it saved is spent
//! first, and then it has no pause: one proxy after the other, and the heaviest load first.

use std::collections::BTreeMap;

use super::bodies::Body;
use super::error::Error;
use super::load::Done;
use super::measure::{Bench, WARM_UP, stop_all};
use super::measurements::Table;
use super::proxies::{COUNTING, Proxy, Running};

/// Batches a second: of a Prometheus of 10,000 samples a second, and of one of 50,000 or more.
pub(crate) const RATES: [u32; 2] = [20, 100];
const ROUNDS: usize = 2;
const SPENDERS: usize = 8;

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
    /// Each proxy with each body at each rate, one after the other.
    pub(crate) async fn pace(
        &self,
        proxies: &[Proxy],
        bodies: &[Body],
        progress: &(impl Fn(String) + ?Sized),
    ) -> Result<Pace, Error> {
        let mut pace = Pace::default();
        let all = self.start_all(proxies).await?;
        let rounds = self.options.rounds.min(ROUNDS);
        let heaviest_first = || {
            let rates = |body| RATES.into_iter().rev().map(move |rate| (body, rate));
            bodies.iter().rev().flat_map(rates)
        };
        for (proxy, running) in proxies.iter().zip(&all) {
            let (target, settle) = (&running.target, self.options.settle);
            let counts = proxy.name == COUNTING;
            if counts {
                target
                    .closed(&Body::real_large(), SPENDERS, 2 * settle)
                    .await;
            }
            for (body, rate) in heaviest_first() {
                let warm_up = if counts { settle } else { WARM_UP };
                target.open(body, rate, warm_up).await;
                for _ in 0..rounds {
                    self.paced(&mut pace, proxy, running, body, rate).await?;
                }
            }
            progress(proxy.name.clone());
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
        let counts = proxy.name == COUNTING;
        let counted = async || match counts {
            true => inspected(running).await,
            false => Ok([0.0; 2]),
        };
        let [seconds, estimated] = counted().await?;
        let before = running.usage.cpu();
        let took = running.target.open(body, rate, lasts).await;
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
