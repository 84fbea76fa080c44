//! The headline of `/status.json` and of the page: how it is, why, and what to do.

use serde::Serialize;

use super::moment::Moment;
use crate::remedies::running::WORKSPACE_NOT_CONFIGURED;
use crate::telemetry::incidents::Diagnosis;

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
    /// The batches that are not stored now.
    pub not_stored: Option<NotStored>,
}

/// Why batches are not stored now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct NotStored {
    pub outcome: &'static str,
    /// Whether AMP said so itself.
    pub refused_by_amp: bool,
    /// Since the first such batch.
    pub since: Option<Moment>,
}

// === impl Health ===

impl Health {
    /// The state while the sidecar drains.
    pub(super) fn draining() -> Self {
        let headline = "Draining: requests are served until senders stop";
        Self::new(HealthLevel::Draining, headline, "", "")
    }

    pub(super) fn by(level: HealthLevel, headline: &str, error: &Diagnosis) -> Self {
        let remedy = error.remedy.as_deref().unwrap_or_default();
        Self::new(level, headline, &error.reason, remedy)
    }

    pub(super) fn new(level: HealthLevel, headline: &str, why: &str, remedy: &str) -> Self {
        Self {
            level,
            headline: headline.to_owned(),
            why: why.to_owned(),
            remedy: remedy.to_owned(),
            not_stored: None,
        }
    }

    /// The state while no workspace is served: senders may name one, or one has to be configured.
    pub(super) fn of_none(may_be_named: bool) -> Self {
        match may_be_named {
            true => Self::new(
                HealthLevel::Idle,
                "Ready: no sender has named a workspace yet",
                "",
                "",
            ),
            false => Self::new(
                HealthLevel::Stopped,
                "Nothing flows: no workspace is configured",
                "Senders get 503 and keep their samples.",
                WORKSPACE_NOT_CONFIGURED.remedy,
            ),
        }
    }

    /// The worst of all workspaces, each with its name; a failing one does not hide that others are well.
    #[must_use]
    pub(super) fn of_all(states: &[(&str, &Self)]) -> Self {
        let worst = states.iter().rev().max_by_key(|(_, state)| state.level);
        let Some((name, worst)) = worst else {
            return Self::new(HealthLevel::Stopped, "No workspace is configured", "", "");
        };
        let well = states
            .iter()
            .filter(|(_, state)| state.level == HealthLevel::Flowing)
            .count();
        let same = states
            .iter()
            .all(|(_, state)| state.headline == worst.headline);
        let headline = match (states.len(), well) {
            (1, _) => worst.headline.clone(),
            (count, well) if well == count => format!("Data flows to all {count} workspaces"),
            _ if same => worst.headline.clone(),
            (_, 0) => format!("{name}: {}", worst.headline),
            (count, well) => format!(
                "Data flows to {well} of {count} workspaces; {name}: {}",
                worst.headline
            ),
        };
        Self {
            headline,
            ..(*worst).clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // What holds for all of them is said once, and nobody's data "flows to 0 of 2".
        assert_eq!(all(&[("a", &idle), ("b", &idle)]), idle);
        let none = all(&[("a", &idle), ("b", &stopped)]);
        assert_eq!(none.headline, "b: Nothing flows: x");
    }
}
