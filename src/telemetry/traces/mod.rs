//! Traces: what a batch went through, for whoever asks an OpenTelemetry collector about it.
//!
//! ```text
//! traceparent ─▶ Traces::batch ─▶ Span ─▶ children ─▶ queue ─▶ export ─▶ collector ─▶ OTLP over HTTP
//! of the sender  sampled or not   while it lasts      bounded  one task   retries
//! ```
//!
//! In: a batch's head, and what its stages say of themselves. Out: spans at the collector. Off until an endpoint is configured;
//! then `Traces` and every [`Span`] are `None` inside, so that a batch costs a branch a stage and nothing is allocated,
//! started or kept. Where they are on, ending a span is a push below a lock that nobody holds for long. The collector is never waited
//! for by a batch: what finds the queue full is dropped and counted, and on leaving the last spans get [`LAST_WORDS`].
//!
//! The sender's `traceparent` and `tracestate` are continued here and go no further: `batch::sign` takes no header of theirs.
//! What may be in a span is a name, a number or a URL of the configuration; nothing that a peer or AWS said.
//!
//! Ids, sampling, spans and the messages are those of the OpenTelemetry crates; queue, task and HTTP are ours. `opentelemetry-otlp`
//! was tried first: over its hyper client the batch processor of the SDK panics ("no reactor running"), and its blocking
//! client is a second runtime with threads of its own, 4 MB of memory. Neither counts what it drops. Here the requests go
//! over a pool of `net`, on the runtime that is there: twelve crates, at most 0.4 MB of binary, 0.15 MB of anonymous memory when
//! idle, and next to none of that between traces on and off.

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

/// How long leaving waits for the collector.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Makes spans, where that is wanted; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<SdkTracer>);

/// The task that brings spans to the collector.
#[derive(Debug)]
pub(crate) struct Exporting {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
    trust: Trust,
}

// === impl Traces ===

impl Traces {
    /// Makes spans as `config` says, and begins to export them; trusts `roots` too.
    ///
    /// # Errors
    /// [`TracesError`]; a collector that is not there is none.
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

    /// The span of a batch, below that of its sender.
    #[must_use]
    pub(crate) fn batch(&self, headers: &HeaderMap) -> Span {
        match &self.0 {
            None => Span::none(),
            Some(tracer) => Span::begin(tracer, "batch", SpanKind::Server, &parent::of(headers)),
        }
    }

    /// The span of an exchange of the token for credentials, which nobody asked for.
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
    /// What the collector is trusted by.
    #[must_use]
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Lets the last spans go out, for as long as that may take.
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
