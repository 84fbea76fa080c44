//! A configuration as the YAML file that would give it, secrets withheld.
//!
//! In: a valid [`Config`]. Out: every setting with the value that counts, defaults and what was derived included, each workspace
//! under `workspaces`. What is printed can be read again and gives the same (a test says so), but for a proxy's
//! password and the headers of a collector.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Config, DoorFiles, Identity, LogFormat, RoleSession, Setting, Tracing, Workspace, file,
    settings, traces,
};

/// Lines of YAML at one depth.
struct Lines {
    text: String,
    indent: &'static str,
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut top = Lines::new("");
        top.put(&settings::LISTEN, self.listen);
        top.put(
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
                top.put(setting, path.display());
            }
        }
        top.put_list(&settings::ALLOW_HOST, self.allow_host.iter().cloned());
        top.put(&settings::ADMIN_LISTEN, self.admin_listen);
        if let Some(path) = &self.ca_bundle {
            top.put(&settings::CA_BUNDLE, path.display());
        }
        if let Some(proxy) = self.network.proxy() {
            top.put(&settings::HTTPS_PROXY, proxy);
            top.put(&settings::NO_PROXY, self.network.exceptions());
        }
        top.put(&settings::DRAIN_IDLE, duration(self.drain.idle));
        top.put(&settings::DRAIN_TIMEOUT, duration(self.drain.timeout));
        let format = match self.log.format {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        top.put(&settings::LOG_FORMAT, format);
        let level = self.log.level.to_string().to_ascii_lowercase();
        top.put(&settings::LOG_LEVEL, level);
        top.put(&settings::SANDBOX, if self.sandbox { "on" } else { "off" });
        match &self.tracing {
            None => top.put(&settings::TRACES_EXPORTER, "none"),
            Some(tracing) => top.put_tracing(tracing),
        }
        f.write_str(&top.text)?;
        f.write_str("workspaces:\n")?;
        for workspace in &self.workspaces {
            f.write_str(&entry(workspace))?;
        }
        Ok(())
    }
}

fn entry(workspace: &Workspace) -> String {
    let Workspace {
        name,
        id,
        region,
        remote_write_url,
        identity,
        limits,
        reading,
    } = workspace;
    let mut entry = Lines::new("    ");
    entry.put(&settings::WORKSPACE_ID, id);
    entry.put(&settings::REGION, region);
    entry.put(&settings::REMOTE_WRITE_URL, remote_write_url);
    entry.put_identity(identity);
    entry.put(
        &settings::UPSTREAM_TIMEOUT,
        duration(limits.upstream_timeout),
    );
    entry.put(&settings::MAX_BODY_BYTES, limits.max_body_bytes);
    entry.put(
        &settings::INSPECT,
        if limits.inspect { "on" } else { "off" },
    );
    entry.put(&settings::MAX_UPSTREAM_BYTES, limits.max_upstream_bytes);
    entry.put(&settings::MAX_INFLIGHT_BYTES, limits.max_inflight_bytes);
    entry.put(&settings::ALLOW_QUERY, reading.is_some());
    if let Some(reading) = reading {
        entry.put(&settings::QUERY_TIMEOUT, duration(reading.timeout));
    }
    entry.put(
        &settings::CLIENT_SHARE,
        format!("{}%", limits.client_share_percent),
    );
    format!("  - {}: {}\n{}", file::NAME, scalar(name), entry.text)
}

// === impl Lines ===

impl Lines {
    fn new(indent: &'static str) -> Self {
        Self {
            text: String::new(),
            indent,
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
    fn put_joined(&mut self, setting: &Setting, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            self.put(setting, values.join(","));
        }
    }

    /// Nothing where there are none.
    fn put_list(&mut self, setting: &Setting, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            let (key, values) = (file::key(setting), serde_json::Value::from(values));
            let indent = self.indent;
            // A list in JSON is one in YAML, and writing to a string cannot fail.
            let _written = writeln!(self.text, "{indent}{key}: {values}");
        }
    }

    fn put(&mut self, setting: &Setting, value: impl Display) {
        let (key, value) = (file::key(setting), scalar(&value.to_string()));
        let indent = self.indent;
        // Writing to a string cannot fail.
        let _written = writeln!(self.text, "{indent}{key}: {value}");
    }
}

/// Plain where that is beyond doubt, else in double quotes, in which JSON's escapes are YAML's.
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
    use super::*;
    use crate::config::ALL;
    use crate::config::tests::{self, MINIMAL};

    #[test]
    fn what_is_shown_can_be_read_again_and_is_the_same() {
        let settings = [
            ("session-duration", "1h30m"),
            ("role-session-name", "a@b,c=d"),
            ("upstream-timeout", "1500ms"),
            ("allow-query", "true"),
            ("query-timeout", "90s"),
            ("max-inflight-bytes", "20MB"),
            ("drain-timeout", "2m"),
            ("log-level", "debug"),
        ];
        for more in [&[][..], &CHAINED, &ENTRA, &TRACED] {
            let settings: Vec<_> = settings.iter().chain(more).copied().collect();
            round_trip(&settings);
        }
    }

    const CHAINED: [(&str, &str); 6] = [
        (
            "assume-role",
            "arn:aws:iam::444455556666:role/hub arn:aws:iam::777788889999:role/w,external-id=a,b=c:d",
        ),
        ("session-policy", r#"{"Statement": ["a\"b"]}"#),
        (
            "session-policy-arn",
            "arn:aws:iam::aws:policy/A arn:aws:iam::aws:policy/B",
        ),
        ("source-identity", "aks@prod"),
        ("session-tag", "team=obs env=é"),
        ("sts-region", "eu-west-1"),
    ];
    const TRACED: [(&str, &str); 5] = [
        ("otlp-endpoint", "https://collector.example/base"),
        (
            "otel-resource-attributes",
            "k8s.pod.name=a%2Cb,deployment.environment.name=é",
        ),
        ("traces-sampler", "parentbased_traceidratio"),
        ("traces-sampler-arg", "0.1"),
        ("bsp-max-queue-size", "4096"),
    ];
    const ENTRA: [(&str, &str); 5] = [
        ("token-source", "entra"),
        ("azure-federated-token-file", "/azure/token"),
        ("azure-client-id", "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a"),
        ("azure-tenant-id", "contoso.onmicrosoft.com"),
        ("entra-scope", "api://amp/.default"),
    ];

    fn round_trip(settings: &[(&str, &str)]) {
        let config = tests::read(settings, MINIMAL).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shown.yaml");
        std::fs::write(&path, config.to_string()).unwrap();
        let path = path.display().to_string();
        let again = tests::read(&[("config", &path)], &[]).unwrap();
        assert_eq!(config.to_string(), again.to_string());
        assert_eq!(config.workspaces, again.workspaces);
        assert_eq!(config.tracing, again.tracing);
        assert!(config.fixed_that_differ(&again).is_empty());
    }

    #[test]
    fn every_setting_is_shown() {
        let settings = [
            ("https-proxy", "http://me:hunter2@proxy.example:3128"),
            ("allow-query", "true"),
            ("allow-host", "sidecar.example"),
        ];
        let mut shown = tests::read(&settings, MINIMAL).unwrap().to_string();
        let key = ("otlp-headers", "api-key=hunter2");
        let traced: Vec<_> = TRACED.into_iter().chain([key]).collect();
        for more in [&CHAINED[..], &ENTRA, &traced] {
            shown.push_str(&tests::read(more, MINIMAL).unwrap().to_string());
        }
        assert!(!shown.contains("hunter2"), "{shown}");
        let elsewhere = [
            // A file inside a file is none, and these need a file.
            &settings::CONFIG,
            &settings::CA_BUNDLE,
            &settings::LISTEN_TLS_CERT,
            &settings::LISTEN_TLS_KEY,
            &settings::LISTEN_CLIENT_CA,
            &settings::LISTEN_BEARER_TOKEN_FILE,
            &settings::OTLP_CERTIFICATE,
            &settings::OTLP_ENDPOINT,
            // They lead to the two URLs, which are shown.
            &settings::AMP_ENDPOINT,
            &settings::ENDPOINT_URL,
            &settings::IGNORE_CONFIGURED_ENDPOINT_URLS,
            &settings::USE_FIPS_ENDPOINT,
            &settings::USE_DUALSTACK_ENDPOINT,
        ];
        for setting in ALL.iter().filter(|setting| !elsewhere.contains(setting)) {
            assert!(
                shown.contains(&format!("{}: ", file::key(setting))),
                "{}: {shown}",
                setting.flag
            );
        }
    }
}
