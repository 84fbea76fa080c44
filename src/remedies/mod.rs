//! The one table of causes and their remedies.
//!
//! In: nothing. Out: a [`Remedy`] for each known cause: what is wrong, the message that shows it, what to do. All code that shows an error (log,
//! `/readyz`, status page, `check`, an HTTP response) takes the remedy from here, and `docs/mistakes.md` is generated from here, so that all agree. An
//! error knows its cause; the match from error to row is in the error's module.
//!
//! A remedy with current values (an ARN, claims of a token, a file's owner) is a function of plain text: [`identity`] and [`token_file`]. This module
//! imports nothing of the program.

pub(crate) mod entra;
pub mod first_hour;
pub(crate) mod identity;
#[cfg(any(test, feature = "internals"))]
pub mod page;
mod row;
pub mod running;
pub(crate) mod token_file;

pub use row::Remedy;

/// Entra ID's errors, by the names in metrics.
fn entra_refusals() -> impl Iterator<Item = Remedy> {
    entra::TABLE.iter().map(|known| Remedy {
        id: known.label,
        cause: known.cause,
        // As Entra writes it: AADSTS700213.
        symptom: known.label.trim_start_matches("entra_"),
        remedy: known.remedy,
    })
}

/// The row of an Entra ID error, by its name.
pub(crate) fn of_entra(name: &str) -> Option<Remedy> {
    entra_refusals().find(|row| row.id == name)
}
