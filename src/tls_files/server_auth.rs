//! The listener's TLS and client authentication files: certificate, private key, client CA, bearer tokens.
//!
//! In: the paths of up to four files. Out: [`ServerAuthContents`], from which the listener's TLS configuration is built, or one
//! error per file. Whether key and certificate match is checked here too, so that a valid configuration can be served.
//! Keys and tokens are in no `Debug`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use super::bundle::CaBundle;
use super::file::{InvalidFile, InvalidFiles, TlsFile};

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// The files that the listener's settings name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerAuthFiles {
    /// The certificate chain.
    pub certificate: Option<TlsFile>,
    /// The certificate's private key.
    pub key: Option<TlsFile>,
    /// The CA of client certificates.
    pub client_ca: Option<TlsFile>,
    /// Bearer tokens, one a line.
    pub bearer_tokens: Option<TlsFile>,
}

/// The content of these files; comparable, to detect changes.
#[derive(PartialEq)]
pub(crate) struct ServerAuthContents {
    identity: Option<TlsIdentity>,
    client_ca: Option<CaBundle>,
    bearer_tokens: Option<Zeroizing<String>>,
}

#[derive(PartialEq)]
struct TlsIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

// === impl ServerAuthFiles ===

impl ServerAuthFiles {
    /// What a client has to present, in words.
    pub(crate) fn describe(&self) -> &'static str {
        match (&self.certificate, &self.client_ca, &self.bearer_tokens) {
            (None, _, None) => "nothing",
            (None, _, Some(_)) => "a bearer token",
            (Some(_), None, None) => "TLS",
            (Some(_), None, Some(_)) => "TLS and a bearer token",
            (Some(_), Some(_), None) => "TLS and a client certificate",
            (Some(_), Some(_), Some(_)) => "TLS, a client certificate and a bearer token",
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &TlsFile> {
        let Self {
            certificate,
            key,
            client_ca,
            bearer_tokens,
        } = self;
        [certificate, key, client_ca, bearer_tokens]
            .into_iter()
            .flatten()
    }

    /// Reads them all, and builds the TLS configuration; `None` without a certificate and its key.
    ///
    /// # Errors
    /// One per invalid file.
    pub(crate) fn read(&self) -> Result<(ServerAuthContents, Option<ServerConfig>), InvalidFiles> {
        let mut invalid = Vec::new();
        let chain = read(&self.certificate, chain, &mut invalid);
        let key = read(&self.key, key, &mut invalid);
        let client_ca = read(&self.client_ca, CaBundle::read, &mut invalid);
        let bearer_tokens = read(&self.bearer_tokens, tokens, &mut invalid);
        if !invalid.is_empty() {
            return Err(InvalidFiles(invalid));
        }
        let identity = chain.zip(key);
        let contents = ServerAuthContents {
            identity: identity.map(|(chain, key)| TlsIdentity { chain, key }),
            client_ca,
            bearer_tokens,
        };
        match (contents.tls(), &self.key) {
            (Ok(tls), _) => Ok((contents, tls)),
            (Err(error), key) => {
                let expected = format!(
                    "a private key that matches the certificate, and valid CA certificates ({error})"
                );
                let invalid = key.iter().map(|file| file.invalid(expected.clone()));
                Err(InvalidFiles(invalid.collect()))
            }
        }
    }
}

fn read<T>(
    file: &Option<TlsFile>,
    parse: impl Fn(&Path) -> Result<T, String>,
    invalid: &mut Vec<InvalidFile>,
) -> Option<T> {
    let read = file.as_ref()?.read(parse);
    read.map_err(|error| invalid.push(error)).ok()
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("a readable PEM file ({error})"))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err("a PEM file with at least one certificate".to_owned()),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("a readable PEM file ({error})"))?;
    let pem = Zeroizing::new(pem);
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| "a PEM file with an unencrypted private key".to_owned())
}

fn tokens(path: &Path) -> Result<Zeroizing<String>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("a readable text file ({error})"))?;
    let text = Zeroizing::new(text);
    let shortest = lines(&text).map(str::len).min();
    if shortest.is_none_or(|length| length < SHORTEST_TOKEN) {
        return Err(format!(
            "a file of bearer tokens, one per line, each at least {SHORTEST_TOKEN} characters long"
        ));
    }
    Ok(text)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

// === impl ServerAuthContents ===

impl ServerAuthContents {
    /// The skipped certificates of the CA bundle, one line each.
    pub(crate) fn skipped(&self) -> &[String] {
        let client_ca = self.client_ca.as_ref();
        client_ca.map_or(&[], |bundle| &bundle.skipped)
    }

    /// The bearer tokens; `None` if none are required.
    pub(crate) fn tokens(&self) -> Option<impl Iterator<Item = &str>> {
        self.bearer_tokens.as_deref().map(|text| lines(text))
    }

    fn tls(&self) -> Result<Option<ServerConfig>, rustls::Error> {
        let Some(TlsIdentity { chain, key }) = &self.identity else {
            return Ok(None);
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(bundle) => {
                let mut roots = RootCertStore::empty();
                for certificate in &bundle.certificates {
                    roots.add(certificate.clone())?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| rustls::Error::General(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain.clone(), key.clone_key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(config))
    }
}

impl fmt::Debug for ServerAuthContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAuthContents").finish_non_exhaustive()
    }
}
