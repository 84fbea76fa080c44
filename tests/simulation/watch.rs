//! The invariants of every story, and the record of events.
//!
//! In: what STS, AMP and the senders see of the sidecar. Out: the trace, and each [`violation`](Watch::violations). The bounds
//! are those of the contract, independent of the code that must keep them.
//!
//! | invariant | checked in |
//! |---|---|
//! | nothing reaches AMP unsigned, or signed by other keys than STS issued | `amp` |
//! | nothing is signed with credentials that have expired by the signing time | `amp` |
//! | a workspace has at most one exchange in flight | [`Watch::exchange_begins`] |
//! | exchanges back off as the error requires, and never become a storm | [`Watch::exchange_begins`] |
//! | the last good credentials are used while they are valid | [`Watch::no_credentials_reported`] |
//! | a batch gets a response within its bound | `senders` |
//! | 2xx is sent only for what AMP stored, 4xx only for what AMP refused for good (`parts`), and nothing else ends a batch | `senders` |
//! | a batch is not held for ever for a series that is refused alone while AMP accepts empty writes | `senders` |
//! | samples of one series arrive in order | `parts` |
//! | each part is counted once, stored or in a refused batch | `story` |
//! | all budget is released | `story` |
//! | draining waits for the senders, responds to what was accepted, and ends | `story` |
//! | once the faults are over, data flows again within [`FLOWS_AGAIN`] | `story` |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::faults::BLOCKED;
use crate::parts::Parts;

/// From the end of all faults to a stored batch: the longest pause between two exchanges, and a call that hangs.
pub const FLOWS_AGAIN: Duration = Duration::from_secs(75);
/// On top of `--upstream-timeout`: a wait for budget before the body is read, and one before it is split.
pub const BUDGET_WAIT: Duration = Duration::from_millis(850);
/// Maximum time to send the body.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a batch may be held, besides six tries, for one poison series.
pub const MAX_HELD: Duration = Duration::from_secs(90);
/// How much longer if AMP judges nothing else, not even a part of the same batch.
pub const ALONE: Duration = Duration::from_secs(600);
/// Maximum time for requests in flight at the end.
pub const GRACE: Duration = Duration::from_secs(30);

const MOST_IN_A_MINUTE: usize = 31;
const MOST_IN_AN_HOUR: usize = 1850;
/// Between two exchanges of which the first succeeded, however short the credentials' lifetime.
const LEAST_GAP: Duration = Duration::from_millis(1900);
/// Between a failed exchange and one for another token.
const TOKEN_GAP: Duration = Duration::from_millis(4900);
/// Between any two exchanges without a special reason.
const LEAST_OF_ALL: Duration = Duration::from_millis(450);
/// A smaller clock offset is not detected.
const NOTICED: Duration = Duration::from_secs(31);

/// How an exchange ended, as far as it affects the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Obtained,
    /// The issued credentials may turn out to be expired.
    Unclear,
    /// A retry soon makes sense.
    Soon,
    /// Someone must change something first.
    Slowly,
}

/// One workspace between its start and its end.
#[derive(Debug, Default)]
struct Instance {
    in_flight: bool,
    begun: Vec<Duration>,
    last: Option<(Duration, Ended)>,
    failures: u32,
    /// AMP rejected its credentials since the last exchange began.
    exchange_requested: bool,
    /// The token changed since the last exchange began.
    another_token: bool,
}

/// The record of a story.
#[derive(Debug, Default)]
pub struct Watch {
    pub trace: Vec<String>,
    /// Keeps the violations only: a fleet's trace would fill the memory.
    pub is_terse: bool,
    pub violations: Vec<String>,
    pub exchanges: usize,
    pub attempts: usize,
    pub stored: usize,
    pub answers: BTreeMap<u16, usize>,
    instances: BTreeMap<usize, Instance>,
    /// When the newest credentials expire, in true time.
    good_until: Option<Duration>,
    /// Each batch as AMP saw it.
    pub parts: Parts,
    /// Each batch as its sender saw it.
    pub batches: BTreeMap<usize, Sent>,
    /// Numbers of the requests whose head was sent and that have not ended.
    pub open: BTreeSet<usize>,
    pub last_activity: Duration,
    pub last_retry: Option<Duration>,
    is_stopping: bool,
    activity_at_stop: Option<Quiet>,
}

/// A batch as its sender saw it.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    pub sender: usize,
    pub samples: u64,
    pub began: Duration,
    pub tries: usize,
    /// Since when only a poison series holds it up.
    pub blocked_since: Option<Duration>,
    /// How often it may have been delivered from its beginning.
    pub whole: u64,
    /// Its responses in order, repetitions once.
    pub responses: Vec<(u16, String)>,
    /// When it was stored or refused.
    pub ended: Option<Duration>,
}

/// Sender activity: open requests, the last activity, and the last response that leads to a retry.
type Quiet = (usize, Duration, Option<Duration>);

// === impl Watch ===

impl Watch {
    pub fn note(&mut self, now: Duration, what: impl std::fmt::Display) {
        if !self.is_terse {
            let line = format!("{:>10.3} {what}", now.as_secs_f64());
            self.trace.push(line);
        }
    }

    pub fn violated(&mut self, now: Duration, what: impl std::fmt::Display) {
        self.note(now, format_args!("VIOLATED {what}"));
        self.violations
            .push(format!("at {:.3} s: {what}", now.as_secs_f64()));
    }

    /// A workspace was started, the first or by a reload.
    pub fn instance(&mut self) -> usize {
        let number = self.instances.len();
        self.instances.insert(number, Instance::default());
        number
    }

    pub fn exchange_begins(&mut self, now: Duration, number: usize) {
        self.exchanges += 1;
        let instance = self.instances.entry(number).or_default();
        let mut wrong = Vec::new();
        if instance.in_flight {
            wrong.push("two exchanges are in flight".to_owned());
        }
        if let Some((ended, how)) = instance.last {
            let gap = now - ended;
            let mut least = least_pause(how, instance.failures);
            if instance.another_token {
                least = least.min(TOKEN_GAP);
            }
            // An exchange after a rejection may follow at once.
            if gap < least && !instance.exchange_requested {
                wrong.push(format!(
                    "an exchange began {gap:?} after one that ended {how:?}, the {}. of a row; {least:?} is the least",
                    instance.failures
                ));
            }
        }
        (instance.exchange_requested, instance.another_token) = (false, false);
        instance.in_flight = true;
        instance.begun.push(now);
        for (within, most) in [(60, MOST_IN_A_MINUTE), (3600, MOST_IN_AN_HOUR)] {
            let since = now.saturating_sub(Duration::from_secs(within));
            let count = instance
                .begun
                .iter()
                .rev()
                .take_while(|at| **at >= since)
                .count();
            if count > most {
                wrong.push(format!("{count} exchanges within {within} s"));
            }
        }
        for what in wrong {
            self.violated(now, what);
        }
    }

    pub fn exchange_ends(&mut self, now: Duration, number: usize, how: Ended) {
        let instance = self.instances.entry(number).or_default();
        instance.in_flight = false;
        instance.failures = match how {
            Ended::Obtained | Ended::Unclear => 0,
            Ended::Soon | Ended::Slowly => instance.failures + 1,
        };
        instance.last = Some((now, how));
    }

    /// AMP gives the workspace a reason for an extra exchange.
    pub fn has_reason(&mut self, number: usize) {
        self.instances.entry(number).or_default().exchange_requested = true;
    }

    pub fn another_token(&mut self) {
        for instance in self.instances.values_mut() {
            instance.another_token = true;
        }
    }

    /// Credentials were issued that are valid until then in true time.
    pub fn obtained(&mut self, until: Duration) {
        self.good_until = Some(until);
    }

    /// A sender got "no AWS credentials" while no clock was wrong.
    pub fn no_credentials_reported(&mut self, now: Duration) {
        let one = self.instances.len() == 1;
        if one && let Some(until) = self.good_until.filter(|until| now + NOTICED < *until) {
            let left = until - now;
            self.violated(
                now,
                format_args!("no credentials, though the last ones are good for {left:?} more"),
            );
        }
    }

    /// The sidecar no longer knows what was held for how long.
    pub fn forget_blocked(&mut self) {
        for sent in self.batches.values_mut() {
            sent.blocked_since = None;
        }
    }

    /// A try ended without a response, so its sender cannot know the result.
    pub fn count_repeat(&mut self, number: usize) {
        self.batches.entry(number).or_default().whole += 1;
    }

    /// A sender gets a response; returns how long a poison series alone has held up the batch.
    pub fn responded(&mut self, now: Duration, number: usize, status: u16, said: &str) -> Duration {
        let sent = self.batches.entry(number).or_default();
        sent.tries += 1;
        let response = (status, said.trim_end().to_owned());
        if sent.responses.last() != Some(&response) {
            sent.responses.push(response);
        }
        if !(500..=599).contains(&status) {
            sent.ended = Some(now);
        } else if said.contains(BLOCKED) {
            return now - *sent.blocked_since.get_or_insert(now);
        }
        sent.blocked_since = None;
        Duration::ZERO
    }

    /// Requests in flight may be cut off from now on.
    pub fn stop_now(&mut self) {
        self.is_stopping = true;
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// The listener closes.
    pub fn stops(&mut self) {
        self.activity_at_stop = Some((self.open.len(), self.last_activity, self.last_retry));
    }

    pub fn activity_at_stop(&self) -> Option<Quiet> {
        self.activity_at_stop
    }

    /// A request ends, with or without a response.
    pub fn request_ends(&mut self, now: Duration, number: usize, will_retry: bool) {
        self.open.remove(&number);
        self.last_activity = now;
        if will_retry {
            self.last_retry = Some(now);
        }
    }
}

/// The shortest pause after the n-th failure in a row: half of the doubling backoff.
fn least_pause(how: Ended, failures: u32) -> Duration {
    let (first, longest) = match how {
        Ended::Obtained => return LEAST_GAP,
        Ended::Unclear => return LEAST_OF_ALL,
        Ended::Soon => (1.0, 15.0),
        Ended::Slowly => (5.0, 60.0),
    };
    let full = f64::min(
        first * 2_f64.powi(failures.saturating_sub(1).min(10) as i32),
        longest,
    );
    // Timers have millisecond resolution.
    Duration::from_secs_f64(full * 0.5).saturating_sub(Duration::from_millis(5))
}
