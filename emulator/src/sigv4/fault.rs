//! Why a signature is refused, in AWS' own words.

use http::StatusCode;

/// Each way in which a request fails to authenticate. `Display` is the text that the sender gets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureFault {
    /// No `Authorization` header.
    #[error("Missing Authentication Token")]
    Missing,
    /// The header, or the date that it depends on, is not in the format.
    #[error("{0}")]
    Incomplete(String),
    /// Unknown access key, or not its session token.
    #[error("The security token included in the request is invalid.")]
    UnknownToken,
    /// The session is over.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// Signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {bound} ({now} - 5 min.)")]
    Expired {
        /// `x-amz-date`.
        signed: String,
        /// The earliest time that is still accepted.
        bound: String,
        /// AMP's clock.
        now: String,
    },
    /// Signed in the future.
    #[error("Signature not yet current: {signed} is still later than {bound} ({now} + 5 min.)")]
    NotYetCurrent {
        /// `x-amz-date`.
        signed: String,
        /// The latest time that is accepted.
        bound: String,
        /// AMP's clock.
        now: String,
    },
    /// The credential scope names another day, region, service or terminator.
    #[error("{0}")]
    Scope(String),
    /// A header that has to be signed is not.
    #[error("'{0}' must be a 'SignedHeader' in the AWS Authorization.")]
    NotSigned(String),
    /// `x-amz-content-sha256` is not the body's hash.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    PayloadHash,
    /// The signature itself. Like AWS, the text repeats what should have been signed, **session token included**: a
    /// proxy that logs or hands on this text gives the token away.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this \
         request should have been\n'{canonical_request}'\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
    )]
    Mismatch {
        /// What AMP hashed.
        canonical_request: String,
        /// What AMP signed.
        string_to_sign: String,
    },
}

impl SignatureFault {
    /// The answer's status and its `x-amzn-ErrorType`.
    pub(crate) fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Missing => (StatusCode::FORBIDDEN, "MissingAuthenticationTokenException"),
            Self::Incomplete(_) => (StatusCode::BAD_REQUEST, "IncompleteSignatureException"),
            Self::UnknownToken => (StatusCode::FORBIDDEN, "UnrecognizedClientException"),
            Self::ExpiredToken => (StatusCode::FORBIDDEN, "ExpiredTokenException"),
            Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::Scope(_)
            | Self::NotSigned(_)
            | Self::PayloadHash
            | Self::Mismatch { .. } => (StatusCode::FORBIDDEN, "InvalidSignatureException"),
        }
    }
}
