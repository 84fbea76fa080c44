//! Traces: the stages of a batch as OpenTelemetry spans.
//!
//! ```text
//! traceparent ─▶ Traces::batch ─▶ Span ─▶ children ─▶ Queue ─▶ Exporter ─▶ Collector: OTLP over HTTP
//! of the sender  sampled or not   ends when dropped   bounded  one task,
//!                                                              retries
//! ```
//!
//! In: a batch's head, and attributes from its stages. Out: spans at the collector. Off until an endpoint is configured; then `Traces` and
//! every [`Span`] are `None` inside, so a batch costs one branch per stage and nothing is allocated, started or kept. When on, ending a
//! span is a push under a lock that is held briefly. No batch waits for the collector: a full queue drops and counts spans, and at the
//! end of a drain the last spans get [`LAST_WORDS`].
//!
//! The sender's `traceparent` and `tracestate` end here: `batch::sign` forwards no header of the sender. A span contains names, numbers and
//! configured URLs; nothing that a peer or AWS sent.
//!
//! Ids, sampling, spans and messages are those of the OpenTelemetry crates; queue, task and HTTP are ours. `opentelemetry-otlp` was
//! rejected: with its hyper client the SDK's batch processor panics ("no reactor running"), and its blocking client is a second runtime
//! with its own threads and 4 MB of memory. Neither counts what it drops. Here exports use a pool of `net`, on the existing runtime:
//! twelve crates, at most 0.4 MB of binary and 0.15 MB of anonymous memory when idle, almost the same with traces on and off.

mod collector;
mod error;
mod export;
mod parent;
mod queue;
mod span;

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanKind, TracerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(crate) use collector::Collector;
pub use error::TracesError;
pub use span::Span;

use crate::config::{Network, Sampling, Tracing};
use crate::net::tls::Trust;
use crate::telemetry::incidents::IncidentTracker;
use crate::telemetry::metrics::spans::SpanMetrics;
use export::Exporter;
use queue::{Queue, SpanSink};

/// How long the end of a drain waits for the collector.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Makes spans, if traces are on; clones share the exporter.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<SdkTracer>);

/// The task that exports spans.
#[derive(Debug)]
pub(crate) struct Exporting {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
    trust: Trust,
}

// === impl Traces ===

impl Traces {
    /// Makes spans as `config` says, and starts to export them; trusts `roots` too.
    ///
    /// # Errors
    /// [`TracesError`]; a collector that is down does not cause it.
    pub(crate) fn start(
        config: &Tracing,
        roots: &[rustls::pki_types::CertificateDer<'static>],
        network: &Network,
        metrics: SpanMetrics,
        incidents: IncidentTracker,
    ) -> Result<(Self, Exporting), TracesError> {
        let collector = Collector::new(config, roots, network)?;
        let trust = collector.trust().clone();
        let queue = Arc::new(Queue::new(config.queue.clone(), metrics.clone()));
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler(config.sampling))
            .with_span_processor(SpanSink(Arc::clone(&queue)))
            .build();
        let scope = InstrumentationScope::builder("amp-sidecar")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let stop = Arc::new(Notify::new());
        let exporter = Exporter::new(config, collector, queue, metrics, incidents);
        let task = tokio::spawn(exporter.run(Arc::clone(&stop)));
        tracing::info!(
            endpoint = %config.endpoint,
            sampler = config.sampling.name(),
            "traces are exported"
        );
        let tracer = provider.tracer_with_scope(scope);
        Ok((Self(Some(tracer)), Exporting { task, stop, trust }))
    }

    /// The span of a batch, child of the sender's.
    #[must_use]
    pub(crate) fn batch(&self, headers: &HeaderMap) -> Span {
        match &self.0 {
            None => Span::none(),
            Some(tracer) => Span::begin(tracer, "batch", SpanKind::Server, &parent::of(headers)),
        }
    }

    /// The span of a credential exchange, a root.
    #[must_use]
    pub(crate) fn exchange(&self) -> Span {
        match &self.0 {
            None => Span::none(),
            Some(tracer) => {
                let nobody = opentelemetry::Context::new();
                Span::begin(tracer, "credentials", SpanKind::Internal, &nobody)
            }
        }
    }
}

// === impl Exporting ===

impl Exporting {
    /// The certificates that are trusted for the collector.
    #[must_use]
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Exports the last spans, within a time limit.
    pub(crate) async fn finish(mut self) {
        self.stop.notify_one();
        if tokio::time::timeout(LAST_WORDS, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
            tracing::warn!("last spans not exported: the collector took too long");
        }
    }
}

fn sampler(sampling: Sampling) -> Sampler {
    let own = match sampling.share {
        0.0 => Sampler::AlwaysOff,
        1.0 => Sampler::AlwaysOn,
        share => Sampler::TraceIdRatioBased(share),
    };
    if sampling.by_parent {
        Sampler::ParentBased(Box::new(own))
    } else {
        own
    }
}
