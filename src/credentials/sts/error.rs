//! Why STS gave no credentials, and when to retry.

use hyper::StatusCode;

use crate::net::error::HttpError;
use crate::sigv4::SigningError;

/// Why STS gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    /// STS responded with an error.
    #[error("STS refused ({status}, {code}): {message}")]
    Refused {
        status: StatusCode,
        /// STS' code, such as `InvalidIdentityToken`.
        code: String,
        /// STS' message.
        message: String,
    },
    /// No response.
    #[error("STS {0}")]
    Silent(#[from] HttpError),
    /// The response does not come from STS.
    #[error("the response of STS ({status}) cannot be used: {what}")]
    Unusable {
        status: StatusCode,
        /// What is wrong with it.
        what: String,
    },
    /// Signing failed, so the call was not made.
    #[error("the call to STS could not be signed: {0}")]
    Unsigned(#[from] SigningError),
}

/// When to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It may pass by itself.
    Soon,
    /// Something has to be changed first.
    Slowly,
}

/// The metric's label, for the first call and for a later role.
const NAMES: &[(&str, &str)] = &[
    ("AccessDenied", "hop_AccessDenied"),
    ("ExpiredToken", "hop_ExpiredToken"),
    ("ExpiredTokenException", "hop_ExpiredTokenException"),
    ("IDPCommunicationError", "hop_IDPCommunicationError"),
    ("IDPRejectedClaim", "hop_IDPRejectedClaim"),
    ("InternalFailure", "hop_InternalFailure"),
    ("InvalidAction", "hop_InvalidAction"),
    ("InvalidClientTokenId", "hop_InvalidClientTokenId"),
    ("InvalidIdentityToken", "hop_InvalidIdentityToken"),
    ("MalformedPolicyDocument", "hop_MalformedPolicyDocument"),
    ("PackedPolicyTooLarge", "hop_PackedPolicyTooLarge"),
    ("RegionDisabledException", "hop_RegionDisabledException"),
    ("ServiceUnavailable", "hop_ServiceUnavailable"),
    ("SignatureDoesNotMatch", "hop_SignatureDoesNotMatch"),
    ("Throttling", "hop_Throttling"),
    ("ValidationError", "hop_ValidationError"),
    ("other_refusal", "hop_other_refusal"),
    ("proxy", "hop_proxy"),
    ("timed_out", "hop_timed_out"),
    ("unreachable", "hop_unreachable"),
    ("unsigned", "hop_unsigned"),
    ("unusable_answer", "hop_unusable_answer"),
];

/// AWS' throttling codes, across services and SDKs (the SDKs' own list).
const THROTTLING: &[&str] = &[
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

impl StsError {
    /// When to retry.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            _ if self.is_throttling() => Pace::Soon,
            Self::Refused {
                status,
                code,
                message,
            } => match code.as_str() {
                "ExpiredToken"
                | "ExpiredTokenException"
                | "IDPCommunicationError"
                | "InternalFailure"
                // The clock was off; the response has just corrected it.
                | "SignatureDoesNotMatch"
                | "ServiceUnavailable" => Pace::Soon,
                // AWS gives the issuer 5 s, so the next attempt often succeeds.
                "InvalidIdentityToken" if is_about_the_key(message) => Pace::Soon,
                _ if status.is_server_error() => Pace::Soon,
                _ => Pace::Slowly,
            },
            Self::Silent(_) | Self::Unusable { .. } => Pace::Soon,
            Self::Unsigned(_) => Pace::Slowly,
        }
    }

    /// The metric's label: STS' code if it is a documented one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names().0
    }

    /// The metric's label of a later role's error.
    #[must_use]
    pub fn hop_name(&self) -> &'static str {
        self.names().1
    }

    /// Whether STS throttles: by its code, or by the status.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => is_throttling(*status, code),
            Self::Unusable { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Silent(_) | Self::Unsigned(_) => false,
        }
    }

    /// With who responded, if it was not STS.
    pub(super) fn by(self, responder: &str) -> Self {
        match self {
            Self::Unusable { status, what } if !responder.is_empty() => Self::Unusable {
                status,
                what: format!("{what} ({responder})"),
            },
            other => other,
        }
    }

    fn names(&self) -> (&'static str, &'static str) {
        let name = match self {
            _ if self.is_throttling() => "Throttling",
            Self::Refused { code, .. } => code.as_str(),
            Self::Silent(error) => error.name(),
            Self::Unusable { .. } => "unusable_answer",
            Self::Unsigned(_) => "unsigned",
        };
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .copied()
            .unwrap_or(("other_refusal", "hop_other_refusal"))
    }
}

/// Whether AWS throttles, by a response's status or its code.
pub(crate) fn is_throttling(status: StatusCode, code: &str) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || THROTTLING.contains(&code)
}

/// `Couldn't retrieve verification key from your identity provider`, in upper or lower case.
pub(crate) fn is_about_the_key(message: &str) -> bool {
    message.contains("erification key")
}
