//! AssumeRoleWithWebIdentity, as the STS API reference (2011-06-15) describes it.
//!
//! In: a web identity token. Out: temporary credentials ([`Obtained`]), or an [`StsError`] that keeps STS' code and message
//! and knows how soon another try makes sense. The call is unsigned: the token is the proof. The answer is bounded in
//! time and size, a redirect is not followed, and an answer that does not hold usable credentials is an error like any
//! other, so that the last good ones stay. The `Date` of an answer over verified TLS teaches the clock.

mod answer;

use std::time::SystemTime;

use aws_credential_types::Credentials;
use hyper::{HeaderMap, StatusCode};

use crate::clock::Clock;
use crate::config::Identity;
use crate::credentials::call::{CallError, Caller};
use crate::credentials::token::Token;

/// Calls STS for one identity.
#[derive(Debug)]
pub struct Sts {
    caller: Caller,
    identity: Identity,
    clock: Clock,
}

/// What an exchange gave.
#[derive(Debug, Clone)]
pub struct Obtained {
    /// The keys and the session token; their `Debug` withholds them.
    pub credentials: Credentials,
    /// When AWS stops taking them.
    pub expires: SystemTime,
}

/// Why STS gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    /// STS answered with an error.
    #[error("STS refused ({status}, {code}): {message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// STS' code, as `InvalidIdentityToken`.
        code: String,
        /// STS' words.
        message: String,
    },
    /// No answer came.
    #[error("STS {0}")]
    Silent(#[from] CallError),
    /// Something answered, but not as STS does.
    #[error("the answer of STS ({status}) cannot be used: {what}")]
    Unusable {
        /// The HTTP status.
        status: StatusCode,
        /// What is wrong with it.
        what: String,
    },
}

/// How soon another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It may pass by itself.
    Soon,
    /// Somebody has to change something first.
    Slowly,
}

// === impl StsError ===

impl StsError {
    /// How soon another try makes sense.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            Self::Refused { status, code, .. } => match code.as_str() {
                "ExpiredTokenException"
                | "IDPCommunicationError"
                | "Throttling"
                | "InternalFailure"
                | "ServiceUnavailable" => Pace::Soon,
                _ if status.is_server_error() => Pace::Soon,
                _ => Pace::Slowly,
            },
            Self::Silent(_) | Self::Unusable { .. } => Pace::Soon,
        }
    }

    /// The metric's label: STS' code where it is one that the documentation knows.
    #[must_use]
    pub fn name(&self) -> &'static str {
        const KNOWN: &[&str] = &[
            "AccessDenied",
            "ExpiredTokenException",
            "IDPCommunicationError",
            "IDPRejectedClaim",
            "InternalFailure",
            "InvalidAction",
            "InvalidIdentityToken",
            "MalformedPolicyDocument",
            "PackedPolicyTooLarge",
            "RegionDisabledException",
            "ServiceUnavailable",
            "Throttling",
            "ValidationError",
        ];
        match self {
            Self::Refused { code, .. } => KNOWN
                .iter()
                .find(|known| *known == code)
                .copied()
                .unwrap_or("other_refusal"),
            Self::Silent(error) => error.name(),
            Self::Unusable { .. } => "unusable_answer",
        }
    }
}

// === impl Sts ===

impl Sts {
    /// Calls STS for `identity` through `caller`.
    #[must_use]
    pub fn new(identity: Identity, caller: Caller, clock: Clock) -> Self {
        Self {
            caller,
            identity,
            clock,
        }
    }

    /// Exchanges the token for credentials.
    ///
    /// # Errors
    /// [`StsError`] where STS gives none, or none that can be used.
    pub async fn assume_role_with_web_identity(&self, token: &Token) -> Result<Obtained, StsError> {
        let duration = self.identity.session_duration.as_secs().to_string();
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("Action", "AssumeRoleWithWebIdentity"),
                ("Version", "2011-06-15"),
                ("RoleArn", &self.identity.role_arn),
                ("RoleSessionName", &self.identity.session_name),
                ("DurationSeconds", &duration),
                ("WebIdentityToken", token.expose()),
            ])
            .finish();
        let endpoint = &self.identity.sts_endpoint;
        let answer = self.caller.post(endpoint, HeaderMap::new(), form).await?;
        if let Some(date) = answer.verified_date {
            self.clock.learn(date);
        }
        let status = answer.status;
        let xml = answer.text().ok_or_else(|| StsError::Unusable {
            status,
            what: "it is not UTF-8".to_owned(),
        })?;
        if status.is_success() {
            answer::credentials(status, xml, self.clock.now())
        } else {
            Err(answer::refusal(status, xml))
        }
    }
}
