//! A bounded queue of ended spans.
//!
//! In: spans, from the thread that ended them. Out: the oldest, up to one export at a time. Spans that find it full are dropped and counted: a
//! slow or absent collector costs spans, never memory or time. The exporting task wakes once an export is full, not for each span.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{self as sdk, SpanData, SpanProcessor};
use tokio::sync::Notify;

use crate::config::SpanQueue;
use crate::telemetry::metrics::spans::SpanMetrics;

#[derive(Debug)]
pub(super) struct Queue {
    spans: Mutex<Vec<SpanData>>,
    bounds: SpanQueue,
    enough: Notify,
    metrics: SpanMetrics,
}

/// The SDK's processor, which queues ended spans.
#[derive(Debug)]
pub(super) struct SpanSink(pub(super) Arc<Queue>);

// === impl Queue ===

impl Queue {
    pub(super) fn new(bounds: SpanQueue, metrics: SpanMetrics) -> Self {
        Self {
            spans: Mutex::default(),
            bounds,
            enough: Notify::new(),
            metrics,
        }
    }

    /// Returns when an export is full, or when the oldest span has waited long enough.
    pub(super) async fn due(&self) {
        tokio::select! {
            () = self.enough.notified() => {}
            () = tokio::time::sleep(self.bounds.delay) => {}
        }
    }

    /// The oldest ones, and whether another full export is left.
    pub(super) fn take(&self) -> (Vec<SpanData>, bool) {
        let mut spans = self.spans();
        let at_once = self.bounds.at_once.min(spans.len());
        let taken = spans.drain(..at_once).collect();
        (taken, spans.len() >= self.bounds.at_once)
    }

    fn push(&self, span: SpanData) {
        let mut spans = self.spans();
        if spans.len() >= self.bounds.spans {
            drop(spans);
            self.metrics.dropped(1);
            return;
        }
        spans.push(span);
        if spans.len() == self.bounds.at_once {
            self.enough.notify_one();
        }
    }

    fn spans(&self) -> MutexGuard<'_, Vec<SpanData>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanProcessor for SpanSink {
    fn on_start(&self, _: &mut sdk::Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
