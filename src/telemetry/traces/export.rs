//! The one task that exports spans to the collector.
//!
//! In: the [`Queue`]. Out: exports, one after the other, each retried while the error is retryable and `--bsp-export-timeout` allows; then
//! its spans are dropped and counted. However many exports fail, that is one incident in log and status page.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::{Attributes, ResourceAttributesWithSchema};
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::collector::{Collector, SendError};
use super::queue::Queue;
use crate::config::Tracing;
use crate::remedies::running::SPANS_LOST;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};
use crate::telemetry::metrics::spans::SpanMetrics;

/// Doubles with each retry.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Exporter {
    collector: Collector,
    queue: Arc<Queue>,
    metrics: SpanMetrics,
    resource: ResourceAttributesWithSchema,
    timeout: Duration,
    incidents: IncidentTracker,
    /// Spans that the queue dropped, up to the last check.
    seen_dropped: u64,
}

// === impl Exporter ===

impl Exporter {
    pub(super) fn new(
        config: &Tracing,
        collector: Collector,
        queue: Arc<Queue>,
        metrics: SpanMetrics,
        incidents: IncidentTracker,
    ) -> Self {
        Self {
            collector,
            queue,
            metrics,
            resource: resource(config),
            timeout: config.queue.timeout,
            incidents,
            seen_dropped: 0,
        }
    }

    /// Runs until it is asked to stop, then until the queue is empty.
    pub(super) async fn run(mut self, stop: Arc<Notify>) {
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                () = self.queue.due() => {}
                () = stop.notified() => stopping = true,
            }
            loop {
                let (spans, another_is_due) = self.queue.take();
                if spans.is_empty() {
                    break;
                }
                self.export(spans).await;
                if !another_is_due && !stopping {
                    break;
                }
            }
        }
    }

    async fn export(&mut self, spans: Vec<SpanData>) {
        let count = spans.len() as u64;
        let message = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(spans, &self.resource),
        };
        let sent = self.send(message.encode_to_vec()).await;
        let dropped = self.metrics.dropped_so_far();
        let newly = dropped - std::mem::replace(&mut self.seen_dropped, dropped);
        match sent {
            Ok(rejected) => {
                let rejected = rejected.min(count);
                self.metrics.exported(count - rejected, rejected);
                if newly + rejected == 0 {
                    self.incidents.recover();
                } else {
                    self.lost(&"the collector takes fewer than there are");
                }
            }
            Err(error) => {
                self.metrics.failed(count);
                self.lost(&error);
            }
        }
    }

    /// How many the collector rejected.
    async fn send(&self, message: Vec<u8>) -> Result<u64, SendError> {
        let deadline = Instant::now() + self.timeout;
        let message = self.collector.packed(message);
        let mut pause = FIRST_PAUSE;
        loop {
            let sent = tokio::time::timeout_at(deadline, self.collector.send(message.clone()));
            let error = match sent.await {
                Ok(Ok(rejected)) => return Ok(rejected),
                Ok(Err(error)) => error,
                Err(_) => return Err(SendError::TimedOut),
            };
            // Random, so that many sidecars do not retry at once.
            let jittered = pause.mul_f64(0.5 + fastrand::f64());
            if !error.is_retryable() || Instant::now() + jittered >= deadline {
                return Err(error);
            }
            tokio::time::sleep(jittered).await;
            pause *= 2;
        }
    }

    fn lost(&self, why: &dyn std::fmt::Display) {
        self.incidents
            .fail("spans_lost", || Diagnosis::new(&why, SPANS_LOST));
    }
}

fn resource(config: &Tracing) -> ResourceAttributesWithSchema {
    let given = config
        .resource
        .iter()
        .filter(|(key, _)| key != "service.name");
    let attributes = [
        ("service.name".to_owned(), config.service_name.clone()),
        ("telemetry.sdk.name".to_owned(), "opentelemetry".to_owned()),
        ("telemetry.sdk.language".to_owned(), "rust".to_owned()),
    ];
    let version = (
        "service.version".to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    let version = (!given.clone().any(|(key, _)| *key == version.0)).then_some(version);
    let all = attributes.into_iter().chain(version).chain(given.cloned());
    ResourceAttributesWithSchema {
        attributes: Attributes::from(all.map(|(key, value)| KeyValue::new(key, value))),
        schema_url: None,
    }
}
