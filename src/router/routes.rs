//! The served workspaces, and which one a path selects.
//!
//! In: the workspaces of the configuration, and a path. Out: the workspace, or why there is none. Empty segments of a sender's
//! path are ignored: a base URL with a trailing slash produces them, and they are not part of any other served path.

use std::collections::HashMap;
use std::sync::Arc;

use crate::outcome::verdict::Verdict;
use crate::query::QueryError;
use crate::router::opener::Opener;
use crate::workspace::ActiveWorkspace;

/// The served workspaces.
#[derive(Debug, Default)]
pub struct Routes {
    workspaces: Vec<Arc<ActiveWorkspace>>,
    /// Positions by id and by name.
    index: HashMap<String, usize>,
    /// Starts those that senders name, where none is configured.
    opener: Option<Arc<Opener>>,
}

/// The workspace that a path selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedWorkspace<'a> {
    /// The only one that is configured.
    TheOnly,
    /// The one with this id or name.
    Named(&'a str),
}

// === impl Routes ===

impl Routes {
    /// Routes to these workspaces, whose names and ids are distinct.
    #[must_use]
    pub fn new(workspaces: Vec<Arc<ActiveWorkspace>>, opener: Option<Arc<Opener>>) -> Self {
        let keys = |(n, active): (usize, &Arc<ActiveWorkspace>)| {
            let config = &active.config;
            [(config.id.clone(), n), (config.name.clone(), n)]
        };
        let index = workspaces.iter().enumerate().flat_map(keys).collect();
        Self {
            workspaces,
            index,
            opener,
        }
    }

    pub(super) fn opener(&self) -> Option<&Arc<Opener>> {
        self.opener.as_ref()
    }

    /// With one more.
    pub(super) fn with(&self, opened: &Arc<ActiveWorkspace>) -> Self {
        let all = self.workspaces.iter().chain([opened]);
        Self::new(all.map(Arc::clone).collect(), self.opener.clone())
    }

    /// In the order of the configuration.
    #[must_use]
    pub fn workspaces(&self) -> &[Arc<ActiveWorkspace>] {
        &self.workspaces
    }

    pub(super) fn find(&self, path: &str) -> Result<&Arc<ActiveWorkspace>, Verdict> {
        match RequestedWorkspace::by(path) {
            Some(RequestedWorkspace::TheOnly) => self.only().ok_or_else(|| match &self.opener {
                Some(opener) => Verdict::WorkspaceNotConfigured(opener.unnamed()),
                None => Verdict::AmbiguousPath {
                    names: self.names(),
                },
            }),
            Some(RequestedWorkspace::Named(key)) => self.named(key).ok_or(Verdict::NoSuchPath),
            None => Err(Verdict::NoSuchPath),
        }
    }

    pub(super) fn find_queries(
        &self,
        key: Option<&str>,
    ) -> Result<&Arc<ActiveWorkspace>, QueryError> {
        match key {
            Some(key) => self.named(key).ok_or(QueryError::NoSuchWorkspace),
            None if self.opener.is_some() => Err(QueryError::NoSuchWorkspace),
            None => self.only().ok_or_else(|| QueryError::Ambiguous {
                names: self.names(),
            }),
        }
    }

    fn named(&self, key: &str) -> Option<&Arc<ActiveWorkspace>> {
        self.workspaces.get(*self.index.get(key)?)
    }

    /// The only one that there can be.
    pub(super) fn only(&self) -> Option<&Arc<ActiveWorkspace>> {
        match (self.workspaces.as_slice(), &self.opener) {
            ([only], None) => Some(only),
            _ => None,
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        let name = |active: &Arc<ActiveWorkspace>| active.config.name.clone();
        self.workspaces.iter().map(name).collect()
    }
}

// === impl RequestedWorkspace ===

impl<'a> RequestedWorkspace<'a> {
    /// Parses a write path; `None` if the path is not served.
    #[must_use]
    pub fn by(path: &'a str) -> Option<Self> {
        let mut segments = path
            .strip_prefix('/')?
            .split('/')
            .filter(|one| !one.is_empty());
        let mut next = || segments.next();
        match [next(), next(), next(), next(), next(), next()] {
            [
                Some("api"),
                Some("v1"),
                Some("remote_write" | "write"),
                None,
                ..,
            ] => Some(Self::TheOnly),
            [
                Some("workspaces"),
                Some(key),
                Some("api"),
                Some("v1"),
                Some("remote_write"),
                None,
            ] => Some(Self::Named(key)),
            _ => None,
        }
    }
}
