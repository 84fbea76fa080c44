//! A YAML file of settings, as far as its form goes.
//!
//! In: the file's text. Out: a [`File`]: the text of every setting with the line that it stands on, at the top and for each
//! entry of `workspaces`, and the faults of form (no YAML, an unknown key, a list where one value belongs). What the texts
//! mean is the reader's business, as with flags and variables.
//!
//! The keys are the flags with `_` for `-`. Anchors and aliases are refused: a short file can grow without bound by them.

use std::collections::BTreeMap;

use super::settings::{self, ALL, Setting};
use super::yaml::{Entry, Kind, Node};
use super::{Fault, Rejected, yaml};
use crate::sanitize::sanitize;

/// Deeper than any valid file.
const DEEPEST: usize = 9;
/// The key of an entry's name, which is no setting: only a file needs it.
pub(super) const NAME: &str = "name";
pub(super) const WORKSPACES: &str = "workspaces";

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// How faults call it.
    pub(super) path: String,
    /// For the process and for every workspace.
    pub(super) top: Section,
    /// For one workspace each.
    pub(super) workspaces: Vec<Section>,
}

/// Settings by their keys.
#[derive(Debug, Default)]
pub(super) struct Section(BTreeMap<String, Entry>);

/// The key of a setting.
pub(super) fn key(setting: &Setting) -> String {
    setting.flag.replace('-', "_")
}

// === impl File ===

impl File {
    /// Reads the form.
    ///
    /// # Errors
    /// Every fault of it.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Rejected> {
        let mut file = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let mut faults = Vec::new();
        match yaml::document(text, DEEPEST) {
            Ok(None) => {}
            Ok(Some(Node {
                kind: Kind::Map(entries),
                ..
            })) => file.take(entries, &mut faults),
            Ok(Some(other)) => {
                faults.push(file.fault("", &other.show(), other.line, "settings as `key: value`"))
            }
            Err(error) => {
                let line = error.marker().line();
                let shown = text.lines().nth(line.saturating_sub(1));
                let expected = format!("YAML: {}", error.info());
                faults.push(file.fault("", shown.unwrap_or("the end"), line, &expected));
            }
        }
        if faults.is_empty() {
            Ok(file)
        } else {
            Err(Rejected {
                faults,
                warnings: Vec::new(),
            })
        }
    }

    fn take(&mut self, entries: Vec<(Entry, Node)>, faults: &mut Vec<Fault>) {
        let (lists, top): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|(key, _)| key.text == WORKSPACES);
        self.top = self.section("", top, faults);
        for (key, node) in lists {
            let Kind::List(nodes) = node.kind else {
                faults.push(self.fault(WORKSPACES, &node.show(), key.line, "a list of workspaces"));
                continue;
            };
            for (n, node) in nodes.into_iter().enumerate() {
                let path = format!("{WORKSPACES}[{n}]");
                match node.kind {
                    Kind::Map(entries) => {
                        let section = self.section(&format!("{path}."), entries, faults);
                        self.workspaces.push(section);
                    }
                    _ => faults.push(self.fault(
                        &path,
                        &node.show(),
                        node.line,
                        "the settings of a workspace as `key: value`",
                    )),
                }
            }
        }
    }

    fn section(
        &self,
        prefix: &str,
        entries: Vec<(Entry, Node)>,
        faults: &mut Vec<Fault>,
    ) -> Section {
        let mut section = Section::default();
        for (key, node) in entries {
            let path = format!("{prefix}{}", key.text);
            if let Err(expected) = allowed(&key.text, prefix.is_empty()) {
                faults.push(self.fault(&path, &node.show(), key.line, &expected));
                continue;
            }
            let shown = node.show();
            let Some(text) = node.text() else {
                let expected = "one value, or a list of them";
                faults.push(self.fault(&path, &shown, key.line, expected));
                continue;
            };
            let line = key.line;
            let text = text.trim().to_owned();
            if section.0.insert(key.text, Entry { text, line }).is_some() {
                faults.push(self.fault(&path, &shown, line, "each setting once"));
            }
        }
        section
    }

    fn fault(&self, path: &str, value: &str, line: usize, expected: &str) -> Fault {
        Fault {
            setting: self.place(path, Some(line)),
            value: crate::config::sources::withhold(value),
            expected: expected.to_owned(),
        }
    }

    /// How a fault names a place in the file.
    pub(super) fn place(&self, path: &str, line: Option<usize>) -> String {
        let line = line
            .map(|line| format!(", line {line}"))
            .unwrap_or_default();
        // A key may be anything that YAML can hold, line breaks and a megabyte included.
        let path = sanitize(path);
        let space = if path.is_empty() { "" } else { " " };
        format!("{path}{space}({}{line})", self.path)
    }
}

// === impl Section ===

impl Section {
    /// What it says under a key; an empty text counts as nothing, as in the environment.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.get(key).filter(|entry| !entry.text.is_empty())
    }
}

/// Whether a key may stand at the top, or in an entry of `workspaces`; else what should.
fn allowed(text: &str, at_top: bool) -> Result<(), String> {
    if text == NAME && !at_top {
        return Ok(());
    }
    match ALL.iter().find(|setting| key(setting) == text) {
        Some(setting) if setting.flag == settings::CONFIG.flag => {
            Err("no other file inside a file".to_owned())
        }
        Some(setting) if at_top || setting.is_of_workspace() => Ok(()),
        Some(_) => {
            Err("this setting at the top of the file: it is for the whole process".to_owned())
        }
        None => {
            let keys = ALL.iter().map(key).chain([WORKSPACES.to_owned()]);
            let near = keys
                .map(|key| (strsim::jaro_winkler(&key, text), key))
                .max_by(|(a, _), (b, _)| a.total_cmp(b))
                .filter(|(near, _)| *near > 0.8);
            Err(match near {
                Some((_, key)) => format!("a setting; is {key} meant?"),
                None => "a setting: a flag of --help with _ for -, or workspaces".to_owned(),
            })
        }
    }
}
