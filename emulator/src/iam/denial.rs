//! The words with which AWS says what kind of policy denies a request.
//!
//! In: who, what, on which resource, and the [`Denial`]. Out: IAM's message, as the page "Troubleshoot access denied error
//! messages" of its user guide documents it for each kind, explicit (`with an explicit deny in a …`) or implicit (`because no …
//! allows the … action`).

use serde::{Deserialize, Serialize};

/// The kinds of policies that IAM names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// Of the role itself.
    IdentityBased,
    /// Of the workspace, or a role's trust policy.
    ResourceBased,
    /// Of the organization, about its accounts.
    ServiceControl,
    /// Of the organization, about its resources.
    ResourceControl,
    /// Of the VPC endpoint that the request came through.
    VpcEndpoint,
    /// What the role may do at most.
    PermissionsBoundary,
    /// Given along when the session was requested.
    Session,
}

/// Why IAM denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The one kind that IAM names, also where several deny.
    pub by: PolicyKind,
    /// Whether a statement denies it, or none allows it.
    pub explicit: bool,
}

// === impl PolicyKind ===

impl PolicyKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::IdentityBased,
        Self::ResourceBased,
        Self::ServiceControl,
        Self::ResourceControl,
        Self::VpcEndpoint,
        Self::PermissionsBoundary,
        Self::Session,
    ];

    fn words(self) -> &'static str {
        match self {
            Self::IdentityBased => "identity-based policy",
            Self::ResourceBased => "resource-based policy",
            Self::ServiceControl => "service control policy",
            Self::ResourceControl => "resource control policy",
            Self::VpcEndpoint => "VPC endpoint policy",
            Self::PermissionsBoundary => "permissions boundary",
            Self::Session => "session policy",
        }
    }
}

// === impl Denial ===

impl Denial {
    /// A `Deny` in a policy of this kind.
    #[must_use]
    pub fn explicit(by: PolicyKind) -> Self {
        Self { by, explicit: true }
    }

    /// No `Allow` in a policy of this kind.
    #[must_use]
    pub fn implicit(by: PolicyKind) -> Self {
        Self {
            by,
            explicit: false,
        }
    }

    /// IAM's message.
    #[must_use]
    pub fn message(self, user: &str, action: &str, resource: &str) -> String {
        let (kind, article) = match self.by {
            PolicyKind::IdentityBased => (self.by.words(), "an"),
            other => (other.words(), "a"),
        };
        let why = if self.explicit {
            format!("with an explicit deny in {article} {kind}")
        } else {
            format!("because no {kind} allows the {action} action")
        };
        format!("User: {user} is not authorized to perform: {action} on resource: {resource} {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_user_guide() {
        let message = |denial: Denial| denial.message("arn:u", "aps:RemoteWrite", "arn:w");
        let start = "User: arn:u is not authorized to perform: aps:RemoteWrite on resource: arn:w ";
        for (denial, end) in [
            (
                Denial::explicit(PolicyKind::VpcEndpoint),
                "with an explicit deny in a VPC endpoint policy",
            ),
            (
                Denial::explicit(PolicyKind::IdentityBased),
                "with an explicit deny in an identity-based policy",
            ),
            (
                Denial::implicit(PolicyKind::PermissionsBoundary),
                "because no permissions boundary allows the aps:RemoteWrite action",
            ),
        ] {
            assert_eq!(message(denial), format!("{start}{end}"));
        }
    }
}
