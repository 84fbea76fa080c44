//! Is data flowing? One headline for a workspace, with why not and what to do.
//!
//! In: how it stands with the credentials, what became of the requests that came last, and the last faults. Out: a [`State`]. What keeps everything from flowing goes before what keeps a part of it, and that before what will: a reader who
//! stops after the first line has read the most important one.

use std::time::Duration;

use serde::Serialize;

use crate::credentials::cache::Standing;
use crate::outcome::docs::{Fate, MEANINGS};
use crate::outcome::verdict::OUTCOMES;
use crate::router::misdirected::Sender;
use crate::telemetry::history::{View, of_fate};
use crate::telemetry::incidents::Fault;

/// How bad it is; the later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Data flows, and nothing is in its way.
    Flowing,
    /// It would, but no sender writes.
    Idle,
    /// The first credentials are on their way.
    Starting,
    /// The sidecar is about to leave.
    Leaving,
    /// Data flows in part, or soon will no more.
    Impaired,
    /// Nothing flows.
    Stopped,
}

/// The headline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// How bad it is.
    pub level: Level,
    /// In one sentence.
    pub headline: String,
    /// Why; empty where all is well.
    pub why: String,
    /// What to do; empty where there is nothing to do.
    pub mend: String,
}

// === impl State ===

impl State {
    /// Of whatever is served until its senders are done.
    pub(super) fn leaving() -> Self {
        let headline = "Leaving: senders are served until they are done";
        Self::new(Level::Leaving, headline, "", "")
    }

    /// Of a workspace with its last faults, newest first, that senders reach at `write_url` where they are no `strays`.
    pub(super) fn of(
        standing: &Standing,
        view: &View,
        faults: &[&Fault],
        write_url: &str,
        strays: &[Sender],
    ) -> Self {
        let left = standing
            .held
            .and_then(|(_, expires)| expires.duration_since(standing.now).ok())
            .filter(|left| !left.is_zero());
        let Some(left) = left else {
            let headline = "Nothing flows: there are no AWS credentials";
            return match standing.fault {
                Some(_) => Self::unrenewed(Level::Stopped, headline, standing, faults),
                None => Self::new(
                    Level::Starting,
                    "Starting: the first AWS credentials are on their way",
                    "",
                    "",
                ),
            };
        };
        let of = |fate| {
            view.last
                .map_or(0, |(outcomes, _)| of_fate(&outcomes, fate))
        };
        let (stored, kept, lost) = (of(Fate::Stored), of(Fate::Kept), of(Fate::Lost));
        let because = |level, headline, fate| Self::because(level, headline, view, fate, faults);
        match (stored, kept, lost) {
            (0, 0, 0) if standing.fault.is_none() => match strays {
                [] => Self::idle(write_url),
                _ => Self::astray(Level::Stopped, "Nothing flows", strays, write_url),
            },
            (_, 0, 0) if standing.fault.is_some() => {
                let headline = format!(
                    "Data flows for {} more: the credentials cannot be renewed",
                    about(left)
                );
                Self::unrenewed(Level::Impaired, &headline, standing, faults)
            }
            (_, 0, 0) => Self::new(Level::Flowing, "Data flows", "", ""),
            (0, _, 0) => because(
                Level::Stopped,
                "Nothing flows: senders keep their samples and try again",
                Fate::Kept,
            ),
            (0, _, _) => because(
                Level::Stopped,
                "Nothing flows: batches are refused for good",
                Fate::Lost,
            ),
            (_, _, 0) => because(
                Level::Impaired,
                "Data flows in part: some batches have to be sent again",
                Fate::Kept,
            ),
            (_, _, _) => because(
                Level::Impaired,
                "Data flows in part: some batches are refused for good",
                Fate::Lost,
            ),
        }
    }

    /// The newest open fault that is none of a batch is what keeps credentials away.
    fn unrenewed(level: Level, headline: &str, standing: &Standing, faults: &[&Fault]) -> Self {
        let of_credentials =
            |fault: &&&Fault| fault.ended.is_none() && !OUTCOMES.contains(&fault.kind);
        match faults.iter().find(of_credentials) {
            Some(fault) => Self::by(level, headline, fault),
            None => {
                let why = standing.fault.as_deref().unwrap_or_default();
                Self::new(level, headline, why, "")
            }
        }
    }

    /// By the most frequent of the last outcomes with this fate.
    fn because(level: Level, headline: &str, view: &View, fate: Fate, faults: &[&Fault]) -> Self {
        let outcomes = view.last.map(|(outcomes, _)| outcomes);
        let counts = MEANINGS.iter().zip(outcomes.unwrap_or_default());
        let worst = counts
            .filter(|(meaning, count)| meaning.fate == fate && *count > 0)
            .max_by_key(|(_, count)| *count);
        let Some((worst, _)) = worst else {
            return Self::new(level, headline, "", "");
        };
        match faults.iter().find(|fault| fault.kind == worst.outcome) {
            Some(fault) => Self::by(level, headline, fault),
            None => Self::new(level, headline, &worst.happened.replace('`', ""), ""),
        }
    }

    fn idle(write_url: &str) -> Self {
        Self::new(
            Level::Idle,
            "Ready, but no sender writes",
            "No batch came in the last five minutes.",
            &format!("let Prometheus' remote_write name {write_url}"),
        )
    }

    /// Whatever else flows, these senders' samples do not.
    #[must_use]
    pub(super) fn beside(self, strays: &[Sender], write_url: &str) -> Self {
        match (self.level, strays) {
            (Level::Flowing, [_, ..]) => {
                Self::astray(Level::Impaired, "Data flows in part", strays, write_url)
            }
            _ => self,
        }
    }

    fn astray(level: Level, what: &str, strays: &[Sender], write_url: &str) -> Self {
        let Some(last) = strays.first() else {
            return Self::new(level, what, "", "");
        };
        let (why, mend) = match last.outcome {
            "misdirected" | "ambiguous_path" => (
                "a sender writes to the wrong address",
                format!("let its remote_write name {write_url}"),
            ),
            _ => (
                "a sender is turned away",
                format!("the log's line of the fault {} says why", last.outcome),
            ),
        };
        let more = match strays.len() - 1 {
            0 => String::new(),
            1 => ". There is another one".to_owned(),
            more => format!(". There are {more} others"),
        };
        let headline = format!("{what}: {why}");
        let mut who = last.to_string();
        if let Some(first) = who.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::new(level, &headline, &format!("{who}{more}."), &mend)
    }

    fn by(level: Level, headline: &str, fault: &Fault) -> Self {
        let mend = fault.mend.as_deref().unwrap_or_default();
        Self::new(level, headline, &fault.reason, mend)
    }

    fn new(level: Level, headline: &str, why: &str, mend: &str) -> Self {
        Self {
            level,
            headline: headline.to_owned(),
            why: why.to_owned(),
            mend: mend.to_owned(),
        }
    }

    /// Of all workspaces, each with its name; the worst speaks for them, and a failing one does not hide that others are well.
    #[must_use]
    pub fn of_all(states: &[(&str, &Self)]) -> Self {
        if let [(_, only)] = states {
            return (*only).clone();
        }
        let worst = states.iter().max_by_key(|(_, state)| state.level);
        let Some((name, worst)) = worst else {
            return Self::new(Level::Stopped, "No workspace is configured", "", "");
        };
        let well = states
            .iter()
            .filter(|(_, state)| state.level == Level::Flowing)
            .count();
        let count = states.len();
        let headline = match (well, worst.level) {
            (well, _) if well == count => format!("Data flows to all {count} workspaces"),
            (_, Level::Leaving) => worst.headline.clone(),
            _ => format!(
                "Data flows to {well} of {count} workspaces; {name}: {}",
                worst.headline
            ),
        };
        Self::new(worst.level, &headline, &worst.why, &worst.mend)
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

    fn state(level: Level, headline: &str) -> State {
        State::new(level, headline, "why", "mend")
    }

    #[test]
    fn the_worst_workspace_speaks_for_all_and_hides_none_that_is_well() {
        let well = state(Level::Flowing, "Data flows");
        let idle = state(Level::Idle, "Ready, but no sender writes");
        let stopped = state(Level::Stopped, "Nothing flows: x");
        let all = |states: &[(&str, &State)]| State::of_all(states);
        assert_eq!(all(&[("a", &stopped)]), stopped);
        let two = all(&[("a", &well), ("b", &well)]);
        assert_eq!(two.headline, "Data flows to all 2 workspaces");
        let three = all(&[("a", &well), ("b", &stopped), ("c", &idle)]);
        assert_eq!(three.level, Level::Stopped);
        let told = "Data flows to 1 of 3 workspaces; b: Nothing flows: x";
        assert_eq!(
            (three.headline.as_str(), three.mend.as_str()),
            (told, "mend")
        );
    }

    #[test]
    fn a_time_that_is_past_is_below_zero() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(seconds_until(at(70), at(10)), 60);
        assert_eq!(seconds_until(at(10), at(70)), -60);
    }
}
