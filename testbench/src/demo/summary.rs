//! The summary of a demo, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::latency::Latency;
use super::strike::SceneResult;
use super::view::{Glance, grouped};
use crate::peers::compare::Comparison;

/// A demo's result; as JSON its fields are the keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Who sent.
    pub sender: String,
    /// How long it lasted, draining included.
    pub seconds: f64,
    /// Batches of the sender that AMP stored.
    pub batches: u64,
    /// Responses that made the sender retry a batch.
    pub batches_held_back: u64,
    /// Samples that the sender had to send.
    pub samples_sent: u64,
    /// Those of them that AMP has, bit for bit.
    pub samples_stored: u64,
    /// Those of them that it does not have.
    pub samples_lost: u64,
    /// Samples that AMP received once more.
    pub samples_repeated: u64,
    /// Exchanges of the token for credentials, the first one not counted.
    pub credential_refreshes: u64,
    /// What the sidecar added to a batch at the median, in milliseconds.
    pub added_p50_ms: Option<f64>,
    /// What the sidecar added at the 99th percentile, in milliseconds.
    pub added_p99_ms: Option<f64>,
    /// Where these two are from.
    pub latency: Option<Latency>,
    /// What went wrong on the way.
    pub seen: Seen,
    /// The scenes in which something goes wrong, and whether each struck.
    pub scenes: Vec<SceneResult>,
    /// The first few samples that were lost, in words.
    pub lost_examples: Vec<String>,
}

/// What went wrong on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Tokens replaced.
    pub token_rotations: u64,
    /// Exchanges that STS answered with 503.
    pub failed_exchanges: u64,
    /// Batches that AMP answered with 403.
    pub amp_403: u64,
    /// Batches that AMP answered with 500.
    pub amp_500: u64,
}

// === impl Summary ===

impl Summary {
    pub(super) fn new(
        sender: String,
        lasted: Duration,
        glance: &Glance,
        comparison: &Comparison,
        seen: Seen,
        latency: Option<Latency>,
        scenes: &[SceneResult],
    ) -> Self {
        let example = |missing: &crate::peers::compare::Missing| {
            let (labels, timestamp, value) = (&missing.labels, missing.timestamp, missing.value);
            match missing.stored {
                None => format!("{labels} at {timestamp}: {value}"),
                Some(stored) => format!("{labels} at {timestamp}: {value}, but {stored} is stored"),
            }
        };
        Self {
            sender,
            seconds: (lasted.as_secs_f64() * 10.0).round() / 10.0,
            batches: glance.batches,
            batches_held_back: glance.held_back,
            samples_sent: comparison.total,
            samples_stored: comparison.stored(),
            samples_lost: comparison.missing,
            samples_repeated: comparison.duplicates,
            credential_refreshes: glance.refreshes.saturating_sub(1),
            added_p50_ms: latency.map(|latency| latency.added_p50_ms()),
            added_p99_ms: latency.map(|latency| latency.added_p99_ms()),
            latency,
            seen,
            scenes: scenes.to_vec(),
            lost_examples: comparison.examples.iter().map(example).collect(),
        }
    }

    /// Whether something was sent, all of it arrived, and every scene struck.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.samples_sent > 0 && self.samples_lost == 0 && self.missed().next().is_none()
    }

    /// The scenes that hit nothing, at least once.
    fn missed(&self) -> impl Iterator<Item = &SceneResult> {
        self.scenes.iter().filter(|scene| scene.missed() > 0)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: String| {
            writeln!(f, "  {name:<22} {text}")
        };
        writeln!(f, "summary of {:.0} s with {}", self.seconds, self.sender)?;
        let held_back = format!(
            "{} stored; {} responses made the sender retry one",
            grouped(self.batches),
            grouped(self.batches_held_back)
        );
        line(f, "batches", held_back)?;
        line(f, "samples sent", grouped(self.samples_sent))?;
        line(f, "samples stored", grouped(self.samples_stored))?;
        line(f, "samples lost", grouped(self.samples_lost))?;
        let refreshed = format!(
            "{} times; STS failed {} times",
            grouped(self.credential_refreshes),
            grouped(self.seen.failed_exchanges)
        );
        line(f, "credentials refreshed", refreshed)?;
        let answers = format!(
            "{} times 403, {} times 500; the token rotated {} times",
            grouped(self.seen.amp_403),
            grouped(self.seen.amp_500),
            grouped(self.seen.token_rotations)
        );
        line(f, "AMP answered", answers)?;
        let played: u64 = self.scenes.iter().map(|scene| scene.played).sum();
        let struck: u64 = self.scenes.iter().map(|scene| scene.struck).sum();
        let scenes = format!("{} of {} struck", grouped(struck), grouped(played));
        line(f, "scenes", scenes)?;
        match self.latency {
            Some(latency) => line(f, "the sidecar added", latency_words(&latency))?,
            None => line(f, "the sidecar added", "not measured".to_owned())?,
        }
        for example in &self.lost_examples {
            writeln!(f, "  lost: {example}")?;
        }
        for scene in self.missed() {
            let SceneResult {
                scene: title,
                strikes_when,
                played,
                ..
            } = scene;
            let missed = scene.missed();
            writeln!(
                f,
                "  did not strike: {title}, {missed} of {played} times; it strikes when {strikes_when}"
            )?;
        }
        let all_struck = self.missed().next().is_none();
        f.write_str(match (self.samples_sent, self.samples_lost) {
            (0, _) => "nothing was sent, so nothing is shown",
            (_, 0) if all_struck => "nothing was lost",
            (_, 0) => "nothing was lost, but NOT EVERY SCENE STRUCK",
            _ => "SAMPLES WERE LOST",
        })
    }
}

fn latency_words(latency: &Latency) -> String {
    format!(
        "{:.2} ms (p50), {:.2} ms (p99) to a batch of 500 samples:\n{:25}\
         {} of them took {:.2} ms and {:.2} ms through it, as many sent straight\n{:25}\
         to AMP in turn with them, signed beforehand, {:.2} ms and {:.2} ms",
        latency.added_p50_ms(),
        latency.added_p99_ms(),
        "",
        grouped(latency.batches),
        latency.through_p50_ms,
        latency.through_p99_ms,
        "",
        latency.direct_p50_ms,
        latency.direct_p99_ms,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_that_did_not_strike_is_named_and_is_a_failure() {
        let scene = |struck| SceneResult {
            scene: "STS fails",
            strikes_when: "STS answers 503",
            played: 2,
            struck,
        };
        let summary = |scenes: &[SceneResult]| {
            let comparison = Comparison {
                total: 10,
                missing: 0,
                duplicates: 0,
                series_concerned: 0,
                metrics_concerned: Default::default(),
                span: None,
                examples: Vec::new(),
            };
            let (glance, seen) = (Glance::default(), Seen::default());
            let sender = "a sender".to_owned();
            Summary::new(
                sender,
                Duration::ZERO,
                &glance,
                &comparison,
                seen,
                None,
                scenes,
            )
        };
        let all_struck = summary(&[scene(2)]);
        assert!(all_struck.is_good());
        assert!(all_struck.to_string().ends_with("\nnothing was lost"));
        let missed = summary(&[scene(1)]);
        assert!(!missed.is_good());
        let text = missed.to_string();
        assert!(
            text.contains("did not strike: STS fails, 1 of 2 times"),
            "{text}"
        );
        assert!(text.ends_with("NOT EVERY SCENE STRUCK"), "{text}");
    }
}
