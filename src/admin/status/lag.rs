//! How far a workspace is behind, as `/status.json` has it.

use serde::Serialize;

use super::moment::Moment;
use crate::batch::lag::LagView;

/// The newest stored sample, and what senders hold back.
#[derive(Debug, Serialize)]
pub(super) struct LagStatus {
    words: String,
    behind_seconds: Option<u64>,
    newest_stored: Option<Moment>,
    last_success: Option<Moment>,
    held_batches: usize,
    oldest_held: Option<Moment>,
    lost_from: Option<Moment>,
}

// === impl LagStatus ===

impl LagStatus {
    pub(super) fn of(lag: &LagView) -> Self {
        let moment = |time| Moment::of(time, lag.now);
        Self {
            words: lag.words(),
            behind_seconds: lag.behind().map(|behind| behind.as_secs()),
            newest_stored: lag.newest_stored.map(moment),
            last_success: lag.last_success.map(moment),
            held_batches: lag.held,
            oldest_held: lag.oldest_held.map(moment),
            lost_from: lag.lost_from().map(moment),
        }
    }
}
