//! State shared by all payloads of one attempt at a batch.

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::batch::admission::Admitted;
use crate::batch::deliver::progress::{Record, Records};
use crate::remote_write::payload::Payload;
use crate::telemetry::traces::Span;

/// One attempt at one batch.
pub(super) struct Attempt<'a> {
    pub(super) deadline: Instant,
    pub(super) span: &'a Span,
    /// Results of the batch's payloads in earlier attempts.
    pub(super) known: Mutex<Records>,
    /// How many payloads AMP had judged when this attempt began.
    pub(super) judged: u64,
    /// Refusals so far that a payload may have caused.
    pub(super) refusals: AtomicU32,
    /// AMP stored or refused a payload in this attempt.
    pub(super) has_passed: AtomicBool,
    pub(super) admitted: tokio::sync::Mutex<&'a mut Admitted>,
}

// === impl Attempt ===

impl Attempt<'_> {
    pub(super) fn take(&self, payload: &Payload) -> Option<Record> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return None;
        }
        known.remove(&*payload.key())
    }
}
