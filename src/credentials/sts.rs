//! AssumeRoleWithWebIdentity, as the STS API reference (2011-06-15) describes it.
//!
//! In: a web identity token. Out: temporary credentials ([`Obtained`]), or an [`StsError`] that keeps STS' code and message
//! and knows how soon another try makes sense. The call is unsigned: the token is the proof. The answer is bounded in
//! time and size, a redirect is not followed, and an answer that does not hold usable credentials is an error like any
//! other, so that the last good ones stay. The `Date` of an answer over verified TLS teaches the clock.

mod answer;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use hyper::StatusCode;

use crate::clock::Clock;
use crate::config::Identity;
use crate::credentials::token::Token;
use crate::http_date;

/// An exchange that takes longer is tried again instead.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A true answer has about 2 KiB.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Calls STS for one identity.
#[derive(Debug)]
pub struct Sts {
    client: reqwest::Client,
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
    /// No answer came: DNS, connection, TLS or a connection that broke.
    #[error("STS could not be reached: {}", chain(.0))]
    Unreachable(#[source] reqwest::Error),
    /// No whole answer came in time.
    #[error("STS did not answer within 5 s")]
    TimedOut,
    /// Something answered, but not as STS does.
    #[error("the answer of STS ({status}) cannot be used: {what}")]
    Unusable {
        /// The HTTP status.
        status: StatusCode,
        /// What is wrong with it.
        what: String,
    },
    /// The client could not be built.
    #[error("the client for STS could not be built: {}", chain(.0))]
    Client(#[source] reqwest::Error),
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
            Self::Unreachable(_) | Self::TimedOut | Self::Unusable { .. } => Pace::Soon,
            Self::Client(_) => Pace::Slowly,
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
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Unusable { .. } => "unusable_answer",
            Self::Client(_) => "client",
        }
    }
}

/// An error with its causes, which reqwest's own text leaves out; never with the URL, which may be private.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

// === impl Sts ===

impl Sts {
    /// A client for `identity` that trusts what `tls` trusts.
    ///
    /// # Errors
    /// Where the HTTP client cannot be built.
    pub fn new(
        identity: Identity,
        tls: &rustls::ClientConfig,
        clock: Clock,
    ) -> Result<Self, StsError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            // Neither STS nor AMP is reached through a proxy yet; one of them alone would help nobody.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(3))
            .pool_max_idle_per_host(0)
            .user_agent(crate::USER_AGENT)
            .build()
            .map_err(StsError::Client)?;
        Ok(Self {
            client,
            identity,
            clock,
        })
    }

    /// Exchanges the token for credentials.
    ///
    /// # Errors
    /// [`StsError`] where STS gives none, or none that can be used.
    pub async fn assume_role_with_web_identity(&self, token: &Token) -> Result<Obtained, StsError> {
        let duration = self.identity.session_duration.as_secs().to_string();
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.identity.role_arn),
            ("RoleSessionName", &self.identity.session_name),
            ("DurationSeconds", &duration),
            ("WebIdentityToken", token.expose()),
        ];
        let request = self
            .client
            .post(self.identity.sts_endpoint.to_string())
            .form(&form);
        let mut response = request.send().await.map_err(unreachable)?;

        let status = response.status();
        let verified = self.identity.sts_endpoint.scheme_str() == Some("https");
        if let Some(date) = http_date::of(response.headers()).filter(|_| verified) {
            self.clock.learn(date);
        }
        let unusable = |what: &str| StsError::Unusable {
            status,
            what: what.to_owned(),
        };
        let mut body = zeroize::Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(unusable("it is larger than 64 KiB"));
            }
            body.extend_from_slice(&chunk);
        }
        let xml = std::str::from_utf8(&body).map_err(|_| unusable("it is not UTF-8"))?;
        if status.is_success() {
            answer::credentials(status, xml, self.clock.now())
        } else {
            Err(answer::refusal(status, xml))
        }
    }
}

fn unreachable(error: reqwest::Error) -> StsError {
    if error.is_timeout() {
        StsError::TimedOut
    } else {
        StsError::Unreachable(error.without_url())
    }
}
