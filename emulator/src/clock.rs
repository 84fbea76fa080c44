//! The world's wall time: the machine's, moved by an offset.
//!
//! Everything that the emulator dates (tokens, credentials, signatures' age,
//! `Date` headers) reads this one clock, so that setting the offset to ten
//! minutes makes the whole of AWS ten minutes fast for its clients.
//! Time-outs and fault timelines do not: they run on real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// Wall time with an offset. Clones share the offset.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_seconds: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that agrees with the machine's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The machine's time, moved by the offset.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the emulator asks the machine for the time"
    )]
    pub fn now(&self) -> SystemTime {
        let machine = SystemTime::now();
        let offset = self.offset_seconds();
        let size = Duration::from_secs(offset.unsigned_abs());
        let moved = if offset < 0 {
            machine.checked_sub(size)
        } else {
            machine.checked_add(size)
        };
        moved.unwrap_or(machine)
    }

    /// Whole seconds since 1970, as JWTs count.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        unix_seconds(self.now())
    }

    /// By how much the clock is fast (positive) or slow (negative).
    #[must_use]
    pub fn offset_seconds(&self) -> i64 {
        self.offset_seconds.load(Ordering::Relaxed)
    }

    /// Makes the clock fast (positive) or slow (negative) from now on.
    pub fn set_offset_seconds(&self, offset: i64) {
        self.offset_seconds.store(offset, Ordering::Relaxed);
    }

    /// The time as a `Date` header has it.
    pub(crate) fn http_date(&self) -> String {
        httpdate::fmt_http_date(self.now())
    }
}

/// Whole seconds since 1970; times before that count as 0.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_an_offset_that_works_both_ways() {
        let clock = Clock::new();
        let before = clock.unix_seconds();
        let other = clock.clone();
        other.set_offset_seconds(600);
        assert!((600..610).contains(&(clock.unix_seconds() - before)));
        other.set_offset_seconds(-600);
        assert!((590..=600).contains(&(before - clock.unix_seconds())));
    }
}
