//! Routes each request to a workspace.
//!
//! In: a request on the senders' port, which also serves queries. Out: its response, from the workspace that the path names.
//! The path only selects among the configured workspaces and is never forwarded, so nothing else can be signed. A request that
//! two HTTP parsers could read differently, or that a page of another site may have caused, selects nothing. The sender of
//! misdirected remote write gets 503 with the right URL and keeps it ([`misdirected`]).
//!
//! | path | workspace |
//! |---|---|
//! | `/workspaces/<id or name>/api/v1/remote_write` | the one of this id or name |
//! | `/api/v1/remote_write`, `/api/v1/write` | the only one; if there are several, the sender gets 503 and retries |
//! | both with a trailing slash, or a double slash | the same: a base URL with a trailing slash produces it |
//! | `/workspaces/<id>/api/v1/remote_write` exactly, where none is configured | the one of this id, which [`Opener`] starts if that is allowed |
//! | both forms with a path of [`RequestedApi`] instead of `api/v1/remote_write` | the same, for queries if they are enabled |
//!
//! A new configuration replaces the routes in one step; requests in progress finish with their workspace.

pub mod misdirected;
mod opener;
mod routes;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, USER_AGENT};
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
use crate::query::api::RequestedApi;
use crate::query::stream::Streamed;
use crate::query::{Queries, QueryError, request};
use crate::remote_write::content_type::{self, said};
use crate::sanitize::sanitize;
use crate::telemetry::senders::Sender;
use crate::telemetry::{QueryMetrics, Telemetry};
use crate::workspace::ActiveWorkspace;
use misdirected::UnroutedRequests;

pub use opener::Opener;
pub use routes::{RequestedWorkspace, Routes};

/// Serves the senders' port.
#[derive(Debug)]
pub struct Router {
    routes: ArcSwap<Routes>,
    /// Held while the routes change: a workspace that a sender names is started once, and does not bring back routes that a
    /// reload has replaced.
    changing: Mutex<()>,
    unrouted_queries: QueryMetrics,
    /// Counts and logs requests for no workspace.
    unrouted: UnroutedRequests,
    /// The listen address.
    address: SocketAddr,
    server_auth: Arc<ServerAuth>,
    names: AllowedHosts,
    /// Counts requests in flight, for draining.
    pub senders: SenderActivity,
}

/// The workspace in a query's path, and the path below it. No slash is tolerated here: a query client loses no data, so
/// its list of paths stays closed.
fn split(path: &str) -> Option<(Option<&str>, &str)> {
    let path = path.strip_prefix('/')?;
    match path.strip_prefix("workspaces/") {
        Some(named) => named.split_once('/').map(|(key, below)| (Some(key), below)),
        None => Some((None, path)),
    }
}

// === impl Router ===

impl Router {
    /// Serves `routes` at `address` to clients that `server_auth` accepts and that use one of the host `names`.
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
            changing: Mutex::default(),
            unrouted_queries: telemetry.queries(""),
            unrouted,
            address,
            server_auth,
            names,
            senders: SenderActivity::default(),
        }
    }

    /// The current routes.
    #[must_use]
    pub fn routes(&self) -> Arc<Routes> {
        self.routes.load_full()
    }

    /// Replaces the routes.
    pub fn replace(&self, routes: Routes) {
        let _not_between = self.changing();
        self.routes.store(Arc::new(routes));
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests for no workspace, on this port and the admin port.
    #[must_use]
    pub fn unrouted(&self) -> &UnroutedRequests {
        &self.unrouted
    }

    /// The remote-write URL for a sender that reached the sidecar, perhaps on another port, under the name `host`.
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
        if routes.opener().is_some() {
            return format!("{scheme}://{at}/workspaces/<id>/api/v1/remote_write");
        }
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

    /// Draining does not wait for queries: their clients hold no data that could be lost.
    async fn query(
        &self,
        found: Result<Arc<ActiveWorkspace>, QueryError>,
        api: RequestedApi,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, Closed> {
        let (head, mut body) = request.into_parts();
        // Nobody else reads the body of a request that is rejected anyway, so it can be inspected: it may be a batch without
        // telling headers.
        let refused = match &found {
            Ok(active) => {
                let unserved = |queries: &Queries| queries.unserved(&api, &head.method).is_some();
                active.queries.as_ref().is_none_or(unserved)
                    || !request::has_type(&head.headers, api.body_type())
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
            Ok(active) => match &active.queries {
                Some(queries) => return queries.answer(api, request).await,
                None => QueryError::off(api.error_form()),
            },
            Err(why) => why,
        };
        let response = why.respond(api.error_form());
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
        let path = request.uri().path();
        match self.routes().find(path).map(Arc::clone) {
            Err(Verdict::NoSuchPath) if request.method() == Method::POST => self.open(path),
            found => found,
        }
    }

    /// The workspace that a path names although none of this id runs yet.
    fn open(&self, path: &str) -> Result<Arc<ActiveWorkspace>, Verdict> {
        let _one_at_a_time = self.changing();
        let routes = self.routes();
        if let Ok(opened) = routes.find(path) {
            return Ok(Arc::clone(opened));
        }
        let opener = routes.opener().ok_or(Verdict::NoSuchPath)?;
        let workspace = opener.named(path)?;
        let opened = Arc::new(opener.open(&workspace, routes.workspaces().len())?);
        self.routes.store(Arc::new(routes.with(&opened)));
        Ok(opened)
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
                    .count(&Verdict::ProtocolProbe, started.elapsed())
            }
            Ok(_) if request.method() == Method::PUT => {
                // Boxed, as below: normal writes do not hold memory for it.
                Box::pin(self.misdirected_write(Verdict::MethodNotAllowed, peer, request, started))
                    .await
            }
            Ok(active) => {
                self.unrouted.recover();
                if let Ok(version) = content_type::version(request.headers()) {
                    active.senders.note(Sender {
                        peer,
                        agent: said(request.headers(), &USER_AGENT).unwrap_or_default(),
                        path: request.uri().path(),
                        version,
                    });
                }
                active.pipeline.answer(request).await.answer()
            }
            Err(verdict) => Box::pin(self.misdirected_write(verdict, peer, request, started)).await,
        }
    }

    /// Handles a request for no workspace that may be remote write.
    async fn misdirected_write(
        &self,
        verdict: Verdict,
        peer: IpAddr,
        request: Request<Incoming>,
        started: Instant,
    ) -> SenderResponse {
        let (head, mut body) = request.into_parts();
        let inspect_body = misdirected::may_write(&head.method)
            && matches!(verdict, Verdict::NoSuchPath | Verdict::MethodNotAllowed);
        let writes = misdirected::by_head(&head)
            || head.method == Method::CONNECT && head.uri.host().is_some()
            || inspect_body && misdirected::is_batch(&mut body).await;
        let answer = self.keep(verdict, peer, &head, writes, started);
        if writes {
            misdirected::discard(body).await;
        }
        answer
    }

    /// The response: a sender of remote write gets 503 with the right URL and keeps its samples.
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
            let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
            // The name by which the sender reached this port also works in the right URL; another's does not.
            let at = named.filter(|_| head.uri.host().is_none());
            let asked = format!(
                "{} {} on port {port}{}",
                head.method,
                misdirected::target(&head.uri),
                misdirected::mistaken_for(head).unwrap_or_default()
            );
            let at = at.map_or_else(|| self.address.to_string(), str::to_owned);
            verdict = Verdict::Misdirected {
                asked: sanitize(&asked),
                right: self.url_at(&at),
            };
        }
        let retried = matches!(
            verdict,
            Verdict::Misdirected { .. }
                | Verdict::AmbiguousPath { .. }
                | Verdict::WorkspaceNotConfigured(_)
                | Verdict::ClientUnauthenticated
                | Verdict::CrossOrigin(_)
        );
        let sender = (retried && writes).then_some((head, peer, port));
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
            && let Some(api) = RequestedApi::at(below)
            && !(misdirected::may_write(request.method())
                && misdirected::by_headers(request.headers()))
        {
            let found = self.find_queries(&request, key);
            // Boxed, so that senders' connections do not hold memory for queries.
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

    fn left(&self, peer: IpAddr) {
        self.unrouted.hung_up(peer);
    }

    fn is_draining(&self) -> bool {
        self.senders.is_draining()
    }
}
