//! The one table of causes and their remedies.
//!
//! In: nothing. Out: a [`Remedy`] for each known cause: what is wrong, the message that shows it, what to do. All code that shows an error (log,
//! `/readyz`, status page, `check`, an HTTP response) takes the remedy from here, and `docs/mistakes.md` is generated from here, so that all agree. An
//! error knows its cause; the match from error to row is in the error's module.
//!
//! A remedy with current values (an ARN, claims of a token, a file's owner) is a function of plain text: [`identity`] and [`token_file`]. This module
//! imports nothing of the program.

pub(crate) mod entra;
mod first_hour;
pub(crate) mod identity;
mod running;
pub(crate) mod token_file;

pub use first_hour::*;
pub use running::*;

/// One cause, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remedy {
    /// Its name, for scripts and links.
    pub id: &'static str,
    /// What is wrong.
    pub cause: &'static str,
    /// A part of the message that shows it.
    pub symptom: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Rows as constants, and all of them as a list.
macro_rules! rows {
    ($list:ident: $($name:ident: $id:literal, $cause:literal, $symptom:literal, $remedy:literal;)*) => {
        $(#[doc = $cause] pub const $name: $crate::remedies::Remedy = $crate::remedies::Remedy {
            id: $id, cause: $cause, symptom: $symptom, remedy: $remedy,
        };)*
        pub(super) const $list: &[$crate::remedies::Remedy] = &[$($name),*];
    };
}
use rows;

/// Every mistake that `check` can report, including Entra ID's errors.
pub fn mistakes() -> impl Iterator<Item = Remedy> {
    first_hour::MISTAKES.iter().copied().chain(entra_refusals())
}

/// Entra ID's errors, by the names in metrics.
fn entra_refusals() -> impl Iterator<Item = Remedy> {
    entra::TABLE.iter().map(|known| Remedy {
        id: known.label,
        cause: known.cause,
        symptom: known.cause,
        remedy: known.remedy,
    })
}

/// The row of an Entra ID error, by its name.
pub(crate) fn of_entra(name: &str) -> Option<Remedy> {
    entra_refusals().find(|row| row.id == name)
}

/// `docs/mistakes.md`; a test compares it with this.
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
