//! The sidecar in a pod, for the three ways to run Prometheus.
//!
//! In: a valid [`Kubernetes`]. Out: a patch, a manifest, or values of the chart. Container, hook and volume are the same in all three and
//! in `docs/kubernetes.md`. They name only what is ours: an account or a grace period of somebody's own stays as it is. No webhook injects anything: everything that the sidecar needs is in the manifest, so it works in every cluster and can be
//! reviewed.

use super::prometheus::operators_entry;
use super::template::{fill, quoted};

/// The audience of the projected token that Entra requires.
const ENTRA_EXCHANGE: &str = "api://AzureADTokenExchange";
const TOKEN_FILE: &str = "/var/run/secrets/amp-sidecar/token";

/// The Operator's name for Prometheus' container.
const OPERATORS_CONTAINER: &str = "prometheus";

/// All values of the manifests.
#[derive(Debug)]
pub(super) struct Kubernetes {
    pub(super) runner: Runner,
    pub(super) name: String,
    pub(super) container: String,
    pub(super) namespace: String,
    pub(super) service_account: String,
    pub(super) image: String,
    pub(super) region: String,
    pub(super) workspace: String,
    pub(super) role_arn: String,
    pub(super) identity: Identity,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Runner {
    StatefulSet,
    Operator,
    KubePrometheusStack,
}

/// Whose token goes to AWS.
#[derive(Debug)]
pub(super) enum Identity {
    /// The cluster's, with this audience.
    Direct { audience: String },
    /// Entra's, in exchange for the cluster's.
    EntraSetup {
        tenant: String,
        client: String,
        app_id_uri: String,
    },
}

// === impl Kubernetes ===

impl Kubernetes {
    pub(super) fn text(&self) -> String {
        let template = match self.runner {
            Runner::StatefulSet => include_str!("templates/statefulset.yaml"),
            Runner::Operator => include_str!("templates/operator.yaml"),
            Runner::KubePrometheusStack => include_str!("templates/kube-prometheus-stack.yaml"),
        };
        fill(
            template,
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("name", &quoted(&self.name)),
                ("namespace", &quoted(&self.namespace)),
                ("service_account", &quoted(&self.service_account)),
                ("sidecar", &self.sidecar()),
                ("hook", &self.hook()),
                ("volume", &self.volume()),
                ("remote_write", &operators_entry()),
            ],
        )
    }

    fn sidecar(&self) -> String {
        fill(
            include_str!("templates/sidecar.yaml"),
            &[
                ("image", &quoted(&self.image)),
                ("region", &quoted(&self.region)),
                ("workspace", &quoted(&self.workspace)),
                ("role_arn", &quoted(&self.role_arn)),
                ("identity", &self.identity.variables()),
            ],
        )
    }

    fn hook(&self) -> String {
        let container = match self.runner {
            Runner::StatefulSet => &self.container,
            Runner::Operator | Runner::KubePrometheusStack => OPERATORS_CONTAINER,
        };
        fill(
            include_str!("templates/hook.yaml"),
            &[("container", &quoted(container))],
        )
    }

    fn volume(&self) -> String {
        let audience = match &self.identity {
            Identity::Direct { audience } => audience,
            Identity::EntraSetup { .. } => ENTRA_EXCHANGE,
        };
        fill(
            include_str!("templates/volume.yaml"),
            &[("audience", &quoted(audience))],
        )
    }
}

// === impl Identity ===

impl Identity {
    fn variables(&self) -> String {
        let variables = match self {
            Self::Direct { .. } => vec![("AWS_WEB_IDENTITY_TOKEN_FILE", TOKEN_FILE.to_owned())],
            Self::EntraSetup {
                tenant,
                client,
                app_id_uri,
            } => vec![
                ("AMP_SIDECAR_TOKEN_SOURCE", "entra".to_owned()),
                ("AZURE_TENANT_ID", tenant.clone()),
                ("AZURE_CLIENT_ID", client.clone()),
                ("AZURE_FEDERATED_TOKEN_FILE", TOKEN_FILE.to_owned()),
                ("AMP_SIDECAR_ENTRA_SCOPE", format!("{app_id_uri}/.default")),
            ],
        };
        variables
            .iter()
            .map(|(name, value)| format!("- {{ name: {name}, value: {} }}\n", quoted(value)))
            .collect()
    }
}
