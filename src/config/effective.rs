//! Every setting with the value that counts, and where that was given.
//!
//! In: a valid [`Config`] and the [`Origins`] that were noted as it was read. Out: [`Section`]s of [`Effective`] settings, one for
//! the process and one for each workspace, secrets withheld: what `amp-sidecar config` prints and the status page shows.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Config, DoorFiles, Identity, LogFormat, RoleSession, Setting, Tracing, Workspace, settings,
    traces,
};

/// A setting as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Which.
    pub setting: &'static Setting,
    /// Its value.
    pub value: Value,
    /// Where that was given, or how it was found: `--region`, `AWS_REGION`, `config.yaml, line 3`, `default`.
    pub from: String,
}

/// What a setting can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One text.
    One(String),
    /// Any number of them.
    Many(Vec<String>),
}

/// What the process has once, or what a workspace has of its own.
#[derive(Debug)]
pub struct Section<'a> {
    /// The workspace's name; empty for the process.
    pub name: &'a str,
    /// In the order of the help, more or less.
    pub settings: Vec<Effective>,
}

/// Where the settings that were given stand.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    pub(super) process: Found,
    pub(super) workspaces: Vec<Found>,
}

/// By flag.
type Found = BTreeMap<&'static str, String>;

/// Collects settings.
struct Rows<'a> {
    rows: Vec<Effective>,
    found: Option<&'a Found>,
}

// === impl Origins ===

impl Origins {
    pub(super) fn found(origin: impl Fn(&Setting) -> Option<String>) -> Found {
        let settings = settings::ALL.iter();
        settings
            .filter_map(|setting| Some((setting.flag, origin(setting)?)))
            .collect()
    }
}

// === impl Config ===

impl Config {
    /// What the process has once.
    #[must_use]
    pub fn of_the_process(&self) -> Section<'_> {
        let mut rows = Rows::new(Some(&self.origins.process));
        rows.put(&settings::LISTEN, self.listen);
        rows.put(
            &settings::ALLOW_NON_LOOPBACK,
            !self.listen.ip().is_loopback() && self.door == DoorFiles::default(),
        );
        for (setting, path) in [
            (&settings::LISTEN_TLS_CERT, &self.door.chain),
            (&settings::LISTEN_TLS_KEY, &self.door.key),
            (&settings::LISTEN_CLIENT_CA, &self.door.client_ca),
            (&settings::LISTEN_BEARER_TOKEN_FILE, &self.door.tokens),
        ] {
            if let Some(path) = path {
                rows.put(setting, path.display());
            }
        }
        rows.put_list(&settings::ALLOW_HOST, self.allow_host.iter().cloned());
        rows.put(&settings::ADMIN_LISTEN, self.admin_listen);
        if let Some(path) = &self.ca_bundle {
            rows.put(&settings::CA_BUNDLE, path.display());
        }
        if let Some(proxy) = self.network.proxy() {
            rows.put(&settings::HTTPS_PROXY, proxy);
            rows.put(&settings::NO_PROXY, self.network.exceptions());
        }
        rows.put(&settings::DRAIN_IDLE, duration(self.drain.idle));
        rows.put(&settings::DRAIN_TIMEOUT, duration(self.drain.timeout));
        let format = match self.log.format {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        rows.put(&settings::LOG_FORMAT, format);
        let level = self.log.level.to_string().to_ascii_lowercase();
        rows.put(&settings::LOG_LEVEL, level);
        rows.put(&settings::SANDBOX, if self.sandbox { "on" } else { "off" });
        match &self.tracing {
            None => rows.put(&settings::TRACES_EXPORTER, "none"),
            Some(tracing) => rows.put_tracing(tracing),
        }
        Section {
            name: "",
            settings: rows.rows,
        }
    }

    /// What each workspace has of its own.
    pub fn of_each_workspace(&self) -> impl Iterator<Item = Section<'_>> {
        let workspaces = self.workspaces.iter().enumerate();
        workspaces.map(|(n, workspace)| Section {
            name: &workspace.name,
            settings: of(workspace, self.origins.workspaces.get(n)),
        })
    }
}

fn of(workspace: &Workspace, found: Option<&Found>) -> Vec<Effective> {
    let Workspace {
        name: _,
        id,
        region,
        remote_write_url,
        identity,
        limits,
        reading,
    } = workspace;
    let mut rows = Rows::new(found);
    rows.put(&settings::WORKSPACE_ID, id);
    rows.put(&settings::REGION, region);
    rows.put(&settings::REMOTE_WRITE_URL, remote_write_url);
    rows.put_identity(identity);
    rows.put(
        &settings::UPSTREAM_TIMEOUT,
        duration(limits.upstream_timeout),
    );
    rows.put(&settings::MAX_BODY_BYTES, limits.max_body_bytes);
    rows.put(
        &settings::INSPECT,
        if limits.inspect { "on" } else { "off" },
    );
    rows.put(&settings::MAX_UPSTREAM_BYTES, limits.max_upstream_bytes);
    rows.put(&settings::MAX_INFLIGHT_BYTES, limits.max_inflight_bytes);
    rows.put(&settings::ALLOW_QUERY, reading.is_some());
    if let Some(reading) = reading {
        rows.put(&settings::QUERY_TIMEOUT, duration(reading.timeout));
    }
    rows.put(
        &settings::CLIENT_SHARE,
        format!("{}%", limits.client_share_percent),
    );
    rows.rows
}

// === impl Rows ===

impl<'a> Rows<'a> {
    fn new(found: Option<&'a Found>) -> Self {
        Self {
            rows: Vec::new(),
            found,
        }
    }

    fn put_identity(&mut self, identity: &Identity) {
        let Identity {
            token_file,
            entra,
            role,
            hops,
            sts_endpoint,
            sts_region,
        } = identity;
        self.put(&settings::ROLE_ARN, &role.role_arn);
        match entra {
            None => {
                self.put(&settings::TOKEN_SOURCE, "file");
                self.put(&settings::WEB_IDENTITY_TOKEN_FILE, token_file.display());
            }
            Some(entra) => {
                self.put(&settings::TOKEN_SOURCE, "entra");
                self.put(&settings::AZURE_FEDERATED_TOKEN_FILE, token_file.display());
                self.put(&settings::AZURE_CLIENT_ID, &entra.client_id);
                self.put(&settings::AZURE_TENANT_ID, &entra.tenant_id);
                self.put(&settings::AZURE_AUTHORITY_HOST, &entra.authority_host);
                self.put(&settings::ENTRA_SCOPE, &entra.scope);
            }
        }
        let with_id = |hop: &RoleSession| match &hop.external_id {
            Some(id) => format!("{},external-id={id}", hop.role_arn),
            None => hop.role_arn.clone(),
        };
        self.put_list(&settings::ASSUME_ROLE, hops.iter().map(with_id));
        self.put(&settings::ROLE_SESSION_NAME, &role.name);
        let signing = identity.signing();
        self.put(&settings::SESSION_DURATION, duration(signing.duration));
        if let Some(policy) = &signing.policy {
            self.put(&settings::SESSION_POLICY, policy);
        }
        self.put_list(
            &settings::SESSION_POLICY_ARN,
            signing.policy_arns.iter().cloned(),
        );
        if let Some(name) = hops.first().and_then(|hop| hop.source_identity.as_ref()) {
            self.put(&settings::SOURCE_IDENTITY, name);
        }
        let tags = signing
            .tags
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        self.put_list(&settings::SESSION_TAG, tags);
        self.put(&settings::STS_REGION, sts_region);
        self.put(&settings::STS_ENDPOINT, sts_endpoint);
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
        self.put(&settings::TRACES_EXPORTER, "otlp");
        self.put(&settings::OTEL_SDK_DISABLED, false);
        self.put(&settings::OTLP_TRACES_ENDPOINT, endpoint);
        self.put(&settings::OTLP_PROTOCOL, "http/protobuf");
        let withheld = headers
            .keys()
            .map(|key| format!("{key}={}", traces::WITHHELD));
        self.put_joined(&settings::OTLP_HEADERS, withheld);
        self.put(&settings::OTLP_TIMEOUT, timeout.as_millis());
        self.put(
            &settings::OTLP_COMPRESSION,
            if *gzip { "gzip" } else { "none" },
        );
        if let Some(path) = certificate {
            self.put(&settings::OTLP_CERTIFICATE, path.display());
        }
        self.put(&settings::OTEL_SERVICE_NAME, service_name);
        let encoded = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let pairs = resource
            .iter()
            .map(|(key, value)| format!("{key}={}", encoded(value)));
        self.put_joined(&settings::OTEL_RESOURCE_ATTRIBUTES, pairs);
        self.put(&settings::TRACES_SAMPLER, sampling.name());
        self.put(&settings::TRACES_SAMPLER_ARG, sampling.share);
        self.put(&settings::BSP_SCHEDULE_DELAY, queue.delay.as_millis());
        self.put(&settings::BSP_EXPORT_TIMEOUT, queue.timeout.as_millis());
        self.put(&settings::BSP_MAX_QUEUE_SIZE, queue.spans);
        self.put(&settings::BSP_MAX_EXPORT_BATCH_SIZE, queue.at_once);
    }

    /// Nothing where there are none.
    fn put_joined(&mut self, setting: &'static Setting, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            self.put(setting, values.join(","));
        }
    }

    /// Nothing where there are none.
    fn put_list(&mut self, setting: &'static Setting, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            self.push(setting, Value::Many(values));
        }
    }

    fn put(&mut self, setting: &'static Setting, value: impl Display) {
        self.push(setting, Value::One(value.to_string()));
    }

    fn push(&mut self, setting: &'static Setting, value: Value) {
        let given = |setting: &Setting| self.found?.get(setting.flag).cloned();
        let instead = || in_place_of(setting).iter().find_map(|other| given(other));
        let from =
            given(setting)
                .or_else(instead)
                .unwrap_or_else(|| match setting.fixed_default() {
                    Some(_) => "default".to_owned(),
                    None => setting.shown_default().to_owned(),
                });
        self.rows.push(Effective {
            setting,
            value,
            from,
        });
    }
}

/// The settings that lead to another one where that is not given itself.
fn in_place_of(setting: &Setting) -> &'static [&'static Setting] {
    match setting.flag {
        "remote-write-url" => &[&settings::AMP_ENDPOINT, &settings::ENDPOINT_URL],
        "sts-endpoint" => &[&settings::ENDPOINT_URL],
        _ => &[],
    }
}

/// In the largest units that fit: `1h30m`.
fn duration(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (unit, millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if left >= millis {
            let _written = write!(text, "{}{unit}", left / millis);
            left %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::config::Section;
    use crate::config::tests::{self, MINIMAL};

    #[test]
    fn every_value_says_where_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.yaml");
        let text = "drain_idle: 3s\nregion: us-east-1\nworkspaces:\n  - workspace_id: ws-1\n    region: eu-west-1\n  - workspace_id: ws-2\n    amp_endpoint: https://vpce.example\n";
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        let settings = [("config", path.as_str()), ("log-level", "debug")];
        let env: Vec<_> = MINIMAL
            .iter()
            .filter(|(name, _)| name.contains("ROLE") || name.contains("TOKEN"))
            .copied()
            .collect();
        let config = tests::read(&settings, &env).unwrap();
        let from = |section: &Section<'_>, flag: &str| {
            let mut rows = section.settings.iter();
            rows.find(|row| row.setting.flag == flag)
                .unwrap()
                .from
                .clone()
        };
        let process = config.of_the_process();
        assert_eq!(from(&process, "log-level"), "--log-level");
        assert_eq!(from(&process, "drain-idle"), format!("{path}, line 1"));
        assert_eq!(from(&process, "listen"), "default");
        let [first, second] = config
            .of_each_workspace()
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        assert_eq!((first.name, second.name), ("ws-1", "ws-2"));
        assert_eq!(from(&first, "region"), format!("{path}, line 5"));
        assert_eq!(from(&second, "region"), format!("{path}, line 2"));
        assert_eq!(from(&first, "role-arn"), "AWS_ROLE_ARN");
        assert_eq!(
            from(&first, "remote-write-url"),
            "from region and workspace"
        );
        assert_eq!(from(&second, "remote-write-url"), format!("{path}, line 7"));
        assert_eq!(from(&first, "sts-region"), "the workspace's");
    }
}
