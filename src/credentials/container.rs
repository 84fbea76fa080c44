//! Gets the credentials of a container from the endpoint that its platform names: the EKS Pod Identity agent, the ECS agent.
//!
//! In: the endpoint, and the token that authorizes the request, its file read afresh each time. Out: the platform's credentials, or a
//! [`ContainerError`] with what the endpoint answered. The client uses no proxy and follows no redirect: the response holds keys, and the
//! request a token. The Pod Identity agent answers errors in plain text, `[request id]: (Code): message, fault: client`, others in JSON.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use hyper::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::aws_keys::{AwsKeys, KeyFault, KeyTexts};
use crate::clock::Clock;
use crate::config::{ContainerConfig, ContainerToken};
use crate::credentials::last_sent::{Digest, LastSent};
use crate::credentials::redact::sanitize_without_keys;
use crate::credentials::small_file::{self, SmallFileError};
use crate::credentials::sts::{Pace, SessionCredentials};
use crate::net::client::{HttpClient, HttpResponse};
use crate::net::error::{ConnectError, HttpError};
use crate::remedies::Advice;
use crate::remedies::container as rows;
use crate::remedies::first_hour::{NOT_A_FILE, TOKEN_DENIED, TOKEN_FOLDER};

/// A longer token does not fit into the head of a request.
const LONGEST_TOKEN: u64 = 16 * 1024;
/// IAM's longest session: an expiry further ahead would keep dead credentials in use.
const LONGEST_SESSION: Duration = Duration::from_secs(12 * 60 * 60);
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json");

/// Asks one endpoint.
#[derive(Debug)]
pub struct Container {
    client: HttpClient,
    config: ContainerConfig,
    clock: Clock,
    /// The token that the last request carried.
    sent: LastSent,
}

/// Why the endpoint gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The token's file could not be opened or read.
    #[error("token file {}: {source}", .path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
        /// Who may read it and what to set, if access is denied.
        access: Option<String>,
    },
    /// The token cannot be sent.
    #[error("token file {} {what}", .path.display())]
    Token { path: PathBuf, what: &'static str },
    /// The endpoint responded with an error.
    #[error("the credentials endpoint refused ({status}): {message}")]
    Refused {
        status: StatusCode,
        /// EKS' or ECS' code, such as `AccessDeniedException`; often none.
        code: Option<String>,
        message: String,
    },
    /// No response.
    #[error("the credentials endpoint {0}")]
    Silent(#[from] HttpError),
    /// They have expired, by this machine's clock.
    #[error(
        "the credentials endpoint gave credentials that expired at {expired}; this machine's clock says {now}"
    )]
    Expired { expired: String, now: String },
    /// The response holds no usable credentials.
    #[error("the response of the credentials endpoint ({status}) cannot be used: {what}")]
    Unusable { status: StatusCode, what: String },
}

/// As the ECS agent writes it, and as other implementations do.
#[derive(Deserialize)]
struct AgentError {
    #[serde(alias = "Code")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

// === impl Container ===

impl Container {
    /// Asks through `client`, which uses no proxy.
    #[must_use]
    pub fn new(config: ContainerConfig, client: HttpClient, clock: Clock) -> Self {
        Self {
            client,
            config,
            clock,
            sent: LastSent::default(),
        }
    }

    pub(super) fn endpoint(&self) -> &Uri {
        &self.config.endpoint
    }

    /// Gets credentials.
    pub async fn obtain(&self) -> Result<SessionCredentials, ContainerError> {
        let token = self.authorization().await;
        let sent = token
            .as_ref()
            .ok()
            .and_then(|token| token.as_ref().map(digest));
        self.sent.set(sent);
        let token = token?;
        let mut headers = HeaderMap::from_iter([(ACCEPT, ACCEPTED)]);
        headers.extend(token.clone().map(|token| (AUTHORIZATION, token)));
        let answer = self.client.get_with(&self.config.endpoint, headers).await?;
        self.read(&answer, token.as_ref())
    }

    /// Whether the next request would carry another token than the last one.
    pub async fn changed(&self) -> bool {
        let token = self.authorization().await.ok().flatten();
        token.is_some_and(|token| self.sent.get() != Some(digest(&token)))
    }

    /// The credentials in a response to the request that carried `token`.
    pub fn read(
        &self,
        answer: &HttpResponse,
        token: Option<&HeaderValue>,
    ) -> Result<SessionCredentials, ContainerError> {
        let status = answer.status;
        let unusable = |what: &str| ContainerError::Unusable {
            status,
            what: match answer.responder.as_str() {
                "" => what.to_owned(),
                responder => format!("{what} ({responder})"),
            },
        };
        let text = answer.text().ok_or_else(|| unusable("it is not UTF-8"))?;
        if status.is_redirection() {
            return Err(unusable("redirects are not followed"));
        }
        if !status.is_success() {
            return Err(refused(status, text, token));
        }
        // The parser's own message may quote the response, and with it a key.
        let granted: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| unusable("it is not JSON of an object"))?;
        let named = |name: &'static str| match granted.get(name) {
            Some(Value::String(text)) => Ok((name, text.as_str())),
            Some(_) => Err(unusable(&format!("its {name} is not a string"))),
            None => Err(unusable(&format!("it has no {name}"))),
        };
        let (token_name, session_token) = named("Token")?;
        let texts = KeyTexts {
            access_key_id: named("AccessKeyId")?,
            secret_access_key: named("SecretAccessKey")?,
            session_token: (token_name, Some(session_token)),
        };
        let (_, expiration) = named("Expiration")?;
        let faulty = |fault: KeyFault| unusable(&fault.to_string());
        let keys = AwsKeys::checked(texts).map_err(faulty)?;
        let expires = OffsetDateTime::parse(expiration, &Rfc3339)
            .map_err(|_| unusable("its Expiration is not a time"))?;
        let (expires, now) = (SystemTime::from(expires), self.clock.now());
        if expires <= now {
            return Err(ContainerError::Expired {
                expired: in_utc(expires),
                now: in_utc(now),
            });
        }
        Ok(SessionCredentials {
            credentials: keys.credentials("container"),
            expires: Some(expires.min(now + LONGEST_SESSION)),
            arn: None,
        })
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, ContainerError> {
        match &self.config.authorization {
            None => Ok(None),
            Some(ContainerToken::Text(text)) => Ok(Some(text.clone())),
            Some(ContainerToken::File(path)) => read_token(path).await.map(Some),
        }
    }
}

/// Sent as it is, white space at its ends included: a file with a line break is not what the platform writes.
async fn read_token(path: &Path) -> Result<HeaderValue, ContainerError> {
    let wrong = |what| ContainerError::Token {
        path: path.to_owned(),
        what,
    };
    let bytes = small_file::read(path, LONGEST_TOKEN).await;
    let bytes = bytes.map_err(|error| match error {
        SmallFileError::Unreadable { source, access } => ContainerError::Unreadable {
            path: path.to_owned(),
            source,
            access,
        },
        SmallFileError::TooLong => {
            wrong("is longer than the 16384 characters that fit into a request")
        }
        SmallFileError::Changing => wrong("changes while it is read"),
    })?;
    if bytes.is_empty() {
        return Err(wrong("is empty"));
    }
    if bytes.contains(&b'\n') || bytes.contains(&b'\r') {
        return Err(wrong("contains a line break, which no request can carry"));
    }
    let mut token = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))
        .map_err(|_| wrong("contains a character that no request can carry"))?;
    token.set_sensitive(true);
    Ok(token)
}

fn refused(status: StatusCode, text: &str, token: Option<&HeaderValue>) -> ContainerError {
    let sent = token.map_or("", |token| token.to_str().unwrap_or_default());
    let said = |words: &str| sanitize_without_keys(words.trim(), sent);
    let json = serde_json::from_str(text).unwrap_or(AgentError {
        code: None,
        message: None,
    });
    let code = json.code.as_deref().or_else(|| code_in(text)).map(said);
    let message = match (&json.message, &json.code) {
        (Some(message), Some(code)) => said(&format!("{code}: {message}")),
        (Some(message), None) => said(message),
        (None, _) => said(text),
    };
    ContainerError::Refused {
        status,
        code,
        message,
    }
}

/// The code of EKS in `[request id]: (Code): message`.
fn code_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('(')?;
    let (code, _) = rest.split_once("):")?;
    code.bytes()
        .all(|b| b.is_ascii_alphanumeric())
        .then_some(code)
}

fn in_utc(time: SystemTime) -> String {
    let seconds = OffsetDateTime::from(time).truncate_to_second();
    seconds.format(&Rfc3339).unwrap_or_default()
}

fn digest(token: &HeaderValue) -> Digest {
    Digest::of([token.as_bytes()])
}

// === impl ContainerError ===

impl ContainerError {
    /// When to retry.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            Self::Refused { status, .. } if self.is_throttling() || status.is_server_error() => {
                Pace::Soon
            }
            Self::Refused { .. } => Pace::Slowly,
            // Kubelet writes the token, and the agent starts, at a time that cannot be known.
            Self::Unreadable { .. }
            | Self::Token { .. }
            | Self::Silent(_)
            | Self::Expired { .. }
            | Self::Unusable { .. } => Pace::Soon,
        }
    }

    /// The metric's label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "container_token_unreadable",
            Self::Token { .. } => "container_token_malformed",
            Self::Refused { .. } if self.is_throttling() => "container_throttled",
            Self::Refused { .. } => "container_refused",
            Self::Silent(HttpError::Connect(ConnectError::TimedOut(_)) | HttpError::TimedOut) => {
                "container_timed_out"
            }
            Self::Expired { .. } => "container_expired",
            Self::Silent(HttpError::TooLarge(_)) | Self::Unusable { .. } => {
                "container_unusable_answer"
            }
            Self::Silent(_) => "container_unreachable",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Advice {
        use std::io::ErrorKind;
        match self {
            Self::Unreadable { source, access, .. } => match source.kind() {
                ErrorKind::PermissionDenied => {
                    Advice::from(TOKEN_DENIED).here(access.clone().unwrap_or_default())
                }
                ErrorKind::IsADirectory => TOKEN_FOLDER.into(),
                ErrorKind::InvalidInput => NOT_A_FILE.into(),
                _ => rows::TOKEN_MISSING.into(),
            },
            Self::Token { .. } => rows::TOKEN_CHARACTERS.into(),
            Self::Refused {
                status,
                code,
                message,
            } => match code.as_deref() {
                _ if self.is_throttling() || status.is_server_error() => rows::BUSY.into(),
                Some("AccessDeniedException") => rows::TRUST.into(),
                Some("ResourceNotFoundException") => rows::ASSOCIATION.into(),
                Some("ExpiredTokenException" | "InvalidTokenException") => {
                    rows::TOKEN_REFUSED.into()
                }
                // The agent's own words, before it asks EKS.
                None if message.starts_with("Service account token") => rows::TOKEN_REFUSED.into(),
                _ => rows::REFUSED.into(),
            },
            Self::Silent(HttpError::Connect(
                ConnectError::Tcp { .. } | ConnectError::TimedOut(_),
            )) => rows::UNREACHABLE.into(),
            // No proxy is between.
            Self::Silent(HttpError::TimedOut | HttpError::Broken(_)) => rows::BUSY.into(),
            Self::Silent(error) => error.remedy(rows::FOREIGN).into(),
            Self::Expired { .. } => rows::EXPIRED.into(),
            Self::Unusable { .. } => rows::FOREIGN.into(),
        }
    }

    fn is_throttling(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS
                    || code.as_deref() == Some("ThrottlingException")
            }
            Self::Unreadable { .. }
            | Self::Token { .. }
            | Self::Silent(_)
            | Self::Expired { .. }
            | Self::Unusable { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
