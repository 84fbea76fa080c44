//! The addresses of a name, asked of the system's resolver.
//!
//! In: a host and a port. Out: addresses, asked afresh every [`FRESH`]. Where the resolver fails or is slow, the addresses
//! that it last gave go on serving, so that a batch is never held for a name that was known before. One question is under
//! way at a time: the system's resolver blocks a thread, and a crowd of batches must not fill them all with questions
//! that hang.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long the addresses of a name are used without asking again.
const FRESH: Duration = Duration::from_secs(30);
/// How soon the resolver is asked again after it failed.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a question may take where addresses are known, and where none are.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// Resolves one name.
#[derive(Debug)]
pub struct Resolver {
    host: String,
    port: u16,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    ask_at: Instant,
}

// === impl Resolver ===

impl Resolver {
    /// For this host: a name, or an address without brackets.
    #[must_use]
    pub fn new(host: String, port: u16) -> Self {
        Self {
            host,
            port,
            known: Mutex::new(None),
        }
    }

    /// The name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// At least one address.
    ///
    /// # Errors
    /// What the resolver said, where no addresses are known from before.
    pub async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let mut known = self.known.lock().await;
        let patience = match known.as_ref() {
            Some(known) if Instant::now() < known.ask_at => return Ok(known.addresses.clone()),
            Some(_) => PATIENCE.0,
            None => PATIENCE.1,
        };
        match (self.ask(patience).await, known.as_mut()) {
            (Ok(addresses), _) => {
                *known = Some(Known {
                    addresses: addresses.clone(),
                    ask_at: Instant::now() + FRESH,
                });
                Ok(addresses)
            }
            (Err(error), Some(known)) => {
                tracing::debug!(host = self.host, %error, "name not resolved, using its last addresses");
                known.ask_at = Instant::now() + AGAIN;
                Ok(known.addresses.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn ask(&self, patience: Duration) -> io::Result<Vec<SocketAddr>> {
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
    async fn addresses_need_no_resolver_and_names_are_asked_of_the_system() {
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
    async fn the_last_addresses_serve_on_while_the_resolver_fails() {
        let resolver = Resolver::new("nowhere.invalid".to_owned(), 443);
        let addresses = vec!["127.0.0.1:443".parse().unwrap()];
        *resolver.known.lock().await = Some(Known {
            addresses: addresses.clone(),
            ask_at: Instant::now(),
        });
        assert_eq!(resolver.addresses().await.unwrap(), addresses);
        let ask_at = resolver.known.lock().await.as_ref().unwrap().ask_at;
        assert!(
            ask_at > Instant::now(),
            "the next batch does not wait for it again"
        );
    }
}
