//! A batch to AMP, in one request or in several.
//!
//! ```text
//! deliver ─▶ bring ( known already? ─▶ send ─▶ settled, again, or open ─▶ bring each part ) ─▶ Ended ─▶ Verdict
//! ```
//!
//! In: an [`Inspected`]. Out: the one [`Verdict`] on it. A payload that cannot pass as it is is *opened*: cut by series where it is
//! too large, written as remote write 1.0 where AMP does not take 2.0, halved where it is refused over and over
//! while AMP takes other writes ([`canary`]). What it was opened into is brought in the same way.
//!
//! What can still be kept is never dropped: a part that has to be sent again makes the whole batch come again. What became of the
//! other parts is remembered until then ([`progress`]), so that each try goes on where the last one stopped. A part that AMP
//! refuses for good does not keep the others from being stored.
//!
//! Waiting for all parts of one deadline, as a single request would, was rejected: a batch that takes AMP longer than the
//! deadline would begin anew for ever.

mod brought;
mod canary;
mod limits;
mod progress;
mod request;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::batch::admission::Admitted;
use crate::batch::convert;
use crate::batch::inspect::{self, Contents, Version};
use crate::batch::media::Media;
use crate::batch::reply::ReplyClass;
use crate::batch::spent::{Spent, timed};
use crate::batch::split::{self, Part};
use crate::batch::verdict::{RefusalReason, Verdict};
use crate::batch::written::Written;
use crate::batch::{Inspected, Payload};
use crate::clock::Clock;
use crate::config::Workspace;
use crate::credentials::Cache;
use crate::quote::quote_within;
use crate::sigv4::SigningError;
use crate::telemetry::Meters;
use crate::traces::Span;
use crate::workspace::Outside;

use brought::{Brought, Ended};
use canary::Canary;
use limits::KnownLimits;
use progress::{Answer, Failing, Opening, Progress, Record, Records};
use request::Requests;

/// So many parts of one batch are under way at once.
const AT_ONCE: usize = 4;
/// For so long a workspace that does not take remote write 2.0 is not asked whether it does.
const SPEAKS_V1_FOR: Duration = Duration::from_secs(3600);
/// What a canary told is not asked again so soon.
const CANARY_LIFE: Duration = Duration::from_secs(5);

/// Brings batches to one workspace.
#[derive(Debug)]
pub struct Delivery {
    requests: Requests,
    limits: KnownLimits,
    progress: Progress,
    canary: Canary,
    /// When AMP showed last that it does not take 2.0.
    spoke_v1: Mutex<Option<Instant>>,
    meters: Arc<Meters>,
    upstream_timeout: Duration,
}

/// One try at one batch.
struct Try<'a> {
    deadline: Instant,
    span: &'a Span,
    /// What the tries before brought its payloads to.
    known: Mutex<Records>,
    admitted: tokio::sync::Mutex<&'a mut Admitted>,
}

/// What a payload was opened into.
enum Opened {
    Parts(Vec<Payload>),
    /// Nothing, since it holds a single series.
    Single {
        series: String,
    },
}

type Bringing<'a> = Pin<Box<dyn Future<Output = Brought> + Send + 'a>>;

// === impl Try ===

impl Try<'_> {
    fn take(&self, hash: &str) -> Option<Record> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return None;
        }
        known.remove(hash)
    }
}

// === impl Delivery ===

impl Delivery {
    /// Wires what a batch passes on its way out.
    ///
    /// # Errors
    /// Where the workspace's URL cannot be signed for or dialled, which a checked configuration excludes.
    pub fn new(
        workspace: &Workspace,
        way: &dyn Outside,
        credentials: Cache,
        clock: Clock,
        meters: Arc<Meters>,
    ) -> Result<Self, SigningError> {
        Ok(Self {
            requests: Requests::new(workspace, way, credentials, clock, Arc::clone(&meters))?,
            limits: KnownLimits::new(workspace.limits.max_upstream_bytes),
            progress: Progress::default(),
            canary: Canary::default(),
            spoke_v1: Mutex::default(),
            meters,
            upstream_timeout: workspace.limits.upstream_timeout,
        })
    }

    /// Kept connections to AMP that nobody uses.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.requests.idle_connections()
    }

    /// Brings the batch to AMP before the deadline, which begins now.
    pub async fn deliver(&self, batch: Inspected, spent: &mut Spent) -> Verdict {
        let Inspected {
            payload,
            mut admitted,
        } = batch;
        let known = self.progress.take(&payload.payload_hash);
        let this = Try {
            deadline: Instant::now() + self.upstream_timeout,
            span: &spent.span,
            known: Mutex::new(known),
            admitted: tokio::sync::Mutex::new(&mut admitted),
        };
        let brought = self.bring(payload, None, &this).await;
        let unseen = this.known.into_inner();
        spent.add(&brought.spent);
        match brought.end(unseen.unwrap_or_else(PoisonError::into_inner)) {
            Ended::Settled(verdict, refused) => {
                for (reason, contents) in &refused {
                    self.meters.refused(reason, contents);
                }
                verdict
            }
            Ended::Again(verdict, hash, records) => {
                self.progress.keep(hash, records);
                verdict
            }
        }
    }

    /// Brings one payload, which may be a part of the batch; `suspect` is the answer that it is halved for, if it is.
    fn bring<'a>(
        &'a self,
        mut payload: Payload,
        suspect: Option<Answer>,
        this: &'a Try<'_>,
    ) -> Bringing<'a> {
        Box::pin(async move {
            let failing = match this.take(&payload.key()) {
                Some(record @ (Record::Stored(_) | Record::Refused(..))) => {
                    return Brought::settled(payload.key(), record, Spent::default());
                }
                Some(Record::Opened(opening)) => {
                    return self.open(payload, opening, Spent::default(), this).await;
                }
                Some(Record::Failing(failing)) => Some(failing),
                None => None,
            };
            if let Some(opening) = self.must_be_opened(&payload) {
                return self.open(payload, opening, Spent::default(), this).await;
            }
            let mut spent = Spent::default();
            let sending = self
                .requests
                .send(&payload, this.deadline, this.span, &mut spent);
            let verdict = match sending.await {
                ReplyClass::Final(verdict) | ReplyClass::Unauthenticated(verdict) => verdict,
                ReplyClass::WithoutExemplars(verdict) => {
                    let exemplars = Contents {
                        exemplars: payload.contents.exemplars,
                        ..Contents::default()
                    };
                    self.meters
                        .refused(RefusalReason::Exemplar.name(), &exemplars);
                    payload.contents.exemplars = 0;
                    verdict
                }
                ReplyClass::TooLarge(verdict, _) if payload.is_indivisible => {
                    let len = payload.frames.len();
                    verdict.explained(|said| {
                        format!("a single series of {len} bytes, which cannot be cut: {said}")
                    })
                }
                ReplyClass::TooLarge(_, shown) => {
                    let packed = payload.frames.len();
                    let limits = self.limits.learn(shown, packed, payload.unpacked_len());
                    let opening = Opening::Cut(limits);
                    return self.open(payload, opening, spent, this).await;
                }
                ReplyClass::NotAsV2(verdict) => {
                    if payload.media.version == Version::V2 {
                        self.learn_v1();
                        return self.open(payload, Opening::AsV1, spent, this).await;
                    }
                    verdict
                }
            };
            if payload.media.version == Version::V2 && says_nothing_written(&verdict, &payload) {
                self.learn_v1();
                return self.open(payload, Opening::AsV1, spent, this).await;
            }
            if verdict.is_stored() || verdict.lost().is_some() {
                return self.settle(payload, verdict, spent);
            }
            self.again(payload, verdict, suspect, failing, spent, this)
                .await
        })
    }

    /// What has to be done with a payload before AMP is asked.
    fn must_be_opened(&self, payload: &Payload) -> Option<Opening> {
        if payload.media.version == Version::V2 && self.speaks_v1() {
            return Some(Opening::AsV1);
        }
        let limits = self.limits.now();
        let is_over = payload.frames.len() > limits.packed
            || limits
                .unpacked
                .is_some_and(|limit| payload.unpacked_len() > Some(limit));
        (is_over && !payload.is_indivisible).then_some(Opening::Cut(limits))
    }

    /// AMP stored it, or refused it for good.
    fn settle(&self, payload: Payload, verdict: Verdict, spent: Spent) -> Brought {
        let verdict = match verdict {
            Verdict::Stored { status, .. } if payload.is_converted => Verdict::Stored {
                status,
                written: Written::counted(&payload.contents),
            },
            verdict => verdict,
        };
        let key = payload.key();
        let contents = payload.contents;
        let record = match &verdict {
            Verdict::Stored { .. } => {
                self.meters.forwarded(&contents);
                Record::Stored(verdict)
            }
            Verdict::Deduplicated { .. } => {
                self.meters.deduplicated(&contents);
                Record::Stored(verdict)
            }
            _ => {
                let (written, refused) = parted(&verdict, contents);
                self.meters.forwarded(&written);
                Record::Refused(verdict, refused)
            }
        };
        Brought::settled(key, record, spent)
    }

    /// The payload has to be sent again, unless it turns out to be its own fault.
    async fn again(
        &self,
        payload: Payload,
        verdict: Verdict,
        suspect: Option<Answer>,
        failing: Option<Failing>,
        spent: Spent,
        this: &Try<'_>,
    ) -> Brought {
        let Some(answer) = Answer::of(&verdict) else {
            let record = failing.map(Record::Failing);
            return Brought::again(payload.key(), verdict, record, spent);
        };
        if suspect.is_some_and(|suspect| suspect.is_like(answer)) {
            return self
                .halve(payload, verdict, answer, failing, spent, this)
                .await;
        }
        let failing = failing.map_or_else(|| Failing::new(answer), |failing| failing.again(answer));
        let lately = Instant::now().checked_sub(CANARY_LIFE);
        if failing.is_suspect() && self.takes_others(lately, this).await {
            return self
                .halve(payload, verdict, answer, Some(failing), spent, this)
                .await;
        }
        let record = Some(Record::Failing(failing));
        Brought::again(payload.key(), verdict, record, spent)
    }

    /// Halves a payload that AMP, or what is in between, refuses over and over. What passes then passes. A single series that does
    /// not pass is given up once it is refused again, in a later try, though an empty write was taken: a fault that ended
    /// between one refusal and the empty write would look the same. Unless a rate is what refuses it: that comes to an
    /// end, and fewer samples fit in sooner.
    async fn halve(
        &self,
        payload: Payload,
        verdict: Verdict,
        answer: Answer,
        failing: Option<Failing>,
        mut spent: Spent,
        this: &Try<'_>,
    ) -> Brought {
        let refused_at = Instant::now();
        let opening = Opening::Halved(answer);
        let is_rate = answer.is_rate();
        let hash = payload.key();
        match self.parts(&payload, opening, &mut spent, this).await {
            Ok(Opened::Parts(parts)) => {
                let record = Record::Opened(opening);
                let mut whole = Brought::opened(hash.clone(), record, parts.len(), spent);
                self.bring_all(parts, opening, &mut whole, this).await;
                if is_rate && !whole.is_begun() {
                    // Not even the smallest part passed: nothing is won by sending small ones.
                    let record = Some(Record::Failing(Failing::new(answer)));
                    return Brought::again(hash, verdict, record, whole.spent);
                }
                whole
            }
            Ok(Opened::Single { series })
                if !is_rate && self.takes_others(Some(refused_at), this).await =>
            {
                if !failing.is_some_and(Failing::is_alone) {
                    let record = Some(Record::Failing(Failing::alone(answer)));
                    return Brought::again(hash, verdict, record, spent);
                }
                let said = verdict.to_string();
                tracing::warn!(
                    workspace = &**self.meters.workspace(),
                    series,
                    said,
                    "a series is refused whenever it is sent, and given up"
                );
                let verdict = Verdict::Poison {
                    series,
                    said,
                    written: Written::default(),
                };
                self.settle(payload, verdict, spent)
            }
            Ok(Opened::Single { .. }) => {
                let record = Some(Record::Failing(Failing::new(answer)));
                Brought::again(hash, verdict, record, spent)
            }
            // There is no room for the halves just now.
            Err(_) => Brought::again(hash, verdict, failing.map(Record::Failing), spent),
        }
    }

    /// Opens a payload, and brings what it was opened into.
    async fn open(
        &self,
        payload: Payload,
        opening: Opening,
        mut spent: Spent,
        this: &Try<'_>,
    ) -> Brought {
        match self.parts(&payload, opening, &mut spent, this).await {
            Ok(Opened::Parts(parts)) => {
                let record = Record::Opened(opening);
                let mut whole = Brought::opened(payload.key(), record, parts.len(), spent);
                self.bring_all(parts, opening, &mut whole, this).await;
                whole
            }
            // It was halved before, so it can be halved.
            Ok(Opened::Single { .. }) => {
                Brought::again(payload.key(), Verdict::Overloaded, None, spent)
            }
            Err(verdict) if verdict.lost().is_some() => self.settle(payload, verdict, spent),
            // What is known of its parts counts only for as long as it is opened in this way.
            Err(verdict) => {
                let record = Some(Record::Opened(opening));
                Brought::again(payload.key(), verdict, record, spent)
            }
        }
    }

    /// Brings parts, several at once where none of them waits for another one. Once one has to be sent again, no other is begun.
    async fn bring_all(
        &self,
        parts: Vec<Payload>,
        opening: Opening,
        whole: &mut Brought,
        this: &Try<'_>,
    ) {
        let (at_once, suspect) = match opening {
            Opening::Cut(_) => (AT_ONCE, None),
            Opening::AsV1 => (1, None),
            Opening::Halved(answer) => (1, Some(answer)),
        };
        let mut waiting = parts.into_iter().peekable();
        let mut under_way = FuturesUnordered::new();
        loop {
            while !whole.is_again()
                && under_way.len() < at_once
                && let Some(part) = waiting.next_if(|part| under_way.is_empty() || !part.waits)
            {
                under_way.push(self.bring(part, suspect, this));
            }
            let Some(part) = under_way.next().await else {
                return;
            };
            whole.add(part);
        }
    }

    /// What a payload is opened into, and room for it.
    async fn parts(
        &self,
        payload: &Payload,
        opening: Opening,
        spent: &mut Spent,
        this: &Try<'_>,
    ) -> Result<Opened, Verdict> {
        let cannot = |said: String| Verdict::TooLargeForAmp {
            said,
            written: Written::default(),
        };
        let body = payload.frames.contiguous().into_owned();
        let unpacked = inspect::unpacked_len(&body).map_err(Verdict::Malformed)?;
        // The body, its copy, the parts and theirs; the message, and a stretch of it or all of it written anew.
        let room = body
            .len()
            .saturating_mul(4)
            .saturating_add(unpacked.saturating_mul(2));
        let largest_v1 = {
            let mut admitted = this.admitted.lock().await;
            if room > admitted.budget() {
                return Err(cannot(format!(
                    "splitting it takes {room} bytes, more than --max-inflight-bytes"
                )));
            }
            let largest_v1 = unpacked.saturating_mul(8).min(admitted.budget() - room);
            let room = match opening {
                Opening::AsV1 => room.saturating_add(largest_v1),
                Opening::Cut(_) | Opening::Halved(_) => room,
            };
            let growing = pin!(admitted.grow_to(room));
            timed(&mut spent.admission, growing).await?;
            largest_v1
        };
        let media = payload.media.clone();
        let is_converted = payload.is_converted;
        // Tens of milliseconds for a few megabytes: too long for a thread that serves others.
        let opened = tokio::task::spawn_blocking(move || {
            let message = inspect::unpack(&body, unpacked)
                .map_err(Verdict::Malformed)?
                .unwrap_or_default();
            let version = media.version;
            let of_split = |error: split::SplitError| match error {
                split::SplitError::Malformed(why) => Verdict::Malformed(why),
                why => cannot(why.to_string()),
            };
            let parts = match opening {
                Opening::AsV1 => {
                    let converted = convert::to_v1(&message, largest_v1);
                    let converted = converted.map_err(|error| Verdict::Refused {
                        reason: RefusalReason::Invalid,
                        said: error.to_string(),
                        written: Written::default(),
                    })?;
                    let body = converted
                        .pack()
                        .map_err(|error| cannot(error.to_string()))?;
                    let payload = Payload::new(Media::v1(), body, converted.contents);
                    return Ok::<_, Verdict>(Opened::Parts(vec![Payload {
                        is_converted: true,
                        ..payload
                    }]));
                }
                Opening::Cut(limits) => {
                    split::split(&message, version, limits).map_err(of_split)?
                }
                Opening::Halved(_) => match split::halve(&message, version).map_err(of_split)? {
                    Some(halves) => halves,
                    None => {
                        let name = split::first_name(&message, version).ok().flatten();
                        let name = name.unwrap_or_else(|| "without a name".to_owned());
                        return Ok(Opened::Single {
                            series: quote_within(&name, 256),
                        });
                    }
                },
            };
            let part = |part: Part| Payload {
                is_converted,
                is_indivisible: part.is_indivisible,
                waits: part.waits,
                ..Payload::new(media.clone(), part.body, part.contents)
            };
            Ok(Opened::Parts(parts.into_iter().map(part).collect()))
        });
        let opened = opened.await.map_err(|error| Verdict::Unsigned {
            why: error.to_string(),
        })??;
        if let (Opening::Cut(_), Opened::Parts(parts)) = (opening, &opened) {
            self.meters.split(parts.len());
        }
        Ok(opened)
    }

    /// Whether AMP takes an empty write, as asked after `since`.
    async fn takes_others(&self, since: Option<Instant>, this: &Try<'_>) -> bool {
        let ask = async {
            let mut spent = Spent::default();
            let empty = Payload::empty();
            let sent = pin!(
                self.requests
                    .send(&empty, this.deadline, this.span, &mut spent)
            );
            let taken = matches!(sent.await, ReplyClass::Final(verdict) if verdict.is_stored());
            self.meters.canary(taken);
            taken
        };
        self.canary.is_taken(since, this.deadline, ask).await
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

// === impl Answer ===

impl Answer {
    /// The answer to a payload that has to be sent again, where it is one that the payload itself may be the cause of: an
    /// answer below 500, whoever gave it.
    fn of(verdict: &Verdict) -> Option<Self> {
        let status = match verdict {
            Verdict::Unexpected { status, .. } => status.as_u16(),
            Verdict::Throttled { .. } => 429,
            Verdict::AccessDenied { .. } | Verdict::Unauthenticated { .. } => 403,
            Verdict::WorkspaceNotFound { .. } => 404,
            _ => return None,
        };
        let name = verdict.name();
        (status < 500).then_some(Self { status, name })
    }
}

/// Whether a 2.0 batch that holds anything was answered 2xx without a word of what was written: a receiver of 1.0 reads it as
/// an empty batch and stores nothing.
fn says_nothing_written(verdict: &Verdict, payload: &Payload) -> bool {
    let is_empty = payload.contents == Contents::default() && payload.frames.len() <= 1;
    matches!(verdict, Verdict::Stored { written, .. } if written.is_empty()) && !is_empty
}

/// What AMP says it wrote of a refused payload, and what is left of it: at most that was refused.
fn parted(verdict: &Verdict, contents: Contents) -> (Contents, Contents) {
    let numbers = verdict.written().map(Written::numbers).unwrap_or_default();
    let [samples, histograms, exemplars] = numbers.map(Option::unwrap_or_default);
    let written = Contents {
        samples: samples.min(contents.samples),
        histograms: histograms.min(contents.histograms),
        exemplars: exemplars.min(contents.exemplars),
        ..Contents::default()
    };
    let is_about_others = match verdict {
        Verdict::Refused { reason, .. } => {
            matches!(reason, RefusalReason::Exemplar | RefusalReason::Metadata)
        }
        _ => false,
    };
    let rest = |all: u64, written: u64| if is_about_others { 0 } else { all - written };
    let is_metadata = matches!(
        verdict,
        Verdict::Refused {
            reason: RefusalReason::Metadata,
            ..
        }
    );
    let refused = Contents {
        samples: rest(contents.samples, written.samples),
        histograms: rest(contents.histograms, written.histograms),
        exemplars: if is_metadata {
            0
        } else {
            contents.exemplars - written.exemplars
        },
        ..contents
    };
    (written, refused)
}
