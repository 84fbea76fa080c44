//! When what happens, for a demo of any length.
//!
//! In: the length, or none. Out: scenes with the moments at which they begin. A cycle shows all of them; it lasts a minute,
//! or whatever makes cycles fill the length, so that 20 seconds show as much as an hour. Sessions live short enough that
//! they run out while STS fails, wherever in their life the failure catches them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const CYCLE: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_secs(5);
/// AWS' time stamps end with the second, so a session of one second could be born dead.
const SHORTEST_SESSION: Duration = Duration::from_secs(2);
const LONGEST_PROBING: Duration = Duration::from_secs(6);

/// Where in a cycle each scene begins. 25 % of a cycle without STS outlast the 15 % that a session lives.
const SCENES: [(f64, Scene); 9] = [
    (0.0, Scene::Calm),
    (0.12, Scene::TokenRotates),
    (0.2, Scene::SessionEnds),
    (0.3, Scene::StsFails),
    (0.55, Scene::StsIsBack),
    (0.68, Scene::AmpRefuses),
    (0.79, Scene::AmpAgrees),
    (0.85, Scene::AmpFails),
    (0.94, Scene::AmpIsBack),
];
const SESSION_LIFE: f64 = 0.15;
/// Ends well before the sessions do, the measuring one's too.
const PROBING: f64 = 0.17;

/// What the world is like for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    Calm,
    TokenRotates,
    SessionEnds,
    StsFails,
    StsIsBack,
    AmpRefuses,
    AmpAgrees,
    AmpFails,
    AmpIsBack,
}

/// A demo's times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    cycle: Duration,
    /// Without end where absent.
    cycles: Option<u32>,
}

/// A demo's length as it is written: `30s`, `5m`, `1h30m`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(pub Duration);

/// What is no length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time of at least 5 s, as 30s, 5m or 1h30m")]
pub struct LengthError;

// === impl Plan ===

impl Plan {
    pub(super) fn new(length: Option<Duration>) -> Self {
        let Some(length) = length else {
            return Self {
                cycle: CYCLE,
                cycles: None,
            };
        };
        let whole = length.as_secs() / CYCLE.as_secs();
        let cycles = u32::try_from(whole).unwrap_or(u32::MAX).max(1);
        Self {
            cycle: length / cycles,
            cycles: Some(cycles),
        }
    }

    /// Each scene with the moment at which it begins, in order.
    pub(super) fn scenes(self) -> impl Iterator<Item = (Duration, Scene)> {
        (0..self.cycles.unwrap_or(u32::MAX)).flat_map(move |number| {
            let begins = self.cycle.saturating_mul(number);
            SCENES.map(|(part, scene)| (begins + self.cycle.mul_f64(part), scene))
        })
    }

    /// When it is over.
    pub(super) fn end(self) -> Option<Duration> {
        Some(self.cycle * self.cycles?)
    }

    /// How long it still lasts, where scenes took so much longer than planned.
    pub(super) fn left(self, elapsed: Duration, delay: Duration) -> Option<Duration> {
        Some((self.end()? + delay).saturating_sub(elapsed))
    }

    /// How long STS' sessions live.
    pub(super) fn session_life(self) -> Duration {
        let seconds = self.cycle.mul_f64(SESSION_LIFE).as_secs();
        Duration::from_secs(seconds).max(SHORTEST_SESSION)
    }

    /// How long may be measured what the sidecar adds, from the beginning on.
    pub(super) fn probing(self) -> Duration {
        self.cycle.mul_f64(PROBING).min(LONGEST_PROBING)
    }
}

// === impl Scene ===

impl Scene {
    /// Every scene, in the order of a cycle.
    #[cfg(test)]
    pub(super) const ALL: [Self; 9] = [
        Self::Calm,
        Self::TokenRotates,
        Self::SessionEnds,
        Self::StsFails,
        Self::StsIsBack,
        Self::AmpRefuses,
        Self::AmpAgrees,
        Self::AmpFails,
        Self::AmpIsBack,
    ];

    /// In three words.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Calm => "all is well",
            Self::TokenRotates => "the token rotates",
            Self::SessionEnds => "the session is revoked",
            Self::StsFails => "STS fails",
            Self::StsIsBack => "STS is back",
            Self::AmpRefuses => "AMP answers 403",
            Self::AmpAgrees => "AMP takes it again",
            Self::AmpFails => "AMP answers 500",
            Self::AmpIsBack => "AMP is back",
        }
    }

    /// What happens, and what the sidecar makes of it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Calm => {
                "Samples flow. STS sessions live for seconds here; the sidecar refreshes them at half of their life."
            }
            Self::TokenRotates => {
                "Kubelet puts a new token in the place of the old one; the next exchange uses it."
            }
            Self::SessionEnds => {
                "It has not expired yet, and AMP answers 403. The sidecar gets a new one, signs again and sends \
                 again; the sender does not notice."
            }
            Self::StsFails => {
                "STS answers 503 to every exchange, and the session runs out. From then on the sender gets 503 and \
                 keeps its samples; not one is sent unsigned."
            }
            Self::StsIsBack => {
                "The next exchange gives credentials again, and the sender sends its backlog."
            }
            Self::AmpRefuses => {
                "And to every request. Passed on, that would make the sender drop its samples: the \
                 sidecar answers 503."
            }
            Self::AmpAgrees => "Now the sender sends its backlog.",
            Self::AmpFails => "And to every request; the sender gets 500 and keeps its samples.",
            Self::AmpIsBack => "Now the sender sends its backlog.",
        }
    }
}

// === impl Length ===

impl FromStr for Length {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Self, LengthError> {
        let mut total = Duration::ZERO;
        let mut rest = text.trim();
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let seconds: u64 = match unit {
                "" | "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => return Err(LengthError),
            };
            let number: u32 = number.parse().map_err(|_| LengthError)?;
            let part = Duration::from_secs(u64::from(number) * seconds);
            total = total.checked_add(part).ok_or(LengthError)?;
            rest = tail;
        }
        if total < SHORTEST {
            return Err(LengthError);
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_shows_every_scene_and_ends_in_calm() {
        for seconds in [5, 10, 20, 59, 60, 100, 119, 120, 3600] {
            let length = Duration::from_secs(seconds);
            let plan = Plan::new(Some(length));
            let end = plan.end().expect("ends");
            assert!(
                length.abs_diff(end) < Duration::from_millis(1),
                "{seconds} s: {end:?}"
            );
            let scenes: Vec<_> = plan.scenes().collect();
            assert_eq!(scenes.len() % SCENES.len(), 0);
            assert!(scenes.is_sorted_by(|(before, _), (after, _)| before < after));
            let (last, scene) = scenes.last().copied().expect("some");
            assert!(last < end && scene == Scene::AmpIsBack);
            assert!(plan.cycle >= length.min(CYCLE) && plan.cycle < 2 * CYCLE);
        }
        let endless = Plan::new(None);
        assert_eq!((endless.end(), endless.cycle), (None, CYCLE));
        assert_eq!(endless.scenes().nth(9), Some((CYCLE, Scene::Calm)));
    }

    #[test]
    fn sessions_run_out_while_sts_fails() {
        let begins = |wanted| {
            SCENES
                .iter()
                .find(|(_, scene)| *scene == wanted)
                .expect("there")
                .0
        };
        for seconds in [10, 20, 30, 60, 90, 119] {
            let plan = Plan::new(Some(Duration::from_secs(seconds)));
            let outage = plan
                .cycle
                .mul_f64(begins(Scene::StsIsBack) - begins(Scene::StsFails));
            assert!(outage > plan.session_life(), "{seconds} s");
            assert!(plan.probing() < plan.cycle.mul_f64(begins(Scene::SessionEnds)));
        }
    }

    #[test]
    fn lengths_are_read() {
        let read = |text: &str| text.parse::<Length>().map(|length| length.0.as_secs());
        assert_eq!(read("30s"), Ok(30));
        assert_eq!(read("20"), Ok(20));
        assert_eq!(read("1h30m5s"), Ok(5405));
        for wrong in ["", "4s", "s", "10 s", "10d", "-5s", "99999999999s"] {
            assert_eq!(read(wrong), Err(LengthError), "{wrong:?}");
        }
    }
}
