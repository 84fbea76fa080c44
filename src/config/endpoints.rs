//! The URLs of AMP, STS and Roles Anywhere, and the regions to sign for.
//!
//! In: the [`Sources`]. Out: the URLs of the workspace, of STS and of Roles Anywhere, or errors. A full URL overrides a service's base URL, that overrides the base
//! URL of all, and without any it is AWS' own host for the region, from `hosts`.

mod hosts;

use hyper::Uri;

use super::settings::{self, Row};
use super::sources::Sources;
use super::values;
pub(crate) use hosts::partition_id;
use hosts::{AwsService, Conflict, HostVariant};

/// The path of a workspace, before its id.
const WORKSPACES: &str = "/workspaces/";
/// The path after the id.
const WRITE: &str = "/api/v1/remote_write";
/// The path of CreateSession.
const CREATE_SESSION: &str = "/sessions";
/// An id that no workspace has.
const PLACEHOLDER: &str = "ws-placeholder";

/// A configured URL.
pub(super) struct CustomUrl {
    row: &'static Row<Uri>,
    /// `None` if it is invalid, which was noted.
    url: Option<Uri>,
}

/// The region to sign for.
pub(super) struct Region {
    pub(super) name: String,
    /// Whether it overrides a variable that names another region.
    pub(super) overrules_variable: bool,
}

impl CustomUrl {
    pub(super) fn of_amp(sources: &mut Sources<'_>) -> Option<Self> {
        Self::first(
            sources,
            &[
                &settings::REMOTE_WRITE_URL,
                &settings::AMP_ENDPOINT,
                &settings::ENDPOINT_URL,
            ],
        )
    }

    fn first(sources: &mut Sources<'_>, rows: &[&'static Row<Uri>]) -> Option<Self> {
        let row = *rows.iter().find(|row| sources.is_set(row))?;
        let url = sources.read_set(row);
        Some(Self { row, url })
    }

    fn host(&self) -> Option<&str> {
        self.url.as_ref()?.host()
    }
}

/// The configured region, else the one in AMP's host.
///
/// Platforms inject `AWS_REGION` with the pod's region, which need not be the workspace's: a URL in another region overrides it. A flag or a line
/// of the file that contradicts the URL is an error.
pub(super) fn region(sources: &mut Sources<'_>, custom: Option<&CustomUrl>) -> Option<Region> {
    let in_host = custom
        .and_then(CustomUrl::host)
        .and_then(|host| AwsService::Amp.region_of(host));
    if sources.is_set(&settings::REGION) {
        let named = sources.read_set(&settings::REGION)?;
        let other = in_host.filter(|in_host| in_host.name != named);
        let other = other.filter(|_| sources.is_from_variable(&settings::REGION));
        let url = custom.and_then(|custom| sources.origin(custom.row));
        let overruling = other.map(|in_host| in_host.name.to_owned());
        if let Some(other) = &overruling {
            let url = url.unwrap_or_default();
            let words = format!(
                "{named} is not the region in the host of {url}, {other}, which is used; set it to {other}, or pass --region {other}"
            );
            sources.warn(&settings::REGION, &words);
        }
        return Some(Region {
            overrules_variable: overruling.is_some(),
            name: overruling.unwrap_or(named),
        });
    }
    if let Some(in_host) = in_host.filter(|in_host| !in_host.private_link) {
        return Some(Region {
            name: in_host.name.to_owned(),
            overrules_variable: false,
        });
    }
    let expected = match custom {
        None => "the workspace's region, or --remote-write-url".to_owned(),
        Some(CustomUrl { url: None, .. }) => return None,
        Some(CustomUrl { row, .. }) => {
            format!(
                "the workspace's region, which is not in the host of --{}",
                row.flag
            )
        }
    };
    sources.error(&settings::REGION, &expected);
    None
}

/// The workspace's id and its URL.
pub(super) fn remote_write(
    sources: &mut Sources<'_>,
    custom: Option<CustomUrl>,
    region: Option<&str>,
) -> Option<(String, Uri)> {
    let id = sources.read_set(&settings::WORKSPACE_ID);
    let variant = variant(sources);
    let whole = custom
        .as_ref()
        .is_some_and(|custom| **custom.row == *settings::REMOTE_WRITE_URL);
    let id = match custom.as_ref().and_then(|custom| custom.url.as_ref()) {
        Some(url) if whole => id_in_path(sources, url, id),
        None if whole => None,
        _ => {
            if !sources.is_set(&settings::WORKSPACE_ID) {
                let expected = "the workspace's ID, or --remote-write-url";
                sources.error(&settings::WORKSPACE_ID, expected);
            }
            id
        }
    };
    let is_base = match &custom {
        Some(custom) if !whole => !names_a_workspace(sources, custom),
        _ => true,
    };
    let base = url(sources, AwsService::Amp, custom, region?, variant?)?;
    let id = id.filter(|_| is_base)?;
    if whole {
        return Some((id, base));
    }
    let url = of_workspace(&base, &id)?;
    Some((id, url))
}

/// A placeholder for an id, and the URL with it.
pub(super) fn of_placeholder(
    sources: &mut Sources<'_>,
    custom: Option<CustomUrl>,
    region: Option<&str>,
) -> Option<(String, Uri)> {
    let variant = variant(sources);
    let is_base = custom
        .as_ref()
        .is_none_or(|custom| !names_a_workspace(sources, custom));
    let base = url(sources, AwsService::Amp, custom, region?, variant?)?;
    let whole = is_base.then(|| of_workspace(&base, PLACEHOLDER))??;
    Some((PLACEHOLDER.to_owned(), whole))
}

/// The remote-write URL of a workspace.
pub(super) fn of_workspace(base: &Uri, id: &str) -> Option<Uri> {
    let base = base.to_string();
    let url = format!("{}{WORKSPACES}{id}{WRITE}", base.trim_end_matches('/'));
    url.parse().ok()
}

/// The base URL within a workspace's remote-write URL.
pub(super) fn base(url: &Uri, id: &str) -> Option<Uri> {
    let url = url.to_string();
    let base = url.strip_suffix(&format!("{WORKSPACES}{id}{WRITE}"))?;
    base.parse().ok()
}

/// The URL of STS and its region; `region` is the workspace's.
pub(super) fn sts(sources: &mut Sources<'_>, region: Option<&str>) -> Option<(Uri, String)> {
    let named = sources.read_optional(&settings::STS_REGION);
    let rows = [&settings::STS_ENDPOINT, &settings::ENDPOINT_URL];
    let custom = CustomUrl::first(sources, &rows);
    let named = named?;
    let host = custom.as_ref().and_then(CustomUrl::host);
    let in_host = host.and_then(|host| AwsService::Sts.region_of(host));
    let sts_region = named
        .or_else(|| in_host.map(|in_host| in_host.name.to_owned()))
        .or_else(|| region.map(str::to_owned))?;
    if let Some(region) = region {
        let role_arn = sources.text(&settings::ROLE_ARN);
        let role_arn = role_arn.filter(|arn| values::identity::role_arn(arn).is_ok());
        let conflicts = hosts::one_partition(region, &sts_region, role_arn.as_deref());
        note(sources, conflicts);
    }
    let variant = variant(sources)?;
    let url = url(sources, AwsService::Sts, custom, &sts_region, variant)?;
    Some((url, sts_region))
}

/// The URL of CreateSession in the region of the trust anchor.
pub(super) fn roles_anywhere(sources: &mut Sources<'_>, region: &str) -> Option<Uri> {
    let rows = [&settings::ROLES_ANYWHERE_ENDPOINT, &settings::ENDPOINT_URL];
    let custom = CustomUrl::first(sources, &rows);
    let variant = variant(sources)?;
    let base = url(sources, AwsService::RolesAnywhere, custom, region, variant)?;
    let base = base.to_string();
    format!("{}{CREATE_SESSION}", base.trim_end_matches('/'))
        .parse()
        .ok()
}

/// The endpoint within the URL of CreateSession.
pub(super) fn roles_anywhere_base(url: &Uri) -> Option<Uri> {
    url.to_string().strip_suffix(CREATE_SESSION)?.parse().ok()
}

/// The custom URL, which must contradict nothing, else AWS' own host.
fn url(
    sources: &mut Sources<'_>,
    service: AwsService,
    custom: Option<CustomUrl>,
    region: &str,
    variant: HostVariant,
) -> Option<Uri> {
    if let Some(CustomUrl { row, url }) = custom {
        let url = url?;
        let host = url.host().unwrap_or_default();
        note(
            sources,
            service.conflicts(row.setting(), host, region, variant),
        );
        return Some(url);
    }
    match service.host(region, variant) {
        Ok(host) => format!("https://{host}/").parse().ok(),
        Err(conflict) => {
            note(sources, [conflict]);
            None
        }
    }
}

/// Whether a base URL already contains the path of a workspace, which would be appended again: Terraform's `prometheus_endpoint` of a
/// workspace does.
fn names_a_workspace(sources: &mut Sources<'_>, custom: &CustomUrl) -> bool {
    let url = custom.url.as_ref().map(Uri::to_string);
    let Some((base, rest)) = url.as_deref().and_then(|url| url.split_once(WORKSPACES)) else {
        return false;
    };
    let id = rest.split('/').next().unwrap_or_default();
    let expected = format!(
        "the base URL alone, {base}; or the workspace's whole URL as --remote-write-url: {base}{WORKSPACES}{id}{WRITE}"
    );
    sources.error(custom.row, &expected);
    true
}

/// The workspace in the URL's path, which must match the configured one.
fn id_in_path(sources: &mut Sources<'_>, url: &Uri, id: Option<String>) -> Option<String> {
    let rest = url.path().strip_prefix(WORKSPACES);
    let in_path = rest.and_then(|rest| rest.strip_suffix(WRITE));
    let Some(in_path) = in_path.and_then(|id| values::workspace_id(id).ok()) else {
        let expected = match rest.and_then(|rest| rest.split('/').next()) {
            Some(id) if values::workspace_id(id).is_ok() => {
                let url = url.to_string();
                let (base, _) = url.split_once(WORKSPACES).unwrap_or_default();
                format!(
                    "the workspace's remote-write URL: {base}{WORKSPACES}{id}{WRITE} (without a slash at its end)"
                )
            }
            _ => format!("a path {WORKSPACES}<id>{WRITE}, without a slash at its end"),
        };
        sources.error(&settings::REMOTE_WRITE_URL, &expected);
        return None;
    };
    if id.is_some_and(|id| id != in_path) {
        let expected = format!("the workspace of --remote-write-url, {in_path}, or no value");
        sources.error(&settings::WORKSPACE_ID, &expected);
    }
    Some(in_path)
}

fn variant(sources: &mut Sources<'_>) -> Option<HostVariant> {
    let fips = sources.read(&settings::USE_FIPS_ENDPOINT);
    let dual_stack = sources.read(&settings::USE_DUALSTACK_ENDPOINT);
    Some(HostVariant {
        fips: fips?,
        dual_stack: dual_stack?,
    })
}

fn note(sources: &mut Sources<'_>, conflicts: impl IntoIterator<Item = Conflict>) {
    for Conflict { setting, expected } in conflicts {
        sources.error(setting, &expected);
    }
}
