//! What Cortex' distributor does with a decoded request: it checks each series and metadata by themselves.
//!
//! In: a request, and the limits. Out: [`Admitted`], what goes on to the rate limits and to the ingesters, with the first
//! fault of the rest. Pure: nothing here knows what is stored. A bad series does not take others with it, but one bad
//! sample, exemplar or histogram takes its whole entry; only a series without any label ends the request.
//!
//! What is refused here is reported without the ingesters' preface, and leaves the `-Written` counts of the rest as they are.

use std::time::SystemTime;

use remote_write_proto::v1;

use super::{
    config::AmpConfig,
    go,
    histogram::{self, HistogramFault},
    labels::{LabelFault, Labels},
    limits::{HaTracker, Limits},
    timestamp::{millis, unix_ms},
    written_stats::WrittenStats,
};

/// Characters of all names and values of one exemplar's labels.
const EXEMPLAR_CHARACTERS: usize = 128;

/// What passed.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    /// Series with histograms stand after the others.
    pub(super) entries: Vec<SeriesEntry>,
    pub(super) metadata: Vec<v1::MetricMetadata>,
    pub(super) counts: WrittenStats,
    /// Samples and histograms that did not pass.
    pub(super) refused: u64,
    pub(super) first_fault: Option<SeriesFault>,
}

/// One entry of a request whose labels are a series.
#[derive(Debug)]
pub(super) struct SeriesEntry {
    pub(super) labels: Labels,
    pub(super) samples: Vec<v1::Sample>,
    pub(super) histograms: Vec<v1::Histogram>,
    pub(super) exemplars: Vec<v1::Exemplar>,
}

/// Why an entry or a metadata does not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeriesFault {
    #[error("empty labels found")]
    NoLabels,
    #[error(transparent)]
    Labels(#[from] LabelFault),
    #[error("timestamp too old: {timestamp} metric: {}", go::quoted_start(metric))]
    TooOld { timestamp: i64, metric: String },
    #[error("timestamp too new: {timestamp} metric: {}", go::quoted_start(metric))]
    TooNew { timestamp: i64, metric: String },
    #[error("exemplar {problem}, timestamp: {timestamp} series: {series} labels: {labels}")]
    Exemplar {
        problem: &'static str,
        timestamp: i64,
        series: String,
        labels: String,
    },
    #[error(transparent)]
    Histogram(#[from] HistogramFault),
    #[error("metadata missing metric name")]
    NoFamily,
    #[error(
        "metadata '{kind}' value too long: {} metric {}",
        go::quoted_start(value),
        go::quoted_start(family)
    )]
    Metadata {
        kind: &'static str,
        value: String,
        family: String,
    },
}

/// Cluster and replica of the request's first series, if it has both.
pub(super) fn replica(tracker: &HaTracker, request: &v1::WriteRequest) -> Option<(String, String)> {
    let labels = &request.timeseries.first()?.labels;
    let value = |name: &str| {
        let label = labels.iter().rev().find(|label| label.name == name)?;
        (!label.value.is_empty()).then(|| label.value.clone())
    };
    Some((
        value(&tracker.cluster_label)?,
        value(&tracker.replica_label)?,
    ))
}

/// What is in a request, before anything is checked.
pub(super) fn counts(request: &v1::WriteRequest) -> WrittenStats {
    let mut counts = WrittenStats::default();
    for series in &request.timeseries {
        counts.add(&series.samples, &series.histograms, &series.exemplars);
    }
    counts
}

/// Checks a request. `drop_label` is the replica's, where the HA tracker has taken it.
///
/// # Errors
/// When a series has no labels at all: then nothing passes.
pub(super) fn admit(
    request: v1::WriteRequest,
    drop_label: Option<&str>,
    config: &AmpConfig,
    limits: &Limits,
    now: SystemTime,
) -> Result<Admitted, SeriesFault> {
    let rules = Rules {
        config,
        limits,
        oldest: unix_ms(now).saturating_sub(millis(config.max_sample_age)),
        newest: limits
            .creation_grace_period
            .map(|grace| unix_ms(now).saturating_add(millis(grace))),
    };
    let mut admitted = Admitted::default();
    let mut with_histograms = Vec::new();
    for mut series in request.timeseries {
        if series.labels.is_empty() {
            return Err(SeriesFault::NoLabels);
        }
        if let Some(name) = drop_label {
            series.labels.retain(|label| label.name != name);
        }
        let count = (series.samples.len() + series.histograms.len()) as u64;
        match rules.entry(series) {
            Err(fault) => {
                admitted.refused += count;
                admitted.first_fault.get_or_insert(fault);
            }
            Ok(entry) => {
                admitted
                    .counts
                    .add(&entry.samples, &entry.histograms, &entry.exemplars);
                if entry.histograms.is_empty() {
                    admitted.entries.push(entry);
                } else {
                    with_histograms.push(entry);
                }
            }
        }
    }
    admitted.entries.append(&mut with_histograms);
    for metadata in request.metadata {
        match rules.metadata(&metadata) {
            Ok(()) => admitted.metadata.push(metadata),
            Err(fault) => {
                admitted.first_fault.get_or_insert(fault);
            }
        }
    }
    Ok(admitted)
}

#[derive(Debug)]
struct Rules<'a> {
    config: &'a AmpConfig,
    limits: &'a Limits,
    oldest: i64,
    newest: Option<i64>,
}

impl Rules<'_> {
    fn entry(&self, series: v1::TimeSeries) -> Result<SeriesEntry, SeriesFault> {
        let labels = Labels::accept(series.labels, self.config, self.limits)?;
        for sample in &series.samples {
            self.timestamp(sample.timestamp, &labels)?;
        }
        for exemplar in &series.exemplars {
            check_exemplar(exemplar, &labels)?;
        }
        for histogram in &series.histograms {
            self.timestamp(histogram.timestamp, &labels)?;
            histogram::check(histogram, self.limits, || go::metric(labels.iter()))?;
        }
        Ok(SeriesEntry {
            labels,
            samples: series.samples,
            histograms: series.histograms,
            exemplars: series.exemplars,
        })
    }

    fn timestamp(&self, timestamp: i64, labels: &Labels) -> Result<(), SeriesFault> {
        let metric = || labels.get("__name__").unwrap_or_default().to_owned();
        if timestamp < self.oldest {
            return Err(SeriesFault::TooOld {
                timestamp,
                metric: metric(),
            });
        }
        if self.newest.is_some_and(|newest| timestamp > newest) {
            return Err(SeriesFault::TooNew {
                timestamp,
                metric: metric(),
            });
        }
        Ok(())
    }

    fn metadata(&self, metadata: &v1::MetricMetadata) -> Result<(), SeriesFault> {
        let family = &metadata.metric_family_name;
        if family.is_empty() {
            return Err(SeriesFault::NoFamily);
        }
        let parts = [
            ("METRIC_NAME", family),
            ("HELP", &metadata.help),
            ("UNIT", &metadata.unit),
        ];
        let limit = self.limits.max_metadata_length.unwrap_or(usize::MAX);
        match parts.into_iter().find(|(_, value)| value.len() > limit) {
            None => Ok(()),
            Some((kind, value)) => Err(SeriesFault::Metadata {
                kind,
                value: value.clone(),
                family: family.clone(),
            }),
        }
    }
}

fn check_exemplar(exemplar: &v1::Exemplar, series: &Labels) -> Result<(), SeriesFault> {
    let characters: usize = exemplar
        .labels
        .iter()
        .map(|label| label.name.chars().count() + label.value.chars().count())
        .sum();
    let problem = if exemplar.labels.is_empty() {
        "missing labels"
    } else if exemplar.timestamp == 0 {
        "missing timestamp"
    } else if characters > EXEMPLAR_CHARACTERS {
        "combined labelset exceeds 128 characters"
    } else {
        return Ok(());
    };
    Err(SeriesFault::Exemplar {
        problem,
        timestamp: exemplar.timestamp,
        series: series.to_string(),
        labels: go::labels(&exemplar.labels),
    })
}
