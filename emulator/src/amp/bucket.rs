//! A token bucket in the caller's time.
//!
//! As the engine's limiter: a request takes all that it needs or nothing, so that one that needs more than the bucket
//! holds never passes; one that needs nothing always does. Not a sliding window: the engine has none.

use std::time::SystemTime;

use super::limits::Rate;

/// How much is left, and since when.
#[derive(Debug, Default)]
pub(super) struct TokenBucket {
    /// What was left at a moment; unset, it is full.
    left: Option<(f64, SystemTime)>,
}

impl TokenBucket {
    /// Takes `needed` at once, if that much is there. A rate that has changed counts from now on.
    #[allow(
        clippy::cast_precision_loss,
        reason = "nobody sends so many samples that it would show"
    )]
    pub(super) fn take(&mut self, rate: Rate, needed: u64, now: SystemTime) -> bool {
        let (burst, needed) = (rate.burst as f64, needed as f64);
        let left = match self.left {
            None => burst,
            Some((left, at)) => {
                // A clock that was put back brings nothing.
                let passed = now.duration_since(at).unwrap_or_default().as_secs_f64();
                passed.mul_add(rate.per_second, left).min(burst)
            }
        };
        let allowed = needed <= left;
        let left = if allowed { left - needed } else { left };
        self.left = Some((left, now));
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_gives_its_burst_at_once_then_its_rate_and_never_more_than_it_holds() {
        let rate = Rate::new(10.0, 20);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let at = |millis| start + Duration::from_millis(millis);
        let mut bucket = TokenBucket::default();
        assert!(!bucket.take(rate, 21, at(0)), "more than it holds");
        assert!(bucket.take(rate, 20, at(0)));
        assert!(!bucket.take(rate, 1, at(0)));
        assert!(bucket.take(rate, 0, at(0)), "nothing is always there");
        assert!(!bucket.take(rate, 6, at(500)), "five have come");
        assert!(bucket.take(rate, 5, at(500)));
        assert!(!bucket.take(rate, 21, at(3_600_000)));
        assert!(bucket.take(rate, 20, at(3_600_000)));
        assert!(!bucket.take(rate, 1, at(0)), "the clock was put back");
    }
}
