//! The JSON Schema of the file of settings, for editors, made from the one definition.
//!
//! It knows the keys, what they mean and which may stand where. What a value must look like only the reader knows, and it
//! names every fault; a second set of rules here would sooner or later say something else.

use serde_json::{Map, Value, json};

use super::{ALL, Setting, file, settings};

/// The schema as `deploy/config.schema.json` holds it.
#[must_use]
pub fn schema() -> Value {
    let of_workspace = || ALL.iter().filter(|setting| setting.is_of_workspace());
    let at_top = ALL
        .iter()
        .filter(|setting| setting.flag != settings::CONFIG.flag);
    let mut entry = properties(of_workspace());
    let name = "How paths, metrics and log call the workspace; its id unless given";
    entry.insert(
        file::NAME.to_owned(),
        json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "description": name}),
    );
    let mut top = properties(at_top);
    top.insert(
        file::WORKSPACES.to_owned(),
        json!({
            "type": "array",
            "description": "One entry for each workspace; what it does not say is taken from the top, flags and variables",
            "items": {"type": "object", "additionalProperties": false, "properties": entry},
        }),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "amp-sidecar",
        "description": "The file of --config",
        "type": "object",
        "additionalProperties": false,
        "properties": top,
    })
}

fn properties<'a>(settings: impl Iterator<Item = &'a Setting>) -> Map<String, Value> {
    let property = |setting: &Setting| {
        let default = setting.shown_default();
        let types: &[&str] = if setting.is_switch() {
            &["boolean", "string"]
        } else if setting.repeats() {
            &["array", "string"]
        } else {
            &["string", "integer"]
        };
        let description = format!("{}. Default: {default}", setting.help);
        json!({"type": types, "description": description})
    };
    settings
        .map(|setting| (file::key(setting), property(setting)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::schema;

    #[test]
    fn the_schema_in_deploy_is_the_code() {
        let written = include_str!("../../deploy/config.schema.json");
        let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        assert!(
            written == made,
            "write it anew: amp-sidecar config --schema > deploy/config.schema.json"
        );
    }
}
