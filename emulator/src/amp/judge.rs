//! Decides, sample by sample, what of a batch an ingester stores. Pure: it reads the store and changes nothing.
//!
//! Separate from storing, so that a batch can be forwarded to a real Prometheus in between and forgotten if that fails.
//! In: what passed the distributor. The rules are those of Prometheus' TSDB as Cortex runs it:
//! - newer than everything in its series, and less than an hour behind the newest sample *of the workspace*: good;
//! - older, but within the out-of-order window behind that: good;
//! - older still: too old; without a window: out of order, and out of bounds beyond the hour;
//! - known already with the same value: good, counted as a duplicate. Real ingesters refuse a repetition from beyond the
//!   window; here it is let pass unless `refuse_late_repetitions` is set, since it has been stored and the sender loses
//!   nothing either way;
//! - known with another value: refused. A real one takes it where it is out of order, and keeps either.
//!
//! Bad samples never take good ones with them. The response names the first fault only, as from Cortex.

use std::{collections::HashMap, mem};

use prost::Message;
use remote_write_proto::v1;

use super::{
    config::AmpConfig,
    distributor::{Admitted, SeriesEntry},
    go,
    ingest_fault::{IngestFault, SeriesLimit},
    judgement::{Accepted, Judgement},
    labels::Labels,
    limits::Limits,
    series::Series,
    series_limits::SeriesCounts,
    store::StoreState,
    timestamp::millis,
};

/// How far behind the newest sample of all a series' own newest may be: half of a block.
const HEAD: i64 = 60 * 60 * 1000;

/// Judges what passed the distributor against the store.
pub(super) fn judge(
    admitted: Admitted,
    state: &StoreState,
    config: &AmpConfig,
    limits: &Limits,
) -> Judgement {
    let mut judging = Judging {
        state,
        limits,
        window: millis(config.out_of_order_window),
        counts: SeriesCounts::new(state, config.max_series, limits),
        index: HashMap::new(),
        out: Judgement {
            metadata: admitted.metadata,
            refused: admitted.refused,
            ..Judgement::default()
        },
    };
    for entry in admitted.entries {
        judging.judge_entry(entry);
    }
    judging
        .out
        .accepted
        .retain(|accepted| !accepted.fresh.is_empty() || !accepted.exemplars.is_empty());
    judging.out
}

/// A judgement in the making.
#[derive(Debug)]
struct Judging<'a> {
    state: &'a StoreState,
    limits: &'a Limits,
    window: i64,
    counts: SeriesCounts<'a>,
    /// Where in `out.accepted` a series is: Prometheus sends each sample as an entry of its own.
    index: HashMap<Labels, usize>,
    out: Judgement,
}

/// Where a sample stands to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SampleVerdict {
    Fresh,
    Known,
    OutOfOrder,
    TooOld { newest: i64 },
    OutOfBounds { newest: i64 },
    Conflict,
}

impl Judging<'_> {
    fn judge_entry(&mut self, mut entry: SeriesEntry) {
        if !self.limits.native_histograms {
            entry.histograms.clear();
        }
        let count = (entry.samples.len() + entry.histograms.len()) as u64;
        let (creates, histograms) = (count > 0, !entry.histograms.is_empty());
        let labels = entry.labels;
        let at = match self.slot(&labels, creates, histograms) {
            Ok(at) => at,
            Err(limit) => return self.refuse(limit.into(), count),
        };
        let empty = Series::default();
        let state = self.state;
        let stored = state.series(&labels).unwrap_or(&empty);
        // Taken out and put back below, so that the rest of the judging stays free meanwhile.
        let mut fresh = self
            .out
            .accepted
            .get_mut(at)
            .map(|slot| mem::take(&mut slot.fresh))
            .unwrap_or_default();

        for sample in entry.samples {
            let (timestamp, bits) = (sample.timestamp, sample.value.to_bits());
            let known = stored
                .samples
                .get(timestamp)
                .or(fresh.samples.get(timestamp))
                .copied();
            let histogram = stored.histograms.get(timestamp).is_some()
                || fresh.histograms.get(timestamp).is_some();
            let same = known.map(|known| known == bits);
            let verdict = self.verdict(
                timestamp,
                same.or(histogram.then_some(false)),
                stored,
                &fresh,
            );
            let what = || {
                let existing = known.map_or("is a histogram".to_owned(), |known| {
                    go::float(f64::from_bits(known))
                });
                let value = go::float(sample.value);
                format!(
                    " {timestamp}; overrides not allowed: existing {existing}, new value {value}"
                )
            };
            if self.count(verdict, timestamp, &labels, what) {
                fresh.samples.insert(timestamp, bits);
            }
        }
        for histogram in entry.histograms {
            let (timestamp, bytes) = (
                histogram.timestamp,
                histogram.encode_to_vec().into_boxed_slice(),
            );
            let same = stored
                .histograms
                .get(timestamp)
                .or(fresh.histograms.get(timestamp))
                .map(|known| *known == bytes);
            let sample =
                stored.samples.get(timestamp).is_some() || fresh.samples.get(timestamp).is_some();
            let verdict = self.verdict(timestamp, same.or(sample.then_some(false)), stored, &fresh);
            if self.count(verdict, timestamp, &labels, String::new) {
                fresh.histograms.insert(timestamp, bytes);
            }
        }
        let exists = state.series(&labels).is_some() || !fresh.is_empty();
        let exemplars = self.exemplars(entry.exemplars, &labels, exists, at);
        if let Some(slot) = self.out.accepted.get_mut(at) {
            slot.fresh = fresh;
            slot.exemplars.extend(exemplars);
        }
    }

    /// The place of a series among the accepted ones, made where there is none and the limits allow it.
    fn slot(
        &mut self,
        labels: &Labels,
        creates: bool,
        histograms: bool,
    ) -> Result<usize, SeriesLimit> {
        let known_slot = self.index.get(labels).copied();
        let new = creates && known_slot.is_none() && self.state.series(labels).is_none();
        self.counts.admit(labels, new, histograms)?;
        if let Some(at) = known_slot {
            return Ok(at);
        }
        let at = self.out.accepted.len();
        self.index.insert(labels.clone(), at);
        self.out.accepted.push(Accepted {
            labels: labels.clone(),
            fresh: Series::default(),
            exemplars: Vec::new(),
        });
        Ok(at)
    }

    /// `same` says whether the timestamp is taken, and if so whether by the very same value.
    fn verdict(
        &self,
        timestamp: i64,
        same: Option<bool>,
        stored: &Series,
        fresh: &Series,
    ) -> SampleVerdict {
        let newest_here = stored.newest().max(fresh.newest());
        let newest = self.state.newest().max(newest_here).unwrap_or(timestamp);
        let in_bounds = timestamp >= newest.saturating_sub(HEAD);
        let in_window = self.window > 0 && timestamp >= newest.saturating_sub(self.window);
        let is_newest = newest_here.is_none_or(|newest| timestamp >= newest);
        let in_order = is_newest && in_bounds;
        match same {
            Some(true) if in_order || in_window || !self.limits.refuse_late_repetitions => {
                SampleVerdict::Known
            }
            Some(false) => SampleVerdict::Conflict,
            None if in_order || in_window => SampleVerdict::Fresh,
            _ if self.window > 0 => SampleVerdict::TooOld { newest },
            _ if in_bounds => SampleVerdict::OutOfOrder,
            _ => SampleVerdict::OutOfBounds { newest },
        }
    }

    /// Books one sample or histogram; true if it is to be stored. `what` is how a conflict is described.
    fn count(
        &mut self,
        verdict: SampleVerdict,
        timestamp: i64,
        labels: &Labels,
        what: impl Fn() -> String,
    ) -> bool {
        let series = || labels.clone();
        let behind = |kind, newest| IngestFault::BehindTheHead {
            kind,
            timestamp,
            newest,
            series: series(),
        };
        let fault = match verdict {
            SampleVerdict::Fresh => return true,
            SampleVerdict::Known => {
                self.out.duplicates += 1;
                return false;
            }
            SampleVerdict::OutOfOrder => IngestFault::OutOfOrder {
                timestamp,
                series: series(),
            },
            SampleVerdict::TooOld { newest } => behind("too old sample", newest),
            SampleVerdict::OutOfBounds { newest } => behind("out of bounds", newest),
            SampleVerdict::Conflict => IngestFault::Duplicate {
                what: what(),
                series: series(),
            },
        };
        self.refuse(fault, 1);
        false
    }

    /// Those that are good; none is checked where exemplars are off, and each is counted all the same.
    fn exemplars(
        &mut self,
        exemplars: Vec<v1::Exemplar>,
        labels: &Labels,
        exists: bool,
        at: usize,
    ) -> Vec<v1::Exemplar> {
        if !self.limits.exemplars {
            return exemplars;
        }
        let before = |slot: &Accepted| slot.exemplars.iter().map(|known| known.timestamp).max();
        let in_batch = self.out.accepted.get(at).and_then(before);
        let mut newest = self.state.newest_exemplar(labels).max(in_batch);
        let mut good = Vec::new();
        for exemplar in exemplars {
            let kind = if !exists {
                "exemplars not ingested because series not already present"
            } else if newest.is_some_and(|newest| exemplar.timestamp < newest) {
                "out of order exemplar"
            } else {
                newest = Some(exemplar.timestamp);
                good.push(exemplar);
                continue;
            };
            self.refuse(
                IngestFault::Exemplar {
                    kind,
                    timestamp: exemplar.timestamp,
                    series: labels.clone(),
                    exemplar: go::labels(&exemplar.labels),
                },
                0,
            );
        }
        good
    }

    fn refuse(&mut self, fault: IngestFault, count: u64) {
        self.out.refused += count;
        self.out.first_fault.get_or_insert(fault);
    }
}
