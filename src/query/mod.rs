//! Reading: signed queries for one workspace, where its configuration allows them.
//!
//! ```text
//! reader ─▶ api ─▶ slots ─▶ request ─▶ sign ─▶ pool ─▶ response ─▶ stream ─▶ reader
//!           Api    Slot     Asked      Signed         Answer       Streamed
//! ```
//!
//! What may be asked is a closed list, and of a request nothing goes on but its parameters: path, host and headers are made
//! here, so nothing else of AWS can be reached. Writing is what the sidecar is for, so reading takes nothing from it: it
//! has slots and connections of its own, a few of each, and holds no byte of the batches' budget. A few queries are under way at
//! once, some more wait in the order of arrival, and one over that is refused at once. An answer is passed on as it comes and never held as a whole.

pub mod api;
mod error;
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
use hyper::{Request, Response};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::config::{QueryLimits, Workspace};
use crate::credentials::{ActiveCredentials, Cache, RejectionCause};
use crate::inbound::listener::Closed;
use crate::net::pool::Pool;
use crate::net::transport::Transport;
use crate::sigv4::SigningError;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker, QUERIES};
use crate::telemetry::{QueryMetrics, Telemetry, WorkspaceMetrics};

use api::Api;
pub use error::QueryError;
use request::{FormError, QueryRequest};
use response::QueryResponse;
use sign::QuerySigner;
use slots::Slots;
use stream::{StreamSource, Streamed};

/// Reads one workspace.
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
    workspace_arn: String,
}

// === impl Queries ===

impl Queries {
    /// Wires what a query passes.
    ///
    /// # Errors
    /// Where the workspace's URL cannot be signed for or connected to, which a checked configuration excludes.
    pub fn new(
        workspace: &Workspace,
        reading: &QueryLimits,
        transport: &dyn Transport,
        credentials: Cache,
        clock: Clock,
        metrics: Arc<WorkspaceMetrics>,
        telemetry: &Telemetry,
    ) -> Result<Self, SigningError> {
        let connector = transport
            .connector(&workspace.remote_write_url)
            .ok_or_else(|| SigningError::of("remote-write URL: no valid host"))?;
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
            workspace_arn: workspace.arn(),
        })
    }

    /// One request for one of the APIs.
    ///
    /// # Errors
    /// [`Closed`] where the reader is gone.
    pub async fn answer<B>(
        &self,
        api: Api,
        request: Request<B>,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, Closed>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let name = api.name();
        let response = match self.try_answer(api, request).await {
            Ok(response) => {
                self.incidents.recover();
                response
            }
            Err(FormError::Gone) => return Err(Closed),
            Err(FormError::Unanswered(why)) => {
                match why.fault() {
                    Some(fault) => self.incidents.fail(fault, || Diagnosis {
                        reason: why.to_string(),
                        remedy: why.remedy(),
                        credentials_left: None,
                    }),
                    None => tracing::debug!(api = name, reason = %why, "a query was refused"),
                }
                why.respond().map(Either::Left)
            }
        };
        self.query_metrics.answered(name, response.status());
        Ok(response)
    }

    async fn try_answer<B>(
        &self,
        api: Api,
        request: Request<B>,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, FormError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let deadline = Instant::now() + self.timeout;
        let slot = self.slots.acquire(deadline).await?;
        let asked = request::read(api, request).await?;
        let answer = self.ask(&asked, deadline).await?;
        let (head, body, connection) = match answer {
            QueryResponse::Good(head, body, connection) => (head, body, connection),
            QueryResponse::Bad(bad) => {
                if bad.refusal() == Some(RejectionCause::Denied) {
                    self.metrics.denied(asked.api.action(), &self.workspace_arn);
                }
                return Ok(bad.respond(&asked.api, &self.workspace_arn)?);
            }
        };
        let head = response::fit(head, &body, asked.gzip)?;
        let source = StreamSource {
            body,
            connection,
            pool: Arc::clone(&self.pool),
            deadline,
            metrics: self.query_metrics.clone(),
            api: asked.api.name(),
            slot,
        };
        Ok(head.map(|()| Either::Right(Streamed::from(source))))
    }

    /// Asks, and once more where AMP did not take the signature and there is something to do about that.
    async fn ask(
        &self,
        asked: &QueryRequest,
        deadline: Instant,
    ) -> Result<QueryResponse, QueryError> {
        let active = self.credentials.get(deadline).await;
        let active = active.map_err(QueryError::NoCredentials)?;
        let answer = self.attempt(asked, &active, deadline).await?;
        let Some(refusal) = self.refusal(&answer) else {
            return Ok(answer);
        };
        let Some(active) = self.credentials.again(active, refusal, deadline).await else {
            return Ok(answer);
        };
        self.metrics.upstream_retry(refusal.name());
        self.attempt(asked, &active, deadline).await
    }

    /// Whether the signature was not taken; sets the clock by what AMP says of the time.
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
        asked: &QueryRequest,
        active: &ActiveCredentials,
        deadline: Instant,
    ) -> Result<QueryResponse, QueryError> {
        let signed = self.signer.sign(asked, &active.identity, self.clock.now());
        let signed = signed.map_err(QueryError::Unsigned)?;
        let answer = async {
            let (response, connection) = self.pool.send(&signed, || {}).await?;
            QueryResponse::read(response, connection, &self.pool).await
        };
        match timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(QueryError::Unreachable),
            Err(_) => Err(QueryError::TimedOut),
        }
    }
}
