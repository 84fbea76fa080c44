//! One export to the collector: OTLP over HTTP, binary protobuf.
//!
//! In: an encoded `ExportTraceServiceRequest`. Out: how many of its spans the collector would not have, or a [`SendError`] that
//! knows whether another try makes sense. Bounded in time and in what is read of the answer; no redirect is followed, because
//! headers may carry a key; what the collector says in words is not repeated, for it may quote them.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::pki_types::CertificateDer;

use super::TracesError;
use crate::config::{Network, Tracing};
use crate::net::client;
use crate::net::connect::LONGEST_DIAL;
use crate::net::tls::Trust;
use crate::net::tls_client::HttpClient;

const LARGEST_ANSWER: usize = 64 * 1024;
/// Exports come every few seconds; what is idle for longer will have been closed.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// The collector.
#[derive(Debug)]
pub struct Collector {
    client: HttpClient,
    trust: Trust,
    url: String,
    headers: HeaderMap,
    gzip: bool,
}

/// Why an export was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// DNS, connection or TLS.
    #[error("the collector could not be reached: {}", client::chain(.0))]
    Unreachable(#[source] reqwest::Error),
    /// No answer came in time.
    #[error("the collector did not answer in time")]
    TimedOut,
    /// It answered something else than 2xx.
    #[error("the collector answered {}{}", .0, remedy(.0))]
    Answered(StatusCode),
}

// === impl Collector ===

impl Collector {
    /// The collector of the configuration, reached as AMP and STS are.
    ///
    /// # Errors
    /// Where no client can be made.
    pub fn new(
        config: &Tracing,
        roots: &[CertificateDer<'static>],
        network: &Network,
    ) -> Result<Self, TracesError> {
        let roots: Vec<_> = roots.iter().chain(&config.roots).cloned().collect();
        let trust = Trust::new(&roots)?;
        let (network, timeout) = (network.clone(), config.timeout);
        let client = HttpClient::new(&trust, move || {
            reqwest::Client::builder()
                .proxy(client::proxy(network.clone()))
                .redirect(reqwest::redirect::Policy::none())
                .timeout(timeout)
                .connect_timeout(LONGEST_DIAL)
                .pool_max_idle_per_host(1)
                .pool_idle_timeout(LONGEST_IDLE)
                .user_agent(crate::USER_AGENT)
        });
        let client = client.map_err(client::ClientError)?;
        let mut headers = config.headers.clone();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        if config.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self {
            client,
            trust,
            url: config.endpoint.to_string(),
            headers,
            gzip: config.gzip,
        })
    }

    /// What it is trusted by.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// A message as it is sent.
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

    /// Whether it takes what is sent to it: an export of nothing.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn probe(&self) -> Result<(), SendError> {
        self.send(self.packed(Vec::new())).await.map(|_| ())
    }

    /// How many of the spans it would not have.
    pub(super) async fn send(&self, message: Bytes) -> Result<u64, SendError> {
        let request = self
            .client
            .get()
            .post(&self.url)
            .headers(self.headers.clone());
        let mut response = request.body(message).send().await.map_err(SendError::of)?;
        if !response.status().is_success() {
            return Err(SendError::Answered(response.status()));
        }
        let mut answer = Vec::new();
        // It has the spans; an answer that breaks off only keeps to itself what it would not have.
        while let Ok(Some(chunk)) = response.chunk().await {
            if answer.len() + chunk.len() > LARGEST_ANSWER {
                return Ok(0);
            }
            answer.extend_from_slice(&chunk);
        }
        let answer = ExportTraceServiceResponse::decode(answer.as_slice()).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |part| part.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

// === impl SendError ===

impl SendError {
    /// Whether the same export may be taken later (OTLP, "Retryable Response Codes").
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut => true,
            Self::Answered(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }

    fn of(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Unreachable(error.without_url())
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
