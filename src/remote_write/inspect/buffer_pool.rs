//! Reuses inspectors and their memory between batches.
//!
//! In: an [`Inspector`] after use. Out: one with memory already allocated. There are as many as batches inspected at once,
//! which is one per thread; their total memory is bounded, and an inspector beyond that is dropped.

use std::sync::{Mutex, PoisonError};

use super::Inspector;

/// A body of AMP's largest size unpacks to 2 to 4 MB. With only 1 MiB retained, each such batch allocated fresh pages, which
/// was half of its cost.
pub(super) const MOST: usize = 4 << 20;

/// The free inspectors.
#[derive(Debug, Default)]
pub struct InspectorPool(Mutex<Vec<Inspector>>);

// === impl InspectorPool ===

impl InspectorPool {
    /// A free inspector, else a new one.
    pub fn take(&self) -> Inspector {
        self.lock().pop().unwrap_or_default()
    }

    /// Returns an inspector, or drops it if too much memory is retained already.
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
