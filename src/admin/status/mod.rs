//! What `/status.json` says, and the page before it shows.
//!
//! ```text
//! router ─▶ each workspace: credentials::Links, Cache ─▶ identity ┐
//!                           Flow (a timer reads counters) ─▶ flow ├─▶ state ─▶ Status ─▶ /status.json ─▶ the page
//! faults::Journal ─▶ the last faults, and what to do about them   │
//! misdirected::Senders ─▶ who writes where nothing is taken       │
//! reloader ─▶ Config ─▶ effective settings, with their places     ┘
//! ```
//!
//! In: everything that is known of the workspaces, by reading alone. Out: a [`Status`], whose fields `docs/status.md` documents
//! and a test holds against it. Nothing in it is secret: claims, names, times and counts, never a token or a key. What came from
//! outside is bounded and without control characters; that it is markup to nobody is up to the page.

mod identity;
mod moment;
mod parts;
mod state;

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

pub use crate::telemetry::history::Flow;
pub use state::{Level, State};

use identity::IdentityStatus;
use moment::{Moment, rfc3339};
use parts::{FaultStatus, FlowStatus, InFlight, Lost, Outcome, SenderStatus, Settings};

use crate::config::Config;
use crate::router::misdirected::Sender;
use crate::telemetry::Telemetry;
use crate::telemetry::incidents::Fault;
use crate::workspace::Running;

/// What the sidecar is like now.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    now: String,
    started: Moment,
    state: State,
    workspaces: Vec<WorkspaceStatus>,
    /// Requests that were for no workspace.
    for_no_workspace: Vec<Outcome>,
    /// Senders of which nothing is stored, because of where or how they write.
    misdirected: Vec<SenderStatus>,
    faults: Vec<FaultStatus>,
    /// Whether what was given last as the configuration is what is served.
    configuration_is_current: bool,
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
    state: State,
    identity: IdentityStatus,
    clock_offset_seconds: f64,
    flow: FlowStatus,
    in_flight: InFlight,
    outcomes: Vec<Outcome>,
    lost: Vec<Lost>,
}

/// What is looked at.
#[derive(Debug)]
pub struct Sight<'a> {
    /// What is counted.
    pub telemetry: &'a Telemetry,
    /// What is served, in the order of the configuration.
    pub workspaces: &'a [Arc<Running>],
    /// By what it is served.
    pub config: &'a Config,
    /// Whether the sidecar is about to leave.
    pub leaving: bool,
    /// When the program began.
    pub started: SystemTime,
    /// The present.
    pub now: SystemTime,
    /// Who wrote lately to where nothing is taken, the last one first.
    pub strays: &'a [Sender],
}

// === impl Status ===

impl Status {
    /// Looks.
    #[must_use]
    pub fn seen(sight: &Sight<'_>) -> Self {
        let faults = sight.telemetry.faults().recent();
        let workspace = |running: &Arc<Running>| WorkspaceStatus::seen(running, sight, &faults);
        let workspaces: Vec<_> = sight.workspaces.iter().map(workspace).collect();
        // Each by the clock that it was noted by.
        let now = |fault: &Fault| {
            let name = fault.workspace.as_deref();
            let whose = |running: &&Arc<Running>| name == Some(&running.config.name);
            let running = sight.workspaces.iter().find(whose);
            running.map_or(sight.now, |running| running.credentials().standing().now)
        };
        let states: Vec<_> = workspaces
            .iter()
            .map(|workspace| (workspace.name.as_str(), &workspace.state))
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: rfc3339(sight.now),
            started: Moment::of(sight.started, sight.now),
            state: State::of_all(&states).beside(sight.strays, &astray_url(sight)),
            misdirected: sight
                .strays
                .iter()
                .map(|sender| SenderStatus::of(sender, sight.now))
                .collect(),
            for_no_workspace: Outcome::of(sight.telemetry.for_no_workspace()),
            faults: faults
                .iter()
                .map(|fault| FaultStatus::of(fault, now(fault)))
                .collect(),
            configuration_is_current: sight.telemetry.last_reload_was_successful(),
            configuration: Settings::of(sight.config),
            workspaces,
        }
    }
}

// === impl WorkspaceStatus ===

impl WorkspaceStatus {
    fn seen(running: &Running, sight: &Sight<'_>, faults: &[Fault]) -> Self {
        let workspace = &running.config;
        let standing = running.credentials().standing();
        let view = running.flow.view();
        let write_url = write_url(&workspace.name, sight.config);
        let ours = |fault: &&Fault| fault.workspace.as_deref() == Some(&workspace.name);
        let faults: Vec<_> = faults.iter().filter(ours).collect();
        let state = match sight.leaving {
            true => State::leaving(),
            false => State::of(&standing, &view, &faults, &write_url, sight.strays),
        };
        Self {
            state,
            identity: IdentityStatus::of(&workspace.identity, &standing, &running.links().seen()),
            clock_offset_seconds: running.clock_offset_seconds(),
            in_flight: InFlight::of(running.pipeline.admission()),
            outcomes: Outcome::all(&view.totals.outcomes),
            lost: Lost::all(&view.totals.lost),
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

/// Where a sender that names no workspace writes to, in words.
fn astray_url(sight: &Sight<'_>) -> String {
    let name = match sight.workspaces {
        [only] => only.config.name.as_str(),
        _ => "<name>",
    };
    write_url(name, sight.config)
}

/// Where senders write to.
fn write_url(name: &str, config: &Config) -> String {
    let scheme = match config.door.chain {
        Some(_) => "https",
        None => "http",
    };
    let listen = config.listen;
    match config.workspaces.as_slice() {
        [_] => format!("{scheme}://{listen}/api/v1/remote_write"),
        _ => format!("{scheme}://{listen}/workspaces/{name}/api/v1/remote_write"),
    }
}
