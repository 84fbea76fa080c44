//! Every way in which STS says no, with its code, HTTP status and text.
//!
//! The wordings are AWS' own wherever they are known from documentation or
//! from what users report; [`StsRefusal::BadSignature`] and
//! [`StsRefusal::NotYetValid`] are worded by us, their code is AWS'.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::fault::FaultKind;
use crate::front::request_id;
use crate::sigv4::SignatureFault;
use crate::sts::document::{Element, Format, answer_in};

const NOT_A_JWT: &str = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
const NO_KEY: &str = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements";

/// Why STS does not hand out a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StsRefusal {
    /// No `Action` at all.
    #[error("Missing Action")]
    MissingAction,
    /// An action or version that STS does not have.
    #[error("Could not find operation {action} for version {version}")]
    InvalidAction {
        /// As asked for.
        action: String,
        /// As asked for.
        version: String,
    },
    /// Parameters outside of their limits.
    #[error("{0}")]
    Validation(String),
    /// The token is no JWT.
    #[error("{NOT_A_JWT}")]
    NotAJwt,
    /// A claim is missing.
    #[error("Missing a required claim: {0}")]
    MissingClaim(&'static str),
    /// `iss` is not one of the account's providers.
    #[error("No OpenIDConnect provider found in your account for {0}")]
    NoProvider(String),
    /// `aud` is not among the provider's client ids.
    #[error("Incorrect token audience")]
    IncorrectAudience,
    /// Discovery or JWKS unreadable, or the key is not in it.
    #[error("{NO_KEY}")]
    NoVerificationKey,
    /// The issuer's certificate is not the one that the provider was created with.
    #[error("OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint")]
    Thumbprint,
    /// STS is not active in this region for the account.
    #[error(
        "STS is not activated in this region for account:{0}. Your account administrator can activate STS in this region using the IAM Console."
    )]
    RegionDisabled(String),
    /// Too many calls.
    #[error("Rate exceeded")]
    Throttled,
    /// The signature does not fit the key.
    #[error("Token signature is invalid")]
    BadSignature,
    /// `nbf` lies ahead.
    #[error("Token is not valid yet")]
    NotYetValid,
    /// `exp` has passed.
    #[error("Token expired: current date/time {now} must be before the expiration date/time {exp}")]
    Expired {
        /// Seconds since 1970.
        now: u64,
        /// Seconds since 1970.
        exp: u64,
    },
    /// The identity provider does not even accept connections.
    #[error("Error communicating with your identity provider, please try again")]
    IdpUnreachable,
    /// There is no such role, or its trust policy does not let the token in.
    #[error("Not authorized to perform sts:AssumeRoleWithWebIdentity")]
    NotAuthorized,
    /// The session that signed may not.
    #[error(
        "User: {user} is not authorized to perform: {action} on resource: {resource}{}",
        if *by_session_policy { format!(" because no session policy allows the {action} action") } else { String::new() }
    )]
    NotAllowed {
        /// The session's ARN.
        user: String,
        /// What it may not.
        action: &'static str,
        /// The role's ARN.
        resource: String,
        /// Whether its role might.
        by_session_policy: bool,
    },
    /// A session policy that cannot be read.
    #[error("{0}")]
    MalformedPolicy(String),
    /// The request is not signed by a session that STS knows.
    #[error("{message}")]
    Unauthenticated {
        /// AWS' code.
        code: &'static str,
        /// AWS' text.
        message: String,
    },
}

impl StsRefusal {
    /// Other codes than AMP's for the same faults, and no word of what should have been signed.
    pub(crate) fn unauthenticated(fault: &SignatureFault) -> Self {
        let (code, message) = match fault {
            SignatureFault::Missing => (
                "MissingAuthenticationToken",
                "Request is missing Authentication Token".to_owned(),
            ),
            SignatureFault::Incomplete(_) => ("IncompleteSignature", fault.to_string()),
            SignatureFault::UnknownToken => ("InvalidClientTokenId", fault.to_string()),
            SignatureFault::ExpiredToken => ("ExpiredToken", fault.to_string()),
            SignatureFault::Mismatch { .. } => (
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.".to_owned(),
            ),
            SignatureFault::Expired { .. }
            | SignatureFault::NotYetCurrent { .. }
            | SignatureFault::Scope(_)
            | SignatureFault::NotSigned(_)
            | SignatureFault::PayloadHash => ("SignatureDoesNotMatch", fault.to_string()),
        };
        Self::Unauthenticated { code, message }
    }

    /// AWS' error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingAction => "MissingAction",
            Self::InvalidAction { .. } => "InvalidAction",
            Self::Validation(_) => "ValidationError",
            Self::NotAJwt
            | Self::MissingClaim(_)
            | Self::NoProvider(_)
            | Self::IncorrectAudience
            | Self::NoVerificationKey
            | Self::Thumbprint
            | Self::BadSignature
            | Self::NotYetValid => "InvalidIdentityToken",
            Self::Expired { .. } => "ExpiredTokenException",
            Self::IdpUnreachable => "IDPCommunicationError",
            Self::NotAuthorized | Self::NotAllowed { .. } => "AccessDenied",
            Self::RegionDisabled(_) => "RegionDisabledException",
            Self::Throttled => "ThrottlingException",
            Self::MalformedPolicy(_) => "MalformedPolicyDocument",
            Self::Unauthenticated { code, .. } => code,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated {
                code: "IncompleteSignature",
                ..
            } => StatusCode::BAD_REQUEST,
            Self::NotAuthorized
            | Self::NotAllowed { .. }
            | Self::RegionDisabled(_)
            | Self::Unauthenticated { .. } => StatusCode::FORBIDDEN,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// This answer whatever the call is.
    #[must_use]
    pub fn fault(&self) -> FaultKind {
        let answer = self.answer(Format::STS, &request_id());
        FaultKind::Answer {
            status: self.status().as_u16(),
            headers: vec![("content-type".to_owned(), "text/xml".to_owned())],
            body: String::from_utf8_lossy(answer.body()).into_owned(),
        }
    }

    pub(crate) fn answer(&self, format: Format, request_id: &str) -> Response<Bytes> {
        let envelope = Element::error(self.code(), self.to_string(), request_id);
        answer_in(format, self.status(), &envelope, request_id)
    }
}
