//! Durations in fine buckets, for the quantiles of the status page.
//!
//! In: the duration of each request, one addition. Out: how many there were in each bucket, and from the difference of two readings the
//! quantiles in between. A bucket is an eighth of an octave wide, so a quantile is at most 7 % off. Apart from the histogram that
//! `/metrics` serves, because that one cannot be read back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets in an octave: the three bits after the first.
const EIGHTHS: usize = 8;
/// 64 µs: less is counted as that.
const FIRST_OCTAVE: usize = 6;
/// Up to 134 s: more is counted as that.
const OCTAVES: usize = 21;
const BUCKETS: usize = OCTAVES * EIGHTHS;

/// Counts durations; clones share the counts.
#[derive(Debug, Clone)]
pub struct DurationCounters(Arc<[AtomicU64; BUCKETS]>);

/// The counts at one time.
#[derive(Debug, Clone, Copy)]
pub struct DurationCounts([u64; BUCKETS]);

// === impl DurationCounters ===

impl Default for DurationCounters {
    fn default() -> Self {
        Self(Arc::new([const { AtomicU64::new(0) }; BUCKETS]))
    }
}

impl DurationCounters {
    /// Counts one.
    pub(crate) fn count(&self, took: Duration) {
        if let Some(counter) = self.0.get(bucket(took)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> DurationCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DurationCounts(self.0.each_ref().map(count))
    }
}

// === impl DurationCounts ===

impl Default for DurationCounts {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl DurationCounts {
    /// What this part of the requests since `before` did not exceed, in seconds; `None` if there were none.
    #[must_use]
    pub fn quantile(&self, before: &Self, part: f64) -> Option<f64> {
        let counts = || {
            let both = self.0.iter().zip(&before.0);
            both.map(|(now, before)| now.saturating_sub(*before))
        };
        let rank = (counts().sum::<u64>() as f64 * part).ceil();
        let mut seen = 0;
        let reached = counts().position(|count| {
            seen += count;
            seen > 0 && seen as f64 >= rank
        })?;
        Some(middle(reached))
    }
}

fn bucket(took: Duration) -> usize {
    let micros = usize::try_from(took.as_micros()).unwrap_or(usize::MAX);
    let octave = micros.max(1).ilog2() as usize;
    let Some(above) = octave.checked_sub(FIRST_OCTAVE) else {
        return 0;
    };
    let eighth = (micros >> (octave - 3)) % EIGHTHS;
    (above * EIGHTHS + eighth).min(BUCKETS - 1)
}

/// In seconds.
fn middle(bucket: usize) -> f64 {
    let octave = (1u64 << (FIRST_OCTAVE + bucket / EIGHTHS)) as f64;
    let eighths = (bucket % EIGHTHS) as f64 + 0.5;
    octave * (1.0 + eighths / EIGHTHS as f64) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_seven_percent_off_whatever_the_duration() {
        for micros in (64..4_000_000)
            .step_by(977)
            .chain([64, 127, 128, 133_000_000])
        {
            let counters = DurationCounters::default();
            counters.count(Duration::from_micros(micros));
            let shown = counters.read().quantile(&DurationCounts::default(), 0.5);
            let ratio = shown.unwrap() * 1e6 / micros as f64;
            assert!((0.93..1.07).contains(&ratio), "{micros}: {ratio}");
        }
        for extreme in [Duration::ZERO, Duration::MAX] {
            let counters = DurationCounters::default();
            counters.count(extreme);
            assert!(
                counters
                    .read()
                    .quantile(&DurationCounts::default(), 0.99)
                    .is_some()
            );
        }
    }

    #[test]
    fn quantiles_are_those_of_the_requests_in_between() {
        let counters = DurationCounters::default();
        counters.count(Duration::from_secs(60));
        let before = counters.read();
        assert_eq!(before.quantile(&before, 0.5), None);
        for _ in 0..98 {
            counters.count(Duration::from_millis(10));
        }
        counters.count(Duration::from_secs(1));
        counters.count(Duration::from_secs(2));
        let counts = counters.read();
        let shown = |part| counts.quantile(&before, part).unwrap();
        let near = |shown: f64, seconds: f64| (shown / seconds - 1.0).abs() < 0.07;
        assert!(near(shown(0.5), 0.01) && near(shown(0.98), 0.01));
        assert!(near(shown(0.99), 1.0) && near(shown(1.0), 2.0));
    }
}
