//! What a listener asks of those who are not of its own pod: TLS, and a bearer token or a client certificate.
//!
//! In: four settings, each a file's path. Out: [`DoorFiles`], and what they hold now as [`Readable`]. Files rotate, so that the
//! door reads them again by the same code. Keys and tokens are in no `Debug`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::certificates::{Bundle, Unreadable};
use super::values::{self, Expected};
use super::{Setting, settings};
use crate::config::loader::Reader;
use crate::inbound::server_auth::{ServerAuth, ServerAuthError};

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Where certificates and tokens stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DoorFiles {
    /// The certificate chain.
    pub chain: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The authority of client certificates.
    pub client_ca: Option<PathBuf>,
    /// Bearer tokens, one a line.
    pub tokens: Option<PathBuf>,
}

/// What the files hold.
#[derive(PartialEq)]
pub struct Readable {
    /// For TLS.
    pub keys: Option<Keys>,
    /// Bearer tokens, one a line.
    pub tokens: Option<Zeroizing<String>>,
}

/// What TLS is spoken with.
#[derive(PartialEq)]
pub struct Keys {
    /// The certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Of the certificate.
    pub key: PrivateKeyDer<'static>,
    /// Whose client certificates are asked for.
    pub client_ca: Option<Bundle>,
}

impl Readable {
    /// What of it cannot be used, one line each.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        let client_ca = self.keys.as_ref().and_then(|keys| keys.client_ca.as_ref());
        client_ca.map_or(&[], |bundle| &bundle.skipped)
    }
}

impl fmt::Debug for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readable").finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl DoorFiles {
    /// What is asked of those who come in, in words.
    #[must_use]
    pub fn asks(&self) -> &'static str {
        match (&self.chain, &self.client_ca, &self.tokens) {
            (None, _, None) => "nothing",
            (None, _, Some(_)) => "a bearer token",
            (Some(_), None, None) => "TLS",
            (Some(_), None, Some(_)) => "TLS and a bearer token",
            (Some(_), Some(_), None) => "TLS and a client certificate",
            (Some(_), Some(_), Some(_)) => "TLS, a client certificate and a bearer token",
        }
    }

    /// Reads them all.
    ///
    /// # Errors
    /// One for each file that does not hold what it should.
    pub fn read(&self) -> Result<Readable, Vec<Unreadable>> {
        let mut faults = Vec::new();
        let chain = read(
            &self.chain,
            &settings::LISTEN_TLS_CERT,
            certificates,
            &mut faults,
        );
        let key = read(&self.key, &settings::LISTEN_TLS_KEY, key, &mut faults);
        let client_ca = read(
            &self.client_ca,
            &settings::LISTEN_CLIENT_CA,
            Bundle::read,
            &mut faults,
        );
        let tokens = read(
            &self.tokens,
            &settings::LISTEN_BEARER_TOKEN_FILE,
            tokens,
            &mut faults,
        );
        if !faults.is_empty() {
            return Err(faults);
        }
        let keys = chain.zip(key).map(|(chain, key)| Keys {
            chain,
            key,
            client_ca,
        });
        Ok(Readable { keys, tokens })
    }
}

fn read<T>(
    path: &Option<PathBuf>,
    setting: &'static Setting,
    parse: impl Fn(&Path) -> Result<T, String>,
    faults: &mut Vec<Unreadable>,
) -> Option<T> {
    let read = parse(path.as_ref()?);
    read.map_err(|expected| faults.push(Unreadable { setting, expected }))
        .ok()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
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
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .peekable();
    if lines.peek().is_none() || lines.any(|token| token.len() < SHORTEST_TOKEN) {
        return Err(format!(
            "a file of tokens, one a line, each of at least {SHORTEST_TOKEN} characters"
        ));
    }
    Ok(text)
}

impl Reader<'_> {
    /// Where senders write to, and what is asked of them there.
    pub(super) fn listen(&mut self) -> Option<(SocketAddr, DoorFiles)> {
        let open = self.parse(&settings::ALLOW_NON_LOOPBACK, values::switch);
        let listen = self.parse(&settings::LISTEN, values::socket_address);
        let door = self.door()?;
        let (open, listen) = (open?, listen?);
        let asks = door.chain.is_some() && (door.client_ca.is_some() || door.tokens.is_some());
        if !open && !asks && !listen.ip().is_loopback() {
            let expected = "a loopback address; or TLS with --listen-bearer-token-file or --listen-client-ca; or \
                            --allow-non-loopback";
            self.fault(&settings::LISTEN, expected);
            return None;
        }
        Some((listen, door))
    }

    fn door(&mut self) -> Option<DoorFiles> {
        let path = |text: &str| Ok::<_, Expected>(PathBuf::from(text));
        let files = DoorFiles {
            chain: self.parse_given(&settings::LISTEN_TLS_CERT, path),
            key: self.parse_given(&settings::LISTEN_TLS_KEY, path),
            client_ca: self.parse_given(&settings::LISTEN_CLIENT_CA, path),
            tokens: self.parse_given(&settings::LISTEN_BEARER_TOKEN_FILE, path),
        };
        let before = self.faults.len();
        let tls = files.chain.is_some();
        if tls != files.key.is_some() {
            let lacks = if tls {
                &settings::LISTEN_TLS_KEY
            } else {
                &settings::LISTEN_TLS_CERT
            };
            self.fault(lacks, "both a certificate and its key, or neither");
        }
        for (file, setting) in [
            (&files.client_ca, &settings::LISTEN_CLIENT_CA),
            (&files.tokens, &settings::LISTEN_BEARER_TOKEN_FILE),
        ] {
            if file.is_some() && !tls {
                self.fault(
                    setting,
                    "TLS beside it (--listen-tls-cert, --listen-tls-key), or none of it",
                );
            }
        }
        match ServerAuth::open(&files) {
            Ok(_) => {
                let readable = files.read().ok();
                for words in readable.iter().flat_map(Readable::skipped) {
                    self.warn(&settings::LISTEN_CLIENT_CA, words);
                }
            }
            Err(ServerAuthError::Tls(error)) => {
                let expected = format!(
                    "a key that fits the certificate, and authorities that are some ({error})"
                );
                self.fault(&settings::LISTEN_TLS_KEY, &expected);
            }
            Err(ServerAuthError::Unreadable(unreadable)) => {
                for Unreadable { setting, expected } in unreadable {
                    self.fault(setting, &expected);
                }
            }
        }
        (self.faults.len() == before).then_some(files)
    }
}
