//! How senders reach a gateway: over TLS, with a bearer token.
//!
//! In: a folder. Out: in it `tls.crt`, `tls.key` and `tokens`, as the sidecar takes them; and a client's configuration. The authority
//! is of its own: that of the world keeps its keys to itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};

use super::error::Error;

/// The senders' bearer token.
pub(crate) const TOKEN: &str = "of-the-comparison-0123456789";

/// A gateway's way in.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    pub(crate) folder: PathBuf,
    pub(crate) client: Arc<ClientConfig>,
}

// === impl Entrance ===

impl Entrance {
    /// Writes the files.
    pub(crate) fn create(folder: &Path) -> Result<Self, Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = ["127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        for (name, text) in [
            ("tls.crt", certificate.pem()),
            ("tls.key", key.serialize_pem()),
            ("tokens", TOKEN.to_owned()),
        ] {
            std::fs::write(folder.join(name), text).map_err(Error::Io)?;
        }
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            folder: folder.to_owned(),
            client: Arc::new(client),
        })
    }
}
