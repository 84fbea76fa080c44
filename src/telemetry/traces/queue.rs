//! Where ended spans wait, a bounded number of them.
//!
//! In: spans, from whatever thread ended them. Out: the oldest, at most so many at once. What comes while it is full is dropped
//! and counted: a collector that is slow or gone costs spans, never memory or time. The task that takes them is woken when
//! a whole export is there, not for each span.

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

/// What the SDK hands its spans to.
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

    /// Returns when a whole export is there, or when what is there has waited for long enough.
    pub(super) async fn due(&self) {
        tokio::select! {
            () = self.enough.notified() => {}
            () = tokio::time::sleep(self.bounds.delay) => {}
        }
    }

    /// The oldest ones, and whether a whole export is left.
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
