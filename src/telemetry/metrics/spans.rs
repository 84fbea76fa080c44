//! What spans are counted with. Every result is there from the start, at 0, once traces are on.

use prometheus_client::metrics::counter::Counter;

use super::labels::SpanLabels;
use crate::telemetry::metrics::definitions::Definitions;

/// What becomes of spans; clones share the numbers.
#[derive(Debug, Clone)]
pub struct SpanMetrics {
    exported: Counter,
    failed: Counter,
    rejected: Counter,
    dropped: Counter,
}

// === impl SpanMeters ===

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

    /// The collector took an export, but for some.
    pub fn exported(&self, spans: u64, rejected: u64) {
        self.exported.inc_by(spans);
        self.rejected.inc_by(rejected);
    }

    /// The collector did not take an export.
    pub fn failed(&self, spans: u64) {
        self.failed.inc_by(spans);
    }

    /// No room was left for them.
    pub fn dropped(&self, spans: u64) {
        self.dropped.inc_by(spans);
    }

    /// How many found no room up to now.
    #[must_use]
    pub fn dropped_so_far(&self) -> u64 {
        self.dropped.get()
    }
}
