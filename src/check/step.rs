//! The result of one step.

use serde::Serialize;

use crate::remedies::{Advice, Remedy};

/// The state of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Passed.
    Ok,
    /// Data flows, but something is wrong, or cannot be verified from here.
    Warning,
    /// Data does not flow.
    Broken,
    /// Not run, or not possible here.
    Skipped,
}

/// A step, run or skipped.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Its workspace; `None` if it is about all.
    pub workspace: Option<String>,
    /// Its name.
    pub step: String,
    /// The result.
    #[serde(flatten)]
    pub outcome: StepOutcome,
}

/// The result of a step. Nothing in it is secret.
#[derive(Debug, Clone, Serialize)]
pub struct StepOutcome {
    /// Its state.
    pub state: StepState,
    /// The evidence.
    pub evidence: String,
    /// What to do: one of these, if the cause is ambiguous.
    pub remedies: Vec<StepRemedy>,
    /// Ready to paste, if a policy is missing.
    pub paste: Option<String>,
}

/// What to do about a mistake.
#[derive(Debug, Clone, Serialize)]
pub struct StepRemedy {
    /// Its row in the table.
    pub id: &'static str,
    /// What is probably wrong.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The values of this case; may be empty.
    pub detail: String,
}

// === impl StepOutcome ===

impl StepOutcome {
    /// Passed.
    #[must_use]
    pub fn ok(evidence: impl Into<String>) -> Self {
        Self::new(StepState::Ok, evidence.into())
    }

    /// Wrong, but data flows.
    #[must_use]
    pub fn warning(evidence: impl Into<String>) -> Self {
        Self::new(StepState::Warning, evidence.into())
    }

    /// Data does not flow.
    #[must_use]
    pub fn broken(evidence: impl Into<String>) -> Self {
        Self::new(StepState::Broken, evidence.into())
    }

    /// Not run, and why.
    pub(super) fn skipped(why: &str) -> Self {
        Self::new(StepState::Skipped, why.to_owned())
    }

    fn new(state: StepState, evidence: String) -> Self {
        Self {
            state,
            evidence,
            remedies: Vec::new(),
            paste: None,
        }
    }

    /// Adds the remedy of a possible cause.
    #[must_use]
    pub fn remedy(self, mistake: Remedy) -> Self {
        self.remedy_with(mistake, "")
    }

    /// The same, with the values of this case.
    #[must_use]
    pub fn remedy_with(mut self, mistake: Remedy, detail: impl Into<String>) -> Self {
        self.remedies.push(StepRemedy {
            id: mistake.id,
            cause: mistake.cause,
            remedy: mistake.remedy,
            detail: detail.into(),
        });
        self
    }

    /// Adds what to do about an error, with the values of this case.
    #[must_use]
    pub fn advise(self, advice: &Advice) -> Self {
        let values = std::iter::once(advice.values()).chain(std::iter::repeat(""));
        let rows = advice.rows().iter().zip(values);
        rows.fold(self, |outcome, (row, values)| {
            outcome.remedy_with(*row, values)
        })
    }

    /// Adds text that is ready to paste.
    #[must_use]
    pub fn paste(mut self, text: String) -> Self {
        self.paste = Some(text);
        self
    }
}
