//! One attempt at AMP: one deadline, a bounded answer.
//!
//! In: a [`Signed`]. Out: AMP's [`AmpResponse`], or the [`TransportError`] that stood in its place. A redirect is an answer like any
//! other. A time-out closes all idle connections too, since the path that swallowed one will have swallowed the others.

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
    /// Sends to where `connector` connects, which is the host of `url`.
    #[must_use]
    pub fn new(connector: Box<dyn Connect>, url: Uri, metrics: Arc<WorkspaceMetrics>) -> Self {
        Self {
            url,
            pool: Pool::new(connector, Arc::clone(&metrics) as _),
            metrics,
        }
    }

    /// Sends, and reads the answer, before `deadline`.
    ///
    /// # Errors
    /// [`TransportError`].
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
                    // A pooled connection had been closed, and the request is sent once more.
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

    /// How many connections are idle.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.pool.idle()
    }

    /// One for each time that the request is sent.
    fn span(&self, batch: &Span, signed: &Signed) -> Span {
        let mut span = batch.request("upstream");
        span.describe(|span| {
            span.set("http.request.method", "POST");
            span.at(&self.url);
            span.count("http.request.body.size", signed.chunks.len() as u64);
        });
        span
    }

    /// Reads the answer; its connection is released only where the answer was complete and short.
    async fn read(
        &self,
        response: Response<Incoming>,
        connection: Connection,
    ) -> Result<AmpResponse, TransportError> {
        let (head, body) = response.into_parts();
        // A success counts once it is complete: what breaks off may be a proxy's, and AMP takes the same batch twice.
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
