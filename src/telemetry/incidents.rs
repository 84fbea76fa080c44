//! What is wrong, and what was of late: one log line and one record where a fault begins, one line where it is over.
//!
//! In: everything that goes wrong again and again until somebody or something mends it, told to a [`Watch`] by its kind, and
//! what goes well beside it. Out: the log's lines, and the same in the [`Journal`], which the status page shows; both are
//! written here, so that they cannot disagree. A kind that goes on is counted, and logged again after [`FIRST_REMINDER`], then
//! after twice as long, and so on. A kind that comes back soon after it was over must stay away for twice as long as before to
//! count as over again, so that a fault that comes and goes all day fills no log either.
//!
//! What goes well while nothing is wrong costs one load of an atomic: no lock, and no words are made.

mod recent;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::outcome::remedy;
use crate::outcome::verdict::Verdict;
pub use recent::{Fault, Journal};

/// When a fault that goes on is logged again.
const FIRST_REMINDER: Duration = Duration::from_secs(600);
/// What comes back within this is the same trouble as before.
const RELAPSE: Duration = Duration::from_secs(600);
/// How long what comes back must stay away: at least, and at most.
const QUIET: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// What a [`Watch`] looks after, in the words of its log lines.
#[derive(Debug)]
pub struct Subject {
    begins: &'static str,
    goes_on: &'static str,
    ends: &'static str,
    /// How long a fault must be away to count as over; none where the first good one always ends it.
    quiet: Option<Duration>,
    /// Whether other reasons of the same kind are worth a line each: somebody is at work, and waits for the words.
    each_reason: bool,
}

/// Batches that AMP does not store.
pub const BATCHES: Subject = Subject {
    begins: "a batch was not stored",
    goes_on: "batches are still not stored",
    ends: "batches are stored again",
    quiet: Some(QUIET.0),
    each_reason: false,
};

/// Exchanges that give no credentials.
pub const CREDENTIALS: Subject = Subject {
    begins: "credentials were not renewed",
    goes_on: "credentials are still not renewed",
    ends: "credentials are renewed again",
    quiet: Some(Duration::ZERO),
    each_reason: false,
};

/// Queries that get no answer of AMP's, by no fault of the reader's.
pub const QUERIES: Subject = Subject {
    begins: "a query was not answered",
    goes_on: "queries are still not answered",
    ends: "queries are answered again",
    quiet: Some(QUIET.0),
    each_reason: false,
};

/// Requests to the senders' port that are for no workspace.
pub const STRAYS: Subject = Subject {
    begins: "a request was turned away",
    goes_on: "requests are still turned away",
    ends: "no such request came any more",
    quiet: Some(Duration::from_secs(60)),
    each_reason: false,
};

/// Connections that come to nothing before their first request.
pub const CONNECTIONS: Subject = Subject {
    begins: "a connection could not be taken",
    goes_on: "connections still cannot be taken",
    ends: "connections are taken again",
    quiet: Some(Duration::from_secs(60)),
    each_reason: false,
};

/// Files of the door that do not hold what they should.
pub const DOOR: Subject = Subject {
    begins: "certificate and tokens were not renewed, the old ones stay in use",
    goes_on: "certificate and tokens are still not renewed, the old ones stay in use",
    ends: "the files of certificate and tokens are whole again",
    quiet: None,
    each_reason: true,
};

/// Files of certificates that are trusted and cannot be read.
pub const TRUST: Subject = Subject {
    begins: "trusted certificates were not reloaded, keeping the previous ones",
    goes_on: "trusted certificates are still not reloaded, keeping the previous ones",
    ends: "trusted certificates are read again",
    quiet: None,
    each_reason: true,
};

/// New configurations that are refused.
pub const CONFIGURATION: Subject = Subject {
    begins: "the configuration was not reloaded, the old one serves on",
    goes_on: "the configuration was again not reloaded, the old one serves on",
    ends: "the configuration is refused no longer",
    quiet: None,
    each_reason: true,
};

/// Spans that do not come to the collector.
pub const SPANS: Subject = Subject {
    begins: "spans are lost",
    goes_on: "spans are still lost",
    ends: "spans are exported again",
    quiet: Some(Duration::from_secs(30)),
    each_reason: false,
};

/// What one fault comes to, in words that hold no secret.
#[derive(Debug, Clone)]
pub struct Told {
    /// What is wrong.
    pub reason: String,
    /// What to do, where that is known.
    pub mend: Option<String>,
    /// How long the credentials in use last, where that decides when it will be felt.
    pub credentials_left: Option<Duration>,
}

/// Folds the faults of one subject.
#[derive(Debug)]
pub struct Watch {
    subject: &'static Subject,
    workspace: Option<Arc<str>>,
    journal: Journal,
    clock: Clock,
    /// How many of the episodes are open.
    open: AtomicUsize,
    episodes: Mutex<BTreeMap<&'static str, Episode>>,
}

/// One kind of fault, from when it was first seen; kept while it may come back.
#[derive(Debug)]
struct Episode {
    record: u64,
    state: State,
    began: Instant,
    last: Instant,
    count: u64,
    quiet: Duration,
    remind_at: Instant,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing but good came since.
    Away(Instant),
    Over,
}

// === impl Told ===

impl Told {
    /// What became of a batch.
    #[must_use]
    pub fn of_verdict(verdict: &Verdict) -> Self {
        Self {
            reason: verdict.to_string(),
            mend: remedy::of_verdict(verdict),
            credentials_left: None,
        }
    }
}

// === impl Watch ===

impl Watch {
    /// Nothing is wrong so far with `subject`, of the workspace or of the whole process.
    #[must_use]
    pub fn over(
        subject: &'static Subject,
        workspace: Option<&str>,
        journal: &Journal,
        clock: &Clock,
    ) -> Self {
        Self {
            subject,
            workspace: workspace.map(Arc::from),
            journal: journal.clone(),
            clock: clock.clone(),
            open: AtomicUsize::new(0),
            episodes: Mutex::default(),
        }
    }

    /// Whose faults these are.
    #[must_use]
    pub fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// A fault of this kind was met; `tell` is asked where it is to be logged.
    pub fn met(&self, kind: &'static str, tell: impl FnOnce() -> Told) {
        let now = Instant::now();
        let mut episodes = self.episodes();
        match episodes.get_mut(kind) {
            Some(episode) if episode.state != State::Over => self.goes_on(kind, episode, now, tell),
            before => {
                let quiet = match (before, self.subject.quiet) {
                    (_, None) => Duration::ZERO,
                    (Some(before), Some(_)) if now.duration_since(before.last) < RELAPSE => {
                        (before.quiet * 2).clamp(QUIET.0, QUIET.1)
                    }
                    (_, Some(quiet)) => quiet,
                };
                let episode = self.begins(kind, quiet, now, tell());
                episodes.insert(kind, episode);
                self.open.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// It went well; what was away for long enough is over.
    pub fn well(&self) {
        if self.open.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = Instant::now();
        for (kind, episode) in self.episodes().iter_mut() {
            let since = match episode.state {
                State::Open => now,
                State::Away(since) => since,
                State::Over => continue,
            };
            episode.state = State::Away(since);
            if now.duration_since(episode.last) >= episode.quiet {
                self.ends(kind, episode, since, self.subject.ends);
            }
        }
    }

    fn begins(&self, kind: &'static str, quiet: Duration, now: Instant, told: Told) -> Episode {
        let Told {
            reason,
            mend,
            credentials_left,
        } = told;
        tracing::warn!(
            workspace = self.workspace.as_deref(),
            fault = kind,
            reason,
            mend,
            credentials_left_seconds = credentials_left.map(|left| left.as_secs()),
            "{}",
            self.subject.begins
        );
        let began = self.clock.now();
        let record = self.journal.begin(Fault {
            workspace: self.workspace.clone(),
            kind,
            reason: reason.clone(),
            mend,
            began,
            last: began,
            count: 1,
            ended: None,
        });
        Episode {
            record,
            state: State::Open,
            began: now,
            last: now,
            count: 1,
            quiet,
            remind_at: now + FIRST_REMINDER,
            reason: if self.subject.each_reason {
                reason
            } else {
                String::new()
            },
        }
    }

    fn goes_on(
        &self,
        kind: &'static str,
        episode: &mut Episode,
        now: Instant,
        tell: impl FnOnce() -> Told,
    ) {
        episode.state = State::Open;
        episode.last = now;
        episode.count += 1;
        let (record, count) = (episode.record, episode.count);
        self.journal.goes_on(record, self.clock.now(), count);
        let due = now >= episode.remind_at;
        if !due && !self.subject.each_reason {
            return;
        }
        let told = tell();
        if due {
            episode.remind_at = now + now.duration_since(episode.began);
        } else if told.reason == episode.reason {
            return;
        }
        tracing::warn!(
            workspace = self.workspace.as_deref(),
            fault = kind,
            reason = told.reason,
            mend = told.mend,
            credentials_left_seconds = told.credentials_left.map(|left| left.as_secs()),
            seconds = now.duration_since(episode.began).as_secs_f32(),
            count,
            "{}",
            self.subject.goes_on
        );
        self.journal.says(record, &told.reason, told.mend);
        if self.subject.each_reason {
            episode.reason = told.reason;
        }
    }

    fn ends(&self, kind: &'static str, episode: &mut Episode, since: Instant, words: &'static str) {
        tracing::info!(
            workspace = self.workspace.as_deref(),
            fault = kind,
            seconds = since.duration_since(episode.began).as_secs_f32(),
            count = episode.count,
            "{words}"
        );
        let now = self.clock.now();
        let ended = now.checked_sub(since.elapsed()).unwrap_or(now);
        self.journal.end(episode.record, ended);
        episode.state = State::Over;
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn episodes(&self) -> MutexGuard<'_, BTreeMap<&'static str, Episode>> {
        self.episodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A workspace that is not served any more has no faults any more.
impl Drop for Watch {
    fn drop(&mut self) {
        let now = Instant::now();
        for (kind, episode) in self.episodes().iter_mut() {
            if episode.state != State::Over {
                self.ends(kind, episode, now, "a fault was open to the end");
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
