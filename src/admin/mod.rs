//! The admin listener for probes, Prometheus and people: `/livez`, `/readyz`, `/metrics`, `/caught-up`, and the status page at `/`.
//!
//! It has its own listener, so that neither the byte budget nor the connection cap of the data path can fail a probe. It is read-only
//! (GET and HEAD) and serves no secret. A sender that writes here by mistake gets a response that names the right port, and keeps its
//! samples ([`misdirected`]).

mod caught_up;
mod page;
pub mod status;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;

pub use crate::admin::caught_up::CaughtUp;
use crate::admin::status::{Status, StatusInput, readiness};
use crate::clock::{Clock, Stamp};
use crate::config::Config;
use crate::http::browser::{AllowedHosts, Purpose};
use crate::http::head;
use crate::inbound::listener::{Closed, Service};
use crate::outcome::response::SenderResponse;
use crate::outcome::verdict::Verdict;
use crate::router::Router;
use crate::router::misdirected::{self, UnroutedRequests};
use crate::sanitize::sanitize;
use crate::telemetry::{Format, Telemetry};

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const SERVED: &str = "paths here: /, /status.json, /livez, /readyz, /metrics, /caught-up\n";

/// On every response, though only the page needs them: no other page may embed what is here.
const HEADERS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, page::POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Serves the admin port.
#[derive(Debug)]
pub struct Admin {
    /// The workspaces.
    pub router: Arc<Router>,
    /// The configuration in use.
    pub config: Arc<ArcSwap<Config>>,
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// The host names that browsers may use.
    pub names: AllowedHosts,
    pub port: u16,
    /// Records senders that write here.
    pub unrouted: UnroutedRequests,
    /// Whether the sidecar is draining.
    pub draining: watch::Receiver<bool>,
    /// Requests that wait for senders to catch up.
    pub caught_up: CaughtUp,
    /// When the process began.
    pub started: Stamp,
    /// The present.
    pub clock: Clock,
}

// === impl Admin ===

impl Admin {
    fn answer(&self, head: &Parts) -> Response<Full<Bytes>> {
        let method = &head.method;
        let path = head.uri.path();
        let (status, kind, body) = if method != Method::GET && method != Method::HEAD {
            let words = Bytes::from_static(b"GET or HEAD\n");
            (StatusCode::METHOD_NOT_ALLOWED, PLAIN, words)
        } else if let Some((kind, text)) = page::asset(path) {
            (StatusCode::OK, kind, Bytes::from_static(text.as_bytes()))
        } else {
            self.look(path, head)
        };
        respond(status, kind, body)
    }

    /// The response to a path, after all checks.
    fn look(&self, path: &str, head: &Parts) -> (StatusCode, &'static str, Bytes) {
        match path {
            "/livez" => (StatusCode::OK, PLAIN, Bytes::from_static(b"ok\n")),
            "/readyz" => {
                let (ready, words) = self.observe(readiness);
                let status = match ready {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                (status, PLAIN, words.into())
            }
            "/metrics" => self.metrics(Format::accepted(&head.headers)),
            "/status.json" => self.status(),
            _ => (
                StatusCode::NOT_FOUND,
                PLAIN,
                Bytes::from_static(SERVED.as_bytes()),
            ),
        }
    }

    /// Why a request is rejected, if it is.
    fn rejected(&self, request: &Request<()>) -> Option<(StatusCode, String)> {
        let host = match head::host(request) {
            Ok(host) => host,
            Err(why) => return Some((StatusCode::BAD_REQUEST, why.to_string())),
        };
        let purpose = match request.uri().path() {
            "/livez" | "/readyz" | "/metrics" | caught_up::PATH => Purpose::Probe,
            _ => Purpose::Page,
        };
        let admitted = self.names.admit(request, host.as_ref(), purpose);
        let why = admitted.err()?;
        Some((StatusCode::FORBIDDEN, why.to_string()))
    }

    /// The response to a sender that writes to this port; `None` for other requests. Any host name will do, as on the senders' port.
    async fn misdirected(
        &self,
        peer: IpAddr,
        request: &Request<()>,
        head: &Parts,
        mut body: Incoming,
    ) -> Option<SenderResponse> {
        let host = head::host(request).ok()?;
        let foreign = self.names.admit(request, host.as_ref(), Purpose::Batch);
        let started = Instant::now();
        // A browser's body is not read: a page may send anything.
        if !misdirected::by_head(head)
            && (foreign.is_err() || !misdirected::is_batch(&mut body).await)
        {
            return None;
        }
        let (method, path, port) = (&head.method, head.uri.path(), self.port);
        let verdict = match foreign {
            Err(why) => Verdict::from(why),
            Ok(()) => Verdict::Misdirected {
                asked: sanitize(&format!("{method} {path} on port {port}")),
                right: self.router.right_url(host.as_ref().map(Authority::host)),
            },
        };
        let sender = Some((head, peer, port));
        let answer = self.unrouted.answer(&verdict, sender, started.elapsed());
        misdirected::discard(body).await;
        Some(answer)
    }

    /// Waits, so a HEAD is not the same with less to read: only what a hook sends is served.
    async fn caught_up(&self, head: &Parts) -> Response<Full<Bytes>> {
        if head.method != Method::GET {
            let words = Bytes::from_static(b"GET\n");
            let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, PLAIN, words);
            let allowed = HeaderValue::from_static("GET");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        let (status, words) = self.caught_up.answer(head.uri.query(), &self.router).await;
        respond(status, PLAIN, words.into())
    }

    fn metrics(&self, format: Format) -> (StatusCode, &'static str, Bytes) {
        let draining = *self.draining.borrow();
        for running in self.router.routes().workspaces() {
            running.observe(draining);
        }
        match self.telemetry.encode(format) {
            Ok(metrics) => (StatusCode::OK, format.content_type(), metrics.into()),
            Err(error) => unwritten("the metrics", &error),
        }
    }

    fn status(&self) -> (StatusCode, &'static str, Bytes) {
        match serde_json::to_vec(&self.observe(Status::collect)) {
            Ok(json) => (StatusCode::OK, JSON, json.into()),
            Err(error) => unwritten("the status", &error),
        }
    }

    /// Derives something from the present state.
    fn observe<T>(&self, of: impl FnOnce(&StatusInput<'_>) -> T) -> T {
        let routes = self.router.routes();
        of(&StatusInput {
            telemetry: &self.telemetry,
            workspaces: routes.workspaces(),
            config: &self.config.load(),
            draining: *self.draining.borrow(),
            started: self.started,
            now: self.clock.now(),
            misdirected: &self.unrouted.senders().recent(),
        })
    }
}

fn unwritten(what: &str, error: &dyn std::error::Error) -> (StatusCode, &'static str, Bytes) {
    let words = format!("{what} could not be written: {error}\n");
    (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, words.into())
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

impl Service for Admin {
    type Body = Full<Bytes>;

    async fn call(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Closed> {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head.clone(), ());
        if misdirected::may_write(&head.method) {
            match self.misdirected(peer, &request, &head, body).await {
                Some(SenderResponse::Respond(response)) => return Ok(response),
                Some(SenderResponse::Close) => return Err(Closed),
                None => {}
            }
        } else {
            self.unrouted.recover();
        }
        Ok(match self.rejected(&request) {
            // Boxed, so that other requests do not hold memory for it.
            None if head.uri.path() == caught_up::PATH => Box::pin(self.caught_up(&head)).await,
            None => self.answer(&head),
            Some((status, why)) => respond(status, PLAIN, format!("{why}\n").into()),
        })
    }
}
