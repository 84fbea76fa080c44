//! What a tenant of Entra ID knows: applications, their service principals, whom they trust and what they expose.

use std::time::Duration;

use serde::Deserialize;

/// What a federated credential asks for in `aud` unless it says otherwise.
pub const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";
const DEFAULT_SCOPE: &str = "/.default";
/// The public cloud's authority; version 1 of its tokens has an issuer on another host.
pub(crate) const PUBLIC_CLOUD: &str = "https://login.microsoftonline.com/";
const PUBLIC_CLOUD_V1: &str = "https://sts.windows.net/";

/// The version of access tokens that an application takes as a resource, its `accessTokenAcceptedVersion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenVersion {
    /// `iss` is `https://sts.windows.net/<tenant>/`, `aud` what was asked for.
    V1,
    /// `iss` is `<authority>/<tenant>/v2.0`, `aud` the resource's client id, and `azp` the caller's.
    V2,
}

/// One tenant. [`EntraConfig::new`] makes one that just works: one application, the pod's, that is its own resource.
#[derive(Debug, Clone)]
pub struct EntraConfig {
    /// The directory (tenant) id.
    pub tenant_id: String,
    /// The applications; the first one is the pod's.
    pub applications: Vec<Application>,
    /// The scope that the sidecar is configured to request.
    pub scope: String,
    /// How long access tokens are valid.
    pub token_life: Duration,
    /// The audiences of IAM's OIDC provider for the tenant; by default those that fit the version and the scope.
    pub aws_client_ids: Option<Vec<String>>,
    /// Whether Entra speaks TLS.
    pub https: bool,
}

/// An application registration, with its service principal if it has one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its application (client) id.
    pub client_id: String,
    /// Its App ID URIs.
    pub id_uris: Vec<String>,
    /// The object id of its service principal: `oid` and `sub` of its tokens.
    pub service_principal: Option<String>,
    /// What it takes as a resource.
    pub accepted_version: TokenVersion,
    /// Whose tokens it takes for its own.
    pub federated_credentials: Vec<FederatedCredential>,
}

/// A federated identity credential; all three must match to the letter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederatedCredential {
    /// `iss`; by default the world's issuer.
    pub issuer: Option<String>,
    /// `sub`; by default the pod's service account.
    pub subject: Option<String>,
    /// `aud`.
    pub audience: String,
}

// === impl EntraConfig ===

impl EntraConfig {
    /// A tenant whose application trusts the world's service account and takes tokens of `version`.
    #[must_use]
    pub fn new(version: TokenVersion) -> Self {
        let client_id = "1f2e3d4c-5b6a-4798-8a9b-acbdcedf0011".to_owned();
        let id_uri = format!("api://{client_id}");
        Self {
            tenant_id: "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a".to_owned(),
            scope: format!("{id_uri}{DEFAULT_SCOPE}"),
            applications: vec![Application {
                client_id,
                id_uris: vec![id_uri],
                service_principal: Some("77aa66bb-55cc-44dd-93ee-22ff11001234".to_owned()),
                accepted_version: version,
                federated_credentials: vec![FederatedCredential::default()],
            }],
            token_life: Duration::from_secs(3599),
            aws_client_ids: None,
            https: false,
        }
    }

    /// A tenant with a managed identity, which is the first application, and an application that represents AWS and takes
    /// tokens of `version`.
    #[must_use]
    pub fn with_managed_identity(version: TokenVersion) -> Self {
        let mut config = Self::new(version);
        for application in &mut config.applications {
            application.federated_credentials.clear();
        }
        let identity = Application {
            client_id: "a3c1b2d4-0f1e-4a2b-8c3d-9e8f7a6b5c4d".to_owned(),
            id_uris: Vec::new(),
            service_principal: Some("c0ffee00-1234-4abc-9def-0123456789ab".to_owned()),
            accepted_version: TokenVersion::V1,
            federated_credentials: Vec::new(),
        };
        config.applications.insert(0, identity);
        config.token_life = Duration::from_secs(24 * 3600);
        config
    }

    /// The public cloud's, over TLS, with a tenant that has no application yet.
    #[must_use]
    pub fn without_applications() -> Self {
        Self {
            applications: Vec::new(),
            https: true,
            ..Self::new(TokenVersion::V1)
        }
    }

    /// The pod's application.
    #[must_use]
    pub fn application(&self) -> Option<&Application> {
        self.applications.first()
    }

    pub(crate) fn with_client_id(&self, client_id: &str) -> Option<&Application> {
        self.applications
            .iter()
            .find(|application| application.client_id.eq_ignore_ascii_case(client_id))
    }

    /// The application that `resource`, an App ID URI or a client id, names; only one with a service principal is there.
    pub(crate) fn resource(&self, resource: &str) -> Option<&Application> {
        self.applications.iter().find(|application| {
            application.service_principal.is_some()
                && (application.client_id.eq_ignore_ascii_case(resource)
                    || application.id_uris.iter().any(|uri| uri == resource))
        })
    }

    /// The version of the tokens that the sidecar will get.
    pub(crate) fn version(&self) -> TokenVersion {
        resource_of(&self.scope)
            .and_then(|resource| self.resource(resource))
            .or_else(|| self.application())
            .map_or(TokenVersion::V1, |application| application.accepted_version)
    }

    /// What IAM must know as the provider's client ids: `aud` of version 1, `azp` of version 2.
    pub(crate) fn client_ids(&self) -> Vec<String> {
        let fitting = || match self.version() {
            TokenVersion::V1 => resource_of(&self.scope).map(str::to_owned),
            TokenVersion::V2 => self.application().map(|own| own.client_id.clone()),
        };
        self.aws_client_ids
            .clone()
            .unwrap_or_else(|| fitting().into_iter().collect())
    }

    /// `iss` of tokens from this authority, which ends in a slash.
    pub(crate) fn issuer(&self, authority: &str, version: TokenVersion) -> String {
        let tenant = &self.tenant_id;
        match version {
            TokenVersion::V1 if authority == PUBLIC_CLOUD => format!("{PUBLIC_CLOUD_V1}{tenant}/"),
            TokenVersion::V1 => format!("{authority}{tenant}/"),
            TokenVersion::V2 => format!("{authority}{tenant}/v2.0"),
        }
    }

    /// Fills in what a credential leaves to the world.
    pub(crate) fn settle(&mut self, issuer: &str, subject: &str) {
        let credentials = self
            .applications
            .iter_mut()
            .flat_map(|application| &mut application.federated_credentials);
        for credential in credentials {
            credential.issuer.get_or_insert_with(|| issuer.to_owned());
            credential.subject.get_or_insert_with(|| subject.to_owned());
        }
    }
}

impl Default for FederatedCredential {
    fn default() -> Self {
        Self {
            issuer: None,
            subject: None,
            audience: EXCHANGE_AUDIENCE.to_owned(),
        }
    }
}

/// The resource in `<resource>/.default`. An App ID URI that ends in a slash keeps it: `api://x//.default`.
pub(crate) fn resource_of(scope: &str) -> Option<&str> {
    scope
        .strip_suffix(DEFAULT_SCOPE)
        .filter(|resource| !resource.is_empty() && !resource.contains(' '))
}
