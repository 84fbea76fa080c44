//! Decides, sample by sample, what of a batch is good. Pure: it reads the store and changes nothing.
//!
//! Separate from storing, so that a batch can be forwarded to a real Prometheus in between and forgotten if that fails.
//! The rules are those of Prometheus' TSDB as Cortex runs it:
//! - newer than everything in its series: good;
//! - older, but within the out-of-order window behind the newest sample *of the workspace*: good;
//! - older still: out of order;
//! - known already with the same value: good, counted as a duplicate (real ingesters refuse a repetition from beyond the
//!   window; here it is let pass, since it has been stored and the sender loses nothing either way);
//! - known with another value: refused.
//!
//! Bad samples never take good ones with them. The sender hears of the first fault only, as from Cortex.

use std::{
    collections::HashMap,
    mem,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use prost::Message;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    config::AmpConfig,
    labels::{LabelFault, Labels},
    proto::v1,
    refusal::Written,
    series::Series,
    store::State,
};

/// What is to become of one batch.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) accepted: Vec<Accepted>,
    pub(super) metadata: Vec<v1::MetricMetadata>,
    pub(super) written: Written,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    pub(super) first_fault: Option<DataFault>,
}

/// What one series gains.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) labels: Labels,
    /// Only what the store does not have yet.
    pub(super) fresh: Series,
    pub(super) exemplars: Vec<v1::Exemplar>,
}

/// Why a sample is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataFault {
    #[error(transparent)]
    Labels(#[from] LabelFault),
    #[error("timestamp too old: {timestamp} metric: {metric:?}")]
    TooOld { timestamp: i64, metric: String },
    #[error("user={tenant}: err: {kind}. timestamp={timestamp}, series={series}")]
    Ingest {
        tenant: String,
        kind: &'static str,
        timestamp: String,
        series: String,
    },
    #[error(
        "user={tenant}: per-user series limit of {limit} exceeded, please contact administrator to raise it (local \
         limit: 0 global limit: {limit} actual local limit: {limit})"
    )]
    SeriesLimit { tenant: String, limit: usize },
}

impl DataFault {
    pub(super) fn status(&self, config: &AmpConfig) -> StatusCode {
        match self {
            Self::SeriesLimit { .. } => config.series_limit_status,
            Self::Labels(_) | Self::TooOld { .. } | Self::Ingest { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

/// Judges a batch against the store and the clock.
pub(super) fn judge(
    request: v1::WriteRequest,
    state: &State,
    config: &AmpConfig,
    now: SystemTime,
) -> Judgement {
    let mut bench = Bench::new(state, config, now);
    for series in request.timeseries {
        bench.hear(series);
    }
    bench.out.metadata = request.metadata;
    bench
        .out
        .accepted
        .retain(|accepted| !accepted.fresh.is_empty() || !accepted.exemplars.is_empty());
    bench.out
}

/// A judgement in the making.
#[derive(Debug)]
struct Bench<'a> {
    state: &'a State,
    config: &'a AmpConfig,
    oldest: i64,
    new_series: usize,
    /// Where in `out.accepted` a series is: Prometheus sends each sample as an entry of its own.
    index: HashMap<Labels, usize>,
    out: Judgement,
}

/// Where a sample stands to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fresh,
    Known,
    TooOld,
    OutOfOrder,
    Conflict,
}

impl<'a> Bench<'a> {
    fn new(state: &'a State, config: &'a AmpConfig, now: SystemTime) -> Self {
        let oldest = unix_ms(now).saturating_sub(millis(config.max_sample_age));
        Self {
            state,
            config,
            oldest,
            new_series: 0,
            index: HashMap::new(),
            out: Judgement::default(),
        }
    }

    fn hear(&mut self, entry: v1::TimeSeries) {
        let count = (entry.samples.len() + entry.histograms.len()) as u64;
        let labels = Labels::accept(entry.labels, self.config).map_err(DataFault::from);
        let (labels, at) =
            match labels.and_then(|labels| Ok((labels.clone(), self.seat(labels, count > 0)?))) {
                Ok(seat) => seat,
                Err(fault) => return self.refuse(fault, count),
            };
        let empty = Series::default();
        let state = self.state;
        let stored = state.series(&labels).unwrap_or(&empty);
        // Taken out and put back below, so that the rest of the bench stays free meanwhile.
        let mut fresh = self
            .out
            .accepted
            .get_mut(at)
            .map(|seat| mem::take(&mut seat.fresh))
            .unwrap_or_default();

        for sample in entry.samples {
            let (timestamp, bits) = (sample.timestamp, sample.value.to_bits());
            let same = stored
                .samples
                .get(timestamp)
                .or(fresh.samples.get(timestamp))
                .map(|known| *known == bits);
            let other_kind = stored
                .histograms
                .get(timestamp)
                .or(fresh.histograms.get(timestamp))
                .map(|_| false);
            let standing = self.standing(timestamp, same.or(other_kind), stored, &fresh);
            if self.count(standing, timestamp, &labels) {
                self.out.written.samples += 1;
                if standing == Standing::Fresh {
                    fresh.samples.insert(timestamp, bits);
                }
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
            let other_kind = stored
                .samples
                .get(timestamp)
                .or(fresh.samples.get(timestamp))
                .map(|_| false);
            let standing = self.standing(timestamp, same.or(other_kind), stored, &fresh);
            if self.count(standing, timestamp, &labels) {
                self.out.written.histograms += 1;
                if standing == Standing::Fresh {
                    fresh.histograms.insert(timestamp, bytes);
                }
            }
        }
        self.out.written.exemplars += entry.exemplars.len() as u64;
        if let Some(seat) = self.out.accepted.get_mut(at) {
            seat.fresh = fresh;
            seat.exemplars.extend(entry.exemplars);
        }
    }

    /// The place of a series among the accepted ones, made where there is none and the limit allows it.
    fn seat(&mut self, labels: Labels, creates: bool) -> Result<usize, DataFault> {
        if let Some(&at) = self.index.get(&labels) {
            return Ok(at);
        }
        if creates && self.state.series(&labels).is_none() {
            let limit = self.config.max_series;
            if self.state.series_count() + self.new_series >= limit {
                return Err(DataFault::SeriesLimit {
                    tenant: self.config.tenant(),
                    limit,
                });
            }
            self.new_series += 1;
        }
        let at = self.out.accepted.len();
        self.index.insert(labels.clone(), at);
        self.out.accepted.push(Accepted {
            labels,
            fresh: Series::default(),
            exemplars: Vec::new(),
        });
        Ok(at)
    }

    /// `same` tells whether the timestamp is taken, and if so whether by the very same value.
    fn standing(
        &self,
        timestamp: i64,
        same: Option<bool>,
        stored: &Series,
        fresh: &Series,
    ) -> Standing {
        let newest_here = stored.newest().max(fresh.newest());
        let window = millis(self.config.out_of_order_window);
        let bound = self
            .state
            .newest()
            .max(newest_here)
            .map(|newest| newest.saturating_sub(window));
        match same {
            _ if timestamp < self.oldest => Standing::TooOld,
            Some(true) => Standing::Known,
            Some(false) => Standing::Conflict,
            None if newest_here.is_none_or(|newest| timestamp > newest) => Standing::Fresh,
            None if bound.is_none_or(|bound| timestamp >= bound) => Standing::Fresh,
            None => Standing::OutOfOrder,
        }
    }

    /// Books one sample or histogram; true if it is (or was) stored.
    fn count(&mut self, standing: Standing, timestamp: i64, labels: &Labels) -> bool {
        let kind = match standing {
            Standing::Fresh => return true,
            Standing::Known => {
                self.out.duplicates += 1;
                return true;
            }
            Standing::TooOld => {
                let metric = labels.get("__name__").unwrap_or_default().to_owned();
                self.refuse(DataFault::TooOld { timestamp, metric }, 1);
                return false;
            }
            Standing::OutOfOrder => "out of order sample",
            Standing::Conflict => "duplicate sample for timestamp",
        };
        let (tenant, timestamp, series) =
            (self.config.tenant(), rfc3339(timestamp), labels.to_string());
        self.refuse(
            DataFault::Ingest {
                tenant,
                kind,
                timestamp,
                series,
            },
            1,
        );
        false
    }

    fn refuse(&mut self, fault: DataFault, count: u64) {
        self.out.refused += count;
        self.out.first_fault.get_or_insert(fault);
    }
}

fn unix_ms(moment: SystemTime) -> i64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).map(millis);
    since.unwrap_or_else(|before| -millis(before.duration()))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn rfc3339(timestamp: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp) * 1_000_000).ok();
    moment
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| timestamp.to_string())
}
