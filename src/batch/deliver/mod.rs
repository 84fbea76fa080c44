//! Delivers a batch to AMP, in one request or several.
//!
//! ```text
//! deliver ─▶ deliver_payload ( known result? ─▶ send ─▶ settled, retry, or open ─▶ deliver each part ) ─▶ BatchResult ─▶ Verdict
//! ```
//!
//! In: a [`Prepared`] batch. Out: its one [`Verdict`]. A payload that AMP cannot accept as it is gets *opened*: cut by series
//! if it is too large, converted to remote write 1.0 if AMP does not accept 2.0, halved if it is refused repeatedly while AMP
//! accepts other writes ([`suspect`]). Its parts are delivered in the same way.
//!
//! Nothing that can still be kept is dropped: if one part must be sent again, the sender retries the whole batch. The results
//! of the other parts are remembered until then ([`progress`]), so that each attempt resumes where the last one stopped. A part
//! that AMP refuses for good does not prevent the others from being stored.
//!
//! One attempt for all parts, all or nothing, was rejected: a batch that takes AMP longer than the deadline would start over
//! for ever.

mod attempt;
mod canary;
mod limits;
mod open;
mod payload_result;
mod progress;
mod request;
mod suspect;
mod write_counts;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::batch::admission::Admitted;
use crate::clock::Clock;
use crate::config::Workspace;
use crate::credentials::Cache;
use crate::net::transport::Transport;
use crate::outcome::amp_response::ReplyClass;
use crate::outcome::verdict::{RefusalReason, Verdict};
use crate::remote_write::body_count::FlowCount;
use crate::remote_write::contents::Contents;
use crate::remote_write::inspect::Version;
use crate::remote_write::payload::{Payload, PayloadContents};
use crate::remote_write::written_stats::WrittenStats;
use crate::sigv4::SigningError;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::refused_series::{RecentlyRefused, RefusedSeries};
use crate::telemetry::timings::PhaseTimings;
use crate::telemetry::traces::Span;

use attempt::Attempt;
use limits::KnownLimits;
use open::Opened;
use payload_result::{BatchResult, PayloadResult};
use progress::{Opening, Progress, Record, Suspicion};
use request::Requests;
use suspect::{Suspect, Suspects};
use write_counts::{lacks_written_counts, split_by_written};

/// Maximum parts of one batch in flight.
const AT_ONCE: usize = 4;
/// How long a workspace that does not accept remote write 2.0 gets 1.0 before 2.0 is tried again.
const V1_ONLY_FOR: Duration = Duration::from_secs(3600);

/// A batch that was read completely and is well formed.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) payload: Payload,
    /// Released when the sender got its response.
    pub(super) admitted: Admitted,
}

/// Delivers batches to one workspace.
#[derive(Debug)]
pub struct Delivery {
    requests: Requests,
    limits: KnownLimits,
    progress: Progress,
    suspects: Suspects,
    refused: RecentlyRefused,
    /// When AMP last refused remote write 2.0.
    v2_refused_at: Mutex<Option<Instant>>,
    metrics: Arc<WorkspaceMetrics>,
    upstream_timeout: Duration,
}

type PendingDelivery<'a> = Pin<Box<dyn Future<Output = PayloadResult> + Send + 'a>>;

// === impl Delivery ===

impl Delivery {
    /// Builds signing, forwarding and the delivery state.
    ///
    /// # Errors
    /// If the workspace's URL cannot be signed for or connected to; configuration checks exclude both.
    pub fn new(
        workspace: &Workspace,
        transport: &dyn Transport,
        credentials: Cache,
        clock: Clock,
        metrics: Arc<WorkspaceMetrics>,
    ) -> Result<Self, SigningError> {
        Ok(Self {
            refused: RecentlyRefused::new(&clock),
            requests: Requests::new(
                workspace,
                transport,
                credentials,
                clock,
                Arc::clone(&metrics),
            )?,
            limits: KnownLimits::new(workspace.limits.max_upstream_bytes),
            progress: Progress::default(),
            suspects: Suspects::default(),
            v2_refused_at: Mutex::default(),
            metrics,
            upstream_timeout: workspace.limits.upstream_timeout,
        })
    }

    /// The last series that AMP refused.
    #[must_use]
    pub fn refused_series(&self) -> Vec<RefusedSeries> {
        self.refused.recent()
    }

    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.requests.idle_connections()
    }

    /// Delivers the batch to AMP before the deadline, which starts now; also where its time went.
    pub(super) async fn deliver(&self, batch: Prepared, span: &Span) -> (Verdict, PhaseTimings) {
        let Prepared {
            payload,
            mut admitted,
        } = batch;
        let known = self.progress.take(&payload.payload_hash);
        let this = Attempt {
            deadline: Instant::now() + self.upstream_timeout,
            span,
            known: Mutex::new(known),
            judged: self.suspects.judged(),
            refusals: AtomicU32::new(0),
            has_passed: AtomicBool::new(false),
            admitted: tokio::sync::Mutex::new(&mut admitted),
        };
        let mut payload_result = self.deliver_payload(payload, None, &this).await;
        let unseen = this.known.into_inner();
        let timings = std::mem::take(&mut payload_result.timings);
        let verdict = match payload_result.end(unseen.unwrap_or_else(PoisonError::into_inner)) {
            BatchResult::Settled(verdict, refused) => {
                for (reason, contents) in &refused {
                    self.metrics.refused(reason, contents);
                }
                verdict
            }
            BatchResult::Retry(verdict, hash, records) => {
                self.progress.keep(hash, records);
                verdict
            }
        };
        (verdict, timings)
    }

    /// Delivers one payload, which may be a part of the batch; `suspicion` says why the batch is halved, if it is.
    fn deliver_payload<'a>(
        &'a self,
        mut payload: Payload,
        suspicion: Option<Suspicion>,
        this: &'a Attempt<'_>,
    ) -> PendingDelivery<'a> {
        Box::pin(async move {
            let failing = match this.take(&payload) {
                Some(record @ (Record::Stored(_) | Record::Refused(..))) => {
                    return PayloadResult::settled(
                        payload.into_key(),
                        record,
                        PhaseTimings::default(),
                    );
                }
                Some(Record::Opened(opening)) => {
                    return self
                        .open(payload, opening, PhaseTimings::default(), this)
                        .await;
                }
                Some(Record::Failing(failing)) => Some(failing),
                None => None,
            };
            if let Some(opening) = self.must_be_opened(&payload) {
                return self
                    .open(payload, opening, PhaseTimings::default(), this)
                    .await;
            }
            let mut timings = PhaseTimings::default();
            let sending = self
                .requests
                .send(&payload, this.deadline, this.span, &mut timings);
            let verdict = match sending.await {
                ReplyClass::Final(verdict) | ReplyClass::Unauthenticated(verdict) => verdict,
                ReplyClass::WithoutExemplars(verdict) => {
                    let mut contents = payload.contents.exact();
                    let exemplars = Contents {
                        exemplars: std::mem::take(&mut contents.exemplars),
                        ..Contents::default()
                    };
                    self.metrics
                        .refused(RefusalReason::Exemplar.name(), &exemplars);
                    payload.contents = PayloadContents::Known(contents);
                    verdict
                }
                ReplyClass::TooLarge(verdict, _) if payload.is_indivisible => {
                    let len = payload.chunks.len();
                    verdict.explained(|said| {
                        format!("a single series of {len} bytes, which cannot be cut: {said}")
                    })
                }
                ReplyClass::TooLarge(_, shown) => {
                    let packed = payload.chunks.len();
                    let limits = self.limits.learn(shown, packed, payload.unpacked_len());
                    let opening = Opening::Cut(limits);
                    return self.open(payload, opening, timings, this).await;
                }
                ReplyClass::NotAsV2(verdict) => {
                    if payload.protocol.version == Version::V2 {
                        self.remember_v1_only();
                        return self.open(payload, Opening::AsV1, timings, this).await;
                    }
                    verdict
                }
            };
            if payload.protocol.version == Version::V2 && lacks_written_counts(&verdict, &payload) {
                self.remember_v1_only();
                return self.open(payload, Opening::AsV1, timings, this).await;
            }
            if verdict.is_stored() || verdict.lost().is_some() {
                this.has_passed.store(true, Ordering::Relaxed);
                return self.settle(payload, verdict, timings);
            }
            let suspicion = (suspicion, failing);
            let examining =
                self.suspects
                    .examine(payload, verdict, suspicion, timings, this, &self.requests);
            match examining.await {
                Ok(suspect) => self.halve(suspect, this).await,
                Err(again) => again,
            }
        })
    }

    /// What to do with a payload before AMP is asked.
    fn must_be_opened(&self, payload: &Payload) -> Option<Opening> {
        if payload.protocol.version == Version::V2 && self.accepts_only_v1() {
            return Some(Opening::AsV1);
        }
        let limits = self.limits.now();
        let is_over = payload.chunks.len() > limits.packed
            || limits
                .unpacked
                .is_some_and(|limit| payload.unpacked_len() > Some(limit));
        (is_over && !payload.is_indivisible).then_some(Opening::Cut(limits))
    }

    /// AMP stored it, or refused it for good.
    fn settle(&self, payload: Payload, verdict: Verdict, timings: PhaseTimings) -> PayloadResult {
        let verdict = match verdict {
            Verdict::Stored { status, .. } if payload.is_converted => Verdict::Stored {
                status,
                written: WrittenStats::counted(&payload.contents.exact()),
            },
            verdict => verdict,
        };
        if !matches!(verdict, Verdict::Poison { .. }) {
            self.suspects.count_judged();
        }
        let record = match &verdict {
            Verdict::Stored { .. } => {
                self.metrics.forwarded(&payload.contents.flow());
                Record::Stored(verdict)
            }
            Verdict::Deduplicated { .. } => {
                self.metrics.deduplicated(&payload.contents.flow());
                Record::Stored(verdict)
            }
            _ => {
                self.refused.note(&verdict);
                let (written, refused) = split_by_written(&verdict, payload.contents.exact());
                self.metrics.forwarded(&FlowCount::Exact(written));
                Record::Refused(verdict, refused)
            }
        };
        PayloadResult::settled(payload.into_key(), record, timings)
    }

    /// Opens a payload and delivers its parts.
    async fn open(
        &self,
        payload: Payload,
        opening: Opening,
        mut timings: PhaseTimings,
        this: &Attempt<'_>,
    ) -> PayloadResult {
        match open::open(&payload, opening, &mut timings, this, &self.metrics).await {
            Ok(Opened::Parts(parts)) => {
                let record = Record::Opened(opening);
                let mut whole =
                    PayloadResult::opened(payload.into_key(), record, parts.len(), timings);
                self.deliver_parts(parts, opening, &mut whole, this).await;
                whole
            }
            // It was halved before, so it can be halved.
            Ok(Opened::Single { .. }) => {
                PayloadResult::again(payload.into_key(), Verdict::Overloaded, None, timings)
            }
            Err(verdict) if verdict.lost().is_some() => self.settle(payload, verdict, timings),
            // The records of its parts are valid only while it is opened in this way.
            Err(verdict) => {
                let record = Some(Record::Opened(opening));
                PayloadResult::again(payload.into_key(), verdict, record, timings)
            }
        }
    }

    /// Halves a payload that may itself be the cause, and delivers the halves; one that cannot be halved may be dropped.
    async fn halve(&self, mut suspect: Suspect, this: &Attempt<'_>) -> PayloadResult {
        let refused_at = Instant::now();
        let opening = Opening::Halved(suspect.suspicion);
        let opened = open::open(
            &suspect.payload,
            opening,
            &mut suspect.timings,
            this,
            &self.metrics,
        );
        match opened.await {
            Ok(Opened::Parts(parts)) => {
                let Suspect {
                    payload,
                    verdict,
                    suspicion,
                    failing,
                    timings,
                } = suspect;
                let key = payload.into_key();
                let record = Record::Opened(opening);
                let mut whole = PayloadResult::opened(key.clone(), record, parts.len(), timings);
                self.deliver_parts(parts, opening, &mut whole, this).await;
                self.suspects
                    .halved(key, verdict, (suspicion, failing), whole)
            }
            Ok(Opened::Single(single)) => {
                let alone = self
                    .suspects
                    .alone(suspect, single, refused_at, this, &self.requests);
                match alone.await {
                    Ok((payload, verdict, timings)) => {
                        self.log_given_up(&verdict);
                        self.settle(payload, verdict, timings)
                    }
                    Err(again) => again,
                }
            }
            // No budget for the halves at the moment.
            Err(_) => {
                let Suspect {
                    payload,
                    verdict,
                    failing,
                    timings,
                    ..
                } = suspect;
                PayloadResult::failing(payload.into_key(), verdict, failing, timings)
            }
        }
    }

    fn log_given_up(&self, verdict: &Verdict) {
        if let Verdict::Poison { what, said, .. } = verdict {
            tracing::warn!(
                workspace = &**self.metrics.workspace(),
                series = what,
                answer = said,
                "gave up on a series that AMP always refuses"
            );
        }
    }

    /// Delivers parts, several at once unless one must wait for another. Once a part must be sent again, no further part is
    /// started, unless that part itself may be the cause.
    async fn deliver_parts(
        &self,
        parts: Vec<Payload>,
        opening: Opening,
        whole: &mut PayloadResult,
        this: &Attempt<'_>,
    ) {
        let (at_once, suspicion) = match opening {
            Opening::Cut(_) => (AT_ONCE, None),
            Opening::AsV1 => (1, None),
            Opening::Halved(suspicion) => (1, Some(suspicion)),
        };
        let mut waiting = parts.into_iter().peekable();
        let mut in_progress = FuturesUnordered::new();
        loop {
            while in_progress.len() < at_once
                && (!whole.must_retry() || Suspects::tries_other_parts(whole, suspicion, this))
                && let Some(part) = waiting
                    .next_if(|part| !part.waits || in_progress.is_empty() && !whole.must_retry())
            {
                in_progress.push(self.deliver_payload(part, suspicion, this));
            }
            let Some(part) = in_progress.next().await else {
                return whole.close();
            };
            whole.add(part);
        }
    }

    fn remember_v1_only(&self) {
        let mut v2_refused_at = self
            .v2_refused_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *v2_refused_at = Some(Instant::now());
    }

    fn accepts_only_v1(&self) -> bool {
        let v2_refused_at = self
            .v2_refused_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        v2_refused_at.is_some_and(|since| since.elapsed() < V1_ONLY_FOR)
    }
}
