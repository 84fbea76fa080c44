//! Why an ingester refuses a sample, in the engine's words.

use http::StatusCode;

use super::{config::AmpConfig, go, labels::Labels};

const RAISE: &str = "please contact administrator to raise it";

/// Which limit is reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeriesLimit {
    #[error(
        "per-user series limit of {0} exceeded, {RAISE} (local limit: 0 global limit: {0} actual local limit: {0})"
    )]
    User(usize),
    #[error(
        "per-user native histogram series limit of {0} exceeded, {RAISE} (local limit: 0 global limit: {0} actual local \
         limit: {0})"
    )]
    NativeHistograms(usize),
    #[error(
        "per-metric series limit of {limit} exceeded for metric {metric}, {RAISE} (local limit: 0 global limit: {limit} \
         actual local limit: {limit}) for series {series}"
    )]
    Metric {
        limit: usize,
        metric: String,
        series: Labels,
    },
    #[error(
        "per-labelset series limit of {limit} exceeded (labelSet: {label_set}, global limit: {limit} actual local limit: \
         {limit}) for series {series}"
    )]
    LabelSet {
        limit: usize,
        label_set: String,
        series: Labels,
    },
}

/// Why an ingester refuses a sample.
#[derive(Debug, thiserror::Error)]
pub(super) enum IngestFault {
    #[error("err: out of order sample. timestamp={}, series={series}", go::time(*timestamp))]
    OutOfOrder { timestamp: i64, series: Labels },
    #[error(
        "err: {kind}. timestamp={}, tsdbHeadMaxTimestamp={}, series={series}",
        go::time(*timestamp), go::time(*newest)
    )]
    BehindTheHead {
        kind: &'static str,
        timestamp: i64,
        newest: i64,
        series: Labels,
    },
    #[error("err: duplicate sample for timestamp{what}. series={series}")]
    Duplicate { what: String, series: Labels },
    #[error(
        "err: {kind}. timestamp={}, series={series}, exemplar={exemplar}",
        go::time(*timestamp)
    )]
    Exemplar {
        kind: &'static str,
        timestamp: i64,
        series: Labels,
        exemplar: String,
    },
    #[error(transparent)]
    Limit(#[from] SeriesLimit),
}

impl IngestFault {
    pub(super) fn status(&self, config: &AmpConfig) -> StatusCode {
        match self {
            Self::Limit(_) => config.series_limit_status,
            Self::OutOfOrder { .. }
            | Self::BehindTheHead { .. }
            | Self::Duplicate { .. }
            | Self::Exemplar { .. } => StatusCode::BAD_REQUEST,
        }
    }
}
