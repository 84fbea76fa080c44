//! Whether `remote_write` in Prometheus' configuration points to this sidecar and fits its settings.
//!
//! In: the path of a `prometheus.yml`, and the configuration. Out: for each `remote_write` entry that is for us its findings, each with its line,
//! and for each workspace without an entry a warning. Entries to other hosts are left alone. Of the file it shows only URLs without user and
//! password, and names of entries and keys.
//!
//! [`target`] says where a URL leads, [`entry`] judges the other settings of an entry.

mod entry;
mod target;

use std::fs;
use std::path::Path;

use super::step::StepOutcome;
use crate::config::yaml::{self, Node};
use crate::config::{Config, Workspace};
use crate::remedies::first_hour::{
    PROMETHEUS_DIRECT, PROMETHEUS_ELSEWHERE, PROMETHEUS_FILE, PROMETHEUS_PORT, PROMETHEUS_TWICE,
};
use entry::RemoteWriteEntry;
use target::WriteTarget;

/// A larger file is not a hand-written one.
const LARGEST: u64 = 16 << 20;
/// Deeper than any valid file.
const DEEPEST: usize = 32;

type Steps = Vec<(String, StepOutcome)>;

pub(super) fn look(path: &Path, config: &Config) -> Steps {
    match entries(path) {
        Ok(node) => judged(node.items(), config),
        Err(what) => {
            let evidence = format!("prometheus configuration {}: {what}", path.display());
            let outcome = StepOutcome::broken(evidence).remedy(PROMETHEUS_FILE);
            vec![(name(None), outcome)]
        }
    }
}

/// Where its entries write.
pub(super) fn urls(path: &Path) -> Result<Vec<String>, String> {
    let entries = entries(path)?;
    let entries = entries.items().iter().map(RemoteWriteEntry::of);
    Ok(entries.map(|entry| entry.url).collect())
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
            "line {}: not valid YAML: {}",
            error.marker().line(),
            error.info()
        )
    })?;
    let document = document.ok_or("it is empty")?;
    if document.get("kind").is_some() && document.get("apiVersion").is_some() {
        return Err("it is a Kubernetes object, not the file that Prometheus reads".to_owned());
    }
    if document.get("exporters").is_some() && document.get("service").is_some() {
        return Err(
            "it is the configuration of an OpenTelemetry collector, whose exporter prometheusremotewrite needs the sidecar's URL as its endpoint"
                .to_owned(),
        );
    }
    document
        .take("remote_write")
        .filter(|node| !node.items().is_empty())
        .ok_or_else(|| "it has no remote_write".to_owned())
}

fn judged(nodes: &[Node], config: &Config) -> Steps {
    let all: Vec<(RemoteWriteEntry<'_>, WriteTarget<'_>)> = nodes
        .iter()
        .map(|node| {
            let entry = RemoteWriteEntry::of(node);
            let target = WriteTarget::of(&entry.url, config);
            (entry, target)
        })
        .collect();
    let here = all.iter().any(|(_, target)| target.is_here());
    let mut steps = Steps::new();
    let mut written: Vec<(&Workspace, &RemoteWriteEntry<'_>)> = Vec::new();
    let mut others = Vec::new();
    for (index, (entry, target)) in all.iter().enumerate() {
        let outcomes = match target {
            WriteTarget::Workspace(workspace, url) => {
                written.push((workspace, entry));
                entry.judged(url, workspace, config)
            }
            WriteTarget::Wrong(what, remedy) => {
                let broken = StepOutcome::broken(entry.says(entry.url_line, what));
                vec![broken.remedy_with(*remedy, ours(config))]
            }
            WriteTarget::Amp(workspace) if workspace.is_some() || !here => {
                let evidence = entry.says(entry.url_line, "points to AMP itself");
                let outcome = if here {
                    StepOutcome::warning(evidence)
                } else {
                    StepOutcome::broken(evidence)
                };
                vec![outcome.remedy_with(PROMETHEUS_DIRECT, ours(config))]
            }
            WriteTarget::OtherPort(port) if !here => {
                let what = format!(
                    "it is port {port} of this pod, and the sidecar is on port {}",
                    config.listen.port()
                );
                let broken = StepOutcome::broken(entry.says(entry.url_line, &what));
                vec![broken.remedy_with(PROMETHEUS_PORT, ours(config))]
            }
            WriteTarget::Amp(_) | WriteTarget::OtherPort(_) | WriteTarget::Elsewhere => {
                others.push(entry.line.to_string());
                continue;
            }
        };
        steps.extend(
            outcomes
                .into_iter()
                .map(|outcome| (name(Some(index)), outcome)),
        );
    }
    let add = |outcome: StepOutcome| (name(None), outcome);
    if !others.is_empty() && here {
        steps.push(add(StepOutcome::ok(format!(
            "other remote_write entries are left alone (line {})",
            others.join(", ")
        ))));
    }
    if steps.is_empty() {
        let evidence = format!(
            "no remote_write of {} points to this sidecar at {}",
            all.len(),
            config.listen
        );
        steps.push(add(
            StepOutcome::broken(evidence).remedy_with(PROMETHEUS_ELSEWHERE, ours(config))
        ));
        return steps;
    }
    steps.extend(unwritten(&written, config).map(add));
    steps.extend(twice(&written, config).map(add));
    steps
}

fn unwritten<'a>(
    written: &'a [(&Workspace, &RemoteWriteEntry<'_>)],
    config: &'a Config,
) -> impl Iterator<Item = StepOutcome> + 'a {
    let several = config.workspaces.len() > 1;
    let workspaces = config.workspaces.iter().filter(move |_| several);
    let missing = workspaces.filter(|one| !written.iter().any(|(other, _)| other.name == one.name));
    missing.map(|workspace| {
        let evidence = format!(
            "no remote_write points to this sidecar's workspace {}",
            workspace.name
        );
        StepOutcome::warning(evidence).remedy_with(PROMETHEUS_ELSEWHERE, ours(config))
    })
}

/// Relabelling may divide the series between entries, so only those without it are sure to write the same.
fn twice<'a>(
    written: &'a [(&Workspace, &RemoteWriteEntry<'_>)],
    config: &'a Config,
) -> impl Iterator<Item = StepOutcome> + 'a {
    config.workspaces.iter().filter_map(move |workspace| {
        let of_all = written
            .iter()
            .filter(|(one, entry)| one.name == workspace.name && !entry.relabels());
        let lines: Vec<String> = of_all.map(|(_, entry)| entry.line.to_string()).collect();
        (lines.len() > 1).then(|| {
            let evidence = format!(
                "every sample is sent twice to workspace {} (lines {})",
                workspace.name,
                lines.join(", ")
            );
            StepOutcome::warning(evidence).remedy(PROMETHEUS_TWICE)
        })
    })
}

/// The right URL.
fn ours(config: &Config) -> String {
    let workspaces = config.workspaces.iter();
    let urls: Vec<String> = workspaces
        .map(|workspace| config.write_url(&workspace.name))
        .collect();
    format!("url: {}", urls.join(" or "))
}
