//! The report, for people and for machines.
//!
//! In: the steps in the order in which they ran. Out: text with one line per step, then the result and once what to do, or one JSON object, which
//! `docs/check.md` documents field by field. A failed step makes the exit code 1; a warning does not, because data flows.
//!
//! Several steps often fail for one cause, so the remedies of all steps are a numbered list ([`ReportAction`]) to which their lines refer.

use std::fmt::Write as _;

use serde::Serialize;

use super::step::{Step, StepOutcome, StepRemedy, StepState};

/// All results.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// In the order in which they ran.
    pub steps: Vec<Step>,
}

/// What to do about all steps with the same possible causes.
struct ReportAction<'a> {
    steps: Vec<&'a str>,
    /// Each cause once, with every value seen with it.
    causes: Vec<(&'a StepRemedy, Vec<&'a str>)>,
    paste: Option<&'a str>,
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
        self.all(StepState::Broken).next().is_none()
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let whole =
            serde_json::json!({"version": version, "ok": self.is_whole(), "steps": self.steps});
        format!("{whole:#}\n")
    }

    /// Text, with colours if wanted.
    #[must_use]
    pub fn text(&self, colour: bool) -> String {
        let paint = Paint(colour);
        let mut text = String::new();
        let mut actions = Vec::new();
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
            tell(
                &mut text,
                paint,
                step,
                ReportAction::add(&mut actions, step),
            );
        }
        line(&mut text, format_args!("\n{}", self.verdict(paint)));
        if !actions.is_empty() {
            line(&mut text, format_args!("\n{}", paint.bold("what to do")));
        }
        for (action, number) in actions.iter().zip(1..) {
            action.tell(&mut text, number);
        }
        text
    }

    fn all(&self, state: StepState) -> impl Iterator<Item = &Step> {
        let steps = self.steps.iter();
        steps.filter(move |step| step.outcome.state == state)
    }

    fn verdict(&self, paint: Paint) -> String {
        let count = |state| self.all(state).count();
        let mut skipped: Vec<&str> = self
            .all(StepState::Skipped)
            .map(|step| step.step.as_str())
            .collect();
        skipped.dedup();
        let unchecked = if skipped.is_empty() {
            String::new()
        } else {
            format!("; not checked: {}", skipped.join(", "))
        };
        match (count(StepState::Broken), count(StepState::Warning)) {
            (0, 0) if skipped.is_empty() => paint.of(StepState::Ok, "all steps passed"),
            (0, 0) => paint.of(StepState::Ok, &format!("data flows{unchecked}")),
            (0, warnings) => paint.of(
                StepState::Warning,
                &format!("data flows; warnings: {warnings}{unchecked}"),
            ),
            (broken, warnings) => paint.of(
                StepState::Broken,
                &format!("data does not flow; failed: {broken}, warnings: {warnings}"),
            ),
        }
    }
}

/// Writing to a string cannot fail.
fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    let _written = writeln!(text, "{words}");
}

fn tell(text: &mut String, paint: Paint, step: &Step, action: Option<usize>) {
    let StepOutcome {
        state, evidence, ..
    } = &step.outcome;
    let word = match state {
        StepState::Ok => "ok",
        StepState::Warning => "warning",
        StepState::Broken => "broken",
        StepState::Skipped => "skipped",
    };
    let word = paint.of(*state, &format!("{word:8}"));
    let action = action.map(|number| format!(" [see {number}]"));
    line(
        text,
        format_args!(
            "{word}{}: {evidence}{}",
            paint.bold(&step.step),
            action.unwrap_or_default()
        ),
    );
}

// === impl ReportAction ===

impl<'a> ReportAction<'a> {
    /// The number of the step's action; `None` if there is nothing to do.
    fn add(actions: &mut Vec<Self>, step: &'a Step) -> Option<usize> {
        let StepOutcome {
            remedies, paste, ..
        } = &step.outcome;
        if remedies.is_empty() && paste.is_none() {
            return None;
        }
        let paste = paste.as_deref();
        let same = |action: &Self| {
            let known = action.causes.iter().map(|(cause, _)| cause.id);
            known.eq(remedies.iter().map(|remedy| remedy.id)) && action.paste == paste
        };
        let at = actions.iter().position(same).unwrap_or_else(|| {
            actions.push(Self {
                steps: Vec::new(),
                causes: remedies.iter().map(|remedy| (remedy, Vec::new())).collect(),
                paste,
            });
            actions.len() - 1
        });
        let action = actions.get_mut(at)?;
        if !action.steps.contains(&step.step.as_str()) {
            action.steps.push(&step.step);
        }
        for ((_, details), remedy) in action.causes.iter_mut().zip(remedies) {
            if !remedy.detail.is_empty() && !details.contains(&remedy.detail.as_str()) {
                details.push(&remedy.detail);
            }
        }
        Some(at + 1)
    }

    fn tell(&self, text: &mut String, number: usize) {
        let steps = self.steps.join(", ");
        let one_of = if self.causes.len() > 1 {
            ": one of these"
        } else {
            ""
        };
        line(text, format_args!("{number}. {steps}{one_of}"));
        for (cause, details) in &self.causes {
            line(text, format_args!("   - {} [{}]", cause.cause, cause.id));
            line(text, format_args!("     fix: {}", cause.remedy));
            for detail in details {
                line(text, format_args!("     here: {detail}"));
            }
        }
        if let Some(paste) = self.paste {
            line(text, format_args!("   ready to paste:"));
            for pasted in paste.lines() {
                line(text, format_args!("     {pasted}"));
            }
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
