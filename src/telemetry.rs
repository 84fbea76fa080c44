//! Every metric, with its name, unit and labels.
//!
//! Names begin `amp_sidecar_` and carry base units, as the Prometheus documentation on metric names asks; labels are
//! bounded: workspaces are those of the configuration, outcomes the names of [`Verdict`]s, results those of the errors'
//! `name()`. [`Telemetry`] is the whole; a workspace counts with its [`Meters`], in which the handles of what every batch
//! touches are made once, so that counting is a few atomic additions.

mod queries;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::batch::inspect::Contents;
use crate::batch::verdict::Verdict;

use queries::QueryFamilies;
pub use queries::QueryMeters;

/// From a batch on loopback to the deadline and beyond.
const DURATIONS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0,
];

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    workspace: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    workspace: Arc<str>,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    workspace: Arc<str>,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exchange {
    workspace: Arc<str>,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    workspace: Arc<str>,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Denial {
    workspace: Arc<str>,
    action: &'static str,
    resource: String,
}

/// What batches consist of, each counted.
#[derive(Debug, Clone, Default)]
struct Parts<M> {
    series: M,
    samples: M,
    histograms: M,
    exemplars: M,
    metadata: M,
}

type PerWorkspace<M> = Family<Of, M>;

/// Every metric over all workspaces; clones share the numbers.
#[derive(Debug, Clone)]
struct Families {
    batches: Family<Outcome, Counter>,
    received: Parts<PerWorkspace<Counter>>,
    forwarded: Parts<PerWorkspace<Counter>>,
    lost_samples: Family<Reason, Counter>,
    lost_histograms: Family<Reason, Counter>,
    lost_exemplars: Family<Reason, Counter>,
    received_bytes: PerWorkspace<Counter>,
    splits: PerWorkspace<Counter>,
    split_parts: PerWorkspace<Counter>,
    duration: Family<Of, Histogram, fn() -> Histogram>,
    upstream_answers: Family<Code, Counter>,
    upstream_faults: Family<Reason, Counter>,
    upstream_resends: Family<Reason, Counter>,
    upstream_connections: PerWorkspace<Counter>,
    denials: Family<Denial, Counter>,
    inflight_bytes: PerWorkspace<Gauge>,
    inflight_requests: PerWorkspace<Gauge>,
    exchanges: Family<Exchange, Counter>,
    exchange_duration: Family<Of, Histogram, fn() -> Histogram>,
    credentials_expire: PerWorkspace<Seconds>,
    clock_offset: PerWorkspace<Seconds>,
    ready: PerWorkspace<Gauge>,
    queries: QueryFamilies,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    result: &'static str,
}

/// All metrics.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    families: Families,
    reloads: Family<Reload, Counter>,
    last_reload_successful: Gauge,
    started: Seconds,
}

/// What one workspace counts with.
#[derive(Debug)]
pub struct Meters {
    workspace: Arc<str>,
    families: Families,
    received: Parts<Counter>,
    forwarded: Parts<Counter>,
    received_bytes: Counter,
    splits: Counter,
    split_parts: Counter,
    duration: Histogram,
    upstream_connections: Counter,
    exchange_duration: Histogram,
    stored: Counter,
    inflight_bytes: Gauge,
    inflight_requests: Gauge,
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
    /// All metrics, of no workspace yet.
    #[must_use]
    pub fn new() -> Self {
        let families = Families::new();
        let mut registry = Registry::with_prefix("amp_sidecar");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", build);
        let started = Seconds::default();
        measured(
            &mut registry,
            "start_timestamp",
            Unit::Seconds,
            "When this process began to serve, since the epoch",
            &started,
        );
        families.register(&mut registry);
        let reloads = Family::default();
        plain(
            &mut registry,
            "config_reloads",
            "Tries to put a new configuration in place by result: ok or refused",
            &reloads,
        );
        let last_reload_successful = Gauge::default();
        last_reload_successful.set(1);
        plain(
            &mut registry,
            "config_last_reload_successful",
            "0 while an older configuration is served than the one that was given last",
            &last_reload_successful,
        );
        Self {
            registry,
            families,
            reloads,
            last_reload_successful,
            started,
        }
    }

    /// A new configuration was put in place, or refused.
    pub fn reloaded(&self, successful: bool) {
        let result = if successful { "ok" } else { "refused" };
        self.reloads.get_or_create(&Reload { result }).inc();
        self.last_reload_successful.set(i64::from(successful));
    }

    /// The process begins to serve.
    pub fn started(&self, at: SystemTime) {
        self.started.set(since_the_epoch(at));
    }

    /// What the workspace of this name counts with, from where it left off.
    #[must_use]
    pub fn meters(&self, workspace: &str) -> Meters {
        Meters::new(Arc::from(workspace), self.families.clone())
    }

    /// The workspace of this name is served no more: its counters stay, its state is not shown any longer.
    pub fn forget(&self, workspace: &str) {
        let of = Of {
            workspace: Arc::from(workspace),
        };
        let families = &self.families;
        families.inflight_bytes.remove(&of);
        families.inflight_requests.remove(&of);
        families.credentials_expire.remove(&of);
        families.clock_offset.remove(&of);
        families.ready.remove(&of);
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

// === impl Families ===

impl Families {
    fn new() -> Self {
        Self {
            batches: Family::default(),
            received: Parts::default(),
            forwarded: Parts::default(),
            lost_samples: Family::default(),
            lost_histograms: Family::default(),
            lost_exemplars: Family::default(),
            received_bytes: Family::default(),
            splits: Family::default(),
            split_parts: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            upstream_answers: Family::default(),
            upstream_faults: Family::default(),
            upstream_resends: Family::default(),
            upstream_connections: Family::default(),
            denials: Family::default(),
            inflight_bytes: Family::default(),
            inflight_requests: Family::default(),
            exchanges: Family::default(),
            exchange_duration: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            credentials_expire: Family::default(),
            clock_offset: Family::default(),
            ready: Family::default(),
            queries: QueryFamilies::default(),
        }
    }

    fn register(&self, registry: &mut Registry) {
        self.queries.register(registry);
        plain(
            registry,
            "batches",
            "Requests of senders by what became of them",
            &self.batches,
        );
        for (parts, verb, done) in [
            (&self.received, "received", "read and found whole"),
            (&self.forwarded, "forwarded", "stored by AMP"),
        ] {
            for (name, family) in parts.named() {
                let help = format!("{name} of batches that were {done}");
                plain(registry, &format!("{verb}_{name}"), &help, family);
            }
        }
        for (name, family) in [
            ("samples", &self.lost_samples),
            ("histograms", &self.lost_histograms),
            ("exemplars", &self.lost_exemplars),
        ] {
            let help = format!(
                "{name} of batches that were refused for good, an upper bound: AMP stores the good ones among them"
            );
            plain(registry, &format!("lost_{name}"), &help, family);
        }
        plain(
            registry,
            "splits",
            "Batches that were too large for AMP and were split",
            &self.splits,
        );
        plain(
            registry,
            "split_parts",
            "Parts that split batches were sent in",
            &self.split_parts,
        );
        plain(
            registry,
            "upstream_answers",
            "AMP's answers by status",
            &self.upstream_answers,
        );
        plain(
            registry,
            "upstream_faults",
            "Attempts that no answer of AMP ended",
            &self.upstream_faults,
        );
        plain(
            registry,
            "upstream_resends",
            "Requests sent once more within one batch or query: stale connection, clock, credentials",
            &self.upstream_resends,
        );
        plain(
            registry,
            "upstream_connections",
            "Connections made to AMP",
            &self.upstream_connections,
        );
        plain(
            registry,
            "access_denied",
            "Times that AMP missed a permission of the role, by what the role must be allowed",
            &self.denials,
        );
        plain(
            registry,
            "inflight_requests",
            "Requests admitted and not yet answered",
            &self.inflight_requests,
        );
        plain(
            registry,
            "credential_exchanges",
            "Exchanges of the token for credentials by result",
            &self.exchanges,
        );
        plain(
            registry,
            "ready",
            "1 while credentials are held and the sidecar is not leaving",
            &self.ready,
        );
        measured(
            registry,
            "received",
            Unit::Bytes,
            "Compressed bytes of bodies that were read and found whole",
            &self.received_bytes,
        );
        measured(
            registry,
            "inflight",
            Unit::Bytes,
            "Bytes reserved for bodies",
            &self.inflight_bytes,
        );
        measured(
            registry,
            "request_duration",
            Unit::Seconds,
            "From a request's head to its answer",
            &self.duration,
        );
        measured(
            registry,
            "credential_exchange_duration",
            Unit::Seconds,
            "From reading the token to credentials, or to an error",
            &self.exchange_duration,
        );
        measured(
            registry,
            "credentials_expire_timestamp",
            Unit::Seconds,
            "When the credentials in use expire, since the epoch; 0 before the first",
            &self.credentials_expire,
        );
        measured(
            registry,
            "clock_offset",
            Unit::Seconds,
            "How far AWS' clock is ahead of this machine's",
            &self.clock_offset,
        );
    }
}

fn plain(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}

fn measured(
    registry: &mut Registry,
    name: &str,
    unit: Unit,
    help: &str,
    metric: &(impl Metric + Clone),
) {
    registry.register_with_unit(name, help, unit, metric.clone());
}

fn since_the_epoch(at: SystemTime) -> f64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

// === impl Meters ===

impl Meters {
    fn new(workspace: Arc<str>, families: Families) -> Self {
        let of = Of {
            workspace: Arc::clone(&workspace),
        };
        let outcome = Outcome {
            workspace: Arc::clone(&workspace),
            outcome: "stored",
        };
        Self {
            received: families.received.of(&of),
            forwarded: families.forwarded.of(&of),
            received_bytes: families.received_bytes.get_or_create_owned(&of),
            splits: families.splits.get_or_create_owned(&of),
            split_parts: families.split_parts.get_or_create_owned(&of),
            duration: families.duration.get_or_create_owned(&of),
            upstream_connections: families.upstream_connections.get_or_create_owned(&of),
            exchange_duration: families.exchange_duration.get_or_create_owned(&of),
            stored: families.batches.get_or_create_owned(&outcome),
            inflight_bytes: families.inflight_bytes.get_or_create_owned(&of),
            inflight_requests: families.inflight_requests.get_or_create_owned(&of),
            credentials_expire: families.credentials_expire.get_or_create_owned(&of),
            clock_offset: families.clock_offset.get_or_create_owned(&of),
            ready: families.ready.get_or_create_owned(&of),
            workspace,
            families,
        }
    }

    /// What the same workspace counts its queries with.
    #[must_use]
    pub fn queries(&self) -> QueryMeters {
        QueryMeters::new(Arc::clone(&self.workspace), self.families.queries.clone())
    }

    /// A body was read and found whole.
    pub fn received(&self, bytes: usize, contents: &Contents) {
        self.received_bytes.inc_by(bytes as u64);
        self.received.add(contents);
    }

    /// A sender was answered.
    pub fn answered(&self, verdict: &Verdict, took: Duration) {
        match verdict {
            Verdict::Stored { .. } => self.stored.inc(),
            other => {
                let outcome = Outcome {
                    workspace: Arc::clone(&self.workspace),
                    outcome: other.name(),
                };
                self.families.batches.get_or_create(&outcome).inc()
            }
        };
        self.duration.observe(took.as_secs_f64());
    }

    /// A payload, which is a batch or a part of one, was stored, refused or is to come again.
    pub fn delivered(&self, verdict: &Verdict, contents: &Contents) {
        if matches!(verdict, Verdict::Stored { .. }) {
            self.forwarded.add(contents);
        }
        if let Some(reason) = verdict.lost() {
            let reason = self.reason(reason);
            let add = |family: &Family<Reason, Counter>, count| {
                family.get_or_create(&reason).inc_by(count);
            };
            add(&self.families.lost_samples, contents.samples);
            add(&self.families.lost_histograms, contents.histograms);
            add(&self.families.lost_exemplars, contents.exemplars);
        }
    }

    /// A batch was split.
    pub fn split(&self, parts: usize) {
        self.splits.inc();
        self.split_parts.inc_by(parts as u64);
    }

    /// AMP answered.
    pub fn upstream_answer(&self, status: StatusCode) {
        let code = Code {
            workspace: Arc::clone(&self.workspace),
            code: status.as_u16(),
        };
        self.families.upstream_answers.get_or_create(&code).inc();
    }

    /// AMP did not answer.
    pub fn upstream_fault(&self, reason: &'static str) {
        let reason = self.reason(reason);
        self.families.upstream_faults.get_or_create(&reason).inc();
    }

    /// The same bytes went out once more.
    pub fn upstream_resend(&self, reason: &'static str) {
        let reason = self.reason(reason);
        self.families.upstream_resends.get_or_create(&reason).inc();
    }

    /// A connection to AMP was made.
    pub fn upstream_connected(&self) {
        self.upstream_connections.inc();
    }

    /// AMP refused the role `action` on `resource`.
    pub fn denied(&self, action: &'static str, resource: &str) {
        let denial = Denial {
            workspace: Arc::clone(&self.workspace),
            action,
            resource: resource.to_owned(),
        };
        self.families.denials.get_or_create(&denial).inc();
    }

    /// An exchange ended, either way.
    pub fn exchanged(&self, took: Duration) {
        self.exchange_duration.observe(took.as_secs_f64());
    }

    /// An exchange gave credentials.
    pub fn credentials_obtained(&self, expires: SystemTime) {
        self.exchange("ok");
        self.credentials_expire.set(since_the_epoch(expires));
    }

    /// An exchange gave none.
    pub fn exchange_failed(&self, result: &'static str) {
        self.exchange(result);
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

    fn exchange(&self, result: &'static str) {
        let exchange = Exchange {
            workspace: Arc::clone(&self.workspace),
            result,
        };
        self.families.exchanges.get_or_create(&exchange).inc();
    }

    fn reason(&self, reason: &'static str) -> Reason {
        Reason {
            workspace: Arc::clone(&self.workspace),
            reason,
        }
    }
}

// === impl Parts ===

impl<M> Parts<M> {
    fn named(&self) -> [(&'static str, &M); 5] {
        [
            ("series", &self.series),
            ("samples", &self.samples),
            ("histograms", &self.histograms),
            ("exemplars", &self.exemplars),
            ("metadata", &self.metadata),
        ]
    }
}

impl Parts<PerWorkspace<Counter>> {
    fn of(&self, workspace: &Of) -> Parts<Counter> {
        Parts {
            series: self.series.get_or_create_owned(workspace),
            samples: self.samples.get_or_create_owned(workspace),
            histograms: self.histograms.get_or_create_owned(workspace),
            exemplars: self.exemplars.get_or_create_owned(workspace),
            metadata: self.metadata.get_or_create_owned(workspace),
        }
    }
}

impl Parts<Counter> {
    fn add(&self, contents: &Contents) {
        self.series.inc_by(contents.series);
        self.samples.inc_by(contents.samples);
        self.histograms.inc_by(contents.histograms);
        self.exemplars.inc_by(contents.exemplars);
        self.metadata.inc_by(contents.metadata);
    }
}
