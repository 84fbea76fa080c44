//! The README's tables are held against the code: the settings here, the verdicts by their names.

use super::settings::ALL;

const README: &str = include_str!("../../README.md");

fn between<'a>(start: &str, end: &str) -> &'a str {
    README
        .split_once(start)
        .unwrap()
        .1
        .split_once(end)
        .unwrap()
        .0
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
    let table: String = ALL.iter().map(row).collect();
    let written = between(
        "<!-- settings: held against the code by a test -->",
        "<!-- end of settings -->",
    );
    assert!(
        written.ends_with(&format!("|---|---|---|---|\n{table}")),
        "the README should say:\n{table}"
    );
}

#[test]
fn the_example_of_several_workspaces_is_valid() {
    let page = include_str!("../../docs/workspaces.md");
    let example = page
        .split_once("<!-- example: held against the code by a test -->\n```yaml\n")
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
