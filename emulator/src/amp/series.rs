//! What is kept of one series: timestamps in order, values beside them.
//!
//! Sixteen bytes a sample, one allocation a series: some millions of samples fit in a test's memory. Values are kept as
//! bits, so that a stale marker is a value like any other and two NaNs can be distinguished.

/// The samples of one series, by time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub(super) samples: Timeline<u64>,
    pub(super) histograms: Timeline<Box<[u8]>>,
}

impl Series {
    /// Timestamps in milliseconds and values, in order.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = (i64, f64)> {
        self.samples
            .0
            .iter()
            .map(|&(timestamp, bits)| (timestamp, f64::from_bits(bits)))
    }

    /// Timestamps in milliseconds and encoded `prometheus.Histogram` messages, in order.
    pub fn histograms(&self) -> impl ExactSizeIterator<Item = (i64, &[u8])> {
        self.histograms
            .0
            .iter()
            .map(|(timestamp, bytes)| (*timestamp, bytes.as_ref()))
    }

    /// The latest timestamp.
    pub fn newest(&self) -> Option<i64> {
        self.samples.newest().max(self.histograms.newest())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest().is_none()
    }
}

/// Values by distinct timestamps, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timeline<V>(Vec<(i64, V)>);

impl<V> Default for Timeline<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: PartialEq> Timeline<V> {
    pub(super) fn newest(&self) -> Option<i64> {
        self.0.last().map(|&(timestamp, _)| timestamp)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, timestamp: i64) -> Option<&V> {
        let index = self.position(timestamp).ok()?;
        self.0.get(index).map(|(_, value)| value)
    }

    /// Keeps what is there already.
    pub(super) fn insert(&mut self, timestamp: i64, value: V) {
        if let Err(index) = self.position(timestamp) {
            self.0.insert(index, (timestamp, value));
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.0.reserve(other.len());
        for (timestamp, value) in other.0 {
            self.insert(timestamp, value);
        }
    }

    fn position(&self, timestamp: i64) -> Result<usize, usize> {
        match self.newest() {
            Some(newest) if newest >= timestamp => {
                self.0.binary_search_by_key(&timestamp, |&(known, _)| known)
            }
            _ => Err(self.0.len()),
        }
    }
}
