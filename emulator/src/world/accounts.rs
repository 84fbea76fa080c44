//! IAM's side of a world: its accounts, their OIDC providers and roles.
//!
//! In: a [`WorldConfig`] and the issuers' URLs, known once the sockets are bound. Out: the accounts for STS. Providers
//! stand only in accounts with a role that tokens lead to; the accounts of a chain's later roles know nothing of tokens.

use std::collections::BTreeMap;

use serde_json::json;

use super::config::{Hop, WorldConfig};
use super::{ChainedRole, Error};
use crate::anywhere::trust_anchor_arn;
use crate::entra::EntraConfig;
use crate::machine::GOOGLE_HOST;
use crate::sts::{Account, OidcProvider, Role, TrustPolicy};

/// What a trust policy of [`WorldConfig`] has where the issuer's host and path belong.
const ISSUER_PLACE: &str = "${ISSUER}";
/// Where those of Entra's issuer belong.
const ENTRA_PLACE: &str = "${ENTRA}";
/// Where the ARN of the trust anchor belongs.
const ANCHOR_PLACE: &str = "${ANCHOR}";
/// Where the ARN of the role before belongs.
const PREVIOUS_PLACE: &str = "${PREVIOUS}";

/// By their numbers.
type Accounts = BTreeMap<String, Account>;

/// Whose tokens an account trusts.
#[derive(Debug)]
struct Federation {
    providers: Vec<OidcProvider>,
    issuer_place: String,
    entra_place: String,
    /// Issuer, subject and audiences of the pod's token, of its application's, or of the machine's.
    pod: (String, String, Vec<String>),
    /// The trust policies' principal for it, where it is no provider of the account.
    principal: Option<&'static str>,
}

impl WorldConfig {
    pub(super) fn partition(&self) -> &'static str {
        match self.amp.region.as_str() {
            region if region.starts_with("us-gov-") => "aws-us-gov",
            region if region.starts_with("cn-") => "aws-cn",
            _ => "aws",
        }
    }

    /// The role that a token leads to.
    pub(super) fn role_arn(&self) -> String {
        self.arn(self.role_account(), &self.role_name)
    }

    /// What the ARNs of its trust anchor and profile begin with.
    pub(super) fn anywhere_arns(&self) -> String {
        let (partition, region) = (self.partition(), &self.amp.region);
        format!(
            "arn:{partition}:rolesanywhere:{region}:{}:",
            self.role_account()
        )
    }

    /// The role that leads to the workspace: the chain's last one, or the same.
    pub(super) fn writer_arn(&self) -> String {
        let last = self.chain.last();
        last.map_or_else(
            || self.role_arn(),
            |hop| self.arn(&hop.account, &hop.role_name),
        )
    }

    /// The roles that follow on the first one.
    pub(super) fn chained(&self) -> Vec<ChainedRole> {
        let chained = |hop: &Hop| ChainedRole {
            arn: self.arn(&hop.account, &hop.role_name),
            external_id: hop.external_id.clone(),
        };
        self.chain.iter().map(chained).collect()
    }

    pub(super) fn arn(&self, account: &str, role_name: &str) -> String {
        format!("arn:{}:iam::{account}:role/{role_name}", self.partition())
    }

    fn role_account(&self) -> &str {
        self.role_account.as_deref().unwrap_or(&self.amp.account)
    }

    /// The accounts, with a provider for the issuer, and for Entra's where `authority` is given.
    pub(super) fn accounts(
        &self,
        issuer_url: &str,
        authority: Option<&str>,
    ) -> Result<Vec<Account>, Error> {
        let federation = Federation::of(self, issuer_url, authority);
        let mut accounts = Accounts::new();
        if self.rehearsal {
            self.account(&mut accounts, self.role_account());
            return Ok(accounts.into_values().collect());
        }
        let permitted = |next: Option<&Hop>| {
            next.filter(|hop| hop.permitted)
                .map(|hop| self.arn(&hop.account, &hop.role_name))
                .into_iter()
                .collect()
        };
        let first = Role {
            arn: self.role_arn(),
            max_session: self.role_max_session,
            trust: self.token_trust(self.role_account(), &federation)?,
            may_assume: permitted(self.chain.first()),
        };
        self.federated(&mut accounts, self.role_account(), &federation)
            .push(first);
        for other in &self.others {
            let Some(name) = &other.role_name else {
                continue;
            };
            let account = &other.amp.account;
            let role = Role {
                arn: self.arn(account, name),
                max_session: self.role_max_session,
                trust: self.token_trust(account, &federation)?,
                may_assume: Vec::new(),
            };
            self.federated(&mut accounts, account, &federation)
                .push(role);
        }
        let mut previous = self.role_arn();
        for (at, hop) in self.chain.iter().enumerate() {
            let role = Role {
                arn: self.arn(&hop.account, &hop.role_name),
                max_session: hop.max_session,
                trust: TrustPolicy::parse(&hop.policy(&previous))?,
                may_assume: permitted(self.chain.get(at + 1)),
            };
            previous.clone_from(&role.arn);
            self.account(&mut accounts, &hop.account).roles.push(role);
        }
        Ok(accounts.into_values().collect())
    }

    fn account<'a>(&self, accounts: &'a mut Accounts, id: &str) -> &'a mut Account {
        accounts.entry(id.to_owned()).or_insert_with(|| Account {
            id: id.to_owned(),
            partition: self.partition().to_owned(),
            providers: Vec::new(),
            roles: Vec::new(),
        })
    }

    /// The roles of an account that has the providers.
    fn federated<'a>(
        &self,
        accounts: &'a mut Accounts,
        id: &str,
        federation: &Federation,
    ) -> &'a mut Vec<Role> {
        let account = self.account(accounts, id);
        account.providers.clone_from(&federation.providers);
        &mut account.roles
    }

    /// Who may come to a role of `account` with a token.
    fn token_trust(&self, account: &str, federation: &Federation) -> Result<TrustPolicy, Error> {
        let policy = match &self.trust_policy {
            Some(policy) => policy
                .replace(ISSUER_PLACE, &federation.issuer_place)
                .replace(ENTRA_PLACE, &federation.entra_place)
                .replace(ANCHOR_PLACE, &trust_anchor_arn(&self.anywhere_arns())),
            None if let Some(anywhere) = &self.roles_anywhere => certificate_policy(
                &anywhere.leaf.common_name,
                &trust_anchor_arn(&self.anywhere_arns()),
            ),
            None => {
                let (issuer, subject, audiences) = &federation.pod;
                let partition = self.partition();
                let provider = format!("arn:{partition}:iam::{account}:oidc-provider/{issuer}");
                let principal = federation.principal.unwrap_or(&provider);
                default_policy(principal, issuer, subject, audiences)
            }
        };
        Ok(TrustPolicy::parse(&policy)?)
    }
}

impl Federation {
    fn of(config: &WorldConfig, issuer_url: &str, authority: Option<&str>) -> Self {
        let direct = OidcProvider {
            url: config
                .provider_url
                .clone()
                .unwrap_or_else(|| issuer_url.to_owned()),
            client_ids: config.client_ids.clone(),
        };
        let entra = config.entra.as_ref().zip(authority);
        let by_entra = entra.map(|(entra, authority)| OidcProvider {
            url: entra.issuer(authority, entra.version()),
            client_ids: entra.client_ids(),
        });
        let issuer_place = issuer_url
            .split_once("://")
            .map_or(issuer_url, |(_, rest)| rest)
            .to_owned();
        let entra_place = by_entra
            .as_ref()
            .map_or_else(String::new, |provider| provider.without_scheme().to_owned());
        let google = config.google_account();
        let pod = match (&by_entra, google) {
            (_, Some(account)) => {
                let id = account.unique_id.clone();
                (GOOGLE_HOST.to_owned(), id.clone(), vec![id])
            }
            (Some(provider), None) => {
                let own = config.entra.as_ref().and_then(EntraConfig::application);
                let subject = own.and_then(|own| own.service_principal.clone());
                (
                    entra_place.clone(),
                    subject.unwrap_or_default(),
                    provider.client_ids.clone(),
                )
            }
            (None, None) => (
                issuer_place.clone(),
                config.token.subject(),
                config.client_ids.clone(),
            ),
        };
        Self {
            providers: std::iter::once(direct).chain(by_entra).collect(),
            issuer_place,
            entra_place,
            pod,
            principal: google.map(|_| GOOGLE_HOST),
        }
    }
}

impl Hop {
    fn policy(&self, previous: &str) -> String {
        if let Some(policy) = &self.trust_policy {
            return policy.replace(PREVIOUS_PLACE, previous);
        }
        let mut statements = vec![json!({
            "Effect": "Allow",
            "Principal": {"AWS": previous},
            "Action": "sts:AssumeRole",
        })];
        if let (Some(external_id), Some(assume)) = (&self.external_id, statements.first_mut()) {
            assume["Condition"] = json!({"StringEquals": {"sts:ExternalId": external_id}});
        }
        statements.push(json!({
            "Effect": "Allow",
            "Principal": {"AWS": previous},
            "Action": ["sts:TagSession", "sts:SetSourceIdentity"],
        }));
        json!({"Version": "2012-10-17", "Statement": statements}).to_string()
    }
}

/// The policy for a certificate with this common name that leads to this trust anchor.
fn certificate_policy(common_name: &str, anchor: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "rolesanywhere.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": {
                "StringEquals": {"aws:PrincipalTag/x509Subject/CN": common_name},
                "ArnEquals": {"aws:SourceArn": anchor},
            },
        }],
    })
    .to_string()
}

/// The policy that the guide recommends.
fn default_policy(provider: &str, issuer: &str, subject: &str, audiences: &[String]) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": provider},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {
                format!("{issuer}:sub"): subject,
                format!("{issuer}:aud"): audiences,
            }},
        }],
    })
    .to_string()
}
