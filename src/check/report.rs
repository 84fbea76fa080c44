//! The report, for people and for machines.
//!
//! In: the steps in the order in which they ran. Out: text with one line per step and what to do below it, or one JSON object. A failed step makes
//! the exit code 1; a warning does not, because data flows.

use std::fmt::Write as _;

use serde::Serialize;

use super::step::{Step, StepOutcome, StepState};

/// All results.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// In the order in which they ran.
    pub steps: Vec<Step>,
}

/// Terminal escapes, or none.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

// === impl Report ===

impl Report {
    pub(super) fn add(&mut self, step: &str, outcome: StepOutcome) {
        self.steps.push(Step {
            workspace: None,
            step: step.to_owned(),
            outcome,
        });
    }

    /// Whether no step failed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self
            .steps
            .iter()
            .any(|step| step.outcome.state == StepState::Broken)
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let whole = serde_json::json!({"ok": self.is_whole(), "steps": self.steps});
        format!("{whole:#}\n")
    }

    /// Text, with colours if wanted.
    #[must_use]
    pub fn text(&self, colour: bool) -> String {
        let paint = Paint(colour);
        let mut text = String::new();
        let mut workspace = None;
        for step in &self.steps {
            if step.workspace != workspace {
                workspace.clone_from(&step.workspace);
                if let Some(name) = &workspace {
                    line(
                        &mut text,
                        format_args!("\n{}", paint.bold(&format!("workspace {name}"))),
                    );
                } else {
                    line(&mut text, format_args!(""));
                }
            }
            tell(&mut text, paint, step);
        }
        let count = |state| {
            let steps = self.steps.iter();
            steps.filter(|step| step.outcome.state == state).count()
        };
        let verdict = match (count(StepState::Broken), count(StepState::Warning)) {
            (0, 0) => paint.of(StepState::Ok, "all steps passed"),
            (0, warnings) => paint.of(
                StepState::Warning,
                &format!("data flows; warnings: {warnings}"),
            ),
            (broken, warnings) => paint.of(
                StepState::Broken,
                &format!("data does not flow; failed: {broken}, warnings: {warnings}"),
            ),
        };
        line(&mut text, format_args!("\n{verdict}"));
        text
    }
}

/// Writing to a string cannot fail.
fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    let _written = writeln!(text, "{words}");
}

fn tell(text: &mut String, paint: Paint, step: &Step) {
    let StepOutcome {
        state,
        evidence,
        remedies,
        paste,
    } = &step.outcome;
    let word = match state {
        StepState::Ok => "ok",
        StepState::Warning => "warning",
        StepState::Broken => "broken",
        StepState::Skipped => "skipped",
    };
    let word = paint.of(*state, &format!("{word:8}"));
    line(
        text,
        format_args!("{word}{}: {evidence}", paint.bold(&step.step)),
    );
    if remedies.len() > 1 {
        line(text, format_args!("        one of these:"));
    }
    for remedy in remedies {
        line(
            text,
            format_args!("        - {} [{}]", remedy.cause, remedy.id),
        );
        line(text, format_args!("          fix: {}", remedy.remedy));
        if !remedy.detail.is_empty() {
            line(text, format_args!("          here: {}", remedy.detail));
        }
    }
    if let Some(paste) = paste {
        line(text, format_args!("        ready to paste:"));
        for pasted in paste.lines() {
            line(text, format_args!("          {pasted}"));
        }
    }
}

// === impl Paint ===

impl Paint {
    fn of(self, state: StepState, word: &str) -> String {
        self.escaped(
            word,
            match state {
                StepState::Ok => "32",
                StepState::Warning => "33",
                StepState::Broken => "31;1",
                StepState::Skipped => "2",
            },
        )
    }

    fn bold(self, word: &str) -> String {
        self.escaped(word, "1")
    }

    fn escaped(self, word: &str, code: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{word}\u{1b}[0m")
        } else {
            word.to_owned()
        }
    }
}
