//! The pipeline of a batch, from the request head to its verdict.
//!
//! ```text
//! content_type ─▶ admission ─▶ receive ─▶ prepare ─▶ deliver ( [split]  ─▶ sign   ─▶ forward     ─▶ classify   ) ─▶ verdict
//! WriteProtocol   Admitted     Received   Prepared  │          Payloads    Signed    AmpResponse    ReplyClass   │  Verdict
//!                                                   └─ while AMP works: count the contents ──────────────────────┘
//! ```
//!
//! Each stage consumes the output of the stage before, so a batch that was not admitted cannot be read, and one that was not
//! signed cannot be sent. Nothing is queued: the sender waits for AMP's response and gets a 2xx only after AMP gave one.

pub mod admission;
pub mod client_quota;
mod counting;
pub mod deliver;
pub mod forward;
pub mod lag;
pub mod receive;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::join;
use hyper::Request;
use hyper::body::Body;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{BatchLimits, Workspace};
use crate::credentials::Cache;
use crate::net::stream;
use crate::net::transport::Transport;
use crate::outcome::response::SenderResponse;
use crate::outcome::verdict::Verdict;
use crate::remote_write::content_type::{self, WriteProtocol};
use crate::remote_write::payload::{Payload, PayloadContents};
use crate::sigv4::SigningError;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::incidents::{
    BATCHES, Diagnosis, HELD_SAMPLES, IncidentSubject, IncidentTracker, UNREADABLE_BATCHES,
};
use crate::telemetry::refused_series::RefusedSeries;
use crate::telemetry::timings::{PhaseTimings, time};
use crate::telemetry::traces::Span;
use admission::{Admission, Admitted};
use counting::Counting;
use deliver::{Delivery, Prepared};
use lag::{Lag, LagView, Tracked};
use receive::Received;

/// How long every batch is counted after a question whether senders have caught up.
const ASKED: Duration = Duration::from_secs(30);

/// Accepts batches for one workspace.
#[derive(Debug)]
pub struct Pipeline {
    capacity: ArcSwap<Capacity>,
    counting: Counting,
    delivery: Delivery,
    lag: Lag,
    metrics: Arc<WorkspaceMetrics>,
    incidents: IncidentTracker,
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
        incidents: impl Fn(&'static IncidentSubject) -> IncidentTracker,
    ) -> Result<Self, SigningError> {
        Ok(Self {
            lag: Lag::new(
                clock.clone(),
                Arc::clone(&metrics),
                incidents(&HELD_SAMPLES),
            ),
            capacity: ArcSwap::from_pointee(Capacity::new(&workspace.limits)),
            counting: Counting::new(
                &workspace.limits,
                clock.clone(),
                Arc::clone(&metrics),
                incidents(&UNREADABLE_BATCHES),
            ),
            delivery: Delivery::new(
                workspace,
                transport,
                credentials,
                clock,
                Arc::clone(&metrics),
            )?,
            metrics,
            incidents: incidents(&BATCHES),
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
            Ok(received) => self.prepare(received, protocol, timings).await,
            Err(verdict) => Err(verdict),
        };
        let batch = match prepared {
            Ok(batch) => batch,
            Err(verdict) => return verdict,
        };
        tracked.identify(&batch.payload);
        let contents = batch.payload.contents.clone();
        let read = self.counting.follow(batch.payload.chunks.len(), &contents);
        // The first is polled first: the request leaves before anything is counted.
        let ((verdict, spent), ()) = join(
            self.delivery.deliver(batch, &timings.span),
            self.counting.count(&contents, &timings.span),
        )
        .await;
        timings.add(&spent);
        let verdict = read.end(verdict);
        describe(&contents, &mut timings.span);
        verdict
    }

    async fn prepare(
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
        timings
            .span
            .count("http.request.body.size", chunks.len() as u64);
        {
            let growing = pin!(admitted.grow_to(room(chunks.len(), admitted.budget())));
            time(&mut timings.admission, growing).await?;
        }
        let contents = self
            .counting
            .prepare(&chunks, protocol.version, &mut admitted, timings)
            .await?;
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

    /// How far the workspace is behind.
    #[must_use]
    pub fn lag(&self) -> LagView {
        self.lag.view()
    }

    /// What AMP does not have yet; `None` if senders may stop. For a while after this question every batch is counted, since one that
    /// was not could be late.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.counting.count_all_for(ASKED);
        self.lag.view().missing()
    }

    /// Whether the contents of batches are known.
    #[must_use]
    pub fn inspects(&self) -> bool {
        self.counting.is_on()
    }

    /// One of so many batches is counted; `None` if none is.
    #[must_use]
    pub fn counted_one_in(&self) -> Option<f64> {
        self.counting.one_in()
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

/// Shows the contents, which are always known if the span is recorded.
fn describe(contents: &PayloadContents, span: &mut Span) {
    span.describe(|span| {
        let contents = contents.known().unwrap_or_default();
        span.count("amp_sidecar.series", contents.series);
        span.count("amp_sidecar.samples", contents.samples);
        span.count("amp_sidecar.histograms", contents.histograms);
    });
}
