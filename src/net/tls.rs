//! Which certificates are trusted, and the TLS settings, for AMP, STS, Entra and a collector alike.
//!
//! In: certificates to trust in addition to the built-in Mozilla roots. Out: a [`Trust`], which every new connection reads, so a rotated
//! bundle takes effect with the next connection and needs no restart; [`follow`] checks the files. TLS is 1.2 or 1.3 with HTTP/1.1, and
//! is never skipped or downgraded.
//!
//! A verifier of our own that swaps its roots was rejected: rustls resumes sessions without calling a verifier, so a removed root would
//! stay trusted. Each set of roots has its own configuration and its own sessions.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::tls_files::{CaBundle, InvalidFile, TlsFile};

/// How often certificate files are checked.
const LOOK: Duration = Duration::from_secs(2);

/// The current trusted certificates; clones share them.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ArcSwap<ClientConfig>>);

// === impl Trust ===

impl Trust {
    /// Trusts the built-in roots and `extra`.
    ///
    /// # Errors
    /// If a certificate of `extra` is not a valid root.
    pub fn new(extra: &[CertificateDer<'static>]) -> Result<Self, rustls::Error> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(client(extra)?))))
    }

    /// The current TLS configuration.
    #[must_use]
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.0.load_full()
    }

    /// Trusts the built-in roots and `extra` from now on, for new connections.
    ///
    /// # Errors
    /// As [`Self::new`]; then nothing changes.
    pub(crate) fn replace(&self, extra: &[CertificateDer<'static>]) -> Result<(), rustls::Error> {
        self.0.store(Arc::new(client(extra)?));
        Ok(())
    }
}

/// A client that trusts the built-in Mozilla roots and `extra`, and speaks TLS 1.2 or 1.3 and HTTP/1.1.
///
/// # Errors
/// If a certificate of `extra` is not a valid root.
pub fn client(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for root in extra {
        roots.add(root.clone())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Why new certificates are not trusted.
#[derive(Debug, thiserror::Error)]
pub enum NotTrusted {
    /// A file's content is invalid.
    #[error(transparent)]
    InvalidFile(#[from] InvalidFile),
    /// A certificate is not a valid root.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Reloads `files` into `trust` whenever they change; calls `files` each time, since a new configuration may name others. `report`
/// gets the result of each check; a file that cannot be read changes nothing.
pub async fn follow(
    files: impl Fn() -> Vec<TlsFile>,
    trust: impl Fn(&[CertificateDer<'static>]) -> Result<(), rustls::Error>,
    report: impl Fn(Result<(), NotTrusted>),
) {
    let mut before: Option<Vec<CaBundle>> = None;
    loop {
        let files = files();
        let read: Result<Vec<CaBundle>, InvalidFile> =
            files.iter().map(TlsFile::read_ca_bundle).collect();
        let result = match read {
            Ok(now) if before.as_ref() == Some(&now) => Ok(()),
            Ok(now) => {
                let certificates: Vec<_> = now
                    .iter()
                    .flat_map(|bundle| bundle.certificates.iter().cloned())
                    .collect();
                let trusted = trust(&certificates);
                if trusted.is_ok() {
                    // The start has already logged the first read.
                    if before.is_some() {
                        say(&files, &now);
                    }
                    before = Some(now);
                }
                trusted.map_err(NotTrusted::from)
            }
            Err(error) => Err(error.into()),
        };
        report(result);
        tokio::time::sleep(LOOK).await;
    }
}

fn say(files: &[TlsFile], bundles: &[CaBundle]) {
    for (file, bundle) in files.iter().zip(bundles) {
        tracing::info!(
            file = %file.path.display(),
            certificates = bundle.certificates.len(),
            "trusted certificates reloaded"
        );
        for skipped in &bundle.skipped {
            tracing::warn!(reason = skipped, "certificate skipped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use crate::config::Network;
    use crate::net::connect::{Connect, Connector};

    /// Responds to every request over TLS; its address, and the certificate to trust.
    async fn server() -> (String, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key);
        let root = certificate.unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![root.clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut tls) = acceptor.accept(tcp).await else {
                    continue;
                };
                let mut request = [0; 1024];
                // A client that only connects has gone.
                if tls.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                    tls.write_all(answer).await.unwrap_or_default();
                    tls.shutdown().await.unwrap_or_default();
                }
            }
        });
        (format!("https://{address}/"), root)
    }

    #[tokio::test]
    async fn roots_that_come_and_go_count_for_the_next_connection() {
        let (url, root) = server().await;
        let trust = Trust::new(&[]).unwrap();
        let url = url.parse().unwrap();
        let connector = Connector::new(&url, &Network::default(), &trust).unwrap();
        for (roots, trusted) in [
            (vec![], false),
            (vec![root.clone()], true),
            // A session from before is not resumed either.
            (vec![], false),
        ] {
            trust.replace(&roots).unwrap();
            for _ in 0..2 {
                assert_eq!(connector.connect().await.is_ok(), trusted);
            }
        }
        assert!(trust.replace(&[vec![0].into()]).is_err());
    }
}
