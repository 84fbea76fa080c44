//! Roles' trust policies: IAM's own JSON, and whom it lets in.
//!
//! In: the policy document that a user would paste into IAM. Out: whether it
//! lets a [`Caller`] do one action with the request's condition keys. Reading
//! the real document, and not a structure of our own, is what finds the
//! mistakes people make: the slash before `:sub`, the key of another issuer,
//! `StringEquals` with a star.
//!
//! Invariant: what is not understood is refused when the policy is read, so
//! that no condition is ever silently skipped.

use serde::Deserialize;

use crate::iam::{ConditionKeys, Conditions, Effect, OneOrMany, is_like};
use crate::sessions::Session;

/// A role's trust policy.
#[derive(Debug, Clone)]
pub struct TrustPolicy {
    statements: Vec<TrustStatement>,
}

/// Why a document is not a trust policy that can be judged.
#[derive(Debug, thiserror::Error)]
pub enum TrustPolicyError {
    /// It is not JSON of the right shape.
    #[error("not a trust policy")]
    Shape(#[from] serde_json::Error),
    /// It names somebody in a way that IAM does not know.
    #[error("principal {0:?} is neither \"*\" nor an object")]
    Principal(String),
    /// It uses a condition operator that is not implemented.
    #[error("condition operator {0} is not implemented")]
    Operator(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TrustDocument {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<TrustStatement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TrustStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Principal,
    action: OneOrMany<String>,
    #[serde(default)]
    condition: Conditions,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Principal {
    Word(String),
    Kinds(Kinds),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    #[serde(rename = "Federated")]
    federated: Option<OneOrMany<String>>,
    #[serde(rename = "AWS")]
    aws: Option<OneOrMany<String>>,
    #[serde(rename = "Service")]
    service: Option<OneOrMany<String>>,
}

/// Who wants to assume the role.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller<'a> {
    /// Somebody whom this identity provider vouches for: an OIDC provider's ARN, or `accounts.google.com`.
    Federated(&'a str),
    /// A session of another role.
    Session(&'a Session),
    /// An AWS service, such as `rolesanywhere.amazonaws.com`.
    Service(&'a str),
}

/// How far a policy trusts a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// Not at all, or it is denied.
    None,
    /// Its account as a whole, which then has to allow it by itself.
    Account,
    /// By its own name.
    Itself,
}

// === impl TrustPolicy ===

impl TrustPolicy {
    /// Reads IAM's JSON.
    ///
    /// # Errors
    /// When it is no policy, or has a condition that is not implemented.
    pub fn parse(document: &str) -> Result<Self, TrustPolicyError> {
        let document: TrustDocument = serde_json::from_str(document)?;
        let statements = document.statement.into_vec();
        for statement in &statements {
            if let Some(operator) = statement.condition.unknown_operator() {
                return Err(TrustPolicyError::Operator(operator.to_owned()));
            }
            if let Principal::Word(word) = &statement.principal
                && word != "*"
            {
                return Err(TrustPolicyError::Principal(word.clone()));
            }
        }
        Ok(Self { statements })
    }

    /// How far `caller` is trusted with `action`.
    pub(crate) fn trust(&self, action: &str, caller: Caller<'_>, keys: &ConditionKeys) -> Trust {
        let most = |effect: Effect| {
            self.statements
                .iter()
                .filter(|one| one.effect == effect)
                .map(|one| one.trust(action, caller, keys))
                .max()
                .unwrap_or(Trust::None)
        };
        if most(Effect::Deny) == Trust::None {
            most(Effect::Allow)
        } else {
            Trust::None
        }
    }
}

// === impl TrustStatement ===

impl TrustStatement {
    fn trust(&self, action: &str, caller: Caller<'_>, keys: &ConditionKeys) -> Trust {
        let fits = |pattern: &String| is_like(&pattern.to_lowercase(), &action.to_lowercase());
        if self.action.iter().any(fits) && self.condition.hold(keys) {
            self.principal.covers(caller)
        } else {
            Trust::None
        }
    }
}

// === impl Principal ===

impl Principal {
    fn covers(&self, caller: Caller<'_>) -> Trust {
        let kinds = match self {
            // Parsed, so that it is the star.
            Self::Word(_) => return Trust::Itself,
            Self::Kinds(kinds) => kinds,
        };
        match caller {
            Caller::Federated(provider) => named(&kinds.federated, provider),
            Caller::Service(service) => named(&kinds.service, service),
            Caller::Session(session) => kinds
                .aws
                .iter()
                .flat_map(OneOrMany::iter)
                .map(|principal| how_named(principal, session))
                .max()
                .unwrap_or(Trust::None),
        }
    }
}

fn named(principals: &Option<OneOrMany<String>>, caller: &str) -> Trust {
    let mut principals = principals.iter().flat_map(OneOrMany::iter);
    match principals.any(|principal| principal == caller) {
        true => Trust::Itself,
        false => Trust::None,
    }
}

/// A principal is a role's ARN, a session's, an account's (its root's ARN or its number), or everybody.
fn how_named(principal: &str, session: &Session) -> Trust {
    let account = &session.account;
    let root =
        |arn: &str| arn.starts_with("arn:aws") && arn.ends_with(&format!(":iam::{account}:root"));
    if principal == "*" || principal == session.role_arn || principal == session.assumed_role_arn {
        Trust::Itself
    } else if principal == account || root(principal) {
        Trust::Account
    } else {
        Trust::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::Sessions;

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

    fn keys() -> ConditionKeys {
        ConditionKeys::from([
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
                policy(condition).trust(ACTION, Caller::Federated(PROVIDER), &keys())
                    == Trust::Itself,
                allowed,
                "{condition}"
            );
        }
    }

    #[test]
    fn provider_and_action_must_fit() {
        let open = policy("{}");
        let other = "arn:aws:iam::123456789012:oidc-provider/host/t/u";
        for (action, provider) in [(ACTION, other), ("sts:AssumeRole", PROVIDER)] {
            let trust = open.trust(action, Caller::Federated(provider), &keys());
            assert_eq!(trust, Trust::None, "{action} {provider}");
        }
    }

    #[test]
    fn a_session_is_trusted_by_its_role_its_own_name_or_its_account() {
        let role = "arn:aws:iam::111111111111:role/team/hub";
        let now = std::time::SystemTime::UNIX_EPOCH;
        let session = Sessions::new().issue(role, "pod", std::time::Duration::ZERO, now);
        for (principal, expected) in [
            (format!(r#"{{"AWS": "{role}"}}"#), Trust::Itself),
            (
                r#"{"AWS": ["x", "arn:aws:sts::111111111111:assumed-role/hub/pod"]}"#.into(),
                Trust::Itself,
            ),
            (
                r#"{"AWS": "arn:aws:iam::111111111111:root"}"#.into(),
                Trust::Account,
            ),
            (r#"{"AWS": "111111111111"}"#.into(), Trust::Account),
            (r#"{"AWS": "*"}"#.into(), Trust::Itself),
            (r#""*""#.into(), Trust::Itself),
            (
                r#"{"AWS": "arn:aws:iam::222222222222:root"}"#.into(),
                Trust::None,
            ),
            (
                r#"{"AWS": "arn:aws:iam::111111111111:role/hub"}"#.into(),
                Trust::None,
            ),
            (format!(r#"{{"Federated": "{role}"}}"#), Trust::None),
        ] {
            let document = format!(
                r#"{{"Statement": {{"Effect": "Allow", "Principal": {principal}, "Action": "sts:AssumeRole"}}}}"#
            );
            let policy = TrustPolicy::parse(&document).expect("a policy");
            let caller = Caller::Session(&session);
            let trust = policy.trust("sts:AssumeRole", caller, &ConditionKeys::new());
            assert_eq!(trust, expected, "{principal}");
        }
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
        let nobody = r#"{"Statement": {"Effect": "Allow", "Principal": "me", "Action": "a"}}"#;
        assert!(
            matches!(TrustPolicy::parse(nobody), Err(TrustPolicyError::Principal(word)) if word == "me")
        );
    }
}
