//! Decides whether a repeatedly refused payload is itself the cause.
//!
//! In: a payload that must be sent again, and the response to it. Out: a [`PayloadResult`]. A payload refused five times over at
//! least a minute is suspect. If AMP accepts an empty write meanwhile ([`canary`](super::canary)), the payload is halved, down
//! to single series, so that everything AMP accepts is stored. A suspect series is dropped once it was refused alone in two
//! attempts, each followed by an empty write that AMP accepted; after a single refusal, an outage that ended just before the
//! empty write would look the same. A rate limit never drops a series: it refuses everything except an empty write, and smaller
//! payloads fit into it sooner.
//!
//! A proxy may refuse everything that is not empty. So for [`ALONE`], nothing is dropped unless AMP has judged another write
//! since the payload was opened.
//!
//! A persistent cause would cost every batch its own minute. So the tracker remembers for an hour that halving helped and which
//! series were dropped: the next batch is halved at once, and such a series is dropped when it is refused alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::deliver::attempt::Attempt;
use crate::batch::deliver::canary::Canary;
use crate::batch::deliver::open::Single;
use crate::batch::deliver::payload_result::PayloadResult;
use crate::batch::deliver::progress::{Failing, Record, RefusedAs, Suspicion};
use crate::batch::deliver::request::Requests;
use crate::outcome::verdict::Verdict;
use crate::remote_write::payload::Payload;
use crate::remote_write::written_stats::WrittenStats;
use crate::telemetry::timings::PhaseTimings;

/// How long a canary's result stays valid.
const CANARY_LIFE: Duration = Duration::from_secs(5);
/// How long successful halving and dropped series are remembered.
const MEMORY: Duration = Duration::from_secs(3600);
/// Maximum refusals in one attempt: a whole batch may be refused.
const MOST_REFUSALS: u32 = 32;
/// For this long nothing is dropped unless AMP judges another write, even a part of the same batch.
const ALONE: Duration = Duration::from_secs(600);
/// Maximum number of dropped series remembered.
const MOST_SERIES: usize = 1024;

/// What a workspace remembers of payloads that were refused for their contents.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    canary: Canary,
    /// Non-empty payloads that AMP stored or refused for good.
    judged: AtomicU64,
    known: Mutex<SuspectMemory>,
}

#[derive(Debug, Default)]
struct SuspectMemory {
    /// When halving last helped, against a rate limit and against anything else.
    helped: [Option<Instant>; 2],
    /// When each series was last dropped.
    given_up: HashMap<u64, Instant>,
}

// === impl Suspects ===

impl Suspects {
    /// AMP stored a payload or refused it for good.
    pub(super) fn count_judged(&self) {
        self.judged.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of payloads judged.
    pub(super) fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }

    fn helped(&self, answer: RefusedAs) -> bool {
        let [rate, other] = self.lock().helped;
        let helped = if answer.is_rate() { rate } else { other };
        helped.is_some_and(|since| since.elapsed() < MEMORY)
    }

    /// Records whether halving helped.
    fn learn(&self, answer: RefusedAs, has_helped: bool) {
        let mut known = self.lock();
        let [rate, other] = &mut known.helped;
        let helped = if answer.is_rate() { rate } else { other };
        if has_helped {
            *helped = Some(Instant::now());
        } else if answer.is_rate() {
            *helped = None;
        }
    }

    fn was_dropped(&self, single: &Single) -> bool {
        let known = self.lock();
        let since = single.hash.and_then(|hash| known.given_up.get(&hash));
        since.is_some_and(|since| since.elapsed() < MEMORY)
    }

    fn drop_single(&self, single: &Single) {
        let Some(hash) = single.hash else {
            return;
        };
        let mut known = self.lock();
        if known.given_up.len() >= MOST_SERIES {
            known.given_up.retain(|_, since| since.elapsed() < MEMORY);
        }
        if known.given_up.len() < MOST_SERIES {
            known.given_up.insert(hash, Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, SuspectMemory> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Suspects, for one payload ===

/// A payload that must be sent again, and the refusal.
pub(super) struct Suspect {
    pub(super) payload: Payload,
    pub(super) verdict: Verdict,
    pub(super) suspicion: Suspicion,
    pub(super) failing: Failing,
    pub(super) timings: PhaseTimings,
}

impl Suspects {
    /// Decides about a payload that must be sent again: retry it whole, or halve it because its contents may be the cause.
    pub(super) async fn examine(
        &self,
        payload: Payload,
        verdict: Verdict,
        (suspicion, failing): (Option<Suspicion>, Option<Failing>),
        timings: PhaseTimings,
        this: &Attempt<'_>,
        requests: &Requests,
    ) -> Result<Suspect, PayloadResult> {
        let Some(answer) = RefusedAs::of(&verdict) else {
            let record = failing.map(Record::Failing);
            return Err(PayloadResult::again(
                payload.into_key(),
                verdict,
                record,
                timings,
            ));
        };
        this.refusals.fetch_add(1, Ordering::Relaxed);
        let failing = failing.map_or_else(
            || Failing::new(answer, this.judged),
            |failing| failing.again(answer),
        );
        let inherited = suspicion.filter(|suspicion| suspicion.answer.is_like(answer));
        let suspicion = Suspicion {
            answer,
            is_earned: failing.is_suspect() || inherited.is_some_and(|whole| whole.is_earned),
            since: inherited.map_or(failing.since, |whole| whole.since),
            judged: inherited.map_or(failing.judged, |whole| whole.judged),
        };
        let lately = Instant::now().checked_sub(CANARY_LIFE);
        // What passed in this attempt is all that the rate limit allows now.
        let is_over = answer.is_rate() && this.has_passed.load(Ordering::Relaxed);
        let is_suspect = suspicion.is_earned || self.helped(answer);
        if !is_over
            && (inherited.is_some()
                || is_suspect && self.accepts_empty_write(lately, this, requests).await)
        {
            return Ok(Suspect {
                payload,
                verdict,
                suspicion,
                failing,
                timings,
            });
        }
        Err(PayloadResult::failing(
            payload.into_key(),
            verdict,
            failing,
            timings,
        ))
    }

    /// Whether to try the other parts although one must be sent again: true if that part got the refusal for which the batch is
    /// halved, because the others may pass. False for a rate limit, which applies to every part.
    pub(super) fn tries_other_parts(
        whole: &PayloadResult,
        suspicion: Option<Suspicion>,
        this: &Attempt<'_>,
    ) -> bool {
        let answer = whole.retry_cause().and_then(RefusedAs::of);
        let is_like = |suspicion: Suspicion| {
            let is_like = |answer| suspicion.answer.is_like(answer);
            !suspicion.answer.is_rate() && answer.is_some_and(is_like)
        };
        suspicion.is_some_and(is_like) && this.refusals.load(Ordering::Relaxed) < MOST_REFUSALS
    }

    /// The result of halving: the halves, or the whole payload if not even its smallest half passed a rate limit.
    pub(super) fn halved(
        &self,
        key: String,
        verdict: Verdict,
        (suspicion, failing): (Suspicion, Failing),
        whole: PayloadResult,
    ) -> PayloadResult {
        let answer = suspicion.answer;
        self.learn(answer, whole.is_partly_settled());
        if answer.is_rate() && !whole.is_partly_settled() {
            let failing = Failing::new(answer, failing.judged);
            return PayloadResult::failing(key, verdict, failing, whole.timings);
        }
        whole
    }

    /// Decides about a payload that was refused at `refused_at` and cannot be halved: retry it, or drop it with this verdict.
    pub(super) async fn alone(
        &self,
        suspect: Suspect,
        single: Single,
        refused_at: Instant,
        this: &Attempt<'_>,
        requests: &Requests,
    ) -> Result<(Payload, Verdict, PhaseTimings), PayloadResult> {
        let Suspect {
            payload,
            verdict,
            suspicion,
            failing,
            timings,
        } = suspect;
        let answer = suspicion.answer;
        let failing = if answer.is_rate()
            || !self
                .accepts_empty_write(Some(refused_at), this, requests)
                .await
        {
            Failing::new(answer, failing.judged)
        } else {
            let passes = self.judged() > suspicion.judged || suspicion.since.elapsed() >= ALONE;
            if self.was_dropped(&single) || passes && failing.is_alone() {
                self.drop_single(&single);
                let verdict = Verdict::Poison {
                    what: single.what,
                    said: verdict.to_string(),
                    written: WrittenStats::default(),
                };
                return Ok((payload, verdict, timings));
            }
            if suspicion.is_earned && passes {
                failing.alone()
            } else {
                failing
            }
        };
        Err(PayloadResult::failing(
            payload.into_key(),
            verdict,
            failing,
            timings,
        ))
    }

    /// Whether AMP accepts an empty write, asked after `since`.
    async fn accepts_empty_write(
        &self,
        since: Option<Instant>,
        this: &Attempt<'_>,
        requests: &Requests,
    ) -> bool {
        let ask = requests.takes_empty_write(this.deadline, this.span);
        self.canary.is_taken(since, this.deadline, ask).await
    }
}

// === impl RefusedAs ===

impl RefusedAs {
    /// The response to a payload that must be sent again, if the payload itself may be the cause: any status below 500, from
    /// AMP or a proxy.
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
