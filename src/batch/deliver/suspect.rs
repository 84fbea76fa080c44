//! Whether a payload that is refused over and over is at fault itself.
//!
//! In: a payload that has to be sent again, and how it was answered. Out: what it was brought to. A payload that was refused five
//! times in a minute or more is suspect. Where AMP takes an empty write meanwhile ([`canary`](super::canary)), it is halved, so that
//! what can pass passes, down to single series. One that is suspect, and refused alone in two tries, each before an empty write
//! that AMP took, is given up: a fault that ended between one refusal and the empty write would look the same. A rate
//! never ends so: it refuses anything but an empty write, and fewer samples fit in sooner.
//!
//! Something in between may refuse whatever is not empty. So nothing is given up for [`ALONE`] unless AMP has judged another write
//! since the payload was opened.
//!
//! A fault that stays would cost each batch its own minute. So for an hour it is remembered that halving helped, and which series were
//! given up: the next batch is halved at once, and such a series given up as soon as it is refused alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::deliver::attempt::Try;
use crate::batch::deliver::brought::Brought;
use crate::batch::deliver::canary::Canary;
use crate::batch::deliver::open::Single;
use crate::batch::deliver::progress::{Failing, Record, RefusedAs, Suspicion};
use crate::batch::deliver::request::Requests;
use crate::outcome::verdict::Verdict;
use crate::remote_write::payload::Payload;
use crate::remote_write::written_stats::WrittenStats;
use crate::telemetry::timings::PhaseTimings;

/// What a canary told is not asked again so soon.
const CANARY_LIFE: Duration = Duration::from_secs(5);
/// How long is remembered what helped.
const MEMORY: Duration = Duration::from_secs(3600);
/// In one try no more refusals than these are asked for: all of a batch may be refused.
const MOST_REFUSALS: u32 = 32;
/// For so long nothing is given up while AMP judges no other write, not even a part of the same batch.
const ALONE: Duration = Duration::from_secs(600);
/// So many series that were given up are remembered.
const MOST_SERIES: usize = 1024;

/// What is known of faults that are in payloads.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    canary: Canary,
    /// Payloads that hold anything and that AMP stored or refused for good.
    judged: AtomicU64,
    known: Mutex<SuspectMemory>,
}

#[derive(Debug, Default)]
struct SuspectMemory {
    /// When halving helped last, against a rate and against anything else.
    helped: [Option<Instant>; 2],
    /// When series were given up last.
    given_up: HashMap<u64, Instant>,
}

// === impl Suspects ===

impl Suspects {
    /// AMP stored something, or refused it for good.
    pub(super) fn count_judged(&self) {
        self.judged.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it did.
    pub(super) fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }

    fn helped(&self, answer: RefusedAs) -> bool {
        let [rate, other] = self.lock().helped;
        let helped = if answer.is_rate() { rate } else { other };
        helped.is_some_and(|since| since.elapsed() < MEMORY)
    }

    /// Halving let some of a payload pass, or nothing.
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

    fn was_given_up(&self, single: &Single) -> bool {
        let known = self.lock();
        let since = single.hash.and_then(|hash| known.given_up.get(&hash));
        since.is_some_and(|since| since.elapsed() < MEMORY)
    }

    fn give_up(&self, single: &Single) {
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

// === impl Suspects, asked about one payload ===

/// A payload that has to be sent again, and what speaks against it.
pub(super) struct Suspect {
    pub(super) payload: Payload,
    pub(super) verdict: Verdict,
    pub(super) suspicion: Suspicion,
    pub(super) failing: Failing,
    pub(super) timings: PhaseTimings,
}

impl Suspects {
    /// What to do with a payload that has to be sent again: nothing more, or to halve it since it may be its own fault.
    pub(super) async fn examine(
        &self,
        payload: Payload,
        verdict: Verdict,
        (suspicion, failing): (Option<Suspicion>, Option<Failing>),
        timings: PhaseTimings,
        this: &Try<'_>,
        requests: &Requests,
    ) -> Result<Suspect, Brought> {
        let Some(answer) = RefusedAs::of(&verdict) else {
            let record = failing.map(Record::Failing);
            return Err(Brought::again(payload.into_key(), verdict, record, timings));
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
        // What has passed in this try is all that the rate lets pass just now.
        let is_over = answer.is_rate() && this.has_passed.load(Ordering::Relaxed);
        let is_suspect = suspicion.is_earned || self.helped(answer);
        if !is_over
            && (inherited.is_some()
                || is_suspect && self.takes_others(lately, this, requests).await)
        {
            return Ok(Suspect {
                payload,
                verdict,
                suspicion,
                failing,
                timings,
            });
        }
        Err(Brought::failing(
            payload.into_key(),
            verdict,
            failing,
            timings,
        ))
    }

    /// Whether other parts are tried though one has to be sent again: it was refused in the way that the whole is halved for, so
    /// the others may pass. Not for a rate, which another part would only meet too.
    pub(super) fn goes_on(whole: &Brought, suspicion: Option<Suspicion>, this: &Try<'_>) -> bool {
        let answer = whole.why_again().and_then(RefusedAs::of);
        let is_like = |suspicion: Suspicion| {
            let is_like = |answer| suspicion.answer.is_like(answer);
            !suspicion.answer.is_rate() && answer.is_some_and(is_like)
        };
        suspicion.is_some_and(is_like) && this.refusals.load(Ordering::Relaxed) < MOST_REFUSALS
    }

    /// What halving came to: the halves, or the payload whole where not even the smallest of them passed a rate.
    pub(super) fn halved(
        &self,
        key: String,
        verdict: Verdict,
        (suspicion, failing): (Suspicion, Failing),
        whole: Brought,
    ) -> Brought {
        let answer = suspicion.answer;
        self.learn(answer, whole.is_begun());
        if answer.is_rate() && !whole.is_begun() {
            let failing = Failing::new(answer, failing.judged);
            return Brought::failing(key, verdict, failing, whole.timings);
        }
        whole
    }

    /// What to do with a payload that was refused at `refused_at` and cannot be halved: to send it again, or to give it up
    /// with this verdict.
    pub(super) async fn alone(
        &self,
        suspect: Suspect,
        single: Single,
        refused_at: Instant,
        this: &Try<'_>,
        requests: &Requests,
    ) -> Result<(Payload, Verdict, PhaseTimings), Brought> {
        let Suspect {
            payload,
            verdict,
            suspicion,
            failing,
            timings,
        } = suspect;
        let answer = suspicion.answer;
        let failing =
            if answer.is_rate() || !self.takes_others(Some(refused_at), this, requests).await {
                Failing::new(answer, failing.judged)
            } else {
                let passes = self.judged() > suspicion.judged || suspicion.since.elapsed() >= ALONE;
                if self.was_given_up(&single) || passes && failing.is_alone() {
                    self.give_up(&single);
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
        Err(Brought::failing(
            payload.into_key(),
            verdict,
            failing,
            timings,
        ))
    }

    /// Whether AMP takes an empty write, as asked after `since`.
    async fn takes_others(
        &self,
        since: Option<Instant>,
        this: &Try<'_>,
        requests: &Requests,
    ) -> bool {
        let ask = requests.takes_empty_write(this.deadline, this.span);
        self.canary.is_taken(since, this.deadline, ask).await
    }
}

// === impl Answer ===

impl RefusedAs {
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
