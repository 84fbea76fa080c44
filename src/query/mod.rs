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
use crate::config::{Reading, Workspace};
use crate::credentials::{Cache, Held, Refusal};
use crate::inbound::listener::Closed;
use crate::net::pool::Connections;
use crate::net::transport::Transport;
use crate::sigv4::SigningError;
use crate::telemetry::incidents::{QUERIES, Told, Watch};
use crate::telemetry::{Meters, QueryMeters, Telemetry};

use api::Api;
pub use error::Unanswered;
use request::{Asked, Unread};
use response::Answer;
use sign::Signer;
use slots::Slots;
use stream::{Source, Streamed};

/// Reads one workspace.
#[derive(Debug)]
pub struct Queries {
    slots: Slots,
    credentials: Cache,
    signer: Signer,
    connections: Arc<Connections>,
    clock: Clock,
    meters: Arc<Meters>,
    query_meters: QueryMeters,
    faults: Watch,
    timeout: Duration,
    workspace_arn: String,
}

// === impl Queries ===

impl Queries {
    /// Wires what a query passes.
    ///
    /// # Errors
    /// Where the workspace's URL cannot be signed for or dialled, which a checked configuration excludes.
    pub fn new(
        workspace: &Workspace,
        reading: &Reading,
        transport: &dyn Transport,
        credentials: Cache,
        clock: Clock,
        meters: Arc<Meters>,
        telemetry: &Telemetry,
    ) -> Result<Self, SigningError> {
        let dialer = transport
            .connector(&workspace.remote_write_url)
            .ok_or_else(|| SigningError::of("remote-write URL: no valid host"))?;
        let faults = Watch::over(&QUERIES, Some(&workspace.name), telemetry.faults(), &clock);
        Ok(Self {
            slots: Slots::default(),
            credentials,
            signer: Signer::new(workspace)?,
            connections: Arc::new(Connections::new(dialer, Arc::clone(&meters) as _)),
            clock,
            query_meters: telemetry.queries(&workspace.name),
            meters,
            faults,
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
                self.faults.well();
                response
            }
            Err(Unread::Gone) => return Err(Closed),
            Err(Unread::Unanswered(why)) => {
                match why.fault() {
                    Some(fault) => self.faults.met(fault, || Told {
                        reason: why.to_string(),
                        mend: why.mend(),
                        credentials_left: None,
                    }),
                    None => tracing::debug!(api = name, reason = %why, "a query was refused"),
                }
                why.respond().map(Either::Left)
            }
        };
        self.query_meters.answered(name, response.status());
        Ok(response)
    }

    async fn try_answer<B>(
        &self,
        api: Api,
        request: Request<B>,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, Unread>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let deadline = Instant::now() + self.timeout;
        let slot = self.slots.acquire(deadline).await?;
        let asked = request::read(api, request).await?;
        let answer = self.ask(&asked, deadline).await?;
        let (head, body, connection) = match answer {
            Answer::Good(head, body, connection) => (head, body, connection),
            Answer::Bad(bad) => {
                if bad.refusal() == Some(Refusal::Denied) {
                    self.meters.denied(asked.api.action(), &self.workspace_arn);
                }
                return Ok(bad.respond(&asked.api, &self.workspace_arn)?);
            }
        };
        let head = response::fit(head, &body, asked.gzip)?;
        let source = Source {
            body,
            connection,
            connections: Arc::clone(&self.connections),
            deadline,
            meters: self.query_meters.clone(),
            api: asked.api.name(),
            slot,
        };
        Ok(head.map(|()| Either::Right(Streamed::from(source))))
    }

    /// Asks, and once more where AMP did not take the signature and there is something to do about that.
    async fn ask(&self, asked: &Asked, deadline: Instant) -> Result<Answer, Unanswered> {
        let held = self.credentials.get(deadline).await;
        let held = held.map_err(Unanswered::NoCredentials)?;
        let answer = self.attempt(asked, &held, deadline).await?;
        let Some(refusal) = self.refusal(&answer) else {
            return Ok(answer);
        };
        let Some(held) = self.credentials.again(held, refusal, deadline).await else {
            return Ok(answer);
        };
        self.meters.upstream_resend(refusal.mend());
        self.attempt(asked, &held, deadline).await
    }

    /// Whether the signature was not taken; sets the clock by what AMP says of the time.
    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        let Answer::Bad(bad) = answer else {
            return None;
        };
        let clock_was_wrong = bad.reply.date.is_some_and(|date| self.clock.learn(date));
        match bad.refusal()? {
            _ if clock_was_wrong => Some(Refusal::Clock),
            refusal => Some(refusal),
        }
    }

    async fn attempt(
        &self,
        asked: &Asked,
        held: &Held,
        deadline: Instant,
    ) -> Result<Answer, Unanswered> {
        let signed = self.signer.sign(asked, &held.identity, self.clock.now());
        let signed = signed.map_err(Unanswered::Unsigned)?;
        let answer = async {
            let (response, connection) = self.connections.send(&signed, || {}).await?;
            Answer::read(response, connection, &self.connections).await
        };
        match timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(Unanswered::Unreachable),
            Err(_) => Err(Unanswered::TimedOut),
        }
    }
}
