//! A certificate with its chain and its private key: who signs.
//!
//! In: the content of two PEM files, as cert-manager, Vault or openssl write them; a key as PKCS#1, PKCS#8 or SEC1. Out: a [`Signer`], or
//! a [`SignerError`] that says what the files contain instead. What AWS would refuse for certain is an error here, since AWS names no cause;
//! the time is not checked, because this machine's clock may be the one that is wrong.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::SignatureAlgorithm;
use rustls::SignatureScheme::{ECDSA_NISTP256_SHA256, RSA_PKCS1_SHA256};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;

use super::certificate::Certificate;
use super::error::SignerError;
use crate::credentials::last_sent::Digest;

/// Who signs.
pub struct Signer {
    leaf: Certificate,
    /// The certificates after it, without a root.
    chain: Vec<Certificate>,
    key: Arc<dyn SigningKey>,
}

// === impl Signer ===

impl Signer {
    /// The certificate in the file `certificate` with the key in the file `key`.
    pub(super) fn of(
        (certificate, chain): (&Path, &[u8]),
        (key, pem): (&Path, &[u8]),
    ) -> Result<Self, SignerError> {
        let mut chain = certificates(certificate, chain)?.into_iter();
        let key_of = private_key(key, pem)?;
        let public_key = key_of.public_key();
        let is_ours = |certificate: &Certificate| {
            public_key.as_ref().map(AsRef::as_ref) == Some(certificate.public_key.as_slice())
        };
        let leaf = chain.next().ok_or_else(|| SignerError::NoCertificate {
            path: certificate.to_owned(),
            held: String::new(),
        })?;
        let chain: Vec<Certificate> = chain.collect();
        let unfit = |what: String| SignerError::Unfit {
            path: certificate.to_owned(),
            what,
        };
        if let Some(at) = chain.iter().position(is_ours).filter(|_| !is_ours(&leaf)) {
            let what = format!(
                "the certificate of the private key is number {}, not the first",
                at + 2
            );
            return Err(unfit(what));
        }
        if leaf.is_ca {
            let what = format!(
                "{} is a certificate authority, not a certificate that it issued",
                leaf.subject
            );
            return Err(unfit(what));
        }
        if !is_ours(&leaf) {
            return Err(SignerError::Mismatch {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            });
        }
        if !leaf.may_sign {
            return Err(unfit("its key usage lacks digitalSignature".to_owned()));
        }
        let before = std::iter::once(&leaf).chain(&chain);
        if let Some(at) = before
            .zip(&chain)
            .position(|(issued, issuer)| !issued.is_issued_by(issuer))
        {
            let what = format!(
                "certificate {} is not issued by certificate {}",
                at + 1,
                at + 2
            );
            return Err(unfit(what));
        }
        Ok(Self {
            leaf,
            chain: chain
                .into_iter()
                .filter(|certificate| !certificate.is_self_issued())
                .collect(),
            key: key_of,
        })
    }

    /// The certificate of the key.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.leaf
    }

    /// The algorithm's name in the signature.
    pub(super) fn algorithm(&self) -> &'static str {
        match self.key.algorithm() {
            SignatureAlgorithm::RSA => "AWS4-X509-RSA-SHA256",
            _ => "AWS4-X509-ECDSA-SHA256",
        }
    }

    /// The certificate for its header.
    pub(super) fn encoded(&self) -> String {
        BASE64.encode(&self.leaf.der)
    }

    /// The certificates after it for their header, if there are any.
    pub(super) fn encoded_chain(&self) -> Option<String> {
        let encoded = self.chain.iter().map(|one| BASE64.encode(&one.der));
        let encoded: Vec<String> = encoded.collect();
        (!encoded.is_empty()).then(|| encoded.join(","))
    }

    /// Signs `text` with SHA-256: RSA by PKCS#1 v1.5, ECDSA in DER.
    pub(super) fn sign(&self, text: &str) -> Option<Vec<u8>> {
        let signer = self
            .key
            .choose_scheme(&[RSA_PKCS1_SHA256, ECDSA_NISTP256_SHA256])?;
        signer.sign(text.as_bytes()).ok()
    }

    /// Tells this certificate from another.
    pub(super) fn digest(&self) -> Digest {
        Digest::of([self.leaf.der.as_slice()])
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("subject", &self.leaf.subject())
            .finish_non_exhaustive()
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<Certificate>, SignerError> {
    let none = |held: &str| SignerError::NoCertificate {
        path: path.to_owned(),
        held: held.to_owned(),
    };
    let mut parsed = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|_| none("; its PEM is damaged or cut off"))?;
        let certificate = Certificate::parse(&der);
        parsed.push(certificate.ok_or_else(|| none("; one of its entries is not X.509"))?);
    }
    if !parsed.is_empty() {
        return Ok(parsed);
    }
    Err(match pem {
        [] => none("; it is empty"),
        // A sequence with a long length, where PEM is text.
        [0x30, 0x82, ..] => none("; this is DER: openssl x509 -inform der converts it"),
        _ if has(pem, "PRIVATE KEY-----") => none("; this holds a private key"),
        _ => none(""),
    })
}

fn private_key(path: &Path, pem: &[u8]) -> Result<Arc<dyn SigningKey>, SignerError> {
    let unfit = |what: &'static str| SignerError::NoKey {
        path: path.to_owned(),
        what,
    };
    if has(pem, "BEGIN ENCRYPTED PRIVATE KEY") || has(pem, "Proc-Type: 4,ENCRYPTED") {
        return Err(unfit("the private key is encrypted"));
    }
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| match pem {
        [] => unfit("it is empty"),
        _ if has(pem, "BEGIN CERTIFICATE") => unfit("this holds a certificate"),
        _ => unfit("it holds no private key as PEM"),
    })?;
    let unsupported = "the private key is neither RSA with 2048 to 4096 bits nor ECDSA on P-256";
    let key = any_supported_type(&der).map_err(|_| unfit(unsupported))?;
    // P-384 can only be signed with SHA-384 here, and AWS takes SHA-256.
    let can_sign = key.choose_scheme(&[RSA_PKCS1_SHA256, ECDSA_NISTP256_SHA256]);
    can_sign
        .map(|_| key.clone())
        .ok_or_else(|| unfit(unsupported))
}

fn has(pem: &[u8], words: &str) -> bool {
    pem.windows(words.len())
        .any(|part| part == words.as_bytes())
}
