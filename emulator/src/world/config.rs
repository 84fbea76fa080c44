//! What a world is to be like; [`super::accounts`] makes IAM's side of it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::amp::AmpConfig;
use crate::anywhere::AnywhereConfig;
use crate::container::Platform;
use crate::credentials_file::GivenKeys;
use crate::entra::{EXCHANGE_AUDIENCE, EntraConfig, TokenVersion};
use crate::issuer::TokenSpec;
use crate::machine::{AzureVm, GoogleVm, Machine, ServiceAccount};

/// What a world is to be like. The default just works.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// Region, account, workspace and quotas. The world's role, or the last
    /// one of the chain, is added to `allowed_roles` unless `role_may_write` is
    /// false, and to `query_roles` if `role_may_query` is true.
    pub amp: AmpConfig,
    /// Workspaces beside that one.
    pub others: Vec<OtherWorkspace>,
    /// The role's name, with its path if it has one.
    pub role_name: String,
    /// The role's account; by default the workspace's.
    pub role_account: Option<String>,
    /// The roles that lead on from there to the workspace.
    pub chain: Vec<Hop>,
    /// Whether the role is allowed `aps:RemoteWrite`.
    pub role_may_write: bool,
    /// Whether the role is allowed the actions of the query API.
    pub role_may_query: bool,
    /// The longest session that the role allows to ask for.
    pub role_max_session: Duration,
    /// The role's trust policy as IAM's JSON, `${ISSUER}` standing for the
    /// issuer's host and path with its last slash, `${ENTRA}` for those of Entra's,
    /// `${ANCHOR}` for the ARN of the trust anchor;
    /// by default one that lets in the pod's service account and the client
    /// ids, or with Entra the application's service principal, or with Roles
    /// Anywhere the certificate's common name.
    pub trust_policy: Option<String>,
    /// The audiences that IAM's OIDC provider accepts.
    pub client_ids: Vec<String>,
    /// IAM's OIDC provider; by default the issuer's URL, to the letter.
    pub provider_url: Option<String>,
    /// What the projected token says.
    pub token: TokenSpec,
    /// Entra ID, where the pod goes by way of it; see [`WorldConfig::through_entra`].
    pub entra: Option<EntraConfig>,
    /// The machine that the sidecar runs on, where its own identity gets it to AWS; see [`WorldConfig::on_azure`] and
    /// [`WorldConfig::at_google`].
    pub machine: Option<Machine>,
    /// IAM Roles Anywhere, where the sidecar has a certificate; see [`WorldConfig::through_roles_anywhere`].
    pub roles_anywhere: Option<AnywhereConfig>,
    /// Who gives the container its credentials, where it is not STS; see [`WorldConfig::in_container`].
    pub container: Option<Platform>,
    /// The keys that the sidecar is given, where it is not STS that gives them; see [`WorldConfig::with_keys`].
    pub keys: Option<GivenKeys>,
    /// How long sessions really live; by default as long as is asked for.
    pub session_life: Option<Duration>,
    /// The one region that signatures for STS must be scoped to; by default
    /// any region of a workspace.
    pub sts_region: Option<String>,
    /// Whether STS speaks TLS.
    pub sts_https: bool,
    /// Whether the issuer speaks TLS.
    pub issuer_https: bool,
    /// Puts a TCP fault proxy before STS and AMP; see [`World::tcp`](super::World::tcp). Their
    /// URLs then lead to free ports, whatever `ports` says.
    pub tcp_faults: bool,
    /// Nothing but an administrator is in the account, and everything has its real name; see [`WorldConfig::rehearsal`].
    pub rehearsal: bool,
    /// Where everything listens.
    pub listen: IpAddr,
    /// More names and addresses that the certificates are for.
    pub names: Vec<String>,
    /// Fixed ports; 0 takes a free one.
    pub ports: Ports,
}

/// A role that is assumed with a session of the role before.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Its account.
    pub account: String,
    /// Its name, with its path if it has one.
    pub role_name: String,
    /// What its trust policy asks for as `sts:ExternalId`.
    pub external_id: Option<String>,
    /// The longest session that it allows to ask for.
    pub max_session: Duration,
    /// Its trust policy as IAM's JSON, `${PREVIOUS}` standing for the ARN of
    /// the role before; by default one that lets that role in, with the
    /// external id if there is one, with tags and source identity.
    pub trust_policy: Option<String>,
    /// Whether the permissions of the role before name it.
    pub permitted: bool,
}

/// A workspace beside the first one, with a server, a store and a fault script of its own; see
/// [`World::others`](super::World::others).
#[derive(Debug, Clone)]
pub struct OtherWorkspace {
    /// Region, account, workspace and quotas.
    pub amp: AmpConfig,
    /// A role of its own, in its account, with the trust policy of the world's
    /// role; only that one may write then. Without it, the world's role may.
    pub role_name: Option<String>,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
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
    /// The metadata server's.
    pub metadata: u16,
    /// That of Roles Anywhere.
    pub roles_anywhere: u16,
    /// The admin endpoint's.
    pub admin: u16,
}

// === impl WorldConfig ===

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            amp: AmpConfig::default(),
            others: Vec::new(),
            role_name: "amp-sidecar-writer".to_owned(),
            role_account: None,
            chain: Vec::new(),
            role_may_write: true,
            role_may_query: false,
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
            machine: None,
            roles_anywhere: None,
            container: None,
            keys: None,
            session_life: None,
            sts_region: None,
            sts_https: false,
            issuer_https: false,
            tcp_faults: false,
            rehearsal: false,
            listen: Ipv4Addr::LOCALHOST.into(),
            names: Vec::new(),
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

    /// A world on a machine in Azure that has one managed identity, whose tokens have the version that the application for AWS
    /// takes.
    #[must_use]
    pub fn on_azure(version: TokenVersion) -> Self {
        let entra = EntraConfig::with_managed_identity(version);
        let identities = entra.application().map(|own| own.client_id.clone());
        Self {
            machine: Some(Machine::Azure(AzureVm {
                identities: identities.into_iter().collect(),
            })),
            entra: Some(entra),
            ..Self::default()
        }
    }

    /// A world that is entered with a certificate: the role trusts Roles Anywhere for its common name, and no token.
    #[must_use]
    pub fn through_roles_anywhere(anywhere: AnywhereConfig) -> Self {
        Self {
            roles_anywhere: Some(anywhere),
            ..Self::default()
        }
    }

    /// A world whose container gets its credentials from its platform, which the role trusts.
    #[must_use]
    pub fn in_container(platform: Platform) -> Self {
        let mut config = Self::default();
        config.token.audience = vec!["pods.eks.amazonaws.com".to_owned()];
        let (service, actions) = match platform {
            Platform::PodIdentity => (
                "pods.eks.amazonaws.com",
                r#"["sts:AssumeRole", "sts:TagSession"]"#,
            ),
            Platform::Ecs => ("ecs-tasks.amazonaws.com", r#""sts:AssumeRole""#),
        };
        config.trust_policy = Some(format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"Service": "{service}"}}, "Action": {actions}}}]}}"#
        ));
        config.container = Some(platform);
        config
    }

    /// A world where the sidecar gets keys that are ready to sign with.
    #[must_use]
    pub fn with_keys(keys: GivenKeys) -> Self {
        Self {
            keys: Some(keys),
            ..Self::default()
        }
    }

    /// A world on a machine at Google that has a service account.
    #[must_use]
    pub fn at_google() -> Self {
        Self {
            machine: Some(Machine::Google(GoogleVm::default())),
            ..Self::default()
        }
    }

    /// The service account of a machine at Google.
    pub(super) fn google_account(&self) -> Option<&ServiceAccount> {
        match &self.machine {
            Some(Machine::Google(vm)) => vm.service_account.as_ref(),
            Some(Machine::Azure(_)) | None => None,
        }
    }

    /// The regions of all workspaces.
    pub(super) fn regions(&self) -> Vec<String> {
        let others = self.others.iter().map(|other| &other.amp.region);
        std::iter::once(&self.amp.region)
            .chain(others)
            .cloned()
            .collect()
    }

    /// A workspace as `role` may use it.
    pub(super) fn opened(&self, amp: &AmpConfig, role: &str) -> AmpConfig {
        let mut amp = amp.clone();
        if self.role_may_write {
            amp.allowed_roles.push(role.to_owned());
        }
        if self.role_may_query {
            amp.query_roles.push(role.to_owned());
        }
        amp
    }

    /// The same world with its role in a third account, and two roles from there to the workspace: a hub's, and the
    /// writer's, which asks for `external_id`.
    #[must_use]
    pub fn two_hops(mut self, external_id: &str) -> Self {
        let writer = Hop::new(&self.amp.account, "amp-chained-writer").external_id(external_id);
        self.chain = vec![Hop::new("222222222222", "hub"), writer];
        self.role_account = Some("111111111111".to_owned());
        self
    }

    /// The same world with a second workspace in `region`, with a role of its own.
    #[must_use]
    pub fn second_region(mut self, region: &str) -> Self {
        self.others.push(OtherWorkspace::in_region(region));
        self
    }
}

// === impl Hop ===

impl Hop {
    /// A role that lets the role before in.
    #[must_use]
    pub fn new(account: &str, role_name: &str) -> Self {
        Self {
            account: account.to_owned(),
            role_name: role_name.to_owned(),
            external_id: None,
            max_session: Duration::from_secs(3600),
            trust_policy: None,
            permitted: true,
        }
    }

    /// The same, asking for an external id.
    #[must_use]
    pub fn external_id(mut self, external_id: &str) -> Self {
        self.external_id = Some(external_id.to_owned());
        self
    }
}

// === impl OtherWorkspace ===

impl OtherWorkspace {
    /// A workspace of the default account in `region`, with a role of its own.
    #[must_use]
    pub fn in_region(region: &str) -> Self {
        Self {
            amp: AmpConfig {
                region: region.to_owned(),
                workspace_id: "ws-87654321-dcba-4321-9cba-210987654321".to_owned(),
                ..AmpConfig::default()
            },
            role_name: Some(format!("amp-writer-{region}")),
            port: 0,
        }
    }
}
