//! Who may come in, where others than the own pod can knock.
//!
//! In: the files that the configuration names. Out: a [`ServerAuth`]: connections pass it by TLS, with a client certificate where an
//! authority for them is named; requests pass it by a bearer token where a file of tokens is named (one a line, so that an
//! old and a new one can be in use at once). On loopback without any of these it stands open.
//!
//! Certificates and tokens rotate: the files are looked at every [`LOOK`], and what is whole replaces what was before, for new
//! connections and requests. What is not (a certificate without its key yet) is said, and the old one stays.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{DoorFiles, Keys, Readable, Unreadable};
use crate::remedies::SERVER_AUTH_FILES;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A handshake that takes longer is none.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(10);

/// Lets connections and requests in.
#[derive(Debug, Default)]
pub struct ServerAuth {
    files: DoorFiles,
    tls: Option<ArcSwap<ServerConfig>>,
    tokens: Option<ArcSwap<Tokens>>,
}

/// Why a door cannot be made of its files.
#[derive(Debug, thiserror::Error)]
pub enum ServerAuthError {
    /// Some of them do not hold what they should.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unreadable(Vec<Unreadable>),
    /// The key does not fit the certificate, or an authority is none.
    #[error(
        "--listen-tls-key: expected a key that fits the certificate, and authorities that are some ({0})"
    )]
    Tls(#[from] rustls::Error),
}

/// Hashes of the tokens that are valid, which take equally long to compare whatever was sent.
#[derive(Default)]
struct Tokens(Vec<[u8; 32]>);

/// A sender from elsewhere, as far as its share of the room is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(Arc<str>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

// === impl Door ===

impl ServerAuth {
    /// A door with the locks that `files` names.
    ///
    /// # Errors
    /// [`ServerAuthError`].
    pub fn open(files: &DoorFiles) -> Result<Self, ServerAuthError> {
        let readable = files.read().map_err(ServerAuthError::Unreadable)?;
        let keys = readable.keys.as_ref();
        let tls = keys.map(server).transpose()?.map(ArcSwap::from_pointee);
        let tokens = readable.tokens.as_deref().map(|text| Tokens::of(text));
        Ok(Self {
            files: files.clone(),
            tls,
            tokens: tokens.map(ArcSwap::from_pointee),
        })
    }

    /// What a connection has to go through, if anything.
    #[must_use]
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls
            .as_ref()
            .map(|tls| TlsAcceptor::from(tls.load_full()))
    }

    /// Whether a request with these headers is let in.
    #[must_use]
    pub fn authenticates(&self, headers: &HeaderMap) -> bool {
        let Some(tokens) = &self.tokens else {
            return true;
        };
        let sent = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let token = sent.and_then(|sent| {
            let (scheme, token) = sent.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        });
        token.is_some_and(|token| tokens.load().holds(token.trim_ascii()))
    }

    /// Takes what the files hold, whenever that changes.
    pub async fn follow(self: Arc<Self>, incidents: IncidentTracker) {
        if self.files == DoorFiles::default() {
            return;
        }
        let mut before = self.files.read().ok();
        loop {
            tokio::time::sleep(LOOK).await;
            let read = self.files.read().map_err(ServerAuthError::Unreadable);
            if matches!((&read, &before), (Ok(now), Some(before)) if now == before) {
                incidents.recover();
                continue;
            }
            match read.and_then(|now| self.take(&now).map(|()| now)) {
                Ok(now) => {
                    tracing::info!("certificate and tokens reloaded");
                    for skipped in now.skipped() {
                        tracing::warn!(reason = skipped, "certificate skipped");
                    }
                    before = Some(now);
                    incidents.recover();
                }
                Err(error) => incidents.fail("server_auth_files", || {
                    Diagnosis::new(&error, SERVER_AUTH_FILES)
                }),
            }
        }
    }

    fn take(&self, readable: &Readable) -> Result<(), ServerAuthError> {
        if let (Some(tls), Some(keys)) = (&self.tls, &readable.keys) {
            tls.store(Arc::new(server(keys)?));
        }
        if let (Some(tokens), Some(text)) = (&self.tokens, readable.tokens.as_deref()) {
            tokens.store(Arc::new(Tokens::of(text)));
        }
        Ok(())
    }
}

/// The handshake, in bounded time.
///
/// # Errors
/// What went wrong with it.
pub async fn handshake<C>(acceptor: &TlsAcceptor, stream: C) -> io::Result<TlsStream<C>>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    tokio::time::timeout(LONGEST_HANDSHAKE, acceptor.accept(stream))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn server(keys: &Keys) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &keys.client_ca {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in &authorities.certificates {
                roots.add(authority.clone())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(keys.chain.clone(), keys.key.clone_key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

// === impl Tokens ===

impl Tokens {
    fn of(text: &str) -> Self {
        let tokens = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Self(tokens.map(|token| Sha256::digest(token).into()).collect())
    }

    fn holds(&self, token: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(token).into();
        self.0.contains(&hash)
    }
}

// === impl Client ===

impl ClientId {
    /// Who is at the other end: by its certificate where it showed one, else by its address.
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
    fn a_token_opens_and_nothing_that_looks_like_one() {
        let server_auth = ServerAuth {
            tokens: Some(ArcSwap::from_pointee(Tokens::of(
                "old-token\n new-token \n\n",
            ))),
            ..ServerAuth::default()
        };
        let authenticates = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            server_auth.authenticates(&headers)
        };
        assert!(authenticates("Bearer old-token") && authenticates("bearer new-token"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer old",
            "old-token",
            "Basic old-token",
            "Bearer old-token new-token",
        ] {
            assert!(!authenticates(wrong), "{wrong:?}");
        }
        assert!(!server_auth.authenticates(&HeaderMap::new()));
        assert!(ServerAuth::default().authenticates(&HeaderMap::new()));
        assert!(!format!("{server_auth:?}").contains("token\""));
    }
}
