//! Resolves a name with the system's resolver.
//!
//! In: a host and a port. Out: addresses, refreshed every [`FRESH`]. If the resolver fails or is slow, the last known addresses stay in
//! use, so no batch waits for a name that was resolved before. One lookup is in progress at a time: the system's resolver blocks a
//! thread, and hanging lookups for many batches must not exhaust the threads.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long addresses are used before the next lookup.
const FRESH: Duration = Duration::from_secs(30);
/// The pause after a failed lookup.
const AGAIN: Duration = Duration::from_secs(5);
/// The timeout of a lookup if addresses are known, and if none are.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// Resolves one name.
#[derive(Debug)]
pub(super) struct Resolver {
    host: String,
    port: u16,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    next_lookup: Instant,
}

// === impl Resolver ===

impl Resolver {
    /// For this host: a name, or an address without brackets.
    pub(super) fn new(host: String, port: u16) -> Self {
        Self {
            host,
            port,
            known: Mutex::new(None),
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// At least one address.
    ///
    /// # Errors
    /// The resolver's error, if no addresses are known from before.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let mut known = self.known.lock().await;
        let patience = match known.as_ref() {
            Some(known) if Instant::now() < known.next_lookup => {
                return Ok(known.addresses.clone());
            }
            Some(_) => PATIENCE.0,
            None => PATIENCE.1,
        };
        match (self.look_up(patience).await, known.as_mut()) {
            (Ok(addresses), _) => {
                *known = Some(Known {
                    addresses: addresses.clone(),
                    next_lookup: Instant::now() + FRESH,
                });
                Ok(addresses)
            }
            (Err(error), Some(known)) => {
                tracing::debug!(host = self.host, %error, "name not resolved, its last addresses stay in use");
                known.next_lookup = Instant::now() + AGAIN;
                Ok(known.addresses.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn look_up(&self, patience: Duration) -> io::Result<Vec<SocketAddr>> {
        let found = timeout(
            patience,
            tokio::net::lookup_host((self.host.as_str(), self.port)),
        )
        .await;
        let found: Vec<_> = found
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?
            .collect();
        if found.is_empty() {
            Err(io::Error::other("it has no address"))
        } else {
            Ok(found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_need_no_resolver_and_names_go_to_the_system() {
        let of = |host: &str| Resolver::new(host.to_owned(), 443);
        assert_eq!(
            of("::1").addresses().await.unwrap(),
            ["[::1]:443".parse().unwrap()]
        );
        let local = of("localhost").addresses().await.unwrap();
        assert!(
            local.iter().all(|address| address.ip().is_loopback()),
            "{local:?}"
        );
        // RFC 6761: no resolver may find this name.
        assert!(of("nowhere.invalid").addresses().await.is_err());
    }

    #[tokio::test]
    async fn the_last_addresses_stay_in_use_while_the_resolver_fails() {
        let resolver = Resolver::new("nowhere.invalid".to_owned(), 443);
        let addresses = vec!["127.0.0.1:443".parse().unwrap()];
        *resolver.known.lock().await = Some(Known {
            addresses: addresses.clone(),
            next_lookup: Instant::now(),
        });
        assert_eq!(resolver.addresses().await.unwrap(), addresses);
        let next_lookup = resolver.known.lock().await.as_ref().unwrap().next_lookup;
        assert!(
            next_lookup > Instant::now(),
            "the next batch does not wait for it again"
        );
    }
}
