//! How many batches may be counted, by the processor time that counting takes.
//!
//! In: the size of each batch, and what counting the chosen ones took. Out: a [`Choice`] for each batch. Time is saved up while batches cost
//! less than the share, for a minute at most, and so much is there at the start: what Prometheus sends at once after a scrape is counted. It
//! is spent within [`HORIZON`] at the present rate of bytes:
//!
//! ```text
//! probability = saved / (cost of all bytes that come within the horizon), at most 1
//! ```
//!
//! With a steady load that costs more than the share, `saved` settles at the horizon's share, and the probability at share over cost. The
//! probability changes once a second, and sooner if a tenth of what is saved was spent. It depends on earlier batches only.
//!
//! A batch costs a few atomic operations. If the machine has no clock of a thread's processor time, nothing is ever spent, and all batches
//! are counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::CpuShare;
use crate::remote_write::body_count::Choice;

/// Every batch.
pub(super) const ALL: Choice = Choice {
    is_chosen: true,
    probability: 1.0,
};

const TURN: Duration = Duration::from_secs(1);
const HORIZON: f64 = 10.0;
/// Seconds for which the share is saved up at most.
const SAVED_FOR: f64 = 60.0;
/// The least probability: what the flow contains is learned from the few batches that are chosen.
const LEAST: f64 = 0.001;

/// The budget of one workspace. Times are nanoseconds.
#[derive(Debug)]
pub(super) struct Budget {
    share: f64,
    began: Instant,
    /// When the probability last changed, after the beginning.
    turned: AtomicU64,
    /// Until when all batches are counted.
    suspended: AtomicU64,
    /// As the bits of an `f64`.
    probability: AtomicU64,
    /// Bytes of all batches since then, of the counted ones, and the processor time that those took.
    offered: AtomicU64,
    counted: AtomicU64,
    spent: AtomicU64,
    /// More is not spent without a change.
    limit: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    saved: f64,
    /// Nanoseconds a byte, and how many nanoseconds a second all batches would take.
    cost: f64,
    demand: f64,
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(share: CpuShare) -> Self {
        let saved = share.of_a_second() * SAVED_FOR;
        Self {
            share: share.of_a_second(),
            began: Instant::now(),
            turned: AtomicU64::new(0),
            suspended: AtomicU64::new(0),
            probability: AtomicU64::new(1.0_f64.to_bits()),
            offered: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            limit: AtomicU64::new((saved / 10.0) as u64),
            state: Mutex::new(State {
                saved,
                cost: 0.0,
                demand: 0.0,
            }),
        }
    }

    /// The probability that a batch is counted now.
    pub(super) fn probability(&self) -> f64 {
        self.probability_at(self.elapsed())
    }

    /// Decides about a batch of so many bytes.
    pub(super) fn choose(&self, bytes: usize) -> Choice {
        let now = self.elapsed();
        if now.saturating_sub(self.turned.load(Ordering::Relaxed)) >= nanos(TURN) {
            self.turn(now);
        }
        self.offered.fetch_add(bytes as u64, Ordering::Relaxed);
        let probability = self.probability_at(now);
        Choice {
            is_chosen: probability >= 1.0 || fastrand::f64() < probability,
            probability,
        }
    }

    /// Counting a batch of so many bytes took so long.
    pub(super) fn spend(&self, took: Duration, bytes: usize) {
        self.counted.fetch_add(bytes as u64, Ordering::Relaxed);
        let took = nanos(took);
        let spent = self.spent.fetch_add(took, Ordering::Relaxed) + took;
        if spent >= self.limit.load(Ordering::Relaxed) {
            self.turn(self.elapsed());
        }
    }

    /// Counts all batches for so long.
    pub(super) fn suspend(&self, long: Duration) {
        let until = self.elapsed().saturating_add(nanos(long));
        self.suspended.fetch_max(until, Ordering::Relaxed);
    }

    fn probability_at(&self, now: u64) -> f64 {
        if now < self.suspended.load(Ordering::Relaxed) {
            return 1.0;
        }
        f64::from_bits(self.probability.load(Ordering::Relaxed))
    }

    /// Adapts the probability to what was spent, and to what came.
    fn turn(&self, now: u64) {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            // Another thread is at it.
            Err(TryLockError::WouldBlock) => return,
        };
        let took = now.saturating_sub(self.turned.swap(now, Ordering::Relaxed)) as f64 / 1e9;
        let [offered, counted, spent] = [&self.offered, &self.counted, &self.spent]
            .map(|number| number.swap(0, Ordering::Relaxed) as f64);
        state.turn(self.share, took, [offered, counted, spent]);
        let probability = state.probability();
        self.probability
            .store(probability.to_bits(), Ordering::Relaxed);
        let limit = (state.saved / 10.0).max(self.share / 10.0);
        self.limit.store(limit as u64, Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        nanos(self.began.elapsed())
    }
}

// === impl State ===

impl State {
    /// After so many seconds.
    fn turn(&mut self, share: f64, took: f64, [offered, counted, spent]: [f64; 3]) {
        let saved = self.saved + share * took - spent;
        // What must be exact is counted whatever that costs: it is not paid back for longer than it could be saved up for.
        self.saved = saved.clamp(-share * SAVED_FOR, share * SAVED_FOR);
        if counted > 0.0 {
            let cost = spent / counted;
            self.cost = if self.cost > 0.0 {
                (self.cost + cost) / 2.0
            } else {
                cost
            };
        }
        if took > 0.0 {
            let kept = (-took / HORIZON).exp();
            self.demand = self.demand * kept + self.cost * offered / took * (1.0 - kept);
        }
    }

    fn probability(&self) -> f64 {
        let wanted = self.demand * HORIZON;
        if wanted > 0.0 {
            (self.saved / wanted).clamp(LEAST, 1.0)
        } else {
            1.0
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0.2 % of a core.
    const SHARE: CpuShare = CpuShare::from_millionths(2000);
    const BATCH: usize = 45_000;
    const COST: Duration = Duration::from_micros(70);

    /// So many batches a second for so long: how many of them were counted.
    async fn run(budget: &Budget, a_second: u32, seconds: u32) -> u32 {
        let mut counted = 0;
        for _ in 0..a_second * seconds {
            tokio::time::advance(Duration::from_secs(1) / a_second).await;
            if budget.choose(BATCH).is_chosen {
                counted += 1;
                budget.spend(COST, BATCH);
            }
        }
        counted
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_prometheus_sends_is_counted_whole() {
        let budget = Budget::new(SHARE);
        assert_eq!(run(&budget, 25, 600).await, 25 * 600);
        // Much of what it collected in a minute, at once.
        for _ in 0..10 {
            assert_eq!(run(&budget, 800, 1).await, 800);
            tokio::time::advance(Duration::from_secs(59)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn more_takes_the_share_whatever_comes() {
        for a_second in [100, 1000, 5000] {
            let budget = Budget::new(SHARE);
            // Until what was saved at the start is spent.
            run(&budget, a_second, 60).await;
            let counted = run(&budget, a_second, 60).await;
            let share = COST.as_secs_f64() * f64::from(counted) / 60.0;
            assert!((0.0018..0.0022).contains(&share), "{a_second}: {share}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_costs_no_more_than_was_saved_and_is_over_at_once() {
        let budget = Budget::new(SHARE);
        run(&budget, 20, 120).await;
        let flood = run(&budget, 5000, 10).await;
        let share = COST.as_secs_f64() * f64::from(flood) / 10.0;
        assert!(share < 0.016, "{share}");
        assert!(budget.probability() < 0.1);
        run(&budget, 20, 60).await;
        assert_eq!(run(&budget, 20, 60).await, 1200);
    }

    #[tokio::test(start_paused = true)]
    async fn it_can_be_suspended() {
        let budget = Budget::new(SHARE);
        run(&budget, 1000, 60).await;
        budget.suspend(Duration::from_secs(30));
        assert_eq!(run(&budget, 100, 29).await, 2900);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(run(&budget, 100, 10).await < 100);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_clock_of_processor_time_all_batches_are_counted() {
        let budget = Budget::new(SHARE);
        for _ in 0..100_000 {
            tokio::time::advance(Duration::from_micros(100)).await;
            assert_eq!(budget.choose(BATCH), ALL);
        }
    }
}
