//! The two policies of the role: who may assume it, and what it may do.
//!
//! In: what identifies the sidecar to AWS ([`Federation`]), and the workspace. Out: IAM's JSON, made here alone for script, CloudFormation and
//! Terraform.
//!
//! Both conditions are always there: without `:aud` a token for another purpose would do, without `:sub` every pod of the cluster. The condition
//! keys begin with the exact issuer, trailing slash included: IAM compares strings, and `https://host/path` is another issuer than
//! `https://host/path/`.

use super::template::{fill, quoted};
use crate::config::Alertmanager;
use crate::credentials::claims::GOOGLE;
use crate::query::alertmanager::AlertmanagerApi;
use crate::query::api::Api;

/// The claims that AWS trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// `iss`, unchanged.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `azp` if the token has one, else `aud`: IAM's audience.
    pub audience: String,
    /// `aud` of a token of Google's, which all have `azp`; IAM documents a condition key for it there only.
    pub original_audience: Option<String>,
}

/// The pods of one service account in an EKS cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's region.
    pub region: String,
    /// The pods' namespace.
    pub namespace: String,
    /// Their service account.
    pub service_account: String,
}

/// What a CA's certificates need in AWS and in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateSetup {
    /// The CA's certificate, as PEM.
    pub(super) ca: String,
    pub(super) common_name: String,
    pub(super) namespace: String,
}

/// Who may assume the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trusted {
    /// The holders of a token.
    Token(Federation),
    /// Pods, for which EKS assumes it.
    Pod(PodIdentity),
    /// The holders of a certificate.
    Certificate(CertificateSetup),
}

/// The certificates that AWS trusts, through Roles Anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateTrust {
    /// The subject's common name.
    pub common_name: String,
    /// The trust anchor that they lead to.
    pub trust_anchor_arn: String,
}

/// Account and partition, as in ARNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `aws`, `aws-us-gov`, …
    pub partition: String,
    /// Twelve digits.
    pub id: String,
}

// === impl Federation ===

impl Federation {
    /// Of Google's tokens for the service account with this number, for this audience.
    #[must_use]
    pub fn of_google(unique_id: String, audience: String) -> Self {
        Self {
            issuer: GOOGLE.to_owned(),
            subject: unique_id.clone(),
            audience: unique_id,
            original_audience: Some(audience),
        }
    }

    /// Whether IAM needs an OIDC provider for the issuer: Google it knows by itself.
    #[must_use]
    pub fn needs_provider(&self) -> bool {
        self.issuer != GOOGLE
    }

    /// What a trust policy names: the ARN of IAM's OIDC provider for the issuer, or the name of one that IAM knows.
    #[must_use]
    pub fn principal(&self, account: &Account) -> String {
        if !self.needs_provider() {
            return self.without_scheme().to_owned();
        }
        let Account { partition, id } = account;
        format!(
            "arn:{partition}:iam::{id}:oidc-provider/{}",
            self.without_scheme()
        )
    }

    /// The role's trust policy.
    #[must_use]
    pub fn trust_policy(&self, account: &Account) -> String {
        self.trust_policy_naming(&quoted(&self.principal(account)))
    }

    /// The same with another expression for the principal.
    pub(super) fn trust_policy_naming(&self, principal: &str) -> String {
        let required = [
            ("sub", Some(&self.subject)),
            ("aud", Some(&self.audience)),
            ("oaud", self.original_audience.as_ref()),
        ];
        let conditions = required.into_iter().filter_map(|(claim, value)| {
            let key = quoted(&format!("{}:{claim}", self.without_scheme()));
            Some(format!("{key}: {}", quoted(value?)))
        });
        let conditions: Vec<String> = conditions.collect();
        fill(
            include_str!("templates/trust-policy.json"),
            &[
                ("principal", principal),
                ("conditions", &conditions.join(",\n")),
            ],
        )
    }

    fn without_scheme(&self) -> &str {
        self.issuer
            .split_once("://")
            .map_or(self.issuer.as_str(), |(_, place)| place)
    }
}

// === impl PodIdentity ===

impl PodIdentity {
    /// The role's trust policy. EKS tags each session with where the pod is from, so a role need not trust all clusters of the account.
    #[must_use]
    pub fn trust_policy(&self) -> String {
        fill(
            include_str!("templates/pod-identity-trust-policy.json"),
            &[
                ("cluster", &quoted(&self.cluster)),
                ("namespace", &quoted(&self.namespace)),
                ("service_account", &quoted(&self.service_account)),
            ],
        )
    }
}

// === impl CertificateTrust ===

impl CertificateTrust {
    /// The role's trust policy.
    #[must_use]
    pub fn trust_policy(&self) -> String {
        Self::trust_policy_naming(&self.common_name, &quoted(&self.trust_anchor_arn))
    }

    /// The same with another expression for the trust anchor's ARN.
    pub(super) fn trust_policy_naming(common_name: &str, trust_anchor: &str) -> String {
        fill(
            include_str!("templates/certificate-trust-policy.json"),
            &[
                ("common-name", &quoted(common_name)),
                ("trust-anchor", trust_anchor),
            ],
        )
    }
}

// === impl Account ===

impl Account {
    /// The account of this role.
    #[must_use]
    pub fn of(role_arn: &str) -> Self {
        let part = |n| role_arn.split(':').nth(n).unwrap_or_default().to_owned();
        Self {
            partition: part(1),
            id: part(4),
        }
    }

    /// The ARN of a role without a path.
    #[must_use]
    pub fn role_arn(&self, name: &str) -> String {
        format!("arn:{}:iam::{}:role/{name}", self.partition, self.id)
    }

    /// The role's permissions: write to one workspace, query it if wanted, and use its Alertmanager as far as wanted.
    #[must_use]
    pub fn permission_policy(
        &self,
        region: &str,
        workspace: &str,
        query_too: bool,
        alertmanager: Alertmanager,
    ) -> String {
        let Self { partition, id } = self;
        let mut actions = vec!["aps:RemoteWrite"];
        if query_too {
            actions.extend(Api::actions());
        }
        if alertmanager != Alertmanager::Off {
            actions.extend(AlertmanagerApi::actions(false));
        }
        if alertmanager == Alertmanager::Silence {
            actions.extend(AlertmanagerApi::actions(true));
        }
        let actions: Vec<String> = actions.iter().map(|action| quoted(action)).collect();
        let resource = format!("arn:{partition}:aps:{region}:{id}:workspace/{workspace}");
        fill(
            include_str!("templates/permission-policy.json"),
            &[
                ("actions", &actions.join(", ")),
                ("resource", &quoted(&resource)),
            ],
        )
    }
}
