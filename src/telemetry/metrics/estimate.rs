//! Counters of a flow of which only a sample is counted.
//!
//! In: a [`FlowCount`] for each batch. Out: the counters, and how much of them is estimated. Of a batch that unpacks to `b` bytes and
//! was chosen with probability `p`, the estimate is
//!
//! ```text
//! r × b                        whether or not it was chosen
//! + (contents - r × b) / p     if it was chosen
//! ```
//!
//! where `r`, contents a byte, was learned from earlier batches. Its expectation is the contents, whatever `r` is: `p` does not depend on
//! the batch. `r` only makes it precise, since most batches of a sender have about as many samples a byte. If all are chosen, it is the
//! contents themselves.
//!
//! The unpacked size, which a block declares, is used, since contents a byte differ less by it than by the packed size.
//!
//! Rejected: contents over `p` without `r` is off by 3 % after 10,000 batches of which one in seven was chosen. All bytes times `r`, or
//! the contents a byte of the last chosen batch for those before it, is biased where small batches differ from large ones.
//!
//! A counter cannot decrease, so an estimate below zero is paid back by those that follow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;

use super::definitions::ContentCounters;
use crate::remote_write::body_count::FlowCount;
use crate::remote_write::contents::Contents;

/// `r` is that of the last batches, at most twice as many.
const LEARNED_FROM: u32 = 512;

/// Counters of one flow.
#[derive(Debug)]
pub(crate) struct FlowCounters {
    counters: ContentCounters<Counter>,
    /// How many samples of it are estimated.
    estimated: Option<Counter>,
    /// Of batches that were not chosen, since the estimate was last made.
    bytes: AtomicU64,
    estimate: Mutex<Estimate>,
}

#[derive(Debug, Default)]
struct Estimate {
    contents: Numbers,
    bytes: f64,
    batches: u32,
    /// Estimated, and not yet in the counters.
    owed: Numbers,
}

/// In the order of [`ContentCounters::each`].
type Numbers = [f64; 5];

// === impl FlowCounters ===

impl FlowCounters {
    pub(crate) fn new(counters: ContentCounters<Counter>, estimated: Option<Counter>) -> Self {
        Self {
            counters,
            estimated,
            bytes: AtomicU64::new(0),
            estimate: Mutex::default(),
        }
    }

    pub(crate) fn add(&self, flow: &FlowCount) {
        match *flow {
            FlowCount::Exact(contents) => self.counters.add(&contents),
            FlowCount::Sampled {
                size,
                contents: None,
                ..
            } => {
                self.bytes.fetch_add(size as u64, Ordering::Relaxed);
            }
            FlowCount::Sampled {
                size,
                probability,
                contents: Some(contents),
            } => {
                self.counters.add(&contents);
                let mut estimate = self.lock();
                self.settle(&mut estimate);
                estimate.learn(&contents, size as f64, probability);
                self.pay(&mut estimate);
            }
        }
    }

    /// Brings the counters up to date.
    pub(crate) fn update(&self) {
        let mut estimate = self.lock();
        self.settle(&mut estimate);
        self.pay(&mut estimate);
    }

    /// What was not chosen until now is estimated by what is known now.
    fn settle(&self, estimate: &mut Estimate) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed) as f64;
        let expected = estimate.expected(bytes);
        for (owed, expected) in estimate.owed.iter_mut().zip(expected) {
            *owed += expected;
        }
    }

    fn pay(&self, estimate: &mut Estimate) {
        let counters = self.counters.each();
        for (kind, (owed, counter)) in estimate.owed.iter_mut().zip(counters).enumerate() {
            let whole = owed.floor();
            if whole >= 1.0 {
                *owed -= whole;
                counter.inc_by(whole as u64);
                if let (SAMPLES, Some(estimated)) = (kind, &self.estimated) {
                    estimated.inc_by(whole as u64);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Estimate> {
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Estimate ===

/// The place of samples in [`Numbers`].
const SAMPLES: usize = 1;

impl Estimate {
    /// What batches of so many bytes contain.
    fn expected(&self, bytes: f64) -> Numbers {
        let factor = if self.bytes > 0.0 {
            bytes / self.bytes
        } else {
            0.0
        };
        self.contents.map(|contents| contents * factor)
    }

    /// Adds what a chosen batch says about others: its own contents are counted.
    fn learn(&mut self, contents: &Contents, bytes: f64, probability: f64) {
        let numbers = numbers(contents);
        let weight = 1.0 / probability - 1.0;
        let expected = self.expected(bytes);
        for ((owed, number), expected) in self.owed.iter_mut().zip(numbers).zip(expected) {
            *owed += weight * (number - expected);
        }
        for (sum, number) in self.contents.iter_mut().zip(numbers) {
            *sum += number;
        }
        self.bytes += bytes;
        self.batches += 1;
        if self.batches >= 2 * LEARNED_FROM {
            self.contents = self.contents.map(|contents| contents / 2.0);
            self.bytes /= 2.0;
            self.batches = LEARNED_FROM;
        }
    }
}

fn numbers(contents: &Contents) -> Numbers {
    let Contents {
        series,
        samples,
        histograms,
        exemplars,
        metadata,
        timestamps: _,
    } = contents;
    [series, samples, histograms, exemplars, metadata].map(|number| *number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote_write::inspect;
    use prost::Message as _;
    use remote_write_proto::v1;

    /// The sizes of the series that a real Prometheus sent, of one sample each.
    fn real_series() -> Vec<usize> {
        let bodies: [&[u8]; 4] = [
            include_bytes!("../../../tests/data/bodies/prometheus-2.42-0011.bin"),
            include_bytes!("../../../tests/data/bodies/prometheus-2.42-0016.bin"),
            include_bytes!("../../../tests/data/bodies/prometheus-2.42-0026.bin"),
            include_bytes!("../../../tests/data/bodies/prometheus-2.42-0030.bin"),
        ];
        let series = bodies.iter().flat_map(|body| {
            let message = inspect::unpack(body, 1 << 20).unwrap().unwrap();
            v1::WriteRequest::decode(message.as_slice())
                .unwrap()
                .timeseries
        });
        series.map(|series| series.encoded_len() + 3).collect()
    }

    fn counters() -> ContentCounters<Counter> {
        ContentCounters {
            series: Counter::default(),
            samples: Counter::default(),
            histograms: Counter::default(),
            exemplars: Counter::default(),
            metadata: Counter::default(),
        }
    }

    /// Counted over true samples of 10,000 batches, and how many are estimated. `batch` gives the samples and the size of one.
    fn run(
        seed: u64,
        probability: f64,
        mut batch: impl FnMut(&mut fastrand::Rng) -> (u64, usize),
    ) -> (f64, u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (counters, estimated) = (counters(), Counter::default());
        let flow = FlowCounters::new(counters.clone(), Some(estimated.clone()));
        let (mut all, mut counted) = (0, 0);
        // The first batches are counted from what was saved up.
        for number in 0..10_000 {
            let (samples, size) = batch(&mut random);
            let probability = if number < 100 { 1.0 } else { probability };
            let is_chosen = random.f64() < probability;
            let contents = Contents {
                series: samples,
                samples,
                ..Contents::default()
            };
            all += samples;
            counted += if is_chosen { samples } else { 0 };
            flow.add(&FlowCount::Sampled {
                size,
                probability,
                contents: is_chosen.then_some(contents),
            });
        }
        flow.update();
        let [_, samples, ..] = counters.each().map(Counter::get);
        assert_eq!(samples - estimated.get(), counted, "the rest is exact");
        assert_eq!(counters.histograms.get(), 0);
        (samples as f64 / all as f64, estimated.get())
    }

    /// The largest and the mean error of a hundred runs; a bias shows in the mean.
    fn errors(batch: impl Fn(&mut fastrand::Rng) -> (u64, usize)) -> (f64, f64) {
        let errors = (0..100).map(|seed| run(seed, 1.0 / 7.0, &batch).0 - 1.0);
        let errors: Vec<f64> = errors.collect();
        let worst = errors.iter().copied().map(f64::abs).fold(0.0, f64::max);
        (worst, errors.iter().sum::<f64>() / errors.len() as f64)
    }

    /// From one series to 2,000, as they follow each other in what a real Prometheus sent.
    #[test]
    fn ten_thousand_batches_of_mixed_sizes_are_estimated_within_one_percent() {
        let series = real_series();
        let (worst, mean) = errors(|random| {
            let (first, count) = (random.usize(..series.len()), random.usize(1..=2000));
            let sizes = series.iter().cycle().skip(first).take(count);
            (count as u64, sizes.sum())
        });
        assert!(worst < 0.01, "{worst}");
        assert!(mean.abs() < 0.0005, "{mean}");
    }

    /// Small and large senders with short and long labels: less precise, and right in the mean.
    #[test]
    fn senders_that_differ_in_everything_bring_no_bias() {
        let (worst, mean) = errors(|random| {
            let (samples, bytes) = match random.u8(..3) {
                0 => (random.u64(1..100), 900),
                1 => (random.u64(1..500), 120),
                _ => (random.u64(1900..=2000), random.usize(150..400)),
            };
            (samples, 300 + samples as usize * bytes)
        });
        assert!(worst < 0.03, "{worst}");
        assert!(mean.abs() < 0.002, "{mean}");
    }

    #[test]
    fn if_all_are_chosen_nothing_is_estimated() {
        let batch = |random: &mut fastrand::Rng| (random.u64(..9), random.usize(..900));
        assert_eq!(run(1, 1.0, batch), (1.0, 0));
    }

    #[test]
    fn a_flow_that_ends_is_estimated_too() {
        let counters = counters();
        let flow = FlowCounters::new(counters.clone(), None);
        let sampled = |probability, contents| FlowCount::Sampled {
            size: 1000,
            probability,
            contents,
        };
        let contents = Contents {
            samples: 50,
            exemplars: 1,
            ..Contents::default()
        };
        flow.add(&sampled(1.0, Some(contents)));
        for _ in 0..10 {
            flow.add(&sampled(0.1, None));
        }
        let read = || counters.each().map(Counter::get);
        assert_eq!(read(), [0, 50, 0, 1, 0]);
        flow.update();
        assert_eq!(read(), [0, 550, 0, 11, 0]);
        // A batch with less than expected, which stands for nine others: the counters stop until that is made up for.
        flow.add(&sampled(0.1, Some(Contents::default())));
        for _ in 0..9 {
            flow.add(&sampled(0.1, None));
        }
        flow.update();
        assert_eq!(read(), [0, 550, 0, 11, 0]);
    }
}
