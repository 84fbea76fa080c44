//! Incidents: one log line and one record when a failure begins, one line when it is over.
//!
//! In: failures that recur until something fixes them, reported to an [`IncidentTracker`] by kind, and the successes in between. Out: log
//! lines, and the same in [`RecentIncidents`] for the status page; both are written here, so that they cannot disagree. A kind that
//! continues is counted, and logged again after [`FIRST_REMINDER`], then after twice as long, and so on. A kind that returns soon after
//! it was over must stay away for twice as long as before to be over again, so a failure that comes and goes all day does not fill the
//! log either.
//!
//! A success while nothing is wrong costs one atomic load: no lock, no formatting.

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
use crate::remedies::Advice;
pub use recent::{Incident, RecentIncidents};

/// When a continuing incident is logged again.
const FIRST_REMINDER: Duration = Duration::from_secs(600);
/// A kind that returns within this continues the same incident.
const RELAPSE: Duration = Duration::from_secs(600);
/// The minimum and maximum time that a returning kind must stay away.
const QUIET: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// The log messages of an [`IncidentTracker`].
#[derive(Debug)]
pub struct IncidentSubject {
    /// As `/status.json` calls it.
    pub name: &'static str,
    starts: &'static str,
    continues: &'static str,
    ends: &'static str,
    /// How long a failure must be away to be over; `None` if the first success always ends it.
    quiet: Option<Duration>,
    /// Whether each new reason of the same kind is logged: somebody is at work, and waits for the message.
    each_reason: bool,
}

/// Batches that AMP does not store.
pub const BATCHES: IncidentSubject = IncidentSubject {
    name: "batches",
    starts: "a batch was not stored",
    continues: "batches are still not stored",
    ends: "batches are stored again",
    quiet: Some(QUIET.0),
    each_reason: false,
};

/// Samples that get too old for AMP while their senders hold them back.
pub const HELD_SAMPLES: IncidentSubject = IncidentSubject {
    name: "held_samples",
    starts: "samples are about to be lost",
    continues: "samples are still about to be lost, or are being lost",
    ends: "no sample is about to be lost any more",
    quiet: Some(Duration::from_secs(60)),
    each_reason: false,
};

/// Batches that AMP stores and the sidecar cannot read.
pub const UNREADABLE_BATCHES: IncidentSubject = IncidentSubject {
    name: "unreadable_batches",
    starts: "AMP stored a batch that the sidecar cannot read: its samples are not counted",
    continues: "AMP still stores batches that the sidecar cannot read: their samples are not counted",
    ends: "stored batches can be read again",
    quiet: Some(Duration::from_secs(60)),
    each_reason: false,
};

/// Exchanges that fail.
pub const CREDENTIALS: IncidentSubject = IncidentSubject {
    name: "credentials",
    starts: "credentials not refreshed",
    continues: "credentials still not refreshed",
    ends: "credentials refreshed again",
    quiet: Some(Duration::ZERO),
    each_reason: false,
};

/// Exchanges that fail before the first one succeeded.
pub const FIRST_CREDENTIALS: IncidentSubject = IncidentSubject {
    starts: "no AWS credentials yet",
    continues: "still no AWS credentials",
    ends: "AWS credentials obtained",
    ..CREDENTIALS
};

/// Queries that get no response from AMP, through no fault of the client.
pub const QUERIES: IncidentSubject = IncidentSubject {
    name: "queries",
    starts: "query failed",
    continues: "queries still fail",
    ends: "queries succeed again",
    quiet: Some(QUIET.0),
    each_reason: false,
};

/// Requests to the senders' port without a workspace.
pub const REJECTED_REQUESTS: IncidentSubject = IncidentSubject {
    name: "rejected_requests",
    starts: "request rejected",
    continues: "requests are still rejected",
    ends: "no more rejected requests",
    quiet: Some(Duration::from_secs(60)),
    each_reason: false,
};

/// Senders that do not await their response.
pub const HANG_UPS: IncidentSubject = IncidentSubject {
    starts: "a sender hung up before it got its response",
    continues: "senders still hang up before they get their responses",
    ends: "no more senders that hang up",
    ..REJECTED_REQUESTS
};

/// Connections that fail before their first request.
pub const CONNECTIONS: IncidentSubject = IncidentSubject {
    name: "connections",
    starts: "connection failed before its first request",
    continues: "connections still fail before their first request",
    ends: "connections succeed again",
    quiet: Some(Duration::from_secs(60)),
    each_reason: false,
};

/// Invalid files of client authentication.
pub const SERVER_AUTH: IncidentSubject = IncidentSubject {
    name: "client_authentication",
    starts: "certificate and tokens not reloaded, keeping the previous ones",
    continues: "certificate and tokens still not reloaded, keeping the previous ones",
    ends: "certificate and tokens reloaded again",
    quiet: None,
    each_reason: true,
};

/// Files of trusted certificates that cannot be read.
pub const TRUST: IncidentSubject = IncidentSubject {
    name: "trusted_certificates",
    starts: "trusted certificates were not reloaded, keeping the previous ones",
    continues: "trusted certificates are still not reloaded, keeping the previous ones",
    ends: "trusted certificates are read again",
    quiet: None,
    each_reason: true,
};

/// Rejected configurations.
pub const CONFIGURATION: IncidentSubject = IncidentSubject {
    name: "configuration",
    starts: "configuration not reloaded, keeping the previous configuration",
    continues: "configuration again not reloaded, keeping the previous configuration",
    ends: "configuration reload succeeded",
    quiet: None,
    each_reason: true,
};

/// Spans that do not reach the collector.
pub const SPANS: IncidentSubject = IncidentSubject {
    name: "traces",
    starts: "spans are lost",
    continues: "spans are still lost",
    ends: "spans are exported again",
    quiet: Some(Duration::from_secs(30)),
    each_reason: false,
};

/// What a log line says about a failure; no secrets.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// What is wrong.
    pub reason: String,
    /// What to do, if known.
    pub remedy: Option<String>,
    /// The remaining lifetime of the credentials in use, if that decides when the failure takes effect.
    pub credentials_left: Option<Duration>,
    /// Other words than the tracker's.
    pub subject: Option<&'static IncidentSubject>,
}

/// Groups the failures of one subject into incidents.
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

/// One kind of failure, from its first occurrence; kept while it may return.
#[derive(Debug)]
struct Episode {
    subject: &'static IncidentSubject,
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
    /// When the failures stopped.
    Away(Instant),
    Over,
}

// === impl Diagnosis ===

impl Diagnosis {
    /// An error, and what to do about it.
    #[must_use]
    pub fn new(error: &impl fmt::Display, remedy: impl Into<Advice>) -> Self {
        Self::maybe(error, Some(remedy.into()))
    }

    /// An error, and what to do about it, if known.
    #[must_use]
    pub fn maybe(error: &impl fmt::Display, remedy: Option<Advice>) -> Self {
        Self {
            reason: error.to_string(),
            remedy: remedy.map(|remedy| remedy.to_string()),
            credentials_left: None,
            subject: None,
        }
    }

    /// The result of a batch.
    #[must_use]
    pub fn of_verdict(verdict: &Verdict) -> Self {
        Self::maybe(verdict, remedy::of_verdict(verdict))
    }
}

/// What is wrong and what to do, on one line.
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
    /// A tracker of `subject`, for a workspace or for the whole process.
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

    /// The workspace's name.
    #[must_use]
    pub fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// Reports a failure of this kind; calls `diagnose` if it is to be logged.
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

    /// Reports a success; ends what was away for long enough.
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
                let words = episode.subject.ends;
                self.ends(kind, episode, since, words);
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
            subject,
        } = diagnosis;
        let subject = subject.unwrap_or(self.subject);
        tracing::warn!(
            workspace = self.workspace.as_deref(),
            incident = kind,
            reason,
            remedy,
            credentials_left_seconds = credentials_left.map(|left| left.as_secs()),
            "{}",
            subject.starts
        );
        let began = self.clock.stamp_of(now);
        let record = self.recent_incidents.begin(Incident {
            about: self.subject.name,
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
            subject,
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
            .continues(record, self.clock.stamp_of(now), count);
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
            episode.subject.continues
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
        self.recent_incidents
            .end(episode.record, self.clock.stamp_of(since));
        episode.state = EpisodeState::Over;
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn episodes(&self) -> MutexGuard<'_, BTreeMap<&'static str, Episode>> {
        self.episodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A workspace that is gone has no incidents.
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
