//! The one definition of every setting.
//!
//! In: nothing. Out: [`Setting`]s, from which the command line, the environment, `--help` and the reference table in
//! `docs/settings.md` are all made. A setting that is not in [`ALL`] does not exist.
//!
//! The names of AWS' own variables are those of the AWS SDKs and Tools reference guide, OpenTelemetry's those of its specification; ours begin `AMP_SIDECAR_`.
//! Values stay text here: [`super::Config::read`] turns them into valid values and names all faults at once, which clap's
//! own parsers cannot do, because they stop at the first.

/// One setting: its names, its default and what it means.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag, without the dashes.
    pub flag: &'static str,
    /// Environment variables, the first that is set and not empty wins.
    pub env: &'static [&'static str],
    /// What stands in for the value in the help; empty for a switch, which is `true` where it is named alone. Ends in `...`
    /// where the flag may be given several times; a variable then holds the values with white space between them.
    pub value: &'static str,
    /// The default, or in brackets how it is found.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
}

macro_rules! settings {
    ($($name:ident: $flag:literal, [$($env:literal),*], $value:literal, $default:literal, $help:literal;)*) => {
        $(#[doc = $help] pub(super) const $name: Setting = Setting {
            flag: $flag, env: &[$($env),*], value: $value, default: $default, help: $help,
        };)*
        /// Every setting, in the order of the help.
        pub const ALL: &[Setting] = &[$($name),*];
    };
}

settings! {
    CONFIG: "config", ["AMP_SIDECAR_CONFIG"], "PATH", "[none]",
        "YAML file of settings, for several workspaces; flags and variables beat what stands at its top";
    LISTEN: "listen", ["AMP_SIDECAR_LISTEN"], "ADDRESS:PORT", "127.0.0.1:8005",
        "Where Prometheus writes to; beyond loopback only with TLS and a proof of the sender, or --allow-non-loopback";
    ALLOW_NON_LOOPBACK: "allow-non-loopback", ["AMP_SIDECAR_ALLOW_NON_LOOPBACK"], "", "false",
        "Let --listen stand open to other hosts that prove nothing: whoever reaches it writes to the workspace with this role";
    LISTEN_TLS_CERT: "listen-tls-cert", ["AMP_SIDECAR_LISTEN_TLS_CERT"], "PATH", "[none]",
        "PEM file of the certificate chain that senders are shown; read again when it changes";
    LISTEN_TLS_KEY: "listen-tls-key", ["AMP_SIDECAR_LISTEN_TLS_KEY"], "PATH", "[none]",
        "PEM file of its private key";
    LISTEN_CLIENT_CA: "listen-client-ca", ["AMP_SIDECAR_LISTEN_CLIENT_CA"], "PATH", "[none]",
        "PEM file of authorities: senders must show a certificate of one of them";
    LISTEN_BEARER_TOKEN_FILE: "listen-bearer-token-file", ["AMP_SIDECAR_LISTEN_BEARER_TOKEN_FILE"], "PATH", "[none]",
        "File of bearer tokens, one a line: senders must show one of them";
    CLIENT_SHARE: "client-share", ["AMP_SIDECAR_CLIENT_SHARE"], "PERCENT", "50%",
        "How much of --max-inflight-bytes and of the requests at once one client may hold where --listen is not loopback";
    ALLOW_HOST: "allow-host", ["AMP_SIDECAR_ALLOW_HOST"], "NAME...", "[none]",
        "A name by which browsers and readers may call this, beside addresses and localhost; senders and scrapers may use any";
    ADMIN_LISTEN: "admin-listen", ["AMP_SIDECAR_ADMIN_LISTEN"], "ADDRESS:PORT", "[::]:8006",
        "Where the status page, /livez, /readyz and /metrics are served, by IPv6 and IPv4; nothing secret is";
    REGION: "region", ["AWS_REGION", "AWS_DEFAULT_REGION"], "REGION", "[from the host of --remote-write-url]",
        "Region of the workspace, for the signature and the default endpoints";
    WORKSPACE_ID: "workspace-id", ["AMP_SIDECAR_WORKSPACE_ID"], "WS-ID", "[from the path of --remote-write-url]",
        "The AMP workspace that is written to";
    REMOTE_WRITE_URL: "remote-write-url", ["AMP_SIDECAR_REMOTE_WRITE_URL"], "URL", "[from region and workspace]",
        "The workspace's remote-write URL; plain http only to loopback";
    AMP_ENDPOINT: "amp-endpoint", ["AWS_ENDPOINT_URL_AMP"], "URL", "[from region]",
        "Base URL of AMP in place of AWS' own, for example of a PrivateLink endpoint; the workspace's path is added";
    ENDPOINT_URL: "endpoint-url", ["AWS_ENDPOINT_URL"], "URL", "[none]",
        "Base URL of AMP and STS alike, where neither has its own";
    IGNORE_CONFIGURED_ENDPOINT_URLS: "ignore-configured-endpoint-urls", ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"], "", "false",
        "Make nothing of the variables AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_AMP and AWS_ENDPOINT_URL_STS";
    USE_FIPS_ENDPOINT: "use-fips-endpoint", ["AWS_USE_FIPS_ENDPOINT"], "", "false",
        "Take AWS' FIPS hosts for AMP and STS";
    USE_DUALSTACK_ENDPOINT: "use-dualstack-endpoint", ["AWS_USE_DUALSTACK_ENDPOINT"], "", "false",
        "Take AWS' hosts with IPv4 and IPv6 for AMP and STS";
    ROLE_ARN: "role-arn", ["AWS_ROLE_ARN"], "ARN", "[required]",
        "The IAM role that the token is exchanged for";
    TOKEN_SOURCE: "token-source", ["AMP_SIDECAR_TOKEN_SOURCE"], "file|entra", "file",
        "What is shown to AWS: the projected token itself, or an access token of Entra ID that it is exchanged for";
    WEB_IDENTITY_TOKEN_FILE: "web-identity-token-file", ["AWS_WEB_IDENTITY_TOKEN_FILE"], "PATH", "[required with --token-source file]",
        "The projected service-account token, read afresh at each exchange";
    AZURE_FEDERATED_TOKEN_FILE: "azure-federated-token-file", ["AZURE_FEDERATED_TOKEN_FILE"], "PATH", "[required with --token-source entra]",
        "The projected service-account token for Entra ID, as Azure's webhook mounts it";
    AZURE_CLIENT_ID: "azure-client-id", ["AZURE_CLIENT_ID"], "ID", "[required with --token-source entra]",
        "The application or managed identity whose federated credential trusts the projected token";
    AZURE_TENANT_ID: "azure-tenant-id", ["AZURE_TENANT_ID"], "ID", "[required with --token-source entra]",
        "The Entra tenant of that application";
    AZURE_AUTHORITY_HOST: "azure-authority-host", ["AZURE_AUTHORITY_HOST"], "URL", "https://login.microsoftonline.com/",
        "The login endpoint of the Azure cloud; plain http only to loopback";
    ENTRA_SCOPE: "entra-scope", ["AMP_SIDECAR_ENTRA_SCOPE"], "SCOPE", "[required with --token-source entra]",
        "What the access token is for: the App ID URI that AWS trusts, and /.default";
    ASSUME_ROLE: "assume-role", ["AMP_SIDECAR_ASSUME_ROLE"], "ARN[,external-id=ID]...", "[none]",
        "A role to assume after --role-arn, each by the one before; the last one signs, and its session lives 1h at most";
    ROLE_SESSION_NAME: "role-session-name", ["AWS_ROLE_SESSION_NAME"], "NAME", "[from pod name and namespace]",
        "Names the session in CloudTrail; made valid, and shortened in its middle to 64 characters";
    SESSION_DURATION: "session-duration", ["AMP_SIDECAR_SESSION_DURATION"], "DURATION", "1h",
        "How long credentials are asked for, 15m to 12h and at most the role's own maximum";
    SESSION_POLICY: "session-policy", ["AMP_SIDECAR_SESSION_POLICY"], "JSON", "[none]",
        "An IAM policy that narrows what the signing session may, inline; at most 2048 characters without white space";
    SESSION_POLICY_ARN: "session-policy-arn", ["AMP_SIDECAR_SESSION_POLICY_ARN"], "ARN...", "[none]",
        "A managed policy that does the same";
    SOURCE_IDENTITY: "source-identity", ["AMP_SIDECAR_SOURCE_IDENTITY"], "NAME", "[none]",
        "Who is behind the session, for CloudTrail; set by the first --assume-role and kept by all after it";
    SESSION_TAG: "session-tag", ["AMP_SIDECAR_SESSION_TAG"], "KEY=VALUE...", "[none]",
        "A tag of the session of the last --assume-role";
    STS_REGION: "sts-region", ["AMP_SIDECAR_STS_REGION"], "REGION", "[the workspace's]",
        "Region of STS, where it is another than the workspace's";
    STS_ENDPOINT: "sts-endpoint", ["AWS_ENDPOINT_URL_STS"], "URL", "https://sts.<region>.amazonaws.com",
        "The STS endpoint; plain http only to loopback";
    CA_BUNDLE: "ca-bundle", ["AWS_CA_BUNDLE"], "PATH", "[none]",
        "PEM file of certificates that are trusted beside the built-in roots; read again when it changes";
    HTTPS_PROXY: "https-proxy", ["HTTPS_PROXY", "https_proxy"], "URL", "[none]",
        "Proxy on the way to AMP, STS and Entra ID, http:// or https://, with user:password@ where it asks for them";
    NO_PROXY: "no-proxy", ["NO_PROXY", "no_proxy"], "LIST", "[none]",
        "Hosts, domains, addresses, networks and host:port that are reached without the proxy, separated by commas; loopback always is";
    UPSTREAM_TIMEOUT: "upstream-timeout", ["AMP_SIDECAR_UPSTREAM_TIMEOUT"], "DURATION", "25s",
        "The deadline of a batch, from its last byte to AMP's answer; below Prometheus' remote_timeout of 30s";
    MAX_BODY_BYTES: "max-body-bytes", ["AMP_SIDECAR_MAX_BODY_BYTES"], "BYTES", "32MiB",
        "A larger body is refused with 413; at most --max-inflight-bytes";
    INSPECT: "inspect", ["AMP_SIDECAR_INSPECT"], "on|off", "on",
        "Read bodies to count their samples and to refuse what is no remote write; off leaves the judgement to AMP";
    MAX_UPSTREAM_BYTES: "max-upstream-bytes", ["AMP_SIDECAR_MAX_UPSTREAM_BYTES"], "BYTES", "1MB",
        "A larger body is split by series into several requests; AMP's own limit";
    MAX_INFLIGHT_BYTES: "max-inflight-bytes", ["AMP_SIDECAR_MAX_INFLIGHT_BYTES"], "BYTES",
        "[a quarter of the cgroup's memory limit, at most 64MiB]",
        "Bytes of all batches held at once; over it senders are asked to come again";
    ALLOW_QUERY: "allow-query", ["AMP_SIDECAR_ALLOW_QUERY"], "", "false",
        "Serve the workspace's query API too: whoever reaches --listen reads the workspace with this role";
    QUERY_TIMEOUT: "query-timeout", ["AMP_SIDECAR_QUERY_TIMEOUT"], "DURATION", "2m",
        "The deadline of a query, from its request to the last byte of AMP's answer; Prometheus' own default";
    DRAIN_IDLE: "drain-idle", ["AMP_SIDECAR_DRAIN_IDLE"], "DURATION", "5s",
        "After SIGTERM: leave once no request has come for this long, three times as long after a sender was told to come again";
    DRAIN_TIMEOUT: "drain-timeout", ["AMP_SIDECAR_DRAIN_TIMEOUT"], "DURATION", "90s",
        "After SIGTERM: leave by then; above Prometheus' flush deadline of 1m";
    LOG_FORMAT: "log-format", ["AMP_SIDECAR_LOG_FORMAT"], "json|text", "[json where stdout is no terminal]",
        "How log lines are written";
    LOG_LEVEL: "log-level", ["AMP_SIDECAR_LOG"], "LEVEL", "info",
        "Least level that is logged: error, warn, info, debug or trace";
    SANDBOX: "sandbox", ["AMP_SIDECAR_SANDBOX"], "on|off", "on",
        "Give up writing files, starting programs and what else is never needed, as far as the kernel knows how; off for debuggers";
    OTLP_ENDPOINT: "otlp-endpoint", ["OTEL_EXPORTER_OTLP_ENDPOINT"], "URL", "[none, and no traces]",
        "Base URL of an OpenTelemetry collector, for OTLP over HTTP; traces are sent to /v1/traces below it";
    OTLP_TRACES_ENDPOINT: "otlp-traces-endpoint", ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], "URL", "[from --otlp-endpoint]",
        "The whole URL that traces are sent to";
    OTLP_PROTOCOL: "otlp-protocol", ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"], "PROTOCOL", "http/protobuf",
        "How the collector is spoken to; nothing else is built in";
    OTLP_HEADERS: "otlp-headers", ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"], "KEY=VALUE,...", "[none]",
        "Headers that the collector asks for, as a key; never shown";
    OTLP_TIMEOUT: "otlp-timeout", ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"], "MILLISECONDS", "10000",
        "How long the collector may take for one try";
    OTLP_COMPRESSION: "otlp-compression", ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"], "none|gzip", "none",
        "How what is sent to the collector is compressed";
    OTLP_CERTIFICATE: "otlp-certificate", ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"], "PATH", "[none]",
        "PEM file of certificates that the collector's is trusted by, beside the built-in roots and --ca-bundle; read again when it changes";
    OTEL_SERVICE_NAME: "otel-service-name", ["OTEL_SERVICE_NAME"], "NAME", "[amp-sidecar]",
        "What traces call this program";
    OTEL_RESOURCE_ATTRIBUTES: "otel-resource-attributes", ["OTEL_RESOURCE_ATTRIBUTES"], "KEY=VALUE,...", "[none]",
        "What traces say of this process, as k8s.pod.name=prometheus-0";
    TRACES_SAMPLER: "traces-sampler", ["OTEL_TRACES_SAMPLER"], "SAMPLER", "parentbased_always_on",
        "Which batches are traced: always_on, always_off, traceidratio; parentbased_ before it does as the sender decided";
    TRACES_SAMPLER_ARG: "traces-sampler-arg", ["OTEL_TRACES_SAMPLER_ARG"], "SHARE", "1",
        "The share of traceidratio, 0 to 1";
    TRACES_EXPORTER: "traces-exporter", ["OTEL_TRACES_EXPORTER"], "otlp|none", "otlp",
        "none switches traces off, whatever endpoint is named";
    OTEL_SDK_DISABLED: "otel-sdk-disabled", ["OTEL_SDK_DISABLED"], "", "false",
        "Switches traces off, too";
    BSP_SCHEDULE_DELAY: "bsp-schedule-delay", ["OTEL_BSP_SCHEDULE_DELAY"], "MILLISECONDS", "5000",
        "How long a span waits for others that are sent with it";
    BSP_EXPORT_TIMEOUT: "bsp-export-timeout", ["OTEL_BSP_EXPORT_TIMEOUT"], "MILLISECONDS", "30000",
        "How long the same spans are tried to be sent, before they are dropped";
    BSP_MAX_QUEUE_SIZE: "bsp-max-queue-size", ["OTEL_BSP_MAX_QUEUE_SIZE"], "SPANS", "2048",
        "How many spans wait; further ones are dropped and counted";
    BSP_MAX_EXPORT_BATCH_SIZE: "bsp-max-export-batch-size", ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], "SPANS", "512",
        "How many spans are sent at once";
}

/// What the process has once, however many workspaces it serves.
const OF_THE_PROCESS: &[&Setting] = &[
    &CONFIG,
    &LISTEN,
    &ALLOW_NON_LOOPBACK,
    &LISTEN_TLS_CERT,
    &LISTEN_TLS_KEY,
    &LISTEN_CLIENT_CA,
    &LISTEN_BEARER_TOKEN_FILE,
    &ALLOW_HOST,
    &ADMIN_LISTEN,
    &CA_BUNDLE,
    &HTTPS_PROXY,
    &NO_PROXY,
    &DRAIN_IDLE,
    &DRAIN_TIMEOUT,
    &LOG_FORMAT,
    &LOG_LEVEL,
    &SANDBOX,
    &OTLP_ENDPOINT,
    &OTLP_TRACES_ENDPOINT,
    &OTLP_PROTOCOL,
    &OTLP_HEADERS,
    &OTLP_TIMEOUT,
    &OTLP_COMPRESSION,
    &OTLP_CERTIFICATE,
    &OTEL_SERVICE_NAME,
    &OTEL_RESOURCE_ATTRIBUTES,
    &TRACES_SAMPLER,
    &TRACES_SAMPLER_ARG,
    &TRACES_EXPORTER,
    &OTEL_SDK_DISABLED,
    &BSP_SCHEDULE_DELAY,
    &BSP_EXPORT_TIMEOUT,
    &BSP_MAX_QUEUE_SIZE,
    &BSP_MAX_EXPORT_BATCH_SIZE,
];

impl Setting {
    /// Whether each workspace may have its own.
    #[must_use]
    pub fn is_of_workspace(&self) -> bool {
        !OF_THE_PROCESS
            .iter()
            .any(|setting| setting.flag == self.flag)
    }

    /// Whether it is a switch, which needs no value.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// Whether it may be given several times.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.value.ends_with("...")
    }

    /// The default as people read it: without the brackets where it is found in words.
    #[must_use]
    pub fn shown_default(&self) -> &'static str {
        let within = self.default.strip_prefix('[');
        let within = within.and_then(|rest| rest.strip_suffix(']'));
        within.unwrap_or(self.default)
    }

    /// The default as text to be parsed, where it is a fixed one.
    #[must_use]
    pub fn fixed_default(&self) -> Option<&'static str> {
        let computed = self.shown_default() != self.default || self.default.contains('<');
        (!computed).then_some(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::HashSet;

    #[test]
    fn no_name_is_given_twice() {
        let mut names = HashSet::new();
        for setting in ALL {
            assert!(names.insert(setting.flag), "--{} twice", setting.flag);
            assert!(
                setting.env.iter().all(|name| names.insert(name)),
                "a variable of --{} twice",
                setting.flag
            );
        }
    }
}
