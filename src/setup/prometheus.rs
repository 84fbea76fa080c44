//! Prometheus' `remote_write`, for the sidecar.
//!
//! In: the workspace, if the path has to name it. Out: the `remote_write` section of `prometheus.yml`, or the same in the spelling of the
//! Prometheus Operator and its chart. The values are in one shared template.

use super::template::{fill, quoted};

/// The values of `remote_write`.
#[derive(Debug)]
pub(super) struct Prometheus {
    pub(super) workspace: Option<String>,
}

const KEYS: [&str; 7] = [
    "remote_timeout",
    "queue_config",
    "max_samples_per_send",
    "capacity",
    "max_shards",
    "min_backoff",
    "max_backoff",
];

// === impl Prometheus ===

impl Prometheus {
    pub(super) fn text(&self) -> String {
        let path = match &self.workspace {
            Some(workspace) => format!("/workspaces/{workspace}/api/v1/remote_write"),
            None => "/api/v1/remote_write".to_owned(),
        };
        fill(
            include_str!("templates/prometheus.yaml"),
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("remote_write", &entry(&path, str::to_owned)),
            ],
        )
    }
}

/// The entry in the Operator's spelling.
pub(super) fn operators_entry() -> String {
    entry("/api/v1/remote_write", camel_case)
}

pub(super) fn entry(path: &str, spell: fn(&str) -> String) -> String {
    let url = quoted(&format!("http://127.0.0.1:8005{path}"));
    let keys: Vec<String> = KEYS.iter().map(|key| spell(key)).collect();
    let mut values: Vec<(&str, &str)> = KEYS
        .into_iter()
        .zip(keys.iter().map(String::as_str))
        .collect();
    values.push(("url", &url));
    fill(include_str!("templates/remote-write.yaml"), &values)
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|c| c.to_ascii_uppercase());
        name + &initial.into_iter().chain(letters).collect::<String>()
    })
}
