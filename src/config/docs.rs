//! The tables and examples of `docs/settings.md` and `docs/workspaces.md` are checked against the code.

use std::collections::HashSet;

use super::settings::ALL;

const PAGE: &str = include_str!("../../docs/settings.md");

fn between<'a>(start: &str, end: &str) -> &'a str {
    PAGE.split_once(start).unwrap().1.split_once(end).unwrap().0
}

#[test]
fn the_table_of_settings_is_the_definition() {
    let row = |setting: &super::Setting| {
        let env: Vec<String> = setting.env.iter().map(|name| format!("`{name}`")).collect();
        let default = setting.default;
        let default = match default
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(words) => words.to_owned(),
            None => format!("`{default}`"),
        };
        format!(
            "| `--{}` | {} | {default} | {} |\n",
            setting.flag,
            env.join(", "),
            setting.help.replace('|', "\\|")
        )
    };
    let groups = ALL.chunk_by(|one, next| one.group == next.group);
    let table = |group: &[super::Setting]| {
        let heading = group[0].group.heading();
        let rows: String = group.iter().map(row).collect();
        format!("## {heading}\n| flag | environment | default | |\n|---|---|---|---|\n{rows}\n")
    };
    let tables: String = groups.map(table).collect();
    let written = between(
        "<!-- settings: checked against the code by a test -->\n",
        "<!-- end of settings -->",
    );
    assert!(written == tables, "docs/settings.md should say:\n{tables}");
}

/// A way that is on the page exists, and each that exists is there.
#[test]
fn the_page_of_identities_names_each_source_and_no_other() {
    let page = include_str!("../../docs/which-identity.md");
    for setting in ["credentials", "token-source"] {
        let setting = ALL.iter().find(|one| one.flag == setting).unwrap();
        let mark = format!("`--{} ", setting.flag);
        let named = page.split(&mark).skip(1);
        let named: HashSet<&str> = named.map(|rest| rest.split('`').next().unwrap()).collect();
        let known: HashSet<&str> = setting.value.split('|').collect();
        // Nobody sets the default source.
        let known = known.into_iter().filter(|one| *one != "web-identity");
        assert_eq!(named, known.collect());
    }
}

#[test]
fn the_example_of_several_workspaces_is_valid() {
    let page = include_str!("../../docs/workspaces.md");
    let example = page
        .split_once("<!-- example: checked against the code by a test -->\n```yaml\n")
        .and_then(|(_, rest)| rest.split_once("```\n<!-- end of example -->"))
        .unwrap()
        .0;
    let config = super::tests::read_file(example, &[]).unwrap();
    let names: Vec<&str> = config
        .workspaces
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["production", "audit"]);
}
