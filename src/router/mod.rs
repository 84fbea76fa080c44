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

use crate::http::browser::{Names, Purpose};
use crate::http::head;
use crate::inbound::drain::Senders;
use crate::inbound::listener::{Closed, Service};
use crate::inbound::server_auth::Door;
use crate::outcome::verdict::{Answer, Verdict};
use crate::query::api::Api;
use crate::query::stream::Streamed;
use crate::query::{Unanswered, request};
use crate::remote_write::content_type;
use crate::sanitize::quote;
use crate::telemetry::{QueryMeters, Telemetry};
use crate::workspace::Running;
use misdirected::Strays;

pub use routes::{Routes, Wanted};

/// Answers senders.
#[derive(Debug)]
pub struct Router {
    routes: ArcSwap<Routes>,
    nowhere_queries: QueryMeters,
    /// Requests for no workspace.
    strays: Strays,
    /// Where it listens.
    address: SocketAddr,
    door: Arc<Door>,
    names: Names,
    /// For leaving.
    pub senders: Senders,
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
        door: Arc<Door>,
        names: Names,
        address: SocketAddr,
        telemetry: &Telemetry,
        strays: Strays,
    ) -> Self {
        Self {
            routes: ArcSwap::from_pointee(routes),
            nowhere_queries: telemetry.queries(""),
            strays,
            address,
            door,
            names,
            senders: Senders::default(),
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
    pub fn strays(&self) -> &Strays {
        &self.strays
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
        let scheme = match self.door.acceptor() {
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
        found: Result<Arc<Running>, Unanswered>,
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
            Err(Unanswered::NoSuchWorkspace | Unanswered::Ambiguous { .. }) => true,
            Err(_) => false,
        };
        if refused && misdirected::may_write(&head.method) && misdirected::is_batch(&mut body).await
        {
            let started = Instant::now();
            let answer = self.keep(Verdict::NoSuchPath, peer, &head, true, started);
            misdirected::discard(body).await;
            return match answer {
                Answer::Respond(response) => Ok(response.map(Either::Left)),
                Answer::Close => Err(Closed),
            };
        }
        let request = Request::from_parts(head, body);
        let why = match found {
            Ok(running) => match &running.queries {
                Some(queries) => return queries.answer(api, request).await,
                None => Unanswered::Off,
            },
            Err(why) => why,
        };
        let response = why.respond();
        self.nowhere_queries.answered(api.name(), response.status());
        Ok(response.map(Either::Left))
    }

    fn find(&self, request: &Request<Incoming>) -> Result<Arc<Running>, Verdict> {
        let host = head::host(request)?;
        self.names.admit(request, host.as_ref(), Purpose::Batch)?;
        if !self.door.lets_in(request.headers()) {
            return Err(Verdict::NotLetIn);
        }
        self.routes().find(request.uri().path()).map(Arc::clone)
    }

    fn find_queries(
        &self,
        request: &Request<Incoming>,
        key: Option<&str>,
    ) -> Result<Arc<Running>, Unanswered> {
        let host = head::host(request)?;
        self.names.admit(request, host.as_ref(), Purpose::Query)?;
        if !self.door.lets_in(request.headers()) {
            return Err(Unanswered::NotLetIn);
        }
        self.routes().find_queries(key).map(Arc::clone)
    }

    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Answer {
        let started = Instant::now();
        match self.find(&request) {
            Ok(_) if content_type::is_protocol_probe(&request) => {
                misdirected::discard(request.into_body()).await;
                self.strays
                    .asked(&Verdict::ProtocolProbe, started.elapsed())
            }
            Ok(_) if request.method() == Method::PUT => {
                // In a box, as below: whoever writes as it should holds no room for it.
                Box::pin(self.astray(Verdict::MethodNotAllowed, peer, request, started)).await
            }
            Ok(running) => {
                self.strays.well();
                running.pipeline.answer(request).await.answer()
            }
            Err(verdict) => Box::pin(self.astray(verdict, peer, request, started)).await,
        }
    }

    /// A request for no workspace, of which is not known yet whether it is remote write.
    async fn astray(
        &self,
        verdict: Verdict,
        peer: IpAddr,
        request: Request<Incoming>,
        started: Instant,
    ) -> Answer {
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
    ) -> Answer {
        let port = self.address.port();
        if writes && matches!(verdict, Verdict::NoSuchPath | Verdict::MethodNotAllowed) {
            let (method, path) = (&head.method, head.uri.path());
            let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
            // By whichever name it came, it comes to the right path too.
            let at = named.map_or_else(|| self.address.to_string(), str::to_owned);
            verdict = Verdict::Misdirected {
                asked: quote(&format!("{method} {path} on port {port}")),
                right: self.url_at(&at),
            };
        }
        let kept = matches!(
            verdict,
            Verdict::Misdirected { .. }
                | Verdict::AmbiguousPath { .. }
                | Verdict::NotLetIn
                | Verdict::FromABrowser(_)
        );
        let sender = (kept && writes).then_some((head, peer, port));
        self.strays.answer(&verdict, sender, started.elapsed())
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
            Answer::Respond(response) => {
                if !response.status().is_server_error() {
                    in_flight.done();
                }
                Ok(response.map(Either::Left))
            }
            Answer::Close => Err(Closed),
        }
    }
}
