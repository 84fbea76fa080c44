//! The form of the YAML configuration file, and its JSON Schema for editors.
//!
//! In: the file's text. Out: a [`File`]: the text of every setting with its line, at the top level and for each entry of `workspaces`, and every
//! error of form (not YAML, an unknown key, a mapping instead of one value). The texts are parsed later, as with flags and variables; so the
//! schema covers keys and nesting only, as a second set of rules would sooner or later contradict the first.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::{SettingError, WITHHELD};
use super::settings::{ALL, CONFIG, Setting};
use super::suggest;
use super::yaml::{self, Node, NodeKind, YamlText};
use crate::sanitize::sanitize;

/// Deeper than any valid file.
const DEEPEST: usize = 9;
/// The key of a workspace's name, which exists only in a file.
pub(super) const NAME: &str = "name";
pub(super) const WORKSPACES: &str = "workspaces";

/// The settings in a file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) path: String,
    /// The top level: for the process and every workspace.
    pub(super) top: FileSection,
    /// One entry per workspace.
    pub(super) workspaces: Vec<FileSection>,
}

/// Settings by their keys.
#[derive(Debug, Default)]
pub(super) struct FileSection(BTreeMap<String, YamlText>);

/// A file while it is read.
struct FileParser<'a> {
    path: &'a str,
    errors: Vec<SettingError>,
}

// === impl File ===

impl File {
    /// # Errors
    /// Every error of form.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Vec<SettingError>> {
        let errors = Vec::new();
        let mut parser = FileParser { path, errors };
        let mut file = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        match yaml::document(text, DEEPEST) {
            Ok(None) => {}
            Ok(Some(Node {
                kind: NodeKind::Map(entries),
                ..
            })) => (file.top, file.workspaces) = parser.file(entries),
            Ok(Some(other)) => parser.error("", &other, other.line, "settings as `key: value`"),
            Err(error) => {
                let line = error.marker().line();
                let shown = text.lines().nth(line.saturating_sub(1));
                let expected = format!("YAML: {}", error.info());
                parser.error_of_text("", shown.unwrap_or("the end"), line, &expected);
            }
        }
        if parser.errors.is_empty() {
            Ok(file)
        } else {
            Err(parser.errors)
        }
    }
}

/// The name of a key in an error.
pub(super) fn place(file: &str, key: &str, line: Option<usize>) -> String {
    let line = line.map(|line| format!(", line {line}"));
    // A YAML key may contain anything, such as line breaks or a megabyte of text.
    let key = sanitize(key);
    let space = if key.is_empty() { "" } else { " " };
    format!("{key}{space}({file}{})", line.unwrap_or_default())
}

// === impl FileSection ===

impl FileSection {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text under a key; an empty one counts as not set, as in the environment.
    pub(super) fn get(&self, key: &str) -> Option<&YamlText> {
        self.0.get(key).filter(|entry| !entry.text.is_empty())
    }
}

// === impl FileParser ===

impl FileParser<'_> {
    fn file(&mut self, entries: Vec<(YamlText, Node)>) -> (FileSection, Vec<FileSection>) {
        let is_list = |(key, _): &(YamlText, Node)| key.text == WORKSPACES;
        let (lists, top): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_list);
        let top = self.section("", top);
        let mut workspaces = Vec::new();
        for (key, node) in lists {
            let NodeKind::List(nodes) = node.kind else {
                self.error(WORKSPACES, &node, key.line, "a list of workspaces");
                continue;
            };
            for (n, node) in nodes.into_iter().enumerate() {
                let path = format!("{WORKSPACES}[{n}]");
                match node.kind {
                    NodeKind::Map(entries) => {
                        workspaces.push(self.section(&format!("{path}."), entries));
                    }
                    _ => {
                        let expected = "the settings of a workspace as `key: value`";
                        self.error(&path, &node, node.line, expected);
                    }
                }
            }
        }
        (top, workspaces)
    }

    fn section(&mut self, prefix: &str, entries: Vec<(YamlText, Node)>) -> FileSection {
        let mut section = FileSection::default();
        for (YamlText { text: key, line }, node) in entries {
            let path = format!("{prefix}{key}");
            if let Err(expected) = allowed(&key, prefix.is_empty()) {
                // Under a name that is no setting may be a secret.
                let is_setting = ALL.iter().any(|setting| setting.key() == key);
                let shown = if is_setting {
                    node.show()
                } else {
                    WITHHELD.to_owned()
                };
                self.error_of_text(&path, &shown, line, &expected);
                continue;
            }
            let Some(text) = node.text() else {
                self.error(&path, &node, line, "one value or a list of values");
                continue;
            };
            let text = text.trim().to_owned();
            if section.0.insert(key, YamlText { text, line }).is_some() {
                self.error(&path, &node, line, "each setting only once");
            }
        }
        section
    }

    fn error(&mut self, key: &str, value: &Node, line: usize, expected: &str) {
        self.error_of_text(key, &value.show(), line, expected);
    }

    fn error_of_text(&mut self, key: &str, value: &str, line: usize, expected: &str) {
        let place = place(self.path, key, Some(line));
        self.errors.push(SettingError::of(place, value, expected));
    }
}

/// Whether a key is allowed at the top level, or in an entry of `workspaces`; else the expected key.
fn allowed(text: &str, at_top: bool) -> Result<(), String> {
    if text == NAME && !at_top {
        return Ok(());
    }
    match ALL.iter().find(|setting| setting.key() == text) {
        Some(setting) if *setting == *CONFIG => {
            Err("nothing: `config` is not allowed inside a configuration file".to_owned())
        }
        Some(setting) if at_top || setting.is_of_workspace() => Ok(()),
        Some(_) => Err(
            "this setting at the top level of the file: it applies to the whole process".to_owned(),
        ),
        None => {
            let here =
                |setting: &&Setting| **setting != *CONFIG && (at_top || setting.is_of_workspace());
            let other = if at_top { WORKSPACES } else { NAME };
            let keys = ALL.iter().filter(here).map(Setting::key);
            Err(match suggest::key(text, keys.chain([other.to_owned()])) {
                Some(key) => format!("a setting; did you mean {key}?"),
                None => format!("a setting: a flag of --help with _ for -, or {other}"),
            })
        }
    }
}

/// The schema in `deploy/config.schema.json`.
#[must_use]
pub fn schema() -> Value {
    let of_workspace = ALL.iter().filter(|setting| setting.is_of_workspace());
    let at_top = ALL.iter().filter(|setting| **setting != *CONFIG);
    let mut entry = properties(of_workspace);
    let name = "Name of the workspace in paths, metrics and log. Default: its ID";
    entry.insert(
        NAME.to_owned(),
        json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "description": name}),
    );
    let mut top = properties(at_top);
    top.insert(
        WORKSPACES.to_owned(),
        json!({
            "type": "array",
            "description": "One entry per workspace; settings that it lacks are taken from flags, variables and the top level",
            "items": {"type": "object", "additionalProperties": false, "properties": entry},
        }),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "amp-sidecar",
        "description": "The configuration file (--config)",
        "type": "object",
        "additionalProperties": false,
        "properties": top,
    })
}

fn properties<'a>(settings: impl Iterator<Item = &'a Setting>) -> Map<String, Value> {
    let property = |setting: &Setting| {
        let types: &[&str] = if setting.is_switch() {
            &["boolean", "string"]
        } else if setting.repeats() {
            &["array", "string"]
        } else {
            &["string", "integer"]
        };
        let description = format!("{}. Default: {}", setting.help, setting.shown_default());
        json!({"type": types, "description": description})
    };
    settings
        .map(|setting| (setting.key(), property(setting)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::schema;

    #[test]
    fn the_schema_in_deploy_is_current() {
        let written = include_str!("../../deploy/config.schema.json");
        let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        assert!(
            written == made,
            "run: amp-sidecar config --schema > deploy/config.schema.json"
        );
    }
}
