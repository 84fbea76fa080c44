//! Starts a workspace that a sender names, if `--any-workspace` allows it.
//!
//! In: the path of a request that selects no served workspace. Out: the id that it names, and for that a running workspace, or why
//! there is none. The path must be exactly `/workspaces/<id>/api/v1/remote_write`; of it only the id is used, and only if it is one:
//! host, region and role are the configured ones. At most [`WorkspacesByPath::MOST`] are started, and none is stopped for another:
//! otherwise a client that makes up ids could have STS called without end, or take a workspace's credentials and budget from it.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Workspace, WorkspacesByPath};
use crate::outcome::verdict::{NotConfigured, Verdict};
use crate::telemetry::Telemetry;
use crate::workspace::{ActiveWorkspace, Externals};

/// Starts workspaces that senders name.
#[derive(Debug)]
pub struct Opener {
    pub by_path: WorkspacesByPath,
    pub externals: Externals,
    pub clock: Clock,
    pub telemetry: Arc<Telemetry>,
}

// === impl Opener ===

impl Opener {
    /// Why a path without a workspace is not served.
    pub(super) fn unnamed(&self) -> NotConfigured {
        match self.by_path.allowed {
            true => NotConfigured::Unnamed,
            false => NotConfigured::Off(None),
        }
    }

    /// The workspace that a path names; `Err` if it names none, or none is served.
    pub(super) fn named(&self, path: &str) -> Result<Workspace, Verdict> {
        let id = path.strip_prefix("/workspaces/");
        let id = id.and_then(|rest| rest.strip_suffix("/api/v1/remote_write"));
        let workspace = id.and_then(|id| self.by_path.workspace(id));
        let workspace = workspace.ok_or(Verdict::NoSuchPath)?;
        if self.by_path.allowed {
            return Ok(workspace);
        }
        let off = NotConfigured::Off(Some(workspace.id));
        Err(Verdict::WorkspaceNotConfigured(off))
    }

    /// Starts it beside those that run.
    pub(super) fn open(
        &self,
        workspace: &Workspace,
        running: usize,
    ) -> Result<ActiveWorkspace, Verdict> {
        if running >= WorkspacesByPath::MOST {
            let most = NotConfigured::Most(WorkspacesByPath::MOST);
            return Err(Verdict::WorkspaceNotConfigured(most));
        }
        ActiveWorkspace::start(workspace, &self.externals, &self.clock, &self.telemetry).map_err(
            |error| Verdict::Unsigned {
                why: error.to_string(),
            },
        )
    }
}
