//! One try at one batch: what all of its payloads share.

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::batch::admission::Admitted;
use crate::batch::deliver::progress::{Record, Records};
use crate::remote_write::payload::Payload;
use crate::telemetry::traces::Span;

/// One try at one batch.
pub(super) struct Try<'a> {
    pub(super) deadline: Instant,
    pub(super) span: &'a Span,
    /// What the tries before brought its payloads to.
    pub(super) known: Mutex<Records>,
    /// How many payloads AMP had judged when it began.
    pub(super) judged: u64,
    /// Answers so far that payloads may be the cause of.
    pub(super) refusals: AtomicU32,
    /// AMP has judged something in this try.
    pub(super) has_passed: AtomicBool,
    pub(super) admitted: tokio::sync::Mutex<&'a mut Admitted>,
}

// === impl Try ===

impl Try<'_> {
    pub(super) fn take(&self, payload: &Payload) -> Option<Record> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return None;
        }
        known.remove(&*payload.key())
    }
}
