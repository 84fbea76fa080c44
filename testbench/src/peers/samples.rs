//! Raw samples by series: what a sender says it had to send.
//!
//! In: samples in any order, repetitions included. Out: each sample once. Values are kept as bits, so that nothing is
//! equal that is not the same; only NaN is taken for any NaN where a sender could not know which one it had.

use std::collections::BTreeMap;

use emulator::amp::Labels;

/// Samples by label set and timestamp in milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(BTreeMap<Labels, BTreeMap<i64, u64>>);

// === impl Samples ===

impl Samples {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; a timestamp known before gets the new value.
    pub fn insert(&mut self, labels: Labels, timestamp: i64, value: f64) {
        let series = self.0.entry(labels).or_default();
        series.insert(timestamp, value.to_bits());
    }

    /// Adds all of another set.
    pub fn absorb(&mut self, other: Self) {
        for (labels, samples) in other.0 {
            self.0.entry(labels).or_default().extend(samples);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.values().map(|series| series.len() as u64).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeMap::is_empty)
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.0.len()
    }

    /// Label set, timestamp and value of each, by series and time.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, i64, f64)> {
        self.0.iter().flat_map(|(labels, samples)| {
            samples
                .iter()
                .map(move |(&timestamp, &bits)| (labels, timestamp, f64::from_bits(bits)))
        })
    }

    /// The same samples as remote write sends them: external labels are added where the series has none of that name.
    #[must_use]
    pub fn with_external_labels(self, external: &[(String, String)]) -> Self {
        let mut all = Self::default();
        for (labels, samples) in self.0 {
            let own = labels
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let added = external
                .iter()
                .filter(|(name, _)| labels.get(name).is_none());
            let labels = Labels::new(own.chain(added.cloned()));
            all.0.entry(labels).or_default().extend(samples);
        }
        all
    }

    /// The same samples as a store keeps them that drops this label.
    #[must_use]
    pub fn without_label(self, name: &str) -> Self {
        let mut all = Self::default();
        for (labels, samples) in self.0 {
            let kept = labels.iter().filter(|(own, _)| *own != name);
            all.0.entry(Labels::new(kept)).or_default().extend(samples);
        }
        all
    }

    /// Only the samples up to this millisecond: later ones may still be on their way.
    #[must_use]
    pub fn until(mut self, timestamp: i64) -> Self {
        for samples in self.0.values_mut() {
            // Everything from the next millisecond on goes.
            drop(samples.split_off(&timestamp.saturating_add(1)));
        }
        self.0.retain(|_, samples| !samples.is_empty());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_do_not_overwrite_and_the_latest_samples_can_be_left_out() {
        let mut samples = Samples::new();
        samples.insert(
            Labels::new([("__name__", "up"), ("cluster", "own")]),
            1,
            1.0,
        );
        for timestamp in [1, 2, 2, 3] {
            samples.insert(Labels::new([("__name__", "up")]), timestamp, 1.0);
        }
        assert_eq!((samples.len(), samples.series()), (4, 2));
        let external = [("cluster".to_owned(), "demo".to_owned())];
        let sent = samples.with_external_labels(&external).until(2);
        let seen: Vec<_> = sent
            .iter()
            .map(|(labels, timestamp, _)| (labels.get("cluster").expect("added"), timestamp))
            .collect();
        assert_eq!(seen, [("demo", 1), ("demo", 2), ("own", 1)]);
        let one = sent.clone().without_label("cluster");
        assert_eq!((one.len(), one.series()), (2, 1));
        assert!(sent.until(0).is_empty());
    }
}
