//! Whether `remote_write` in Prometheus' configuration points to this sidecar and fits its settings.
//!
//! In: the path of a `prometheus.yml`, and the configuration. Out: an outcome for each `remote_write` entry that is ours, and for each
//! workspace without one. Entries to other hosts are ignored. Of the file it shows only URLs without user and password, and names of keys.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hyper::Uri;

use super::step::StepOutcome;
use crate::config::yaml::{self, Node};
use crate::config::{Config, Workspace, duration};
use crate::remedies::first_hour::{
    PROMETHEUS_DIRECT, PROMETHEUS_ELSEWHERE, PROMETHEUS_FILE, PROMETHEUS_PATH, PROMETHEUS_QUEUE,
    PROMETHEUS_SIGV4, PROMETHEUS_TIMEOUT,
};
use crate::router::RequestedWorkspace;

/// A larger file is not a hand-written one.
const LARGEST: u64 = 16 << 20;
/// Deeper than any valid file.
const DEEPEST: usize = 32;
/// Prometheus' authentication settings that cannot be meant for a sidecar.
const SIGNERS: &[&str] = &["sigv4", "azuread", "google_iam", "oauth2"];
const REMOTE_TIMEOUT: Duration = Duration::from_secs(30);
/// Of the defaults of all Prometheus versions, the largest queue of a shard and the smallest batch.
const CAPACITY: u64 = 10_000;
const SAMPLES_PER_SEND: u64 = 500;

pub(super) fn look(path: &Path, config: &Config) -> Vec<(String, StepOutcome)> {
    match entries(path) {
        Ok(node) => judged(node.items(), config),
        Err(what) => {
            let evidence = format!("prometheus configuration {}: {what}", path.display());
            vec![(
                name(None),
                StepOutcome::broken(evidence).remedy(PROMETHEUS_FILE),
            )]
        }
    }
}

fn name(index: Option<usize>) -> String {
    match index {
        Some(index) => format!("prometheus remote_write[{index}]"),
        None => "prometheus".to_owned(),
    }
}

fn entries(path: &Path) -> Result<Node, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > LARGEST {
        return Err("it is larger than 16 MiB".to_owned());
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let document = yaml::document(&text, DEEPEST).map_err(|error| {
        format!(
            "line {}: not supported YAML: {}",
            error.marker().line(),
            error.info()
        )
    })?;
    document
        .and_then(|document| document.take("remote_write"))
        .filter(|node| !node.items().is_empty())
        .ok_or_else(|| "it has no remote_write".to_owned())
}

fn judged(entries: &[Node], config: &Config) -> Vec<(String, StepOutcome)> {
    let mut outcomes = Vec::new();
    let mut written: Vec<&str> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let url = entry.get("url").and_then(Node::text).unwrap_or_default();
        let name = name(Some(index));
        let Ok(uri) = url.parse::<Uri>() else {
            continue;
        };
        let place = format!("{}, line {}", shown(&uri), entry.line);
        if uri
            .host()
            .is_some_and(|host| host.contains("aps-workspaces"))
        {
            let evidence = format!("{place}: points to AMP itself");
            outcomes.push((
                name,
                StepOutcome::broken(evidence).remedy_with(PROMETHEUS_DIRECT, ours(config)),
            ));
        } else if leads_here(&uri, config) {
            match workspace(&uri, config) {
                Ok(workspace) => {
                    written.push(&workspace.name);
                    let outcome = fit(entry, &place, workspace);
                    outcomes.push((name, outcome));
                }
                Err(what) => {
                    let evidence = format!("{place}: the path {} is not served{what}", uri.path());
                    outcomes.push((
                        name,
                        StepOutcome::broken(evidence).remedy_with(PROMETHEUS_PATH, ours(config)),
                    ));
                }
            }
        }
    }
    if outcomes.is_empty() {
        let evidence = format!(
            "no remote_write of {} points to this sidecar at {}",
            entries.len(),
            config.listen
        );
        return vec![(
            name(None),
            StepOutcome::broken(evidence).remedy_with(PROMETHEUS_ELSEWHERE, ours(config)),
        )];
    }
    let several = config.workspaces.len() > 1;
    for workspace in config.workspaces.iter().filter(|_| several) {
        if !written.contains(&workspace.name.as_str()) {
            let evidence = format!(
                "no remote_write points to this sidecar's workspace {}",
                workspace.name
            );
            outcomes.push((
                name(None),
                StepOutcome::warning(evidence).remedy_with(PROMETHEUS_ELSEWHERE, ours(config)),
            ));
        }
    }
    outcomes
}

/// Checks an entry that points to a workspace.
fn fit(entry: &Node, place: &str, workspace: &Workspace) -> StepOutcome {
    if let Some(signer) = SIGNERS.iter().find(|signer| entry.get(signer).is_some()) {
        return StepOutcome::broken(format!(
            "{place}: {signer} is set besides the sidecar's url"
        ))
        .remedy(PROMETHEUS_SIGV4);
    }
    let timeout = entry.get("remote_timeout").and_then(Node::text);
    let timeout = timeout
        .and_then(|text| duration(&text).ok())
        .unwrap_or(REMOTE_TIMEOUT);
    let ours = workspace.limits.upstream_timeout;
    if timeout <= ours {
        let evidence = format!(
            "{place}: remote_timeout of {} s is not above --upstream-timeout of {} s",
            timeout.as_secs(),
            ours.as_secs()
        );
        return StepOutcome::warning(evidence).remedy(PROMETHEUS_TIMEOUT);
    }
    let number = |key: &str| entry.get("queue_config")?.get(key)?.text()?.parse().ok();
    let capacity = number("capacity").unwrap_or(CAPACITY);
    let per_send = number("max_samples_per_send").unwrap_or(SAMPLES_PER_SEND);
    if capacity < per_send {
        let evidence = format!(
            "{place}: capacity {capacity} of a shard is less than max_samples_per_send, {per_send}"
        );
        return StepOutcome::warning(evidence).remedy(PROMETHEUS_QUEUE);
    }
    StepOutcome::ok(format!(
        "{place}: writes to workspace {}, remote_timeout {} s",
        workspace.name,
        timeout.as_secs()
    ))
}

fn leads_here(url: &Uri, config: &Config) -> bool {
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = config.listen.ip();
    let same_host = ip.is_unspecified()
        || host == ip.to_string()
        || (ip.is_loopback() && host.eq_ignore_ascii_case("localhost"));
    same_host && url.port_u16().unwrap_or(80) == config.listen.port()
}

/// The workspace of a path, by the router's own rules.
fn workspace<'a>(url: &Uri, config: &'a Config) -> Result<&'a Workspace, String> {
    if url.scheme_str() != Some("http") {
        return Err(": the sidecar serves plain http".to_owned());
    }
    match (
        RequestedWorkspace::by(url.path()),
        config.workspaces.as_slice(),
    ) {
        (Some(RequestedWorkspace::TheOnly), [only]) => Ok(only),
        (Some(RequestedWorkspace::TheOnly), _) => {
            Err(": several workspaces are configured, and it names none".to_owned())
        }
        (Some(RequestedWorkspace::Named(key)), workspaces) => workspaces
            .iter()
            .find(|workspace| workspace.name == key || workspace.id == key)
            .ok_or_else(|| ": it names no configured workspace".to_owned()),
        (None, _) => Err(String::new()),
    }
}

fn ours(config: &Config) -> String {
    let listen = config.listen;
    match config.workspaces.as_slice() {
        [_] => format!("url: http://{listen}/api/v1/remote_write"),
        several => {
            let urls: Vec<String> = several
                .iter()
                .map(|workspace| {
                    format!(
                        "http://{listen}/workspaces/{}/api/v1/remote_write",
                        workspace.name
                    )
                })
                .collect();
            format!("url: {}", urls.join(" or "))
        }
    }
}

/// Without user and password.
fn shown(url: &Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    crate::sanitize::sanitize(&format!(
        "{}://{host}{}",
        url.scheme_str().unwrap_or("http"),
        url.path()
    ))
}
