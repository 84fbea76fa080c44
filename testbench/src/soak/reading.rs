//! What an idle process holds.

use std::io;
use std::time::Duration;

use super::error::SoakError;
use crate::peers::PeerError;
use crate::peers::sidecar::Sidecar;

/// Connections that senders closed, and tasks that served them, need a moment to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const SETTLES_WITHIN: u32 = 50;

/// What the process holds while nobody sends.
#[derive(Debug, Clone, Copy)]
pub struct ProcessReading {
    /// Since the beginning.
    pub at: Duration,
    /// Resident, in KiB.
    pub resident: u64,
    /// Resident and backed by no file, in KiB.
    pub anonymous: u64,
    /// Open, but for those to AMP.
    pub descriptors: u64,
    /// Connections to AMP.
    pub upstream: u64,
    /// Threads.
    pub threads: u64,
    /// Tasks of its runtime, but for those of connections to AMP.
    pub tasks: u64,
    /// Requests that it thinks are in flight.
    pub in_flight: u64,
    /// Bytes that it thinks are in flight.
    pub bytes: u64,
    /// Connections of senders that it thinks are open.
    pub connections: u64,
}

/// Reads once nothing is in flight any more, or when it has had time enough for that.
pub(super) async fn idle(sidecar: &Sidecar, at: Duration) -> Result<ProcessReading, SoakError> {
    let mut reading = read(sidecar, at).await?;
    for _ in 0..SETTLES_WITHIN {
        if reading.in_flight + reading.bytes + reading.connections == 0 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        reading = read(sidecar, at).await?;
    }
    Ok(reading)
}

async fn read(sidecar: &Sidecar, at: Duration) -> Result<ProcessReading, SoakError> {
    let metrics = sidecar.metrics().await?;
    let pid = sidecar
        .process()
        .pid()
        .ok_or_else(|| io::Error::other("it has ended"))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("{name} is missing in its status")))
    };
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
    let count = |name, labels: &[_]| metrics.count(name, labels).map_err(PeerError::from);
    let upstream = count("amp_sidecar_upstream_open_connections", &[])?;
    Ok(ProcessReading {
        at,
        resident: field("VmRSS:")?,
        anonymous: field("RssAnon:")?,
        descriptors: open.saturating_sub(upstream),
        upstream,
        threads: field("Threads:")?,
        tasks: count("amp_sidecar_tasks", &[])?.saturating_sub(upstream),
        in_flight: count("amp_sidecar_inflight_requests", &[])?,
        bytes: count("amp_sidecar_inflight_bytes", &[])?,
        connections: count("amp_sidecar_open_connections", &[("listener", "senders")])?,
    })
}
