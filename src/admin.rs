//! What probes, Prometheus and people ask: `/livez`, `/readyz`, `/metrics`.
//!
//! Stands on a listener of its own, so that neither the byte budget nor the connection cap of the data path can make a
//! probe fail. Nothing here changes anything, and nothing secret is served.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;

use crate::browser::{Names, Purpose};
use crate::head;
use crate::listener::{Closed, Service};
use crate::router::Router;
use crate::telemetry::{Format, Telemetry};

const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers on the admin port.
#[derive(Debug)]
pub struct Admin {
    /// Whose workspaces are told of.
    pub router: Arc<Router>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// By which names browsers may call.
    pub names: Names,
    /// Whether the sidecar is about to leave.
    pub draining: watch::Receiver<bool>,
}

// === impl Admin ===

impl Admin {
    fn answer(&self, head: &Parts) -> Response<Full<Bytes>> {
        let method = &head.method;
        let (status, kind, body) = match head.uri.path() {
            "/livez" | "/readyz" | "/metrics"
                if method != Method::GET && method != Method::HEAD =>
            {
                (
                    StatusCode::METHOD_NOT_ALLOWED,
                    PLAIN,
                    Bytes::from_static(b"GET or HEAD\n"),
                )
            }
            "/livez" => (StatusCode::OK, PLAIN, Bytes::from_static(b"ok\n")),
            "/readyz" => {
                let (status, words) = self.readiness();
                (status, PLAIN, words.into())
            }
            "/metrics" => self.metrics(Format::accepted(&head.headers)),
            _ => (
                StatusCode::NOT_FOUND,
                PLAIN,
                Bytes::from_static(b"served here: /livez, /readyz, /metrics\n"),
            ),
        };
        respond(status, kind, body)
    }

    /// Why a request is not answered, if it is not.
    fn turned_away(&self, request: &Request<Incoming>) -> Option<(StatusCode, String)> {
        let host = match head::host(request) {
            Ok(host) => host,
            Err(why) => return Some((StatusCode::BAD_REQUEST, why.to_string())),
        };
        let purpose = match request.uri().path() {
            "/livez" | "/readyz" | "/metrics" => Purpose::Probe,
            _ => Purpose::Page,
        };
        let admitted = self.names.admit(request, host.as_ref(), purpose);
        let why = admitted.err()?;
        Some((StatusCode::FORBIDDEN, why.to_string()))
    }

    /// Ready is who can serve a sender: of several workspaces one that lacks something must not take the others away.
    fn readiness(&self) -> (StatusCode, String) {
        if *self.draining.borrow() {
            let words = "not ready: the sidecar is leaving\n".to_owned();
            return (StatusCode::SERVICE_UNAVAILABLE, words);
        }
        let routes = self.router.routes();
        let lacking: Vec<(&str, String)> = routes
            .workspaces()
            .iter()
            .filter_map(|running| Some((running.config.name.as_str(), running.missing()?)))
            .collect();
        let status = if lacking.len() < routes.workspaces().len() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let line = |(name, missing): &(&str, String)| match routes.workspaces() {
            [_] => format!("not ready: {missing}\n"),
            _ => format!("workspace {name} is not ready: {missing}\n"),
        };
        let lines: String = lacking.iter().map(line).collect();
        let ok = if status == StatusCode::OK { "ok\n" } else { "" };
        (status, format!("{ok}{lines}"))
    }

    fn metrics(&self, format: Format) -> (StatusCode, &'static str, Bytes) {
        let leaving = *self.draining.borrow();
        for running in self.router.routes().workspaces() {
            running.observe(leaving);
        }
        match self.telemetry.encode(format) {
            Ok(metrics) => (StatusCode::OK, format.content_type(), metrics.into()),
            Err(error) => {
                let words = format!("the metrics could not be written: {error}\n");
                (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, words.into())
            }
        }
    }
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
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

impl Service for Admin {
    type Body = Full<Bytes>;

    async fn call(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
        let turned_away = self.turned_away(&request);
        let (head, _) = request.into_parts();
        Ok(match turned_away {
            None => self.answer(&head),
            Some((status, why)) => respond(status, PLAIN, format!("{why}\n").into()),
        })
    }
}
