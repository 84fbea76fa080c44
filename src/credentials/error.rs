//! Why an exchange gave no credentials.

use crate::credentials::cache::Failure;
use crate::credentials::container::ContainerError;
use crate::credentials::entra::EntraError;
use crate::credentials::metadata::MetadataError;
use crate::credentials::profile::ProfileError;
use crate::credentials::roles_anywhere::RolesAnywhereError;
use crate::credentials::sts::{Pace, StsError};
use crate::credentials::token::TokenError;
use crate::remedies::Advice;
use crate::telemetry::incidents::Diagnosis;

/// Why an exchange gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There was no token to exchange.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Entra gave no token for it.
    #[error(transparent)]
    Entra(#[from] EntraError),
    /// The machine's metadata server gave no token.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The container's endpoint gave no credentials.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The credentials file gave no keys.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Roles Anywhere gave nothing for the certificate.
    #[error(transparent)]
    RolesAnywhere(#[from] RolesAnywhereError),
    /// STS gave nothing for the token.
    #[error("{source}")]
    WebIdentity {
        /// STS' error.
        source: StsError,
        /// What to do, with the values that AWS must hold.
        remedy: Advice,
    },
    /// STS gave nothing for the previous role's credentials.
    #[error("hop {number} of {of}, {role_arn}: {source}")]
    Hop {
        /// Which hop, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// The role that was to be assumed.
        role_arn: String,
        /// STS' error.
        source: StsError,
        /// What to do, with the values that AWS must hold.
        remedy: Advice,
    },
}

impl Failure for ExchangeError {
    fn name(&self) -> &'static str {
        match self {
            Self::Token(error) => error.name(),
            Self::Entra(error) => error.name(),
            Self::Metadata(error) => error.name(),
            Self::Container(error) => error.name(),
            Self::Profile(error) => error.name(),
            Self::RolesAnywhere(error) => error.name(),
            Self::WebIdentity { source, .. } => source.name(),
            Self::Hop { source, .. } => source.hop_name(),
        }
    }

    fn pace(&self) -> Pace {
        match self {
            // Kubelet writes the token at a time that cannot be known.
            Self::Token(_) => Pace::Soon,
            // Nor can the time of an agent, and reading its file costs nothing.
            Self::Profile(_) => Pace::Soon,
            Self::Container(error) => error.pace(),
            Self::Entra(error) => error.pace(),
            Self::Metadata(error) => error.pace(),
            Self::RolesAnywhere(error) => error.pace(),
            Self::WebIdentity { source, .. } | Self::Hop { source, .. } => source.pace(),
        }
    }

    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(self, self.remedy())
    }
}

impl ExchangeError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Advice {
        match self {
            Self::Token(error) => error.remedy(),
            Self::Entra(error) => error.remedy(),
            Self::Metadata(error) => error.remedy(),
            Self::Container(error) => error.remedy(),
            Self::Profile(error) => error.remedy(),
            Self::RolesAnywhere(error) => error.remedy(),
            Self::WebIdentity { remedy, .. } | Self::Hop { remedy, .. } => remedy.clone(),
        }
    }
}
