//! The effective configuration: every setting with its value, and where that was set.
//!
//! In: a valid [`Config`]. Out: [`EffectiveSection`]s, one for the process and one for each workspace, secrets redacted: `amp-sidecar config`
//! prints them as a YAML file, and the status page shows them. The printed file gives the same configuration when read again (a test checks it),
//! except for a proxy's password and secret settings. The comparison of settings that a reload cannot change is here too, so it compares only what
//! is shown.
//!
//! Every struct is destructured: a field that is not shown does not compile.

mod rows;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use super::container::{ContainerConfig, ContainerToken};
use super::endpoints;
use super::file;
use super::metadata::{AzureImdsConfig, GceMetadataConfig};
use super::model::{
    Alertmanager, BatchLimits, Config, Drain, EntraConfig, IdentityConfig, Log, ProfileConfig,
    QueryConfig, RoleSession, RolesAnywhereConfig, SourceConfig, SpanQueue, TokenConfig, Tracing,
    WebIdentityConfig, Workspace,
};
use super::settings::{self, Row, Setting, SettingScope};
use super::values::identity::ChainedRole;
use crate::tls_files::{ServerAuthFiles, TlsFile};
use rows::Rows;
pub(crate) use rows::{EffectiveSetting, SettingValue};

/// Stands for the name of all workspaces that senders name.
const BY_PATH: &str = "named by senders";

/// The settings of the process, or of a workspace.
#[derive(Debug)]
pub(crate) struct EffectiveSection<'a> {
    /// The workspace's name; empty for the process.
    pub(crate) name: &'a str,
    /// Roughly in the order of the help.
    pub(crate) settings: Vec<EffectiveSetting>,
}

// === impl Config ===

impl Config {
    pub(crate) fn process_section(&self) -> EffectiveSection<'_> {
        EffectiveSection::of("", self.process_rows())
    }

    pub(crate) fn workspace_sections(&self) -> impl Iterator<Item = EffectiveSection<'_>> {
        let (_, origins) = &self.origins;
        let workspaces = self.workspaces.iter().enumerate();
        workspaces.map(|(n, workspace)| {
            let mut rows = Rows::new(origins.get(n));
            rows.put(&settings::WORKSPACE_ID, &workspace.id);
            rows.put(&settings::REMOTE_WRITE_URL, &workspace.remote_write_url);
            rows.put_workspace(workspace);
            EffectiveSection::of(&workspace.name, rows)
        })
    }

    /// What all workspaces have that senders name.
    pub(crate) fn by_path_section(&self) -> Option<EffectiveSection<'_>> {
        let by_path = self.by_path.as_ref()?;
        let (_, origins) = &self.origins;
        let mut rows = Rows::new(origins.first());
        rows.put_some(&settings::AMP_ENDPOINT, by_path.endpoint().as_ref());
        rows.put_workspace(&by_path.template);
        Some(EffectiveSection::of(BY_PATH, rows))
    }

    /// The flags of the settings that differ from those of `other` and that a reload cannot change.
    pub(crate) fn fixed_that_differ(&self, other: &Self) -> Vec<String> {
        let (rows, others) = (self.process_rows().rows, other.process_rows().rows);
        let value = |rows: &[EffectiveSetting], setting: &Setting| {
            let row = rows.iter().find(|row| row.setting == setting);
            row.map(|row| row.value.clone())
        };
        settings::ALL
            .iter()
            .filter(|setting| setting.scope == SettingScope::Fixed)
            .filter(|setting| value(&rows, setting) != value(&others, setting))
            .map(|setting| format!("--{}", setting.flag))
            .collect()
    }

    /// The file of `--ca-bundle`, if there is one.
    pub(crate) fn ca_files(&self) -> Vec<TlsFile> {
        let path = self.ca_bundle.iter();
        path.map(|path| file_of(&settings::CA_BUNDLE, path))
            .collect()
    }

    /// The certificate files that are trusted for the collector.
    pub(crate) fn ca_files_of_collector(&self) -> Vec<TlsFile> {
        let tracing = self.tracing.iter();
        let own = tracing.filter_map(|tracing| tracing.certificate.as_ref());
        let own = own.map(|path| file_of(&settings::OTLP_CERTIFICATE, path));
        self.ca_files().into_iter().chain(own).collect()
    }

    fn process_rows(&self) -> Rows<'_> {
        let Self {
            file: _,
            listen,
            server_auth,
            allow_host,
            admin_listen,
            workspaces: _,
            by_path,
            ca_bundle,
            extra_roots: _,
            network,
            drain: Drain { idle, timeout },
            log: Log { format, level },
            sandbox,
            tracing,
            warnings: _,
            origins: (origins, _),
        } = self;
        let ServerAuthFiles {
            certificate,
            key,
            client_ca,
            bearer_tokens,
        } = server_auth;
        let open = !listen.ip().is_loopback() && *server_auth == ServerAuthFiles::default();
        let any_workspace = by_path.as_ref().is_some_and(|by_path| by_path.allowed);
        let mut rows = Rows::new(Some(origins));
        rows.put(&settings::ANY_WORKSPACE, &any_workspace);
        rows.put(&settings::LISTEN, listen);
        rows.put(&settings::ALLOW_NON_LOOPBACK, &open);
        for (row, file) in [
            (&settings::LISTEN_TLS_CERT, certificate),
            (&settings::LISTEN_TLS_KEY, key),
            (&settings::LISTEN_CLIENT_CA, client_ca),
            (&settings::LISTEN_BEARER_TOKEN_FILE, bearer_tokens),
        ] {
            rows.put_some(row, file.as_ref().map(|file| &file.path));
        }
        rows.put_list(&settings::ALLOW_HOST, allow_host);
        rows.put(&settings::ADMIN_LISTEN, admin_listen);
        rows.put_some(&settings::CA_BUNDLE, ca_bundle.as_ref());
        rows.put_some(&settings::HTTPS_PROXY, network.proxy());
        rows.put_some(&settings::NO_PROXY, network.no_proxy());
        rows.put(&settings::DRAIN_IDLE, idle);
        rows.put(&settings::DRAIN_TIMEOUT, timeout);
        rows.put(&settings::LOG_FORMAT, format);
        rows.put(&settings::LOG_LEVEL, level);
        rows.put(&settings::SANDBOX, sandbox);
        rows.put(&settings::TRACES_EXPORTER, &tracing.is_some());
        if let Some(tracing) = tracing {
            rows.put_tracing(tracing);
        }
        rows
    }
}

impl<'a> EffectiveSection<'a> {
    fn of(name: &'a str, rows: Rows<'_>) -> Self {
        let settings = rows.rows.into_iter();
        let settings = settings.map(EffectiveSetting::redacted).collect();
        Self { name, settings }
    }
}

fn file_of(row: &Row<PathBuf>, path: &Path) -> TlsFile {
    TlsFile {
        setting: row.flag,
        path: path.to_owned(),
    }
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, "", &self.process_section().settings)?;
        if let Some(section) = self.by_path_section() {
            return write(f, "", &section.settings);
        }
        writeln!(f, "{}:", file::WORKSPACES)?;
        for EffectiveSection { name, settings } in self.workspace_sections() {
            writeln!(f, "  - {}: {}", file::NAME, scalar(name))?;
            write(f, "    ", &settings)?;
        }
        Ok(())
    }
}

fn write(f: &mut fmt::Formatter<'_>, indent: &str, settings: &[EffectiveSetting]) -> fmt::Result {
    for EffectiveSetting { setting, value, .. } in settings {
        let value = match value {
            SettingValue::One(text) => scalar(text),
            // A JSON list is also a YAML list.
            SettingValue::Many(texts) => serde_json::Value::from(texts.clone()).to_string(),
        };
        writeln!(f, "{indent}{}: {value}", setting.key())?;
    }
    Ok(())
}

/// Plain if that is unambiguous, else in double quotes, where JSON's escapes are also YAML's.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let url = text.starts_with("https://") || text.starts_with("http://");
    let safe = |c: char| plain(c) || (url && ":[]?=&%~".contains(c));
    if text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && text.chars().all(safe) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

// === impl Rows ===

impl Rows<'_> {
    /// All but id and URL.
    fn put_workspace(&mut self, workspace: &Workspace) {
        let Workspace {
            name: _,
            id: _,
            region,
            remote_write_url: _,
            identity,
            limits,
            query,
        } = workspace;
        let BatchLimits {
            upstream_timeout,
            max_body_bytes,
            inspect,
            inspect_budget,
            max_upstream_bytes,
            max_inflight_bytes,
            client_share_percent,
        } = limits;
        self.put(&settings::REGION, region);
        self.put_identity(identity);
        self.put(&settings::UPSTREAM_TIMEOUT, upstream_timeout);
        self.put(&settings::MAX_BODY_BYTES, max_body_bytes);
        self.put(&settings::INSPECT, inspect);
        self.put(&settings::INSPECT_BUDGET, inspect_budget);
        self.put(&settings::MAX_UPSTREAM_BYTES, max_upstream_bytes);
        self.put(&settings::MAX_INFLIGHT_BYTES, max_inflight_bytes);
        match query {
            Some(QueryConfig {
                prometheus,
                alertmanager,
                timeout,
            }) => {
                self.put(&settings::ALLOW_QUERY, prometheus);
                self.put(&settings::ALLOW_ALERTMANAGER, alertmanager);
                self.put(&settings::QUERY_TIMEOUT, timeout);
            }
            None => {
                self.put(&settings::ALLOW_QUERY, &false);
                self.put(&settings::ALLOW_ALERTMANAGER, &Alertmanager::Off);
            }
        }
        self.put(&settings::CLIENT_SHARE, client_share_percent);
    }

    fn put_identity(&mut self, identity: &IdentityConfig) {
        let IdentityConfig {
            source,
            hops,
            sts_endpoint,
            sts_region,
        } = identity;
        self.put(&settings::CREDENTIALS, &source.kind());
        match source {
            SourceConfig::WebIdentity(web_identity) => self.put_web_identity(web_identity),
            SourceConfig::Container(container) => self.put_container(container),
            SourceConfig::File(ProfileConfig { file, profile }) => {
                self.put(&settings::SHARED_CREDENTIALS_FILE, file);
                self.put(&settings::PROFILE, profile);
            }
            // The keys themselves are variables alone.
            SourceConfig::StaticKeys(_) => self.put(&settings::ALLOW_STATIC_KEYS, &true),
            SourceConfig::RolesAnywhere(anywhere) => self.put_roles_anywhere(anywhere),
        }
        let chain: Vec<ChainedRole> = hops
            .iter()
            .map(|hop| ChainedRole {
                role_arn: hop.role_arn.clone(),
                external_id: hop.external_id.clone(),
            })
            .collect();
        let source_identity = hops.first().and_then(|hop| hop.source_identity.as_ref());
        self.put_list(&settings::ASSUME_ROLE, &chain);
        self.put_some(&settings::SOURCE_IDENTITY, source_identity);
        if let Some(role) = identity.signing() {
            self.put_session(role);
        }
        self.put(&settings::STS_REGION, sts_region);
        self.put(&settings::STS_ENDPOINT, sts_endpoint);
    }

    fn put_roles_anywhere(&mut self, anywhere: &RolesAnywhereConfig) {
        let RolesAnywhereConfig {
            certificate,
            private_key,
            trust_anchor_arn,
            profile_arn,
            role,
            endpoint,
            region: _,
        } = anywhere;
        self.put(&settings::ROLE_ARN, &role.role_arn);
        self.put(&settings::ROLES_ANYWHERE_CERTIFICATE, certificate);
        self.put(&settings::ROLES_ANYWHERE_PRIVATE_KEY, private_key);
        self.put(&settings::TRUST_ANCHOR_ARN, trust_anchor_arn);
        self.put(&settings::PROFILE_ARN, profile_arn);
        let base = endpoints::roles_anywhere_base(endpoint);
        self.put_some(&settings::ROLES_ANYWHERE_ENDPOINT, base.as_ref());
    }

    fn put_web_identity(&mut self, WebIdentityConfig { token, role }: &WebIdentityConfig) {
        self.put(&settings::ROLE_ARN, &role.role_arn);
        self.put(&settings::TOKEN_SOURCE, &token.kind());
        match token {
            TokenConfig::File(path) => self.put(&settings::WEB_IDENTITY_TOKEN_FILE, path),
            TokenConfig::Entra(EntraConfig {
                token_file,
                authority_host,
                tenant_id,
                client_id,
                scope,
            }) => {
                self.put(&settings::AZURE_FEDERATED_TOKEN_FILE, token_file);
                self.put(&settings::AZURE_CLIENT_ID, client_id);
                self.put(&settings::AZURE_TENANT_ID, tenant_id);
                self.put(&settings::AZURE_AUTHORITY_HOST, authority_host);
                self.put(&settings::ENTRA_SCOPE, scope);
            }
            TokenConfig::AzureImds(AzureImdsConfig {
                endpoint,
                audience,
                client_id,
            }) => {
                self.put(&settings::TOKEN_AUDIENCE, audience);
                self.put_some(&settings::AZURE_CLIENT_ID, client_id.as_ref());
                self.put(&settings::AZURE_IMDS_ENDPOINT, endpoint);
            }
            TokenConfig::GceMetadata(GceMetadataConfig { host, audience }) => {
                self.put(&settings::TOKEN_AUDIENCE, audience);
                self.put(&settings::GCE_METADATA_HOST, host);
            }
        }
    }

    fn put_container(&mut self, container: &ContainerConfig) {
        let ContainerConfig {
            endpoint,
            authorization,
        } = container;
        self.put(&settings::CONTAINER_CREDENTIALS_FULL_URI, endpoint);
        match authorization {
            Some(ContainerToken::File(file)) => {
                self.put(&settings::CONTAINER_AUTHORIZATION_TOKEN_FILE, file);
            }
            // A variable alone.
            Some(ContainerToken::Text(_)) | None => {}
        }
    }

    /// All sessions share a name; the first hop sets the source identity, and the last session has all other options.
    fn put_session(&mut self, role: &RoleSession) {
        let RoleSession {
            role_arn: _,
            name,
            duration,
            external_id: _,
            policy,
            policy_arns,
            source_identity: _,
            tags,
        } = role;
        self.put_some(&settings::ROLE_SESSION_NAME, name.as_ref());
        self.put(&settings::SESSION_DURATION, duration);
        self.put_some(&settings::SESSION_POLICY, policy.as_ref());
        self.put_list(&settings::SESSION_POLICY_ARN, policy_arns);
        self.put_list(&settings::SESSION_TAG, tags);
    }

    fn put_tracing(&mut self, tracing: &Tracing) {
        let Tracing {
            endpoint,
            headers,
            timeout,
            certificate,
            roots: _,
            gzip,
            service_name,
            resource,
            sampling,
            queue,
        } = tracing;
        let SpanQueue {
            delay,
            spans,
            at_once,
            timeout: export_timeout,
        } = queue;
        self.put(&settings::OTEL_SDK_DISABLED, &false);
        self.put(&settings::OTLP_TRACES_ENDPOINT, endpoint);
        self.put(&settings::OTLP_PROTOCOL, &());
        let headers = Some(headers).filter(|headers| !headers.is_empty());
        self.put_some(&settings::OTLP_HEADERS, headers);
        self.put(&settings::OTLP_TIMEOUT, timeout);
        self.put(&settings::OTLP_COMPRESSION, gzip);
        self.put_some(&settings::OTLP_CERTIFICATE, certificate.as_ref());
        self.put(&settings::OTEL_SERVICE_NAME, service_name);
        let resource = Some(resource).filter(|resource| !resource.is_empty());
        self.put_some(&settings::OTEL_RESOURCE_ATTRIBUTES, resource);
        let sampler = (sampling.by_parent, Some(sampling.share));
        self.put(&settings::TRACES_SAMPLER, &sampler);
        self.put(&settings::TRACES_SAMPLER_ARG, &sampling.share);
        self.put(&settings::BSP_SCHEDULE_DELAY, delay);
        self.put(&settings::BSP_EXPORT_TIMEOUT, export_timeout);
        self.put(&settings::BSP_MAX_QUEUE_SIZE, spans);
        self.put(&settings::BSP_MAX_EXPORT_BATCH_SIZE, at_once);
    }
}

#[cfg(test)]
mod tests;
