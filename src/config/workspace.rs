//! Reads each workspace's own settings.
//!
//! In: the [`Sources`], set to an entry of the file if there is one. Out: a valid [`Workspace`], or `None` and the errors noted.

mod identity;

use super::endpoints::{self, CustomUrl, Region};
use super::model::{Alertmanager, BatchLimits, Origins, QueryConfig, Workspace, WorkspacesByPath};
use super::settings;
use super::sources::Sources;

/// Where a workspace's id comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkspaceId {
    Configured,
    /// The path of a request; until then there is a placeholder.
    ByPath,
}

/// A workspace, and where its settings were set.
pub(super) fn read(sources: &mut Sources<'_>, id: WorkspaceId) -> Option<(Workspace, Origins)> {
    let custom = CustomUrl::of_amp(sources);
    let region = endpoints::region(sources, custom.as_ref());
    let region_name = region.as_ref().map(|region| region.name.as_str());
    let url = match id {
        WorkspaceId::Configured => endpoints::remote_write(sources, custom, region_name),
        WorkspaceId::ByPath => endpoints::of_placeholder(sources, custom, region_name),
    };
    let identity = identity::read(sources, region_name);
    let several = match id {
        WorkspaceId::Configured => sources.file.workspaces.len(),
        WorkspaceId::ByPath => WorkspacesByPath::MOST,
    };
    let limits = limits(sources, several);
    let query = query(sources);
    let name = name(sources);
    let (id, remote_write_url) = url?;
    let Region {
        name: region,
        overrules_variable,
    } = region?;
    let mut origins = sources.origins();
    if overrules_variable {
        origins.remove(settings::REGION.flag);
    }
    let workspace = Workspace {
        name: name?.unwrap_or_else(|| id.clone()),
        id,
        region,
        remote_write_url,
        identity: identity?,
        limits: limits?,
        query: query?,
    };
    Some((workspace, origins))
}

/// A name is used in paths and metrics, so it must need no escaping in either; `Some(None)` if there is none.
fn name(sources: &mut Sources<'_>) -> Option<Option<String>> {
    let Some(name) = sources.entry_name().map(str::to_owned) else {
        return Some(None);
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.len() <= 64 && name.chars().all(plain) {
        return Some(Some(name));
    }
    let expected = "at most 64 letters, digits, dashes, dots and underscores";
    sources.error_of_name(&name, expected);
    None
}

/// The default budget is divided among `several` workspaces.
fn limits(sources: &mut Sources<'_>, several: usize) -> Option<BatchLimits> {
    let upstream_timeout = sources.read(&settings::UPSTREAM_TIMEOUT);
    let budget = match sources.read_optional(&settings::MAX_INFLIGHT_BYTES) {
        Some(None) => Some(default_budget(sources.environment.memory_limit, several)),
        set => set.flatten(),
    };
    let max_body = sources.read(&settings::MAX_BODY_BYTES);
    let inspect = sources.read(&settings::INSPECT);
    let inspect_budget = sources.read(&settings::INSPECT_BUDGET);
    let max_upstream_bytes = sources.read(&settings::MAX_UPSTREAM_BYTES);
    let client_share_percent = sources.read(&settings::CLIENT_SHARE);
    let (budget, max_body) = (budget?, max_body?);
    if sources.is_set(&settings::MAX_BODY_BYTES) && max_body > budget {
        let expected = format!("at most --max-inflight-bytes, {budget}");
        sources.error(&settings::MAX_BODY_BYTES, &expected);
    }
    Some(BatchLimits {
        upstream_timeout: upstream_timeout?,
        max_body_bytes: max_body.min(budget),
        inspect: inspect?,
        inspect_budget: inspect_budget?,
        max_upstream_bytes: max_upstream_bytes?,
        max_inflight_bytes: budget,
        client_share_percent: client_share_percent?,
    })
}

/// `Some(None)` if neither queries nor the Alertmanager are allowed.
fn query(sources: &mut Sources<'_>) -> Option<Option<QueryConfig>> {
    let prometheus = sources.read(&settings::ALLOW_QUERY);
    let alertmanager = sources.read(&settings::ALLOW_ALERTMANAGER);
    let timeout = sources.read(&settings::QUERY_TIMEOUT)?;
    let query = QueryConfig {
        prometheus: prometheus?,
        alertmanager: alertmanager?,
        timeout,
    };
    let any = query.prometheus || query.alertmanager != Alertmanager::Off;
    Some(any.then_some(query))
}

/// A quarter of the memory limit, shared by all workspaces: a thousand open connections take about 28 MiB, and the budget
/// costs a little more than its own size (measured; a test checks both against 64 MiB).
fn default_budget(memory_limit: Option<u64>, workspaces: usize) -> usize {
    const UNLIMITED: usize = 64 << 20;
    const LEAST: usize = 4 << 20;
    let all = memory_limit
        .and_then(|limit| usize::try_from(limit / 4).ok())
        .map_or(UNLIMITED, |quarter| quarter.min(UNLIMITED));
    (all / workspaces.max(1)).max(LEAST)
}
