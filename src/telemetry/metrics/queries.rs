//! What queries are counted with.

use std::sync::Arc;

use hyper::StatusCode;

use super::labels::{ApiLabels, QueryLabels, ReasonLabels};
use crate::telemetry::metrics::definitions::QueryDefinitions;

/// What one workspace counts its queries with.
#[derive(Debug, Clone)]
pub struct QueryMetrics {
    workspace: Arc<str>,
    families: QueryDefinitions,
}

// === impl QueryMeters ===

impl QueryMetrics {
    pub(crate) fn new(workspace: Arc<str>, families: QueryDefinitions) -> Self {
        Self {
            workspace,
            families,
        }
    }

    /// A reader was given a status.
    pub fn answered(&self, api: &'static str, status: StatusCode) {
        let labels = QueryLabels {
            workspace: Arc::clone(&self.workspace),
            api,
            code: status.as_u16(),
        };
        self.families.answered.get_or_create(&labels).inc();
    }

    /// A reader was given so many bytes more.
    pub fn streamed(&self, api: &'static str, bytes: u64) {
        let labels = ApiLabels {
            workspace: Arc::clone(&self.workspace),
            api,
        };
        self.families.bytes.get_or_create(&labels).inc_by(bytes);
    }

    /// An answer was not given to its end.
    pub fn broken_off(&self, reason: &'static str) {
        let labels = ReasonLabels {
            workspace: Arc::clone(&self.workspace),
            reason,
        };
        self.families.broken_off.get_or_create(&labels).inc();
    }
}
