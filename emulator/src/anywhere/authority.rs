//! The certificate authority that the trust anchor holds, and the certificates that it issues.
//!
//! In: a [`LeafSpec`]. Out: an [`IssuedCertificate`] as PEM, which the world writes as cert-manager writes a Secret: the leaf first,
//! then the intermediate that signed it, and never the root.
//!
//! Only the default is a certificate that AWS accepts; each field of the spec can make one that it does not.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SerialNumber,
};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::pkcs8::LineEnding;
use rustls::pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;

use super::error::AnywhereError;
use crate::jwt::pooled;
use crate::sessions::random_bytes;

/// The pool's key of RSA certificates, which no token issuer uses.
const RSA_KEY: usize = 3;
/// Clocks differ.
const DATED_BACK: time::Duration = time::Duration::minutes(5);

/// The private key of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeafKey {
    /// ECDSA on P-256, as PKCS#8.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384, as PKCS#8.
    EcdsaP384,
    /// RSA with 2048 bits, as PKCS#1: cert-manager's default. All of these are one and the same key.
    Rsa,
}

/// What a certificate is to be like.
#[derive(Debug, Clone)]
pub struct LeafSpec {
    /// The subject's common name.
    pub common_name: String,
    /// The subject's organization.
    pub organization: Option<String>,
    /// Its key.
    pub key: LeafKey,
    /// How long it is valid from now on; negative if it has ended.
    pub life: time::Duration,
    /// How long ago it became valid, or negative: in how long it will.
    pub valid_since: time::Duration,
    /// Whether it is a certificate authority.
    pub is_ca: bool,
    /// Whether it says so: basic constraints.
    pub is_constrained: bool,
    /// Whether it may sign: `digitalSignature`.
    pub may_sign: bool,
    /// Whether another authority than the trust anchor's issued it.
    pub stranger: bool,
}

/// A certificate with its chain and key, as PEM.
#[derive(Clone)]
pub struct IssuedCertificate {
    /// The leaf, then the intermediate.
    pub chain: String,
    /// The private key.
    pub key: String,
    /// In hexadecimal, as sessions are named after it.
    pub serial: String,
}

/// A root and an intermediate.
#[derive(Debug)]
pub(super) struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

// === impl LeafSpec ===

impl Default for LeafSpec {
    fn default() -> Self {
        Self {
            common_name: "amp-sidecar".to_owned(),
            organization: None,
            key: LeafKey::default(),
            life: time::Duration::days(90),
            valid_since: DATED_BACK,
            is_ca: false,
            is_constrained: true,
            may_sign: true,
            stranger: false,
        }
    }
}

// === impl Authority ===

impl Authority {
    pub(super) fn new(name: &str) -> Result<Self, AnywhereError> {
        let root = CertifiedIssuer::self_signed(ca(name)?, KeyPair::generate()?)?;
        let params = ca(&format!("{name}, intermediate"))?;
        let intermediate = CertifiedIssuer::signed_by(params, KeyPair::generate()?, &root)?;
        Ok(Self { root, intermediate })
    }

    /// What the trust anchor holds.
    pub(super) fn root(&self) -> &[u8] {
        self.root.der()
    }

    pub(super) fn root_pem(&self) -> String {
        self.root.pem()
    }

    pub(super) fn issue(
        &self,
        spec: &LeafSpec,
        now: OffsetDateTime,
    ) -> Result<IssuedCertificate, AnywhereError> {
        let mut params = CertificateParams::new(Vec::new())?;
        let mut serial = random_bytes::<16>();
        serial[0] &= 0x7f;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let name = &mut params.distinguished_name;
        if let Some(organization) = &spec.organization {
            name.push(DnType::OrganizationName, organization);
        }
        name.push(DnType::CommonName, &spec.common_name);
        params.not_before = now - spec.valid_since;
        params.not_after = now + spec.life;
        params.is_ca = match (spec.is_ca, spec.is_constrained) {
            (true, _) => IsCa::Ca(BasicConstraints::Unconstrained),
            (false, true) => IsCa::ExplicitNoCa,
            (false, false) => IsCa::NoCa,
        };
        params.key_usages = match spec.may_sign {
            true => vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyEncipherment,
            ],
            false => vec![KeyUsagePurpose::KeyEncipherment],
        };
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (pair, key) = spec.key.make()?;
        let leaf = params.signed_by(&pair, &self.intermediate)?;
        Ok(IssuedCertificate {
            chain: format!("{}{}", leaf.pem(), self.intermediate.pem()),
            key,
            serial: hex::encode(serial),
        })
    }
}

// === impl LeafKey ===

impl LeafKey {
    /// The key, and its PEM.
    fn make(self) -> Result<(KeyPair, String), AnywhereError> {
        let algorithm = match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Rsa => {
                let private = pooled(RSA_KEY)?;
                let der = private.to_pkcs8_der().map_err(AnywhereError::of)?;
                let der = PrivatePkcs8KeyDer::from(der.as_bytes().to_vec());
                let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256)?;
                let pem = private
                    .to_pkcs1_pem(LineEnding::LF)
                    .map_err(AnywhereError::of)?;
                return Ok((pair, pem.to_string()));
            }
        };
        let pair = KeyPair::generate_for(algorithm)?;
        let pem = pair.serialize_pem();
        Ok((pair, pem))
    }
}

// === impl IssuedCertificate ===

impl std::fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedCertificate")
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

fn ca(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
