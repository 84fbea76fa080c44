//! What is counted of reading.

use std::sync::Arc;

use hyper::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    workspace: Arc<str>,
    api: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    workspace: Arc<str>,
    api: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Broken {
    workspace: Arc<str>,
    reason: &'static str,
}

/// The metrics of reading over all workspaces; clones share the numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct QueryFamilies {
    answered: Family<Answered, Counter>,
    bytes: Family<Asked, Counter>,
    broken_off: Family<Broken, Counter>,
}

/// What one workspace counts its queries with.
#[derive(Debug, Clone)]
pub struct QueryMeters {
    workspace: Arc<str>,
    families: QueryFamilies,
}

// === impl QueryFamilies ===

impl QueryFamilies {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "queries",
            "Queries by API and by the status that the reader was given",
            self.answered.clone(),
        );
        registry.register_with_unit(
            "query_answer",
            "Bytes of answers of AMP that were given to readers",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register(
            "query_answers_broken_off",
            "Answers that were not given to their end, though their beginning was",
            self.broken_off.clone(),
        );
    }
}

// === impl QueryMeters ===

impl QueryMeters {
    pub(super) fn new(workspace: Arc<str>, families: QueryFamilies) -> Self {
        Self {
            workspace,
            families,
        }
    }

    /// A reader was given a status.
    pub fn answered(&self, api: &'static str, status: StatusCode) {
        let labels = Answered {
            workspace: Arc::clone(&self.workspace),
            api,
            code: status.as_u16(),
        };
        self.families.answered.get_or_create(&labels).inc();
    }

    /// A reader was given so many bytes more.
    pub fn streamed(&self, api: &'static str, bytes: u64) {
        let labels = Asked {
            workspace: Arc::clone(&self.workspace),
            api,
        };
        self.families.bytes.get_or_create(&labels).inc_by(bytes);
    }

    /// An answer was not given to its end.
    pub fn broken_off(&self, reason: &'static str) {
        let labels = Broken {
            workspace: Arc::clone(&self.workspace),
            reason,
        };
        self.families.broken_off.get_or_create(&labels).inc();
    }
}
