//! Verifies Signature Version 4, from the specification and with nobody else's code.
//!
//! The order is AWS': the header's form, then the date and the clock, then what the key is scoped to, then whose key it
//! is, and the signature last. What comes out is the [`Session`] that signed; nothing after this step looks at a
//! header to learn who is asking.
//!
//! Stricter than AWS in one point: *every* `x-amz-*` header has to be signed, where AWS lets some pass unsigned. A
//! sidecar that adds a header after it signed is broken in a way that must show here. Presigned URLs are not read at
//! all: nothing that is signed here uses them.

mod authorization;
mod canonical;
mod fault;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac, digest::InvalidLength};
use http::{HeaderMap, Request, header};
use sha2::{Digest, Sha256};
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::FormatItem, macros::format_description,
};

use self::{
    authorization::{ALGORITHM, Authorization, Scope},
    canonical::{Parts, PathEncoding, canonical_request, string_to_sign},
};
use crate::sessions::{Session, Sessions};

pub(crate) use self::fault::SignatureFault;

/// How far the signer's clock may be off.
const SKEW: Duration = Duration::from_secs(5 * 60);
const TIMESTAMP: &[FormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
const DATE_HEADER: &str = "x-amz-date";
const TOKEN_HEADER: &str = "x-amz-security-token";
const HASH_HEADER: &str = "x-amz-content-sha256";
/// Not AWS headers, but known to break a signature when somebody on the way adds them afterwards.
const TRACE_HEADERS: [&str; 5] = [
    "traceparent",
    "tracestate",
    "b3",
    "uber-trace-id",
    "x-amzn-trace-id",
];

/// What a valid signature must be scoped to, and by which algorithms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scoped<'a> {
    /// More than one for STS, which stands for the endpoints of all regions of a world.
    pub(crate) regions: &'a [String],
    pub(crate) service: &'a str,
    pub(crate) algorithms: &'a [&'a str],
}

/// What a request's signature claims: all is right but the signature itself, which is yet to be verified.
#[derive(Debug)]
pub(crate) struct SignatureClaim {
    pub(crate) authorization: Authorization,
    pub(crate) canonical_request: String,
    pub(crate) string_to_sign: String,
}

/// What a valid signature must be scoped to, and whose keys are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verifier<'a> {
    pub(crate) regions: &'a [String],
    pub(crate) service: &'a str,
    pub(crate) sessions: &'a Sessions,
}

impl Verifier<'_> {
    /// The session that signed `request`, or why nobody did.
    pub(crate) fn verify(
        &self,
        now: SystemTime,
        request: &Request<Bytes>,
    ) -> Result<Session, SignatureFault> {
        let scoped = Scoped {
            regions: self.regions,
            service: self.service,
            algorithms: &[ALGORITHM],
        };
        let claim = scoped.read(now, request)?;
        let session = self
            .sessions
            .find(&claim.authorization.access_key_id)
            .ok_or(SignatureFault::UnknownToken)?;
        let headers = request.headers();
        let token = match session.session_token.as_str() {
            "" if !headers.contains_key(TOKEN_HEADER) => "",
            _ => single(headers, TOKEN_HEADER, || SignatureFault::UnknownToken)?,
        };
        if token != session.session_token {
            return Err(SignatureFault::UnknownToken);
        }
        if session.expiration <= now {
            return Err(SignatureFault::ExpiredToken);
        }
        let secret = &session.secret_access_key;
        if is_signed_by(secret, &claim.authorization, &claim.string_to_sign) {
            Ok(session)
        } else {
            Err(SignatureFault::Mismatch {
                canonical_request: claim.canonical_request,
                string_to_sign: claim.string_to_sign,
            })
        }
    }
}

impl Scoped<'_> {
    /// What the request's header claims, as far as no key is needed to judge it.
    pub(crate) fn read(
        &self,
        now: SystemTime,
        request: &Request<Bytes>,
    ) -> Result<SignatureClaim, SignatureFault> {
        let headers = request.headers();
        let authorization = Authorization::parse(
            single(headers, header::AUTHORIZATION.as_str(), || {
                SignatureFault::Missing
            })?,
            self.algorithms,
        )?;
        let timestamp = single(headers, DATE_HEADER, || {
            SignatureFault::Incomplete(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".into(),
            )
        })?;
        check_clock(now, timestamp)?;
        self.check_scope(&authorization.scope, timestamp)?;
        check_signed(headers, &authorization.signed_headers)?;

        let payload_hash = hex::encode(Sha256::digest(request.body()));
        if headers
            .get_all(HASH_HEADER)
            .iter()
            .any(|claimed| claimed.as_bytes() != payload_hash.as_bytes())
        {
            return Err(SignatureFault::PayloadHash);
        }
        let parts = Parts {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            headers,
            signed_headers: &authorization.signed_headers,
            payload_hash: &payload_hash,
        };
        let canonical_request = canonical_request(&parts, PathEncoding::Twice);
        let string_to_sign = string_to_sign(
            &authorization.algorithm,
            timestamp,
            &authorization.scope.text(),
            &canonical_request,
        );
        Ok(SignatureClaim {
            canonical_request: String::from_utf8_lossy(&canonical_request).into_owned(),
            string_to_sign,
            authorization,
        })
    }

    fn check_scope(&self, scope: &Scope, timestamp: &str) -> Result<(), SignatureFault> {
        let day = timestamp.get(..8).unwrap_or_default();
        let message = if scope.day != day {
            format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{day}', from '{timestamp}'.",
                scope.day
            )
        } else if !self.regions.contains(&scope.region) {
            "Credential should be scoped to a valid region. ".to_owned()
        } else if scope.service != self.service {
            format!(
                "Credential should be scoped to correct service: '{}'. ",
                self.service
            )
        } else if scope.terminator != "aws4_request" {
            format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'. ",
                scope.terminator
            )
        } else {
            return Ok(());
        };
        Err(SignatureFault::Scope(message))
    }
}

/// The value of a header that must be there exactly once and be readable.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &str,
    missing: impl Fn() -> SignatureFault,
) -> Result<&'a str, SignatureFault> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(&missing)?;
    if values.next().is_some() {
        return Err(SignatureFault::Incomplete(format!(
            "'{name}' must be present exactly once."
        )));
    }
    value.to_str().map_err(|_| missing())
}

fn check_clock(now: SystemTime, timestamp: &str) -> Result<(), SignatureFault> {
    let parsed = PrimitiveDateTime::parse(timestamp, TIMESTAMP)
        .map(PrimitiveDateTime::assume_utc)
        .ok();
    let signed = parsed.filter(|&signed| compact(signed) == timestamp).ok_or_else(|| {
        SignatureFault::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{timestamp}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })?;
    let now = OffsetDateTime::from(now);
    let (earliest, latest) = (now - SKEW, now + SKEW);
    let signed_text = timestamp.to_owned();
    // Whole seconds are signed: what was signed within the last accepted second is still in time.
    if signed + Duration::from_secs(1) <= earliest {
        Err(SignatureFault::Expired {
            signed: signed_text,
            bound: compact(earliest),
            now: compact(now),
        })
    } else if signed > latest {
        Err(SignatureFault::NotYetCurrent {
            signed: signed_text,
            bound: compact(latest),
            now: compact(now),
        })
    } else {
        Ok(())
    }
}

fn compact(moment: OffsetDateTime) -> String {
    moment.format(TIMESTAMP).unwrap_or_default()
}

fn check_signed(headers: &HeaderMap, signed: &[String]) -> Result<(), SignatureFault> {
    let must = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-") || TRACE_HEADERS.contains(name));
    if !signed.iter().any(|name| name == "host") {
        return Err(SignatureFault::NotSigned("Host".into()));
    }
    for name in must {
        if !signed.iter().any(|candidate| candidate == name) {
            return Err(SignatureFault::NotSigned(name.to_owned()));
        }
    }
    match signed
        .iter()
        .find(|name| !headers.contains_key(name.as_str()))
    {
        Some(absent) => Err(SignatureFault::Incomplete(format!(
            "'{absent}' is signed but not in the request."
        ))),
        None => Ok(()),
    }
}

/// In constant time: [`Mac::verify_slice`] compares so.
fn is_signed_by(secret: &str, authorization: &Authorization, string_to_sign: &str) -> bool {
    let scope = &authorization.scope;
    signing_key(secret, scope)
        .and_then(|key| Hmac::<Sha256>::new_from_slice(&key))
        .is_ok_and(|mac| {
            mac.chain_update(string_to_sign)
                .verify_slice(&authorization.signature)
                .is_ok()
        })
}

fn signing_key(secret: &str, scope: &Scope) -> Result<Vec<u8>, InvalidLength> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&scope.day, &scope.region, &scope.service, &scope.terminator] {
        key = Hmac::<Sha256>::new_from_slice(&key)?
            .chain_update(part)
            .finalize()
            .into_bytes()
            .to_vec();
    }
    Ok(key)
}
