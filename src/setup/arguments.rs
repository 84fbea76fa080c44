//! The definition of `setup`'s arguments.
//!
//! In: nothing. Out: [`ALL`], from which the command line, its help and the table in `docs/setup.md` are made. They are not settings of the
//! sidecar: none has an environment variable, so the output depends on the command line alone. Values stay text; the
//! [reader](super::reader) checks them and reports all errors at once.

use Topic::{Aws, Azure, Kubernetes, Prometheus};

/// What the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Aws,
    Azure,
    Kubernetes,
    Prometheus,
}

#[derive(Debug)]
pub(super) struct Argument {
    /// The flag, without the dashes.
    pub(super) flag: &'static str,
    /// The value's placeholder in the help; empty for a switch.
    pub(super) value: &'static str,
    /// The default, or in brackets how it is found or when it is needed.
    pub(super) default: &'static str,
    /// The topics that take it.
    pub(super) topics: &'static [Topic],
    /// What it is, in one sentence.
    pub(super) help: &'static str,
}

macro_rules! arguments {
    ($($name:ident: $flag:literal, $value:literal, $default:literal, $topics:expr, $help:literal;)*) => {
        $(pub(super) const $name: Argument = Argument {
            flag: $flag, value: $value, default: $default, topics: $topics, help: $help,
        };)*
        /// Every argument, in the order of the help.
        pub(super) const ALL: &[Argument] = &[$($name),*];
    };
}

arguments! {
    VIA: "via", "direct|entra|azure-imds|gce-metadata|pod-identity|roles-anywhere", "direct", &[Aws, Azure, Kubernetes],
        "Whom AWS trusts: the cluster's tokens, those that Microsoft Entra ID issues in exchange, those of a virtual machine in Azure or at Google, EKS Pod Identity, or with IAM Roles Anywhere the certificates of a CA";
    ISSUER: "issuer", "URL", "[this or --token]", &[Aws],
        "The cluster's exact OIDC issuer, including a trailing slash";
    TOKEN: "token", "FILE", "[none]", &[Aws, Kubernetes],
        "A token of the pod's service account (with another --via, one of Entra's or Google's): only its claims are read, and it is never printed";
    NAMESPACE: "namespace", "NAME", "monitoring", &[Aws, Azure, Kubernetes],
        "Prometheus' namespace";
    SERVICE_ACCOUNT: "service-account", "NAME", "prometheus", &[Aws, Azure, Kubernetes],
        "Prometheus' service account";
    TENANT_ID: "tenant-id", "GUID", "[required with --via entra and azure-imds]", &[Aws, Azure, Kubernetes],
        "The Entra tenant";
    CLIENT_ID: "client-id", "GUID", "[required with --via entra; for aws only with version 2]", &[Aws, Kubernetes],
        "Client id of the Entra application or of the machine's managed identity, printed by the script of `setup azure`";
    OBJECT_ID: "object-id", "GUID", "[required with --via entra and azure-imds]", &[Aws],
        "Object id of the Entra application's service principal, or of the machine's managed identity, printed by the script of `setup azure`";
    APP_ID_URI: "app-id-uri", "URI", "api://<tenant-id>/amp-sidecar", &[Aws, Azure, Kubernetes],
        "App ID URI of the Entra application that represents AWS, the audience of the tokens";
    ACCESS_TOKEN_VERSION: "access-token-version", "1|2", "1", &[Aws, Azure],
        "Version of the access tokens that Entra issues";
    UNIQUE_ID: "unique-id", "NUMBER", "[required with --via gce-metadata]", &[Aws],
        "Unique id of the machine's service account: gcloud iam service-accounts describe EMAIL --format='value(uniqueId)'";
    TOKEN_AUDIENCE: "token-audience", "TEXT", "sts.amazonaws.com", &[Aws],
        "With --via gce-metadata, the audience of Google's tokens: --token-audience of the sidecar";
    CLUSTER: "cluster", "NAME", "[required for azure, except with --via azure-imds, and for aws with --via pod-identity]", &[Aws, Azure],
        "The AKS cluster, or with --via pod-identity the EKS cluster";
    CLUSTER_REGION: "cluster-region", "REGION", "[the workspace's]", &[Aws],
        "With --via pod-identity, the EKS cluster's region";
    CA_CERTIFICATE: "ca-certificate", "FILE", "[required with --via roles-anywhere]", &[Aws],
        "PEM file of the CA that issues the sidecar's certificate, or of the root above it: it goes into the trust anchor";
    COMMON_NAME: "common-name", "NAME", "amp-sidecar", &[Aws],
        "With --via roles-anywhere, the common name of the sidecar's certificate, which the role trusts alone";
    VM: "vm", "NAME", "[this or --vmss with --via azure-imds]", &[Azure],
        "The virtual machine, if it is not a scale set";
    VMSS: "vmss", "NAME", "[none]", &[Azure],
        "The scale set";
    RESOURCE_GROUP: "resource-group", "NAME", "[required]", &[Azure],
        "The resource group of cluster, machine or scale set";
    ACCOUNT: "account", "ID", "[required]", &[Aws, Kubernetes],
        "The AWS account of the workspace and the role";
    REGION: "region", "REGION", "[required]", &[Aws, Kubernetes],
        "The workspace's region";
    PARTITION: "partition", "NAME", "[from the region]", &[Aws, Kubernetes],
        "AWS partition, as in ARNs: aws, aws-us-gov, aws-cn";
    WORKSPACE_ID: "workspace-id", "WS-ID", "[required]", &[Aws, Kubernetes, Prometheus],
        "The AMP workspace to write to; for prometheus only if the sidecar has several";
    ROLE_NAME: "role-name", "NAME", "amp-sidecar", &[Aws, Kubernetes],
        "The IAM role to create for the sidecar";
    QUERY_TOO: "query-too", "", "false", &[Aws],
        "Also allow the role to query the workspace; needed only for --allow-query";
    ALERTMANAGER_TOO: "alertmanager-too", "read|silence", "[none]", &[Aws],
        "Also allow the role to read the workspace's Alertmanager, or also to silence alerts; needed only for --allow-alertmanager";
    FORMAT: "format", "cli|cloudformation|terraform", "cli", &[Aws],
        "Output format: a script of aws commands, a CloudFormation template or Terraform";
    FOR: "for", "statefulset|operator|kube-prometheus-stack|prometheus-chart", "statefulset", &[Kubernetes],
        "How Prometheus is deployed: a plain StatefulSet, the Prometheus Operator, or one of the charts kube-prometheus-stack and prometheus";
    PLAIN: "plain", "", "false", &[Kubernetes],
        "A plain container instead of a native sidecar: before Kubernetes 1.29, or so that Prometheus starts even if the sidecar cannot";
    NAME: "name", "NAME", "prometheus", &[Kubernetes],
        "The StatefulSet, or the Operator's Prometheus object, to add the sidecar to";
    CONTAINER: "container", "NAME", "prometheus", &[Kubernetes],
        "The StatefulSet's container of Prometheus, which gets a preStop hook";
    IMAGE: "image", "IMAGE", "[required]", &[Kubernetes],
        "The sidecar's image in your registry";
    RUNBOOKS: "runbooks", "URL", "https://git.example/amp-sidecar/blob/main/docs/runbooks.md", &[Kubernetes],
        "Where your copy of docs/runbooks.md is: the links of alerts and dashboard";
}

// === impl Argument ===

impl Argument {
    /// Whether it is a switch, which takes no value.
    pub(super) fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// The default as text to be parsed, if it is a fixed one.
    pub(super) fn fixed_default(&self) -> Option<&'static str> {
        let found = self.default.starts_with('[') || self.default.contains('<');
        (!found).then_some(self.default)
    }
}
