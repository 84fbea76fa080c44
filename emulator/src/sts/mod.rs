//! AWS STS, as far as AssumeRoleWithWebIdentity and AssumeRole.
//!
//! ```text
//!                         ┌─▶ parameters ─▶ web_identity ─▶ trust ─┐
//! form ─▶ action, version ┤                                        ├─▶ session ─▶ document
//!                         └─▶ signature ─▶ assume_role ──▶ trust ──┘
//! ```
//!
//! In: a form-encoded `POST /`, or a `GET /` with the form in its query, unsigned
//! or signed as the action has it. Out: AWS' XML (or JSON, for who accepts that),
//! a session or a [`StsRefusal`], and a line in the log of calls. Each
//! stage takes what the one before made, so that no session exists for a token
//! or a signature that was not verified. Further actions get an arm in
//! `Sts::judge` and a file of their own.
//!
//! One STS stands for the endpoints of several regions: a signature may be
//! scoped to any of them.
//!
//! How long a session really lives can be set apart from how long was asked
//! for: AWS' shortest is 15 minutes, and no test waits that long.

pub(crate) mod account;
mod assume_role;
pub(crate) mod document;
mod parameters;
mod refusal;
mod trust;
mod web_identity;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};

pub use account::{Account, OidcProvider, Role};
pub use refusal::StsRefusal;
pub(crate) use trust::{Caller, Trust};
pub use trust::{TrustPolicy, TrustPolicyError};
pub(crate) use web_identity::GOOGLE;

use crate::call_log::CallLog;
use crate::clock::{Clock, unix_seconds};
use crate::fetch::Fetcher;
use crate::form::{self, Form};
use crate::front::{Answers, request_id};
use crate::http::answer;
use crate::sessions::{Session, SessionContext, Sessions};
use crate::sigv4::Verifier;
use account::AccountBook;
use assume_role::AssumeRoleRequest;
use document::{Element, Format, answer_in};
use parameters::WebIdentityRequest;
use web_identity::Identity;

const VERSION: &str = "2011-06-15";
const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";
const ASSUME_ROLE: &str = "AssumeRole";
const CALLER_IDENTITY: &str = "GetCallerIdentity";

/// STS for some accounts. Clones share everything.
#[derive(Debug, Clone)]
pub struct Sts {
    accounts: AccountBook,
    regions: Arc<[String]>,
    sessions: Sessions,
    clock: Clock,
    fetcher: Fetcher,
    session_life: Arc<Mutex<Option<Duration>>>,
    calls: CallLog<StsCall>,
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
    /// `ExternalId`, as sent.
    pub external_id: Option<String>,
    /// The ARN of the session that signed, where the signature is right.
    pub caller: Option<String>,
    /// `jti` of the token, where it was genuine.
    pub token_id: Option<String>,
    /// The session's access key id, or why there is none.
    pub outcome: Result<String, StsRefusal>,
}

#[derive(Debug)]
struct StsGrant {
    session: Session,
    session_name: String,
    /// By a web identity, or else by another session.
    identity: Option<Identity>,
}

// === impl Sts ===

impl Sts {
    pub(crate) fn new(
        accounts: AccountBook,
        regions: Vec<String>,
        sessions: Sessions,
        clock: Clock,
        fetcher: Fetcher,
        session_life: Option<Duration>,
    ) -> Self {
        Self {
            accounts,
            regions: regions.into(),
            sessions,
            clock,
            fetcher,
            session_life: Arc::new(Mutex::new(session_life)),
            calls: CallLog::default(),
        }
    }

    /// Makes sessions live so long, whatever is asked for; `None` heeds it again.
    pub fn set_session_life(&self, life: Option<Duration>) {
        *self.session_life() = life;
    }

    /// The calls that it judged.
    #[must_use]
    pub fn calls(&self) -> &CallLog<StsCall> {
        &self.calls
    }

    /// Every refusal is a value here, so that the log sees them all.
    async fn judge(
        &self,
        request: &Request<Bytes>,
        form: &Form,
        call: &mut StsCall,
    ) -> Result<StsGrant, StsRefusal> {
        let field = |name: &str| form.get(name).map(String::as_str);
        let action = field("Action").ok_or(StsRefusal::MissingAction)?;
        let version = field("Version").unwrap_or_default();
        match (action, version) {
            (WEB_IDENTITY, VERSION) => self.web_identity(form, call).await,
            (ASSUME_ROLE, VERSION) => self.assume_role(request, form, call),
            _ => Err(StsRefusal::InvalidAction {
                action: action.to_owned(),
                version: version.to_owned(),
            }),
        }
    }

    async fn web_identity(&self, form: &Form, call: &mut StsCall) -> Result<StsGrant, StsRefusal> {
        let asked = WebIdentityRequest::parse(form)?;
        let policy = asked.narrowing.policy()?;
        let accounts = self.accounts.now();
        let account = accounts.iter().find(|one| one.id == asked.account);
        let now = unix_seconds(call.at);
        let identity = Identity::of(asked.token, account, &self.fetcher, now).await?;
        let caller = Caller::Federated(&identity.provider);
        let role = account
            .and_then(|account| account.role(asked.role_arn))
            .filter(|role| {
                let action = "sts:AssumeRoleWithWebIdentity";
                role.trust.trust(action, caller, &identity.keys) == Trust::Itself
            })
            .ok_or(StsRefusal::NotAuthorized)?;
        role.allows(asked.duration)?;
        call.token_id.clone_from(&identity.token_id);
        let context = SessionContext {
            policy,
            ..SessionContext::default()
        };
        Ok(StsGrant {
            session: self.issue(role, asked.session_name, asked.duration, context),
            session_name: asked.session_name.to_owned(),
            identity: Some(identity),
        })
    }

    fn assume_role(
        &self,
        request: &Request<Bytes>,
        form: &Form,
        call: &mut StsCall,
    ) -> Result<StsGrant, StsRefusal> {
        let caller = self.caller(call.at, request)?;
        call.caller = Some(caller.assumed_role_arn.clone());
        let asked = AssumeRoleRequest::parse(form)?;
        let accounts = self.accounts.now();
        let (role, context) = asked.grant(&caller, &accounts)?;
        Ok(StsGrant {
            session: self.issue(role, asked.session_name, asked.duration, context),
            session_name: asked.session_name.to_owned(),
            identity: None,
        })
    }

    /// The session that signed.
    fn caller(&self, at: SystemTime, request: &Request<Bytes>) -> Result<Session, StsRefusal> {
        let verifier = Verifier {
            regions: &self.regions,
            service: "sts",
            sessions: &self.sessions,
        };
        verifier
            .verify(at, request)
            .map_err(|fault| StsRefusal::unauthenticated(&fault))
    }

    /// Who asks; anybody may know that of himself.
    fn caller_identity(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (format, request_id) = (Format::of(request.headers()), request_id());
        let caller = match self.caller(self.clock.now(), request) {
            Ok(caller) => caller,
            Err(refusal) => return refusal.answer(format, &request_id),
        };
        let known = vec![
            Element::text("Arn", &caller.assumed_role_arn),
            Element::text("UserId", "AROAEMULATEDROLE00000"),
            Element::text("Account", &caller.account),
        ];
        let envelope = Element::response(CALLER_IDENTITY, known, &request_id);
        answer_in(format, StatusCode::OK, &envelope, &request_id)
    }

    /// A session that an AWS service assumes for a caller of its own, where there is the role and `trusts` says so.
    pub(crate) fn for_service(
        &self,
        role_arn: &str,
        trusts: impl FnOnce(&Role) -> bool,
        name: &str,
        life: Duration,
        context: SessionContext,
    ) -> Option<Session> {
        let accounts = self.accounts.now();
        let role = accounts.iter().find_map(|one| one.role(role_arn));
        let role = role.filter(|role| trusts(role))?;
        Some(self.issue(role, name, life, context))
    }

    fn issue(&self, role: &Role, name: &str, asked: Duration, context: SessionContext) -> Session {
        let life = self.session_life().unwrap_or(asked);
        let now = self.clock.now();
        self.sessions
            .issue_with(&role.arn, name, life, now, context)
    }

    fn session_life(&self) -> MutexGuard<'_, Option<Duration>> {
        self.session_life
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Sts {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let Some(form) = form_of(&request) else {
            let text = "<UnknownOperationException/>\n".to_owned();
            return answer(StatusCode::NOT_FOUND, "text/xml", text);
        };
        let field = |name: &str| form.get(name).map(String::as_str);
        if (field("Action"), field("Version")) == (Some(CALLER_IDENTITY), Some(VERSION)) {
            return self.caller_identity(&request);
        }
        let mut call = StsCall::begun(&form, self.clock.now());
        let outcome = self.judge(&request, &form, &mut call).await;
        call.outcome = match &outcome {
            Ok(granted) => Ok(granted.session.access_key_id.clone()),
            Err(refusal) => Err(refusal.clone()),
        };
        self.calls.note(call, outcome.is_ok());
        let (format, request_id) = (Format::of(request.headers()), request_id());
        match outcome {
            Ok(granted) => granted.answer(format, &request_id),
            Err(refusal) => refusal.answer(format, &request_id),
        }
    }
}

/// What is asked for; nothing where the request gets as far as no action.
fn form_of(request: &Request<Bytes>) -> Option<Form> {
    let body = || {
        let kind = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        kind.starts_with("application/x-www-form-urlencoded")
            .then_some(request.body().as_ref())
    };
    let text = match *request.method() {
        Method::GET => request.uri().query()?.as_bytes(),
        Method::POST => body()?,
        _ => return None,
    };
    let root = request.uri().path() == "/";
    root.then(|| form::decoded(text))
}

// === impl StsCall ===

impl StsCall {
    /// What is known before it was judged; until then it counts as refused.
    fn begun(form: &Form, at: SystemTime) -> Self {
        let field = |name: &str| form.get(name).cloned();
        Self {
            at,
            action: field("Action").unwrap_or_default(),
            role_arn: field("RoleArn"),
            session_name: field("RoleSessionName"),
            duration_seconds: field("DurationSeconds"),
            external_id: field("ExternalId"),
            caller: None,
            token_id: None,
            outcome: Err(StsRefusal::NotAuthorized),
        }
    }
}

// === impl StsGrant ===

impl StsGrant {
    fn answer(&self, format: Format, request_id: &str) -> Response<Bytes> {
        let Self {
            session,
            session_name,
            identity,
        } = self;
        let role_id = format!("AROAEMULATEDROLE00000:{session_name}");
        let assumed = vec![
            Element::text("AssumedRoleId", role_id),
            Element::text("Arn", &session.assumed_role_arn),
        ];
        let credentials = vec![
            Element::text("AccessKeyId", &session.access_key_id),
            Element::text("SecretAccessKey", &session.secret_access_key),
            Element::text("SessionToken", &session.session_token),
            Element::time("Expiration", session.expiration.into()),
        ];
        let mut result = vec![
            Element::parent("AssumedRoleUser", assumed),
            Element::parent("Credentials", credentials),
        ];
        if let Some(identity) = identity {
            result.extend([
                Element::text("Audience", &identity.audience),
                Element::text("Provider", &identity.provider),
                Element::text("SubjectFromWebIdentityToken", &identity.subject),
            ]);
        }
        if let Some(source) = &session.context.source_identity {
            result.push(Element::text("SourceIdentity", source));
        }
        let action = match identity {
            Some(_) => WEB_IDENTITY,
            None => ASSUME_ROLE,
        };
        let envelope = Element::response(action, result, request_id);
        answer_in(format, StatusCode::OK, &envelope, request_id)
    }
}
