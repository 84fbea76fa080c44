//! The steps of an exchange, as metrics count them, spans time them and the status page shows them.

use std::future::Future;
use std::sync::Arc;

use super::ExchangeError;
use super::cache::Failure as _;
use super::identity_trail::IdentityTrail;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::traces::Span;

/// Counts and shows each step; clones share the record.
#[derive(Debug, Clone)]
pub(super) struct StepRecord {
    pub(super) metrics: Arc<WorkspaceMetrics>,
    pub(super) trail: IdentityTrail,
}

// === impl StepRecord ===

impl StepRecord {
    /// Counts a call by its result.
    pub(super) fn count<T, E>(
        &self,
        call: &'static str,
        answer: &Result<T, E>,
        name: fn(&E) -> &'static str,
    ) {
        self.metrics
            .identity_call(call, answer.as_ref().map(|_| ()).map_err(name));
    }
}

/// A call whose span ends with it.
pub(super) async fn shown<T, E>(
    mut span: Span,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, ExchangeError>
where
    ExchangeError: From<E>,
{
    let answer = call.await.map_err(ExchangeError::from);
    answer.inspect_err(|error| span.failed(error.name()))
}
