//! Limits how much of a workspace's budget one client may use.
//!
//! In: the client's address and what its request needs. Out: a [`ClientQuota`] that returns everything when dropped, or
//! [`Exhausted`]. Loopback senders (the same pod) are limited only by the whole budget.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::inbound::server_auth::ClientId;

/// Current use by client.
#[derive(Debug)]
pub struct ClientQuotas {
    most: QuotaUse,
    clients: Mutex<HashMap<ClientId, QuotaUse>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct QuotaUse {
    bytes: usize,
    requests: usize,
}

/// What one request uses of its client's quota.
#[derive(Debug)]
pub struct ClientQuota {
    shares: Arc<ClientQuotas>,
    client: ClientId,
    bytes: usize,
}

/// The client already uses its whole quota.
#[derive(Debug, PartialEq, Eq)]
pub struct Exhausted;

// === impl ClientQuotas ===

impl ClientQuotas {
    /// Each client may use `percent` of the bytes and of the request slots.
    #[must_use]
    pub fn new(percent: u8, bytes: usize, requests: usize) -> Self {
        let part = |whole: usize| (whole / 100).saturating_mul(usize::from(percent)).max(1);
        Self {
            most: QuotaUse {
                bytes: part(bytes),
                requests: (requests * usize::from(percent) / 100).max(1),
            },
            clients: Mutex::default(),
        }
    }

    /// Adds a request of this client.
    pub fn take(self: &Arc<Self>, client: &ClientId) -> Result<ClientQuota, Exhausted> {
        let mut clients = self.lock();
        let held = clients.entry(client.clone()).or_default();
        if held.requests >= self.most.requests {
            return Err(Exhausted);
        }
        held.requests += 1;
        Ok(ClientQuota {
            shares: Arc::clone(self),
            client: client.clone(),
            bytes: 0,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ClientId, QuotaUse>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ClientQuota ===

impl ClientQuota {
    /// Reserves more bytes.
    pub fn grow(&mut self, more: usize) -> Result<(), Exhausted> {
        let mut clients = self.shares.lock();
        let held = clients.entry(self.client.clone()).or_default();
        let bytes = held.bytes.saturating_add(more);
        // A batch larger than the quota is accepted when the client has nothing else in flight.
        if bytes > self.shares.most.bytes && held.bytes > self.bytes {
            return Err(Exhausted);
        }
        held.bytes = bytes;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for ClientQuota {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.shares.lock().entry(self.client.clone()) {
            let held = entry.get_mut();
            held.bytes = held.bytes.saturating_sub(self.bytes);
            held.requests = held.requests.saturating_sub(1);
            if held.requests == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> ClientId {
        ClientId::of([10, 0, 0, n].into(), None)
    }

    #[test]
    fn one_client_leaves_budget_for_another() {
        let shares = Arc::new(ClientQuotas::new(50, 1000, 4));
        let mut first = shares.take(&client(1)).unwrap();
        first.grow(400).unwrap();
        let mut second = shares.take(&client(1)).unwrap();
        assert_eq!(second.grow(200), Err(Exhausted));
        second.grow(100).unwrap();
        assert_eq!(shares.take(&client(1)).unwrap_err(), Exhausted);

        let mut other = shares.take(&client(2)).unwrap();
        other.grow(500).unwrap();
        drop((first, second, other));
        assert!(shares.lock().is_empty(), "no entry stays without a request");
    }

    #[test]
    fn a_batch_larger_than_the_quota_is_accepted_alone() {
        let shares = Arc::new(ClientQuotas::new(10, 1000, 10));
        let mut large = shares.take(&client(1)).unwrap();
        large.grow(300).unwrap();
        large.grow(300).unwrap();
        // With a limit of one request per client, the second is rejected.
        assert!(shares.take(&client(1)).is_err());
        assert!(shares.take(&client(2)).is_ok());
    }
}
