//! AMP's side of the stand-in: one workspace's remote-write endpoint, its query API and its Alertmanager.
//!
//! ```text
//! request ─▶ route ─▶ size ─▶ rate ─▶ signature ─▶ permission ─▶ workspace ─┬─▶ write (the engine) ─▶ store
//!                                                                          └─▶ query ─▶ a real Prometheus, Alertmanager
//! ```
//!
//! [`Amp::handle`] takes a whole request and AMP's own time and gives the whole answer; sockets, TLS and scripted faults
//! are the caller's. Whatever is answered with 200 is in the [`Store`], and whatever is in the store was signed by a
//! session that was allowed to write. Every answer bears `x-amzn-RequestId` and a `Date` of AMP's own clock, which need
//! not be the machine's: a sender may learn its offset from it.
//!
//! Signatures are verified by the crate's own `sigv4`.

mod answers;
mod bucket;
mod config;
mod content;
mod decode;
mod distributor;
mod elections;
mod forward;
mod go;
mod histogram;
mod ingest_fault;
mod judge;
mod judgement;
mod labels;
mod limits;
mod prometheus;
/// The messages that AMP takes.
pub use remote_write_proto as proto;
mod query;
mod refusal;
mod series;
mod series_limits;
mod store;
mod timestamp;
mod write;
mod written_stats;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

pub use self::{
    answers::EngineAnswer,
    config::AmpConfig,
    labels::Labels,
    limits::{HaTracker, LabelSetLimit, Limits, Rate, RemoteWrite2},
    series::Series,
    store::{Stats, Store},
};
use self::{bucket::TokenBucket, elections::Elections, query::Question, refusal::AmpRefusal};
use crate::{
    iam::{Denial, PolicyKind},
    sessions::{Session, Sessions},
    sigv4::Verifier,
};

const HTTP_DATE: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);
/// AMP refuses a request that names a tenant by itself.
const TENANT_HEADER: &str = "X-Scope-OrgID";

/// A running AMP. Clones are the same AMP.
#[derive(Clone, Debug)]
pub struct Amp(Arc<AmpShared>);

#[derive(Debug)]
struct AmpShared {
    config: AmpConfig,
    allowed_roles: RwLock<Vec<String>>,
    query_roles: RwLock<Vec<String>>,
    /// By a policy that is not the role's own.
    denial: RwLock<Option<Denial>>,
    sessions: Sessions,
    store: Store,
    limits: RwLock<Limits>,
    state: Mutex<InstanceState>,
    /// Held from judging to storing, across forwarding: nothing may be stored in between.
    ingest: tokio::sync::Mutex<()>,
    requests: AtomicU64,
    seed: RandomState,
}

/// What the instance remembers between requests, beside what is stored.
#[derive(Debug, Default)]
struct InstanceState {
    requests: TokenBucket,
    ingestion: TokenBucket,
    native_histograms: TokenBucket,
    elections: Elections,
}

impl Amp {
    /// An empty workspace, open to `config.allowed_roles` with sessions from `sessions`.
    pub fn new(config: AmpConfig, sessions: Sessions) -> Self {
        Self(Arc::new(AmpShared {
            allowed_roles: RwLock::new(config.allowed_roles.clone()),
            query_roles: RwLock::new(config.query_roles.clone()),
            denial: RwLock::default(),
            limits: RwLock::new(config.limits.clone()),
            state: Mutex::default(),
            config,
            sessions,
            store: Store::default(),
            ingest: tokio::sync::Mutex::default(),
            requests: AtomicU64::new(0),
            seed: RandomState::new(),
        }))
    }

    /// What this AMP was started with.
    pub fn config(&self) -> &AmpConfig {
        &self.0.config
    }

    /// Everything accepted so far.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// From now on these role ARNs may write, and no others.
    pub fn allow_roles(&self, roles: impl IntoIterator<Item = String>) {
        *self
            .0
            .allowed_roles
            .write()
            .unwrap_or_else(PoisonError::into_inner) = roles.into_iter().collect();
    }

    /// From now on these role ARNs may query, and no others.
    pub fn allow_queries(&self, roles: impl IntoIterator<Item = String>) {
        *self
            .0
            .query_roles
            .write()
            .unwrap_or_else(PoisonError::into_inner) = roles.into_iter().collect();
    }

    /// From now on this role may write and query, or not, beside what others may.
    pub(crate) fn permit(&self, role: &str, write: bool, query: bool) {
        for (roles, may) in [(&self.0.allowed_roles, write), (&self.0.query_roles, query)] {
            let mut roles = roles.write().unwrap_or_else(PoisonError::into_inner);
            roles.retain(|known| known != role);
            if may {
                roles.push(role.to_owned());
            }
        }
    }

    /// The ARN of its workspace.
    pub(crate) fn arn(&self) -> String {
        let config = &self.0.config;
        config.workspace_arn(&config.workspace_id)
    }

    /// From now on a policy of another kind denies everything that the roles are allowed; `None` ends that.
    pub fn deny(&self, denial: Option<Denial>) {
        *self
            .0
            .denial
            .write()
            .unwrap_or_else(PoisonError::into_inner) = denial;
    }

    /// The limits and the behavior of the instance as they are now.
    pub fn limits(&self) -> Limits {
        let limits = self.0.limits.read();
        limits.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these limits hold. Token buckets are full again, and nobody is elected.
    pub fn set_limits(&self, limits: Limits) {
        *self.lock() = InstanceState::default();
        let mut held = self
            .0
            .limits
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *held = limits;
    }

    /// The same with some of them changed.
    pub fn change_limits(&self, change: impl FnOnce(&mut Limits)) {
        let mut limits = self.limits();
        change(&mut limits);
        self.set_limits(limits);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, InstanceState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request as of `now`. Dropped before it is done, it has stored nothing, though a real Prometheus
    /// behind it may have.
    pub async fn handle(&self, now: SystemTime, request: Request<Bytes>) -> Response<Bytes> {
        let mut response = match self.take(now, &request).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        };
        self.stamp(now, &mut response);
        response
    }

    async fn take(
        &self,
        now: SystemTime,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, AmpRefusal> {
        let config = &self.0.config;
        let (workspace, operation) = route(request).ok_or(AmpRefusal::NoRoute)?;
        if request.body().len() > config.max_request_bytes {
            return Err(AmpRefusal::TooLong);
        }
        if let Some(rate) = self.limits().request_rate
            && !self.lock().requests.take(rate, 1, now)
        {
            return Err(AmpRefusal::Throttled);
        }
        if request.headers().contains_key(TENANT_HEADER) {
            return Err(AmpRefusal::ForbiddenHeader(TENANT_HEADER));
        }
        let verifier = Verifier {
            regions: std::slice::from_ref(&config.region),
            service: "aps",
            sessions: &self.0.sessions,
        };
        let session = verifier.verify(now, request)?;
        self.authorize(&session, operation, workspace)?;
        if workspace != config.workspace_id {
            return Err(AmpRefusal::NoWorkspace);
        }
        match operation {
            Operation::Write => self.write(now, request.headers(), request.body()).await,
            Operation::Ask(question) => Ok(question.ask(config, request).await?),
        }
    }

    /// Whether the session's role and its session policy both allow it.
    fn authorize(
        &self,
        session: &Session,
        operation: Operation<'_>,
        workspace: &str,
    ) -> Result<(), AmpRefusal> {
        let config = &self.0.config;
        let (action, roles) = match operation {
            Operation::Write => ("aps:RemoteWrite", &self.0.allowed_roles),
            Operation::Ask(question) => (question.action, &self.0.query_roles),
        };
        let resource = config.workspace_arn(workspace);
        let roles = roles.read().unwrap_or_else(PoisonError::into_inner);
        let by_role = session.account == config.account && roles.contains(&session.role_arn);
        let also = *self.0.denial.read().unwrap_or_else(PoisonError::into_inner);
        let denial = match also {
            Some(denial) => denial,
            None if !by_role => Denial::implicit(PolicyKind::IdentityBased),
            None if !session.is_left(action, &resource) => Denial::implicit(PolicyKind::Session),
            None => return Ok(()),
        };
        Err(AmpRefusal::NotAllowed {
            user: session.assumed_role_arn.clone(),
            action,
            resource,
            denial,
        })
    }

    fn stamp(&self, now: SystemTime, response: &mut Response<Bytes>) {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (
            self.0.seed.hash_one(("high", number)),
            self.0.seed.hash_one(("low", number)),
        );
        let digits = format!("{high:016x}{low:016x}");
        let part = |range| digits.get(range).unwrap_or_default();
        let id = format!(
            "{}-{}-4{}-a{}-{}",
            part(0..8),
            part(8..12),
            part(13..16),
            part(17..20),
            part(20..32)
        );
        let date = OffsetDateTime::from(now)
            .format(HTTP_DATE)
            .unwrap_or_default();
        for (name, text) in [
            (header::HeaderName::from_static("x-amzn-requestid"), id),
            (header::DATE, date),
        ] {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
enum Operation<'a> {
    Write,
    Ask(Question<'a>),
}

/// The workspace that a request is for, and what for, if AMP has such a path. A slash at the end is another path.
fn route(request: &Request<Bytes>) -> Option<(&str, Operation<'_>)> {
    let rest = request.uri().path().strip_prefix("/workspaces/")?;
    let (workspace, path) = rest.split_once('/')?;
    let operation = match path {
        "api/v1/remote_write" if request.method() == Method::POST => Operation::Write,
        path => Operation::Ask(Question::at(path, request.method())?),
    };
    (!workspace.is_empty()).then_some((workspace, operation))
}
