//! Certificates as Roles Anywhere reads them: parsed by `x509-parser`, which the sidecar does not use, and trusted by the rules of
//! the user guide's page on the trust model.
//!
//! In: the two headers, and the trust anchor's certificate. Out: the end-entity certificate, its chain verified signature by
//! signature up to the anchor; or why not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, UnparsedPublicKey, VerificationAlgorithm,
};
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::sha2::Sha256;
use rsa::signature::Verifier as _;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate, X509Name};

use super::refusal::AnywhereRefusal;
use crate::iam::ConditionKeys;

pub(super) const RSA: &str = "AWS4-X509-RSA-SHA256";
pub(super) const ECDSA: &str = "AWS4-X509-ECDSA-SHA256";
/// The user guide: the chain holds at most so many certificates.
const CHAIN_AT_MOST: usize = 5;

/// The certificates of a request, undecoded.
#[derive(Debug)]
pub(super) struct PresentedChain(Vec<Vec<u8>>);

// === impl PresentedChain ===

impl PresentedChain {
    /// Of the headers `x-amz-x509` and `x-amz-x509-chain`.
    pub(super) fn decode(leaf: &str, chain: Option<&str>) -> Result<Self, AnywhereRefusal> {
        let rest = chain.into_iter().flat_map(|chain| chain.split(','));
        let decoded = std::iter::once(leaf)
            .chain(rest)
            .map(|text| STANDARD.decode(text.trim()));
        let all: Result<Vec<_>, _> = decoded.collect();
        let all = all.map_err(|_| AnywhereRefusal::InvalidCertificate)?;
        if all.len() > 1 + CHAIN_AT_MOST {
            return Err(AnywhereRefusal::InvalidCertificate);
        }
        Ok(Self(all))
    }

    pub(super) fn parse(&self) -> Result<Vec<X509Certificate<'_>>, AnywhereRefusal> {
        let parsed = self
            .0
            .iter()
            .map(|der| match X509Certificate::from_der(der) {
                Ok(([], certificate)) => Ok(certificate),
                Ok(_) | Err(_) => Err(AnywhereRefusal::InvalidCertificate),
            });
        parsed.collect()
    }
}

/// Whether `signature` over `text` was made with the certificate's key, by this algorithm.
pub(super) fn signed(
    certificate: &X509Certificate<'_>,
    algorithm: &str,
    text: &str,
    signature: &[u8],
) -> bool {
    let key = certificate.public_key();
    let kind = &key.algorithm.algorithm;
    let bits = key.subject_public_key.data.as_ref();
    if algorithm == RSA && *kind == OID_PKCS1_RSAENCRYPTION {
        let key = RsaPublicKey::from_pkcs1_der(bits).map(VerifyingKey::<Sha256>::new);
        let signature = Signature::try_from(signature);
        return key.is_ok_and(|key| {
            signature.is_ok_and(|signature| key.verify(text.as_bytes(), &signature).is_ok())
        });
    }
    let parameters = key.algorithm.parameters.as_ref();
    let curve = parameters.and_then(|parameters| parameters.as_oid().ok());
    let by: &dyn VerificationAlgorithm = match curve {
        Some(oid) if oid == OID_EC_P256 => &ECDSA_P256_SHA256_ASN1,
        Some(oid) if oid == OID_NIST_EC_P384 => &ECDSA_P384_SHA256_ASN1,
        _ => return false,
    };
    algorithm == ECDSA
        && *kind == OID_KEY_TYPE_EC_PUBLIC_KEY
        && UnparsedPublicKey::new(by, bits)
            .verify(text.as_bytes(), signature)
            .is_ok()
}

/// Whether the first certificate is an end entity's that leads to `anchor`, all of them valid at `now` (seconds since 1970).
pub(super) fn trusted(
    presented: &[X509Certificate<'_>],
    anchor: &[u8],
    now: i64,
) -> Result<(), AnywhereRefusal> {
    let anchor = X509Certificate::from_der(anchor);
    let (Ok((_, anchor)), [leaf, rest @ ..]) = (anchor, presented) else {
        return Err(AnywhereRefusal::InvalidCertificate);
    };
    let now =
        ASN1Time::from_timestamp(now).map_err(|_| AnywhereRefusal::UntrustedSigningCertificate)?;
    let constraints = leaf.basic_constraints().ok().flatten();
    let usage = leaf.key_usage().ok().flatten();
    if constraints.is_none_or(|constraints| constraints.value.ca)
        || !usage.is_some_and(|usage| usage.value.digital_signature())
    {
        return Err(AnywhereRefusal::InsufficientCertificate);
    }
    let mut subject = leaf;
    // Each is used once at most, so that no circle is followed for ever.
    let mut unused: Vec<_> = rest.iter().chain([&anchor]).collect();
    loop {
        if !subject.validity().is_valid_at(now) {
            return Err(AnywhereRefusal::UntrustedSigningCertificate);
        }
        if subject.as_ref() == anchor.as_ref() {
            return Ok(());
        }
        let issuer = unused.iter().position(|candidate| {
            candidate.is_ca()
                && candidate.subject() == subject.issuer()
                && subject
                    .verify_signature(Some(candidate.public_key()))
                    .is_ok()
        });
        let at = issuer.ok_or(AnywhereRefusal::UntrustedSigningCertificate)?;
        subject = unused.remove(at);
    }
}

/// The common name, which becomes the source identity.
pub(super) fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_common_name();
    Some(names.next()?.as_str().ok()?.to_owned())
}

/// The attributes that become session tags by a profile's default mapping: of subject and issuer.
pub(super) fn tags(certificate: &X509Certificate<'_>) -> Vec<(String, String)> {
    let of = |prefix: &str, name: &X509Name<'_>| {
        let attributes = name.iter_attributes().filter_map(|attribute| {
            let oid = attribute.attr_type().to_id_string();
            let short = match oid.as_str() {
                "2.5.4.3" => "CN",
                "2.5.4.6" => "C",
                "2.5.4.7" => "L",
                "2.5.4.8" => "ST",
                "2.5.4.10" => "O",
                "2.5.4.11" => "OU",
                _ => return None,
            };
            let value = attribute.as_str().ok()?;
            Some((format!("{prefix}/{short}"), value.to_owned()))
        });
        attributes.collect::<Vec<_>>()
    };
    let mut tags = of("x509Subject", certificate.subject());
    tags.extend(of("x509Issuer", certificate.issuer()));
    tags
}

/// What a trust policy may ask about.
pub(super) fn condition_keys(
    tags: &[(String, String)],
    source_identity: Option<&str>,
    session_name: &str,
    anchor_arn: &str,
) -> ConditionKeys {
    let mut keys = ConditionKeys::new();
    let mut add = |key: String, value: &str| {
        keys.entry(key).or_default().push(value.to_owned());
    };
    for (key, value) in tags {
        add(format!("aws:PrincipalTag/{key}"), value);
        add(format!("aws:RequestTag/{key}"), value);
        add("aws:TagKeys".into(), key);
    }
    if let Some(identity) = source_identity {
        add("sts:SourceIdentity".into(), identity);
    }
    add("sts:RoleSessionName".into(), session_name);
    add("aws:SourceArn".into(), anchor_arn);
    let account = anchor_arn.split(':').nth(4).unwrap_or_default();
    add("aws:SourceAccount".into(), account);
    keys
}
