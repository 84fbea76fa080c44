//! Why a machine's metadata server gave no token, and when to retry.

use std::fmt;

use hyper::StatusCode;

use crate::credentials::sts::Pace;
use crate::net::client::HttpResponse;
use crate::net::error::{ConnectError, HttpError};
use crate::remedies::machine::{
    GCE_DENIED, GCE_NO_SERVICE_ACCOUNT, IMDS_NO_IDENTITY, IMDS_SEVERAL_IDENTITIES,
    METADATA_FOREIGN, METADATA_REFUSAL, METADATA_SILENT, METADATA_TROUBLE,
};
use crate::remedies::{Advice, Remedy};

/// Whose metadata server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    Azure,
    Google,
}

/// Why the metadata server gave no token.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It responded with an error.
    #[error("{cloud}'s metadata server refused ({status}): {message}")]
    Refused {
        cloud: Cloud,
        status: StatusCode,
        message: String,
        refusal: MetadataRefusal,
    },
    /// No response.
    #[error("{cloud}'s metadata server {source}")]
    Silent { cloud: Cloud, source: HttpError },
    /// The response is not one of it.
    #[error("the response of {cloud}'s metadata server cannot be used ({status}): {what}")]
    Unusable {
        cloud: Cloud,
        status: StatusCode,
        /// What is wrong with it, and who responded if that is known.
        what: String,
    },
}

/// What a refusal means.
#[derive(Debug, Clone, Copy)]
pub enum MetadataRefusal {
    /// No managed identity, or not the requested one.
    NoIdentity,
    /// Several managed identities, and none was requested.
    SeveralIdentities,
    /// Entra ID refused, with a known code.
    ByEntra {
        row: Remedy,
        passes: bool,
    },
    /// No service account.
    NoServiceAccount,
    /// No permission to give tokens of the service account.
    Denied,
    Throttled,
    /// It starts, is updated or fails.
    Unavailable,
    Other,
}

// === impl Cloud ===

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Azure => "Azure",
            Self::Google => "Google",
        })
    }
}

impl Cloud {
    /// Of its two names, its own.
    fn label(self, azure: &'static str, google: &'static str) -> &'static str {
        match self {
            Self::Azure => azure,
            Self::Google => google,
        }
    }

    fn unusable_label(self) -> &'static str {
        self.label("imds_unusable_answer", "gce_unusable_answer")
    }

    pub(super) fn unusable(self, response: &HttpResponse, what: &str) -> MetadataError {
        MetadataError::Unusable {
            cloud: self,
            status: response.status,
            what: match response.responder.as_str() {
                "" => what.to_owned(),
                responder => format!("{what} ({responder})"),
            },
        }
    }
}

// === impl MetadataError ===

impl MetadataError {
    /// When to retry.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            Self::Refused { refusal, .. } if !refusal.passes() => Pace::Slowly,
            Self::Refused { .. } | Self::Silent { .. } | Self::Unusable { .. } => Pace::Soon,
        }
    }

    /// The metric's label; Entra's code if it is a known one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused { cloud, refusal, .. } => match refusal {
                MetadataRefusal::NoIdentity => "imds_no_identity",
                MetadataRefusal::SeveralIdentities => "imds_several_identities",
                MetadataRefusal::ByEntra { row, .. } => row.id,
                MetadataRefusal::NoServiceAccount => "gce_no_service_account",
                MetadataRefusal::Denied => "gce_denied",
                MetadataRefusal::Throttled => cloud.label("imds_throttled", "gce_throttled"),
                MetadataRefusal::Unavailable => cloud.label("imds_unavailable", "gce_unavailable"),
                MetadataRefusal::Other => cloud.label("imds_other", "gce_other"),
            },
            Self::Silent { cloud, source } => match source {
                HttpError::Connect(ConnectError::TimedOut(_)) | HttpError::TimedOut => {
                    cloud.label("imds_timed_out", "gce_timed_out")
                }
                HttpError::TooLarge(_) => cloud.unusable_label(),
                _ => cloud.label("imds_unreachable", "gce_unreachable"),
            },
            Self::Unusable { cloud, .. } => cloud.unusable_label(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Advice {
        match self {
            Self::Refused { refusal, .. } => refusal.remedy(),
            Self::Silent { source, .. } => match source {
                HttpError::Connect(_) | HttpError::Broken(_) | HttpError::TimedOut => {
                    METADATA_SILENT.into()
                }
                HttpError::Url | HttpError::NotHttp(_) | HttpError::TooLarge(_) => {
                    METADATA_FOREIGN.into()
                }
            },
            Self::Unusable { .. } => METADATA_FOREIGN.into(),
        }
    }
}

// === impl MetadataRefusal ===

impl MetadataRefusal {
    /// Whether it may resolve by itself.
    fn passes(self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable => true,
            Self::ByEntra { passes, .. } => passes,
            Self::NoIdentity
            | Self::SeveralIdentities
            | Self::NoServiceAccount
            | Self::Denied
            | Self::Other => false,
        }
    }

    fn remedy(self) -> Advice {
        let row = match self {
            Self::NoIdentity => IMDS_NO_IDENTITY,
            Self::SeveralIdentities => IMDS_SEVERAL_IDENTITIES,
            Self::ByEntra { row, .. } => {
                let here = format!("{}: {}", row.cause, row.remedy);
                return Advice::from(row).here(here);
            }
            Self::NoServiceAccount => GCE_NO_SERVICE_ACCOUNT,
            Self::Denied => GCE_DENIED,
            Self::Throttled | Self::Unavailable => METADATA_TROUBLE,
            Self::Other => METADATA_REFUSAL,
        };
        row.into()
    }
}
