//! Session policies: what they leave of a role's permissions.
//!
//! In: the inline document and the ARNs of managed policies that a caller sent along with an AssumeRole. Out: a
//! [`SessionPolicy`] that says yes or no to one action on one resource. Without one, a session may do what its role
//! may; with one, only what both allow. What is not understood, conditions among it, is refused and never skipped.

use serde::Deserialize;

use super::language::{Effect, OneOrMany, is_like};

/// AWS' managed policies for AMP, by name, with what they allow on every resource.
const MANAGED: [(&str, &[&str]); 3] = [
    ("AmazonPrometheusFullAccess", &["aps:*"]),
    (
        "AmazonPrometheusQueryAccess",
        &[
            "aps:GetLabels",
            "aps:GetMetricMetadata",
            "aps:GetSeries",
            "aps:QueryMetrics",
        ],
    ),
    ("AmazonPrometheusRemoteWriteAccess", &["aps:RemoteWrite"]),
];

/// What a session may do at most, whatever its role may.
#[derive(Debug, Clone)]
pub struct SessionPolicy {
    statements: Vec<PolicyStatement>,
}

/// Why there is no session policy to be made of what was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyFault {
    #[error("not a policy document: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("there is no managed policy {0}")]
    Managed(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PolicyDocument {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<PolicyStatement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PolicyStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
}

impl SessionPolicy {
    /// The policy of an inline document and managed ones, `None` where there are neither.
    pub(crate) fn parse(
        inline: Option<&str>,
        managed: &[&str],
    ) -> Result<Option<Self>, PolicyFault> {
        if inline.is_none() && managed.is_empty() {
            return Ok(None);
        }
        let mut statements = Vec::new();
        if let Some(document) = inline {
            let document: PolicyDocument = serde_json::from_str(document)?;
            statements.extend(document.statement.into_vec());
        }
        for arn in managed {
            statements.push(PolicyStatement::managed(arn)?);
        }
        Ok(Some(Self { statements }))
    }

    /// Whether it allows this, and does not deny it.
    pub(crate) fn allows(&self, action: &str, resource: &str) -> bool {
        let applies = |effect: Effect| {
            self.statements
                .iter()
                .any(|one| one.effect == effect && one.applies(action, resource))
        };
        applies(Effect::Allow) && !applies(Effect::Deny)
    }
}

impl PolicyStatement {
    /// `arn:aws:iam::aws:policy/<name>`, in any partition.
    fn managed(arn: &str) -> Result<Self, PolicyFault> {
        let (place, name) = arn.split_once(":policy/").unwrap_or_default();
        let by_aws = place.starts_with("arn:aws") && place.ends_with(":iam::aws");
        let known = MANAGED.iter().find(|(known, _)| by_aws && *known == name);
        let (_, actions) = known.ok_or_else(|| PolicyFault::Managed(arn.to_owned()))?;
        Ok(Self {
            _sid: None,
            effect: Effect::Allow,
            action: OneOrMany::Many(actions.iter().map(|&action| action.to_owned()).collect()),
            resource: OneOrMany::One("*".to_owned()),
        })
    }

    fn applies(&self, action: &str, resource: &str) -> bool {
        let fits = |pattern: &String| is_like(&pattern.to_lowercase(), &action.to_lowercase());
        self.action.iter().any(fits)
            && self
                .resource
                .iter()
                .any(|pattern| is_like(pattern, resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1";

    fn policy(statements: &str, managed: &[&str]) -> SessionPolicy {
        let document = format!(r#"{{"Version": "2012-10-17", "Statement": {statements}}}"#);
        let inline = (!statements.is_empty()).then_some(document.as_str());
        SessionPolicy::parse(inline, managed)
            .expect("understood")
            .expect("a policy")
    }

    #[test]
    fn only_what_is_allowed_and_not_denied_is_left() {
        let one = r#"{"Effect": "Allow", "Action": "aps:remotewrite", "Resource": "arn:aws:aps:*:123456789012:workspace/ws-1"}"#;
        let writer = policy(one, &[]);
        assert!(writer.allows("aps:RemoteWrite", WORKSPACE));
        assert!(!writer.allows("aps:RemoteWrite", &WORKSPACE.replace("ws-1", "ws-2")));
        assert!(!writer.allows("aps:QueryMetrics", WORKSPACE));
        let denied = policy(
            &format!(r#"[{one}, {{"Effect": "Deny", "Action": ["aps:*"], "Resource": "*"}}]"#),
            &[],
        );
        assert!(!denied.allows("aps:RemoteWrite", WORKSPACE));
    }

    #[test]
    fn inline_and_managed_policies_add_up() {
        let reader = "arn:aws:iam::aws:policy/AmazonPrometheusQueryAccess";
        let inline = r#"{"Effect": "Allow", "Action": "aps:RemoteWrite", "Resource": "*"}"#;
        for (statements, write) in [("", false), (inline, true)] {
            let policy = policy(statements, &[reader]);
            assert!(policy.allows("aps:GetSeries", WORKSPACE));
            assert_eq!(policy.allows("aps:RemoteWrite", WORKSPACE), write);
        }
        assert!(SessionPolicy::parse(None, &[]).expect("nothing").is_none());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let fault = |inline: Option<&str>, managed: &[&str]| {
            SessionPolicy::parse(inline, managed)
                .expect_err("refused")
                .to_string()
        };
        let statement = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}}"#;
        for document in ["{}", "no", statement] {
            let text = fault(Some(document), &[]);
            assert!(text.starts_with("not a policy document"), "{text}");
        }
        for arn in [
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:iam::123456789012:policy/AmazonPrometheusQueryAccess",
            "AmazonPrometheusQueryAccess",
        ] {
            assert!(fault(None, &[arn]).contains(arn));
        }
    }
}
