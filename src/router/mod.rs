//! Which workspace a request is for.
//!
//! In: a request on the senders' port, which is the readers' too. Out: its answer, by the workspace that the path names. The path of a sender only
//! ever selects among what is configured; it is never forwarded, so nothing can be signed for anything else. A request that
//! can be read in two ways, or that a page of another site may be behind, selects nothing. Remote write that selects nothing is
//! kept by its sender, who is told the right URL ([`misdirected`]).
//!
//! | path | workspace |
//! |---|---|
//! | `/workspaces/<id or name>/api/v1/remote_write` | the one of this id or name |
//! | `/api/v1/remote_write`, `/api/v1/write` | the only one; where there are several, the sender is asked to come again |
//! | both with a slash at the end, or two in the place of one | the same: it is what a base URL with a slash leaves |
//! | both forms with a path of [`Api`] in the place of `remote_write` | the same, to be read where that is allowed |
//!
//! A new configuration replaces the routes in one step; requests that are under way finish with the workspace that took them.

pub mod misdirected;
mod routes;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use tokio::time::Instant;

use crate::http::browser::{AllowedHosts, Purpose};
use crate::http::head;
use crate::inbound::drain::SenderActivity;
use crate::inbound::listener::{Closed, Service};
use crate::inbound::server_auth::ServerAuth;
use crate::outcome::response::SenderResponse;
use crate::outcome::verdict::Verdict;
use crate::query::api::Api;
use crate::query::stream::Streamed;
use crate::query::{QueryError, request};
use crate::remote_write::content_type;
use crate::sanitize::sanitize;
use crate::telemetry::{QueryMetrics, Telemetry};
use crate::workspace::ActiveWorkspace;
use misdirected::UnroutedRequests;

pub use routes::{RequestedWorkspace, Routes};

/// Answers senders.
#[derive(Debug)]
pub struct Router {
    routes: ArcSwap<Routes>,
    unrouted_queries: QueryMetrics,
    /// Requests for no workspace.
    unrouted: UnroutedRequests,
    /// Where it listens.
    address: SocketAddr,
    server_auth: Arc<ServerAuth>,
    names: AllowedHosts,
    /// For leaving.
    pub senders: SenderActivity,
}

/// The workspace that a reader's path names, and what comes below `/api/v1/`. A reader loses nothing by a slash too many, so that
/// its list of paths stays closed to the letter.
fn split(path: &str) -> Option<(Option<&str>, &str)> {
    if let Some(below) = path.strip_prefix("/api/v1/") {
        return Some((None, below));
    }
    let (key, below) = path.strip_prefix("/workspaces/")?.split_once("/api/v1/")?;
    Some((Some(key), below))
}

// === impl Router ===

impl Router {
    /// Answers at `address`, by `routes`, whom `door` lets in and who calls by one of `names`.
    #[must_use]
    pub fn new(
        routes: Routes,
        server_auth: Arc<ServerAuth>,
        names: AllowedHosts,
        address: SocketAddr,
        telemetry: &Telemetry,
        unrouted: UnroutedRequests,
    ) -> Self {
        Self {
            routes: ArcSwap::from_pointee(routes),
            unrouted_queries: telemetry.queries(""),
            unrouted,
            address,
            server_auth,
            names,
            senders: SenderActivity::default(),
        }
    }

    /// What is served now.
    #[must_use]
    pub fn routes(&self) -> Arc<Routes> {
        self.routes.load_full()
    }

    /// Serves by other routes from now on.
    pub fn replace(&self, routes: Routes) {
        self.routes.store(Arc::new(routes));
    }

    /// Who wrote to where nothing is taken, on this port and the other.
    #[must_use]
    pub fn unrouted(&self) -> &UnroutedRequests {
        &self.unrouted
    }

    /// Where remote write is taken, for a sender that reached the sidecar, though perhaps not this port, by the name `host`.
    #[must_use]
    pub fn right_url(&self, host: Option<&str>) -> String {
        let Self { address, .. } = self;
        let at = match host {
            Some(host) if address.ip().is_unspecified() => format!("{host}:{}", address.port()),
            _ => address.to_string(),
        };
        self.url_at(&at)
    }

    fn url_at(&self, at: &str) -> String {
        let scheme = match self.server_auth.acceptor() {
            Some(_) => "https",
            None => "http",
        };
        let routes = self.routes();
        match routes.only() {
            Some(only) => format!(
                "{scheme}://{at}/api/v1/remote_write, or /workspaces/{}/api/v1/remote_write",
                only.config.id
            ),
            None => format!(
                "{scheme}://{at}/workspaces/<name>/api/v1/remote_write with one of {}",
                routes.names().join(", ")
            ),
        }
    }

    /// Readers are not waited for on leaving: they keep nothing that could be lost.
    async fn query(
        &self,
        found: Result<Arc<ActiveWorkspace>, QueryError>,
        api: Api,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, Closed> {
        let (head, mut body) = request.into_parts();
        // What is refused anyway is nobody's to read, so that it may be looked at: it may be a batch that says nothing of itself.
        let refused = match &found {
            Ok(running) => {
                running.queries.is_none()
                    || !api.methods().contains(&head.method)
                    || !request::is_form(&head.headers)
            }
            Err(QueryError::NoSuchWorkspace | QueryError::Ambiguous { .. }) => true,
            Err(_) => false,
        };
        if refused && misdirected::may_write(&head.method) && misdirected::is_batch(&mut body).await
        {
            let started = Instant::now();
            let answer = self.keep(Verdict::NoSuchPath, peer, &head, true, started);
            misdirected::discard(body).await;
            return match answer {
                SenderResponse::Respond(response) => Ok(response.map(Either::Left)),
                SenderResponse::Close => Err(Closed),
            };
        }
        let request = Request::from_parts(head, body);
        let why = match found {
            Ok(running) => match &running.queries {
                Some(queries) => return queries.answer(api, request).await,
                None => QueryError::Disabled,
            },
            Err(why) => why,
        };
        let response = why.respond();
        self.unrouted_queries
            .answered(api.name(), response.status());
        Ok(response.map(Either::Left))
    }

    fn find(&self, request: &Request<Incoming>) -> Result<Arc<ActiveWorkspace>, Verdict> {
        let host = head::host(request)?;
        self.names.admit(request, host.as_ref(), Purpose::Batch)?;
        if !self.server_auth.authenticate(request.headers()) {
            return Err(Verdict::ClientUnauthenticated);
        }
        self.routes().find(request.uri().path()).map(Arc::clone)
    }

    fn find_queries(
        &self,
        request: &Request<Incoming>,
        key: Option<&str>,
    ) -> Result<Arc<ActiveWorkspace>, QueryError> {
        let host = head::host(request)?;
        self.names.admit(request, host.as_ref(), Purpose::Query)?;
        if !self.server_auth.authenticate(request.headers()) {
            return Err(QueryError::ClientUnauthenticated);
        }
        self.routes().find_queries(key).map(Arc::clone)
    }

    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> SenderResponse {
        let started = Instant::now();
        match self.find(&request) {
            Ok(_) if content_type::is_protocol_probe(&request) => {
                misdirected::discard(request.into_body()).await;
                self.unrouted
                    .asked(&Verdict::ProtocolProbe, started.elapsed())
            }
            Ok(_) if request.method() == Method::PUT => {
                // In a box, as below: whoever writes as it should holds no room for it.
                Box::pin(self.misdirected_write(Verdict::MethodNotAllowed, peer, request, started))
                    .await
            }
            Ok(running) => {
                self.unrouted.recover();
                running.pipeline.answer(request).await.answer()
            }
            Err(verdict) => Box::pin(self.misdirected_write(verdict, peer, request, started)).await,
        }
    }

    /// A request for no workspace, of which is not known yet whether it is remote write.
    async fn misdirected_write(
        &self,
        verdict: Verdict,
        peer: IpAddr,
        request: Request<Incoming>,
        started: Instant,
    ) -> SenderResponse {
        let (head, mut body) = request.into_parts();
        let told_by_body = misdirected::may_write(&head.method)
            && matches!(verdict, Verdict::NoSuchPath | Verdict::MethodNotAllowed);
        let writes =
            misdirected::by_head(&head) || told_by_body && misdirected::is_batch(&mut body).await;
        let answer = self.keep(verdict, peer, &head, writes, started);
        if writes {
            misdirected::discard(body).await;
        }
        answer
    }

    /// What it is told: who writes keeps its samples and hears where they are taken.
    fn keep(
        &self,
        mut verdict: Verdict,
        peer: IpAddr,
        head: &Parts,
        writes: bool,
        started: Instant,
    ) -> SenderResponse {
        let port = self.address.port();
        if writes && matches!(verdict, Verdict::NoSuchPath | Verdict::MethodNotAllowed) {
            let (method, path) = (&head.method, head.uri.path());
            let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
            // By whichever name it came, it comes to the right path too.
            let at = named.map_or_else(|| self.address.to_string(), str::to_owned);
            verdict = Verdict::Misdirected {
                asked: sanitize(&format!("{method} {path} on port {port}")),
                right: self.url_at(&at),
            };
        }
        let kept = matches!(
            verdict,
            Verdict::Misdirected { .. }
                | Verdict::AmbiguousPath { .. }
                | Verdict::ClientUnauthenticated
                | Verdict::CrossOrigin(_)
        );
        let sender = (kept && writes).then_some((head, peer, port));
        self.unrouted.answer(&verdict, sender, started.elapsed())
    }
}

impl Service for Router {
    type Body = Either<Full<Bytes>, Streamed>;

    async fn call(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Self::Body>, Closed> {
        if let Some((key, below)) = split(request.uri().path())
            && let Some(api) = Api::at(below)
            && !(misdirected::may_write(request.method())
                && misdirected::by_headers(request.headers()))
        {
            let found = self.find_queries(&request, key);
            // In a box, so that senders' connections hold no room for it.
            return Box::pin(self.query(found, api, peer, request)).await;
        }
        let in_flight = self.senders.begin();
        match self.answer(peer, request).await {
            SenderResponse::Respond(response) => {
                if !response.status().is_server_error() {
                    in_flight.done();
                }
                Ok(response.map(Either::Left))
            }
            SenderResponse::Close => Err(Closed),
        }
    }
}
