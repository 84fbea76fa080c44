//! Whether a scene struck: a fault that hit nothing shows nothing.
//!
//! In: what the world and the sidecar counted when a scene began, and what they count now. Out: whether the fault of the
//! scene hit a request, and a [`SceneResult`] for the summary. The demo lets a scene last until it has struck, within
//! bounds, since the sender decides when the next request comes.

use serde::Serialize;

use super::plan::Scene;
use crate::peers::metrics::{MetricError, Metrics};
use emulator::world::{Target, World};

/// What is compared between the beginning of a scene and now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The id of the token that was last exchanged for a session.
    token: Option<String>,
    /// Exchanges that a fault answered.
    failed_exchanges: u64,
    /// Requests that the sidecar answered without credentials.
    no_credentials: u64,
    /// Requests that AMP answered with 403.
    amp_403: u64,
    /// Requests that AMP answered with 500.
    amp_500: u64,
}

/// How often a scene was played, and how often it struck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SceneResult {
    /// What happens in it.
    pub scene: &'static str,
    /// What shows that it struck.
    pub strikes_when: &'static str,
    /// How often it was played to its end.
    pub played: u64,
    /// How often it struck.
    pub struck: u64,
}

/// The scene that is played, and the results of those before.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    current: Option<(Scene, Evidence)>,
    has_struck: bool,
    results: Vec<SceneResult>,
}

// === impl Evidence ===

impl Evidence {
    pub(super) fn read(world: &World, metrics: &Metrics) -> Result<Self, MetricError> {
        let (sts, amp) = (
            world.journal(Target::Sts).counts(),
            world.journal(Target::Amp).counts(),
        );
        let answered = |status: u16| amp.statuses.get(&status).copied().unwrap_or_default();
        let exchanged = |call: &&emulator::sts::StsCall| call.outcome.is_ok();
        let calls = world.sts_calls();
        let last = calls.iter().rev().find(exchanged);
        Ok(Self {
            token: last.and_then(|call| call.token_id.clone()),
            failed_exchanges: sts.faults.values().sum(),
            no_credentials: metrics.count(
                "amp_sidecar_batches_total",
                &[("outcome", "no_credentials")],
            )?,
            amp_403: answered(403),
            amp_500: answered(500),
        })
    }
}

// === impl Scene ===

impl Scene {
    /// What shows that it struck; `None` for scenes in which nothing goes wrong.
    pub(super) fn strikes_when(self) -> Option<&'static str> {
        match self {
            Self::TokenRotates => Some("STS gives a session for the new token"),
            Self::SessionEnds | Self::AmpRefuses => Some("AMP answers a request with 403"),
            Self::StsFails => {
                Some("STS answers an exchange with 503, and a request finds no credentials")
            }
            Self::AmpFails => Some("AMP answers a request with 500"),
            Self::Calm | Self::StsIsBack | Self::AmpAgrees | Self::AmpIsBack => None,
        }
    }

    fn struck(self, before: &Evidence, now: &Evidence) -> bool {
        match self {
            Self::TokenRotates => now.token.is_some() && now.token != before.token,
            Self::SessionEnds | Self::AmpRefuses => now.amp_403 > before.amp_403,
            Self::StsFails => {
                now.failed_exchanges > before.failed_exchanges
                    && now.no_credentials > before.no_credentials
            }
            Self::AmpFails => now.amp_500 > before.amp_500,
            Self::Calm | Self::StsIsBack | Self::AmpAgrees | Self::AmpIsBack => true,
        }
    }
}

// === impl Strikes ===

impl Strikes {
    /// The scene before has ended, and this one begins.
    pub(super) fn begin(&mut self, scene: Scene, now: Evidence) {
        self.end();
        self.has_struck = false;
        self.current = Some((scene, now));
    }

    /// The scene has ended as planned. One that is interrupted has no result.
    pub(super) fn end(&mut self) {
        let Some((scene, _)) = self.current.take() else {
            return;
        };
        let Some(strikes_when) = scene.strikes_when() else {
            return;
        };
        let title = scene.title();
        let known = self.results.iter_mut().find(|known| known.scene == title);
        let struck = u64::from(self.has_struck);
        match known {
            Some(known) => {
                known.played += 1;
                known.struck += struck;
            }
            None => self.results.push(SceneResult {
                scene: title,
                strikes_when,
                played: 1,
                struck,
            }),
        }
    }

    /// Compares what is counted now with the beginning of the scene.
    pub(super) fn look(&mut self, now: &Evidence) {
        if let Some((scene, before)) = &self.current {
            self.has_struck |= scene.struck(before, now);
        }
    }

    /// Whether the scene may end.
    pub(super) fn has_struck(&self) -> bool {
        self.has_struck || self.current.is_none()
    }

    /// Whether this scene is played and has not struck yet.
    pub(super) fn is_waiting_in(&self, scene: Scene) -> bool {
        !self.has_struck && self.current.as_ref().is_some_and(|(now, _)| *now == scene)
    }

    pub(super) fn results(&self) -> &[SceneResult] {
        &self.results
    }
}

// === impl SceneResult ===

impl SceneResult {
    /// How often it was played and hit nothing.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.played.saturating_sub(self.struck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_strikes_when_its_own_evidence_grows() {
        let before = Evidence::default();
        let now = Evidence {
            amp_403: 1,
            failed_exchanges: 1,
            ..Evidence::default()
        };
        let mut strikes = Strikes::default();
        for (scene, struck) in [
            (Scene::Calm, true),
            (Scene::TokenRotates, false),
            (Scene::AmpRefuses, true),
            (Scene::StsFails, false),
            (Scene::AmpFails, false),
            (Scene::AmpRefuses, true),
        ] {
            strikes.begin(scene, before.clone());
            assert!(!strikes.has_struck());
            strikes.look(&now);
            assert_eq!(strikes.has_struck(), struck, "{scene:?}");
        }
        // The last one is interrupted and does not count.
        let results = strikes.results().iter();
        let seen: Vec<_> = results
            .map(|result| (result.scene, result.played, result.missed()))
            .collect();
        assert_eq!(
            seen,
            [
                ("the token rotates", 1, 1),
                ("AMP answers 403", 1, 0),
                ("STS fails", 1, 1),
                ("AMP answers 500", 1, 1),
            ]
        );
        let token = Some("new".to_owned());
        assert!(Scene::TokenRotates.struck(&before, &Evidence { token, ..now }));
    }
}
