//! One attempt at AMP: one deadline, a bounded answer.
//!
//! In: a [`Signed`]. Out: AMP's [`AmpResponse`], or the [`TransportFault`] that stood in its place. A redirect is an answer like any
//! other. Whatever times out takes all idle connections with it, since the path that swallowed one will have swallowed
//! the others.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Response, Uri};
use tokio::time::Instant;

use crate::net::connect::Dial;
use crate::net::pool::{Beginning, Connection, Connections, Signed, TransportFault};
use crate::outcome::amp_response::AmpResponse;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::traces::Span;

/// Sends to one endpoint.
#[derive(Debug)]
pub struct Forwarder {
    connections: Connections,
    url: Uri,
    metrics: Arc<WorkspaceMetrics>,
}

// === impl Forwarder ===

impl Forwarder {
    /// Sends to where `dialer` leads, which is the host of `url`.
    #[must_use]
    pub fn new(dialer: Box<dyn Dial>, url: Uri, metrics: Arc<WorkspaceMetrics>) -> Self {
        Self {
            url,
            connections: Connections::new(dialer, Arc::clone(&metrics) as _),
            metrics,
        }
    }

    /// Sends, and reads the answer, before `deadline`.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub async fn send(
        &self,
        signed: &Signed,
        deadline: Instant,
        batch: &Span,
    ) -> Result<AmpResponse, TransportFault> {
        let mut span = self.span(batch, signed);
        let mut before = 0;
        let result = tokio::time::timeout_at(deadline, async {
            let leaves = || {
                self.metrics.upstream_request(signed.chunks.len());
                if before > 0 {
                    // A kept connection had been closed, and the request leaves once more.
                    span.failed("stale_connection");
                    span = self.span(batch, signed);
                    span.set("http.request.resend_count", before);
                }
                before += 1;
            };
            let (response, connection) = self.connections.send(signed, leaves).await?;
            span.set(
                "http.response.status_code",
                i64::from(response.status().as_u16()),
            );
            span.answered(response.headers());
            self.read(response, connection).await
        });
        let result = result.await.unwrap_or(Err(TransportFault::TimedOut));
        match &result {
            Ok(reply) if reply.status().is_success() => {}
            Ok(reply) => span.failed(reply.status().as_str().to_owned()),
            Err(fault) => span.failed(fault.name()),
        }
        if matches!(result, Err(TransportFault::TimedOut)) {
            self.connections.forget_idle();
        }
        result
    }

    /// Kept connections that nobody uses.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.connections.idle()
    }

    /// One for each request that leaves.
    fn span(&self, batch: &Span, signed: &Signed) -> Span {
        let mut span = batch.request("upstream");
        span.describe(|span| {
            span.set("http.request.method", "POST");
            span.at(&self.url);
            span.count("http.request.body.size", signed.chunks.len() as u64);
        });
        span
    }

    /// Reads the answer; its connection is kept only where the answer was whole and short.
    async fn read(
        &self,
        response: Response<Incoming>,
        connection: Connection,
    ) -> Result<AmpResponse, TransportFault> {
        let (head, body) = response.into_parts();
        // A success counts once it is whole: what breaks off may be a proxy's, and AMP takes the same batch twice.
        let body = Beginning::read(body)
            .await
            .map_err(TransportFault::Broken)?;
        if body.complete {
            self.connections.keep(connection);
        } else if head.status.is_success() {
            return Err(TransportFault::Endless);
        }
        Ok(AmpResponse::new(
            head.status,
            &head.headers,
            &body.bytes,
            self.connections.is_verified(),
        ))
    }
}
