//! One export to the collector: OTLP over HTTP, binary protobuf.
//!
//! In: an encoded `ExportTraceServiceRequest`. Out: how many of its spans the collector rejected, or a [`SendError`] that knows whether a
//! retry makes sense. It uses a pooled connection, like AMP and STS. Time and response size are limited; redirects are not followed,
//! because headers may carry a key; the collector's messages are not repeated, since they may quote them.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use super::error::TracesError;
use crate::config::{Network, Tracing};
use crate::http::body::ChunkedBody;
use crate::net::client;
use crate::net::connect::Connector;
use crate::net::error::TransportError;
use crate::net::pool::{BoundedBody, OutgoingRequest, Pool};
use crate::net::tls::Trust;

#[derive(Debug)]
pub(crate) struct Collector {
    pool: Pool,
    trust: Trust,
    path: Uri,
    headers: HeaderMap,
    gzip: bool,
    timeout: Duration,
}

/// Why an export was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// DNS, connection, proxy or TLS failed; or the connection broke.
    #[error("the collector could not be reached: {0}")]
    Unreachable(#[from] TransportError),
    /// No response in time.
    #[error("the collector did not respond in time")]
    TimedOut,
    /// It did not respond 2xx.
    #[error("the collector answered {}{}", .0, remedy(.0))]
    Answered(StatusCode),
}

// === impl Collector ===

impl Collector {
    /// The configured collector; trusts `roots` too.
    pub(crate) fn new(
        config: &Tracing,
        roots: &[CertificateDer<'static>],
        network: &Network,
    ) -> Result<Self, TracesError> {
        let roots: Vec<_> = roots.iter().chain(&config.roots).cloned().collect();
        let trust = Trust::new(&roots)?;
        let url = &config.endpoint;
        let connector = Connector::new(url, network, &trust).ok_or(TracesError::Endpoint)?;
        let mut headers = config.headers.clone();
        client::complete(&mut headers, url);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        if config.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let path = url.path_and_query().cloned().map(Uri::from);
        Ok(Self {
            pool: Pool::new(Box::new(connector), Arc::new(())),
            trust,
            path: path.unwrap_or_default(),
            headers,
            gzip: config.gzip,
            timeout: config.timeout,
        })
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Compresses a message if so configured.
    pub(super) fn packed(&self, message: Vec<u8>) -> Bytes {
        if !self.gzip {
            return Bytes::from(message);
        }
        let mut encoder =
            GzEncoder::new(Vec::with_capacity(message.len() / 4), Compression::fast());
        // Writing to memory cannot fail.
        let _written = encoder.write_all(&message);
        Bytes::from(encoder.finish().unwrap_or_default())
    }

    /// Whether it accepts an export without spans.
    pub(crate) async fn probe(&self) -> Result<(), SendError> {
        self.send(self.packed(Vec::new())).await.map(|_| ())
    }

    /// How many of the spans it rejected.
    pub(super) async fn send(&self, message: Bytes) -> Result<u64, SendError> {
        let deadline = Instant::now() + self.timeout;
        let request = OutgoingRequest {
            method: Method::POST,
            path: self.path.clone(),
            headers: self.headers.clone(),
            chunks: ChunkedBody::new(vec![message]),
        };
        let sent = timeout_at(deadline, self.pool.send(&request, || {})).await;
        let (response, connection) = sent.map_err(|_| SendError::TimedOut)??;
        if !response.status().is_success() {
            return Err(SendError::Answered(response.status()));
        }
        // It has the spans: a truncated or oversized response only hides how many it rejected.
        let body = timeout_at(deadline, BoundedBody::read(response.into_body())).await;
        let Ok(Ok(body)) = body else {
            return Ok(0);
        };
        if !body.complete {
            return Ok(0);
        }
        self.pool.release(connection);
        let answer = ExportTraceServiceResponse::decode(body.bytes.as_slice()).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |part| part.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

// === impl SendError ===

impl SendError {
    /// Whether the same export may be accepted later (OTLP, "Retryable Response Codes").
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut => true,
            Self::Answered(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

fn remedy(status: &StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "; is --otlp-headers what it asks for?",
        404 | 405 => "; OTLP over HTTP is usually at port 4318 and the path /v1/traces",
        415 => "; does it take OTLP as binary protobuf?",
        300..=399 => "; redirects are not followed, name the place itself",
        _ => "",
    }
}
