//! Certificates: an authority of the world's own, and leaves that it signed,
//! or should have.
//!
//! In: the names that the leaf is for. Out: the authority as PEM for
//! `AWS_CA_BUNDLE`, a rustls server configuration, and a client configuration
//! that trusts this authority alone. Which leaf is shown can be changed while
//! connections come, so that one run sees a good certificate turn bad and good
//! again.
//!
//! Invariant: the leaf is never the root. A rustls peer refuses a self-signed
//! certificate in both roles, so there is always a chain of two.

use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};

/// Which certificate a TLS server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presented {
    /// One that a client trusting the world's authority accepts.
    #[default]
    Trusted,
    /// One of the same authority for another host.
    WrongName,
    /// One of the same authority whose time is over.
    Expired,
    /// One for the right names of an authority that nobody knows.
    UnknownAuthority,
}

/// Why no certificates could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// rustls refused it.
    #[error("rustls refuses the certificate")]
    Refused(#[from] rustls::Error),
}

/// The authority and its leaves. Clones share which leaf is shown.
#[derive(Debug, Clone)]
pub struct Certificates {
    ca_pem: String,
    shown: Arc<Shown>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

#[derive(Debug)]
struct Shown {
    now: Mutex<Presented>,
    trusted: Arc<CertifiedKey>,
    wrong_name: Arc<CertifiedKey>,
    expired: Arc<CertifiedKey>,
    unknown_authority: Arc<CertifiedKey>,
}

// === impl Certificates ===

impl Certificates {
    /// Makes an authority and leaves for `names`, DNS names or IP addresses.
    ///
    /// # Errors
    /// When a name is neither.
    pub fn new(names: &[String]) -> Result<Self, TlsError> {
        let provider = Arc::new(default_provider());
        let known = authority("amp-sidecar emulator CA")?;
        let stranger = authority("another CA")?;
        let good = CertificateParams::new(names)?;
        let mut expired = good.clone();
        expired.not_before = date_time_ymd(2001, 1, 1);
        expired.not_after = date_time_ymd(2001, 2, 1);
        let elsewhere = CertificateParams::new(["elsewhere.invalid".to_owned()])?;
        let shown = Arc::new(Shown {
            now: Mutex::default(),
            trusted: leaf(good.clone(), &known, &provider)?,
            wrong_name: leaf(elsewhere, &known, &provider)?,
            expired: leaf(expired, &known, &provider)?,
            unknown_authority: leaf(good, &stranger, &provider)?,
        });
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session shows no certificate, and would not notice that another is presented.
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut roots = RootCertStore::empty();
        roots.add(known.der().clone())?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            ca_pem: known.pem(),
            shown,
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A client configuration that trusts this authority alone.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// Shows this certificate to every connection from now on.
    pub fn present(&self, presented: Presented) {
        *self
            .shown
            .now
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = presented;
    }

    /// For servers of a test's own.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

// === impl Shown ===

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = *self.now.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(match now {
            Presented::Trusted => &self.trusted,
            Presented::WrongName => &self.wrong_name,
            Presented::Expired => &self.expired,
            Presented::UnknownAuthority => &self.unknown_authority,
        }))
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn leaf(
    mut params: CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
        .distinguished_name
        .push(DnType::CommonName, "amp-sidecar emulator");
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = provider.key_provider.load_private_key(key)?;
    Ok(Arc::new(CertifiedKey::new(
        vec![certificate.der().clone()],
        key,
    )))
}
