//! The policies that deny although the role allows: which kind it is, and who can change it.
//!
//! IAM names one kind in its message, explicit (`with an explicit deny in a …`) or implicit (`because no … allows the … action`), also
//! where several deny (IAM's user guide, "Troubleshoot access denied error messages").

use super::Remedy;
use super::row::rows;

rows! { POLICIES:
DENY_ROLE: "deny-role", "A policy of the role itself denies it explicitly",
    "identity-based policy", "let an administrator of the role's account remove the Deny from the role's policies: a further Allow does not outweigh it";
DENY_RESOURCE: "deny-resource", "The policy of the resource denies it",
    "resource-based policy", "let the owner of the resource change its policy: of a workspace aws amp describe-resource-policy shows it, of a role it is the trust policy";
DENY_ORGANIZATION: "deny-organization", "A service control policy of the organization denies it",
    "service control policy", "let the administrators of the AWS organization allow it in that policy: nothing in the account itself outweighs it";
DENY_RESOURCE_CONTROL: "deny-resource-control", "A resource control policy of the organization denies it",
    "resource control policy", "let the administrators of the AWS organization of the resource's account allow it in that policy: nothing in the account itself outweighs it";
DENY_ENDPOINT: "deny-endpoint", "The policy of the VPC endpoint denies it",
    "VPC endpoint policy", "let the owner of the VPC endpoint allow the action and the role in its policy (aws ec2 modify-vpc-endpoint --policy-document), or reach AWS another way";
DENY_BOUNDARY: "deny-boundary", "The permissions boundary of the role denies it",
    "permissions boundary", "let an administrator of the role's account allow the action in the boundary, which aws iam get-role names: a policy of the role cannot exceed it";
DENY_SESSION: "deny-session", "The session policy denies it",
    "session policy", "allow the action and the workspace in --session-policy or --session-policy-arn, or leave them out: a session may do only what they allow";
}

/// The kind of policy that IAM names in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denial {
    /// What to do, and as its symptom the name of the kind.
    pub(crate) row: Remedy,
    /// Whether a statement denies it, or none allows it.
    pub(crate) explicit: bool,
}

impl Denial {
    /// `None` if the message names no kind, or says that no policy of the role allows it: then one has to be attached.
    pub(crate) fn of(message: &str) -> Option<Self> {
        let (explicit, kind) = match message.split_once("an explicit deny in a") {
            Some((_, kind)) => (true, kind.strip_prefix('n').unwrap_or(kind)),
            None => (false, message.split_once("because no")?.1),
        };
        let kind = kind.trim_start().to_ascii_lowercase();
        let mut rows = POLICIES.iter();
        let row = rows.find(|row| kind.starts_with(&row.symptom.to_ascii_lowercase()))?;
        let missing = *row == DENY_ROLE && !explicit;
        (!missing).then_some(Self {
            row: *row,
            explicit,
        })
    }

    /// Who denies what.
    fn describe(self, action: &str, resource: &str) -> String {
        let kind = self.row.symptom;
        if self.explicit {
            format!("a {kind} denies {action} on {resource}").replace("a identity", "an identity")
        } else {
            format!("no {kind} allows {action} on {resource}")
        }
    }
}

/// Who denies what by IAM's message, or what the role lacks; the beginning of a sentence.
pub(crate) fn missing(message: &str, action: &str, resource: &str) -> String {
    match Denial::of(message) {
        Some(denial) => denial.describe(action, resource),
        None => format!("the role needs {action} on {resource}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_read_from_the_words_of_iam() {
        let user = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: aps:RemoteWrite on resource: arn:w";
        for (words, row, explicit) in [
            (
                "with an explicit deny in a VPC endpoint policy",
                DENY_ENDPOINT,
                true,
            ),
            (
                "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-1",
                DENY_ORGANIZATION,
                true,
            ),
            (
                "due to an explicit deny in a Service Control Policy",
                DENY_ORGANIZATION,
                true,
            ),
            (
                "with an explicit deny in an identity-based policy",
                DENY_ROLE,
                true,
            ),
            (
                "because no permissions boundary allows the aps:RemoteWrite action",
                DENY_BOUNDARY,
                false,
            ),
            (
                "because no session policy allows the aps:RemoteWrite action",
                DENY_SESSION,
                false,
            ),
        ] {
            let denial = Denial::of(&format!("{user} {words}")).unwrap();
            assert_eq!((denial.row, denial.explicit), (row, explicit), "{words}");
        }
        for words in [
            "",
            "because no identity-based policy allows the aps:RemoteWrite action",
            "because no",
            "with an explicit deny in a",
        ] {
            assert_eq!(Denial::of(&format!("{user} {words}")), None, "{words}");
        }
    }

    #[test]
    fn a_denial_is_described_with_its_kind() {
        let describe = |row, explicit| Denial { row, explicit }.describe("a:B", "arn");
        assert_eq!(
            describe(DENY_ENDPOINT, true),
            "a VPC endpoint policy denies a:B on arn"
        );
        assert_eq!(
            describe(DENY_ROLE, true),
            "an identity-based policy denies a:B on arn"
        );
        assert_eq!(
            describe(DENY_BOUNDARY, false),
            "no permissions boundary allows a:B on arn"
        );
    }
}
