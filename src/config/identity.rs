//! What becomes of the token: the identity, as it is configured.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;

/// How the token becomes credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The projected service-account token.
    pub token_file: PathBuf,
    /// Where it is exchanged for another token before AWS sees that one; none where AWS sees it itself.
    pub entra: Option<Entra>,
    /// The session that the token is exchanged for.
    pub role: RoleSession,
    /// The sessions after it, each assumed by the one before.
    pub hops: Vec<RoleSession>,
    /// The STS endpoint, with its path.
    pub sts_endpoint: Uri,
    /// The region that calls of STS are signed for.
    pub sts_region: String,
}

/// The application in Entra ID that the token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entra {
    /// The login endpoint of the cloud, `https://login.microsoftonline.com/`.
    pub authority_host: Uri,
    /// The tenant's id or domain.
    pub tenant_id: String,
    /// The application's, or the managed identity's, client id.
    pub client_id: String,
    /// What the access token is for, `<App ID URI>/.default`.
    pub scope: String,
}

/// A session of a role, as STS is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSession {
    /// The role.
    pub role_arn: String,
    /// Names the session in CloudTrail; valid as STS asks for it.
    pub name: String,
    /// What is asked for; STS may give less.
    pub duration: Duration,
    /// What the role's owner wants to hear from whoever assumes it.
    pub external_id: Option<String>,
    /// Narrows what the session may, as compact JSON.
    pub policy: Option<String>,
    /// The same by managed policies.
    pub policy_arns: Vec<String>,
    /// Who is behind the session, for CloudTrail; stays through all later hops.
    pub source_identity: Option<String>,
    /// Tags of the session, each a key and a value.
    pub tags: Vec<(String, String)>,
}

// === impl Identity ===

impl Identity {
    /// The last session: the one whose credentials sign what goes to AMP.
    #[must_use]
    pub fn signing(&self) -> &RoleSession {
        self.hops.last().unwrap_or(&self.role)
    }
}
