//! Reads the claims of a web identity token.
//!
//! In: a token's text. Out: the [`Claims`] by which STS decides which identity it is, or [`NotClaims`]. Nothing is verified: STS
//! does that, and the claims here serve messages only. Claims are not secret; the token is, and no part of its text is kept here
//! or in an error.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::sanitize::sanitize;

/// The issuer of Google's tokens, which AWS trusts without an OIDC provider.
pub const GOOGLE: &str = "https://accounts.google.com";

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// The issuer, unchanged.
    pub iss: String,
    /// The subject.
    pub sub: String,
    /// The audiences.
    #[serde(default, deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// The authorized party: the client that requested it. STS then uses this as the audience.
    pub azp: Option<String>,
    /// Expiry, in seconds since 1970.
    #[serde(default, deserialize_with = "whole_seconds")]
    pub exp: Option<u64>,
    /// Start of validity, in seconds since 1970.
    #[serde(default, deserialize_with = "whole_seconds")]
    pub nbf: Option<u64>,
}

/// The text is not a token with readable claims.
#[derive(Debug, thiserror::Error)]
#[error("the token's claims cannot be read: expected base64url of a JSON object with iss and sub")]
pub struct NotClaims;

impl Claims {
    /// Reads a token's second part.
    ///
    /// # Errors
    /// [`NotClaims`] if that is not a JSON object with `iss` and `sub`.
    pub fn of(token: &str) -> Result<Self, NotClaims> {
        let middle = token.split('.').nth(1).ok_or(NotClaims)?;
        let json = URL_SAFE_NO_PAD
            .decode(middle.trim_end_matches('='))
            .map_err(|_| NotClaims)?;
        // The parser's own message would quote the token.
        serde_json::from_slice(&json).map_err(|_| NotClaims)
    }

    /// What IAM compares with its provider's audiences: `azp` if present, else `aud`.
    #[must_use]
    pub fn audiences(&self) -> Vec<&str> {
        match &self.azp {
            Some(azp) => vec![azp],
            None => self.aud.iter().map(String::as_str).collect(),
        }
    }

    /// Whether the subject is a namespace's default service account, which every pod has that names none.
    #[must_use]
    pub fn is_default_account(&self) -> bool {
        self.sub.starts_with("system:serviceaccount:") && self.sub.ends_with(":default")
    }

    /// Whether Google issued it.
    #[must_use]
    pub fn is_googles(&self) -> bool {
        self.iss == GOOGLE
    }

    /// How long ago the token expired, by its own claim and this clock.
    #[must_use]
    pub fn over_since(&self, now: SystemTime) -> Option<Duration> {
        let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.exp?))?;
        now.duration_since(end).ok()
    }

    /// All claims in one line.
    #[must_use]
    pub fn describe(&self, now: SystemTime) -> String {
        let mut line = format!(
            "the token says iss {}, sub {}, aud {}",
            quoted(&[&self.iss]),
            quoted(&[&self.sub]),
            quoted(&self.aud)
        );
        if let Some(azp) = &self.azp {
            line.push_str(&format!(", azp {}", quoted(&[azp])));
        }
        if let Some(over) = self.over_since(now) {
            line.push_str(&format!(", and that it expired {} s ago", over.as_secs()));
        }
        line
    }
}

/// Values of claims for display: quoted, on one bounded line.
#[must_use]
pub fn quoted(values: &[impl AsRef<str>]) -> String {
    let values: Vec<String> = values
        .iter()
        .take(8)
        .map(|value| format!("{:?}", sanitize(value.as_ref())))
        .collect();
    match values.as_slice() {
        [] => "none".to_owned(),
        some => some.join(" and "),
    }
}

/// `aud` is a string or a list of them (RFC 7519).
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

/// A NumericDate may have a fraction (RFC 7519, section 2), which is dropped; times before 1970 become 1970.
fn whole_seconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(from)?;
    Ok(number.and_then(|number| {
        // A cast from a float saturates.
        number.as_u64().or_else(|| Some(number.as_f64()? as u64))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("eyJh.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn an_audience_is_one_or_many() {
        for (aud, read) in [
            (r#""a""#, &["a"][..]),
            (r#"["a", "b"]"#, &["a", "b"]),
            ("[]", &[]),
        ] {
            let claims = Claims::of(&token(&format!(
                r#"{{"iss": "https://i/", "sub": "s", "aud": {aud}, "exp": 7, "nbf": 1}}"#
            )))
            .unwrap();
            assert_eq!(
                (claims.aud, claims.exp),
                (read.iter().map(|a| (*a).to_owned()).collect(), Some(7))
            );
        }
    }

    #[test]
    fn times_may_have_a_fraction() {
        for (written, seconds) in [
            ("1800000000", Some(1_800_000_000)),
            ("1800000000.987", Some(1_800_000_000)),
            ("1.8e9", Some(1_800_000_000)),
            ("-1.5", Some(0)),
            ("1e300", Some(u64::MAX)),
            ("null", None),
        ] {
            let json = format!(
                r#"{{"iss": "i", "sub": "s", "exp": {written}, "nbf": {written}, "iat": {written}}}"#
            );
            let claims = Claims::of(&token(&json)).unwrap();
            assert_eq!((claims.exp, claims.nbf), (seconds, seconds), "{written}");
        }
        assert!(Claims::of(&token(r#"{"iss": "i", "sub": "s", "exp": "soon"}"#)).is_err());
    }

    #[test]
    fn what_is_no_token_is_refused_without_its_text() {
        for wrong in [
            "",
            "eyJh",
            "a.!.c",
            &token("[]"),
            &token("{}"),
            &token(r#"{"iss": "secret", "sub": 1}"#),
        ] {
            let error = Claims::of(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn claims_fit_on_one_line_with_the_audience_that_aws_compares() {
        let json = r#"{"iss": "https://i/\u0007", "sub": "s", "aud": ["a", "b"], "exp": 100}"#;
        let mut claims = Claims::of(&token(json)).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(
            claims.describe(at(99)),
            r#"the token says iss "https://i/ ", sub "s", aud "a" and "b""#
        );
        assert!(claims.describe(at(160)).ends_with("expired 60 s ago"));
        assert_eq!(claims.audiences(), ["a", "b"]);
        claims.azp = Some("client".to_owned());
        assert_eq!(claims.audiences(), ["client"]);
        claims.exp = Some(u64::MAX);
        assert_eq!(claims.over_since(at(0)), None);
    }
}
