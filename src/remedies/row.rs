//! A row of the table.

/// One cause, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remedy {
    /// Its name, for scripts and links.
    pub id: &'static str,
    /// What is wrong.
    pub cause: &'static str,
    /// A piece of the message that shows it.
    pub symptom: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Rows as constants, and all of them as a list, with its attributes.
macro_rules! rows {
    ($(#[$attribute:meta])* $list:ident: $($name:ident: $id:literal, $cause:literal, $symptom:literal, $remedy:literal;)*) => {
        $(#[doc = $cause] pub const $name: $crate::remedies::row::Remedy = $crate::remedies::row::Remedy {
            id: $id, cause: $cause, symptom: $symptom, remedy: $remedy,
        };)*
        $(#[$attribute])*
        pub(super) const $list: &[$crate::remedies::row::Remedy] = &[$($name),*];
    };
}
pub(super) use rows;
