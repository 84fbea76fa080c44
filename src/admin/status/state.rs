//! Is data flowing? One headline per workspace, with the reason and what to do.
//!
//! In: the state of the credentials, the latest outcomes, and the last incidents. Out: a [`Health`]. What stops all data comes before
//! what stops a part of it, and that before what will stop it: the first line is the most important one.

use std::time::Duration;

use serde::Serialize;

use crate::credentials::cache::CredentialStatus;
use crate::outcome::docs::{Fate, OUTCOME_DOCS};
use crate::outcome::verdict::OUTCOMES;
use crate::router::misdirected::MisdirectedSender;
use crate::telemetry::history::{HistoryView, count_of};
use crate::telemetry::incidents::Incident;

/// How bad it is; later means worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HealthLevel {
    /// Data flows without problems.
    Flowing,
    /// Ready, but no sender writes.
    Idle,
    /// The first credentials have been requested.
    Starting,
    /// The sidecar is draining.
    Draining,
    /// Data flows in part, or will soon stop.
    Degraded,
    /// No data flows.
    Stopped,
}

/// The headline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Health {
    /// How bad it is.
    pub level: HealthLevel,
    /// One sentence.
    pub headline: String,
    /// The reason; empty if all is well.
    pub why: String,
    /// What to do; empty if there is nothing to do.
    pub remedy: String,
}

// === impl Health ===

impl Health {
    /// The state while the sidecar drains.
    pub(super) fn draining() -> Self {
        let headline = "Draining: requests are served until senders stop";
        Self::new(HealthLevel::Draining, headline, "", "")
    }

    /// The state of a workspace with its last incidents, newest first; senders reach it at `write_url` if they are not `unrouted`.
    pub(super) fn of(
        status: &CredentialStatus,
        view: &HistoryView,
        incidents: &[&Incident],
        write_url: &str,
        unrouted: &[MisdirectedSender],
    ) -> Self {
        let left = status
            .active
            .and_then(|(_, expires)| expires.duration_since(status.now).ok())
            .filter(|left| !left.is_zero());
        let Some(left) = left else {
            let headline = "Nothing flows: there are no AWS credentials";
            return match status.error {
                Some(_) => Self::not_refreshed(HealthLevel::Stopped, headline, status, incidents),
                None => Self::new(
                    HealthLevel::Starting,
                    "Starting: requesting the first AWS credentials",
                    "",
                    "",
                ),
            };
        };
        let of = |fate| {
            view.last
                .map_or(0, |(outcomes, _)| count_of(&outcomes, fate))
        };
        let (stored, kept, lost) = (of(Fate::Stored), of(Fate::Retried), of(Fate::Lost));
        let because = |level, headline, fate| Self::because(level, headline, view, fate, incidents);
        match (stored, kept, lost) {
            (0, 0, 0) if status.error.is_none() => match unrouted {
                [] => Self::idle(write_url),
                _ => Self::misdirected_write(
                    HealthLevel::Stopped,
                    "Nothing flows",
                    unrouted,
                    write_url,
                ),
            },
            (_, 0, 0) if status.error.is_some() => {
                let headline = format!(
                    "Data flows for {} more: the credentials cannot be refreshed",
                    about(left)
                );
                Self::not_refreshed(HealthLevel::Degraded, &headline, status, incidents)
            }
            (_, 0, 0) => Self::new(HealthLevel::Flowing, "Data flows", "", ""),
            (0, _, 0) => because(
                HealthLevel::Stopped,
                "Nothing flows: senders keep their samples and retry",
                Fate::Retried,
            ),
            (0, _, _) => because(
                HealthLevel::Stopped,
                "Nothing flows: batches are refused for good",
                Fate::Lost,
            ),
            (_, _, 0) => because(
                HealthLevel::Degraded,
                "Data flows in part: some batches have to be retried",
                Fate::Retried,
            ),
            (_, _, _) => because(
                HealthLevel::Degraded,
                "Data flows in part: some batches are refused for good",
                Fate::Lost,
            ),
        }
    }

    /// The newest open incident that is not about a batch explains the missing credentials.
    fn not_refreshed(
        level: HealthLevel,
        headline: &str,
        status: &CredentialStatus,
        incidents: &[&Incident],
    ) -> Self {
        let of_credentials =
            |incident: &&&Incident| incident.ended.is_none() && !OUTCOMES.contains(&incident.kind);
        match incidents.iter().find(of_credentials) {
            Some(incident) => Self::by(level, headline, incident),
            None => {
                let why = status.error.as_deref().unwrap_or_default();
                Self::new(level, headline, why, "")
            }
        }
    }

    /// From the most frequent of the latest outcomes with this fate.
    fn because(
        level: HealthLevel,
        headline: &str,
        view: &HistoryView,
        fate: Fate,
        incidents: &[&Incident],
    ) -> Self {
        let outcomes = view.last.map(|(outcomes, _)| outcomes);
        let counts = OUTCOME_DOCS.iter().zip(outcomes.unwrap_or_default());
        let worst = counts
            .filter(|(meaning, count)| meaning.fate == fate && *count > 0)
            .max_by_key(|(_, count)| *count);
        let Some((worst, _)) = worst else {
            return Self::new(level, headline, "", "");
        };
        match incidents
            .iter()
            .find(|incident| incident.kind == worst.outcome)
        {
            Some(incident) => Self::by(level, headline, incident),
            None => Self::new(level, headline, &worst.happened.replace('`', ""), ""),
        }
    }

    fn idle(write_url: &str) -> Self {
        Self::new(
            HealthLevel::Idle,
            "Ready, but no sender writes",
            "No batch came in the last five minutes.",
            &format!("set the url of Prometheus' remote_write to {write_url}"),
        )
    }

    /// Whatever else flows, these senders' samples do not.
    #[must_use]
    pub(super) fn beside(self, unrouted: &[MisdirectedSender], write_url: &str) -> Self {
        match (self.level, unrouted) {
            (HealthLevel::Flowing, [_, ..]) => Self::misdirected_write(
                HealthLevel::Degraded,
                "Data flows in part",
                unrouted,
                write_url,
            ),
            _ => self,
        }
    }

    fn misdirected_write(
        level: HealthLevel,
        what: &str,
        unrouted: &[MisdirectedSender],
        write_url: &str,
    ) -> Self {
        let Some(last) = unrouted.first() else {
            return Self::new(level, what, "", "");
        };
        let (why, remedy) = match last.outcome {
            "misdirected" | "ambiguous_path" => (
                "a sender writes to the wrong address",
                format!("set the url of its remote_write to {write_url}"),
            ),
            _ => (
                "requests of a sender are rejected",
                format!("see the log line with incident={}", last.outcome),
            ),
        };
        let more = match unrouted.len() - 1 {
            0 => String::new(),
            1 => ". There is one more".to_owned(),
            more => format!(". There are {more} more"),
        };
        let headline = format!("{what}: {why}");
        let mut who = last.to_string();
        if let Some(first) = who.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::new(level, &headline, &format!("{who}{more}."), &remedy)
    }

    fn by(level: HealthLevel, headline: &str, incident: &Incident) -> Self {
        let remedy = incident.remedy.as_deref().unwrap_or_default();
        Self::new(level, headline, &incident.reason, remedy)
    }

    fn new(level: HealthLevel, headline: &str, why: &str, remedy: &str) -> Self {
        Self {
            level,
            headline: headline.to_owned(),
            why: why.to_owned(),
            remedy: remedy.to_owned(),
        }
    }

    /// The worst of all workspaces, each with its name; a failing one does not hide that others are well.
    #[must_use]
    pub(super) fn of_all(states: &[(&str, &Self)]) -> Self {
        if let [(_, only)] = states {
            return (*only).clone();
        }
        let worst = states.iter().max_by_key(|(_, state)| state.level);
        let Some((name, worst)) = worst else {
            return Self::new(HealthLevel::Stopped, "No workspace is configured", "", "");
        };
        let well = states
            .iter()
            .filter(|(_, state)| state.level == HealthLevel::Flowing)
            .count();
        let count = states.len();
        let headline = match (well, worst.level) {
            (well, _) if well == count => format!("Data flows to all {count} workspaces"),
            (_, HealthLevel::Draining) => worst.headline.clone(),
            _ => format!(
                "Data flows to {well} of {count} workspaces; {name}: {}",
                worst.headline
            ),
        };
        Self::new(worst.level, &headline, &worst.why, &worst.remedy)
    }
}

fn about(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    use crate::admin::status::moment::seconds_until;

    fn state(level: HealthLevel, headline: &str) -> Health {
        Health::new(level, headline, "why", "fix")
    }

    #[test]
    fn the_worst_workspace_speaks_for_all_and_hides_none_that_is_well() {
        let well = state(HealthLevel::Flowing, "Data flows");
        let idle = state(HealthLevel::Idle, "Ready, but no sender writes");
        let stopped = state(HealthLevel::Stopped, "Nothing flows: x");
        let all = |states: &[(&str, &Health)]| Health::of_all(states);
        assert_eq!(all(&[("a", &stopped)]), stopped);
        let two = all(&[("a", &well), ("b", &well)]);
        assert_eq!(two.headline, "Data flows to all 2 workspaces");
        let three = all(&[("a", &well), ("b", &stopped), ("c", &idle)]);
        assert_eq!(three.level, HealthLevel::Stopped);
        let expected = "Data flows to 1 of 3 workspaces; b: Nothing flows: x";
        assert_eq!(
            (three.headline.as_str(), three.remedy.as_str()),
            (expected, "fix")
        );
    }

    #[test]
    fn a_time_that_is_past_is_below_zero() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(seconds_until(at(70), at(10)), 60);
        assert_eq!(seconds_until(at(10), at(70)), -60);
    }
}
