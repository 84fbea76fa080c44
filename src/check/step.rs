//! What came of one step.

use serde::Serialize;

use crate::remedies::Remedy;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// As it should.
    Ok,
    /// Data flows, but something is wrong or cannot be told from here.
    Warning,
    /// Data does not flow.
    Broken,
    /// It comes after a step that is broken.
    Skipped,
}

/// A step of the walk, done or skipped.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The workspace that it is about; none where it is about all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Its name.
    pub step: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: StepOutcome,
}

/// What came of a step. Nothing in it is secret.
#[derive(Debug, Clone, Serialize)]
pub struct StepOutcome {
    /// How it went.
    pub state: StepState,
    /// What was seen.
    pub evidence: String,
    /// What to do: one of these, where it cannot be told which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<StepRemedy>,
    /// Ready to paste, where a policy is what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// The values that count here; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

// === impl Outcome ===

impl StepOutcome {
    /// As it should be.
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

    pub(super) fn skipped() -> Self {
        Self::new(StepState::Skipped, "an earlier step failed".to_owned())
    }

    fn new(state: StepState, evidence: String) -> Self {
        Self {
            state,
            evidence,
            remedies: Vec::new(),
            paste: None,
        }
    }

    /// With the mend of a mistake that it may be.
    #[must_use]
    pub fn remedy(self, mistake: Remedy) -> Self {
        self.remedy_with(mistake, "")
    }

    /// The same, with the values that count here.
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

    /// With something ready to paste.
    #[must_use]
    pub fn paste(mut self, text: String) -> Self {
        self.paste = Some(text);
        self
    }
}
