//! Which workspace a request is for.
//!
//! In: a request on the senders' port, which is the readers' too. Out: its answer, by the workspace that the path names. The path of a sender only
//! ever selects among what is configured; it is never forwarded, so nothing can be signed for anything else. A request that
//! can be read in two ways, or that a page of another site may be behind, selects nothing.
//!
//! | path | workspace |
//! |---|---|
//! | `/workspaces/<id or name>/api/v1/remote_write` | the one of this id or name |
//! | `/api/v1/remote_write`, `/api/v1/write` | the only one; where there are several, the sender is asked to come again |
//! | both forms with a path of [`Api`] in the place of `remote_write` | the same, to be read where that is allowed |
//!
//! A new configuration replaces the routes in one step; requests that are under way finish with the workspace that took them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::time::Instant;

use crate::batch::verdict::{Answer, Verdict};
use crate::browser::{Names, Purpose};
use crate::door::Door;
use crate::drain::Senders;
use crate::faults::{Told, Watch};
use crate::head;
use crate::listener::{Closed, Service};
use crate::query::Unanswered;
use crate::query::api::Api;
use crate::query::stream::Streamed;
use crate::telemetry::{QueryMeters, Telemetry, Unrouted};
use crate::workspace::Running;

/// Answers senders.
#[derive(Debug)]
pub struct Router {
    routes: ArcSwap<Routes>,
    /// Requests for no workspace.
    nowhere: Unrouted,
    nowhere_queries: QueryMeters,
    strays: Watch,
    door: Arc<Door>,
    names: Names,
    /// For leaving.
    pub senders: Senders,
}

/// What is served.
#[derive(Debug, Default)]
pub struct Routes {
    workspaces: Vec<Arc<Running>>,
    /// By id and by name.
    index: HashMap<String, usize>,
}

/// The workspace that a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Whichever is the only one.
    TheOnly,
    /// The one of this id or name.
    Named(&'a str),
}

// === impl Routes ===

impl Routes {
    /// Routes to these workspaces, whose names and ids are distinct.
    #[must_use]
    pub fn new(workspaces: Vec<Arc<Running>>) -> Self {
        let keys = |(n, running): (usize, &Arc<Running>)| {
            let config = &running.config;
            [(config.id.clone(), n), (config.name.clone(), n)]
        };
        let index = workspaces.iter().enumerate().flat_map(keys).collect();
        Self { workspaces, index }
    }

    /// In the order of the configuration.
    #[must_use]
    pub fn workspaces(&self) -> &[Arc<Running>] {
        &self.workspaces
    }

    fn find(&self, path: &str) -> Result<&Arc<Running>, Verdict> {
        match Wanted::by(path) {
            Some(Wanted::TheOnly) => self.only().ok_or_else(|| Verdict::AmbiguousPath {
                names: self.names(),
            }),
            Some(Wanted::Named(key)) => self.named(key).ok_or(Verdict::NoSuchPath),
            None => Err(Verdict::NoSuchPath),
        }
    }

    fn find_queries(&self, key: Option<&str>) -> Result<&Arc<Running>, Unanswered> {
        match key {
            Some(key) => self.named(key).ok_or(Unanswered::NoSuchWorkspace),
            None => self.only().ok_or_else(|| Unanswered::Ambiguous {
                names: self.names(),
            }),
        }
    }

    fn named(&self, key: &str) -> Option<&Arc<Running>> {
        self.workspaces.get(*self.index.get(key)?)
    }

    fn only(&self) -> Option<&Arc<Running>> {
        match self.workspaces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        let name = |running: &Arc<Running>| running.config.name.clone();
        self.workspaces.iter().map(name).collect()
    }
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    /// What this path asks for; `None` where no such path is served.
    #[must_use]
    pub fn by(path: &'a str) -> Option<Self> {
        match split(path)? {
            (None, "remote_write" | "write") => Some(Self::TheOnly),
            (Some(key), "remote_write") => Some(Self::Named(key)),
            _ => None,
        }
    }
}

/// The workspace that a path names, and what comes below `/api/v1/`.
fn split(path: &str) -> Option<(Option<&str>, &str)> {
    if let Some(below) = path.strip_prefix("/api/v1/") {
        return Some((None, below));
    }
    let (key, below) = path.strip_prefix("/workspaces/")?.split_once("/api/v1/")?;
    Some((Some(key), below))
}

// === impl Router ===

impl Router {
    /// Answers by `routes` whom `door` lets in and who calls by one of `names`.
    #[must_use]
    pub fn new(
        routes: Routes,
        door: Arc<Door>,
        names: Names,
        telemetry: &Telemetry,
        strays: Watch,
    ) -> Self {
        Self {
            routes: ArcSwap::from_pointee(routes),
            nowhere: telemetry.unrouted(),
            nowhere_queries: telemetry.queries(""),
            strays,
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

    /// Readers are not waited for on leaving: they keep nothing that could be lost.
    async fn query(
        &self,
        found: Result<Arc<Running>, Unanswered>,
        api: Api,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, Closed> {
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

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let started = Instant::now();
        match self.find(&request) {
            Ok(running) => {
                self.strays.well();
                running.pipeline.answer(request).await.answer()
            }
            Err(verdict) => {
                self.strays
                    .met(verdict.name(), || Told::of_verdict(&verdict));
                self.nowhere.answered(&verdict, started.elapsed());
                verdict.answer()
            }
        }
    }
}

impl Service for Router {
    type Body = Either<Full<Bytes>, Streamed>;

    async fn call(&self, request: Request<Incoming>) -> Result<Response<Self::Body>, Closed> {
        if let Some((key, below)) = split(request.uri().path())
            && let Some(api) = Api::at(below)
        {
            let found = self.find_queries(&request, key);
            // In a box, so that senders' connections hold no room for it.
            return Box::pin(self.query(found, api, request)).await;
        }
        let in_flight = self.senders.begin();
        match self.answer(request).await {
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
