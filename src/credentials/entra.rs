//! Exchanges the projected token for an access token of Entra ID: the client credentials grant with a client assertion.
//!
//! In: the projected token, which Entra trusts through the federated credential of an application or managed identity. Out: an
//! access token for the scope's App ID URI, which AWS trusts through its own OIDC provider; or an [`EntraError`] with Entra's code
//! and the ids that Azure support asks for, and a remedy for known codes. The application that the scope names decides whether the
//! access token has version 1 or 2; both are passed on unchanged, and AWS' provider must name their issuer.
//!
//! Each exchange requests a new token and caches none: it lives little longer than the credentials it gives, and a cached one would
//! be one more secret in memory.

use hyper::{HeaderMap, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::clock::Clock;
use crate::config;
use crate::credentials::claims::quoted;
use crate::credentials::redact::sanitize_without;
use crate::credentials::sts::Pace;
use crate::credentials::token::Token;
use crate::net::client::{HttpClient, HttpResponse};
use crate::net::error::{ConnectError, HttpError};
use crate::remedies::entra::EntraRefusal;
use crate::remedies::first_hour::{ENTRA_FOREIGN, ENTRA_REFUSAL, SUBJECT_DEFAULT};
use crate::remedies::running::ENTRA_THROTTLED;
use crate::remedies::{Advice, identity};

/// `AADSTS90055`: too many requests for the tenant.
const TENANT_THROTTLED: u32 = 90055;
/// `AADSTS700213`: no federated credential has the subject.
const NO_SUBJECT: u32 = 700_213;
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Exchanges tokens for one application.
#[derive(Debug)]
pub struct Entra {
    client: HttpClient,
    application: config::EntraConfig,
    endpoint: Uri,
    clock: Clock,
}

/// Why Entra gave no token.
#[derive(Debug, thiserror::Error)]
pub enum EntraError {
    /// Entra responded with an error.
    #[error("Entra refused ({status}, {error}): {message}{}", support(.trace_id, .correlation_id))]
    Refused {
        status: StatusCode,
        /// OAuth's error code, such as `invalid_client`.
        error: String,
        /// The number behind `AADSTS`.
        code: Option<u32>,
        message: String,
        /// The assertion's claims, for errors that are about them.
        claims: Option<Box<AssertionClaims>>,
        trace_id: Box<str>,
        correlation_id: Box<str>,
    },
    /// No response.
    #[error("Entra {0}")]
    Silent(#[from] HttpError),
    /// The response does not come from Entra.
    #[error("the response of Entra ({status}) cannot be used: {what}")]
    Unusable {
        status: StatusCode,
        /// What is wrong with it, and who responded if that is known.
        what: String,
    },
}

/// What the assertion says.
#[derive(Debug)]
pub struct AssertionClaims {
    /// All claims in one line.
    pub description: String,
    /// The subject, if it is a namespace's default service account.
    pub default_account: Option<String>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
}

#[derive(Deserialize)]
struct EntraRejection {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
    #[serde(default)]
    trace_id: String,
    #[serde(default)]
    correlation_id: String,
}

// === impl Entra ===

impl Entra {
    /// Exchanges for this application, through `client`.
    #[must_use]
    pub fn new(application: config::EntraConfig, client: HttpClient, clock: Clock) -> Self {
        let authority = application.authority_host.to_string();
        let endpoint = format!(
            "{}/{}/oauth2/v2.0/token",
            authority.trim_end_matches('/'),
            application.tenant_id
        );
        // A validated authority and tenant always make a valid URL.
        let endpoint = endpoint
            .parse()
            .unwrap_or_else(|_| application.authority_host.clone());
        Self {
            client,
            application,
            endpoint,
            clock,
        }
    }

    /// Exchanges the projected token.
    pub async fn exchange(&self, assertion: &Token) -> Result<Token, EntraError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "client_credentials"),
                ("client_id", &self.application.client_id),
                ("scope", &self.application.scope),
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", assertion.expose()),
            ])
            .finish();
        let answer = self.client.post(&self.endpoint, HeaderMap::new(), form);
        self.read(&answer.await?, assertion)
    }

    /// The token in the response to `assertion`.
    pub fn read(&self, answer: &HttpResponse, assertion: &Token) -> Result<Token, EntraError> {
        let status = answer.status;
        let unusable = |what: &str| EntraError::Unusable {
            status,
            what: match answer.responder.as_str() {
                "" => what.to_owned(),
                responder => format!("{what} ({responder})"),
            },
        };
        let json = answer.text().ok_or_else(|| unusable("it is not UTF-8"))?;
        // The parser's own message may quote the response, and with it a token.
        if !status.is_success() {
            let refusal = serde_json::from_str(json)
                .map_err(|_| unusable("it is not the JSON of an Entra error"))?;
            return Err(self.refused(status, refusal, assertion));
        }
        let granted: Granted =
            serde_json::from_str(json).map_err(|_| unusable("it has no access_token"))?;
        Token::of(granted.access_token.expose_secret())
            .ok_or_else(|| unusable("its access_token is not a JSON web token, which AWS requires"))
    }

    fn refused(
        &self,
        status: StatusCode,
        refusal: EntraRejection,
        assertion: &Token,
    ) -> EntraError {
        let said = |words: &str| sanitize_without(words, &[assertion.expose()]);
        // The ids follow, which have fields of their own.
        let words = refusal.error_description.split("Trace ID:").next();
        let message = said(words.unwrap_or_default());
        let in_words = || {
            let digits = message.strip_prefix("AADSTS")?.split(':').next()?;
            digits.parse().ok()
        };
        EntraError::Refused {
            status,
            error: said(&refusal.error),
            code: refusal.error_codes.first().copied().or_else(in_words),
            claims: assertion.claims().map(|claims| {
                Box::new(AssertionClaims {
                    description: claims.describe(self.clock.now()),
                    default_account: claims.is_default_account().then(|| quoted(&[&claims.sub])),
                })
            }),
            trace_id: said(&refusal.trace_id).into(),
            correlation_id: said(&refusal.correlation_id).into(),
            message,
        }
    }
}

/// The ids that Azure support asks for.
fn support(trace_id: &str, correlation_id: &str) -> String {
    format!(" (trace id {trace_id}, correlation id {correlation_id})")
}

// === impl EntraError ===

impl EntraError {
    /// When to retry.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            _ if self.is_throttling() => Pace::Soon,
            Self::Refused { status, .. } if status.is_server_error() => Pace::Soon,
            Self::Refused { .. } => self.known().map_or(Pace::Slowly, |known| {
                if known.passes {
                    Pace::Soon
                } else {
                    Pace::Slowly
                }
            }),
            Self::Silent(_) | Self::Unusable { .. } => Pace::Soon,
        }
    }

    /// The metric's label: Entra's code if it is a known one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            _ if self.is_throttling() => "entra_throttled",
            Self::Refused { .. } => self.known().map_or("entra_other", |known| known.label),
            Self::Silent(HttpError::Connect(ConnectError::Proxy { .. })) => "entra_proxy",
            Self::Silent(HttpError::Connect(ConnectError::TimedOut(_)) | HttpError::TimedOut) => {
                "entra_timed_out"
            }
            Self::Silent(HttpError::TooLarge(_)) | Self::Unusable { .. } => "entra_unusable_answer",
            Self::Silent(_) => "entra_unreachable",
        }
    }

    /// Whether Entra throttles, by the status or by the code for a throttled tenant.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || *code == Some(TENANT_THROTTLED)
            }
            Self::Unusable { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Silent(_) => false,
        }
    }

    fn known(&self) -> Option<&'static EntraRefusal> {
        match self {
            Self::Refused { code, .. } => EntraRefusal::of((*code)?),
            Self::Silent(_) | Self::Unusable { .. } => None,
        }
    }

    /// What to do about it; with the claims if the code is about them.
    #[must_use]
    pub fn remedy(&self) -> Advice {
        match self {
            _ if self.is_throttling() => ENTRA_THROTTLED.into(),
            Self::Refused { code, claims, .. } => match (self.known(), claims) {
                (None, _) => ENTRA_REFUSAL.into(),
                (Some(known), Some(said)) if known.by_claims => {
                    let advice = Advice::from(known.row());
                    match (code, &said.default_account) {
                        (Some(NO_SUBJECT), Some(sub)) => {
                            Advice::any([SUBJECT_DEFAULT, known.row()])
                                .here(identity::default_account(sub))
                        }
                        _ => advice.here(format!(
                            "{}: {}; {}",
                            known.cause, known.remedy, said.description
                        )),
                    }
                }
                (Some(known), _) => {
                    Advice::from(known.row()).here(format!("{}: {}", known.cause, known.remedy))
                }
            },
            Self::Silent(error) => error.remedy(ENTRA_FOREIGN).into(),
            Self::Unusable { .. } => ENTRA_FOREIGN.into(),
        }
    }
}

#[cfg(test)]
mod tests;
