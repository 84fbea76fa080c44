//! The sidecar in a pod, for the four ways to run Prometheus.
//!
//! In: a valid [`Kubernetes`]. Out: a patch, manifests, or values of a chart; with the Operator or a chart also what scrapes the sidecar, its alerts
//! and its dashboard. Container, hook and volume are the same in all four and in `docs/kubernetes.md`; the files of `deploy/` are this output. They
//! name only what is ours: an account or a grace period that you set stays as it is. No webhook injects anything: everything that the
//! sidecar needs is in the manifest, so it works in every cluster and can be reviewed.

use super::mixin;
use super::prometheus::{entry, operators_entry};
use super::template::{fill, quoted, section};

/// The audience of the projected token that Entra requires.
const ENTRA_EXCHANGE: &str = "api://AzureADTokenExchange";
const TOKEN_FILE: &str = "/var/run/secrets/amp-sidecar/token";

/// The Operator's name for Prometheus' container.
const OPERATORS_CONTAINER: &str = "prometheus";

/// All values of the manifests.
#[derive(Debug)]
pub(super) struct Kubernetes {
    pub(super) runner: Runner,
    /// As a native sidecar, or as a plain container.
    pub(super) native: bool,
    pub(super) name: String,
    pub(super) container: String,
    pub(super) namespace: String,
    pub(super) service_account: String,
    pub(super) image: String,
    pub(super) region: String,
    pub(super) workspace: String,
    pub(super) role_arn: String,
    pub(super) identity: Identity,
    pub(super) runbooks: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Runner {
    StatefulSet,
    Operator,
    KubePrometheusStack,
    PrometheusChart,
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
    /// EKS gives the pod credentials of the associated role.
    Eks,
}

// === impl Kubernetes ===

impl Kubernetes {
    pub(super) fn text(&self) -> String {
        let template = match self.runner {
            Runner::StatefulSet => include_str!("templates/statefulset.yaml"),
            Runner::Operator => include_str!("templates/operator.yaml"),
            Runner::KubePrometheusStack => include_str!("templates/kube-prometheus-stack.yaml"),
            Runner::PrometheusChart => include_str!("templates/prometheus-chart.yaml"),
        };
        let namespace = quoted(&self.namespace);
        let dashboard = mixin::dashboard(&namespace, &self.runbooks);
        let volume = self.volume();
        fill(
            &section(template, "volume", volume.is_some()),
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("name", &quoted(&self.name)),
                ("parts", self.identity.parts()),
                ("namespace", &namespace),
                ("service_account", &quoted(&self.service_account)),
                ("containers", &self.containers()),
                ("volume", &volume.unwrap_or_default()),
                ("remote_write", &self.runner.remote_write()),
                ("pod_monitor", include_str!("templates/pod-monitor.yaml")),
                ("runbooks", &self.runbooks),
                ("alerts", &mixin::alerts(&self.runbooks)),
                ("dashboard", &self.runner.rendered(dashboard)),
            ],
        )
    }

    /// The lists of containers, as the pod or the chart calls them.
    fn containers(&self) -> String {
        let template = match (self.runner, self.native) {
            (Runner::PrometheusChart, true) => {
                include_str!("templates/containers/prometheus-chart-native.yaml")
            }
            (Runner::PrometheusChart, false) => {
                include_str!("templates/containers/prometheus-chart-plain.yaml")
            }
            (_, true) => include_str!("templates/containers/native.yaml"),
            (_, false) => include_str!("templates/containers/plain.yaml"),
        };
        let values = [("sidecar", &*self.sidecar()), ("hook", &*self.hook())];
        fill(template, &values)
    }

    fn sidecar(&self) -> String {
        let (restart_policy, own_hook) = if self.native {
            (include_str!("templates/restart-policy.yaml"), "")
        } else {
            ("", include_str!("templates/own-hook.yaml"))
        };
        fill(
            include_str!("templates/sidecar.yaml"),
            &[
                ("restart_policy", restart_policy),
                ("own_hook", own_hook),
                ("image", &quoted(&self.image)),
                ("region", &quoted(&self.region)),
                ("workspace", &quoted(&self.workspace)),
                ("identity", &self.identity.variables(&self.role_arn)),
                ("volume_mounts", self.identity.volume_mounts()),
            ],
        )
    }

    fn hook(&self) -> String {
        let container = match self.runner {
            Runner::StatefulSet => &self.container,
            Runner::Operator | Runner::KubePrometheusStack | Runner::PrometheusChart => {
                OPERATORS_CONTAINER
            }
        };
        fill(
            include_str!("templates/hook.yaml"),
            &[("container", &quoted(container))],
        )
    }

    /// EKS mounts its own token.
    fn volume(&self) -> Option<String> {
        let audience = match &self.identity {
            Identity::Direct { audience } => audience,
            Identity::EntraSetup { .. } => ENTRA_EXCHANGE,
            Identity::Eks => return None,
        };
        Some(fill(
            include_str!("templates/volume.yaml"),
            &[("audience", &quoted(audience))],
        ))
    }
}

// === impl Runner ===

impl Runner {
    /// In the spelling of `prometheus.yml` or of the Operator.
    fn remote_write(self) -> String {
        match self {
            Self::StatefulSet | Self::PrometheusChart => {
                entry("/api/v1/remote_write", str::to_owned)
            }
            Self::Operator | Self::KubePrometheusStack => operators_entry(),
        }
    }

    /// As it must be written for the chart to render it as it is.
    fn rendered(self, text: String) -> String {
        match self {
            Self::StatefulSet | Self::Operator => text,
            Self::KubePrometheusStack | Self::PrometheusChart => mixin::for_helm(&text),
        }
    }
}

// === impl Identity ===

impl Identity {
    fn variables(&self, role_arn: &str) -> String {
        let role = ("AWS_ROLE_ARN", role_arn.to_owned());
        let variables = match self {
            Self::Direct { .. } => {
                vec![role, ("AWS_WEB_IDENTITY_TOKEN_FILE", TOKEN_FILE.to_owned())]
            }
            Self::EntraSetup {
                tenant,
                client,
                app_id_uri,
            } => vec![
                role,
                ("AMP_SIDECAR_TOKEN_SOURCE", "entra".to_owned()),
                ("AZURE_TENANT_ID", tenant.clone()),
                ("AZURE_CLIENT_ID", client.clone()),
                ("AZURE_FEDERATED_TOKEN_FILE", TOKEN_FILE.to_owned()),
                ("AMP_SIDECAR_ENTRA_SCOPE", format!("{app_id_uri}/.default")),
            ],
            Self::Eks => vec![("AMP_SIDECAR_CREDENTIALS", "container".to_owned())],
        };
        variables
            .iter()
            .map(|(name, value)| format!("- {{ name: {name}, value: {} }}\n", quoted(value)))
            .collect()
    }
    /// What is added to the pod, for people.
    fn parts(&self) -> &'static str {
        match self {
            Self::Direct { .. } | Self::EntraSetup { .. } => "the sidecar, its token and a hook",
            Self::Eks => "the sidecar and a hook",
        }
    }

    fn volume_mounts(&self) -> &'static str {
        match self {
            Self::Direct { .. } | Self::EntraSetup { .. } => {
                include_str!("templates/volume-mounts.yaml")
            }
            Self::Eks => "",
        }
    }
}
