//! Metric handles of queries.

use std::sync::Arc;

use hyper::StatusCode;

use super::labels::{ApiLabels, QueryLabels, ReasonLabels};
use crate::telemetry::metrics::definitions::QueryDefinitions;

/// The query metrics of one workspace.
#[derive(Debug, Clone)]
pub struct QueryMetrics {
    workspace: Arc<str>,
    families: QueryDefinitions,
}

// === impl QueryMetrics ===

impl QueryMetrics {
    pub(crate) fn new(workspace: Arc<str>, families: QueryDefinitions) -> Self {
        Self {
            workspace,
            families,
        }
    }

    /// The client got a status.
    pub fn answered(&self, api: &'static str, status: StatusCode) {
        let labels = QueryLabels {
            workspace: Arc::clone(&self.workspace),
            api,
            code: status.as_u16(),
        };
        self.families.answered.get_or_create(&labels).inc();
    }

    /// The client got this many bytes more.
    pub fn streamed(&self, api: &'static str, bytes: u64) {
        let labels = ApiLabels {
            workspace: Arc::clone(&self.workspace),
            api,
        };
        self.families.bytes.get_or_create(&labels).inc_by(bytes);
    }

    /// A response was truncated.
    pub fn broken_off(&self, reason: &'static str) {
        let labels = ReasonLabels {
            workspace: Arc::clone(&self.workspace),
            reason,
        };
        self.families.broken_off.get_or_create(&labels).inc();
    }
}
