//! The fault script and the journal that stand before one target; clones share them.

use crate::clock::Clock;
use crate::fault::Faults;
use crate::front::{Answers, Front};
use crate::journal::Journal;

/// The fault script and the journal of one target.
#[derive(Debug, Clone, Default)]
pub(super) struct TargetControls {
    pub(super) faults: Faults,
    pub(super) journal: Journal,
}

// === impl TargetControls ===

impl TargetControls {
    pub(super) fn front<T: Answers>(&self, target: T, clock: &Clock, numbered: bool) -> Front<T> {
        Front {
            target,
            faults: self.faults.clone(),
            journal: self.journal.clone(),
            clock: clock.clone(),
            numbered,
        }
    }
}
