//! A workspace beside a world's first one: its AMP, with a server, a store and a fault script of its own.

use super::target_controls::TargetControls;
use crate::amp::{Amp, Store};
use crate::fault::Faults;
use crate::journal::Journal;

/// One of [`World::others`](super::World::others).
#[derive(Debug)]
pub struct Workspace {
    pub(super) amp: Amp,
    pub(super) url: String,
    pub(super) role_arn: String,
    pub(super) controls: TargetControls,
}

impl Workspace {
    /// Its whole remote-write URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The role that leads to it.
    #[must_use]
    pub fn role_arn(&self) -> &str {
        &self.role_arn
    }

    /// Its region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.amp.config().region
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.amp.config().workspace_id
    }

    /// The AMP that has it.
    #[must_use]
    pub fn amp(&self) -> &Amp {
        &self.amp
    }

    /// What is stored in it.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.amp.store()
    }

    /// Its fault script.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.controls.faults
    }

    /// The requests that it received.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.controls.journal
    }
}
