//! The request limits that AMP has shown.
//!
//! In: refusals for size. Out: the [`PartLimits`] to which batches are cut before they are sent, so that each is refused at
//! most once. A limit expires after an hour, because limits can be raised.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::amp_response::ShownLimit;
use crate::remote_write::split::PartLimits;

const LONGEST: Duration = Duration::from_secs(3600);
/// Lower bound for a limit that no refusal has named.
const LEAST_GUESS: usize = 16 * 1024;

/// The known limits of one workspace.
#[derive(Debug)]
pub(super) struct KnownLimits {
    /// `--max-upstream-bytes`
    configured: usize,
    shown: Mutex<LearnedLimits>,
}

#[derive(Debug, Default)]
struct LearnedLimits {
    packed: Option<(usize, Instant)>,
    unpacked: Option<(usize, Instant)>,
}

// === impl KnownLimits ===

impl KnownLimits {
    pub(super) fn new(configured: usize) -> Self {
        Self {
            configured,
            shown: Mutex::default(),
        }
    }

    /// The limits that apply now.
    pub(super) fn now(&self) -> PartLimits {
        let mut shown = self.lock();
        let counts = |limit: &mut Option<(usize, Instant)>| {
            *limit = limit.filter(|(_, since)| since.elapsed() < LONGEST);
            limit.map(|(limit, _)| limit)
        };
        let packed = counts(&mut shown.packed);
        PartLimits {
            packed: packed.map_or(self.configured, |packed| packed.min(self.configured)),
            unpacked: counts(&mut shown.unpacked),
        }
    }

    /// Learns from the refusal of a payload of this size and returns the limits to cut it to.
    pub(super) fn learn(
        &self,
        shown: ShownLimit,
        packed: usize,
        unpacked: Option<usize>,
    ) -> PartLimits {
        let is_of_unpacked = match shown.size {
            Some(size) => Some(size) == unpacked && size != packed,
            // The limit is between components of the store, which do not compress.
            None => shown.limit.is_some(),
        };
        let size = if is_of_unpacked {
            unpacked.unwrap_or(packed)
        } else {
            packed
        };
        // A limit above the refused size is not the one that was exceeded.
        let limit = shown.limit.filter(|limit| *limit < size);
        let limit = limit.unwrap_or(size / 2).max(1);
        // An unnamed limit may come from a proxy for one batch only; other batches must not suffer for it.
        if shown.limit.is_some() || limit >= LEAST_GUESS {
            let mut known = self.lock();
            let known = if is_of_unpacked {
                &mut known.unpacked
            } else {
                &mut known.packed
            };
            let lower =
                known.is_none_or(|(known, since)| limit < known || since.elapsed() >= LONGEST);
            if lower {
                *known = Some((limit, Instant::now()));
            }
        }
        let now = self.now();
        if is_of_unpacked {
            PartLimits {
                unpacked: Some(limit),
                ..now
            }
        } else {
            PartLimits {
                packed: limit,
                ..now
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, LearnedLimits> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(packed: usize, unpacked: Option<usize>) -> PartLimits {
        PartLimits { packed, unpacked }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_applies_for_an_hour_packed_or_unpacked() {
        let kib = |packed: usize, unpacked: Option<usize>| {
            limits(packed << 10, unpacked.map(|unpacked| unpacked << 10))
        };
        let known = KnownLimits::new(1000 << 10);
        assert_eq!(known.now(), kib(1000, None));
        // A 413 names no limit.
        let cut = known.learn(ShownLimit::default(), 900 << 10, Some(4000 << 10));
        assert_eq!((cut, known.now()), (kib(450, None), kib(450, None)));
        // The size shows that the unpacked limit is meant.
        let shown = ShownLimit {
            size: Some(4000 << 10),
            limit: Some(3000 << 10),
        };
        let cut = known.learn(shown, 400 << 10, Some(4000 << 10));
        assert_eq!(
            (cut, known.now()),
            (kib(450, Some(3000)), kib(450, Some(3000)))
        );
        // A part below the known limit was refused: cut it, and lower the limit.
        let shown = ShownLimit {
            size: None,
            limit: Some(3000 << 10),
        };
        let cut = known.learn(shown, 300 << 10, Some(2000 << 10));
        assert_eq!(cut, kib(450, Some(1000)));
        // A refusal without a named limit never sets a small one.
        let cut = known.learn(ShownLimit::default(), 20 << 10, Some(40 << 10));
        assert_eq!(
            (cut, known.now()),
            (kib(10, Some(1000)), kib(450, Some(1000)))
        );
        tokio::time::advance(LONGEST).await;
        assert_eq!(known.now(), kib(1000, None));
    }
}
