//! What a batch holds, in numbers.

use std::ops::AddAssign;

/// What a batch holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Series, counted as often as they occur.
    pub series: u64,
    /// Samples that are plain numbers.
    pub samples: u64,
    /// Samples that are native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
    /// Entries of metadata: in version 1 of the batch, in version 2 of its series.
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
