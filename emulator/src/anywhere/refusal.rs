//! Every way in which Roles Anywhere says no: exception, HTTP status and text.
//!
//! Known from users' reports are `Untrusted Signing Certificate`, `Untrusted certificate. Insufficient certificate`, `Invalid
//! signature`, `Not authorized to set roleSessionName.`, `Unable to assume role for …` and what follows it about session tags, and
//! the form of a ValidationException. All other texts are ours, with AWS' exceptions.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::fault::FaultKind;
use crate::http::answer;

const ERROR_TYPE: &str = "x-amzn-errortype";

/// Why Roles Anywhere does not hand out a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnywhereRefusal {
    /// A header that holds no certificate.
    #[error("Invalid certificate")]
    InvalidCertificate,
    /// No `Authorization`, or one that is not well-formed, in time, or in scope.
    #[error("{0}")]
    Unsigned(String),
    /// The signature, or the serial number beside it, is not that of the certificate's key.
    #[error("Invalid signature")]
    InvalidSignature,
    /// A parameter is missing or outside of its limits.
    #[error("1 validation error detected: Value at '{field}' failed to satisfy constraint: {rule}")]
    Validation {
        /// Its name.
        field: &'static str,
        /// What it must be like.
        rule: String,
    },
    /// There is no such trust anchor or profile.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The trust anchor or the profile is disabled.
    #[error("{0} is disabled")]
    Disabled(&'static str),
    /// A CA's certificate, or one that may not sign.
    #[error("Untrusted certificate. Insufficient certificate")]
    InsufficientCertificate,
    /// No valid chain leads to the trust anchor.
    #[error("Untrusted Signing Certificate")]
    UntrustedSigningCertificate,
    /// A revocation list names it.
    #[error("Certificate revoked")]
    Revoked,
    /// The profile accepts no name of the caller's.
    #[error("Not authorized to set roleSessionName.")]
    SessionName,
    /// The role is not the profile's, does not exist, or does not trust the certificate.
    #[error("Unable to assume role for {0}")]
    Role(String),
    /// The subject has characters that no session tag may have.
    #[error(
        "Unable to assume role for {role}. Some attributes failed to be mapped into session tags. Issuer: [  ]; Subject: [ {subject} ]; SAN: [  ]"
    )]
    Tags {
        /// The role's ARN.
        role: String,
        /// The attributes.
        subject: String,
    },
    /// Too many calls.
    #[error("Rate exceeded")]
    Throttled,
}

impl AnywhereRefusal {
    /// AWS' exception.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Validation { .. } => "ValidationException",
            Self::NotFound(_) => "ResourceNotFoundException",
            Self::Throttled => "ThrottlingException",
            _ => "AccessDeniedException",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Validation { .. } => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::FORBIDDEN,
        }
    }

    /// This answer whatever the call is.
    #[must_use]
    pub fn fault(&self) -> FaultKind {
        FaultKind::Answer {
            status: self.status().as_u16(),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                (ERROR_TYPE.to_owned(), self.code().to_owned()),
            ],
            body: self.body(),
        }
    }

    fn body(&self) -> String {
        json!({"message": self.to_string()}).to_string()
    }

    pub(super) fn answer(&self) -> Response<Bytes> {
        let mut response = answer(self.status(), "application/json", self.body());
        let code = HeaderValue::from_static(self.code());
        response.headers_mut().insert(ERROR_TYPE, code);
        response
    }
}
