//! Signed queries for one workspace, and its Alertmanager, if its configuration allows them.
//!
//! ```text
//! client ─▶ api ─▶ slots ─▶ request      ─▶ sign   ─▶ pool ─▶ response      ─▶ stream   ─▶ client
//!           Api    Slot     QueryRequest    Signed            QueryResponse    Streamed
//! ```
//!
//! The APIs are a closed list, and only parameters are forwarded: path, host and headers are built here, so no other AWS API
//! can be reached. What Grafana needs and AMP does not have is answered by [`local`]. Queries take nothing from writes: they have a few slots and connections of their own and use none of the
//! batches' budget. A few queries run at once, some more wait in order of arrival, and any further one is rejected at once. A
//! response is streamed and never held as a whole.

pub mod alertmanager;
pub mod api;
mod error;
pub mod error_form;
pub mod local;
pub mod request;
mod response;
mod sign;
pub mod slots;
pub mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Body;
use hyper::{Method, Request, Response};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::config::{Alertmanager, QueryConfig, Workspace};
use crate::credentials::{ActiveCredentials, Cache, RejectionCause};
use crate::inbound::listener::Closed;
use crate::net::pool::Pool;
use crate::net::transport::Transport;
use crate::sigv4::SigningError;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker, QUERIES};
use crate::telemetry::{QueryMetrics, Telemetry, WorkspaceMetrics};

use api::{Api, RequestedApi};
pub use error::QueryError;
use request::{QueryRequest, ReadError};
use response::QueryResponse;
use sign::QuerySigner;
use slots::Slots;
use stream::{StreamSource, Streamed};

/// Queries one workspace.
#[derive(Debug)]
pub struct Queries {
    slots: Slots,
    credentials: Cache,
    signer: QuerySigner,
    pool: Arc<Pool>,
    clock: Clock,
    metrics: Arc<WorkspaceMetrics>,
    query_metrics: QueryMetrics,
    incidents: IncidentTracker,
    timeout: Duration,
    prometheus: bool,
    alertmanager: Alertmanager,
    workspace_arn: String,
}

// === impl Queries ===

impl Queries {
    /// Builds the stages of a query.
    ///
    /// # Errors
    /// If the workspace's URL cannot be signed for or connected to; configuration checks exclude both.
    pub fn new(
        workspace: &Workspace,
        reading: &QueryConfig,
        transport: &dyn Transport,
        credentials: Cache,
        clock: Clock,
        metrics: Arc<WorkspaceMetrics>,
        telemetry: &Telemetry,
    ) -> Result<Self, SigningError> {
        let connector = transport
            .connector(&workspace.remote_write_url)
            .ok_or_else(|| SigningError::of("remote-write URL: invalid host"))?;
        let incidents = IncidentTracker::over(
            &QUERIES,
            Some(&workspace.name),
            telemetry.incidents(),
            &clock,
        );
        Ok(Self {
            slots: Slots::default(),
            credentials,
            signer: QuerySigner::new(workspace)?,
            pool: Arc::new(Pool::new(connector, Arc::clone(&metrics) as _)),
            clock,
            query_metrics: telemetry.queries(&workspace.name),
            metrics,
            incidents,
            timeout: reading.timeout,
            prometheus: reading.prometheus,
            alertmanager: reading.alertmanager,
            workspace_arn: workspace.arn(),
        })
    }

    /// Why this API is not served with this method; `None` if it is.
    #[must_use]
    pub fn unserved(&self, api: &RequestedApi, method: &Method) -> Option<QueryError> {
        let allowed = api.methods();
        match (api, self.alertmanager) {
            (RequestedApi::Amp(Api::Alertmanager(_)), Alertmanager::Off) => {
                Some(QueryError::AlertmanagerDisabled)
            }
            (RequestedApi::Amp(Api::Alertmanager(_)), _) => None,
            _ if !self.prometheus => Some(QueryError::Disabled),
            _ => None,
        }
        .or_else(|| (!allowed.contains(method)).then_some(QueryError::Method { allowed }))
        .or_else(|| match api {
            RequestedApi::Amp(api) if api.changes(method) => {
                (self.alertmanager != Alertmanager::Silence).then_some(QueryError::ReadOnly)
            }
            _ => None,
        })
    }

    /// Handles one request to one of the APIs.
    ///
    /// # Errors
    /// [`Closed`] if the client is gone.
    pub async fn answer<B>(
        &self,
        api: RequestedApi,
        request: Request<B>,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, Closed>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (name, form) = (api.name(), api.error_form());
        let answer = match (self.unserved(&api, request.method()), api) {
            (Some(why), _) => Err(why.into()),
            (None, RequestedApi::Amp(api)) => self.try_answer(api, request).await,
            (None, RequestedApi::Local(api)) => match api.respond() {
                Ok(response) => {
                    self.query_metrics.answered(name, response.status());
                    return Ok(response.map(Either::Left));
                }
                Err(why) => Err(why.into()),
            },
        };
        let response = match answer {
            Ok(response) => {
                self.incidents.recover();
                response
            }
            Err(ReadError::Gone) => return Err(Closed),
            Err(ReadError::Query(why)) => {
                match why.incident() {
                    Some(incident) => self
                        .incidents
                        .fail(incident, || Diagnosis::maybe(&why, why.remedy())),
                    None => tracing::debug!(api = name, reason = %why, "a query was refused"),
                }
                why.respond(form).map(Either::Left)
            }
        };
        self.query_metrics.answered(name, response.status());
        Ok(response)
    }

    async fn try_answer<B>(
        &self,
        api: Api,
        request: Request<B>,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, ReadError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let deadline = Instant::now() + self.timeout;
        let slot = self.slots.acquire(deadline).await?;
        let query_request = request::read(api, request).await?;
        let answer = self.send(&query_request, deadline).await?;
        let (head, body, connection) = match answer {
            QueryResponse::Good(head, body, connection) => (head, body, connection),
            QueryResponse::Bad(bad) => {
                if bad.refusal() == Some(RejectionCause::Denied) {
                    self.metrics
                        .denied(query_request.action(), &self.workspace_arn);
                }
                return Ok(bad.respond(query_request.action(), &self.workspace_arn)?);
            }
        };
        let head = response::client_head(head, &body, &query_request)?;
        let source = StreamSource {
            body,
            connection,
            pool: Arc::clone(&self.pool),
            deadline,
            metrics: self.query_metrics.clone(),
            api: query_request.api.name(),
            slot,
        };
        Ok(head.map(|()| Either::Right(Streamed::from(source))))
    }

    /// Sends, and once more if AMP rejected the signature and a new one can differ.
    async fn send(
        &self,
        query_request: &QueryRequest,
        deadline: Instant,
    ) -> Result<QueryResponse, QueryError> {
        let active = self.credentials.get(deadline).await;
        let active = active.map_err(QueryError::NoCredentials)?;
        let answer = self.attempt(query_request, &active, deadline).await?;
        let Some(refusal) = self.refusal(&answer) else {
            return Ok(answer);
        };
        let Some(active) = self.credentials.again(active, refusal, deadline).await else {
            return Ok(answer);
        };
        self.metrics.upstream_retry(refusal.name());
        self.attempt(query_request, &active, deadline).await
    }

    /// Whether AMP rejected the signature; corrects the clock by the response's date.
    fn refusal(&self, answer: &QueryResponse) -> Option<RejectionCause> {
        let QueryResponse::Bad(bad) = answer else {
            return None;
        };
        let clock_was_wrong = bad.reply.date.is_some_and(|date| self.clock.learn(date));
        match bad.refusal()? {
            _ if clock_was_wrong => Some(RejectionCause::Clock),
            refusal => Some(refusal),
        }
    }

    async fn attempt(
        &self,
        query_request: &QueryRequest,
        active: &ActiveCredentials,
        deadline: Instant,
    ) -> Result<QueryResponse, QueryError> {
        let signed = self
            .signer
            .sign(query_request, &active.identity, self.clock.now());
        let signed = signed.map_err(QueryError::Unsigned)?;
        let form = query_request.api.error_form();
        let answer = async {
            let (response, connection) = match query_request.api.changes(&query_request.method) {
                true => self.pool.send_once(&signed).await?,
                false => self.pool.send(&signed, || {}).await?,
            };
            QueryResponse::read(response, connection, &self.pool, form).await
        };
        match timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(QueryError::Unreachable),
            Err(_) => Err(QueryError::TimedOut),
        }
    }
}
