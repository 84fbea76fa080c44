//! The last series that AMP refused.
//!
//! In: the verdict on a payload that AMP refused for good. Out: at most [`MOST`] [`RefusedSeries`], for the status page. Of a series
//! only its name is kept, less than the log has of it: values of labels may be personal. AMP names one series of a refused request.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock, Stamp};
use crate::outcome::series_name;
use crate::outcome::verdict::Verdict;

/// How many are remembered.
const MOST: usize = 10;

/// The last refused series of one workspace.
#[derive(Debug)]
pub struct RecentlyRefused {
    clock: Clock,
    series: Mutex<VecDeque<RefusedSeries>>,
}

/// A name of series that AMP refused for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSeries {
    pub name: String,
    /// One of [`LOSSES`](crate::outcome::verdict::LOSSES).
    pub reason: &'static str,
    /// The number of refusals.
    pub count: u64,
    /// The latest one.
    pub last: Stamp,
}

// === impl RecentlyRefused ===

impl RecentlyRefused {
    /// None yet.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            series: Mutex::default(),
        }
    }

    /// Remembers the series that a refusal names.
    pub fn note(&self, verdict: &Verdict) {
        let Some((name, reason)) = series_name::of_refusal(verdict) else {
            return;
        };
        let mut series = self.lock();
        let is = |known: &RefusedSeries| known.name == name && known.reason == reason;
        let before = series.iter().position(is);
        let count = before
            .and_then(|before| series.remove(before))
            .map_or(0, |known| known.count);
        if series.len() >= MOST {
            series.pop_back();
        }
        series.push_front(RefusedSeries {
            name,
            reason,
            count: count + 1,
            last: self.clock.stamp(),
        });
    }

    /// The latest first.
    #[must_use]
    pub fn recent(&self) -> Vec<RefusedSeries> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<RefusedSeries>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::verdict::RefusalReason;
    use crate::remote_write::written_stats::WrittenStats;
    use std::time::SystemTime;

    fn too_old(name: &str) -> Verdict {
        Verdict::Refused {
            reason: RefusalReason::TooOld,
            said: format!(r#"timestamp too old: 1 metric: "{name}""#),
            written: WrittenStats::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_ten_are_kept_each_once_and_nothing_but_the_name() {
        let refused = RecentlyRefused::new(&Clock::simulated(SystemTime::UNIX_EPOCH));
        refused.note(&Verdict::Overloaded);
        assert_eq!(refused.recent(), []);
        for n in 0..30 {
            refused.note(&too_old(&format!("m{n}{{user=\\\"ann\\\"}}")));
        }
        refused.note(&too_old("m25"));
        let recent = refused.recent();
        let names: Vec<_> = recent.iter().map(|series| series.name.as_str()).collect();
        let expected = [
            "m25", "m29", "m28", "m27", "m26", "m24", "m23", "m22", "m21", "m20",
        ];
        assert_eq!(names, expected);
        let [first, second, ..] = recent.as_slice() else {
            panic!("{recent:?}")
        };
        assert_eq!((first.count, second.count), (2, 1));
        assert_eq!(first.reason, "too_old");
    }
}
