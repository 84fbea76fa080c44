//! The one definition of every setting: a row each, in the group under which help and docs list it.
//!
//! From a row come the flag, the environment variables, `--help`, the key of the configuration file and its schema, the reference
//! table in the docs, how its text is parsed, how its value is shown, whether it is secret, and whether a reload can change it.
//! A setting that is not in [`ALL`] does not exist.
//!
//! The names of AWS' own variables are those of the AWS SDKs and Tools reference guide, OpenTelemetry's those of its specification;
//! ours begin with `AMP_SIDECAR_`. clap's own parsers were rejected: they stop at the first error, and all errors should be reported at once.

mod group;

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderMap;
use tracing::Level;

use super::container;
use super::error::Expected;
use super::model::{Alertmanager, Inspect, LogFormat, SourceKind, TokenKind};
use super::network::{NoProxy, Proxy};
use super::source_kind;
use super::values::identity::{self as identity, ChainedRole};
use super::values::metadata;
use super::values::otlp::{self, Pair, Sampler};
use super::values::roles_anywhere;
use super::values::{self, CpuShare, choose, chosen, duration_text, duration_within};
pub use group::Group;

/// One setting: its names, its default and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its heading in the help and the docs.
    pub group: Group,
    /// The flag, without the dashes.
    pub flag: &'static str,
    /// Environment variables; the first that is set and not empty wins.
    pub env: &'static [&'static str],
    /// The value's placeholder in the help; empty for a switch, whose value defaults to `true`. Ends in `...` if the flag may be repeated; a
    /// variable then holds the values separated by white space.
    pub value: &'static str,
    /// The default, or in brackets how it is found.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// Whether a workspace may have its own, and whether a reload can change it.
    pub(super) scope: SettingScope,
    /// Whether its value is redacted in all output.
    pub(super) secret: bool,
    /// Settings that determine its value if it is not set itself.
    pub(super) derived_from: &'static [&'static Setting],
}

/// The scope of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SettingScope {
    /// The process; fixed until a restart.
    Fixed,
    Process,
    Workspace,
}

/// A setting with the type of its value.
pub(super) struct Row<T> {
    setting: Setting,
    pub(super) parse: fn(&str) -> Result<T, Expected>,
    /// Formats a value so that it can be parsed again.
    pub(super) show: fn(&T) -> String,
}

/// Parser and formatter of a type.
struct ValueKind<T>(
    &'static str,
    fn(&str) -> Result<T, Expected>,
    fn(&T) -> String,
);

macro_rules! choice {
    ($placeholder:literal: $($name:literal => $value:expr),+) => {
        ValueKind(
            $placeholder,
            |text| choose(text, &[$(($name, $value)),+]),
            |value| chosen(value, &[$(($name, $value)),+]),
        )
    };
}

const ADDRESS: ValueKind<SocketAddr> = ValueKind("ADDRESS:PORT", values::socket_address, text);
const SWITCH: ValueKind<bool> = ValueKind("", values::switch, text);
const PATH: ValueKind<PathBuf> = ValueKind(
    "PATH",
    |text| Ok(text.into()),
    |path| path.display().to_string(),
);
const TOKEN_PATH: ValueKind<PathBuf> = ValueKind("PATH", identity::token_path, PATH.2);
const URL: ValueKind<Uri> = ValueKind("URL", values::endpoint, text);
const REGION_NAME: ValueKind<String> = ValueKind("REGION", values::region, text);
const DURATION: ValueKind<Duration> = ValueKind("DURATION", values::duration, duration_text);
const BYTES: ValueKind<usize> = ValueKind("BYTES", values::bytes, text);
const MILLISECONDS: ValueKind<Duration> =
    ValueKind("MILLISECONDS", otlp::milliseconds, |duration| {
        duration.as_millis().to_string()
    });
const SPANS: ValueKind<usize> = ValueKind("SPANS", otlp::spans, text);
const ON_OFF: ValueKind<bool> = choice!("on|off": "on" => true, "off" => false);

fn text<T: ToString>(value: &T) -> String {
    value.to_string()
}

fn hop_text(
    ChainedRole {
        role_arn,
        external_id,
    }: &ChainedRole,
) -> String {
    match external_id {
        Some(id) => format!("{role_arn},external-id={id}"),
        None => role_arn.clone(),
    }
}

macro_rules! secret {
    (Public) => {
        false
    };
    (Secret) => {
        true
    };
}

macro_rules! settings {
    ($($group:ident {$($name:ident: $type:ty = $kind:expr, $scope:ident $visibility:ident, $flag:literal, [$($env:literal),*],
       $default:literal, $help:literal $(, from [$($source:ident),*])?;)*})*) => {
        $($(#[doc = $help] pub(super) const $name: Row<$type> = {
            let ValueKind(value, parse, show) = $kind;
            let setting = Setting {
                group: Group::$group,
                flag: $flag,
                env: &[$($env),*],
                value,
                default: $default,
                help: $help,
                scope: SettingScope::$scope,
                secret: secret!($visibility),
                derived_from: &[$($(&$source.setting),*)?],
            };
            Row { setting, parse, show }
        };)*)*
        /// Every setting, in the order of the help: group by group.
        pub const ALL: &[Setting] = &[$($($name.setting),*),*];
    };
}

settings! {
    AwsIdentity {
        REGION: String = REGION_NAME, Workspace Public, "region", ["AWS_REGION", "AWS_DEFAULT_REGION"], "[from the host of --remote-write-url]",
            "Region of the workspace, for the signature and the default endpoints";
        WORKSPACE_ID: String = ValueKind("WS-ID", values::workspace_id, text), Workspace Public,
            "workspace-id", ["AMP_SIDECAR_WORKSPACE_ID"], "[from the path of --remote-write-url]",
            "AMP workspace to write to";
        ANY_WORKSPACE: bool = SWITCH, Process Public, "any-workspace", ["AMP_SIDECAR_ANY_WORKSPACE"], "false",
            "Serve each workspace that a sender names in its path, up to 8, where none is configured: anyone who can reach --listen can write to any workspace of the region that the role allows";
        ROLE_ARN: String = ValueKind("ARN", identity::role_arn, text), Workspace Public, "role-arn", ["AWS_ROLE_ARN"], "[required]",
            "IAM role to assume with the token, or with the certificate";
        CREDENTIALS: SourceKind = ValueKind("web-identity|roles-anywhere|container|file", source_kind::parse, |kind| kind.name().to_owned()),
            Workspace Public, "credentials", ["AMP_SIDECAR_CREDENTIALS"], "web-identity",
            "Source of the credentials, and the only one that is asked: STS in exchange for a token, IAM Roles Anywhere with a certificate, the endpoint of EKS Pod Identity or ECS, or a credentials file";
        TOKEN_SOURCE: TokenKind = choice!("file|entra|azure-imds|gce-metadata": "file" => TokenKind::File, "entra" => TokenKind::Entra,
            "azure-imds" => TokenKind::AzureImds, "gce-metadata" => TokenKind::GceMetadata), Workspace Public,
            "token-source", ["AMP_SIDECAR_TOKEN_SOURCE"], "file",
            "Token to present to STS: the projected token itself, an Entra ID access token obtained with it, or the token of a virtual machine's own identity, from Azure's or Google's metadata server";
        WEB_IDENTITY_TOKEN_FILE: PathBuf = TOKEN_PATH, Workspace Public,
            "web-identity-token-file", ["AWS_WEB_IDENTITY_TOKEN_FILE"], "[required with --token-source file]",
            "File of the projected service-account token; read again for each exchange";
        TOKEN_AUDIENCE: String = ValueKind("TEXT", metadata::audience, text), Workspace Public,
            "token-audience", ["AMP_SIDECAR_TOKEN_AUDIENCE"], "[required with --token-source azure-imds; with gce-metadata sts.amazonaws.com]",
            "Whom a machine's token is for: in Azure the App ID URI that AWS trusts, at Google the audience that the role's trust policy has as :oaud";
        CONTAINER_CREDENTIALS_FULL_URI: Uri = ValueKind("URL", container::full_uri, text), Workspace Secret,
            "container-credentials-full-uri", ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], "[required with --credentials container]",
            "Credentials endpoint, as EKS sets it; plain http is allowed for loopback and the addresses of AWS' agents only, and no proxy is used",
            from [CONTAINER_CREDENTIALS_RELATIVE_URI];
        CONTAINER_CREDENTIALS_RELATIVE_URI: Uri = ValueKind("PATH", container::relative_uri, container::relative_text), Workspace Secret,
            "container-credentials-relative-uri", ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"], "[none]",
            "Path of the credentials at the ECS agent, http://169.254.170.2, as ECS sets it";
        CONTAINER_AUTHORIZATION_TOKEN_FILE: PathBuf = TOKEN_PATH, Workspace Public,
            "container-authorization-token-file", ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], "[none]",
            "File of the token for the credentials endpoint, as EKS sets it; read again for each request; without it the variable AWS_CONTAINER_AUTHORIZATION_TOKEN is sent, if set";
        SHARED_CREDENTIALS_FILE: PathBuf = PATH, Workspace Public,
            "shared-credentials-file", ["AWS_SHARED_CREDENTIALS_FILE"], "[required with --credentials file]",
            "AWS credentials file that an agent keeps up to date; read again when it changes";
        PROFILE: String = ValueKind("NAME", |name| Ok(name.to_owned()), text), Workspace Public, "profile", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"], "default",
            "Profile in that file; it has to hold keys, and nothing that a program or a role would have to turn into keys";
        ALLOW_STATIC_KEYS: bool = SWITCH, Workspace Public, "allow-static-keys", ["AMP_SIDECAR_ALLOW_STATIC_KEYS"], "false",
            "With --credentials file, take the keys from the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN instead of a file, although nobody rotates them";
        ASSUME_ROLE: ChainedRole = ValueKind("ARN[,external-id=ID]...", identity::hop, hop_text), Workspace Public,
            "assume-role", ["AMP_SIDECAR_ASSUME_ROLE"], "[none]",
            "Role to assume after --role-arn, each with the credentials of the one before; the last one signs, and its session lasts at most 1h";
        ROLE_SESSION_NAME: String = ValueKind("NAME", |name| Ok(values::session_name(name)), text), Workspace Public,
            "role-session-name", ["AWS_ROLE_SESSION_NAME"], "[from pod name and namespace]",
            "Session name in CloudTrail; invalid characters are replaced, and the middle is cut beyond 64 characters; with Roles Anywhere by default the certificate's serial number, and another name only if the profile accepts it";
        SESSION_DURATION: Duration = ValueKind("DURATION", |text| duration_within(text, (900, 43_200), "15m to 12h"), duration_text), Workspace Public,
            "session-duration", ["AMP_SIDECAR_SESSION_DURATION"], "1h",
            "Requested lifetime of credentials, 15m to 12h, at most the role's maximum session duration";
        SESSION_POLICY: String = ValueKind("JSON", identity::session_policy, text), Workspace Public,
            "session-policy", ["AMP_SIDECAR_SESSION_POLICY"], "[none]",
            "Inline IAM policy that restricts the signing session; at most 2048 characters without white space";
        SESSION_POLICY_ARN: String = ValueKind("ARN...", identity::policy_arn, text), Workspace Public,
            "session-policy-arn", ["AMP_SIDECAR_SESSION_POLICY_ARN"], "[none]",
            "Managed IAM policy that restricts the signing session";
        SOURCE_IDENTITY: String = ValueKind("NAME", identity::source_identity, text), Workspace Public,
            "source-identity", ["AMP_SIDECAR_SOURCE_IDENTITY"], "[none]",
            "Source identity in CloudTrail; set by the first --assume-role and kept by all roles after it";
        SESSION_TAG: Pair = ValueKind("KEY=VALUE...", identity::tag, |(key, value)| format!("{key}={value}")), Workspace Public,
            "session-tag", ["AMP_SIDECAR_SESSION_TAG"], "[none]",
            "Session tag for the session of the last --assume-role";
        STS_REGION: String = REGION_NAME, Workspace Public, "sts-region", ["AMP_SIDECAR_STS_REGION"], "[the workspace's]",
            "Region of STS, where it differs from the workspace's";
    }
    Azure {
        AZURE_FEDERATED_TOKEN_FILE: PathBuf = TOKEN_PATH, Workspace Public,
            "azure-federated-token-file", ["AZURE_FEDERATED_TOKEN_FILE"], "[required with --token-source entra]",
            "File of the projected service-account token for Entra ID, as mounted by Azure's webhook";
        AZURE_CLIENT_ID: String = ValueKind("ID", identity::client_id, text), Workspace Public,
            "azure-client-id", ["AZURE_CLIENT_ID"], "[required with --token-source entra]",
            "Client ID of the application or managed identity whose federated credential trusts the projected token; with --token-source azure-imds that of the machine's managed identity, needed only if it has several";
        AZURE_TENANT_ID: String = ValueKind("ID", identity::tenant_id, text), Workspace Public,
            "azure-tenant-id", ["AZURE_TENANT_ID"], "[required with --token-source entra]",
            "Entra tenant of that application";
        AZURE_AUTHORITY_HOST: Uri = URL, Workspace Public, "azure-authority-host", ["AZURE_AUTHORITY_HOST"], "https://login.microsoftonline.com/",
            "Login endpoint of the Azure cloud; plain http is allowed for loopback only";
        ENTRA_SCOPE: String = ValueKind("SCOPE", identity::entra_scope, text), Workspace Public,
            "entra-scope", ["AMP_SIDECAR_ENTRA_SCOPE"], "[required with --token-source entra]",
            "Scope of the access token: the App ID URI that AWS trusts, followed by /.default";
        AZURE_IMDS_ENDPOINT: Uri = ValueKind("URL", metadata::azure_imds, text), Workspace Public,
            "azure-imds-endpoint", ["AZURE_POD_IDENTITY_AUTHORITY_HOST"], "http://169.254.169.254/",
            "Azure's metadata service for --token-source azure-imds; asked without a proxy, and only this address and loopback are allowed";
    }
    RolesAnywhere {
        ROLES_ANYWHERE_CERTIFICATE: PathBuf = PATH, Workspace Public,
            "roles-anywhere-certificate", ["AMP_SIDECAR_ROLES_ANYWHERE_CERTIFICATE"], "[required with --credentials roles-anywhere]",
            "PEM file of the certificate that signs, followed by its intermediates; read again for each exchange";
        ROLES_ANYWHERE_PRIVATE_KEY: PathBuf = PATH, Workspace Public,
            "roles-anywhere-private-key", ["AMP_SIDECAR_ROLES_ANYWHERE_PRIVATE_KEY"], "[required with --credentials roles-anywhere]",
            "PEM file of the certificate's private key, RSA or ECDSA P-256, not encrypted; read again for each exchange";
        TRUST_ANCHOR_ARN: String = ValueKind("ARN", roles_anywhere::trust_anchor_arn, text), Workspace Public,
            "trust-anchor-arn", ["AMP_SIDECAR_TRUST_ANCHOR_ARN"], "[required with --credentials roles-anywhere]",
            "Trust anchor that holds the CA of the certificate; its region is called and signed for";
        PROFILE_ARN: String = ValueKind("ARN", roles_anywhere::profile_arn, text), Workspace Public,
            "profile-arn", ["AMP_SIDECAR_PROFILE_ARN"], "[required with --credentials roles-anywhere]",
            "Profile of Roles Anywhere that lists the role";
        ROLES_ANYWHERE_ENDPOINT: Uri = URL, Workspace Public,
            "roles-anywhere-endpoint", ["AWS_ENDPOINT_URL_ROLESANYWHERE"], "https://rolesanywhere.<region>.amazonaws.com",
            "Endpoint of Roles Anywhere; plain http is allowed for loopback only", from [ENDPOINT_URL];
    }
    Network {
        GCE_METADATA_HOST: String = ValueKind("HOST", metadata::gce_host, text), Workspace Public,
            "gce-metadata-host", ["GCE_METADATA_HOST"], "169.254.169.254",
            "Google's metadata server for --token-source gce-metadata; asked without a proxy, and only Google's own addresses and loopback are allowed";
        REMOTE_WRITE_URL: Uri = URL, Workspace Public, "remote-write-url", ["AMP_SIDECAR_REMOTE_WRITE_URL"], "[from region and workspace]",
            "Remote-write URL of the workspace; plain http is allowed for loopback only", from [AMP_ENDPOINT, ENDPOINT_URL];
        AMP_ENDPOINT: Uri = URL, Workspace Public, "amp-endpoint", ["AWS_ENDPOINT_URL_AMP"], "[from region]",
            "Base URL of AMP, for example a PrivateLink endpoint; the path of the workspace is appended";
        STS_ENDPOINT: Uri = URL, Workspace Public, "sts-endpoint", ["AWS_ENDPOINT_URL_STS"], "https://sts.<region>.amazonaws.com",
            "STS endpoint; plain http is allowed for loopback only", from [ENDPOINT_URL];
        ENDPOINT_URL: Uri = URL, Workspace Public, "endpoint-url", ["AWS_ENDPOINT_URL"], "[none]",
            "Base URL of AMP, STS and Roles Anywhere where no specific one is set";
        IGNORE_CONFIGURED_ENDPOINT_URLS: bool = SWITCH, Workspace Public,
            "ignore-configured-endpoint-urls", ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"], "false",
            "Ignore the variables AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_AMP, AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_ROLESANYWHERE";
        USE_FIPS_ENDPOINT: bool = SWITCH, Workspace Public, "use-fips-endpoint", ["AWS_USE_FIPS_ENDPOINT"], "false",
            "Use the FIPS endpoints of AMP, STS and Roles Anywhere";
        USE_DUALSTACK_ENDPOINT: bool = SWITCH, Workspace Public, "use-dualstack-endpoint", ["AWS_USE_DUALSTACK_ENDPOINT"], "false",
            "Use the dual-stack (IPv4 and IPv6) endpoints of AMP, STS and Roles Anywhere";
        CA_BUNDLE: PathBuf = PATH, Process Public, "ca-bundle", ["AWS_CA_BUNDLE"], "[none]",
            "PEM file of CA certificates to trust in addition to the built-in roots; reloaded when it changes";
        HTTPS_PROXY: Proxy = ValueKind("URL", Proxy::parse, text), Process Public, "https-proxy", ["HTTPS_PROXY", "https_proxy"], "[none]",
            "Proxy for AMP, STS, Entra ID and Roles Anywhere, http:// or https://, with user:password@ if it requires authentication";
        NO_PROXY: NoProxy = ValueKind("LIST", |list| Ok(NoProxy::parse(list)), text), Process Public, "no-proxy", ["NO_PROXY", "no_proxy"], "[none]",
            "Comma-separated hosts, domains, addresses, networks and host:port to reach without the proxy; loopback always is";
    }
    Listening {
        LISTEN: SocketAddr = ADDRESS, Fixed Public, "listen", ["AMP_SIDECAR_LISTEN"], "127.0.0.1:8005",
            "Address for remote write; addresses other than loopback require TLS with client authentication, or --allow-non-loopback";
        ALLOW_NON_LOOPBACK: bool = SWITCH, Fixed Public, "allow-non-loopback", ["AMP_SIDECAR_ALLOW_NON_LOOPBACK"], "false",
            "Accept unauthenticated clients on --listen: anyone who can reach it can write to the workspace with this role";
        LISTEN_TLS_CERT: PathBuf = PATH, Fixed Public, "listen-tls-cert", ["AMP_SIDECAR_LISTEN_TLS_CERT"], "[none]",
            "PEM file of the server certificate chain; reloaded when it changes";
        LISTEN_TLS_KEY: PathBuf = PATH, Fixed Public, "listen-tls-key", ["AMP_SIDECAR_LISTEN_TLS_KEY"], "[none]",
            "PEM file of the certificate's private key; reloaded when it changes";
        LISTEN_CLIENT_CA: PathBuf = PATH, Fixed Public, "listen-client-ca", ["AMP_SIDECAR_LISTEN_CLIENT_CA"], "[none]",
            "PEM file of CA certificates: clients must present a certificate issued by one of them";
        LISTEN_BEARER_TOKEN_FILE: PathBuf = PATH, Fixed Public, "listen-bearer-token-file", ["AMP_SIDECAR_LISTEN_BEARER_TOKEN_FILE"], "[none]",
            "File of bearer tokens, one per line: clients must present one of them";
        ALLOW_HOST: String = ValueKind("NAME...", values::host_name, text), Fixed Public, "allow-host", ["AMP_SIDECAR_ALLOW_HOST"], "[none]",
            "Host name that browsers and query clients may use, in addition to addresses and localhost; senders and scrapers may use any";
        ADMIN_LISTEN: SocketAddr = ADDRESS, Fixed Public, "admin-listen", ["AMP_SIDECAR_ADMIN_LISTEN"], "[::]:8006",
            "Address of the status page, /livez, /readyz and /metrics, over IPv6 and IPv4; they contain no secrets";
    }
    Limits {
        UPSTREAM_TIMEOUT: Duration = ValueKind("DURATION", |text| duration_within(text, (1, 300), "1s to 5m"), duration_text), Workspace Public,
            "upstream-timeout", ["AMP_SIDECAR_UPSTREAM_TIMEOUT"], "25s",
            "Deadline of a batch, from its last byte to AMP's response; keep it below Prometheus' remote_timeout of 30s";
        MAX_BODY_BYTES: usize = BYTES, Workspace Public, "max-body-bytes", ["AMP_SIDECAR_MAX_BODY_BYTES"], "32MiB",
            "Largest body accepted, larger ones get 413; at most --max-inflight-bytes";
        INSPECT: Inspect = choice!("auto|on|off": "auto" => Inspect::Auto, "on" => Inspect::On, "off" => Inspect::Off),
            Workspace Public, "inspect", ["AMP_SIDECAR_INSPECT"], "auto",
            "Decode bodies to count their samples: auto counts all while that costs less than --inspect-budget, and estimates what is stored from a random sample beyond it; on counts all; off none, and AMP alone validates them";
        INSPECT_BUDGET: CpuShare = ValueKind("PERCENT", values::cpu_share, |share| format!("{}%", share.percent())), Workspace Public,
            "inspect-budget", ["AMP_SIDECAR_INSPECT_BUDGET"], "0.2%",
            "Share of a core that --inspect auto spends on counting batches that are stored; all others are always counted";
        MAX_UPSTREAM_BYTES: usize = BYTES, Workspace Public, "max-upstream-bytes", ["AMP_SIDECAR_MAX_UPSTREAM_BYTES"], "1MB",
            "Largest request to AMP, whose own limit is the default; larger bodies are split by series into several requests";
        MAX_INFLIGHT_BYTES: usize = BYTES, Workspace Public, "max-inflight-bytes", ["AMP_SIDECAR_MAX_INFLIGHT_BYTES"],
            "[a quarter of the cgroup's memory limit, at most 64MiB]",
            "Bytes of all batches in flight; beyond it senders get 503 and retry";
        CLIENT_SHARE: u8 = ValueKind("PERCENT", values::percent, |percent| format!("{percent}%")), Workspace Public,
            "client-share", ["AMP_SIDECAR_CLIENT_SHARE"], "50%",
            "Share of --max-inflight-bytes and of concurrent requests that one client may use where --listen is not loopback";
        DRAIN_IDLE: Duration = DURATION, Fixed Public, "drain-idle", ["AMP_SIDECAR_DRAIN_IDLE"], "5s",
            "After SIGTERM, stop when no request has arrived for this long, three times as long after a sender got a 503";
        DRAIN_TIMEOUT: Duration = DURATION, Fixed Public, "drain-timeout", ["AMP_SIDECAR_DRAIN_TIMEOUT"], "90s",
            "After SIGTERM, stop after this long at the latest; keep it above Prometheus' flush deadline of 1m";
    }
    Queries {
        ALLOW_QUERY: bool = SWITCH, Workspace Public, "allow-query", ["AMP_SIDECAR_ALLOW_QUERY"], "false",
            "Also serve the workspace's query API: anyone who can reach --listen can read the workspace with this role";
        ALLOW_ALERTMANAGER: Alertmanager = choice!("off|read|silence": "off" => Alertmanager::Off, "read" => Alertmanager::Read, "silence" => Alertmanager::Silence),
            Workspace Public, "allow-alertmanager", ["AMP_SIDECAR_ALLOW_ALERTMANAGER"], "off",
            "Also serve the workspace's Alertmanager to anyone who can reach --listen: read shows alerts and silences, silence also creates and ends silences";
        QUERY_TIMEOUT: Duration = ValueKind("DURATION", |text| duration_within(text, (1, 600), "1s to 10m"), duration_text), Workspace Public,
            "query-timeout", ["AMP_SIDECAR_QUERY_TIMEOUT"], "2m",
            "Deadline of a query, from its request to the last byte of AMP's response; the default is Prometheus' own";
    }
    Tracing {
        OTLP_ENDPOINT: Uri = ValueKind("URL", otlp::collector_base, text), Fixed Public,
            "otlp-endpoint", ["OTEL_EXPORTER_OTLP_ENDPOINT"], "[none, and no traces]",
            "Base URL of an OpenTelemetry collector, for OTLP over HTTP; traces are sent to its path /v1/traces";
        OTLP_TRACES_ENDPOINT: Uri = ValueKind("URL", otlp::collector, text), Fixed Public,
            "otlp-traces-endpoint", ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], "[from --otlp-endpoint]",
            "Full URL to send traces to", from [OTLP_ENDPOINT];
        OTLP_PROTOCOL: () = ValueKind("PROTOCOL", otlp::protocol, |()| "http/protobuf".to_owned()), Fixed Public,
            "otlp-protocol", ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"], "http/protobuf",
            "OTLP transport; the default is the only one supported";
        OTLP_HEADERS: HeaderMap = ValueKind("KEY=VALUE,...", otlp::headers, otlp::headers_text), Fixed Secret,
            "otlp-headers", ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"], "[none]",
            "Headers to send to the collector, for example an API key; never shown";
        OTLP_TIMEOUT: Duration = MILLISECONDS, Fixed Public,
            "otlp-timeout", ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"], "10000",
            "Timeout of one export attempt";
        OTLP_COMPRESSION: bool = choice!("none|gzip": "none" => false, "gzip" => true), Fixed Public,
            "otlp-compression", ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"], "none",
            "Compression of exports";
        OTLP_CERTIFICATE: PathBuf = PATH, Fixed Public,
            "otlp-certificate", ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"], "[none]",
            "PEM file of CA certificates to trust for the collector, in addition to the built-in roots and --ca-bundle; reloaded when it changes";
        OTEL_SERVICE_NAME: String = ValueKind("NAME", |name| Ok(name.to_owned()), text), Fixed Public,
            "otel-service-name", ["OTEL_SERVICE_NAME"], "[amp-sidecar]",
            "Service name in traces";
        OTEL_RESOURCE_ATTRIBUTES: Vec<Pair> = ValueKind("KEY=VALUE,...", otlp::pairs, |pairs| otlp::pairs_text(pairs)), Fixed Public,
            "otel-resource-attributes", ["OTEL_RESOURCE_ATTRIBUTES"], "[none]",
            "Resource attributes in traces, for example k8s.pod.name=prometheus-0";
        TRACES_SAMPLER: Sampler = ValueKind("SAMPLER", otlp::sampler, otlp::sampler_text), Fixed Public,
            "traces-sampler", ["OTEL_TRACES_SAMPLER"], "parentbased_always_on",
            "Which batches are traced: always_on, always_off or traceidratio; with the prefix parentbased_ the sender's decision takes precedence";
        TRACES_SAMPLER_ARG: f64 = ValueKind("SHARE", otlp::share, text), Fixed Public, "traces-sampler-arg", ["OTEL_TRACES_SAMPLER_ARG"], "1",
            "Share of batches that traceidratio traces, 0 to 1";
        TRACES_EXPORTER: bool = choice!("otlp|none": "otlp" => true, "none" => false), Fixed Public,
            "traces-exporter", ["OTEL_TRACES_EXPORTER"], "otlp",
            "Exporter of traces; none disables traces even if an endpoint is set";
        OTEL_SDK_DISABLED: bool = SWITCH, Fixed Public, "otel-sdk-disabled", ["OTEL_SDK_DISABLED"], "false",
            "Disable traces";
        BSP_SCHEDULE_DELAY: Duration = MILLISECONDS, Fixed Public, "bsp-schedule-delay", ["OTEL_BSP_SCHEDULE_DELAY"], "5000",
            "How long a span may wait for others to be exported with it";
        BSP_EXPORT_TIMEOUT: Duration = MILLISECONDS, Fixed Public, "bsp-export-timeout", ["OTEL_BSP_EXPORT_TIMEOUT"], "30000",
            "How long an export is retried before its spans are dropped";
        BSP_MAX_QUEUE_SIZE: usize = SPANS, Fixed Public, "bsp-max-queue-size", ["OTEL_BSP_MAX_QUEUE_SIZE"], "2048",
            "Maximum number of queued spans; further spans are dropped and counted";
        BSP_MAX_EXPORT_BATCH_SIZE: usize = SPANS, Fixed Public, "bsp-max-export-batch-size", ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], "512",
            "Maximum number of spans in one export";
    }
    Logging {
        LOG_FORMAT: LogFormat =
            choice!("json|logfmt|text": "json" => LogFormat::Json, "logfmt" => LogFormat::Logfmt, "text" => LogFormat::Text), Fixed Public,
            "log-format", ["AMP_SIDECAR_LOG_FORMAT"], "[text on a terminal, else json]",
            "Format of log lines, also of those that report an invalid configuration";
        LOG_LEVEL: Level = ValueKind("LEVEL", values::log_level, |level| level.to_string().to_ascii_lowercase()), Fixed Public,
            "log-level", ["AMP_SIDECAR_LOG"], "info",
            "Minimum log level: error, warn, info, debug or trace";
    }
    Process {
        CONFIG: PathBuf = PATH, Process Public, "config", ["AMP_SIDECAR_CONFIG"], "[none]",
            "YAML configuration file, for several workspaces; flags and environment variables override its top level";
        SANDBOX: bool = ON_OFF, Fixed Public, "sandbox", ["AMP_SIDECAR_SANDBOX"], "on",
            "Drop privileges at start (Landlock, seccomp) as far as the kernel supports it; off allows debuggers";
    }
}

/// What nobody can do without.
pub const ESSENTIAL: [&Setting; 4] = [
    &REGION.setting,
    &WORKSPACE_ID.setting,
    &ROLE_ARN.setting,
    &WEB_IDENTITY_TOKEN_FILE.setting,
];

impl Setting {
    /// Whether each workspace may have its own.
    pub(crate) fn is_of_workspace(&self) -> bool {
        self.scope == SettingScope::Workspace
    }

    /// Whether it is a switch, whose value is optional.
    pub(crate) fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    pub(crate) fn repeats(&self) -> bool {
        self.value.ends_with("...")
    }

    /// The default for people: without the brackets if it is a description.
    pub(crate) fn shown_default(&self) -> &'static str {
        let within = self.default.strip_prefix('[');
        let within = within.and_then(|rest| rest.strip_suffix(']'));
        within.unwrap_or(self.default)
    }

    /// The default as text to be parsed, if it is a fixed one.
    pub(super) fn fixed_default(&self) -> Option<&'static str> {
        let computed = self.shown_default() != self.default || self.default.contains('<');
        (!computed).then_some(self.default)
    }

    /// Its key in the configuration file.
    pub(super) fn key(&self) -> String {
        self.flag.replace('-', "_")
    }
}

impl<T> Deref for Row<T> {
    type Target = Setting;

    fn deref(&self) -> &Setting {
        &self.setting
    }
}

impl<T> Row<T> {
    /// The row without its type.
    pub(super) const fn setting(&'static self) -> &'static Setting {
        &self.setting
    }
}

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
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
