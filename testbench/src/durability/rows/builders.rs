//! What the rows are built of: answers of AMP, and times.

use std::time::Duration;

use crate::durability::form::Form;
use crate::durability::row::Row;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;

/// AMP answers every batch so, for as long as the fault lasts.
pub(super) fn amp_says(form: &Form, name: &'static str, what: &str, answer: FaultKind) -> Row {
    Row::new(form, name, what).faults(Target::Amp, [Fault::new(answer)])
}

/// What AMP's engine answers in this case. A case that there is not shows as a row that is not as promised.
pub(super) fn engine(name: &str) -> FaultKind {
    FaultKind::engine(name).unwrap_or(FaultKind::Close)
}

/// JSON as AMP's front door writes it.
pub(super) fn message(status: u16, text: &str) -> FaultKind {
    let body = serde_json::json!({"message": text}).to_string();
    with_headers(status, &[("content-type", "application/json")], body)
}

pub(super) fn with_headers(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<String>,
) -> FaultKind {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FaultKind::Answer {
        status,
        headers: headers.iter().map(owned).collect(),
        body: body.into(),
    }
}

/// Seconds, where the form has nothing to say about them.
pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
