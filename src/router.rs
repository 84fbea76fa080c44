//! Which workspace a request is for.
//!
//! In: a request on the senders' port. Out: its answer, by the workspace that the path names. The path of a sender only
//! ever selects among what is configured; it is never forwarded, so nothing can be signed for anything else.
//!
//! | path | workspace |
//! |---|---|
//! | `/workspaces/<id or name>/api/v1/remote_write` | the one of this id or name |
//! | `/api/v1/remote_write`, `/api/v1/write` | the only one; where there are several, the sender is asked to come again |
//!
//! A new configuration replaces the routes in one step; requests that are under way finish with the workspace that took them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::time::Instant;

use crate::batch::verdict::{Answer, Verdict};
use crate::door::Door;
use crate::drain::Senders;
use crate::listener::{Closed, Service};
use crate::telemetry::{Telemetry, Unrouted};
use crate::workspace::Running;

/// Answers senders.
#[derive(Debug)]
pub struct Router {
    routes: ArcSwap<Routes>,
    /// Requests for no workspace.
    nowhere: Unrouted,
    door: Arc<Door>,
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
            Some(Wanted::TheOnly) => match self.workspaces.as_slice() {
                [only] => Ok(only),
                several => Err(Verdict::AmbiguousPath {
                    names: several
                        .iter()
                        .map(|running| running.config.name.clone())
                        .collect(),
                }),
            },
            Some(Wanted::Named(key)) => {
                let found = self.index.get(key).and_then(|n| self.workspaces.get(*n));
                found.ok_or(Verdict::NoSuchPath)
            }
            None => Err(Verdict::NoSuchPath),
        }
    }
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    /// What this path asks for; `None` where no such path is served.
    #[must_use]
    pub fn by(path: &'a str) -> Option<Self> {
        if path == "/api/v1/remote_write" || path == "/api/v1/write" {
            return Some(Self::TheOnly);
        }
        path.strip_prefix("/workspaces/")
            .and_then(|rest| rest.strip_suffix("/api/v1/remote_write"))
            .map(Self::Named)
    }
}

// === impl Router ===

impl Router {
    /// Answers by `routes` whom `door` lets in.
    #[must_use]
    pub fn new(routes: Routes, door: Arc<Door>, telemetry: &Telemetry) -> Self {
        Self {
            routes: ArcSwap::from_pointee(routes),
            nowhere: telemetry.unrouted(),
            door,
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

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let started = Instant::now();
        let found = if self.door.lets_in(request.headers()) {
            self.routes().find(request.uri().path()).map(Arc::clone)
        } else {
            Err(Verdict::NotLetIn)
        };
        match found {
            Ok(running) => running.pipeline.answer(request).await.answer(),
            Err(verdict) => {
                self.nowhere.answered(&verdict, started.elapsed());
                verdict.answer()
            }
        }
    }
}

impl Service for Router {
    async fn call(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
        let in_flight = self.senders.begin();
        match self.answer(request).await {
            Answer::Respond(response) => {
                if !response.status().is_server_error() {
                    in_flight.done();
                }
                Ok(response)
            }
            Answer::Close => Err(Closed),
        }
    }
}
