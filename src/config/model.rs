//! A valid configuration, as the rest of the program reads it.
//!
//! Data only: `loader` makes it, `effective` shows it. A new field does not compile until both handle it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderMap;
use rustls::pki_types::CertificateDer;

use super::container::ContainerConfig;
use super::error::SettingError;
use super::metadata::{AzureImdsConfig, GceMetadataConfig};
use super::network::Network;
use super::values::CpuShare;
use super::values::otlp::sampler_text;
use crate::aws_keys::AwsKeys;
use crate::tls_files::ServerAuthFiles;

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// The address for senders.
    pub listen: SocketAddr,
    /// How clients on that address authenticate.
    pub server_auth: ServerAuthFiles,
    /// The host names that browsers and query clients may use, in addition to addresses and localhost.
    pub allow_host: Vec<String>,
    /// Where probes and metrics are served.
    pub admin_listen: SocketAddr,
    /// Their names and ids are distinct; none if `by_path` is set, else at least one.
    pub workspaces: Vec<Workspace>,
    /// The workspaces that senders may name instead.
    pub by_path: Option<WorkspacesByPath>,
    /// The file of `extra_roots`.
    pub ca_bundle: Option<PathBuf>,
    /// Certificates to trust in addition to the built-in roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// How every endpoint is reached.
    pub network: Network,
    /// How the program stops.
    pub drain: Drain,
    /// How the program logs.
    pub log: Log,
    /// Whether privileges are dropped at start.
    pub sandbox: bool,
    /// Where spans go, if anywhere.
    pub tracing: Option<Tracing>,
    /// Likely mistakes that are not errors, one line each; nothing in them is secret.
    pub warnings: Vec<String>,
    /// Where the settings of the process were set, and those of each workspace.
    pub(super) origins: (Origins, Vec<Origins>),
}

/// Where each setting was set, by its flag.
pub(super) type Origins = BTreeMap<&'static str, String>;

/// A workspace with its own settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    /// Its name in paths, metrics and log; by default its id.
    pub name: String,
    /// `ws-…`
    pub id: String,
    /// The region to sign for.
    pub region: String,
    /// The full remote-write URL, `…/workspaces/<id>/api/v1/remote_write`.
    pub remote_write_url: Uri,
    /// How credentials are obtained.
    pub identity: IdentityConfig,
    /// The limits of a batch.
    pub limits: BatchLimits,
    /// What is served beside remote write, if anything is.
    pub query: Option<QueryConfig>,
}

// === impl Workspace ===

impl Workspace {
    /// Whether `other` differs at most in the room for batches in flight, which a running workspace can change.
    #[must_use]
    pub fn is_resized(&self, other: &Self) -> bool {
        let limits = BatchLimits {
            max_body_bytes: other.limits.max_body_bytes,
            max_inflight_bytes: other.limits.max_inflight_bytes,
            client_share_percent: other.limits.client_share_percent,
            ..self.limits.clone()
        };
        let resized = Self {
            limits,
            ..self.clone()
        };
        resized == *other
    }
}

/// Workspaces that are named by the path of a request, where none is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkspacesByPath {
    /// Whether they are served; if not, senders get 503 that says what to set.
    pub allowed: bool,
    /// Each of them, with a placeholder for its id.
    pub(super) template: Workspace,
}

/// The limits of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchLimits {
    /// The deadline, from a batch's last byte to AMP's response.
    pub upstream_timeout: Duration,
    /// The largest body that is accepted.
    pub max_body_bytes: usize,
    /// Which bodies are decoded, counted and validated.
    pub inspect: Inspect,
    /// What that may cost with [`Inspect::Auto`].
    pub inspect_budget: CpuShare,
    /// The largest body that is sent to AMP in one request.
    pub max_upstream_bytes: usize,
    /// Bytes of all batches in flight.
    pub max_inflight_bytes: usize,
    /// The share of it that one client outside this pod may use.
    pub client_share_percent: u8,
}

/// Which batches are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspect {
    /// As many as the budget allows.
    Auto,
    /// All.
    On,
    /// None.
    Off,
}

/// What of a workspace's Alertmanager is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alertmanager {
    /// Nothing.
    Off,
    /// GET requests.
    Read,
    /// GET requests, and creating and ending silences.
    Silence,
}

// === impl Alertmanager ===

impl Alertmanager {
    /// Its name in settings and log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Read => "read",
            Self::Silence => "silence",
        }
    }
}

/// What clients may read of a workspace; at least one of its two parts.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryConfig {
    /// Whether the query API is served.
    pub prometheus: bool,
    /// How far the Alertmanager is served.
    pub alertmanager: Alertmanager,
    /// The deadline, from the request to the last byte of the response.
    pub timeout: Duration,
}

/// When to stop after SIGTERM.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// After this long without a request.
    pub idle: Duration,
    /// At the latest.
    pub timeout: Duration,
}

/// How the program logs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Log {
    /// JSON or text.
    pub format: LogFormat,
    /// The least severe level that is logged.
    pub level: tracing::Level,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `key=value` pairs, one line each.
    Logfmt,
    /// For people.
    Text,
}

/// How credentials are obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Where the first credentials come from.
    pub source: SourceConfig,
    /// The roles after it, each assumed with the credentials before.
    pub hops: Vec<RoleSession>,
    /// The STS endpoint, with its path.
    pub sts_endpoint: Uri,
    /// The region to sign calls to STS for.
    pub sts_region: String,
}

/// Where the first credentials come from; nothing else is ever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceConfig {
    /// STS, in exchange for a token.
    WebIdentity(Box<WebIdentityConfig>),
    /// IAM Roles Anywhere, in exchange for a signature with a certificate's key.
    RolesAnywhere(Box<RolesAnywhereConfig>),
    /// The endpoint of EKS Pod Identity or ECS.
    Container(ContainerConfig),
    /// AWS' shared credentials file.
    File(ProfileConfig),
    /// The environment, which holds keys that nobody rotates.
    StaticKeys(AwsKeys),
}

/// The kinds of [`SourceConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceKind {
    WebIdentity,
    RolesAnywhere,
    Container,
    /// A file, or static keys.
    File,
}

/// The token, and the role that it is exchanged for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentityConfig {
    /// Where the token comes from.
    pub token: TokenConfig,
    /// The session that STS gives for it.
    pub role: RoleSession,
}

/// Where STS' token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenConfig {
    /// The projected service-account token itself, from this file.
    File(PathBuf),
    /// Entra ID, in exchange for the projected token.
    Entra(EntraConfig),
    /// Azure, for a managed identity of this machine.
    AzureImds(AzureImdsConfig),
    /// Google, for the service account of this machine.
    GceMetadata(GceMetadataConfig),
}

/// The kinds of [`TokenConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    File,
    Entra,
    AzureImds,
    GceMetadata,
}

/// A certificate, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolesAnywhereConfig {
    /// The PEM file of the certificate and its intermediates.
    pub certificate: PathBuf,
    /// The PEM file of its private key.
    pub private_key: PathBuf,
    /// The trust anchor.
    pub trust_anchor_arn: String,
    /// The profile.
    pub profile_arn: String,
    /// The session that is asked for.
    pub role: RoleSession,
    /// The URL of CreateSession.
    pub endpoint: Uri,
    /// The region to sign for.
    pub region: String,
}

/// Keys that an agent keeps up to date in AWS' shared credentials file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileConfig {
    /// The file.
    pub file: PathBuf,
    /// The profile's name.
    pub profile: String,
}

/// An application in Entra ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntraConfig {
    /// The projected service-account token that it trusts.
    pub token_file: PathBuf,
    /// The login endpoint of the cloud, `https://login.microsoftonline.com/`.
    pub authority_host: Uri,
    /// The tenant's id or domain.
    pub tenant_id: String,
    /// The client id of the application or managed identity.
    pub client_id: String,
    /// The scope of the access token, `<App ID URI>/.default`.
    pub scope: String,
}

/// A role session, as it is requested from STS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSession {
    /// The role.
    pub role_arn: String,
    /// The session's name in CloudTrail; `None` if AWS names it.
    pub name: Option<String>,
    /// The requested duration; STS may grant less.
    pub duration: Duration,
    /// The external ID that the role's trust policy requires.
    pub external_id: Option<String>,
    /// An inline session policy, as compact JSON.
    pub policy: Option<String>,
    /// Managed session policies.
    pub policy_arns: Vec<String>,
    /// The source identity in CloudTrail; STS keeps it through all later hops.
    pub source_identity: Option<String>,
    /// Session tags, each a key and a value.
    pub tags: Vec<(String, String)>,
}

/// Which spans are made, and where they are exported.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    pub(crate) endpoint: Uri,
    /// Sent with every export; their values are secret.
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    /// The file of `roots`.
    pub(crate) certificate: Option<PathBuf>,
    /// Certificates to trust in addition to all others.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) gzip: bool,
    pub(crate) service_name: String,
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) sampling: Sampling,
    /// How spans wait for their export.
    pub(crate) queue: SpanQueue,
}

/// Which batches are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether the sender's decision takes precedence if there is one.
    pub(crate) by_parent: bool,
    /// The share of all others, 0 to 1.
    pub(crate) share: f64,
}

/// How spans wait for their export.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanQueue {
    pub(crate) delay: Duration,
    /// How many; further ones are dropped.
    pub(crate) spans: usize,
    /// How many are sent in one request.
    pub(crate) at_once: usize,
    /// The timeout of one request with its retries.
    pub(crate) timeout: Duration,
}

/// What arguments of another program gave besides settings.
#[derive(Debug, Clone, Default)]
pub struct ForeignArguments {
    /// That they were translated, and into what.
    pub warning: Option<String>,
    /// Those that cannot be honoured.
    pub errors: Vec<SettingError>,
    /// Whether they name AMP's host, so that a request's path names the workspace.
    pub names_host: bool,
}

/// The inputs of a configuration besides the command line.
pub struct Environment<'a> {
    /// An environment variable's value.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The names of all environment variables that are set.
    pub variables: Vec<String>,
    /// The memory limit of the process' cgroup.
    pub memory_limit: Option<u64>,
    /// The pod's namespace as Kubernetes mounts it beside the default token.
    pub pod_namespace: Option<String>,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
}

// === impl Environment ===

impl<'a> Environment<'a> {
    /// These variables and nothing else.
    #[cfg(any(test, feature = "internals"))]
    #[must_use]
    pub fn of(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            env,
            variables: Vec::new(),
            memory_limit: None,
            pod_namespace: None,
            stdout_is_terminal: false,
        }
    }
}

// === impl Config ===

impl Config {
    /// Logs each warning.
    pub fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!(reason = warning, "configuration warning");
        }
    }

    /// The scheme that senders use.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.server_auth.certificate {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Where senders of the workspace of this name write.
    pub(crate) fn write_url(&self, name: &str) -> String {
        let (scheme, listen) = (self.scheme(), self.listen);
        match self.workspaces.as_slice() {
            [_] => format!("{scheme}://{listen}/api/v1/remote_write"),
            _ => format!("{scheme}://{listen}/workspaces/{name}/api/v1/remote_write"),
        }
    }
}

// === impl Workspace ===

impl Workspace {
    /// The workspace's ARN, in the role's account unless AMP says otherwise.
    pub(crate) fn arn(&self) -> String {
        let role = self.identity.signing().map(|role| role.role_arn.as_str());
        let mut parts = role.unwrap_or_default().split(':');
        let partition = parts.nth(1).unwrap_or("aws");
        let account = parts.nth(2).unwrap_or("<account>");
        format!(
            "arn:{partition}:aps:{}:{account}:workspace/{}",
            self.region, self.id
        )
    }
}

// === impl WorkspacesByPath ===

impl WorkspacesByPath {
    /// Each has its own budget, connections and metrics, and any client may name one: so no more are served.
    pub const MOST: usize = 8;
}

// === impl IdentityConfig ===

impl IdentityConfig {
    /// The role whose session signs requests to AMP; `None` if it is not assumed here.
    pub(crate) fn signing(&self) -> Option<&RoleSession> {
        self.hops.last().or(self.source.role())
    }

    /// What signs requests to AMP, for people: the role, or the source that gives another's credentials.
    pub(crate) fn signer(&self) -> &str {
        match self.signing() {
            Some(role) => &role.role_arn,
            None => self.source.words(),
        }
    }
}

// === impl RoleSession ===

impl RoleSession {
    /// STS grants no session for less.
    const SHORTEST: Duration = Duration::from_secs(15 * 60);

    /// With no option but its name, and for 15 minutes, the shortest that STS grants.
    #[must_use]
    pub fn plain(role_arn: String, name: Option<String>) -> Self {
        Self {
            role_arn,
            name,
            duration: Self::SHORTEST,
            external_id: None,
            policy: None,
            policy_arns: Vec::new(),
            source_identity: None,
            tags: Vec::new(),
        }
    }
}

// === impl SourceConfig ===

impl SourceConfig {
    pub(crate) fn kind(&self) -> SourceKind {
        match self {
            Self::WebIdentity(_) => SourceKind::WebIdentity,
            Self::Container(_) => SourceKind::Container,
            Self::File(_) | Self::StaticKeys(_) => SourceKind::File,
            Self::RolesAnywhere(_) => SourceKind::RolesAnywhere,
        }
    }

    /// The role that the source's credentials are of, if this program names it.
    pub(crate) fn role(&self) -> Option<&RoleSession> {
        match self {
            Self::WebIdentity(web_identity) => Some(&web_identity.role),
            Self::Container(_) | Self::File(_) | Self::StaticKeys(_) => None,
            Self::RolesAnywhere(anywhere) => Some(&anywhere.role),
        }
    }

    pub(super) fn role_mut(&mut self) -> Option<&mut RoleSession> {
        match self {
            Self::WebIdentity(web_identity) => Some(&mut web_identity.role),
            Self::Container(_) | Self::File(_) | Self::StaticKeys(_) => None,
            Self::RolesAnywhere(anywhere) => Some(&mut anywhere.role),
        }
    }

    /// Its token, if it is exchanged for one.
    pub(crate) fn token(&self) -> Option<&TokenConfig> {
        match self {
            Self::WebIdentity(web_identity) => Some(&web_identity.token),
            Self::Container(_) | Self::File(_) | Self::StaticKeys(_) => None,
            Self::RolesAnywhere(_) => None,
        }
    }

    /// What its credentials are, for people.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::WebIdentity(_) | Self::RolesAnywhere(_) => "the role of --role-arn",
            Self::Container(_) => "the role of the container (EKS Pod Identity or ECS)",
            Self::File(_) => "the keys in the credentials file",
            Self::StaticKeys(_) => "static keys, which nobody rotates",
        }
    }

    /// The files that it reads.
    pub(crate) fn files(&self) -> Vec<&Path> {
        let file = match self {
            Self::WebIdentity(web_identity) => web_identity.token.file(),
            Self::RolesAnywhere(anywhere) => {
                return vec![&anywhere.certificate, &anywhere.private_key];
            }
            Self::Container(container) => container.token_file(),
            Self::File(profile) => Some(profile.file.as_path()),
            Self::StaticKeys(_) => None,
        };
        file.into_iter().collect()
    }
}

// === impl SourceKind ===

impl SourceKind {
    pub(crate) const ALL: [Self; 4] = [
        Self::WebIdentity,
        Self::RolesAnywhere,
        Self::Container,
        Self::File,
    ];

    /// Its name in settings and log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WebIdentity => "web-identity",
            Self::Container => "container",
            Self::File => "file",
            Self::RolesAnywhere => "roles-anywhere",
        }
    }
}

// === impl TokenKind ===

impl TokenKind {
    /// Its name in settings and log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Entra => "entra",
            Self::AzureImds => "azure-imds",
            Self::GceMetadata => "gce-metadata",
        }
    }
}

// === impl TokenConfig ===

impl TokenConfig {
    pub(crate) fn kind(&self) -> TokenKind {
        match self {
            Self::File(_) => TokenKind::File,
            Self::Entra(_) => TokenKind::Entra,
            Self::AzureImds(_) => TokenKind::AzureImds,
            Self::GceMetadata(_) => TokenKind::GceMetadata,
        }
    }

    /// The file of the projected token, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Entra(application) => Some(&application.token_file),
            Self::AzureImds(_) | Self::GceMetadata(_) => None,
        }
    }

    /// The application in Entra ID, if there is one.
    #[must_use]
    pub fn entra(&self) -> Option<&EntraConfig> {
        match self {
            Self::Entra(application) => Some(application),
            Self::File(_) | Self::AzureImds(_) | Self::GceMetadata(_) => None,
        }
    }
}

// === impl Sampling ===

impl Sampling {
    /// The sampler's name in the OpenTelemetry specification.
    pub(crate) fn name(&self) -> String {
        sampler_text(&(self.by_parent, Some(self.share)))
    }
}

// === impl Environment ===

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("memory_limit", &self.memory_limit)
            .finish_non_exhaustive()
    }
}
