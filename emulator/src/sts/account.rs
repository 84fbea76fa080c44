//! The AWS accounts behind STS: their OIDC providers and their roles.

use std::time::Duration;

use crate::sts::refusal::StsRefusal;
use crate::sts::trust::TrustPolicy;

/// One account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// `aws`, `aws-us-gov` or `aws-cn`.
    pub partition: String,
    /// IAM's OIDC identity providers.
    pub providers: Vec<OidcProvider>,
    /// IAM's roles.
    pub roles: Vec<Role>,
}

/// An OIDC identity provider of IAM.
#[derive(Debug, Clone)]
pub struct OidcProvider {
    /// The issuer's URL; a token's `iss` must equal it to the letter.
    pub url: String,
    /// The audiences that it accepts.
    pub client_ids: Vec<String>,
}

/// An IAM role.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The longest session that may be asked for.
    pub max_session: Duration,
    /// Who may assume it.
    pub trust: TrustPolicy,
    /// The roles that its own permissions let it assume, with tags and source identity; their trust is asked too.
    pub may_assume: Vec<String>,
}

impl Account {
    /// The role with this ARN.
    pub(crate) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.arn == arn)
    }

    /// The provider for the issuer `iss`.
    pub(crate) fn provider(&self, iss: &str) -> Option<&OidcProvider> {
        self.providers.iter().find(|provider| provider.url == iss)
    }

    /// The provider's ARN, as trust policies name it.
    pub(crate) fn provider_arn(&self, provider: &OidcProvider) -> String {
        format!(
            "arn:{}:iam::{}:oidc-provider/{}",
            self.partition,
            self.id,
            provider.without_scheme()
        )
    }
}

impl Role {
    /// Whether its sessions may be that long.
    pub(crate) fn allows(&self, duration: Duration) -> Result<(), StsRefusal> {
        if duration <= self.max_session {
            return Ok(());
        }
        let text =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        Err(StsRefusal::Validation(text.to_owned()))
    }
}

impl OidcProvider {
    /// What condition keys begin with: the URL from its host on, its last
    /// slash included where it has one.
    pub(crate) fn without_scheme(&self) -> &str {
        self.url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest)
    }
}
