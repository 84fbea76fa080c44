//! AWS STS, as far as AssumeRoleWithWebIdentity.
//!
//! ```text
//! form ─▶ action, version ─▶ parameters ─▶ web_identity ─▶ trust ─▶ session ─▶ xml
//! ```
//!
//! In: an unsigned form-encoded `POST /`. Out: AWS' XML, a session or a
//! [`Refusal`], and a line in the log of calls. Each stage takes what the one
//! before made, so that no session exists for a token that was not verified.
//! Further actions get an arm in `Sts::judge` and a file of their own.
//!
//! How long a session really lives can be set apart from how long was asked
//! for: AWS' shortest is 15 minutes, and no test waits that long.

mod account;
mod parameters;
mod refusal;
mod trust;
mod web_identity;
mod xml;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use account::{Account, OidcProvider, Role};
pub use refusal::Refusal;
pub use trust::{TrustPolicy, TrustPolicyError};

use crate::clock::{Clock, unix_seconds};
use crate::fetch::Fetcher;
use crate::front::{Answers, request_id};
use crate::http::answer;
use crate::sessions::{Session, Sessions};
use parameters::{Form, WebIdentityRequest};
use web_identity::Identity;
use xml::{Element, answer_xml};

const VERSION: &str = "2011-06-15";
const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";
const CALLS_AT_MOST: usize = 4096;

/// STS for one account. Clones share everything.
#[derive(Debug, Clone)]
pub struct Sts {
    account: Arc<Account>,
    sessions: Sessions,
    clock: Clock,
    fetcher: Fetcher,
    state: Arc<Mutex<State>>,
}

/// One call, as STS judged it. Calls that a fault answered are not among them.
#[derive(Debug, Clone)]
pub struct StsCall {
    /// When it was judged, by the world's clock.
    pub at: SystemTime,
    /// `Action`, as sent.
    pub action: String,
    /// `RoleArn`, as sent.
    pub role_arn: Option<String>,
    /// `RoleSessionName`, as sent.
    pub session_name: Option<String>,
    /// `DurationSeconds`, as sent.
    pub duration_seconds: Option<String>,
    /// `jti` of the token, where it was genuine.
    pub token_id: Option<String>,
    /// The session's access key id, or why there is none.
    pub outcome: Result<String, Refusal>,
}

#[derive(Debug, Default)]
struct State {
    session_life: Option<Duration>,
    calls: VecDeque<StsCall>,
    issued: u64,
    refused: u64,
}

#[derive(Debug)]
struct Granted {
    session: Session,
    session_name: String,
    identity: Identity,
}

// === impl Sts ===

impl Sts {
    pub(crate) fn new(
        account: Account,
        sessions: Sessions,
        clock: Clock,
        fetcher: Fetcher,
        session_life: Option<Duration>,
    ) -> Self {
        Self {
            account: Arc::new(account),
            sessions,
            clock,
            fetcher,
            state: Arc::new(Mutex::new(State {
                session_life,
                ..State::default()
            })),
        }
    }

    /// Makes sessions live so long, whatever is asked for; `None` heeds it again.
    pub fn set_session_life(&self, life: Option<Duration>) {
        self.lock().session_life = life;
    }

    /// The last calls, oldest first, at most 4,096.
    #[must_use]
    pub fn calls(&self) -> Vec<StsCall> {
        self.lock().calls.iter().cloned().collect()
    }

    /// How many sessions were issued.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.lock().issued
    }

    /// How many calls were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// Every refusal is a value here, so that the log sees them all.
    async fn judge(&self, form: &Form, at: SystemTime) -> Result<Granted, Refusal> {
        let field = |name: &str| form.get(name).map(String::as_str);
        let action = field("Action").ok_or(Refusal::MissingAction)?;
        let version = field("Version").unwrap_or_default();
        match (action, version) {
            (WEB_IDENTITY, VERSION) => self.web_identity(form, at).await,
            _ => Err(Refusal::InvalidAction {
                action: action.to_owned(),
                version: version.to_owned(),
            }),
        }
    }

    async fn web_identity(&self, form: &Form, at: SystemTime) -> Result<Granted, Refusal> {
        let asked = WebIdentityRequest::parse(form)?;
        let identity = Identity::of(
            asked.token,
            asked.account,
            &self.account,
            &self.fetcher,
            unix_seconds(at),
        )
        .await?;
        let role = self
            .account
            .role(asked.role_arn)
            .filter(|role| {
                role.trust.allows(
                    "sts:AssumeRoleWithWebIdentity",
                    &identity.provider_arn,
                    &identity.keys,
                )
            })
            .ok_or(Refusal::NotAuthorized)?;
        if asked.duration > role.max_session {
            return Err(Refusal::Validation(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
                    .to_owned(),
            ));
        }
        let life = self.lock().session_life.unwrap_or(asked.duration);
        let session = self
            .sessions
            .issue(&role.arn, asked.session_name, life, self.clock.now());
        Ok(Granted {
            session,
            session_name: asked.session_name.to_owned(),
            identity,
        })
    }

    fn note(&self, form: &Form, at: SystemTime, outcome: &Result<Granted, Refusal>) {
        let field = |name: &str| form.get(name).cloned();
        let call = StsCall {
            at,
            action: field("Action").unwrap_or_default(),
            role_arn: field("RoleArn"),
            session_name: field("RoleSessionName"),
            duration_seconds: field("DurationSeconds"),
            token_id: outcome
                .as_ref()
                .ok()
                .and_then(|granted| granted.identity.token_id.clone()),
            outcome: match outcome {
                Ok(granted) => Ok(granted.session.access_key_id.clone()),
                Err(refusal) => Err(refusal.clone()),
            },
        };
        let mut state = self.lock();
        match call.outcome {
            Ok(_) => state.issued += 1,
            Err(_) => state.refused += 1,
        }
        state.calls.push_back(call);
        if state.calls.len() > CALLS_AT_MOST {
            state.calls.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Sts {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        if let Some(refusal) = misdirected(&request) {
            return refusal;
        }
        let form: Form = form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        let at = self.clock.now();
        let outcome = self.judge(&form, at).await;
        self.note(&form, at, &outcome);
        let request_id = request_id();
        match outcome {
            Ok(granted) => granted.answer(&request_id),
            Err(refusal) => refusal.answer(&request_id),
        }
    }
}

/// What never gets as far as an action.
fn misdirected(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    if request.uri().path() == "/" && request.method() == Method::POST && form {
        return None;
    }
    let text = "<UnknownOperationException/>\n".to_owned();
    Some(answer(StatusCode::NOT_FOUND, "text/xml", text))
}

// === impl Granted ===

impl Granted {
    fn answer(&self, request_id: &str) -> Response<Bytes> {
        let Self {
            session,
            session_name,
            identity,
        } = self;
        // AWS' time stamps end with the second.
        let expiration = OffsetDateTime::from(session.expiration)
            .replace_nanosecond(0)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok())
            .unwrap_or_default();
        let result = Element::parent(
            "AssumeRoleWithWebIdentityResult",
            vec![
                Element::text("Audience", &identity.audience),
                Element::parent(
                    "AssumedRoleUser",
                    vec![
                        Element::text(
                            "AssumedRoleId",
                            format!("AROAEMULATEDROLE00000:{session_name}"),
                        ),
                        Element::text("Arn", &session.assumed_role_arn),
                    ],
                ),
                Element::text("Provider", &identity.provider_arn),
                Element::parent(
                    "Credentials",
                    vec![
                        Element::text("AccessKeyId", &session.access_key_id),
                        Element::text("SecretAccessKey", &session.secret_access_key),
                        Element::text("SessionToken", &session.session_token),
                        Element::text("Expiration", expiration),
                    ],
                ),
                Element::text("SubjectFromWebIdentityToken", &identity.subject),
            ],
        );
        let metadata = Element::parent(
            "ResponseMetadata",
            vec![Element::text("RequestId", request_id)],
        );
        let envelope = Element::parent("AssumeRoleWithWebIdentityResponse", vec![result, metadata]);
        answer_xml(StatusCode::OK, &envelope, request_id)
    }
}
