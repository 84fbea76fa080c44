//! What `/status.json` and `/readyz` are made from.
//!
//! In: the parts of the running sidecar. Out: the [`Health`] of each workspace, which both show, so that they cannot disagree.

use std::sync::Arc;
use std::time::SystemTime;

use super::observed::Observed;
use super::state::Health;
use crate::clock::Stamp;
use crate::config::Config;
use crate::router::misdirected::MisdirectedSender;
use crate::telemetry::Telemetry;
use crate::telemetry::incidents::Incident;
use crate::workspace::ActiveWorkspace;

/// The present state of the sidecar, read only.
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
    pub started: Stamp,
    /// The present.
    pub now: SystemTime,
    /// Recent senders whose data is not stored, the last one first.
    pub misdirected: &'a [MisdirectedSender],
}

// === impl StatusInput ===

impl StatusInput<'_> {
    /// The state of one workspace.
    pub(super) fn health(&self, active: &ActiveWorkspace, incidents: &[Incident]) -> Health {
        if self.draining {
            return Health::draining();
        }
        let workspace = &active.config;
        let own_url = self.config.write_url(&workspace.name);
        let elsewhere = |sender| {
            if MisdirectedSender::names(sender, workspace) {
                return Some((sender, own_url.clone()));
            }
            let mut others = self.workspaces.iter();
            let is_anothers = others.any(|active| sender.names(&active.config));
            // One that names no workspace may mean any.
            (!is_anothers).then(|| (sender, self.config.write_url("<name>")))
        };
        let elsewhere: Vec<_> = self.misdirected.iter().filter_map(elsewhere).collect();
        Observed {
            workspace: &workspace.name,
            credentials: &active.credentials().status(),
            view: &active.history.view(),
            incidents,
            elsewhere: &elsewhere,
            write_url: &own_url,
        }
        .health()
    }
}
