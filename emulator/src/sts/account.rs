//! The AWS accounts behind STS: their OIDC providers and their roles.

use std::sync::{Arc, PoisonError, RwLock};
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

/// All accounts, as they are now. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct AccountBook(Arc<RwLock<Arc<[Account]>>>);

impl AccountBook {
    pub(crate) fn new(accounts: Vec<Account>) -> Self {
        Self(Arc::new(RwLock::new(accounts.into())))
    }

    /// As they are at this moment, however they change while a call is judged.
    pub(crate) fn now(&self) -> Arc<[Account]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the account `id`; `None` where there is no such account.
    pub(crate) fn change<T>(&self, id: &str, change: impl FnOnce(&mut Account) -> T) -> Option<T> {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut accounts = held.to_vec();
        let changed = accounts.iter_mut().find(|one| one.id == id).map(change);
        *held = accounts.into();
        changed
    }
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
