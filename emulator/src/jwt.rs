//! JSON web tokens, signed and verified with RS256 and nothing else.
//!
//! In: claims and a [`Key`], or a token and a [`Jwk`]. Out: the compact
//! serialization, or whether the signature is right. What the claims mean is
//! for others to judge.
//!
//! Keys come from a pool of the process: making one takes a quarter of a
//! second, and a test process that starts five worlds needs no five of them.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::rand_core::OsRng;
use rsa::sha2::{Digest as _, Sha256};
use rsa::signature::{SignatureEncoding as _, Signer as _, Verifier as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPrivateKey, RsaPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const BITS: usize = 2048;
static POOL: Mutex<Vec<Arc<RsaPrivateKey>>> = Mutex::new(Vec::new());

/// A signing key with its name.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    kid: String,
    signing: SigningKey<Sha256>,
    public: RsaPublicKey,
}

/// A public key, as a JWKS lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Jwk {
    pub(crate) kid: String,
    kty: String,
    alg: String,
    #[serde(rename = "use")]
    usage: String,
    n: String,
    e: String,
}

/// The document behind `jwks_uri`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Jwks {
    pub(crate) keys: Vec<Jwk>,
}

/// A token taken apart, its signature not yet looked at.
#[derive(Debug)]
pub(crate) struct Jwt<'a> {
    pub(crate) kid: Option<String>,
    pub(crate) claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// Why a token is none, or not a genuine one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtError {
    #[error("not three parts of base64url with JSON inside")]
    Shape,
    #[error("not signed with RS256")]
    Algorithm,
    #[error("the signature does not verify")]
    Signature,
}

/// The pool's private key number `index`, made now if need be.
pub(crate) fn pooled(index: usize) -> Result<Arc<RsaPrivateKey>, rsa::Error> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    while pool.len() <= index {
        pool.push(Arc::new(RsaPrivateKey::new(&mut OsRng, BITS)?));
    }
    pool.get(index).cloned().ok_or(rsa::Error::Internal)
}

// === impl Key ===

impl Key {
    /// The pool's key number `index`, made now if need be (which takes a while).
    pub(crate) fn pooled(index: usize) -> Result<Self, rsa::Error> {
        let private = pooled(index)?;
        let public = private.to_public_key();
        Ok(Self {
            kid: BASE64.encode(Sha256::digest(public.n().to_bytes_be())),
            signing: SigningKey::new(private.as_ref().clone()),
            public,
        })
    }

    /// The compact serialization of `claims`, signed.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "kid": self.kid});
        let signed = format!(
            "{}.{}",
            BASE64.encode(header.to_string()),
            BASE64.encode(claims.to_string())
        );
        let signature = self.signing.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
    }

    pub(crate) fn jwk(&self) -> Jwk {
        Jwk {
            kid: self.kid.clone(),
            kty: "RSA".to_owned(),
            alg: "RS256".to_owned(),
            usage: "sig".to_owned(),
            n: BASE64.encode(self.public.n().to_bytes_be()),
            e: BASE64.encode(self.public.e().to_bytes_be()),
        }
    }
}

// === impl Jwt ===

impl<'a> Jwt<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, JwtError> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            kid: Option<String>,
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Shape)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Shape)?;
        let decode = |part: &str| BASE64.decode(part).map_err(|_| JwtError::Shape);
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| JwtError::Shape)?;
        if header.alg != "RS256" {
            return Err(JwtError::Algorithm);
        }
        Ok(Self {
            kid: header.kid,
            claims: serde_json::from_slice(&decode(claims)?).map_err(|_| JwtError::Shape)?,
            signed,
            signature: decode(signature)?,
        })
    }

    pub(crate) fn verify(&self, jwk: &Jwk) -> Result<(), JwtError> {
        let number = |text: &str| {
            BASE64
                .decode(text)
                .map(|bytes| BigUint::from_bytes_be(&bytes))
                .map_err(|_| JwtError::Signature)
        };
        let public =
            RsaPublicKey::new(number(&jwk.n)?, number(&jwk.e)?).map_err(|_| JwtError::Signature)?;
        let signature =
            Signature::try_from(self.signature.as_slice()).map_err(|_| JwtError::Signature)?;
        VerifyingKey::<Sha256>::new(public)
            .verify(self.signed.as_bytes(), &signature)
            .map_err(|_| JwtError::Signature)
    }

    /// A claim that is a string.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// A claim that counts seconds since 1970.
    pub(crate) fn seconds(&self, claim: &str) -> Option<u64> {
        self.claims.get(claim)?.as_u64()
    }

    /// `aud`, which may be a string or a list of them.
    pub(crate) fn audience(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_token_verifies_with_its_own_key_alone() {
        let (key, other) = (Key::pooled(0).expect("key"), Key::pooled(1).expect("key"));
        let token = key.sign(&json!({"sub": "me", "aud": ["a", "b"], "exp": 12}));
        let jwt = Jwt::parse(&token).expect("well-formed");
        assert_eq!(jwt.verify(&key.jwk()), Ok(()));
        assert_eq!(jwt.verify(&other.jwk()), Err(JwtError::Signature));
        assert_eq!(jwt.kid.as_deref(), Some(key.jwk().kid.as_str()));
        assert_eq!(
            (jwt.text("sub"), jwt.seconds("exp")),
            (Some("me"), Some(12))
        );
        assert_eq!(jwt.audience(), ["a", "b"]);
    }

    #[test]
    fn changed_claims_and_other_algorithms_are_refused() {
        let key = Key::pooled(0).expect("key");
        let token = key.sign(&json!({"sub": "me"}));
        let parts: Vec<_> = token.split('.').collect();
        let forged = format!(
            "{}.{}.{}",
            parts[0],
            BASE64.encode(r#"{"sub":"you"}"#),
            parts[2]
        );
        assert_eq!(
            Jwt::parse(&forged).expect("well-formed").verify(&key.jwk()),
            Err(JwtError::Signature)
        );
        let unsigned = format!("{}.{}.", BASE64.encode(r#"{"alg":"none"}"#), parts[1]);
        assert_eq!(Jwt::parse(&unsigned).expect_err("alg"), JwtError::Algorithm);
        for broken in ["", "a.b", "a.b.c", &token[..token.len() / 2]] {
            assert_eq!(
                Jwt::parse(broken).expect_err("shape"),
                JwtError::Shape,
                "{broken}"
            );
        }
    }
}
