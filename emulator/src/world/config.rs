//! What a world is to be like, and what IAM knows in it.

use std::time::Duration;

use serde_json::json;

use super::Error;
use crate::amp::AmpConfig;
use crate::entra::{EXCHANGE_AUDIENCE, EntraConfig};
use crate::issuer::TokenSpec;
use crate::sts::{Account, OidcProvider, Role, TrustPolicy};

/// What a trust policy of [`WorldConfig`] has where the issuer's host and path belong.
const ISSUER_PLACE: &str = "${ISSUER}";
/// And where those of Entra's issuer belong.
const ENTRA_PLACE: &str = "${ENTRA}";

/// What a world is to be like. The default just works.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// Region, account, workspace and quotas. The world's role is added to
    /// `allowed_roles` unless `role_may_write` is false.
    pub amp: AmpConfig,
    /// The role's name, with its path if it has one.
    pub role_name: String,
    /// Whether the role is allowed `aps:RemoteWrite`.
    pub role_may_write: bool,
    /// The longest session that the role allows to ask for.
    pub role_max_session: Duration,
    /// The role's trust policy as IAM's JSON, `${ISSUER}` standing for the
    /// issuer's host and path with its last slash, `${ENTRA}` for those of Entra's;
    /// by default one that lets in the pod's service account and the client
    /// ids, or with Entra the application's service principal.
    pub trust_policy: Option<String>,
    /// The audiences that IAM's OIDC provider accepts.
    pub client_ids: Vec<String>,
    /// IAM's OIDC provider; by default the issuer's URL, to the letter.
    pub provider_url: Option<String>,
    /// What the projected token says.
    pub token: TokenSpec,
    /// Entra ID, where the pod goes by way of it; see [`WorldConfig::through_entra`].
    pub entra: Option<EntraConfig>,
    /// How long sessions really live; by default as long as is asked for.
    pub session_life: Option<Duration>,
    /// Whether STS speaks TLS.
    pub sts_https: bool,
    /// Whether the issuer speaks TLS.
    pub issuer_https: bool,
    /// Puts a TCP fault proxy before STS and AMP; see [`World::tcp`](super::World::tcp). Their
    /// URLs then lead to free ports, whatever `ports` says.
    pub tcp_faults: bool,
    /// Fixed ports; 0 takes a free one.
    pub ports: Ports,
}

/// The ports to listen on; 0 takes a free one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// The issuer's.
    pub issuer: u16,
    /// STS'.
    pub sts: u16,
    /// AMP's.
    pub amp: u16,
    /// Entra's.
    pub entra: u16,
    /// The admin endpoint's.
    pub admin: u16,
}

// === impl WorldConfig ===

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            amp: AmpConfig::default(),
            role_name: "amp-sidecar-writer".to_owned(),
            role_may_write: true,
            role_max_session: Duration::from_secs(3600),
            trust_policy: None,
            client_ids: vec!["sts.amazonaws.com".to_owned()],
            provider_url: None,
            token: TokenSpec {
                namespace: "monitoring".to_owned(),
                service_account: "prometheus".to_owned(),
                pod: "prometheus-0".to_owned(),
                audience: vec!["sts.amazonaws.com".to_owned()],
                life: Duration::from_secs(3600),
            },
            entra: None,
            session_life: None,
            sts_https: false,
            issuer_https: false,
            tcp_faults: false,
            ports: Ports::default(),
        }
    }
}

impl WorldConfig {
    /// A world whose pod gets to AWS by way of Entra ID: its token is for Entra, and the role trusts Entra's tokens.
    #[must_use]
    pub fn through_entra(entra: EntraConfig) -> Self {
        let mut config = Self::default();
        config.token.audience = vec![EXCHANGE_AUDIENCE.to_owned()];
        config.entra = Some(entra);
        config
    }

    fn partition(&self) -> &'static str {
        match self.amp.region.as_str() {
            region if region.starts_with("us-gov-") => "aws-us-gov",
            region if region.starts_with("cn-") => "aws-cn",
            _ => "aws",
        }
    }

    pub(super) fn role_arn(&self) -> String {
        let (account, partition) = (&self.amp.account, self.partition());
        format!("arn:{partition}:iam::{account}:role/{}", self.role_name)
    }

    /// The account, with a provider for the issuer, and for Entra's where `authority` is given.
    pub(super) fn account(
        &self,
        issuer_url: &str,
        authority: Option<&str>,
    ) -> Result<Account, Error> {
        let direct = OidcProvider {
            url: self
                .provider_url
                .clone()
                .unwrap_or_else(|| issuer_url.to_owned()),
            client_ids: self.client_ids.clone(),
        };
        let entra = self
            .entra
            .as_ref()
            .zip(authority)
            .map(|(entra, authority)| OidcProvider {
                url: entra.issuer(authority, entra.version()),
                client_ids: entra.client_ids(),
            });
        let entra_place = entra.as_ref().map_or("", OidcProvider::without_scheme);
        let issuer_place = issuer_url
            .split_once("://")
            .map_or(issuer_url, |(_, rest)| rest);
        let policy = match (&self.trust_policy, &entra) {
            (Some(policy), _) => policy
                .replace(ISSUER_PLACE, issuer_place)
                .replace(ENTRA_PLACE, entra_place),
            (None, Some(entra)) => {
                let own = self.entra.as_ref().and_then(EntraConfig::application);
                let subject = own.and_then(|own| own.service_principal.as_deref());
                self.default_policy(entra_place, subject.unwrap_or_default(), &entra.client_ids)
            }
            (None, None) => {
                self.default_policy(issuer_place, &self.token.subject(), &self.client_ids)
            }
        };
        Ok(Account {
            id: self.amp.account.clone(),
            partition: self.partition().to_owned(),
            providers: std::iter::once(direct).chain(entra).collect(),
            roles: vec![Role {
                arn: self.role_arn(),
                max_session: self.role_max_session,
                trust: TrustPolicy::parse(&policy)?,
            }],
        })
    }

    /// The policy that the guide tells people to write.
    fn default_policy(&self, issuer: &str, subject: &str, audiences: &[String]) -> String {
        let (account, partition) = (&self.amp.account, self.partition());
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {
                    "Federated": format!("arn:{partition}:iam::{account}:oidc-provider/{issuer}"),
                },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {
                    format!("{issuer}:sub"): subject,
                    format!("{issuer}:aud"): audiences,
                }},
            }],
        })
        .to_string()
    }
}
