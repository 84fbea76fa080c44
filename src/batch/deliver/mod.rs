//! A batch to AMP, in one request or in several.
//!
//! ```text
//! deliver ─▶ bring ( known already? ─▶ send ─▶ settled, again, or open ─▶ bring each part ) ─▶ Ended ─▶ Verdict
//! ```
//!
//! In: a [`Prepared`] batch. Out: the one [`Verdict`] on it. A payload that cannot pass as it is is *opened*: cut by series where it is
//! too large, written as remote write 1.0 where AMP does not take 2.0, halved where it is refused over and over
//! while AMP takes other writes ([`suspect`]). What it was opened into is brought in the same way.
//!
//! What can still be kept is never dropped: a part that has to be sent again makes the whole batch come again. What became of the
//! other parts is remembered until then ([`progress`]), so that each try goes on where the last one stopped. A part that AMP
//! refuses for good does not keep the others from being stored.
//!
//! Waiting for all parts of one deadline, as a single request would, was rejected: a batch that takes AMP longer than the
//! deadline would begin anew for ever.

mod attempt;
mod brought;
mod canary;
mod limits;
mod open;
mod progress;
mod request;
mod suspect;
mod written;

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
use crate::remote_write::contents::Contents;
use crate::remote_write::inspect::Version;
use crate::remote_write::payload::Payload;
use crate::remote_write::written_stats::WrittenStats;
use crate::sigv4::SigningError;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::timings::PhaseTimings;

use attempt::Try;
use brought::{Brought, Ended};
use limits::KnownLimits;
use open::Opened;
use progress::{Opening, Progress, Record, Suspicion};
use request::Requests;
use suspect::{Suspect, Suspects};
use written::{parted, says_nothing_written};

/// So many parts of one batch are under way at once.
const AT_ONCE: usize = 4;
/// For so long a workspace that does not take remote write 2.0 is not asked whether it does.
const SPEAKS_V1_FOR: Duration = Duration::from_secs(3600);

/// A batch that was read and found whole.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) payload: Payload,
    /// Held until the sender was answered.
    pub(super) admitted: Admitted,
}

/// Brings batches to one workspace.
#[derive(Debug)]
pub struct Delivery {
    requests: Requests,
    limits: KnownLimits,
    progress: Progress,
    suspects: Suspects,
    /// When AMP showed last that it does not take 2.0.
    spoke_v1: Mutex<Option<Instant>>,
    metrics: Arc<WorkspaceMetrics>,
    upstream_timeout: Duration,
}

type Bringing<'a> = Pin<Box<dyn Future<Output = Brought> + Send + 'a>>;

// === impl Delivery ===

impl Delivery {
    /// Wires what a batch passes on its way out.
    ///
    /// # Errors
    /// Where the workspace's URL cannot be signed for or connected to, which a checked configuration excludes.
    pub fn new(
        workspace: &Workspace,
        transport: &dyn Transport,
        credentials: Cache,
        clock: Clock,
        metrics: Arc<WorkspaceMetrics>,
    ) -> Result<Self, SigningError> {
        Ok(Self {
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
            spoke_v1: Mutex::default(),
            metrics,
            upstream_timeout: workspace.limits.upstream_timeout,
        })
    }

    /// Idle connections to AMP.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.requests.idle_connections()
    }

    /// Brings the batch to AMP before the deadline, which begins now.
    pub(super) async fn deliver(&self, batch: Prepared, timings: &mut PhaseTimings) -> Verdict {
        let Prepared {
            payload,
            mut admitted,
        } = batch;
        let known = self.progress.take(&payload.payload_hash);
        let this = Try {
            deadline: Instant::now() + self.upstream_timeout,
            span: &timings.span,
            known: Mutex::new(known),
            judged: self.suspects.judged(),
            refusals: AtomicU32::new(0),
            has_passed: AtomicBool::new(false),
            admitted: tokio::sync::Mutex::new(&mut admitted),
        };
        let brought = self.bring(payload, None, &this).await;
        let unseen = this.known.into_inner();
        timings.add(&brought.timings);
        match brought.end(unseen.unwrap_or_else(PoisonError::into_inner)) {
            Ended::Settled(verdict, refused) => {
                for (reason, contents) in &refused {
                    self.metrics.refused(reason, contents);
                }
                verdict
            }
            Ended::Again(verdict, hash, records) => {
                self.progress.keep(hash, records);
                verdict
            }
        }
    }

    /// Brings one payload, which may be a part of the batch; `suspicion` is why the batch is halved, if it is.
    fn bring<'a>(
        &'a self,
        mut payload: Payload,
        suspicion: Option<Suspicion>,
        this: &'a Try<'_>,
    ) -> Bringing<'a> {
        Box::pin(async move {
            let failing = match this.take(&payload) {
                Some(record @ (Record::Stored(_) | Record::Refused(..))) => {
                    return Brought::settled(payload.into_key(), record, PhaseTimings::default());
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
                    let exemplars = Contents {
                        exemplars: payload.contents.exemplars,
                        ..Contents::default()
                    };
                    self.metrics
                        .refused(RefusalReason::Exemplar.name(), &exemplars);
                    payload.contents.exemplars = 0;
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
                    if payload.media.version == Version::V2 {
                        self.learn_v1();
                        return self.open(payload, Opening::AsV1, timings, this).await;
                    }
                    verdict
                }
            };
            if payload.media.version == Version::V2 && says_nothing_written(&verdict, &payload) {
                self.learn_v1();
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

    /// What has to be done with a payload before AMP is asked.
    fn must_be_opened(&self, payload: &Payload) -> Option<Opening> {
        if payload.media.version == Version::V2 && self.speaks_v1() {
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
    fn settle(&self, payload: Payload, verdict: Verdict, timings: PhaseTimings) -> Brought {
        let verdict = match verdict {
            Verdict::Stored { status, .. } if payload.is_converted => Verdict::Stored {
                status,
                written: WrittenStats::counted(&payload.contents),
            },
            verdict => verdict,
        };
        let contents = payload.contents;
        if !matches!(verdict, Verdict::Poison { .. }) {
            self.suspects.count_judged();
        }
        let record = match &verdict {
            Verdict::Stored { .. } => {
                self.metrics.forwarded(&contents);
                Record::Stored(verdict)
            }
            Verdict::Deduplicated { .. } => {
                self.metrics.deduplicated(&contents);
                Record::Stored(verdict)
            }
            _ => {
                let (written, refused) = parted(&verdict, contents);
                self.metrics.forwarded(&written);
                Record::Refused(verdict, refused)
            }
        };
        Brought::settled(payload.into_key(), record, timings)
    }

    /// Opens a payload, and brings what it was opened into.
    async fn open(
        &self,
        payload: Payload,
        opening: Opening,
        mut timings: PhaseTimings,
        this: &Try<'_>,
    ) -> Brought {
        match open::open(&payload, opening, &mut timings, this, &self.metrics).await {
            Ok(Opened::Parts(parts)) => {
                let record = Record::Opened(opening);
                let mut whole = Brought::opened(payload.into_key(), record, parts.len(), timings);
                self.bring_all(parts, opening, &mut whole, this).await;
                whole
            }
            // It was halved before, so it can be halved.
            Ok(Opened::Single { .. }) => {
                Brought::again(payload.into_key(), Verdict::Overloaded, None, timings)
            }
            Err(verdict) if verdict.lost().is_some() => self.settle(payload, verdict, timings),
            // What is known of its parts counts only for as long as it is opened in this way.
            Err(verdict) => {
                let record = Some(Record::Opened(opening));
                Brought::again(payload.into_key(), verdict, record, timings)
            }
        }
    }

    /// Halves a payload that may be its own fault, and brings the halves; one that cannot be halved may be given up.
    async fn halve(&self, mut suspect: Suspect, this: &Try<'_>) -> Brought {
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
                let mut whole = Brought::opened(key.clone(), record, parts.len(), timings);
                self.bring_all(parts, opening, &mut whole, this).await;
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
            // There is no room for the halves just now.
            Err(_) => {
                let Suspect {
                    payload,
                    verdict,
                    failing,
                    timings,
                    ..
                } = suspect;
                Brought::failing(payload.into_key(), verdict, failing, timings)
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

    /// Brings parts, several at once where none of them waits for another one. Once one has to be sent again, no other is begun,
    /// unless that one may be at fault itself.
    async fn bring_all(
        &self,
        parts: Vec<Payload>,
        opening: Opening,
        whole: &mut Brought,
        this: &Try<'_>,
    ) {
        let (at_once, suspicion) = match opening {
            Opening::Cut(_) => (AT_ONCE, None),
            Opening::AsV1 => (1, None),
            Opening::Halved(suspicion) => (1, Some(suspicion)),
        };
        let mut waiting = parts.into_iter().peekable();
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < at_once
                && (!whole.is_again() || Suspects::goes_on(whole, suspicion, this))
                && let Some(part) =
                    waiting.next_if(|part| !part.waits || under_way.is_empty() && !whole.is_again())
            {
                under_way.push(self.bring(part, suspicion, this));
            }
            let Some(part) = under_way.next().await else {
                return whole.close();
            };
            whole.add(part);
        }
    }

    fn learn_v1(&self) {
        let mut spoke_v1 = self.spoke_v1.lock().unwrap_or_else(PoisonError::into_inner);
        *spoke_v1 = Some(Instant::now());
    }

    fn speaks_v1(&self) -> bool {
        let spoke_v1 = self.spoke_v1.lock().unwrap_or_else(PoisonError::into_inner);
        spoke_v1.is_some_and(|since| since.elapsed() < SPEAKS_V1_FOR)
    }
}
