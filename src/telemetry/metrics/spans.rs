//! Counters of spans. With traces on, every result is there from the start, at 0.

use prometheus_client::metrics::counter::Counter;

use super::labels::SpanLabels;
use crate::telemetry::metrics::definitions::Definitions;

/// Spans by result; clones share the counters.
#[derive(Debug, Clone)]
pub struct SpanMetrics {
    exported: Counter,
    failed: Counter,
    rejected: Counter,
    dropped: Counter,
}

// === impl SpanMetrics ===

impl SpanMetrics {
    pub(crate) fn new(families: &Definitions) -> Self {
        let count = |result| families.spans.get_or_create_owned(&SpanLabels { result });
        Self {
            exported: count("exported"),
            failed: count("failed"),
            rejected: count("rejected"),
            dropped: count("dropped"),
        }
    }

    /// The collector accepted an export, except for some spans.
    pub fn exported(&self, spans: u64, rejected: u64) {
        self.exported.inc_by(spans);
        self.rejected.inc_by(rejected);
    }

    /// The collector did not accept an export.
    pub fn failed(&self, spans: u64) {
        self.failed.inc_by(spans);
    }

    /// The queue was full.
    pub fn dropped(&self, spans: u64) {
        self.dropped.inc_by(spans);
    }

    /// How many the full queue has dropped so far.
    #[must_use]
    pub fn dropped_so_far(&self) -> u64 {
        self.dropped.get()
    }
}
