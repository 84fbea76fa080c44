//! How many series there may be: in all, of one name, with given labels, with histograms.
//!
//! In: what is stored, counted once a batch and only where a limit asks for it, then each series of the batch. Out:
//! whether it may be made, in the engine's order of checks and words. Series that are there go on whatever the limits are.

use std::collections::{HashMap, HashSet};

use super::{
    go,
    ingest_fault::SeriesLimit,
    labels::Labels,
    limits::{LabelSetLimit, Limits},
    store::StoreState,
};

/// The counts as they are, those of the batch included.
#[derive(Debug)]
pub(super) struct SeriesCounts<'a> {
    state: &'a StoreState,
    limits: &'a Limits,
    max_series: usize,
    all: usize,
    by_metric: HashMap<String, usize>,
    by_label_set: Vec<usize>,
    with_histograms: usize,
    /// Series of this batch that were without histograms before it.
    new_histograms: HashSet<Labels>,
}

impl<'a> SeriesCounts<'a> {
    pub(super) fn new(state: &'a StoreState, max_series: usize, limits: &'a Limits) -> Self {
        let mut counts = Self {
            state,
            limits,
            max_series,
            all: state.series_count(),
            by_metric: HashMap::new(),
            by_label_set: vec![0; limits.limits_per_label_set.len()],
            with_histograms: 0,
            new_histograms: HashSet::new(),
        };
        if limits.max_series_per_metric.is_some()
            || limits.max_native_histogram_series.is_some()
            || !limits.limits_per_label_set.is_empty()
        {
            for (labels, series) in state.all_series() {
                counts.made(labels);
                counts.with_histograms += usize::from(series.histograms.newest().is_some());
            }
        }
        counts
    }

    /// Lets a series go on, or a new one in.
    pub(super) fn admit(
        &mut self,
        labels: &Labels,
        new: bool,
        histograms: bool,
    ) -> Result<(), SeriesLimit> {
        if new {
            self.check(labels)?;
        }
        if histograms {
            self.check_histograms(labels)?;
        }
        if new {
            self.all += 1;
            self.made(labels);
        }
        Ok(())
    }

    fn check(&self, labels: &Labels) -> Result<(), SeriesLimit> {
        if self.all >= self.max_series {
            return Err(SeriesLimit::User(self.max_series));
        }
        let metric = labels.get("__name__").unwrap_or_default();
        let of_metric = self.by_metric.get(metric).copied().unwrap_or_default();
        if let Some(limit) = self
            .limits
            .max_series_per_metric
            .filter(|limit| of_metric >= *limit)
        {
            return Err(SeriesLimit::Metric {
                limit,
                metric: metric.to_owned(),
                series: labels.clone(),
            });
        }
        for (of, count) in self
            .limits
            .limits_per_label_set
            .iter()
            .zip(&self.by_label_set)
        {
            if of.holds(labels) && *count >= of.max_series {
                let label_set = of
                    .labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()));
                return Err(SeriesLimit::LabelSet {
                    limit: of.max_series,
                    label_set: go::label_set(label_set),
                    series: labels.clone(),
                });
            }
        }
        Ok(())
    }

    fn check_histograms(&mut self, labels: &Labels) -> Result<(), SeriesLimit> {
        let Some(limit) = self.limits.max_native_histogram_series else {
            return Ok(());
        };
        let has_some = self.new_histograms.contains(labels)
            || self
                .state
                .series(labels)
                .is_some_and(|series| series.histograms.newest().is_some());
        if has_some {
            return Ok(());
        }
        if self.with_histograms >= limit {
            return Err(SeriesLimit::NativeHistograms(limit));
        }
        self.with_histograms += 1;
        self.new_histograms.insert(labels.clone());
        Ok(())
    }

    /// Counts a series by its name and labels.
    fn made(&mut self, labels: &Labels) {
        if self.limits.max_series_per_metric.is_some() {
            let metric = labels.get("__name__").unwrap_or_default().to_owned();
            *self.by_metric.entry(metric).or_default() += 1;
        }
        for (of, count) in self
            .limits
            .limits_per_label_set
            .iter()
            .zip(&mut self.by_label_set)
        {
            *count += usize::from(of.holds(labels));
        }
    }
}

impl LabelSetLimit {
    fn holds(&self, labels: &Labels) -> bool {
        self.labels
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    }
}
