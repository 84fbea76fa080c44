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
#[cfg(any(test, feature = "internals"))]
pub mod page;
mod row;
pub mod running;
pub(crate) mod token_file;

pub use row::Remedy;

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
