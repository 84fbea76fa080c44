//! What IAM's policy documents have in common: effects, lists, wildcards and conditions.
//!
//! Invariant: what is not understood is refused when a policy is read, so that no condition is ever silently skipped.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The values of a request's condition keys.
pub(crate) type ConditionKeys = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// A statement's `Condition`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Conditions(BTreeMap<String, BTreeMap<String, OneOrMany<String>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    like: bool,
    ignore_case: bool,
    negated: bool,
    if_exists: bool,
}

// === impl Conditions ===

impl Conditions {
    /// The first operator that is not implemented.
    pub(crate) fn unknown_operator(&self) -> Option<&str> {
        let unknown = |name: &&String| Operator::parse(name).is_none();
        self.0.keys().find(unknown).map(String::as_str)
    }

    /// Whether all of them are true of the request.
    pub(crate) fn hold(&self, keys: &ConditionKeys) -> bool {
        self.0.iter().all(|(operator, tests)| {
            Operator::parse(operator).is_some_and(|operator| {
                tests
                    .iter()
                    .all(|(key, wanted)| operator.holds(find(keys, key), wanted))
            })
        })
    }
}

// === impl Operator ===

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (like, ignore_case, negated) = match name {
            "StringEquals" => (false, false, false),
            "StringNotEquals" => (false, false, true),
            "StringEqualsIgnoreCase" => (false, true, false),
            "StringNotEqualsIgnoreCase" => (false, true, true),
            "StringLike" => (true, false, false),
            "StringNotLike" => (true, false, true),
            // IAM's guide: of the operators for ARNs, those with Equals and Like behave alike.
            "ArnEquals" | "ArnLike" => (true, false, false),
            "ArnNotEquals" | "ArnNotLike" => (true, false, true),
            _ => return None,
        };
        Some(Self {
            like,
            ignore_case,
            negated,
            if_exists,
        })
    }

    fn holds(self, values: Option<&Vec<String>>, wanted: &OneOrMany<String>) -> bool {
        let Some(values) = values else {
            return self.if_exists || self.negated;
        };
        let fits = |value: &String| wanted.iter().any(|wanted| self.fits(wanted, value));
        if self.negated {
            !values.iter().any(fits)
        } else {
            values.iter().any(fits)
        }
    }

    fn fits(self, wanted: &str, value: &str) -> bool {
        if self.like {
            is_like(wanted, value)
        } else if self.ignore_case {
            wanted.eq_ignore_ascii_case(value)
        } else {
            wanted == value
        }
    }
}

impl<T> OneOrMany<T> {
    pub(crate) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
    }
}

/// IAM does not mind the case of a condition key's name.
fn find<'a>(keys: &'a ConditionKeys, name: &str) -> Option<&'a Vec<String>> {
    keys.iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, values)| values)
}

/// `*` stands for any characters, `?` for one.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    // reached[i]: the pattern so far can stand for the first i characters.
    let text: Vec<char> = text.chars().collect();
    let mut reached = vec![false; text.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for wanted in pattern.chars() {
        let mut before = false;
        let mut any = false;
        let characters = std::iter::once(None).chain(text.iter().map(Some));
        for (slot, character) in reached.iter_mut().zip(characters) {
            let was = *slot;
            any |= was;
            *slot = match wanted {
                '*' => any,
                '?' => before && character.is_some(),
                _ => before && character == Some(&wanted),
            };
            before = was;
        }
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_they_should() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "", false),
            ("abc", "ab", false),
            ("**b*", "aab", true),
        ] {
            assert_eq!(is_like(pattern, text), fits, "{pattern} {text}");
        }
    }
}
