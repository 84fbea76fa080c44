//! What probes, Prometheus and people ask: `/livez`, `/readyz`, `/metrics`.
//!
//! Stands on a listener of its own, so that neither the byte budget nor the connection cap of the data path can make a
//! probe fail. Nothing here changes anything, and nothing secret is served.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;

use crate::batch::{Closed, Pipeline};
use crate::clock::Clock;
use crate::credentials::Cache;
use crate::listener::Service;
use crate::telemetry::Telemetry;

const PLAIN: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers on the admin port.
#[derive(Debug)]
pub struct Admin {
    /// Whose readiness is told.
    pub credentials: Cache,
    /// Whose load is told.
    pub pipeline: Arc<Pipeline>,
    /// Whose offset is told.
    pub clock: Clock,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Whether the sidecar is about to leave.
    pub draining: watch::Receiver<bool>,
}

// === impl Admin ===

impl Admin {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let (status, kind, body) = match path {
            "/livez" | "/readyz" | "/metrics"
                if method != Method::GET && method != Method::HEAD =>
            {
                (
                    StatusCode::METHOD_NOT_ALLOWED,
                    PLAIN,
                    "GET or HEAD\n".to_owned(),
                )
            }
            "/livez" => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
            "/readyz" => match self.missing() {
                None => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
                Some(missing) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    PLAIN,
                    format!("{missing}\n"),
                ),
            },
            "/metrics" => (StatusCode::OK, OPEN_METRICS, self.metrics()),
            _ => (
                StatusCode::NOT_FOUND,
                PLAIN,
                "served here: /livez, /readyz, /metrics\n".to_owned(),
            ),
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn missing(&self) -> Option<String> {
        if *self.draining.borrow() {
            return Some("not ready: the sidecar is leaving".to_owned());
        }
        self.credentials
            .ready()
            .err()
            .map(|why| format!("not ready: no AWS credentials: {why}"))
    }

    fn metrics(&self) -> String {
        let admission = self.pipeline.admission();
        let ready = self.missing().is_none();
        let (bytes, requests) = (admission.bytes_in_flight(), admission.requests_in_flight());
        self.telemetry
            .observe(bytes, requests, self.clock.offset_seconds(), ready);
        self.telemetry.encode()
    }
}

impl Service for Admin {
    async fn call(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
        Ok(self.answer(request.method(), request.uri().path()))
    }
}
