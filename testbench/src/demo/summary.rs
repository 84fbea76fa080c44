//! The summary of a demo, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::latency::Latency;
use super::paint::{Paint, Tone};
use super::picture;
use super::strike::SceneResult;
use super::survived::SceneRow;
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
    /// The table for people: the samples of each scene.
    #[serde(skip)]
    pub survived: Vec<SceneRow>,
    /// Samples that the sender had counted when the first scene began.
    #[serde(skip)]
    pub made_before: u64,
    /// The scenes, as a terminal shows them.
    #[serde(skip)]
    pub(super) transcript: String,
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
            survived: Vec::new(),
            made_before: 0,
            transcript: String::new(),
        }
    }

    /// The whole demo as a picture of a terminal.
    #[must_use]
    pub fn picture(&self) -> String {
        picture::svg(&format!(
            "{}\n{}",
            self.transcript,
            self.text(Paint::ALWAYS)
        ))
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

impl Summary {
    /// For people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!(
            "what was survived in {:.0} s with {}\n",
            self.seconds, self.sender
        );
        self.table(&mut text, paint);
        for (name, value) in self.facts() {
            text.push_str(&format!("  {name:<24} {value}\n"));
        }
        for example in &self.lost_examples {
            text.push_str(&format!("  lost: {example}\n"));
        }
        for scene in self.missed() {
            let SceneResult {
                scene: title,
                strikes_when,
                played,
                ..
            } = scene;
            let missed = scene.missed();
            text.push_str(&format!(
                "  did not strike: {title}, {missed} of {played} times; it strikes when {strikes_when}\n"
            ));
        }
        let verdict = match (self.samples_sent, self.samples_lost) {
            (0, _) => "nothing was sent, so nothing is shown",
            (_, 0) if self.is_good() => "nothing was lost",
            (_, 0) => "nothing was lost, but NOT EVERY SCENE STRUCK",
            _ => "SAMPLES WERE LOST",
        };
        let tone = if self.is_good() {
            Tone::Good
        } else {
            Tone::Bad
        };
        text.push_str(&paint.text(tone, verdict));
        text
    }

    fn table(&self, text: &mut String, paint: Paint) {
        let head = ["sent", "stored", "lost"].map(str::to_owned);
        text.push_str(&row(paint, Tone::Strong, ("scene", "struck"), &head, None));
        for scene in &self.survived {
            let struck = match scene.struck {
                None => "-".to_owned(),
                Some((0, _)) => "NO".to_owned(),
                Some((struck, played)) if struck == played => "yes".to_owned(),
                Some((struck, played)) => format!("{struck} of {played}"),
            };
            let numbers = [scene.sent, scene.stored, scene.lost()];
            let lost = Some(scene.lost());
            let names = (scene.scene, struck.as_str());
            text.push_str(&row(paint, Tone::Plain, names, &numbers.map(grouped), lost));
        }
        let numbers = [self.samples_sent, self.samples_stored, self.samples_lost];
        let lost = Some(self.samples_lost);
        text.push_str(&row(
            paint,
            Tone::Strong,
            ("in all", ""),
            &numbers.map(grouped),
            lost,
        ));
    }

    fn facts(&self) -> [(&'static str, String); 4] {
        [
            (
                "batches",
                format!(
                    "{} stored; {} responses made the sender retry one",
                    grouped(self.batches),
                    grouped(self.batches_held_back)
                ),
            ),
            (
                "credentials refreshed",
                format!(
                    "{}; STS failed {}",
                    times(self.credential_refreshes),
                    times(self.seen.failed_exchanges)
                ),
            ),
            (
                "AMP answered",
                format!(
                    "403 {}, 500 {}; the token rotated {}",
                    times(self.seen.amp_403),
                    times(self.seen.amp_500),
                    times(self.seen.token_rotations)
                ),
            ),
            (
                "the sidecar added",
                self.latency.map_or_else(
                    || "not measured".to_owned(),
                    |latency| latency_words(&latency),
                ),
            ),
        ]
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Paint::NEVER))
    }
}

/// One line of the table; `losses` colours its last column.
fn row(
    paint: Paint,
    tone: Tone,
    (scene, struck): (&str, &str),
    [sent, stored, lost]: &[String; 3],
    losses: Option<u64>,
) -> String {
    let struck_tone = if struck == "NO" { Tone::Bad } else { tone };
    format!(
        "  {} {} {} {}\n",
        paint.text(tone, &format!("{scene:<24}")),
        paint.text(struck_tone, &format!("{struck:<8}")),
        paint.text(tone, &format!("{sent:>12} {stored:>12}")),
        paint.text(losses.map_or(tone, Tone::of_losses), &format!("{lost:>8}")),
    )
}

fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        number => format!("{} times", grouped(number)),
    }
}

fn latency_words(latency: &Latency) -> String {
    // On a busy machine chance is larger than what is added.
    let added = |milliseconds: f64| match milliseconds > 0.0 {
        true => format!("{milliseconds:.2} ms"),
        false => "nothing measurable".to_owned(),
    };
    format!(
        "{} (p50), {} (p99) to a batch of 500 samples:\n{:27}\
         {} of them took {:.2} ms and {:.2} ms through it, as many sent straight\n{:27}\
         to AMP in turn with them, signed beforehand, {:.2} ms and {:.2} ms",
        added(latency.added_p50_ms()),
        added(latency.added_p99_ms()),
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
        let mut missed = summary(&[scene(1)]);
        let row = |struck, stored| SceneRow {
            scene: "STS fails",
            struck,
            sent: 1234,
            stored,
        };
        missed.survived = vec![
            row(None, 1234),
            row(Some((2, 2)), 1234),
            row(Some((1, 2)), 1234),
            row(Some((0, 2)), 1000),
        ];
        assert!(!missed.is_good());
        let text = missed.to_string();
        assert!(
            text.contains("did not strike: STS fails, 1 of 2 times"),
            "{text}"
        );
        assert!(text.ends_with("NOT EVERY SCENE STRUCK"), "{text}");
        for row in [
            "  scene                    struck           sent       stored     lost\n",
            "  STS fails                -               1,234        1,234        0\n",
            "  STS fails                yes             1,234        1,234        0\n",
            "  STS fails                1 of 2          1,234        1,234        0\n",
            "  STS fails                NO              1,234        1,000      234\n",
            "  in all                                      10           10        0\n",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        let coloured = missed.text(Paint::ALWAYS);
        assert!(
            coloured.contains("\x1b[31;1m     234\x1b[0m"),
            "{coloured:?}"
        );
        assert!(coloured.contains("\x1b[31;1mNO "), "{coloured:?}");
    }
}
