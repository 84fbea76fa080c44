//! What a service judged, for who looks at it afterwards.
//!
//! In: each call as it is judged, whether granted or refused. Out: the last calls, and how many there were of either kind.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const KEPT_AT_MOST: usize = 4096;

/// The calls of one service. Clones share them.
#[derive(Debug)]
pub struct CallLog<C>(Arc<Mutex<Logged<C>>>);

#[derive(Debug)]
struct Logged<C> {
    calls: VecDeque<C>,
    issued: u64,
    refused: u64,
}

// === impl CallLog ===

impl<C: Clone> CallLog<C> {
    /// One more call.
    pub(crate) fn note(&self, call: C, granted: bool) {
        self.count(granted);
        let mut logged = self.lock();
        if logged.calls.len() >= KEPT_AT_MOST {
            logged.calls.pop_front();
        }
        logged.calls.push_back(call);
    }

    /// Counts a call that is not kept.
    pub(crate) fn count(&self, granted: bool) {
        let mut logged = self.lock();
        match granted {
            true => logged.issued += 1,
            false => logged.refused += 1,
        }
    }

    /// The last calls, oldest first, at most 4,096.
    #[must_use]
    pub fn all(&self) -> Vec<C> {
        self.lock().calls.iter().cloned().collect()
    }

    /// How many were granted.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.lock().issued
    }

    /// How many were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> MutexGuard<'_, Logged<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Clone for CallLog<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Default for CallLog<C> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Logged {
            calls: VecDeque::new(),
            issued: 0,
            refused: 0,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_calls_are_kept_and_all_are_counted() {
        let log = CallLog::default();
        for number in 0..5_000 {
            log.note(number, number % 5 > 0);
        }
        log.clone().count(true);
        let kept = log.all();
        assert_eq!((kept.len(), kept[0], kept[4095]), (4096, 904, 4999));
        assert_eq!((log.issued(), log.refused()), (4_001, 1_000));
    }
}
