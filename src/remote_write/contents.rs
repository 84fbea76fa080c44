//! Counts of what a batch contains.

use std::ops::AddAssign;

/// Counts of what a batch contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Time series, counted per occurrence.
    pub series: u64,
    /// Float samples.
    pub samples: u64,
    /// Native histogram samples.
    pub histograms: u64,
    pub exemplars: u64,
    /// Metadata entries: of the batch in version 1, of its series in version 2.
    pub metadata: u64,
}

impl AddAssign for Contents {
    fn add_assign(&mut self, other: Self) {
        self.series += other.series;
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
        self.metadata += other.metadata;
    }
}
