//! Every metric, with its name, unit and labels.
//!
//! Names begin `amp_sidecar_` and carry base units, as the Prometheus documentation on metric names asks; labels are
//! bounded: outcomes are the names of [`Verdict`]s, results those of the errors' `name()`. The handles of what a batch
//! touches are made once, so that counting is a few atomic additions.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::batch::inspect::Contents;
use crate::batch::verdict::Verdict;

/// From a batch on loopback to the deadline and beyond.
const DURATIONS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0,
];

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcomes {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u16,
}

/// What a batch consists of, counted each.
#[derive(Debug, Default)]
struct Parts {
    series: Counter,
    samples: Counter,
    histograms: Counter,
    exemplars: Counter,
    metadata: Counter,
}

#[derive(Debug, Default)]
struct Lost {
    samples: Family<Reason, Counter>,
    histograms: Family<Reason, Counter>,
    exemplars: Family<Reason, Counter>,
}

/// All metrics.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    batches: Family<Outcome, Counter>,
    received: Parts,
    forwarded: Parts,
    lost: Lost,
    received_bytes: Counter,
    splits: Counter,
    split_parts: Counter,
    duration: Histogram,
    upstream_answers: Family<Code, Counter>,
    upstream_faults: Family<Reason, Counter>,
    upstream_resends: Family<Reason, Counter>,
    inflight_bytes: Gauge,
    inflight_requests: Gauge,
    exchanges: Family<Outcomes, Counter>,
    credentials_expire: Seconds,
    clock_offset: Seconds,
    ready: Gauge,
}

// === impl Telemetry ===

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut telemetry = Self {
            registry: Registry::with_prefix("amp_sidecar"),
            batches: Family::default(),
            received: Parts::default(),
            forwarded: Parts::default(),
            lost: Lost::default(),
            received_bytes: Counter::default(),
            splits: Counter::default(),
            split_parts: Counter::default(),
            duration: Histogram::new(DURATIONS),
            upstream_answers: Family::default(),
            upstream_faults: Family::default(),
            upstream_resends: Family::default(),
            inflight_bytes: Gauge::default(),
            inflight_requests: Gauge::default(),
            exchanges: Family::default(),
            credentials_expire: Seconds::default(),
            clock_offset: Seconds::default(),
            ready: Gauge::default(),
        };
        telemetry.register();
        telemetry
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", build);
        registry.register(
            "batches",
            "Requests of senders by what became of them",
            self.batches.clone(),
        );
        for (parts, verb, done) in [
            (&self.received, "received", "read and found whole"),
            (&self.forwarded, "forwarded", "stored by AMP"),
        ] {
            for (name, counter) in parts.named() {
                registry.register(
                    format!("{verb}_{name}"),
                    format!("{name} of batches that were {done}"),
                    counter.clone(),
                );
            }
        }
        for (name, family) in [
            ("samples", &self.lost.samples),
            ("histograms", &self.lost.histograms),
            ("exemplars", &self.lost.exemplars),
        ] {
            let help = format!(
                "{name} of batches that were refused for good, an upper bound: AMP stores the good ones among them"
            );
            registry.register(format!("lost_{name}"), help, family.clone());
        }
        registry.register_with_unit(
            "received",
            "Compressed bytes of bodies that were read and found whole",
            Unit::Bytes,
            self.received_bytes.clone(),
        );
        registry.register(
            "splits",
            "Batches that were too large for AMP and were split",
            self.splits.clone(),
        );
        registry.register(
            "split_parts",
            "Parts that split batches were sent in",
            self.split_parts.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's head to its answer",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "upstream_answers",
            "AMP's answers by status",
            self.upstream_answers.clone(),
        );
        registry.register(
            "upstream_faults",
            "Attempts that no answer of AMP ended",
            self.upstream_faults.clone(),
        );
        registry.register(
            "upstream_resends",
            "Requests sent once more within one batch: stale connection, clock, credentials",
            self.upstream_resends.clone(),
        );
        registry.register_with_unit(
            "inflight",
            "Bytes reserved for bodies",
            Unit::Bytes,
            self.inflight_bytes.clone(),
        );
        registry.register(
            "inflight_requests",
            "Requests admitted and not yet answered",
            self.inflight_requests.clone(),
        );
        registry.register(
            "credential_exchanges",
            "Exchanges of the token for credentials by result",
            self.exchanges.clone(),
        );
        registry.register_with_unit(
            "credentials_expire_timestamp",
            "When the credentials in use expire, since the epoch; 0 before the first",
            Unit::Seconds,
            self.credentials_expire.clone(),
        );
        registry.register_with_unit(
            "clock_offset",
            "How far AWS' clock is ahead of this machine's",
            Unit::Seconds,
            self.clock_offset.clone(),
        );
        registry.register(
            "ready",
            "1 while credentials are held and the sidecar is not leaving",
            self.ready.clone(),
        );
    }

    /// A body was read and found whole.
    pub fn received(&self, bytes: usize, contents: &Contents) {
        self.received_bytes.inc_by(bytes as u64);
        self.received.add(contents);
    }

    /// A sender was answered.
    pub fn answered(&self, verdict: &Verdict, took: Duration) {
        self.batches
            .get_or_create(&Outcome {
                outcome: verdict.name(),
            })
            .inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A payload, which is a batch or a part of one, was stored, refused or is to come again.
    pub fn delivered(&self, verdict: &Verdict, contents: &Contents) {
        if matches!(verdict, Verdict::Stored { .. }) {
            self.forwarded.add(contents);
        }
        if let Some(reason) = verdict.lost() {
            let reason = Reason { reason };
            self.lost
                .samples
                .get_or_create(&reason)
                .inc_by(contents.samples);
            self.lost
                .histograms
                .get_or_create(&reason)
                .inc_by(contents.histograms);
            self.lost
                .exemplars
                .get_or_create(&reason)
                .inc_by(contents.exemplars);
        }
    }

    /// A batch was split.
    pub fn split(&self, parts: usize) {
        self.splits.inc();
        self.split_parts.inc_by(parts as u64);
    }

    /// AMP answered.
    pub fn upstream_answer(&self, status: StatusCode) {
        self.upstream_answers
            .get_or_create(&Code {
                code: status.as_u16(),
            })
            .inc();
    }

    /// AMP did not answer.
    pub fn upstream_fault(&self, reason: &'static str) {
        self.upstream_faults.get_or_create(&Reason { reason }).inc();
    }

    /// The same bytes went out once more.
    pub fn upstream_resend(&self, reason: &'static str) {
        self.upstream_resends
            .get_or_create(&Reason { reason })
            .inc();
    }

    /// An exchange gave credentials.
    pub fn credentials_obtained(&self, expires: SystemTime) {
        self.exchanges
            .get_or_create(&Outcomes { result: "ok" })
            .inc();
        let expires = expires
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.credentials_expire.set(expires.as_secs_f64());
    }

    /// An exchange gave none.
    pub fn exchange_failed(&self, result: &'static str) {
        self.exchanges.get_or_create(&Outcomes { result }).inc();
    }

    /// What is measured when somebody looks.
    pub fn observe(
        &self,
        inflight_bytes: usize,
        inflight_requests: usize,
        clock_offset: f64,
        ready: bool,
    ) {
        self.inflight_bytes
            .set(i64::try_from(inflight_bytes).unwrap_or(i64::MAX));
        self.inflight_requests
            .set(i64::try_from(inflight_requests).unwrap_or(i64::MAX));
        self.clock_offset.set(clock_offset);
        self.ready.set(i64::from(ready));
    }

    /// OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to a string cannot fail.
            Err(std::fmt::Error) => String::new(),
        }
    }
}

impl Parts {
    fn named(&self) -> [(&'static str, &Counter); 5] {
        [
            ("series", &self.series),
            ("samples", &self.samples),
            ("histograms", &self.histograms),
            ("exemplars", &self.exemplars),
            ("metadata", &self.metadata),
        ]
    }

    fn add(&self, contents: &Contents) {
        self.series.inc_by(contents.series);
        self.samples.inc_by(contents.samples);
        self.histograms.inc_by(contents.histograms);
        self.exemplars.inc_by(contents.exemplars);
        self.metadata.inc_by(contents.metadata);
    }
}
