//! Authenticates clients of the listener.
//!
//! In: the files that the configuration names. Out: a [`ServerAuth`]: connections use TLS, with a client certificate where a CA
//! for them is configured; requests present a bearer token where a file of tokens is configured (one a line, so that an old and
//! a new one can be in use at once). With none of these, as on loopback, every client is accepted.
//!
//! Certificates and tokens rotate: the files are checked every [`CHECK_INTERVAL`], and valid ones replace the previous ones for
//! new connections and requests. Invalid ones (a certificate whose key has not been written yet) are logged, and the previous
//! ones stay in use.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::remedies::running::SERVER_AUTH_FILES;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};
use crate::tls_files::{InvalidFiles, ServerAuthFiles};

const CHECK_INTERVAL: Duration = Duration::from_secs(2);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Authenticates connections and requests.
#[derive(Debug, Default)]
pub struct ServerAuth {
    files: ServerAuthFiles,
    tls: Option<ArcSwap<ServerConfig>>,
    tokens: Option<ArcSwap<Tokens>>,
}

/// Hashes of the tokens that are valid, which take equally long to compare whatever was sent.
#[derive(Default)]
struct Tokens(Vec<[u8; 32]>);

/// Distinguishes clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(Arc<str>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

// === impl ServerAuth ===

impl ServerAuth {
    /// The requirements of `files`.
    ///
    /// # Errors
    /// If a file has the wrong content, or key and certificate do not match.
    pub fn load(files: &ServerAuthFiles) -> Result<Self, InvalidFiles> {
        let (contents, tls) = files.read()?;
        let tokens = contents.tokens().map(Tokens::of);
        Ok(Self {
            files: files.clone(),
            tls: tls.map(ArcSwap::from_pointee),
            tokens: tokens.map(ArcSwap::from_pointee),
        })
    }

    /// The TLS that a connection has to speak, if any.
    #[must_use]
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls
            .as_ref()
            .map(|tls| TlsAcceptor::from(tls.load_full()))
    }

    /// Whether a request with these headers presents a valid token, if one is required.
    #[must_use]
    pub fn authenticate(&self, headers: &HeaderMap) -> bool {
        let Some(tokens) = &self.tokens else {
            return true;
        };
        let sent = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let token = sent.and_then(|sent| {
            let (scheme, token) = sent.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        });
        token.is_some_and(|token| tokens.load().contains(token.trim_ascii()))
    }

    /// Reloads the files whenever they change.
    pub async fn follow(self: Arc<Self>, incidents: IncidentTracker) {
        if self.files == ServerAuthFiles::default() {
            return;
        }
        let mut before = self.files.read().ok().map(|(contents, _)| contents);
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            match self.files.read() {
                Ok((now, tls)) => {
                    if before.as_ref() != Some(&now) {
                        self.replace(tls, now.tokens().map(Tokens::of));
                        tracing::info!("certificate and tokens reloaded");
                        for skipped in now.skipped() {
                            tracing::warn!(reason = skipped, "certificate skipped");
                        }
                        before = Some(now);
                    }
                    incidents.recover();
                }
                Err(error) => incidents.fail("server_auth_files", || {
                    Diagnosis::new(&error, SERVER_AUTH_FILES)
                }),
            }
        }
    }

    fn replace(&self, tls: Option<ServerConfig>, tokens: Option<Tokens>) {
        if let Some((current, new)) = self.tls.as_ref().zip(tls) {
            current.store(Arc::new(new));
        }
        if let Some((current, new)) = self.tokens.as_ref().zip(tokens) {
            current.store(Arc::new(new));
        }
    }
}

/// The TLS handshake, with a timeout.
pub async fn handshake<C>(acceptor: &TlsAcceptor, stream: C) -> io::Result<TlsStream<C>>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

// === impl Tokens ===

impl Tokens {
    fn of<'a>(tokens: impl Iterator<Item = &'a str>) -> Self {
        Self(tokens.map(|token| Sha256::digest(token).into()).collect())
    }

    fn contains(&self, token: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(token).into();
        self.0.contains(&hash)
    }
}

// === impl ClientId ===

impl ClientId {
    /// By the client's certificate where it presented one, else by its address.
    #[must_use]
    pub fn of(address: std::net::IpAddr, tls: Option<&rustls::ServerConnection>) -> Self {
        let certificate = tls
            .and_then(|tls| tls.peer_certificates())
            .and_then(|chain| chain.first());
        Self(match certificate {
            Some(certificate) => hex::encode(Sha256::digest(certificate)).into(),
            None => address.to_canonical().to_string().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_token_is_accepted_and_nothing_that_looks_like_one() {
        let tokens = Tokens::of(["old-token", "new-token"].into_iter());
        let auth = ServerAuth {
            tokens: Some(ArcSwap::from_pointee(tokens)),
            ..ServerAuth::default()
        };
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            auth.authenticate(&headers)
        };
        assert!(accepts("Bearer old-token") && accepts("bearer new-token"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer old",
            "old-token",
            "Basic old-token",
            "Bearer old-token new-token",
        ] {
            assert!(!accepts(wrong), "{wrong:?}");
        }
        assert!(!auth.authenticate(&HeaderMap::new()));
        assert!(ServerAuth::default().authenticate(&HeaderMap::new()));
        assert!(!format!("{auth:?}").contains("token\""));
    }
}
