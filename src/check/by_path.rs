//! Workspaces that senders name instead of the configuration.
//!
//! In: the configuration, and Prometheus' where it is given. Out: the configuration with the workspaces that Prometheus names, so
//! that all other steps test these; and what is missing for a test of any.

use std::path::Path;

use super::prometheus;
use super::step::StepOutcome;
use crate::config::{Config, Workspace, WorkspacesByPath};
use crate::remedies::running::WORKSPACE_NOT_CONFIGURED;

/// The configuration with the workspaces that the file's URLs name, if they may name any.
pub(super) fn named(config: &Config, prometheus: Option<&Path>) -> Option<Config> {
    let by_path = config.by_path.as_ref().filter(|by_path| by_path.allowed)?;
    // Another step reports a file that cannot be read.
    let urls = prometheus::urls(prometheus?).ok()?;
    let mut workspaces: Vec<Workspace> = Vec::new();
    for (_, rest) in urls.iter().filter_map(|url| url.split_once("/workspaces/")) {
        let id = rest.split('/').next().unwrap_or_default();
        let known = workspaces.iter().any(|known| known.id == id);
        workspaces.extend(by_path.workspace(id).filter(|_| !known));
    }
    workspaces.truncate(WorkspacesByPath::MOST);
    let mut config = config.clone();
    config.workspaces = workspaces;
    Some(config)
}

/// What is wrong if there is no workspace to test.
pub(super) fn outcome(config: &Config) -> Option<StepOutcome> {
    let by_path = config.by_path.as_ref()?;
    if !by_path.allowed {
        let outcome = StepOutcome::broken("no workspace is configured".to_owned());
        return Some(outcome.remedy(WORKSPACE_NOT_CONFIGURED));
    }
    let evidence = "senders name the workspaces; those of --prometheus-config can be tested, and it names none";
    config
        .workspaces
        .is_empty()
        .then(|| StepOutcome::warning(evidence.to_owned()))
}
