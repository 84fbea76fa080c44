//! What must exist in Azure: the cluster's issuer, and with Entra in between an application that trusts it.
//!
//! In: a valid [`Azure`]. Out: a script of az commands, which may be run again. It ends by showing what the next step needs
//! to be told, since client id and object id are given by Azure and known only then.

use super::template::{fill, shell};

/// All that Azure must be told.
#[derive(Debug)]
pub(super) struct Azure {
    pub(super) cluster: String,
    pub(super) resource_group: String,
    pub(super) entra: Option<EntraSetup>,
}

/// The application that the cluster's tokens are exchanged with.
#[derive(Debug)]
pub(super) struct EntraSetup {
    pub(super) tenant: String,
    pub(super) app_id_uri: String,
    pub(super) token_version: TokenVersion,
    pub(super) namespace: String,
    pub(super) service_account: String,
}

/// The form of Entra's access tokens: it decides their issuer and audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenVersion {
    V1,
    V2,
}

// === impl Azure ===

impl Azure {
    pub(super) fn text(&self) -> String {
        let rest = match &self.entra {
            None => include_str!("templates/azure-direct.sh").to_owned(),
            Some(entra) => entra.text(&self.cluster),
        };
        fill(
            include_str!("templates/azure.sh"),
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("cluster", &shell(&self.cluster)),
                ("resource_group", &shell(&self.resource_group)),
                ("rest", &rest),
            ],
        )
    }
}

// === impl EntraSetup ===

impl EntraSetup {
    fn text(&self, cluster: &str) -> String {
        let (namespace, account) = (&self.namespace, &self.service_account);
        let (version, more) = match self.token_version {
            TokenVersion::V1 => ("1", ""),
            TokenVersion::V2 => ("2", " --access-token-version 2 --client-id $client"),
        };
        fill(
            include_str!("templates/azure-entra.sh"),
            &[
                ("tenant", &shell(&self.tenant)),
                ("app_id_uri", &shell(&self.app_id_uri)),
                (
                    "subject",
                    &shell(&format!("system:serviceaccount:{namespace}:{account}")),
                ),
                (
                    "credential",
                    &shell(&credential_name(&[cluster, namespace, account])),
                ),
                ("token_version", version),
                ("more", more),
            ],
        )
    }
}

/// Entra takes up to 120 letters, digits, `-` and `_`.
fn credential_name(parts: &[&str]) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    parts.join("-").chars().map(fit).take(120).collect()
}
