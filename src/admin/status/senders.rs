//! The senders, as `/status.json` has them: who writes to a workspace, and who writes elsewhere.

use serde::Serialize;

use super::moment::Moment;
use crate::remote_write::inspect::Version;
use crate::router::misdirected::MisdirectedSender;
use crate::telemetry::senders::KnownSender;

/// A sender that writes to a workspace.
#[derive(Debug, Serialize)]
pub(super) struct SenderStatus {
    peer: String,
    user_agent: String,
    path: String,
    remote_write_version: &'static str,
    requests: u64,
    last: Moment,
}

/// A sender whose data is not stored.
#[derive(Debug, Serialize)]
pub(super) struct MisdirectedStatus {
    outcome: &'static str,
    peer: String,
    user_agent: String,
    port: u16,
    path: String,
    count: u64,
    last: Moment,
}

// === impl SenderStatus ===

impl SenderStatus {
    pub(super) fn of(sender: &KnownSender) -> Self {
        Self {
            peer: sender.peer.to_string(),
            user_agent: sender.agent.clone(),
            path: sender.path.clone(),
            remote_write_version: match sender.version {
                Version::V1 => "1.0",
                Version::V2 => "2.0",
            },
            requests: sender.requests,
            last: Moment::past(sender.last),
        }
    }
}

// === impl MisdirectedStatus ===

impl MisdirectedStatus {
    pub(super) fn of(sender: &MisdirectedSender) -> Self {
        Self {
            outcome: sender.outcome,
            peer: sender.peer.to_string(),
            user_agent: sender.agent.clone(),
            port: sender.port,
            path: sender.path.clone(),
            count: sender.count,
            last: Moment::past(sender.last),
        }
    }
}
