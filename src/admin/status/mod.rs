//! The content of `/status.json`, which the status page renders.
//!
//! ```text
//! router ─▶ each workspace: IdentityTrail, Cache ──▶ identity ┐
//!                           History (a timer reads) ─▶ flow   ├─▶ state ─▶ Status ─▶ /status.json ─▶ the page
//! telemetry::RecentIncidents ─▶ incidents and remedies        │
//! router::misdirected ─▶ senders that use a wrong port or path│
//! reloader ─▶ Config ─▶ effective settings and their sources  ┘
//! ```
//!
//! In: the state of the workspaces, read only. Out: a [`Status`], whose fields `docs/status.md` documents and a test compares with it.
//! Nothing in it is secret: claims, names, times and counts, never a token or a key. Text from outside is bounded and has no control
//! characters; the page must not interpret it as markup.

mod identity;
mod moment;
mod parts;
mod state;

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use state::Health;

use identity::IdentityStatus;
use moment::{Moment, rfc3339};
use parts::{
    FlowStatus, InFlightStatus, IncidentStatus, LostStatus, OutcomeStatus, SenderStatus, Settings,
};

use crate::config::Config;
use crate::router::misdirected::MisdirectedSender;
use crate::telemetry::Telemetry;
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
    misdirected: Vec<SenderStatus>,
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
    flow: FlowStatus,
    in_flight: InFlightStatus,
    outcomes: Vec<OutcomeStatus>,
    lost: Vec<LostStatus>,
}

/// What a status is made from.
#[derive(Debug)]
pub struct StatusInput<'a> {
    /// The metrics.
    pub telemetry: &'a Telemetry,
    /// The workspaces, in the order of the configuration.
    pub workspaces: &'a [Arc<ActiveWorkspace>],
    /// The configuration in use.
    pub config: &'a Config,
    /// Whether the sidecar is draining.
    pub draining: bool,
    /// When the process began.
    pub started: SystemTime,
    /// The present.
    pub now: SystemTime,
    /// Recent senders whose data is not stored, the last one first.
    pub misdirected: &'a [MisdirectedSender],
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
        // Each time by the clock that recorded it.
        let now = |incident: &Incident| {
            let name = incident.workspace.as_deref();
            let whose = |running: &&Arc<ActiveWorkspace>| name == Some(&running.config.name);
            let running = input.workspaces.iter().find(whose);
            running.map_or(input.now, |running| running.credentials().status().now)
        };
        let states: Vec<_> = workspaces
            .iter()
            .map(|workspace| (workspace.name.as_str(), &workspace.state))
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: rfc3339(input.now),
            started: Moment::of(input.started, input.now),
            state: Health::of_all(&states).beside(input.misdirected, &write_url_of_any(input)),
            misdirected: input
                .misdirected
                .iter()
                .map(|sender| SenderStatus::of(sender, input.now))
                .collect(),
            unrouted: OutcomeStatus::of(input.telemetry.unrouted()),
            incidents: incidents
                .iter()
                .map(|incident| IncidentStatus::of(incident, now(incident)))
                .collect(),
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
        let write_url = write_url(&workspace.name, input.config);
        let ours = |incident: &&Incident| incident.workspace.as_deref() == Some(&workspace.name);
        let incidents: Vec<_> = incidents.iter().filter(ours).collect();
        let state = match input.draining {
            true => Health::draining(),
            false => Health::of(&status, &view, &incidents, &write_url, input.misdirected),
        };
        Self {
            state,
            identity: IdentityStatus::of(
                &workspace.identity,
                &status,
                &running.identity_trail().snapshot(),
            ),
            clock_offset_seconds: running.clock_offset_seconds(),
            in_flight: InFlightStatus::of(running.pipeline.admission()),
            outcomes: OutcomeStatus::all(&view.totals.outcomes),
            lost: LostStatus::all(&view.totals.lost),
            flow: FlowStatus::of(&view, workspace.limits.inspect),
            name: workspace.name.clone(),
            id: workspace.id.clone(),
            region: workspace.region.clone(),
            arn: workspace.arn(),
            remote_write_url: workspace.remote_write_url.to_string(),
            write_url,
        }
    }
}

/// The write URL of a sender that names no workspace, in words.
fn write_url_of_any(input: &StatusInput<'_>) -> String {
    let name = match input.workspaces {
        [only] => only.config.name.as_str(),
        _ => "<name>",
    };
    write_url(name, input.config)
}

/// The write URL of senders.
fn write_url(name: &str, config: &Config) -> String {
    let scheme = match config.server_auth.certificate {
        Some(_) => "https",
        None => "http",
    };
    let listen = config.listen;
    match config.workspaces.as_slice() {
        [_] => format!("{scheme}://{listen}/api/v1/remote_write"),
        _ => format!("{scheme}://{listen}/workspaces/{name}/api/v1/remote_write"),
    }
}
