//! Compares what a sender had to send with what AMP stored.
//!
//! In: the sender's own [`Samples`], with external labels, and the world's [`Store`]. Out: a [`Comparison`]. A sample is
//! there if its label set, its millisecond and its value, bit for bit, are there; a stored sample with another value
//! counts as missing. What the store has beyond that is not counted: Prometheus sends stale markers, which its own API
//! never shows.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::samples::Samples;
use emulator::amp::{Labels, Store};

const SHOWN_AT_MOST: usize = 10;

/// The comparison of a sender's samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The sender's samples.
    pub total: u64,
    /// Those that AMP does not have.
    pub missing: u64,
    /// Samples that AMP received once more, of whatever sender.
    pub duplicates: u64,
    /// How many series miss a sample.
    pub series_concerned: u64,
    /// The names of their metrics.
    pub metrics_concerned: BTreeSet<String>,
    /// The earliest and the latest missing timestamp.
    pub span: Option<(i64, i64)>,
    /// The first few that are missing.
    pub examples: Vec<Missing>,
}

/// A sample that AMP does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    /// Its series.
    pub labels: Labels,
    /// Its time in milliseconds.
    pub timestamp: i64,
    /// Its value.
    pub value: f64,
    /// The other value that AMP has for that time.
    pub stored: Option<f64>,
}

// === impl Comparison ===

impl Comparison {
    /// The sender's samples that AMP has.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.total - self.missing
    }
}

/// Looks for each of `sent` in `store` until none is missing, or until `within` is over.
pub async fn arrived(sent: &Samples, store: &Store, within: Duration) -> Comparison {
    let end = Instant::now() + within;
    loop {
        let comparison = compare(sent, store);
        if comparison.missing == 0 || Instant::now() >= end {
            return comparison;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Looks for each of `sent` in `store`.
#[must_use]
pub fn compare(sent: &Samples, store: &Store) -> Comparison {
    let mut comparison = Comparison {
        total: 0,
        missing: 0,
        duplicates: store.stats().duplicates,
        series_concerned: 0,
        metrics_concerned: BTreeSet::new(),
        span: None,
        examples: Vec::new(),
    };
    let mut concerned = BTreeSet::new();
    for (labels, timestamp, value) in sent.iter() {
        comparison.total += 1;
        if is_stored(store, labels, timestamp, value) {
            continue;
        }
        comparison.missing += 1;
        concerned.insert(labels);
        let (first, last) = comparison.span.unwrap_or((timestamp, timestamp));
        comparison.span = Some((first.min(timestamp), last.max(timestamp)));
        if comparison.examples.len() < SHOWN_AT_MOST {
            comparison.examples.push(Missing {
                labels: labels.clone(),
                timestamp,
                value,
                stored: store.value(labels, timestamp),
            });
        }
    }
    comparison.series_concerned = concerned.len() as u64;
    let names = concerned.iter().filter_map(|labels| labels.get("__name__"));
    comparison.metrics_concerned = names.map(str::to_owned).collect();
    comparison
}

/// Whether AMP has this sample, bit for bit.
#[must_use]
pub fn is_stored(store: &Store, labels: &Labels, timestamp: i64, value: f64) -> bool {
    let stored = store.value(labels, timestamp);
    stored.is_some_and(|stored| same(stored, value))
}

/// Prometheus' API writes every NaN alike, so their bits cannot be compared.
fn same(stored: f64, sent: f64) -> bool {
    stored.to_bits() == sent.to_bits() || (stored.is_nan() && sent.is_nan())
}
