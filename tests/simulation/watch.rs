//! What must hold at every moment of every story, and the record of what happened.
//!
//! In: what STS, AMP and the senders see of the sidecar. Out: the trace, and each [`violation`](Watch::violations) of an
//! invariant. The bounds stand here in the words of the contract, and are not read from the code that has to keep them.
//!
//! | invariant | where it is looked at |
//! |---|---|
//! | nothing reaches AMP unsigned, or signed by other keys than STS gave | `amp` |
//! | nothing is signed with credentials that are over by the time that was signed | `amp` |
//! | a workspace has one exchange in flight at most | [`Watch::exchange_begins`] |
//! | exchanges back off as the refusal asks, and never become a storm | [`Watch::exchange_begins`] |
//! | the last good credentials are used for as long as they are valid | [`Watch::heard_no_credentials`] |
//! | a batch is answered within its bound | `senders` |
//! | 2xx is said of what AMP stored, 4xx of what AMP refused for good (`parts`), and nothing else ends a batch | `senders` |
//! | a batch is not held for ever for a series that is refused alone while AMP takes empty writes | `senders` |
//! | samples of one series come in their order | `parts` |
//! | each part is counted once, stored or in a refused batch | `story` |
//! | all room is given back | `story` |
//! | leaving waits for the senders, answers what was accepted, and ends | `story` |
//! | once the faults are over, data flows again within [`FLOWS_AGAIN`] | `story` |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::faults::BLOCKED;
use crate::parts::Parts;

/// From the end of all faults to a stored batch: the longest pause between two exchanges, and a call that hangs.
pub const FLOWS_AGAIN: Duration = Duration::from_secs(75);
/// Beside `--upstream-timeout`: a wait for room before the body is read, and one before it is split.
pub const ROOM: Duration = Duration::from_millis(850);
/// The body may come in for so long.
pub const LONGEST_READ: Duration = Duration::from_secs(30);
/// A batch is held so long, and six tries, for a series that never passes.
pub const HELD: Duration = Duration::from_secs(90);
/// So much longer where AMP judges nothing else, not even a part of the same batch.
pub const ALONE: Duration = Duration::from_secs(600);
/// What is in flight at the end may take so long.
pub const GRACE: Duration = Duration::from_secs(30);

const MOST_IN_A_MINUTE: usize = 31;
const MOST_IN_AN_HOUR: usize = 1850;
/// Between two exchanges of which the first gave credentials, however short they live.
const LEAST_GAP: Duration = Duration::from_millis(1900);
/// Between a failed exchange and one for another token.
const TOKEN_GAP: Duration = Duration::from_millis(4900);
/// Between any two exchanges that nothing asked for.
const LEAST_OF_ALL: Duration = Duration::from_millis(450);
/// A clock that is off by less is not noticed.
const NOTICED: Duration = Duration::from_secs(31);

/// How an exchange ended, as far as the next one is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Obtained,
    /// What STS gave may be found to be over.
    Unclear,
    /// Another try makes sense soon.
    Soon,
    /// Somebody has to change something first.
    Slowly,
}

/// One workspace between its start and its end.
#[derive(Debug, Default)]
struct Instance {
    in_flight: bool,
    begun: Vec<Duration>,
    last: Option<(Duration, Ended)>,
    failures: u32,
    /// AMP refused its credentials since the last exchange began.
    asked: bool,
    /// The token changed since then.
    another_token: bool,
}

/// The record.
#[derive(Debug, Default)]
pub struct Watch {
    pub trace: Vec<String>,
    pub violations: Vec<String>,
    pub exchanges: usize,
    pub attempts: usize,
    pub stored: usize,
    pub answers: BTreeMap<u16, usize>,
    instances: BTreeMap<usize, Instance>,
    /// When the newest credentials are over, by true time.
    good_until: Option<Duration>,
    /// What AMP saw of each batch.
    pub parts: Parts,
    /// What its sender saw of each batch.
    pub batches: BTreeMap<usize, Sent>,
    /// Requests whose head was sent and which have not ended, by number.
    pub open: BTreeSet<usize>,
    pub last_heard: Duration,
    pub come_again: Option<Duration>,
    leaving_now: bool,
    at_the_stop: Option<Quiet>,
}

/// A batch, as its sender saw it.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    pub sender: usize,
    pub samples: u64,
    pub began: Duration,
    pub tries: usize,
    /// Since when it was held for nothing but a poison series.
    pub blocked_since: Option<Duration>,
    /// How often it may have been brought to AMP from its beginning.
    pub whole: u64,
    /// What it heard, in order, each once in a row.
    pub heard: Vec<(u16, String)>,
    /// When it had its end.
    pub ended: Option<Duration>,
}

/// How quiet the senders were: requests open, the last sign of one, and the last that comes again.
type Quiet = (usize, Duration, Option<Duration>);

// === impl Watch ===

impl Watch {
    pub fn note(&mut self, now: Duration, what: impl std::fmt::Display) {
        self.trace
            .push(format!("{:>10.3} {what}", now.as_secs_f64()));
    }

    pub fn violated(&mut self, now: Duration, what: impl std::fmt::Display) {
        self.note(now, format_args!("VIOLATED {what}"));
        self.violations
            .push(format!("at {:.3} s: {what}", now.as_secs_f64()));
    }

    /// Another workspace was started, the first or by a reload.
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
            // One that a refusal asks for may follow at once.
            if gap < least && !instance.asked {
                wrong.push(format!(
                    "an exchange began {gap:?} after one that ended {how:?}, the {}. of a row; {least:?} is the least",
                    instance.failures
                ));
            }
        }
        (instance.asked, instance.another_token) = (false, false);
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

    /// AMP gives the workspace a reason to exchange out of turn.
    pub fn has_reason(&mut self, number: usize) {
        self.instances.entry(number).or_default().asked = true;
    }

    pub fn another_token(&mut self) {
        for instance in self.instances.values_mut() {
            instance.another_token = true;
        }
    }

    /// Credentials were given that are valid until then by true time.
    pub fn obtained(&mut self, until: Duration) {
        self.good_until = Some(until);
    }

    /// A sender was told that there are no credentials, while no clock was ever wrong.
    pub fn heard_no_credentials(&mut self, now: Duration) {
        let one = self.instances.len() == 1;
        if one && let Some(until) = self.good_until.filter(|until| now + NOTICED < *until) {
            let left = until - now;
            self.violated(
                now,
                format_args!("no credentials, though the last ones are good for {left:?} more"),
            );
        }
    }

    /// Nothing is known any more of what was held for how long.
    pub fn forgets(&mut self) {
        for sent in self.batches.values_mut() {
            sent.blocked_since = None;
        }
    }

    /// What became of a try its sender does not know.
    pub fn may_repeat(&mut self, number: usize) {
        self.batches.entry(number).or_default().whole += 1;
    }

    /// A sender hears an answer; how long it has been held for a poison series alone.
    pub fn heard(&mut self, now: Duration, number: usize, status: u16, said: &str) -> Duration {
        let sent = self.batches.entry(number).or_default();
        sent.tries += 1;
        let heard = (status, said.trim_end().to_owned());
        if sent.heard.last() != Some(&heard) {
            sent.heard.push(heard);
        }
        if !(500..=599).contains(&status) {
            sent.ended = Some(now);
        } else if said.contains(BLOCKED) {
            return now - *sent.blocked_since.get_or_insert(now);
        }
        sent.blocked_since = None;
        Duration::ZERO
    }

    /// Whoever is in flight may be cut off from now on.
    pub fn leave_now(&mut self) {
        self.leaving_now = true;
    }

    pub fn leaving_now(&self) -> bool {
        self.leaving_now
    }

    /// The listener closes.
    pub fn stops(&mut self) {
        self.at_the_stop = Some((self.open.len(), self.last_heard, self.come_again));
    }

    pub fn at_the_stop(&self) -> Option<Quiet> {
        self.at_the_stop
    }

    /// A request ends, answered or not.
    pub fn request_ends(&mut self, now: Duration, number: usize, comes_again: bool) {
        self.open.remove(&number);
        self.last_heard = now;
        if comes_again {
            self.come_again = Some(now);
        }
    }
}

/// The shortest pause after the n-th failure of a row: half of one that doubles.
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
    // A timer has milliseconds.
    Duration::from_secs_f64(full * 0.5).saturating_sub(Duration::from_millis(5))
}
