//! Inspectors between two batches.
//!
//! In: an [`Inspector`] that has done its work. Out: one whose memory is there already. As many are made as batches are looked
//! into at the same moment, which is one a thread; what they keep together is bounded, and who would go beyond is dropped.

use std::sync::{Mutex, PoisonError};

use super::Inspector;

/// One body of AMP's largest size unpacks to 2 to 4 MB. With 1 MiB kept, the pages of each such batch were taken from the
/// system anew, which was half of what counting it cost.
pub(super) const MOST: usize = 4 << 20;

/// Those that are free.
#[derive(Debug, Default)]
pub struct InspectorPool(Mutex<Vec<Inspector>>);

// === impl InspectorPool ===

impl InspectorPool {
    /// One that is free, else a new one.
    pub fn take(&self) -> Inspector {
        self.lock().pop().unwrap_or_default()
    }

    /// For the next batch, unless so much is kept already.
    pub fn keep(&self, inspector: Inspector) {
        let mut kept = self.lock();
        let held: usize = kept.iter().map(Inspector::held).sum();
        if held + inspector.held() <= MOST {
            kept.push(inspector);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Inspector>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
