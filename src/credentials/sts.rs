//! The two calls of STS that give credentials, as its API reference (2011-06-15) describes them.
//!
//! In: a [`RoleSession`] to ask for, and what entitles to it: a web identity token (AssumeRoleWithWebIdentity, unsigned,
//! because the token is the proof) or the credentials of another role (AssumeRole, signed with them). Out: temporary
//! credentials ([`Obtained`]), or an [`StsError`] that keeps STS' code and message and knows how soon another try makes
//! sense. An answer that does not hold usable credentials is an error like any other, so that the last good ones stay. The
//! `Date` of an answer over verified TLS teaches the clock.

mod answer;
mod form;

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::SignableBody;
use aws_smithy_runtime_api::client::identity::Identity;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{HeaderMap, StatusCode, Uri};

use crate::clock::Clock;
use crate::config::RoleSession;
use crate::credentials::token::Token;
use crate::net::client::{Answer, CallError, Caller, FORM};
use crate::sigv4::{self, Scope, SigningError};

/// Calls one STS endpoint.
#[derive(Debug)]
pub struct Sts {
    caller: Caller,
    endpoint: Uri,
    region: String,
    clock: Clock,
}

/// What an exchange gave.
#[derive(Debug, Clone)]
pub struct Obtained {
    /// The keys and the session token; their `Debug` withholds them.
    pub credentials: Credentials,
    /// When AWS stops taking them.
    pub expires: SystemTime,
    /// Whose they are, `arn:aws:sts::…:assumed-role/…`, where STS said so.
    pub arn: Option<String>,
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
    /// The call could not be signed, so it was not made.
    #[error("the call of STS could not be signed: {0}")]
    Unsigned(#[from] SigningError),
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

/// What an error is called in metrics: with the token, and in a hop after it.
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

/// What AWS calls throttling, whichever service, SDK or front door words it (the SDKs' own list).
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
    /// How soon another try makes sense.
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
                // A signature's time is off: the clock has just learned by how much.
                | "SignatureDoesNotMatch"
                | "ServiceUnavailable" => Pace::Soon,
                // AWS gives the issuer 5 s, so that the next look often succeeds.
                "InvalidIdentityToken" if is_about_the_key(message) => Pace::Soon,
                _ if status.is_server_error() => Pace::Soon,
                _ => Pace::Slowly,
            },
            Self::Silent(_) | Self::Unusable { .. } => Pace::Soon,
            Self::Unsigned(_) => Pace::Slowly,
        }
    }

    /// The metric's label: STS' code where it is one that the documentation knows.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names().0
    }

    /// The metric's label where the error is that of a hop.
    #[must_use]
    pub fn hop_name(&self) -> &'static str {
        self.names().1
    }

    /// Whether it is a rate that was exceeded: by STS' code, or by the status whoever words it.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || THROTTLING.contains(&code.as_str())
            }
            Self::Unusable { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Silent(_) | Self::Unsigned(_) => false,
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

/// `Couldn't retrieve verification key from your identity provider`, in either case of its letters.
pub(crate) fn is_about_the_key(message: &str) -> bool {
    message.contains("erification key")
}

// === impl Sts ===

impl Sts {
    /// Calls the STS at `endpoint`, which `region` is signed for.
    #[must_use]
    pub fn new(endpoint: Uri, region: String, caller: Caller, clock: Clock) -> Self {
        Self {
            caller,
            endpoint,
            region,
            clock,
        }
    }

    /// Exchanges the token for a session.
    ///
    /// # Errors
    /// [`StsError`] where STS gives none, or none that can be used.
    pub async fn assume_role_with_web_identity(
        &self,
        session: &RoleSession,
        token: &Token,
    ) -> Result<Obtained, StsError> {
        let form = form::web_identity(session, token.expose());
        let answer = self.caller.post(&self.endpoint, HeaderMap::new(), form);
        self.read(&answer.await?, session, token.expose())
    }

    /// Assumes a role with the credentials of another.
    ///
    /// # Errors
    /// [`StsError`] where STS gives none, or none that can be used.
    pub async fn assume_role(
        &self,
        session: &RoleSession,
        by: &Credentials,
    ) -> Result<Obtained, StsError> {
        let form = form::role(session);
        let headers = self.signed(&form, by)?;
        let answer = self.caller.post(&self.endpoint, headers, form);
        self.read(
            &answer.await?,
            session,
            by.session_token().unwrap_or_default(),
        )
    }

    fn signed(&self, form: &str, by: &Credentials) -> Result<HeaderMap, SigningError> {
        let host = self
            .endpoint
            .authority()
            .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
            .ok_or_else(|| SigningError::of("the endpoint has no host"))?;
        let mut headers = HeaderMap::from_iter([(HOST, host), (CONTENT_TYPE, FORM)]);
        let scope = Scope {
            region: &self.region,
            service: "sts",
            time: self.clock.now(),
        };
        let body = SignableBody::Bytes(form.as_bytes());
        let url = self.endpoint.to_string();
        sigv4::sign_post(&mut headers, &url, body, scope, &Identity::from(by.clone()))?;
        Ok(headers)
    }

    /// What an answer gives to who asked for `session` and proved it with `secret`.
    ///
    /// # Errors
    /// [`StsError`] where it gives nothing, or nothing that can be used.
    pub fn read(
        &self,
        answer: &Answer,
        session: &RoleSession,
        secret: &str,
    ) -> Result<Obtained, StsError> {
        if let Some(date) = answer.verified_date {
            self.clock.learn(date);
        }
        let status = answer.status;
        let xml = answer.text().ok_or_else(|| StsError::Unusable {
            status,
            what: "it is not UTF-8".to_owned(),
        })?;
        if status.is_success() {
            answer::credentials(status, xml, self.clock.now(), session.duration)
        } else {
            Err(answer::refusal(status, xml, secret))
        }
    }
}
