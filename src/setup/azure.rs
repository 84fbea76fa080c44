//! The objects in Azure: the cluster's issuer, and with Entra an application that trusts it.
//!
//! In: a valid [`Azure`]. Out: a script of az commands, which may run again. It ends by printing the values that the next step needs, since
//! Azure assigns client id and object id.

use super::template::{fill, shell};

/// All values that Azure needs.
#[derive(Debug)]
pub(super) struct Azure {
    pub(super) cluster: String,
    pub(super) resource_group: String,
    pub(super) entra: Option<EntraSetup>,
}

/// The application that exchanges the cluster's tokens.
#[derive(Debug)]
pub(super) struct EntraSetup {
    pub(super) tenant: String,
    pub(super) app_id_uri: String,
    pub(super) token_version: TokenVersion,
    pub(super) namespace: String,
    pub(super) service_account: String,
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

/// Entra allows up to 120 letters, digits, `-` and `_`.
fn credential_name(parts: &[&str]) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    parts.join("-").chars().map(fit).take(120).collect()
}
