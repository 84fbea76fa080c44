//! The one table of causes and their remedies.
//!
//! In: nothing. Out: a [`Remedy`] for each known cause: what is wrong, the message that shows it, what to do. All code that shows an error (log,
//! `/readyz`, status page, `check`, an HTTP response) takes the remedy from here, and `docs/mistakes.md` is generated from here, so that all agree. An
//! error gives its [`Advice`] by `remedy()`, and the match from error to rows is in the error's module alone.
//!
//! A remedy with current values (an ARN, claims of a token, a file's owner) is a function of plain text: [`identity`] and [`token_file`]. This module
//! imports nothing of the program.

mod advice;
pub mod container;
pub mod credentials_file;
pub(crate) mod entra;
pub mod first_hour;
pub(crate) mod identity;
pub mod machine;
#[cfg(any(test, feature = "internals"))]
pub mod page;
pub mod policies;
pub mod roles_anywhere;
mod row;
pub mod running;
pub(crate) mod token_file;

pub use advice::Advice;
pub use row::Remedy;
