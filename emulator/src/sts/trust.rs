//! Roles' trust policies: IAM's own JSON, and whether it lets a token in.
//!
//! In: the policy document that a user would paste into IAM. Out: yes or no
//! for one action, one OIDC provider and the token's condition keys. Reading
//! the real document, and not a structure of our own, is what finds the
//! mistakes people make: the slash before `:sub`, the key of another issuer,
//! `StringEquals` with a star.
//!
//! Invariant: what is not understood is refused when the policy is read, so
//! that no condition is ever silently skipped.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A role's trust policy.
#[derive(Debug, Clone)]
pub struct TrustPolicy {
    statements: Vec<Statement>,
}

/// Why a document is not a trust policy that can be judged.
#[derive(Debug, thiserror::Error)]
pub enum TrustPolicyError {
    /// It is not JSON of the right shape.
    #[error("not a trust policy")]
    Shape(#[from] serde_json::Error),
    /// It uses a condition operator that is not implemented.
    #[error("condition operator {0} is not implemented")]
    Operator(String),
}

/// The values of a request's condition keys.
pub(crate) type Keys = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<Statement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Principal,
    action: OneOrMany<String>,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, OneOrMany<String>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Principal {
    federated: OneOrMany<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    like: bool,
    ignore_case: bool,
    negated: bool,
    if_exists: bool,
}

// === impl TrustPolicy ===

impl TrustPolicy {
    /// Reads IAM's JSON.
    ///
    /// # Errors
    /// When it is no policy, or has a condition that is not implemented.
    pub fn parse(document: &str) -> Result<Self, TrustPolicyError> {
        let document: Document = serde_json::from_str(document)?;
        let statements = document.statement.into_vec();
        for operator in statements.iter().flat_map(|one| one.condition.keys()) {
            Operator::parse(operator)
                .ok_or_else(|| TrustPolicyError::Operator(operator.clone()))?;
        }
        Ok(Self { statements })
    }

    /// Whether `action` by way of `provider` (an ARN) is allowed and not denied.
    pub(crate) fn allows(&self, action: &str, provider: &str, keys: &Keys) -> bool {
        let applies = |effect: Effect| {
            self.statements
                .iter()
                .any(|one| one.effect == effect && one.applies(action, provider, keys))
        };
        applies(Effect::Allow) && !applies(Effect::Deny)
    }
}

// === impl Statement ===

impl Statement {
    fn applies(&self, action: &str, provider: &str, keys: &Keys) -> bool {
        self.action
            .iter()
            .any(|pattern| is_like(&pattern.to_lowercase(), &action.to_lowercase()))
            && self.principal.federated.iter().any(|arn| arn == provider)
            && self.condition.iter().all(|(operator, tests)| {
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
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
    }
}

/// IAM does not mind the case of a condition key's name.
fn find<'a>(keys: &'a Keys, name: &str) -> Option<&'a Vec<String>> {
    keys.iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, values)| values)
}

/// `*` stands for any characters, `?` for one.
fn is_like(pattern: &str, text: &str) -> bool {
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

    const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
    const PROVIDER: &str = "arn:aws:iam::123456789012:oidc-provider/host/t/u/";

    fn policy(condition: &str) -> TrustPolicy {
        TrustPolicy::parse(&format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
                "Principal": {{"Federated": "{PROVIDER}"}}, "Action": "{ACTION}",
                "Condition": {condition}}}]}}"#
        ))
        .expect("a policy")
    }

    fn keys() -> Keys {
        Keys::from([
            (
                "host/t/u/:sub".into(),
                vec!["system:serviceaccount:a:b".into()],
            ),
            ("host/t/u/:aud".into(), vec!["sts.amazonaws.com".into()]),
        ])
    }

    #[test]
    fn conditions_are_judged_as_iam_does() {
        for (condition, allowed) in [
            (
                r#"{"StringEquals": {"host/t/u/:sub": "system:serviceaccount:a:b", "host/t/u/:aud": "sts.amazonaws.com"}}"#,
                true,
            ),
            (
                r#"{"StringEquals": {"host/t/u/:sub": ["x", "system:serviceaccount:a:b"]}}"#,
                true,
            ),
            (
                r#"{"StringEquals": {"HOST/T/U/:SUB": "system:serviceaccount:a:b"}}"#,
                true,
            ),
            (
                r#"{"StringEquals": {"host/t/u:sub": "system:serviceaccount:a:b"}}"#,
                false,
            ),
            (
                r#"{"StringEquals": {"host/t/u/:sub": "system:serviceaccount:a:*"}}"#,
                false,
            ),
            (
                r#"{"StringLike": {"host/t/u/:sub": "system:serviceaccount:a:*"}}"#,
                true,
            ),
            (r#"{"StringLike": {"host/t/u/:sub": "system:*:?:b"}}"#, true),
            (
                r#"{"StringNotEquals": {"host/t/u/:sub": "system:serviceaccount:a:b"}}"#,
                false,
            ),
            (
                r#"{"StringEquals": {"host/t/u/:sub": "system:serviceaccount:a:b"}, "StringLike": {"host/t/u/:aud": "no*"}}"#,
                false,
            ),
            (r#"{"StringEqualsIfExists": {"host/t/u/:amr": "x"}}"#, true),
            ("{}", true),
        ] {
            assert_eq!(
                policy(condition).allows(ACTION, PROVIDER, &keys()),
                allowed,
                "{condition}"
            );
        }
    }

    #[test]
    fn provider_and_action_must_fit() {
        let open = policy("{}");
        assert!(!open.allows(
            ACTION,
            "arn:aws:iam::123456789012:oidc-provider/host/t/u",
            &keys()
        ));
        assert!(!open.allows("sts:AssumeRole", PROVIDER, &keys()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let unknown = r#"{"Statement": {"Effect": "Allow", "Principal": {"Federated": "x"}, "Action": "a",
            "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}}"#;
        assert!(
            matches!(TrustPolicy::parse(unknown), Err(TrustPolicyError::Operator(name)) if name == "IpAddress")
        );
        assert!(matches!(
            TrustPolicy::parse("{}"),
            Err(TrustPolicyError::Shape(_))
        ));
    }

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
