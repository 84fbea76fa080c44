//! What an ingester decided about one batch: `judge` makes it, `forward` copies it, the store commits it.

use remote_write_proto::v1;

use super::{ingest_fault::IngestFault, labels::Labels, series::Series};

/// What is to be stored of one batch, and what was refused.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) accepted: Vec<Accepted>,
    pub(super) metadata: Vec<v1::MetricMetadata>,
    pub(super) duplicates: u64,
    /// Samples and histograms, those included that the distributor refused.
    pub(super) refused: u64,
    pub(super) first_fault: Option<IngestFault>,
}

/// What one series gains.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) labels: Labels,
    /// Only what the store does not have yet.
    pub(super) fresh: Series,
    pub(super) exemplars: Vec<v1::Exemplar>,
}
