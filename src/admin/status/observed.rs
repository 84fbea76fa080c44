//! Is data flowing? One headline per workspace, with the reason and what to do.
//!
//! In: the state of the credentials, the latest outcomes, the incidents of the process, and the senders that write elsewhere. Out: a
//! [`Health`]. What stops all data comes before what stops a part of it, and that before what will stop it: the first line is the most
//! important one, and the reason names the others. Nothing is well while a batch of anybody is refused.
//!
//! A failure counts while its incident is open, and not as long as it is in the latest counts: these lag behind.

use std::time::Duration;

use super::moment::Moment;
use super::state::{Health, HealthLevel, NotStored};
use crate::clock::in_words;
use crate::credentials::cache::CredentialStatus;
use crate::outcome::docs::{Fate, OUTCOME_DOCS, OutcomeDoc};
use crate::router::misdirected::MisdirectedSender;
use crate::telemetry::history::{HistoryView, RECENT, count_of};
use crate::telemetry::incidents::{BATCHES, CONNECTIONS, Incident};

/// While other batches are stored, a failure that did not return within this is over: senders retry sooner.
const RETURNS: Duration = Duration::from_secs(60);

/// What the state of a workspace is judged by.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub workspace: &'a str,
    pub credentials: &'a CredentialStatus,
    pub view: &'a HistoryView,
    /// Of all workspaces and of the process, the newest first.
    pub incidents: &'a [Incident],
    /// Senders that mean this workspace, or may mean it, and write elsewhere, with the right URL; the latest first.
    pub elsewhere: &'a [(&'a MisdirectedSender, String)],
    /// Where senders of this workspace write.
    pub write_url: &'a str,
}

/// An outcome that batches have now.
#[derive(Debug)]
struct FailingOutcome<'a> {
    doc: &'static OutcomeDoc,
    incident: Option<&'a Incident>,
    /// Of the latest batches.
    count: u64,
}

/// One thing that is wrong.
#[derive(Debug)]
struct Trouble {
    level: HealthLevel,
    what: String,
    why: String,
    remedy: String,
    not_stored: Option<NotStored>,
}

/// How long usable credentials last.
#[derive(Debug, Clone, Copy)]
enum Left {
    For(Duration),
    /// They have no expiry.
    Unknown,
}

// === impl Observed ===

impl Observed<'_> {
    /// The state of a workspace.
    pub(super) fn health(&self) -> Health {
        let Some(left) = self.credentials_left() else {
            return self.without_credentials();
        };
        let others = [self.misdirected(), self.connections()];
        let mut troubles = self.batches();
        troubles.extend(others.into_iter().flatten());
        // Stable: of those that are equally bad, the first one is the most important.
        troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.level));
        let ends = self.not_refreshed(left);
        let mut troubles = troubles.into_iter();
        let Some(worst) = troubles.next() else {
            return ends.unwrap_or_else(|| match self.stored() {
                0 => self.idle(),
                _ => Health::new(HealthLevel::Flowing, "Data flows", "", ""),
            });
        };
        let what = match worst.level {
            HealthLevel::Stopped => "Nothing flows",
            _ => "Data flows in part",
        };
        let also = troubles.map(|other| other.what);
        let also = also.chain(ends.map(|_| match left {
            Left::For(left) => format!(
                "the credentials cannot be refreshed and expire in {}",
                in_words(left)
            ),
            Left::Unknown => "the credentials cannot be refreshed".to_owned(),
        }));
        let why = also.fold(worst.why, |why, other| {
            format!("{} Also: {other}.", sentence(why))
        });
        Health {
            level: worst.level,
            headline: format!("{what}: {}", worst.what),
            why,
            remedy: worst.remedy,
            not_stored: worst.not_stored,
        }
    }

    fn credentials_left(&self) -> Option<Left> {
        let (_, expires) = self.credentials.active?;
        let Some(expires) = expires else {
            return Some(Left::Unknown);
        };
        let left = expires.duration_since(self.credentials.now).ok()?;
        (!left.is_zero()).then_some(Left::For(left))
    }

    /// Batches that AMP stored lately.
    fn stored(&self) -> u64 {
        let last = self.view.last.as_ref();
        last.map_or(0, |(outcomes, _)| count_of(outcomes, Fate::Stored))
    }

    fn of<'a>(
        &'a self,
        about: &'static str,
        workspace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Incident> {
        let ours = move |incident: &&Incident| {
            incident.about == about && incident.workspace.as_deref() == workspace
        };
        self.incidents.iter().filter(ours)
    }

    fn without_credentials(&self) -> Health {
        match &self.credentials.error {
            Some(error) => Health::by(
                HealthLevel::Stopped,
                "Nothing flows: there are no AWS credentials",
                error,
            ),
            None => Health::new(
                HealthLevel::Starting,
                "Starting: requesting the first AWS credentials",
                "",
                "",
            ),
        }
    }

    fn not_refreshed(&self, left: Left) -> Option<Health> {
        let error = self.credentials.error.as_ref()?;
        let what = match self.stored() {
            0 => "Ready",
            _ => "Data flows",
        };
        let headline = match left {
            Left::For(left) => format!(
                "{what} for {} more: the credentials cannot be refreshed",
                in_words(left)
            ),
            Left::Unknown => {
                format!("{what} until AWS rejects the credentials: they cannot be refreshed")
            }
        };
        Some(Health::by(HealthLevel::Degraded, &headline, error))
    }

    /// The batches that are not stored now: those that are refused for good and those that are retried, the more important first.
    fn batches(&self) -> Vec<Trouble> {
        let flows = self.stored() > 0;
        let failing = [self.failing(Fate::Lost), self.failing(Fate::Retried)];
        let mut failing: Vec<FailingOutcome<'_>> = failing.into_iter().flatten().collect();
        // If everything is refused, it is by what refuses most; beside others, what is lost is worse than what is retried.
        if !flows {
            failing.sort_by_key(|failing| std::cmp::Reverse(failing.count));
        }
        failing
            .into_iter()
            .map(|failing| self.refused(&failing))
            .collect()
    }

    fn refused(&self, &FailingOutcome { doc, incident, .. }: &FailingOutcome<'_>) -> Trouble {
        let what = match (self.stored(), doc.fate) {
            (0, Fate::Lost) => "batches are refused for good",
            (0, _) => "senders keep their samples and retry",
            (_, Fate::Lost) => "some batches are refused for good",
            (_, _) => "some batches have to be retried",
        };
        let reason = incident.map(|incident| incident.reason.clone());
        Trouble {
            level: self.level(),
            what: what.to_owned(),
            why: reason.unwrap_or_else(|| doc.happened.replace('`', "")),
            remedy: incident
                .and_then(|incident| incident.remedy.clone())
                .unwrap_or_default(),
            not_stored: Some(NotStored {
                outcome: doc.outcome,
                refused_by_amp: doc.is_said_by_amp,
                since: incident.map(|incident| Moment::past(incident.began)),
            }),
        }
    }

    /// The most frequent outcome of this fate that is not over.
    fn failing(&self, fate: Fate) -> Option<FailingOutcome<'_>> {
        let last = self
            .view
            .last
            .map(|(outcomes, _)| outcomes)
            .unwrap_or_default();
        let returns = match self.stored() {
            0 => RECENT,
            _ => RETURNS,
        };
        let now = |(doc, count): (&'static OutcomeDoc, u64)| {
            let incident = self
                .of(BATCHES.name, Some(self.workspace))
                .find(|incident| incident.kind == doc.outcome);
            // One that broke off in the middle of a body was probably restarted: that says nothing about the others.
            let is_one_cut = doc.outcome == "sender_gone"
                && incident.is_some_and(|incident| incident.count == 1);
            let is_now = !is_one_cut
                && incident.map_or(count > 0, |incident| {
                    let is_recent = count > 0 || incident.last.instant.elapsed() < returns;
                    incident.ended.is_none() && is_recent
                });
            (doc.fate == fate && is_now).then_some(FailingOutcome {
                doc,
                incident,
                count,
            })
        };
        let failing = OUTCOME_DOCS.iter().zip(last).filter_map(now);
        failing.max_by_key(|failing| failing.count)
    }

    /// Whatever else flows, these senders' samples do not.
    fn misdirected(&self) -> Option<Trouble> {
        let writing: Vec<_> = self
            .elsewhere
            .iter()
            .filter(|(sender, _)| sender.is_writing())
            .collect();
        let (last, right_url) = writing.first()?;
        let (what, remedy) = match last.outcome {
            "misdirected" | "ambiguous_path" => (
                "a sender writes to the wrong address",
                format!("set the url of its remote_write to {right_url}"),
            ),
            _ => ("requests of a sender are rejected", last.remedy.clone()),
        };
        let more = match writing.len() - 1 {
            0 => String::new(),
            1 => ". There is one more".to_owned(),
            more => format!(". There are {more} more"),
        };
        let mut who = last.to_string();
        if let Some(first) = who.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Some(Trouble {
            level: self.level(),
            what: what.to_owned(),
            why: format!("{who}{more}."),
            remedy,
            not_stored: None,
        })
    }

    /// Connections that fail before a request: whose they are is not known, and neither is their workspace.
    fn connections(&self) -> Option<Trouble> {
        let is_now = |incident: &&Incident| {
            incident.ended.is_none() && incident.last.instant.elapsed() < RETURNS
        };
        let incident = self.of(CONNECTIONS.name, None).find(is_now)?;
        Some(Trouble {
            level: self.level(),
            what: "connections of a sender fail".to_owned(),
            why: incident.reason.clone(),
            remedy: incident.remedy.clone().unwrap_or_default(),
            not_stored: None,
        })
    }

    fn level(&self) -> HealthLevel {
        match self.stored() {
            0 => HealthLevel::Stopped,
            _ => HealthLevel::Degraded,
        }
    }

    fn idle(&self) -> Health {
        Health::new(
            HealthLevel::Idle,
            "Ready, but no sender writes",
            "No batch came in the last five minutes.",
            &format!(
                "set the url of Prometheus' remote_write to {}",
                self.write_url
            ),
        )
    }
}

fn sentence(text: String) -> String {
    if text.is_empty() || text.ends_with('.') {
        text
    } else {
        text + "."
    }
}

#[cfg(test)]
mod tests;
