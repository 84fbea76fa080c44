//! The content of `/status.json`, which the status page renders.
//!
//! ```text
//! router ─▶ each workspace: IdentityTrail, Cache ──▶ identity ┐
//!                           History (a timer reads) ─▶ flow   ├─▶ state ─▶ Status ─▶ /status.json ─▶ the page
//!                           Senders, RecentlyRefused ─▶ lists │
//! telemetry::RecentIncidents ─▶ incidents and remedies        │
//! router::misdirected ─▶ senders that use a wrong port or path│     └─▶ /readyz
//! reloader ─▶ Config ─▶ effective settings and their sources  ┘
//! ```
//!
//! In: the state of the workspaces, read only. Out: a [`Status`], whose fields `docs/status.md` documents and a test compares with it.
//! Nothing in it is secret: claims, names, times and counts, never a token or a key. Text from outside is bounded and has no control
//! characters; the page must not interpret it as markup.

mod identity;
mod input;
mod lag;
mod moment;
mod observed;
mod parts;
mod readiness;
mod senders;
mod state;

use std::sync::Arc;

use serde::Serialize;

use identity::IdentityStatus;
pub use input::StatusInput;
use lag::LagStatus;
use moment::{Moment, rfc3339};
use parts::{
    FlowStatus, InFlightStatus, IncidentStatus, LostStatus, OutcomeStatus, RefusedSeriesStatus,
    Settings,
};
pub use readiness::readiness;
use senders::{MisdirectedStatus, SenderStatus};
use state::Health;

use crate::telemetry::incidents::Incident;
use crate::workspace::ActiveWorkspace;

/// The state of the sidecar.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    now: String,
    started: Moment,
    state: Health,
    workspaces: Vec<WorkspaceStatus>,
    /// Requests without a workspace.
    unrouted: Vec<OutcomeStatus>,
    /// Senders whose data is not stored, because of the port or path or form of their requests.
    misdirected: Vec<MisdirectedStatus>,
    incidents: Vec<IncidentStatus>,
    /// Whether the last configuration that was loaded is in use.
    configuration_current: bool,
    configuration: Vec<Settings>,
}

#[derive(Debug, Serialize)]
struct WorkspaceStatus {
    name: String,
    id: String,
    region: String,
    arn: String,
    remote_write_url: String,
    write_url: String,
    state: Health,
    identity: IdentityStatus,
    clock_offset_seconds: f64,
    lag: LagStatus,
    flow: FlowStatus,
    in_flight: InFlightStatus,
    outcomes: Vec<OutcomeStatus>,
    lost: Vec<LostStatus>,
    senders: Vec<SenderStatus>,
    refused_series: Vec<RefusedSeriesStatus>,
}

// === impl Status ===

impl Status {
    /// Reads the current state.
    #[must_use]
    pub fn collect(input: &StatusInput<'_>) -> Self {
        let incidents = input.telemetry.incidents().recent();
        let workspace =
            |running: &Arc<ActiveWorkspace>| WorkspaceStatus::collect(running, input, &incidents);
        let workspaces: Vec<_> = input.workspaces.iter().map(workspace).collect();
        let states: Vec<_> = workspaces
            .iter()
            .map(|workspace| (workspace.name.as_str(), &workspace.state))
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: rfc3339(input.now),
            started: Moment::past(input.started),
            state: match &input.config.by_path {
                Some(by_path) if states.is_empty() => Health::of_none(by_path.allowed),
                _ => Health::of_all(&states),
            },
            misdirected: input
                .misdirected
                .iter()
                .map(MisdirectedStatus::of)
                .collect(),
            unrouted: OutcomeStatus::of(input.telemetry.unrouted()),
            incidents: incidents.iter().map(IncidentStatus::of).collect(),
            configuration_current: input.telemetry.last_reload_was_successful(),
            configuration: Settings::of(input.config),
            workspaces,
        }
    }
}

// === impl WorkspaceStatus ===

impl WorkspaceStatus {
    fn collect(running: &ActiveWorkspace, input: &StatusInput<'_>, incidents: &[Incident]) -> Self {
        let workspace = &running.config;
        let status = running.credentials().status();
        let view = running.history.view();
        Self {
            state: input.health(running, incidents),
            identity: IdentityStatus::of(
                &workspace.identity,
                &status,
                &running.identity_trail().snapshot(),
            ),
            clock_offset_seconds: running.clock_offset_seconds(),
            lag: LagStatus::of(&running.pipeline.lag()),
            in_flight: InFlightStatus::of(&running.pipeline.admission()),
            outcomes: OutcomeStatus::all(&view.totals.outcomes),
            lost: LostStatus::all(&view.totals.lost),
            senders: running
                .senders
                .recent()
                .iter()
                .map(SenderStatus::of)
                .collect(),
            refused_series: running
                .pipeline
                .refused_series()
                .into_iter()
                .map(RefusedSeriesStatus::of)
                .collect(),
            flow: FlowStatus::of(&view, running.pipeline.counted_one_in()),
            name: workspace.name.clone(),
            id: workspace.id.clone(),
            region: workspace.region.clone(),
            arn: workspace.arn(),
            remote_write_url: workspace.remote_write_url.to_string(),
            write_url: input.config.write_url(&workspace.name),
        }
    }
}
