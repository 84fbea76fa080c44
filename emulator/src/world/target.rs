//! The services of a world, by name.

use serde::{Deserialize, Serialize};

/// One of the services that a sidecar depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The OIDC issuer; only STS talks to it.
    Issuer,
    /// STS.
    Sts,
    /// AMP.
    Amp,
    /// Entra ID, where the world has one.
    Entra,
    /// The machine's metadata server, where the world has one.
    Metadata,
    /// IAM Roles Anywhere, where the world has it.
    RolesAnywhere,
    /// The agents of EKS and ECS, where the world has them.
    Container,
}

// === impl Target ===

impl Target {
    /// `issuer`, `sts`, `amp`, `entra`, `metadata`, `roles_anywhere` or `container`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "issuer" => Some(Self::Issuer),
            "sts" => Some(Self::Sts),
            "amp" => Some(Self::Amp),
            "entra" => Some(Self::Entra),
            "metadata" => Some(Self::Metadata),
            "roles_anywhere" => Some(Self::RolesAnywhere),
            "container" => Some(Self::Container),
            _ => None,
        }
    }
}
