//! What a batch contains: counts, and the span of time that its samples cover.

use std::ops::AddAssign;
use std::time::{Duration, SystemTime};

/// What a batch contains.
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
    /// Of samples and histograms.
    pub timestamps: Timestamps,
}

/// The oldest and the newest timestamp, of those between 1971 and 2109: an exporter's 0 or nanoseconds say nothing about a delay.
///
/// They are kept as they are on the wire: key 2 and six bytes of varint, the first byte lowest. All of these varints have the same
/// continuation bits, so they compare like the times themselves, and a sample costs two comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    oldest: u64,
    newest: u64,
}

/// Key and continuation bits of a timestamp of six bytes, and where they are.
const SHAPE: (u64, u64) = (0x0000_8080_8080_8010, 0x0080_8080_8080_80ff);
/// With fewer, a shorter varint would do.
const LEAST: u64 = 1 << 48;

// === impl Contents ===

impl AddAssign for Contents {
    fn add_assign(&mut self, other: Self) {
        self.series += other.series;
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
        self.metadata += other.metadata;
        self.timestamps.merge(other.timestamps);
    }
}

// === impl Timestamps ===

impl Default for Timestamps {
    fn default() -> Self {
        Self {
            oldest: u64::MAX,
            newest: 0,
        }
    }
}

impl Timestamps {
    /// The oldest and the newest one, if there is any.
    #[must_use]
    pub fn span(self) -> Option<(SystemTime, SystemTime)> {
        (self.newest != 0).then(|| (time(self.oldest), time(self.newest)))
    }

    /// Adds one, in milliseconds.
    pub fn add(&mut self, millis: i64) {
        let groups = millis as u64;
        if groups >> 35 == 0 || groups >> 42 != 0 {
            return;
        }
        let spread = |place: u32| (groups >> (7 * place) & 0x7f) << (8 * (place + 1));
        self.add_field(
            (0..6)
                .map(spread)
                .fold(SHAPE.0, |field, group| field | group),
        );
    }

    /// Adds a field of [`Timestamps::field`].
    #[inline(always)]
    pub(super) fn add_field(&mut self, field: u64) {
        self.oldest = self.oldest.min(field);
        self.newest = self.newest.max(field);
    }

    /// A sample's field of seven bytes, if it is a timestamp of six that none shorter could replace.
    #[inline(always)]
    pub(super) fn field(field: u64) -> Option<u64> {
        (field & SHAPE.1 == SHAPE.0 && field >= LEAST).then_some(field)
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.oldest = self.oldest.min(other.oldest);
        self.newest = self.newest.max(other.newest);
    }
}

fn time(field: u64) -> SystemTime {
    let group = |place: u32| (field >> (8 * (place + 1)) & 0x7f) << (7 * place);
    SystemTime::UNIX_EPOCH + Duration::from_millis((0..6).map(group).sum())
}
