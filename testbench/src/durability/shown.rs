//! Which of the sidecar's metrics shows that a row's fault struck.
//!
//! In: a row's choice. Out: the name in the table; `outcome` compares it with what the sidecar showed. A fault that never
//! struck would show nothing, whatever arrived.

use std::fmt;

/// When the sidecar began to serve.
pub(super) const STARTED: &str = "process_start_time_seconds";

/// Which of the sidecar's metrics shows that it happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shown {
    /// A counter, maybe only where one of its labels has this value, that has moved since the fault began.
    Moved(&'static str, Option<(&'static str, &'static str)>),
    /// The same, since the sidecar began: what it learns of AMP it may have learned before the fault.
    Ever(&'static str, (&'static str, &'static str)),
    /// A histogram with more above one of its bounds than when the fault began.
    Above(&'static str, &'static str),
    /// A gauge that is at this value, give or take the second number, while the fault lasts.
    Is(&'static str, f64, f64),
    /// The sidecar began to serve since the fault began.
    Restarted,
}

// === impl Shown ===

impl Shown {
    /// Batches with this outcome.
    pub(super) fn outcome(name: &'static str) -> Self {
        Self::Moved("amp_sidecar_batches_total", Some(("outcome", name)))
    }

    /// Exchanges of the token with this result.
    pub(super) fn exchange(result: &'static str) -> Self {
        Self::Moved(
            "amp_sidecar_credential_exchanges_total",
            Some(("result", result)),
        )
    }

    /// Attempts that ended without an answer of AMP, for this reason.
    pub(super) fn fault(reason: &'static str) -> Self {
        Self::Moved(
            "amp_sidecar_upstream_errors_total",
            Some(("reason", reason)),
        )
    }

    /// Requests sent once more for this reason.
    pub(super) fn resent(reason: &'static str) -> Self {
        Self::Moved(
            "amp_sidecar_upstream_retries_total",
            Some(("reason", reason)),
        )
    }

    /// Batches that took longer than this, in seconds.
    pub(super) fn slower(bound: &'static str) -> Self {
        Self::Above("amp_sidecar_request_duration_seconds", bound)
    }

    /// An answer of AMP with this status, since the sidecar began.
    pub(super) fn answered(code: &'static str) -> Self {
        Self::Ever("amp_sidecar_upstream_responses_total", ("code", code))
    }

    /// Samples counted as lost for this reason.
    pub(super) fn lost(reason: &'static str) -> Self {
        Self::Moved(
            "amp_sidecar_samples_in_refused_batches_total",
            Some(("reason", reason)),
        )
    }
}

/// As the table shows it.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(metric, None) => f.write_str(metric),
            Self::Moved(metric, Some((label, value))) | Self::Ever(metric, (label, value)) => {
                write!(f, "{metric}{{{label}=\"{value}\"}}")
            }
            Self::Above(metric, bound) => write!(f, "{metric} above {bound}"),
            Self::Is(metric, value, _) => write!(f, "{metric} = {value}"),
            Self::Restarted => f.write_str(STARTED),
        }
    }
}
