//! The pipeline of a batch, from the request head to its verdict.
//!
//! ```text
//! content_type ─▶ admission ─▶ receive ─▶ inspect ─▶ deliver ( [split]  ─▶ sign   ─▶ forward     ─▶ classify   ) ─▶ verdict
//! WriteProtocol   Admitted     Received   Inspected            Payloads    Signed    AmpResponse    ReplyClass      Verdict
//! ```
//!
//! Each stage consumes the output of the stage before, so a batch that was not admitted cannot be read, and one that was not
//! signed cannot be sent. Nothing is queued: the sender waits for AMP's response and gets a 2xx only after AMP gave one.

pub mod admission;
pub mod client_quota;
pub mod deliver;
pub mod forward;
pub mod lag;
pub mod receive;

use std::pin::pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::Request;
use hyper::body::Body;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{BatchLimits, Workspace};
use crate::credentials::Cache;
use crate::http::body::ChunkedBody;
use crate::net::stream;
use crate::net::transport::Transport;
use crate::outcome::response::SenderResponse;
use crate::outcome::verdict::Verdict;
use crate::remote_write::content_type::{self, WriteProtocol};
use crate::remote_write::contents::Contents;
use crate::remote_write::inspect::buffer_pool::InspectorPool;
use crate::remote_write::inspect::{self, Version};
use crate::remote_write::payload::Payload;
use crate::sigv4::SigningError;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};
use crate::telemetry::refused_series::RefusedSeries;
use crate::telemetry::timings::{PhaseTimings, time};
use admission::{Admission, Admitted};
use deliver::{Delivery, Prepared};
use lag::{Lag, LagView, Tracked};
use receive::Received;

/// Memory that an inspector may use without reserving budget.
const UNASKED: usize = 1 << 20;

/// Accepts batches for one workspace.
#[derive(Debug)]
pub struct Pipeline {
    capacity: ArcSwap<Capacity>,
    inspectors: InspectorPool,
    delivery: Delivery,
    lag: Lag,
    metrics: Arc<WorkspaceMetrics>,
    incidents: IncidentTracker,
    inspects: bool,
}

/// How much is admitted at once; a reload can change it.
#[derive(Debug)]
struct Capacity {
    admission: Admission,
    limits: BatchLimits,
}

// === impl Capacity ===

impl Capacity {
    fn new(limits: &BatchLimits) -> Self {
        Self {
            admission: Admission::new(limits.max_inflight_bytes, limits.client_share_percent),
            limits: limits.clone(),
        }
    }
}

/// Budget for a body of this length, including its TLS records in the send buffer; capped at the whole budget.
fn room(len: usize, budget: usize) -> usize {
    len.saturating_add(stream::unsent(len)).min(budget.max(len))
}

// === impl Pipeline ===

impl Pipeline {
    /// Builds the stages for one workspace.
    ///
    /// # Errors
    /// If the URL cannot be signed for or connected to; configuration checks exclude both.
    pub fn new(
        workspace: &Workspace,
        transport: &dyn Transport,
        credentials: Cache,
        clock: Clock,
        metrics: Arc<WorkspaceMetrics>,
        incidents: IncidentTracker,
        near_loss: IncidentTracker,
    ) -> Result<Self, SigningError> {
        Ok(Self {
            lag: Lag::new(clock.clone(), Arc::clone(&metrics), near_loss),
            capacity: ArcSwap::from_pointee(Capacity::new(&workspace.limits)),
            inspectors: InspectorPool::default(),
            delivery: Delivery::new(
                workspace,
                transport,
                credentials,
                clock,
                Arc::clone(&metrics),
            )?,
            metrics,
            incidents,
            inspects: workspace.limits.inspect,
        })
    }

    /// Admits by these limits from now on. What is in flight keeps its part of the previous budget, beside the new one.
    pub fn resize(&self, limits: &BatchLimits) {
        if self.capacity.load().limits != *limits {
            self.capacity.store(Arc::new(Capacity::new(limits)));
        }
    }

    /// Handles one request to a write path of the workspace, whatever it carries.
    pub async fn answer<B>(&self, request: Request<B>) -> Verdict
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let started = Instant::now();
        let mut timings = PhaseTimings::shown_in(self.metrics.traces().batch(request.headers()));
        let mut tracked = self.lag.begin();
        let verdict = match self.admit(request, &mut timings).await {
            // Boxed, so that requests waiting for budget do not hold memory for the later stages.
            Ok(admitted) => Box::pin(self.process(admitted, &mut timings, &mut tracked)).await,
            Err(verdict) => verdict,
        };
        tracked.end(&verdict);
        self.metrics.answered(&verdict, started.elapsed(), &timings);
        if verdict.is_stored() {
            self.incidents.recover();
        } else {
            self.incidents
                .fail(verdict.name(), || Diagnosis::of_verdict(&verdict));
        }
        self.record(&verdict, &mut timings);
        verdict
    }

    /// From the request head to budget for the body.
    async fn admit<B>(
        &self,
        request: Request<B>,
        timings: &mut PhaseTimings,
    ) -> Result<(WriteProtocol, Admitted, usize, B), Verdict> {
        let capacity = self.capacity.load_full();
        let limit = capacity.limits.max_body_bytes;
        let (head, body) = request.into_parts();
        let protocol = content_type::accept(&head)?;
        let declared = content_type::declared_length(&head.headers);
        if declared.is_some_and(|declared| declared > limit) {
            return Err(Verdict::TooLarge { limit });
        }
        let room = declared.map(|len| room(len, capacity.admission.budget()));
        let admitting = pin!(capacity.admission.admit(room, head.extensions.get()));
        let admitted = time(&mut timings.admission, admitting).await?;
        Ok((protocol, admitted, limit, body))
    }

    /// From the body to AMP's response.
    async fn process<B>(
        &self,
        (protocol, admitted, limit, body): (WriteProtocol, Admitted, usize, B),
        timings: &mut PhaseTimings,
        tracked: &mut Tracked<'_>,
    ) -> Verdict
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let reading = pin!(receive::receive(admitted, body, limit));
        let prepared = match time(&mut timings.receive, reading).await {
            Ok(received) => self.inspect(received, protocol, timings).await,
            Err(verdict) => Err(verdict),
        };
        match prepared {
            Ok(batch) => {
                tracked.identify(&batch.payload);
                self.delivery.deliver(batch, timings).await
            }
            Err(verdict) => verdict,
        }
    }

    async fn inspect(
        &self,
        received: Received,
        protocol: WriteProtocol,
        timings: &mut PhaseTimings,
    ) -> Result<Prepared, Verdict> {
        let Received {
            chunks,
            payload_hash,
            mut admitted,
        } = received;
        {
            let growing = pin!(admitted.grow_to(room(chunks.len(), admitted.budget())));
            time(&mut timings.admission, growing).await?;
        }
        let contents = if self.inspects {
            let mut span = timings.span.child("inspect");
            let counting = self.count(&chunks, protocol.version, &mut admitted, timings);
            counting
                .await
                .inspect_err(|verdict| span.failed(verdict.name()))?
        } else {
            Contents::default()
        };
        self.metrics.received(chunks.len(), &contents);
        timings
            .span
            .count("http.request.body.size", chunks.len() as u64);
        timings.span.count("amp_sidecar.series", contents.series);
        timings.span.count("amp_sidecar.samples", contents.samples);
        timings
            .span
            .count("amp_sidecar.histograms", contents.histograms);
        let payload = Payload {
            protocol,
            chunks,
            payload_hash,
            contents,
            is_converted: false,
            is_indivisible: false,
            waits: false,
        };
        Ok(Prepared { payload, admitted })
    }

    /// Logs and counts the batch's result and the time of the phases that have no span of their own.
    fn record(&self, verdict: &Verdict, timings: &mut PhaseTimings) {
        let PhaseTimings {
            receive,
            admission,
            credentials,
            span,
            ..
        } = timings;
        span.describe(|span| {
            span.set(
                "amp_sidecar.workspace",
                Arc::clone(self.metrics.workspace()),
            );
            span.set("amp_sidecar.outcome", verdict.name());
            span.set("http.request.method", "POST");
            if let SenderResponse::Respond(answer) = verdict.answer() {
                span.set(
                    "http.response.status_code",
                    i64::from(answer.status().as_u16()),
                );
            }
            for (key, took) in [
                ("amp_sidecar.receive_seconds", receive),
                ("amp_sidecar.admission_seconds", admission),
                ("amp_sidecar.credentials_seconds", credentials),
            ] {
                if let Some(took) = took {
                    span.set(key, took.as_secs_f64());
                }
            }
            if !verdict.is_stored() {
                span.failed(verdict.name());
            }
        });
    }

    /// Counts what the body holds, or rejects it as malformed.
    async fn count(
        &self,
        chunks: &ChunkedBody,
        version: Version,
        admitted: &mut Admitted,
        timings: &mut PhaseTimings,
    ) -> Result<Contents, Verdict> {
        let body = chunks.contiguous();
        let asking = pin!(self.room_to_unpack(&body, admitted));
        let room = time(&mut timings.admission, asking).await?;
        let mut inspector = self.inspectors.take();
        let inspected = inspector.inspect(&body, version, room);
        self.inspectors.keep(inspector);
        match inspected.map_err(Verdict::Malformed)? {
            inspect::Inspected::Counted(contents) => Ok(contents),
            inspect::Inspected::TooLarge { .. } => Ok(Contents::default()),
            inspect::Inspected::OtherVersion => {
                let (said, is) = match version {
                    Version::V1 => ("1.0", "2.0"),
                    Version::V2 => ("2.0", "1.0"),
                };
                Err(Verdict::UnsupportedMedia {
                    what: format!(
                        "Content-Type says remote write {said}, the body is remote write {is}"
                    ),
                })
            }
        }
    }

    /// How many bytes may be unpacked. A batch that unpacks to more than the whole budget is forwarded uncounted.
    async fn room_to_unpack(&self, body: &[u8], admitted: &mut Admitted) -> Result<usize, Verdict> {
        let unpacked = inspect::unpacked_len(body).map_err(Verdict::Malformed)?;
        let whole = body.len().saturating_add(unpacked);
        if unpacked > UNASKED && whole <= admitted.budget() {
            admitted.grow_to(whole).await?;
            return Ok(unpacked);
        }
        Ok(UNASKED)
    }

    /// How far the workspace is behind.
    #[must_use]
    pub fn lag(&self) -> LagView {
        self.lag.view()
    }

    /// Whether the contents of batches are known.
    #[must_use]
    pub fn inspects(&self) -> bool {
        self.inspects
    }

    /// Budget and requests in flight, for the metrics.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.capacity.load().admission.clone()
    }

    /// The last series that AMP refused, for the status page.
    #[must_use]
    pub fn refused_series(&self) -> Vec<RefusedSeries> {
        self.delivery.refused_series()
    }

    /// Idle connections to AMP, for the metrics.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.delivery.idle_connections()
    }
}
