//! A registry that also keeps each metric's documentation.
//!
//! In: a metric's full name, its help, and what to do with it. Out: the metric, registered, and a [`MetricEntry`] for the reference page,
//! so every metric that is served is documented. The name's suffix gives unit and type, as in OpenMetrics, so neither is a parameter.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, NativeHistogramConfig};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::labels::Labels;
use crate::REVISION;

/// One row of the reference page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricEntry {
    /// The full name, as in Prometheus' text format.
    pub name: String,
    /// Counter, gauge or histogram.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    pub help: String,
    /// What to do with it.
    pub advice: &'static str,
}

/// A counter of fractions.
pub(crate) type FloatCounter = Counter<f64, AtomicU64>;
pub(crate) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(crate) struct MetricRegistry<'a> {
    registry: &'a mut Registry,
    entries: Vec<MetricEntry>,
}

// === impl MetricEntry ===

impl MetricEntry {
    /// The unit in the name; empty if there is none.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match stem(&self.name).1 {
            Some(Unit::Bytes) => "bytes",
            Some(Unit::Seconds) => "seconds",
            _ => "",
        }
    }
}

// === impl MetricRegistry ===

impl<'a> MetricRegistry<'a> {
    pub(crate) fn new(registry: &'a mut Registry) -> Self {
        Self {
            registry,
            entries: Vec::new(),
        }
    }

    pub(crate) fn entries(self) -> Vec<MetricEntry> {
        self.entries
    }

    pub(crate) fn counter<L: Labels + MetricKey>(
        &mut self,
        name: impl Into<String>,
        help: impl Into<String>,
        advice: &'static str,
    ) -> Family<L, Counter> {
        let metric = Family::default();
        self.add(name, "counter", L::NAMES, help, advice, metric)
    }

    pub(crate) fn float_counter<L: Labels + MetricKey>(
        &mut self,
        name: &str,
        help: &str,
        advice: &'static str,
    ) -> Family<L, FloatCounter> {
        let metric = Family::default();
        self.add(name, "counter", L::NAMES, help, advice, metric)
    }

    pub(crate) fn gauge<L: Labels + MetricKey, G>(
        &mut self,
        name: &str,
        help: &str,
        advice: &'static str,
    ) -> Family<L, G>
    where
        G: Default,
        Family<L, G>: Metric,
    {
        self.add(name, "gauge", L::NAMES, help, advice, Family::default())
    }

    pub(crate) fn histogram<L: Labels + MetricKey>(
        &mut self,
        name: &str,
        make: fn() -> Histogram,
        help: &str,
        advice: &'static str,
    ) -> Histograms<L> {
        let metric = Family::new_with_constructor(make);
        self.add(name, "histogram", L::NAMES, help, advice, metric)
    }

    /// A metric without labels.
    pub(crate) fn alone<M: Metric + Clone + Default>(
        &mut self,
        name: &str,
        kind: &'static str,
        help: &str,
        advice: &'static str,
    ) -> M {
        self.add(name, kind, &[], help, advice, M::default())
    }

    /// What is running: a gauge that is always 1.
    pub(crate) fn build_info(&mut self, name: &str, version: &'static str, help: &str) {
        let labels = [("version", version), ("revision", REVISION)];
        self.registry
            .register(name.trim_end_matches("_info"), help, Info::new(labels));
        self.entries.push(MetricEntry {
            name: name.to_owned(),
            kind: "gauge",
            labels: &["version", "revision"],
            help: help.to_owned(),
            advice: "tells whether a roll-out has reached every pod",
        });
    }

    fn add<M: Metric + Clone>(
        &mut self,
        name: impl Into<String>,
        kind: &'static str,
        labels: &'static [&'static str],
        help: impl Into<String>,
        advice: &'static str,
        metric: M,
    ) -> M {
        let (name, help) = (name.into(), help.into());
        let shown = metric.clone();
        match stem(&name) {
            (stem, Some(unit)) => self
                .registry
                .register_with_unit(stem, help.clone(), unit, shown),
            (stem, None) => self.registry.register(stem, help.clone(), shown),
        }
        self.entries.push(MetricEntry {
            name,
            kind,
            labels,
            help,
            advice,
        });
        metric
    }
}

/// A family's set of labels.
pub(crate) trait MetricKey:
    Clone + std::hash::Hash + Eq + std::fmt::Debug + Send + Sync + 'static
{
}

impl<T: Clone + std::hash::Hash + Eq + std::fmt::Debug + Send + Sync + 'static> MetricKey for T {}

/// The family's name in OpenMetrics, without its unit.
pub(crate) fn stem(name: &str) -> (&str, Option<Unit>) {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit_once('_') {
        Some((stem, "bytes")) => (stem, Some(Unit::Bytes)),
        Some((stem, "seconds")) => (stem, Some(Unit::Seconds)),
        _ => (name, None),
    }
}

/// Classic buckets with these bounds, and native ones, each at most a tenth wider than the one before.
pub(crate) fn buckets(bounds: impl IntoIterator<Item = f64>, nothing: f64) -> Histogram {
    let native = NativeHistogramConfig::new(1.1)
        .zero_threshold(nothing)
        .max_buckets(160);
    Histogram::new_classic_and_native(bounds, native)
}
