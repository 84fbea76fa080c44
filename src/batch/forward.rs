//! One request to AMP: one deadline, a bounded response.
//!
//! In: a [`Signed`]. Out: AMP's [`AmpResponse`], or a [`TransportError`]. A redirect is returned like any other response. A
//! timeout also closes all idle connections, because they share the network path that timed out.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Response, Uri};
use tokio::time::Instant;

use crate::net::connect::Connect;
use crate::net::error::TransportError;
use crate::net::pool::{BoundedBody, Connection, Pool};
use crate::outcome::amp_response::AmpResponse;
use crate::sigv4::Signed;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::traces::Span;

/// Sends to one endpoint.
#[derive(Debug)]
pub struct Forwarder {
    pool: Pool,
    url: Uri,
    metrics: Arc<WorkspaceMetrics>,
}

// === impl Forwarder ===

impl Forwarder {
    /// Sends over the connections of `connector`, which must connect to the host of `url`.
    #[must_use]
    pub fn new(connector: Box<dyn Connect>, url: Uri, metrics: Arc<WorkspaceMetrics>) -> Self {
        Self {
            url,
            pool: Pool::new(connector, Arc::clone(&metrics) as _),
            metrics,
        }
    }

    /// Sends the request and reads the response before `deadline`.
    pub async fn send(
        &self,
        signed: &Signed,
        deadline: Instant,
        batch: &Span,
    ) -> Result<AmpResponse, TransportError> {
        let mut span = self.span(batch, signed);
        let mut before = 0;
        let result = tokio::time::timeout_at(deadline, async {
            let on_send = || {
                self.metrics.upstream_request(signed.chunks.len());
                if before > 0 {
                    // The pooled connection had been closed by the peer: send once more on a new one.
                    span.failed("stale_connection");
                    span = self.span(batch, signed);
                    span.set("http.request.resend_count", before);
                }
                before += 1;
            };
            let (response, connection) = self.pool.send(signed, on_send).await?;
            span.set(
                "http.response.status_code",
                i64::from(response.status().as_u16()),
            );
            span.answered(response.headers());
            self.read(response, connection).await
        });
        let result = result.await.unwrap_or(Err(TransportError::TimedOut));
        match &result {
            Ok(reply) if reply.status().is_success() => {}
            Ok(reply) => span.failed(reply.status().as_str().to_owned()),
            Err(fault) => span.failed(fault.name()),
        }
        if matches!(result, Err(TransportError::TimedOut)) {
            self.pool.close_idle();
        }
        result
    }

    /// Number of idle connections.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.pool.idle()
    }

    /// Built anew for each attempt.
    fn span(&self, batch: &Span, signed: &Signed) -> Span {
        let mut span = batch.request("upstream");
        span.describe(|span| {
            span.set("http.request.method", "POST");
            span.at(&self.url);
            span.count("http.request.body.size", signed.chunks.len() as u64);
        });
        span
    }

    /// Reads the response. The connection is released to the pool only if the response was complete and short.
    async fn read(
        &self,
        response: Response<Incoming>,
        connection: Connection,
    ) -> Result<AmpResponse, TransportError> {
        let (head, body) = response.into_parts();
        // A 2xx counts only when complete: a truncated one may come from a proxy, and sending the batch again is harmless.
        let body = BoundedBody::read(body)
            .await
            .map_err(TransportError::Broken)?;
        if body.complete {
            self.pool.release(connection);
        } else if head.status.is_success() {
            return Err(TransportError::Endless);
        }
        Ok(AmpResponse::new(
            head.status,
            &head.headers,
            &body.bytes,
            self.pool.is_verified(),
        ))
    }
}
