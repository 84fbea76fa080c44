//! AWS Signature Version 4 over a request's headers, for AMP and STS alike; pure.
//!
//! In: the headers to sign, what else the signature covers, credentials and the time. Out: the same headers plus the signature,
//! or a [`SigningError`], after which the request must not be sent. Headers that proxies may change (`user-agent`,
//! `content-length`) are added by the caller afterwards.

pub mod batch;
use std::ops::Deref;
use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sigv4};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};

use crate::net::pool::OutgoingRequest;

/// The scope of a signature.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Such as `aps` or `sts`.
    pub service: &'a str,
    /// The signing time, as AWS sees it.
    pub time: SystemTime,
}

/// A signed request to AMP; only the signers create it.
#[derive(Debug)]
pub struct Signed(pub(crate) OutgoingRequest);

/// Why a request could not be signed: an internal error, or credentials of invalid form.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SigningError(String);

impl Deref for Signed {
    type Target = OutgoingRequest;

    fn deref(&self) -> &OutgoingRequest {
        &self.0
    }
}

impl SigningError {
    /// A failure with this description.
    #[must_use]
    pub fn of(what: &str) -> Self {
        Self(what.to_owned())
    }
}

/// Signs a POST; see [`sign`].
///
/// # Errors
/// [`SigningError`]; the request must then not be sent.
pub fn sign_post(
    headers: &mut HeaderMap,
    url: &str,
    body: SignableBody<'_>,
    scope: Scope<'_>,
    identity: &Identity,
) -> Result<(), SigningError> {
    sign(headers, &Method::POST, url, body, scope, identity)
}

/// Adds `x-amz-date`, the session token and the signature, which covers all headers. The URL's query must have the form in
/// which it is sent.
///
/// # Errors
/// [`SigningError`]; the request must then not be sent.
pub fn sign(
    headers: &mut HeaderMap,
    method: &Method,
    url: &str,
    body: SignableBody<'_>,
    scope: Scope<'_>,
    identity: &Identity,
) -> Result<(), SigningError> {
    let fault = |error: &dyn std::error::Error| SigningError(error.to_string());
    let params = SigningParams::builder()
        .identity(identity)
        .region(scope.region)
        .name(scope.service)
        .time(scope.time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| fault(&error))?;
    let named = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request =
        SignableRequest::new(method.as_str(), url, named, body).map_err(|error| fault(&error))?;
    let (instructions, _) = sigv4(request, &params.into())
        .map_err(|error| fault(&error))?
        .into_parts();

    let (added, _) = instructions.into_parts();
    for header in added {
        let name =
            HeaderName::from_bytes(header.name().as_bytes()).map_err(|error| fault(&error))?;
        let mut value = HeaderValue::from_str(header.value()).map_err(|error| fault(&error))?;
        value.set_sensitive(header.sensitive() || name == AUTHORIZATION);
        headers.insert(name, value);
    }
    if headers.contains_key(AUTHORIZATION) {
        Ok(())
    } else {
        Err(SigningError("no signature was made".to_owned()))
    }
}
