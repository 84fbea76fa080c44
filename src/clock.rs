//! Wall time, and its learned offset.
//!
//! AWS refuses a signature whose time is more than five minutes off, and a node's clock can be. So everything that
//! speaks to AWS about time asks a [`Clock`], never the system: it gives the system's time corrected by the offset that
//! was learned from the `Date` header of answers over verified TLS. An unverified peer must not be able to move it.
//! Time-outs are no business of this file: they run on tokio's monotonic time.
//!
//! A clock can also run on tokio's time alone, so that tests move through hours in no time and simulations repeat; that one can
//! be set, as a machine's is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use crate::remedies::first_hour::CLOCK;

/// A source of wall time; clones share one offset.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    offset_millis: Arc<AtomicI64>,
}

#[derive(Debug, Clone)]
enum Source {
    System,
    Simulated {
        epoch: SystemTime,
        started: tokio::time::Instant,
        set_by_millis: Arc<AtomicI64>,
    },
}

/// Below this an offset is noise: the header has a resolution of one second, and an answer travels.
const NOTICED: Duration = Duration::from_secs(30);

// === impl Clock ===

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self {
            source: Source::System,
            offset_millis: Arc::default(),
        }
    }

    /// A clock that shows `epoch` now and moves with tokio's time.
    #[must_use]
    pub fn simulated(epoch: SystemTime) -> Self {
        let started = tokio::time::Instant::now();
        Self {
            source: Source::Simulated {
                epoch,
                started,
                set_by_millis: Arc::default(),
            },
            offset_millis: Arc::default(),
        }
    }

    /// Sets a simulated clock, and all that share its source, so far from tokio's time; the machine's is left alone.
    pub fn set_by_millis(&self, millis: i64) {
        if let Source::Simulated { set_by_millis, .. } = &self.source {
            set_by_millis.store(millis, Ordering::Relaxed);
        }
    }

    /// The same source with an offset of its own, for whom another's peers must not move.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            source: self.source.clone(),
            offset_millis: Arc::default(),
        }
    }

    /// The time as AWS sees it.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        shifted(self.local(), self.offset_millis.load(Ordering::Relaxed))
    }

    /// How far AWS' time is ahead of the machine's, in seconds.
    #[must_use]
    pub fn offset_seconds(&self) -> f64 {
        Duration::from_millis(self.offset_millis.load(Ordering::Relaxed).unsigned_abs())
            .as_secs_f64()
            * if self.offset_millis.load(Ordering::Relaxed) < 0 {
                -1.0
            } else {
                1.0
            }
    }

    /// Learns from a verified answer's `Date`; true where the offset changed, so that it is worth signing again.
    pub fn learn(&self, date: SystemTime) -> bool {
        let local = self.local();
        let (ahead, behind) = (date.duration_since(local), local.duration_since(date));
        let (gap, sign) = match (ahead, behind) {
            (Ok(gap), _) => (gap, 1),
            (_, Ok(gap)) => (gap, -1),
            (Err(_), Err(_)) => return false,
        };
        let learned = if gap < NOTICED {
            0
        } else {
            i64::try_from(gap.as_millis()).unwrap_or(0) * sign
        };
        let before = self.offset_millis.load(Ordering::Relaxed);
        // A second more or less is the header's resolution, not a change.
        if learned.abs_diff(before) < u64::try_from(NOTICED.as_millis()).unwrap_or(u64::MAX)
            && (learned == 0) == (before == 0)
        {
            return false;
        }
        self.offset_millis.store(learned, Ordering::Relaxed);
        let offset_seconds = self.offset_seconds();
        if learned == 0 {
            tracing::info!("this machine's clock is right again");
        } else {
            tracing::warn!(
                offset_seconds,
                remedy = CLOCK.remedy,
                "this machine's clock is wrong"
            );
        }
        true
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's clock"
    )]
    fn local(&self) -> SystemTime {
        match &self.source {
            Source::System => SystemTime::now(),
            Source::Simulated {
                epoch,
                started,
                set_by_millis,
            } => shifted(
                *epoch + started.elapsed(),
                set_by_millis.load(Ordering::Relaxed),
            ),
        }
    }
}

fn shifted(time: SystemTime, millis: i64) -> SystemTime {
    let shift = Duration::from_millis(millis.unsigned_abs());
    let shifted = if millis < 0 {
        time.checked_sub(shift)
    } else {
        time.checked_add(shift)
    };
    shifted.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_offset_is_learned_and_unlearned() {
        let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let clock = Clock::simulated(epoch);
        let minutes = |n: u64| Duration::from_secs(60 * n);

        assert!(
            !clock.learn(epoch + Duration::from_secs(2)),
            "two seconds are noise"
        );
        assert!(clock.learn(epoch + minutes(10)));
        assert_eq!(clock.now(), epoch + minutes(10));
        assert!(
            !clock.learn(epoch + minutes(10) + Duration::from_secs(1)),
            "known already"
        );

        tokio::time::advance(minutes(5)).await;
        assert_eq!(clock.now(), epoch + minutes(15));
        assert!(
            clock.learn(epoch + minutes(5)),
            "the node's clock was put right"
        );
        assert_eq!(clock.now(), epoch + minutes(5));
        assert!(clock.learn(epoch - minutes(5)));
        assert_eq!(clock.now(), epoch - minutes(5));
        assert!((clock.offset_seconds() + 600.0).abs() < 1.0);
    }
}
