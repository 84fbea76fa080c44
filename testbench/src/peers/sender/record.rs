//! What a built-in sender has made, and its results, shared by its shards.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::peers::samples::Samples;
use crate::peers::source::Exposition;
use emulator::amp::Labels;

/// What a sender did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderStats {
    /// Samples made.
    pub made: u64,
    /// Samples that were answered with 2xx; of version 2.0, those that the answer says are written.
    pub delivered: u64,
    /// Samples dropped because of a response that must not be retried.
    pub lost: u64,
    /// Batches that were answered with 2xx.
    pub batches: u64,
    /// Tries that had to be repeated.
    pub retries: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) exposition: Exposition,
    pub(super) labels: Vec<Labels>,
    pub(super) record: Mutex<Record>,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) sent: SenderStats,
    pub(super) samples: Samples,
}

// === impl SenderStats ===

impl SenderStats {
    /// Samples that may still be delivered.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.made.saturating_sub(self.delivered + self.lost)
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
