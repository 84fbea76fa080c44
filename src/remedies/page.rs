//! `docs/mistakes.md`, printed from the table.

use crate::remedies::entra::EntraRefusal;
use crate::remedies::{
    Remedy, container, credentials_file, entra, first_hour, machine, policies, roles_anywhere,
    running,
};

/// Every mistake that `check` can name, what Entra ID refuses included.
pub fn mistakes() -> impl Iterator<Item = Remedy> {
    first_hour::MISTAKES
        .iter()
        .chain(policies::POLICIES)
        .chain(machine::MACHINE)
        .chain(container::CONTAINER)
        .chain(credentials_file::CREDENTIALS_FILE)
        .chain(roles_anywhere::ROLES_ANYWHERE)
        .copied()
        .chain(entra::TABLE.iter().map(EntraRefusal::row))
}

/// What happens to batches and to everything else while the sidecar runs; `check` names some of these for its empty write.
pub fn incidents() -> impl Iterator<Item = Remedy> {
    running::INCIDENTS.iter().copied()
}

/// `docs/mistakes.md`, which a test compares with this.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Mistakes and how to fix them\n\
         For everyone whose data does not arrive: every mistake that `amp-sidecar check` names, and what the running sidecar reports,\n\
         each with its fix. Log lines, `/readyz`, the [status page](status.md) and `check` show the same fixes; this page is printed from\n\
         their table (`src/remedies`). STS uses the same words for several mistakes: `check` then lists all of them, with the\n\
         trust policy that the token at hand needs. Terms: [glossary](glossary.md).\n\n\
         ## Named by `amp-sidecar check`\n\n",
    );
    table(&mut page, mistakes());
    page.push_str(
        "\n## Reported while it runs\n\
         The symptom is the `incident` of the log line, which is also the [outcome](outcomes.md) or the name in metrics. `check` names\n\
         those of its empty write.\n\n",
    );
    table(&mut page, incidents());
    page
}

fn table(page: &mut String, rows: impl Iterator<Item = Remedy>) {
    page.push_str("| name | cause | symptom | fix |\n|---|---|---|---|\n");
    for Remedy {
        id,
        cause,
        symptom,
        remedy,
    } in rows
    {
        page.push_str(&format!("| `{id}` | {cause} | {symptom} | {remedy} |\n"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_the_page_is_the_table() {
        let mut seen = HashSet::new();
        let mut all = mistakes().chain(incidents());
        assert!(all.all(|row| seen.insert(row.id)));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mistakes.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        if written != page() {
            let printed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tmp/mistakes.md");
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tmp")).unwrap();
            std::fs::write(printed, page()).unwrap();
            panic!("docs/mistakes.md differs from the table; it is printed to {printed}");
        }
    }
}
