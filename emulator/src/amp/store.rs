//! Everything that AMP has accepted, for tests to ask about.
//!
//! Only `write` changes it, with a [`Judgement`](super::judgement::Judgement) that it made while nobody else could
//! write. Nothing is ever dropped, not even what real AMP would have aged out: a test must be able to ask about the
//! first sample at the end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use remote_write_proto::v1;

use super::{judgement::Judgement, labels::Labels, series::Series};

/// A handle on what is stored. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<StoreState>>);

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Distinct label sets.
    pub series: u64,
    /// Distinct samples, by series and timestamp.
    pub samples: u64,
    /// Distinct histograms, by series and timestamp.
    pub histograms: u64,
    /// Exemplars received in accepted series, repetitions included.
    pub exemplars: u64,
    /// Metric families with metadata.
    pub metadata: u64,
    /// Samples and histograms received once more, with the value that was there.
    pub duplicates: u64,
    /// Samples and histograms refused.
    pub refused: u64,
    /// Batches whose body was understood, whatever became of their samples.
    pub batches: u64,
    /// Compressed size of those batches.
    pub bytes: u64,
}

/// The contents, under the lock.
#[derive(Debug, Default)]
pub(super) struct StoreState {
    series: HashMap<Labels, Series>,
    metadata: BTreeMap<String, v1::MetricMetadata>,
    newest: Option<i64>,
    /// The time of each series' latest exemplar.
    exemplars: HashMap<Labels, i64>,
    stats: Stats,
}

// === impl Store ===

impl Store {
    /// The counts as they are now.
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Whether a sample or histogram of this series and millisecond is stored.
    pub fn contains(&self, labels: &Labels, timestamp: i64) -> bool {
        self.lock().series.get(labels).is_some_and(|series| {
            series.samples.get(timestamp).is_some() || series.histograms.get(timestamp).is_some()
        })
    }

    /// The value of a sample.
    pub fn value(&self, labels: &Labels, timestamp: i64) -> Option<f64> {
        self.lock()
            .series
            .get(labels)?
            .samples
            .get(timestamp)
            .map(|&bits| f64::from_bits(bits))
    }

    /// Shows every series to `visitor`, in no order, while nothing can be written. Do not call the store from within.
    pub fn visit(&self, mut visitor: impl FnMut(&Labels, &Series)) {
        for (labels, series) in &self.lock().series {
            visitor(labels, series);
        }
    }

    /// The latest metadata of a metric family.
    pub fn metadata(&self, family: &str) -> Option<v1::MetricMetadata> {
        self.lock().metadata.get(family).cloned()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, StoreState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl StoreState ===

impl StoreState {
    pub(super) fn series(&self, labels: &Labels) -> Option<&Series> {
        self.series.get(labels)
    }

    pub(super) fn all_series(&self) -> impl Iterator<Item = (&Labels, &Series)> {
        self.series.iter()
    }

    /// The latest exemplar of a series.
    pub(super) fn newest_exemplar(&self, labels: &Labels) -> Option<i64> {
        self.exemplars.get(labels).copied()
    }

    pub(super) fn series_count(&self) -> usize {
        self.series.len()
    }

    /// The latest timestamp of all series, to which the out-of-order window is relative.
    pub(super) fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Takes over what was judged good, and counts the rest.
    pub(super) fn commit(&mut self, judgement: Judgement, body_bytes: usize) {
        let stats = &mut self.stats;
        stats.batches += 1;
        stats.bytes += body_bytes as u64;
        stats.duplicates += judgement.duplicates;
        stats.refused += judgement.refused;
        for accepted in judgement.accepted {
            self.newest = self.newest.max(accepted.fresh.newest());
            stats.samples += accepted.fresh.samples.len() as u64;
            stats.histograms += accepted.fresh.histograms.len() as u64;
            stats.exemplars += accepted.exemplars.len() as u64;
            let exemplars = accepted.exemplars.iter();
            if let Some(newest) = exemplars.map(|exemplar| exemplar.timestamp).max() {
                let known = self.exemplars.entry(accepted.labels.clone());
                let known = known.or_insert(newest);
                *known = newest.max(*known);
            }
            if accepted.fresh.is_empty() {
                continue;
            }
            let series = self.series.entry(accepted.labels).or_default();
            series.samples.absorb(accepted.fresh.samples);
            series.histograms.absorb(accepted.fresh.histograms);
        }
        for metadata in judgement.metadata {
            self.metadata
                .insert(metadata.metric_family_name.clone(), metadata);
        }
        stats.series = self.series.len() as u64;
        stats.metadata = self.metadata.len() as u64;
    }
}
