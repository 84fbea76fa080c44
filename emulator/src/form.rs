//! `application/x-www-form-urlencoded`, decoded: what STS and Entra ID are asked in.

use std::collections::BTreeMap;

/// The fields of a form; of repeated fields the last one counts.
pub(crate) type Form = BTreeMap<String, String>;

/// Decodes a body or a query string.
pub(crate) fn decoded(text: &[u8]) -> Form {
    form_urlencoded::parse(text).into_owned().collect()
}
