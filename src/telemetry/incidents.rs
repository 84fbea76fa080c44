//! What is wrong, and what was of late: one log line and one record where a fault begins, one line where it is over.
//!
//! In: everything that goes wrong again and again until somebody or something mends it, told to a [`IncidentTracker`] by its kind, and
//! what goes well beside it. Out: the log's lines, and the same in the [`RecentIncidents`], which the status page shows; both are
//! written here, so that they cannot disagree. A kind that goes on is counted, and logged again after [`FIRST_REMINDER`], then
//! after twice as long, and so on. A kind that comes back soon after it was over must stay away for twice as long as before to
//! count as over again, so that a fault that comes and goes all day fills no log either.
//!
//! What goes well while nothing is wrong costs one load of an atomic: no lock, and no words are made.

mod recent;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::outcome::remedy;
use crate::outcome::verdict::Verdict;
use crate::remedies::Remedy;
pub use recent::{Incident, RecentIncidents};

/// When a fault that goes on is logged again.
const FIRST_REMINDER: Duration = Duration::from_secs(600);
/// What comes back within this is the same trouble as before.
const RELAPSE: Duration = Duration::from_secs(600);
/// How long what comes back must stay away: at least, and at most.
const QUIET: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// What a [`IncidentTracker`] looks after, in the words of its log lines.
#[derive(Debug)]
pub struct IncidentSubject {
    starts: &'static str,
    continues: &'static str,
    ends: &'static str,
    /// How long a fault must be away to count as over; none where the first good one always ends it.
    quiet: Option<Duration>,
    /// Whether other reasons of the same kind are worth a line each: somebody is at work, and waits for the words.
    each_reason: bool,
}

/// Batches that AMP does not store.
pub const BATCHES: IncidentSubject = IncidentSubject {
    starts: "a batch was not stored",
    continues: "batches are still not stored",
    ends: "batches are stored again",
    quiet: Some(QUIET.0),
    each_reason: false,
};

/// Exchanges that give no credentials.
pub const CREDENTIALS: IncidentSubject = IncidentSubject {
    starts: "credentials not refreshed",
    continues: "credentials still not refreshed",
    ends: "credentials refreshed again",
    quiet: Some(Duration::ZERO),
    each_reason: false,
};

/// Queries that get no answer of AMP's, by no fault of the reader's.
pub const QUERIES: IncidentSubject = IncidentSubject {
    starts: "query failed",
    continues: "queries still fail",
    ends: "queries succeed again",
    quiet: Some(QUIET.0),
    each_reason: false,
};

/// Requests to the senders' port that are for no workspace.
pub const REJECTED_REQUESTS: IncidentSubject = IncidentSubject {
    starts: "request rejected",
    continues: "requests are still rejected",
    ends: "no more rejected requests",
    quiet: Some(Duration::from_secs(60)),
    each_reason: false,
};

/// Connections that come to nothing before their first request.
pub const CONNECTIONS: IncidentSubject = IncidentSubject {
    starts: "connection failed before its first request",
    continues: "connections still fail before their first request",
    ends: "connections succeed again",
    quiet: Some(Duration::from_secs(60)),
    each_reason: false,
};

/// Files of the door that do not hold what they should.
pub const SERVER_AUTH: IncidentSubject = IncidentSubject {
    starts: "certificate and tokens not reloaded, keeping the previous ones",
    continues: "certificate and tokens still not reloaded, keeping the previous ones",
    ends: "certificate and tokens reloaded again",
    quiet: None,
    each_reason: true,
};

/// Files of certificates that are trusted and cannot be read.
pub const TRUST: IncidentSubject = IncidentSubject {
    starts: "trusted certificates were not reloaded, keeping the previous ones",
    continues: "trusted certificates are still not reloaded, keeping the previous ones",
    ends: "trusted certificates are read again",
    quiet: None,
    each_reason: true,
};

/// New configurations that are refused.
pub const CONFIGURATION: IncidentSubject = IncidentSubject {
    starts: "configuration not reloaded, keeping the previous configuration",
    continues: "configuration again not reloaded, keeping the previous configuration",
    ends: "configuration reload succeeded",
    quiet: None,
    each_reason: true,
};

/// Spans that do not come to the collector.
pub const SPANS: IncidentSubject = IncidentSubject {
    starts: "spans are lost",
    continues: "spans are still lost",
    ends: "spans are exported again",
    quiet: Some(Duration::from_secs(30)),
    each_reason: false,
};

/// What one fault comes to, in words that hold no secret.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// What is wrong.
    pub reason: String,
    /// What to do, where that is known.
    pub remedy: Option<String>,
    /// How long the credentials in use last, where that decides when it will be felt.
    pub credentials_left: Option<Duration>,
}

/// Folds the faults of one subject.
#[derive(Debug)]
pub struct IncidentTracker {
    subject: &'static IncidentSubject,
    workspace: Option<Arc<str>>,
    recent_incidents: RecentIncidents,
    clock: Clock,
    /// How many of the episodes are open.
    open: AtomicUsize,
    episodes: Mutex<BTreeMap<&'static str, Episode>>,
}

/// One kind of fault, from when it was first seen; kept while it may come back.
#[derive(Debug)]
struct Episode {
    record: u64,
    state: EpisodeState,
    began: Instant,
    last: Instant,
    count: u64,
    quiet: Duration,
    remind_at: Instant,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EpisodeState {
    Open,
    /// Nothing but good came since.
    Away(Instant),
    Over,
}

// === impl Diagnosis ===

impl Diagnosis {
    /// An error, and its row of the remedies.
    #[must_use]
    pub fn new(error: &impl fmt::Display, remedy: Remedy) -> Self {
        Self {
            reason: error.to_string(),
            remedy: Some(remedy.remedy.to_owned()),
            credentials_left: None,
        }
    }

    /// What became of a batch.
    #[must_use]
    pub fn of_verdict(verdict: &Verdict) -> Self {
        Self {
            reason: verdict.to_string(),
            remedy: remedy::of_verdict(verdict),
            credentials_left: None,
        }
    }
}

/// What is wrong and what to do, in one line.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

// === impl IncidentTracker ===

impl IncidentTracker {
    /// Nothing is wrong so far with `subject`, of the workspace or of the whole process.
    #[must_use]
    pub fn over(
        subject: &'static IncidentSubject,
        workspace: Option<&str>,
        recent_incidents: &RecentIncidents,
        clock: &Clock,
    ) -> Self {
        Self {
            subject,
            workspace: workspace.map(Arc::from),
            recent_incidents: recent_incidents.clone(),
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

    /// A fault of this kind was met; `diagnose` is asked where it is to be logged.
    pub fn fail(&self, kind: &'static str, diagnose: impl FnOnce() -> Diagnosis) {
        let now = Instant::now();
        let mut episodes = self.episodes();
        match episodes.get_mut(kind) {
            Some(episode) if episode.state != EpisodeState::Over => {
                self.continues(kind, episode, now, diagnose)
            }
            before => {
                let quiet = match (before, self.subject.quiet) {
                    (_, None) => Duration::ZERO,
                    (Some(before), Some(_)) if now.duration_since(before.last) < RELAPSE => {
                        (before.quiet * 2).clamp(QUIET.0, QUIET.1)
                    }
                    (_, Some(quiet)) => quiet,
                };
                let episode = self.starts(kind, quiet, now, diagnose());
                episodes.insert(kind, episode);
                self.open.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// It went well; what was away for long enough is over.
    pub fn recover(&self) {
        if self.open.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = Instant::now();
        for (kind, episode) in self.episodes().iter_mut() {
            let since = match episode.state {
                EpisodeState::Open => now,
                EpisodeState::Away(since) => since,
                EpisodeState::Over => continue,
            };
            episode.state = EpisodeState::Away(since);
            if now.duration_since(episode.last) >= episode.quiet {
                self.ends(kind, episode, since, self.subject.ends);
            }
        }
    }

    fn starts(
        &self,
        kind: &'static str,
        quiet: Duration,
        now: Instant,
        diagnosis: Diagnosis,
    ) -> Episode {
        let Diagnosis {
            reason,
            remedy,
            credentials_left,
        } = diagnosis;
        tracing::warn!(
            workspace = self.workspace.as_deref(),
            incident = kind,
            reason,
            remedy,
            credentials_left_seconds = credentials_left.map(|left| left.as_secs()),
            "{}",
            self.subject.starts
        );
        let began = self.clock.now();
        let record = self.recent_incidents.begin(Incident {
            workspace: self.workspace.clone(),
            kind,
            reason: reason.clone(),
            remedy,
            began,
            last: began,
            count: 1,
            ended: None,
        });
        Episode {
            record,
            state: EpisodeState::Open,
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

    fn continues(
        &self,
        kind: &'static str,
        episode: &mut Episode,
        now: Instant,
        diagnose: impl FnOnce() -> Diagnosis,
    ) {
        episode.state = EpisodeState::Open;
        episode.last = now;
        episode.count += 1;
        let (record, count) = (episode.record, episode.count);
        self.recent_incidents
            .continues(record, self.clock.now(), count);
        let due = now >= episode.remind_at;
        if !due && !self.subject.each_reason {
            return;
        }
        let diagnosis = diagnose();
        if due {
            episode.remind_at = now + now.duration_since(episode.began);
        } else if diagnosis.reason == episode.reason {
            return;
        }
        tracing::warn!(
            workspace = self.workspace.as_deref(),
            incident = kind,
            reason = diagnosis.reason,
            remedy = diagnosis.remedy,
            credentials_left_seconds = diagnosis.credentials_left.map(|left| left.as_secs()),
            seconds = now.duration_since(episode.began).as_secs_f32(),
            count,
            "{}",
            self.subject.continues
        );
        self.recent_incidents
            .says(record, &diagnosis.reason, diagnosis.remedy);
        if self.subject.each_reason {
            episode.reason = diagnosis.reason;
        }
    }

    fn ends(&self, kind: &'static str, episode: &mut Episode, since: Instant, words: &'static str) {
        tracing::info!(
            workspace = self.workspace.as_deref(),
            incident = kind,
            seconds = since.duration_since(episode.began).as_secs_f32(),
            count = episode.count,
            "{words}"
        );
        let now = self.clock.now();
        let ended = now.checked_sub(since.elapsed()).unwrap_or(now);
        self.recent_incidents.end(episode.record, ended);
        episode.state = EpisodeState::Over;
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn episodes(&self) -> MutexGuard<'_, BTreeMap<&'static str, Episode>> {
        self.episodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A workspace that is not served any more has no faults any more.
impl Drop for IncidentTracker {
    fn drop(&mut self) {
        let now = Instant::now();
        for (kind, episode) in self.episodes().iter_mut() {
            if episode.state != EpisodeState::Over {
                self.ends(kind, episode, now, "incident still open at the end");
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
