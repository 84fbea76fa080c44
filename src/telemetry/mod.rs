//! What is counted and measured, and how it is shown.
//!
//! ```text
//! batch, credentials, net  ─▶ meters ─▶ families ─▶ exposition ─▶ /metrics
//!                             handles    every       in the format
//!                             made once  definition  that is asked for
//! ```
//!
//! - `families` has each metric in one place: name, labels, help, and what to do with it. The page `docs/metrics.md` is made of that.
//! - [`WorkspaceMetrics`] are what one workspace counts with: the handles of whatever every batch touches are made once, so that
//!   counting is a few additions. [`UnroutedMetrics`] and [`ConnectionMetrics`] are the same for what belongs to no workspace.
//! - [`Traces`] go with the meters, so that whoever counts a batch can show it as a span.
//! - [`Format`] is chosen by the scraper; native histograms are shown where it takes protobuf.
//!
//! Names begin with `amp_sidecar_` and carry base units, as the Prometheus documentation on metric names asks; labels are bounded:
//! workspaces are those of the configuration, outcomes the names of verdicts, results those of the errors' `name()`.

pub mod history;
pub mod incidents;
pub mod metrics;
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

/// All metrics, the last faults, and what makes spans.
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
    /// All metrics, of no workspace yet.
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

    /// From now on whatever it gives makes spans too.
    pub fn trace(&mut self, traces: Traces) {
        self.traces = traces;
    }

    /// What spans are counted with.
    #[must_use]
    pub fn spans(&self) -> SpanMetrics {
        SpanMetrics::new(&self.families)
    }

    /// Every metric there is, for the reference page.
    #[must_use]
    pub fn entries(&self) -> &[MetricEntry] {
        &self.entries
    }

    /// The last faults of all workspaces, and of the process.
    #[must_use]
    pub fn incidents(&self) -> &RecentIncidents {
        &self.incidents
    }

    /// What the workspace of this name counts with, from where it left off.
    #[must_use]
    pub fn metrics(&self, workspace: &str) -> WorkspaceMetrics {
        WorkspaceMetrics::new(
            Arc::from(workspace),
            self.families.clone(),
            self.traces.clone(),
        )
    }

    /// What the workspace of this name has counted so far.
    #[must_use]
    pub fn tally(&self, workspace: &str) -> Snapshots {
        Snapshots::new(Arc::from(workspace), &self.families)
    }

    /// Requests that were for no workspace, by outcome; none of an outcome that there was none of.
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

    /// What requests are counted with that are for no workspace.
    #[must_use]
    pub fn unrouted_metrics(&self) -> UnroutedMetrics {
        UnroutedMetrics::new(&self.families)
    }

    /// What the workspace of this name counts its queries with.
    #[must_use]
    pub fn queries(&self, workspace: &str) -> QueryMetrics {
        QueryMetrics::new(Arc::from(workspace), self.families.queries.clone())
    }

    /// What the connections of a listener are counted with.
    #[must_use]
    pub fn connections(&self, listener: &'static str) -> ConnectionMetrics {
        ConnectionMetrics::new(&self.families, listener)
    }

    /// The workspace of this name is served no more: its counters stay, its state is not shown any longer.
    pub fn forget(&self, workspace: &str) {
        self.families.forget(workspace);
    }

    /// Whether what was given last as the configuration is what is served.
    #[must_use]
    pub fn last_reload_was_successful(&self) -> bool {
        self.families.last_reload_successful.get() == 1
    }

    /// A new configuration was put in place, or refused.
    pub fn reloaded(&self, successful: bool) {
        let result = if successful { "ok" } else { "refused" };
        let reload = ReloadLabels { result };
        self.families.reloads.get_or_create(&reload).inc();
        let successful = i64::from(successful);
        self.families.last_reload_successful.set(successful);
    }

    /// All of it, as the scraper wants it.
    ///
    /// # Errors
    /// Where a metric cannot be written, which is a fault of ours.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, fmt::Error> {
        if let Ok(runtime) = Handle::try_current() {
            let tasks = runtime.metrics().num_alive_tasks();
            let tasks = i64::try_from(tasks).unwrap_or(i64::MAX);
            self.families.tasks.set(tasks);
        }
        metrics::exposition::encode(&self.registry, format)
    }
}
