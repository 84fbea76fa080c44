//! Limits how many queries of a workspace run at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::query::error::QueryError;

/// Concurrent queries: enough for a dashboard's panels in a few rounds; each costs some 200 KiB of buffers.
const MAX_ACTIVE: usize = 8;
/// Queries waiting for a slot, each with a connection of the senders' port.
const MAX_WAITING: usize = 120;

/// The slots of one workspace.
#[derive(Debug)]
pub(super) struct Slots {
    /// Active and waiting queries.
    accepted: Arc<Semaphore>,
    active: Arc<Semaphore>,
}

/// A query's slot, released when dropped.
#[derive(Debug)]
pub struct Slot {
    _accepted: OwnedSemaphorePermit,
    _active: OwnedSemaphorePermit,
}

// === impl Slots ===

impl Default for Slots {
    fn default() -> Self {
        Self {
            accepted: Arc::new(Semaphore::new(MAX_ACTIVE + MAX_WAITING)),
            active: Arc::new(Semaphore::new(MAX_ACTIVE)),
        }
    }
}

impl Slots {
    /// Waits for a slot, unless too many queries wait already.
    pub(super) async fn acquire(&self, deadline: Instant) -> Result<Slot, QueryError> {
        let busy = || QueryError::Busy {
            limit: MAX_ACTIVE + MAX_WAITING,
        };
        let accepted = Arc::clone(&self.accepted).try_acquire_owned();
        let accepted = accepted.map_err(|_| busy())?;
        match timeout_at(deadline, Arc::clone(&self.active).acquire_owned()).await {
            Ok(Ok(active)) => Ok(Slot {
                _accepted: accepted,
                _active: active,
            }),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}
