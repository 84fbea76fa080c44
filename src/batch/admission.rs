//! Admits a batch if the workspace has budget for it.
//!
//! In: a request head, of which only the declared length matters here. Out: an [`Admitted`], without which no body can be read.
//! It holds a request slot and as many bytes of budget as the body is long, and returns both when dropped. Slots account for a
//! batch's cost besides its body: connection buffers and TLS records in flight. A body of unknown length reserves as it grows.
//! A request that finds no budget waits up to [`LONGEST_WAIT`] in order of arrival; then its sender gets 503 and retries.
//! Metrics and probes use another listener and never wait here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::batch::client_quota::{ClientQuota, ClientQuotas};
use crate::inbound::server_auth::ClientId;
use crate::outcome::verdict::Verdict;

/// A longer wait would only block the sender's own shards.
const LONGEST_WAIT: Duration = Duration::from_millis(800);
/// At 50 ms per request this exceeds the 3,000 requests per second that a workspace accepts.
const MOST_SLOTS: usize = 256;
const LEAST_SLOTS: usize = 16;
/// One slot per this many bytes of budget, so that a small container has few.
const BYTES_A_SLOT: usize = 128 * 1024;
/// Bodies of unknown length reserve in steps of this size.
const STEP: usize = 64 * 1024;

/// The byte budget and the request slots.
#[derive(Debug, Clone)]
pub struct Admission {
    bytes: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    shares: Arc<ClientQuotas>,
    all_slots: usize,
    budget: usize,
}

/// A batch whose body may be read.
#[derive(Debug)]
pub struct Admitted {
    bytes: Arc<Semaphore>,
    reserved: Option<OwnedSemaphorePermit>,
    room: usize,
    budget: usize,
    /// Set for clients outside the pod.
    share: Option<ClientQuota>,
    _slot: OwnedSemaphorePermit,
}

// === impl Admission ===

impl Admission {
    /// A budget of `budget` bytes of bodies, of which one remote client may use `client_share_percent`.
    #[must_use]
    pub fn new(budget: usize, client_share_percent: u8) -> Self {
        let budget = budget.min(Semaphore::MAX_PERMITS);
        let slots = (budget / BYTES_A_SLOT).clamp(LEAST_SLOTS, MOST_SLOTS);
        Self {
            bytes: Arc::new(Semaphore::new(budget)),
            slots: Arc::new(Semaphore::new(slots)),
            shares: Arc::new(ClientQuotas::new(client_share_percent, budget, slots)),
            all_slots: slots,
            budget,
        }
    }

    /// Waits for a slot, and for `declared` bytes of budget if the length is known.
    pub async fn admit(
        &self,
        declared: Option<usize>,
        client: Option<&ClientId>,
    ) -> Result<Admitted, Verdict> {
        let share = client.map(|client| self.shares.take(client)).transpose();
        let share = share.map_err(|_| Verdict::Overloaded)?;
        let deadline = Instant::now() + LONGEST_WAIT;
        let slot = tokio::time::timeout_at(deadline, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(Verdict::Overloaded);
        };
        let mut admitted = Admitted {
            bytes: Arc::clone(&self.bytes),
            reserved: None,
            room: 0,
            budget: self.budget,
            share,
            _slot: slot,
        };
        admitted.reserve(declared.unwrap_or(0), deadline).await?;
        Ok(admitted)
    }

    /// Bytes reserved now.
    #[must_use]
    pub fn bytes_in_flight(&self) -> usize {
        self.budget.saturating_sub(self.bytes.available_permits())
    }

    /// Size of the budget in bytes.
    #[must_use]
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Maximum admitted requests.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.all_slots
    }

    /// Requests admitted now.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.all_slots
            .saturating_sub(self.slots.available_permits())
    }
}

// === impl Admitted ===

impl Admitted {
    /// Size of the whole budget in bytes.
    #[must_use]
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Reserves budget up to `len` bytes in total.
    ///
    /// # Errors
    /// [`Verdict::Overloaded`] if none becomes free in time.
    pub async fn grow_to(&mut self, len: usize) -> Result<(), Verdict> {
        if len <= self.room {
            return Ok(());
        }
        self.reserve((len - self.room).max(STEP), Instant::now() + LONGEST_WAIT)
            .await
    }

    async fn reserve(&mut self, more: usize, deadline: Instant) -> Result<(), Verdict> {
        let count = u32::try_from(more).map_err(|_| Verdict::Overloaded)?;
        if let Some(share) = &mut self.share {
            share.grow(more).map_err(|_| Verdict::Overloaded)?;
        }
        let permit =
            tokio::time::timeout_at(deadline, Arc::clone(&self.bytes).acquire_many_owned(count))
                .await;
        let Ok(Ok(permit)) = permit else {
            return Err(Verdict::Overloaded);
        };
        match &mut self.reserved {
            Some(reserved) => reserved.merge(permit),
            None => self.reserved = Some(permit),
        }
        self.room += more;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn budget_is_reserved_and_released() {
        let admission = Admission::new(100_000, 50);
        let first = admission.admit(Some(90_000), None).await.unwrap();
        assert_eq!(
            (admission.bytes_in_flight(), admission.requests_in_flight()),
            (90_000, 1)
        );

        let started = Instant::now();
        assert!(matches!(
            admission.admit(Some(20_000), None).await,
            Err(Verdict::Overloaded)
        ));
        assert!(started.elapsed() <= Duration::from_secs(1));

        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.admit(Some(20_000), None).await.is_ok() }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(first);
        assert!(waiting.await.unwrap());
        assert_eq!(
            (admission.bytes_in_flight(), admission.requests_in_flight()),
            (0, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_unknown_length_reserves_as_it_grows() {
        let admission = Admission::new(2 * STEP, 50);
        let mut batch = admission.admit(None, None).await.unwrap();
        batch.grow_to(1).await.unwrap();
        batch.grow_to(STEP).await.unwrap();
        assert_eq!(admission.bytes_in_flight(), STEP);
        batch.grow_to(STEP + 1).await.unwrap();
        assert_eq!(admission.bytes_in_flight(), 2 * STEP);
        assert!(batch.grow_to(2 * STEP + 1).await.is_err());
        drop(batch);
        assert_eq!(admission.bytes_in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_bounded() {
        let admission = Admission::new(4 << 20, 50);
        let mut held = Vec::new();
        for _ in 0..32 {
            held.push(admission.admit(Some(1), None).await.unwrap());
        }
        assert!(admission.admit(Some(1), None).await.is_err());
        held.pop();
        assert!(admission.admit(Some(1), None).await.is_ok());
    }
}
