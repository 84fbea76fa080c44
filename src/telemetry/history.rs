//! The flow of the last 15 minutes, in steps of ten seconds.
//!
//! In: a workspace's counters, read by a timer, never from the path of a batch. Out: a [`HistoryView`] of the rates in each step and the
//! latest outcomes. The ring is bounded: [`STEPS`] steps of 48 bytes per workspace. It is here and not left to the Prometheus that
//! scrapes the same counters, because that one may be the one without data.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::docs::{Fate, OUTCOME_DOCS};
use crate::telemetry::{ByOutcome, Snapshots, Totals};

/// The length of a step.
pub const STEP: Duration = Duration::from_secs(10);
/// The number of steps.
pub const STEPS: usize = 90;
/// A shorter step gives no rate yet.
const LEAST: Duration = Duration::from_secs(1);
/// A step of this length gives a rate by itself.
const ENOUGH: Duration = Duration::from_secs(5);
/// Senders write at least every few minutes, however seldom they scrape.
pub const RECENT: Duration = Duration::from_secs(300);

/// The recent past of one workspace.
#[derive(Debug)]
pub struct History {
    tally: Snapshots,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    steps: VecDeque<HistoryStep>,
    /// When the current step began, and the counters at that time.
    began: Instant,
    counted: Totals,
    /// The last step in which there was a request.
    busy: Option<(Instant, ByOutcome)>,
}

/// Rates of one step, per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistoryStep {
    /// Batches that AMP stored.
    pub stored: f32,
    /// Batches that senders retry.
    pub kept: f32,
    /// Batches that AMP refused for good.
    pub lost: f32,
    pub stored_samples: f32,
    /// Samples that were lost.
    pub lost_samples: f32,
    /// Compressed bytes from senders.
    pub received_bytes: f32,
    /// Compressed bytes to AMP.
    pub sent_bytes: f32,
    /// Mean time from a request's head to its response, in seconds; `None` without a request.
    pub latency: Option<f32>,
    /// What half of them, and all but one in a hundred, did not exceed.
    pub p50: Option<f32>,
    pub p99: Option<f32>,
}

/// What the status page shows.
#[derive(Debug)]
pub struct HistoryView {
    /// Since the program began.
    pub totals: Totals,
    /// From the oldest to the current one.
    pub steps: Vec<HistoryStep>,
    /// The latest outcomes, and the age of the oldest.
    pub last: Option<(ByOutcome, Duration)>,
}

// === impl History ===

impl History {
    /// Begins now.
    #[must_use]
    pub fn new(tally: Snapshots) -> Self {
        let ring = Ring {
            steps: VecDeque::with_capacity(STEPS),
            began: Instant::now(),
            counted: tally.read(),
            busy: None,
        };
        Self {
            tally,
            ring: Mutex::new(ring),
        }
    }

    /// Closes the current step.
    pub fn step(&self) {
        let (now, totals) = (Instant::now(), self.tally.read());
        let mut ring = self.lock();
        let took = now.duration_since(ring.began);
        let step = HistoryStep::between(&ring.counted, &totals, took);
        // After the machine slept, the missed steps get the mean.
        let missed = (took.as_secs_f64() / STEP.as_secs_f64()).round() as usize;
        for _ in 0..missed.clamp(1, STEPS) {
            if ring.steps.len() == STEPS {
                ring.steps.pop_front();
            }
            ring.steps.push_back(step);
        }
        let came = since(&ring.counted.outcomes, &totals.outcomes);
        if came.iter().any(|count| *count > 0) {
            ring.busy = Some((now, came));
        }
        ring.began = now;
        ring.counted = totals;
    }

    /// The history until now.
    #[must_use]
    pub fn view(&self) -> HistoryView {
        let (now, totals) = (Instant::now(), self.tally.read());
        let ring = self.lock();
        let took = now.duration_since(ring.began);
        let mut steps: Vec<HistoryStep> = ring.steps.iter().copied().collect();
        if took >= LEAST {
            steps.push(HistoryStep::between(&ring.counted, &totals, took));
        }
        let running = since(&ring.counted.outcomes, &totals.outcomes);
        let busy = ring.busy.filter(|(at, _)| now.duration_since(*at) < RECENT);
        let last = match (running.iter().any(|count| *count > 0), busy) {
            (true, Some((at, before))) if at == ring.began && took < ENOUGH => {
                Some((sum(&running, &before), Duration::ZERO))
            }
            (true, _) => Some((running, Duration::ZERO)),
            (false, busy) => busy.map(|(at, came)| (came, now.duration_since(at))),
        };
        HistoryView {
            totals,
            steps,
            last,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl HistoryStep ===

impl HistoryStep {
    fn between(before: &Totals, after: &Totals, took: Duration) -> Self {
        let seconds = took.as_secs_f64().max(0.001);
        let rate = |count: f64| short(count / seconds);
        let counted = |before: u64, after: u64| rate(after.saturating_sub(before) as f64);
        let came = since(&before.outcomes, &after.outcomes);
        let of = |fate| rate(count_of(&came, fate) as f64);
        let answered: u64 = came.iter().sum();
        let quantile = |part| {
            let shown = after.durations.quantile(&before.durations, part);
            shown.map(short)
        };
        let micros = after.took_micros.saturating_sub(before.took_micros);
        Self {
            stored: of(Fate::Stored),
            kept: of(Fate::Retried),
            lost: of(Fate::Lost),
            stored_samples: counted(before.stored_samples, after.stored_samples),
            lost_samples: counted(before.lost_samples(), after.lost_samples()),
            received_bytes: counted(before.received_bytes, after.received_bytes),
            sent_bytes: counted(before.sent_bytes, after.sent_bytes),
            p50: quantile(0.5),
            p99: quantile(0.99),
            latency: (answered > 0).then(|| short(micros as f64 / 1e6 / answered as f64)),
        }
    }
}

/// How many requests had this result.
#[must_use]
pub fn count_of(outcomes: &ByOutcome, fate: Fate) -> u64 {
    let counts = outcomes.iter().zip(&OUTCOME_DOCS);
    counts
        .filter(|(_, meaning)| meaning.fate == fate)
        .map(|(count, _)| count)
        .sum()
}

fn since(before: &ByOutcome, after: &ByOutcome) -> ByOutcome {
    let mut came = *after;
    for (came, before) in came.iter_mut().zip(before) {
        *came = came.saturating_sub(*before);
    }
    came
}

fn sum(one: &ByOutcome, other: &ByOutcome) -> ByOutcome {
    let mut sum = *one;
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
    sum
}

/// Rounds to three digits, more than a plot shows.
fn short(number: f64) -> f32 {
    format!("{number:.2e}").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::verdict::Verdict;
    use crate::remote_write::body_count::FlowCount;
    use crate::remote_write::contents::Contents;
    use crate::remote_write::written_stats::WrittenStats;
    use crate::telemetry::timings::PhaseTimings;
    use crate::telemetry::{Telemetry, WorkspaceMetrics};
    use hyper::StatusCode;

    fn stored() -> Verdict {
        Verdict::Stored {
            status: StatusCode::OK,
            written: WrittenStats::default(),
        }
    }

    fn answer(metrics: &WorkspaceMetrics, verdict: &Verdict, samples: u64) {
        let contents = Contents {
            samples,
            ..Contents::default()
        };
        let flow = FlowCount::Exact(contents);
        metrics.received(100, &flow);
        match verdict.lost() {
            Some(reason) => metrics.refused(reason, &contents),
            None if verdict.is_stored() => metrics.forwarded(&flow),
            None => {}
        }
        metrics.answered(verdict, Duration::from_millis(20), &PhaseTimings::default());
    }

    #[tokio::test(start_paused = true)]
    async fn rates_follow_the_counters_and_the_ring_is_bounded() {
        let telemetry = Telemetry::new();
        let metrics = telemetry.metrics("w");
        answer(&metrics, &stored(), 1000);
        // Counts from before the start are not part of it.
        let flow = History::new(telemetry.tally("w"));
        assert!(flow.view().steps.is_empty() && flow.view().last.is_none());

        for _ in 0..20 {
            answer(&metrics, &stored(), 50);
        }
        answer(&metrics, &Verdict::Overloaded, 50);
        answer(&metrics, &Verdict::TooLarge { limit: 1 }, 7);
        tokio::time::advance(STEP).await;
        flow.step();
        let step = flow.view().steps[0];
        assert_eq!((step.stored, step.kept, step.lost), (2.0, 0.1, 0.1));
        assert_eq!((step.stored_samples, step.lost_samples), (100.0, 0.7));
        assert_eq!((step.received_bytes, step.latency), (220.0, Some(0.02)));

        let near = |shown: Option<f32>| (0.0186..0.0214).contains(&shown.unwrap());
        assert!(near(step.p50) && near(step.p99), "{step:?}");

        // A machine that slept for a minute.
        tokio::time::advance(6 * STEP).await;
        flow.step();
        assert_eq!(flow.view().steps.len(), 7);
        let asleep = flow.view().steps[6];
        assert_eq!((asleep.latency, asleep.p50, asleep.p99), (None, None, None));
        for _ in 0..200 {
            tokio::time::advance(STEP).await;
            flow.step();
        }
        assert_eq!(flow.view().steps.len(), STEPS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_last_counts_for_five_minutes() {
        let telemetry = Telemetry::new();
        let metrics = telemetry.metrics("w");
        let flow = History::new(telemetry.tally("w"));
        let last = |flow: &History| {
            let (outcomes, ago) = flow.view().last?;
            let of = |fate| count_of(&outcomes, fate);
            Some((of(Fate::Stored), of(Fate::Retried), ago.as_secs()))
        };
        answer(&metrics, &Verdict::Overloaded, 1);
        assert_eq!(last(&flow), Some((0, 1, 0)));
        tokio::time::advance(STEP).await;
        flow.step();
        answer(&metrics, &stored(), 1);
        assert_eq!(last(&flow), Some((1, 1, 0)), "just after the step");
        tokio::time::advance(ENOUGH).await;
        assert_eq!(last(&flow), Some((1, 0, 0)), "well into the next");
        for _ in 0..4 {
            tokio::time::advance(STEP).await;
            flow.step();
        }
        assert_eq!(last(&flow), Some((1, 0, 30)));
        tokio::time::advance(RECENT).await;
        assert_eq!(last(&flow), None);
    }
}
