//! The objects in Azure: the cluster's issuer or the machine's identity, and with Entra an application that AWS' tokens are for.
//!
//! In: a valid [`Azure`]. Out: a script of az commands, which may run again. It ends by printing the values that the next step needs, since
//! Azure assigns client id and object id.

use super::template::{fill, shell};

/// All values that Azure needs.
#[derive(Debug)]
pub(super) struct Azure {
    pub(super) resource_group: String,
    pub(super) runs_on: RunsOn,
}

/// Where Prometheus runs, and how its identity gets to AWS.
#[derive(Debug)]
pub(super) enum RunsOn {
    Cluster(String),
    /// The application also exchanges the tokens of this service account.
    ClusterWithEntra {
        cluster: String,
        application: Application,
        namespace: String,
        service_account: String,
    },
    Machine {
        machine: Machine,
        application: Application,
    },
}

/// The application that represents AWS.
#[derive(Debug)]
pub(super) struct Application {
    pub(super) tenant: String,
    pub(super) app_id_uri: String,
    pub(super) token_version: TokenVersion,
}

#[derive(Debug)]
pub(super) enum Machine {
    Vm(String),
    ScaleSet(String),
}

/// The version of Entra's access tokens: it decides their issuer and audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenVersion {
    V1,
    V2,
}

// === impl Azure ===

impl Azure {
    pub(super) fn text(&self) -> String {
        let issuer = include_str!("templates/azure-issuer.sh");
        let (name, issuer, rest) = match &self.runs_on {
            RunsOn::Cluster(cluster) => (
                format!("cluster={}", shell(cluster)),
                issuer,
                include_str!("templates/azure-direct.sh").to_owned(),
            ),
            RunsOn::ClusterWithEntra {
                cluster,
                application,
                namespace,
                service_account,
            } => {
                let subject = format!("system:serviceaccount:{namespace}:{service_account}");
                let credential = credential_name(&[cluster, namespace, service_account]);
                let own = [
                    ("subject", shell(&subject)),
                    ("credential", shell(&credential)),
                ];
                let template = include_str!("templates/azure-entra.sh");
                let rest = application.used_in(template, &credential, &own);
                (format!("cluster={}", shell(cluster)), issuer, rest)
            }
            RunsOn::Machine {
                machine,
                application,
            } => {
                let (name, kind) = match machine {
                    Machine::Vm(name) => (name, "vm"),
                    Machine::ScaleSet(name) => (name, "vmss"),
                };
                let template = include_str!("templates/azure-machine.sh");
                let own = [("kind", kind.to_owned())];
                let rest = application.used_in(template, "amp-sidecar", &own);
                (format!("machine={}", shell(name)), "", rest)
            }
        };
        fill(
            include_str!("templates/azure.sh"),
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("name", &name),
                ("resource_group", &shell(&self.resource_group)),
                ("issuer", issuer),
                ("rest", &rest),
            ],
        )
    }
}

// === impl Application ===

impl Application {
    /// A template with the commands that make the application under this name, and with values of its own.
    fn used_in(&self, template: &str, name: &str, own: &[(&str, String)]) -> String {
        let (version, more) = match self.token_version {
            TokenVersion::V1 => ("1", ""),
            TokenVersion::V2 => ("2", " --access-token-version 2 --client-id $client"),
        };
        let application = fill(
            include_str!("templates/azure-application.sh"),
            &[
                ("tenant", &shell(&self.tenant)),
                ("app_id_uri", &shell(&self.app_id_uri)),
                ("application_name", &shell(name)),
                ("token_version", version),
            ],
        );
        let mut values = vec![("application", application.as_str()), ("more", more)];
        values.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
        fill(template, &values)
    }
}

/// Entra allows up to 120 letters, digits, `-` and `_`.
fn credential_name(parts: &[&str]) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    parts.join("-").chars().map(fit).take(120).collect()
}
