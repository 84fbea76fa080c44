//! What to do about what: the one table of causes and their remedies.
//!
//! In: nothing. Out: a [`Remedy`] for each cause that is known: what is wrong, by which words one recognises it, what to do. Whoever
//! shows an error (log, `/readyz`, status page, `check`, an HTTP answer) takes the remedy from here, and `docs/mistakes.md` is
//! printed from here, so that all say the same. An error knows its cause; the match from error to row stands beside the error.
//!
//! Where the remedy needs values of the moment (an ARN, claims of a token, a file's owner), it is a function of plain text:
//! [`identity`] and [`token_file`]. This module imports nothing of the program.

pub(crate) mod entra;
pub mod first_hour;
pub(crate) mod identity;
mod row;
pub mod running;
pub(crate) mod token_file;

pub use row::Remedy;

/// Every mistake that `check` can name, what Entra ID refuses included.
pub fn mistakes() -> impl Iterator<Item = Remedy> {
    first_hour::MISTAKES.iter().copied().chain(entra_refusals())
}

/// What Entra ID refuses, by the names that metrics have.
fn entra_refusals() -> impl Iterator<Item = Remedy> {
    entra::TABLE.iter().map(|known| Remedy {
        id: known.label,
        cause: known.cause,
        // As Entra writes it: AADSTS700213.
        symptom: known.label.trim_start_matches("entra_"),
        remedy: known.remedy,
    })
}

/// The row of a refusal of Entra ID, by its name.
pub(crate) fn of_entra(name: &str) -> Option<Remedy> {
    entra_refusals().find(|row| row.id == name)
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
         The symptom is the `incident` of the log line, which is also the [outcome](outcomes.md) or the name in metrics.\n\n",
    );
    table(&mut page, running::INCIDENTS.iter().copied());
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
        let mut all = mistakes().chain(running::INCIDENTS.iter().copied());
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
