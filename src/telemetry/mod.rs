//! Metrics, incidents, history and traces.
//!
//! ```text
//! batch, credentials, net ─▶ WorkspaceMetrics ─▶ Definitions ─▶ exposition ─▶ /metrics
//!                            handles, resolved   every metric   in the format that
//!                            once per workspace                 the scraper requests
//! ```
//!
//! - [`metrics::definitions`] has each metric in one place: name, labels, help, and what to do with it. `docs/metrics.md` is generated
//!   from it.
//! - [`WorkspaceMetrics`] are the handles of one workspace, resolved once, so that counting is a few additions. [`UnroutedMetrics`] and
//!   [`ConnectionMetrics`] are the same for requests without a workspace and for connections.
//! - [`Traces`] travel with the metrics, so that code that counts a batch can also make its spans.
//! - [`logfmt::Logfmt`] is one of the formats of log lines.
//! - [`Format`] is chosen by the scraper; protobuf includes native histograms.
//!
//! Names begin with `amp_sidecar_` and use base units, as the Prometheus documentation on metric names requires; labels are bounded:
//! workspaces are those of the configuration, outcomes the names of verdicts, results those of the errors' `name()`.

pub mod history;
pub mod incidents;
pub mod logfmt;
pub mod metrics;
pub mod refused_series;
pub mod senders;
pub mod timings;
pub mod traces;
use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

pub use metrics::exposition::Format;
pub use metrics::queries::QueryMetrics;
pub use metrics::registry::MetricEntry;
pub use metrics::snapshot::{ByOutcome, Snapshots, Totals};
pub use metrics::spans::SpanMetrics;
pub use metrics::workspace::{
    ConnectionMetrics, UnroutedMetrics, WorkspaceGauges, WorkspaceMetrics,
};

use metrics::definitions::Definitions;
use metrics::labels::{OutcomeLabels, ReloadLabels};
use metrics::process::Process;
use metrics::registry::MetricRegistry;

use crate::outcome::verdict::OUTCOMES;
use crate::telemetry::incidents::RecentIncidents;
use crate::telemetry::traces::Traces;

/// All metrics, the last incidents, and the traces.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    families: Definitions,
    entries: Vec<MetricEntry>,
    traces: Traces,
    incidents: RecentIncidents,
}

// === impl Telemetry ===

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// All metrics, without a workspace yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let mut catalogue = MetricRegistry::new(&mut registry);
        let families = Definitions::new(&mut catalogue);
        families.last_reload_successful.set(1);
        let mut entries = catalogue.entries();
        entries.extend(Process::entries());
        registry.register_collector(Box::new(Process::default()));
        Self {
            registry,
            families,
            entries,
            traces: Traces::default(),
            incidents: RecentIncidents::default(),
        }
    }

    /// Adds traces.
    pub fn trace(&mut self, traces: Traces) {
        self.traces = traces;
    }

    /// What spans are counted with.
    #[must_use]
    pub fn spans(&self) -> SpanMetrics {
        SpanMetrics::new(&self.families)
    }

    /// Every metric, for the reference page.
    #[must_use]
    pub fn entries(&self) -> &[MetricEntry] {
        &self.entries
    }

    /// The last incidents of all workspaces and of the process.
    #[must_use]
    pub fn incidents(&self) -> &RecentIncidents {
        &self.incidents
    }

    /// The metrics of the workspace of this name; its counters continue.
    #[must_use]
    pub fn metrics(&self, workspace: &str) -> WorkspaceMetrics {
        WorkspaceMetrics::new(
            Arc::from(workspace),
            self.families.clone(),
            self.traces.clone(),
        )
    }

    /// The counters of the workspace of this name.
    #[must_use]
    pub fn tally(&self, workspace: &str) -> Snapshots {
        Snapshots::new(Arc::from(workspace), &self.families)
    }

    /// Requests without a workspace, by outcome; only those that occurred.
    #[must_use]
    pub fn unrouted(&self) -> Vec<(&'static str, u64)> {
        let workspace: Arc<str> = Arc::from("");
        let count = |outcome| {
            let workspace = Arc::clone(&workspace);
            let counter = self
                .families
                .batches
                .get(&OutcomeLabels { workspace, outcome })?;
            Some((outcome, counter.get()))
        };
        OUTCOMES.into_iter().filter_map(count).collect()
    }

    /// The metrics of requests without a workspace.
    #[must_use]
    pub fn unrouted_metrics(&self) -> UnroutedMetrics {
        UnroutedMetrics::new(&self.families)
    }

    /// The query metrics of the workspace of this name.
    #[must_use]
    pub fn queries(&self, workspace: &str) -> QueryMetrics {
        QueryMetrics::new(Arc::from(workspace), self.families.queries.clone())
    }

    #[must_use]
    pub fn connections(&self, listener: &'static str) -> ConnectionMetrics {
        ConnectionMetrics::new(&self.families, listener)
    }

    /// Removes the gauges of a workspace that is gone; its counters stay.
    pub fn forget(&self, workspace: &str) {
        self.families.forget(workspace);
    }

    /// Whether the last configuration that was loaded is in use.
    #[must_use]
    pub fn last_reload_was_successful(&self) -> bool {
        self.families.last_reload_successful.get() == 1
    }

    /// Records whether a new configuration was accepted.
    pub fn reloaded(&self, successful: bool) {
        let result = if successful { "ok" } else { "refused" };
        let reload = ReloadLabels { result };
        self.families.reloads.get_or_create(&reload).inc();
        let successful = i64::from(successful);
        self.families.last_reload_successful.set(successful);
    }

    /// All metrics, in the scraper's format.
    ///
    /// # Errors
    /// If a metric cannot be encoded, which is a bug.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, fmt::Error> {
        if let Ok(runtime) = Handle::try_current() {
            let tasks = runtime.metrics().num_alive_tasks();
            let tasks = i64::try_from(tasks).unwrap_or(i64::MAX);
            self.families.tasks.set(tasks);
        }
        metrics::exposition::encode(&self.registry, format)
    }
}
