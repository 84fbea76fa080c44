//! Wall time with a learned offset.
//!
//! AWS rejects a signature whose time is more than five minutes off, and a node's clock can be. So everything that tells AWS
//! the time uses a [`Clock`], never the system's: it adds the offset learned from the `Date` header of responses over verified
//! TLS. An unverified peer must not be able to shift it. Timeouts do not use it: they run on tokio's monotonic time.
//!
//! A simulated clock runs on tokio's time alone, so that tests pass hours in no time and simulations are repeatable. It can be
//! set, like a machine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, DynamicClockId, clock_gettime_dynamic};
use tokio::time::Instant;

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
        started: Instant,
        set_by_millis: Arc<AtomicI64>,
        /// How often processor time was read.
        reads: Arc<AtomicU32>,
    },
}

/// When something happened: `wall` is for display only, because a clock may be set; durations come from `instant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// As the clock showed it then.
    pub wall: SystemTime,
    /// In monotonic time.
    pub instant: Instant,
}

/// What a simulated piece of work takes: about as much as counting a real batch of 2,000 samples.
const STEP: Duration = Duration::from_micros(50);
/// A smaller offset is noise: the header has a resolution of one second, and a response takes time to arrive.
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

    /// A simulated clock that shows `epoch` now and advances with tokio's time.
    #[must_use]
    pub fn simulated(epoch: SystemTime) -> Self {
        let started = Instant::now();
        Self {
            source: Source::Simulated {
                epoch,
                started,
                set_by_millis: Arc::default(),
                reads: Arc::default(),
            },
            offset_millis: Arc::default(),
        }
    }

    /// Processor time that this thread has used; only differences matter, of work without an await. `None` if the machine cannot tell.
    /// A simulated clock adds [`STEP`] at each reading, so that every piece of work takes the same.
    #[must_use]
    pub fn processor_time(&self) -> Option<Duration> {
        match &self.source {
            Source::System => {
                let time = clock_gettime_dynamic(DynamicClockId::Known(ClockId::ThreadCPUTime));
                let time = time.ok()?;
                let (seconds, nanos) =
                    (time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?);
                Some(Duration::new(seconds, nanos))
            }
            Source::Simulated { reads, .. } => Some(STEP * reads.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Sets a simulated clock, and all clones of its source, this far from tokio's time; no effect on the machine's clock.
    pub fn set_by_millis(&self, millis: i64) {
        if let Source::Simulated { set_by_millis, .. } = &self.source {
            set_by_millis.store(millis, Ordering::Relaxed);
        }
    }

    /// The same source with an independent offset, so that peers of one workspace cannot shift another's clock.
    #[must_use]
    pub fn fork(&self) -> Self {
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

    /// The present.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp_of(Instant::now())
    }

    /// A moment of the recent past.
    #[must_use]
    pub fn stamp_of(&self, instant: Instant) -> Stamp {
        let now = self.now();
        Stamp {
            wall: now.checked_sub(instant.elapsed()).unwrap_or(now),
            instant,
        }
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

    /// Learns from the `Date` of a verified response; true if the offset changed, so that signing again can help.
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
        // A difference of one second is the header's resolution, not a change.
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

    /// The time as this machine sees it.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's clock"
    )]
    #[must_use]
    pub fn local(&self) -> SystemTime {
        match &self.source {
            Source::System => SystemTime::now(),
            Source::Simulated {
                epoch,
                started,
                set_by_millis,
                ..
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

/// A length of time as people say it, such as `90 s` or `12 min`.
pub(crate) fn in_words(length: Duration) -> String {
    match length.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn processor_time_is_that_of_work_and_not_of_waiting() {
        let clock = Clock::system();
        let began = clock.processor_time().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let waited = clock.processor_time().unwrap() - began;
        assert!(waited < Duration::from_millis(50), "{waited:?}");
        // It ends once the clock has seen the work.
        while clock.processor_time().unwrap() - began < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        let simulated = Clock::simulated(SystemTime::UNIX_EPOCH);
        let read = || simulated.processor_time().unwrap();
        assert_eq!([read(), read(), read()], [Duration::ZERO, STEP, STEP * 2]);
    }

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
