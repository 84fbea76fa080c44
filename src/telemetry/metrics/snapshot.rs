//! Reads the counters of a workspace.
//!
//! In: the counters that [`WorkspaceMetrics`](crate::telemetry::WorkspaceMetrics) writes. Out: [`Totals`] since the program began, for the
//! status page, which must not slow down batches.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::durations::{DurationCounters, DurationCounts};
use super::labels::{OutcomeLabels, ReasonLabels, WorkspaceLabels};
use crate::outcome::verdict::{LOSSES, OUTCOMES};
use crate::telemetry::metrics::definitions::Definitions;

/// Requests by outcome, in the order of [`OUTCOMES`].
pub type ByOutcome = [u64; OUTCOMES.len()];

/// Reads the counters of one workspace.
#[derive(Debug)]
pub struct Snapshots {
    outcomes: [Counter; OUTCOMES.len()],
    lost: [[Counter; 3]; LOSSES.len()],
    received_samples: Counter,
    estimated_samples: Counter,
    forwarded_samples: Counter,
    received_bytes: Counter,
    sent_bytes: Counter,
    took_micros: Counter,
    durations: DurationCounters,
}

/// The values at one time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Requests.
    pub outcomes: ByOutcome,
    /// Samples, histograms and exemplars, by reason in the order of [`LOSSES`].
    pub lost: [[u64; 3]; LOSSES.len()],
    /// Samples of valid batches.
    pub received_samples: u64,
    /// How many of them are estimated.
    pub estimated_samples: u64,
    pub stored_samples: u64,
    /// Compressed bytes of valid bodies.
    pub received_bytes: u64,
    /// Compressed bytes sent to AMP, retries included.
    pub sent_bytes: u64,
    /// The sum of all requests' durations.
    pub took_micros: u64,
    pub durations: DurationCounts,
}

// === impl Snapshots ===

impl Snapshots {
    pub(crate) fn new(workspace: Arc<str>, families: &Definitions) -> Self {
        let of = WorkspaceLabels {
            workspace: Arc::clone(&workspace),
        };
        let outcome = |outcome| {
            let workspace = Arc::clone(&workspace);
            let outcome = OutcomeLabels { workspace, outcome };
            families.batches.get_or_create_owned(&outcome)
        };
        let lost = |reason| {
            [
                &families.lost_samples,
                &families.lost_histograms,
                &families.lost_exemplars,
            ]
            .map(|family| {
                let workspace = Arc::clone(&workspace);
                family.get_or_create_owned(&ReasonLabels { workspace, reason })
            })
        };
        Self {
            outcomes: OUTCOMES.map(outcome),
            lost: LOSSES.map(lost),
            received_samples: families.received.samples.get_or_create_owned(&of),
            estimated_samples: families.estimated_samples.get_or_create_owned(&of),
            forwarded_samples: families.forwarded.samples.get_or_create_owned(&of),
            received_bytes: families.received_bytes.get_or_create_owned(&of),
            sent_bytes: families.sent_bytes.get_or_create_owned(&of),
            took_micros: families.took_micros.get_or_create_owned(&of),
            durations: families.durations.get_or_create_owned(&of),
        }
    }

    /// The values now.
    #[must_use]
    pub fn read(&self) -> Totals {
        let lost = |counters: &[Counter; 3]| counters.each_ref().map(Counter::get);
        Totals {
            outcomes: self.outcomes.each_ref().map(Counter::get),
            lost: self.lost.each_ref().map(lost),
            received_samples: self.received_samples.get(),
            estimated_samples: self.estimated_samples.get(),
            stored_samples: self.forwarded_samples.get(),
            received_bytes: self.received_bytes.get(),
            sent_bytes: self.sent_bytes.get(),
            took_micros: self.took_micros.get(),
            durations: self.durations.read(),
        }
    }
}

// === impl Totals ===

impl Totals {
    /// Lost samples of all reasons.
    #[must_use]
    pub fn lost_samples(&self) -> u64 {
        self.lost.iter().map(|[samples, _, _]| samples).sum()
    }
}
