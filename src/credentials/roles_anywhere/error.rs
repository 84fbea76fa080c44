//! Why Roles Anywhere gave no credentials, and when to retry.

use std::io;
use std::path::PathBuf;

use hyper::StatusCode;

use crate::credentials::small_file::SmallFileError;
use crate::credentials::sts::{Pace, is_throttling};
use crate::net::error::HttpError;
use crate::remedies::Advice;
use crate::remedies::first_hour::{NOT_A_FILE, SETTING};
use crate::remedies::roles_anywhere as rows;

/// Why there is nobody to sign.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// A file could not be opened or read.
    #[error("{what} {}: {source}", .path.display())]
    Unreadable {
        /// Which file.
        what: &'static str,
        path: PathBuf,
        source: io::Error,
        /// Who may read it and what to set, if access is denied.
        access: Option<String>,
    },
    /// A file changed while it was read, or is larger than any certificate or key.
    #[error("{what} {} {problem}", .path.display())]
    Unfinished {
        /// Which file.
        what: &'static str,
        path: PathBuf,
        problem: &'static str,
    },
    /// The certificate's file holds something else.
    #[error("certificate file {} holds no certificate as PEM{held}", .path.display())]
    NoCertificate {
        path: PathBuf,
        /// What it holds instead, if that is known.
        held: String,
    },
    /// The certificate is one that AWS does not accept.
    #[error("certificate file {}: {what}", .path.display())]
    Unfit { path: PathBuf, what: String },
    /// The key's file holds something else, or a key that cannot sign.
    #[error("private key file {}: {what}", .path.display())]
    NoKey { path: PathBuf, what: &'static str },
    /// One of the two files was replaced, or they never belonged together.
    #[error("the private key in {} is not that of the certificate in {}", .key.display(), .certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
}

/// Why Roles Anywhere gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum RolesAnywhereError {
    /// There is nobody to sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Roles Anywhere responded with an error.
    #[error("Roles Anywhere refused ({status}, {code}): {message}")]
    Refused {
        status: StatusCode,
        /// AWS' exception, such as `AccessDeniedException`.
        code: String,
        message: String,
        /// What to do, with the values that AWS must hold.
        remedy: Advice,
    },
    /// No response.
    #[error("Roles Anywhere {0}")]
    Silent(#[from] HttpError),
    /// The response does not come from Roles Anywhere.
    #[error("the response of Roles Anywhere ({status}) cannot be used: {what}")]
    Unusable { status: StatusCode, what: String },
    /// Signing failed, so the call was not made.
    #[error("the call to Roles Anywhere could not be signed: {0}")]
    Unsigned(&'static str),
}

// === impl SignerError ===

impl SignerError {
    pub(super) fn of(what: &'static str, path: &std::path::Path, error: SmallFileError) -> Self {
        let path = path.to_owned();
        let unfinished = |problem| Self::Unfinished {
            what,
            path: path.clone(),
            problem,
        };
        match error {
            SmallFileError::TooLong => {
                unfinished("is larger than any certificate chain or private key")
            }
            SmallFileError::Changing => unfinished("changes while it is read"),
            SmallFileError::Unreadable { source, access } => Self::Unreadable {
                what,
                path,
                source,
                access,
            },
        }
    }

    /// Whether a renewal in progress can cause this.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Unfinished { .. }
            | Self::NoCertificate { .. }
            | Self::NoKey { .. }
            | Self::Mismatch { .. } => true,
            Self::Unfit { .. } => false,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "certificate_unreadable",
            Self::Unfinished { .. } | Self::NoCertificate { .. } => "certificate_malformed",
            Self::Unfit { .. } => "certificate_unfit",
            Self::NoKey { .. } => "private_key_unusable",
            Self::Mismatch { .. } => "private_key_mismatch",
        }
    }

    fn remedy(&self) -> Advice {
        use io::ErrorKind;
        match self {
            Self::Unreadable { source, access, .. } => match source.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                    rows::FILES_MISSING.into()
                }
                ErrorKind::PermissionDenied => {
                    Advice::from(rows::FILES_DENIED).here(access.clone().unwrap_or_default())
                }
                ErrorKind::InvalidInput => NOT_A_FILE.into(),
                _ => SETTING.into(),
            },
            Self::Unfinished { .. } | Self::NoCertificate { .. } => rows::NO_CERTIFICATE.into(),
            Self::Unfit { .. } => rows::UNFIT.into(),
            Self::NoKey { .. } => rows::NO_KEY.into(),
            Self::Mismatch { .. } => rows::MISMATCH.into(),
        }
    }
}

// === impl RolesAnywhereError ===

impl RolesAnywhereError {
    /// When to retry.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            _ if self.is_throttling() => Pace::Soon,
            Self::Refused {
                status, message, ..
            } => {
                // The clock was off; the response has just corrected it.
                let passes = status.is_server_error() || message.contains("ignature");
                if passes { Pace::Soon } else { Pace::Slowly }
            }
            // Files are renewed at a time that cannot be known.
            Self::Signer(_) | Self::Silent(_) | Self::Unusable { .. } => Pace::Soon,
            Self::Unsigned(_) => Pace::Slowly,
        }
    }

    /// The metric's label: AWS' exception if it is a documented one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            _ if self.is_throttling() => "anywhere_throttled",
            Self::Signer(error) => error.name(),
            Self::Refused { code, .. } => match code.as_str() {
                "AccessDeniedException" => "anywhere_AccessDeniedException",
                "ResourceNotFoundException" => "anywhere_ResourceNotFoundException",
                "ValidationException" => "anywhere_ValidationException",
                _ => "anywhere_other",
            },
            Self::Silent(error) => match error.name() {
                "proxy" => "anywhere_proxy",
                "timed_out" => "anywhere_timed_out",
                "unusable_answer" => "anywhere_unusable_answer",
                _ => "anywhere_unreachable",
            },
            Self::Unusable { .. } => "anywhere_unusable_answer",
            Self::Unsigned(_) => "anywhere_unsigned",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Advice {
        match self {
            _ if self.is_throttling() => rows::TROUBLE.into(),
            Self::Signer(error) => error.remedy(),
            Self::Refused { remedy, .. } => remedy.clone(),
            Self::Silent(error) => error.remedy(rows::FOREIGN).into(),
            Self::Unusable { .. } => rows::FOREIGN.into(),
            Self::Unsigned(_) => crate::remedies::running::UNSIGNED.into(),
        }
    }

    fn is_throttling(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => is_throttling(*status, code),
            Self::Unusable { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Signer(_) | Self::Silent(_) | Self::Unsigned(_) => false,
        }
    }
}
