//! AMP's place in the world, until the real one moves in: refuses everything.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::sessions::Sessions;

/// What this AMP is.
#[derive(Debug, Clone)]
pub struct AmpConfig {
    /// What signatures must be scoped to.
    pub region: String,
    /// The account that owns the workspace.
    pub account: String,
    /// The one workspace that exists.
    pub workspace_id: String,
    /// Role ARNs that are allowed `aps:RemoteWrite`.
    pub allowed_roles: Vec<String>,
    /// The URL of a Prometheus remote-write receiver.
    pub forward_to: Option<String>,
    /// The largest body, compressed.
    pub max_request_bytes: usize,
}

impl Default for AmpConfig {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            account: "123456789012".into(),
            workspace_id: "ws-12345678-abcd-1234-abcd-123456789012".into(),
            allowed_roles: Vec::new(),
            forward_to: None,
            max_request_bytes: 1_000_000,
        }
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    /// Distinct label sets.
    pub series: u64,
    /// Distinct samples.
    pub samples: u64,
    /// Distinct histograms.
    pub histograms: u64,
    /// Samples received once more.
    pub duplicates: u64,
    /// Samples refused.
    pub refused: u64,
    /// Batches understood.
    pub batches: u64,
}

/// A handle on what is stored.
#[derive(Debug, Clone, Default)]
pub struct Store;

impl Store {
    /// The counts as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// A running AMP.
#[derive(Debug, Clone)]
pub struct Amp {
    store: Store,
}

impl Amp {
    /// An empty workspace.
    #[must_use]
    pub fn new(_config: AmpConfig, _sessions: Sessions) -> Self {
        Self { store: Store }
    }

    /// Everything accepted so far.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers one request.
    pub async fn handle(&self, _now: SystemTime, _request: Request<Bytes>) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(
            b"{\"message\":\"Missing Authentication Token\"}",
        ));
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    }
}
