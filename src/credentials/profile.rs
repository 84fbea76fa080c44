//! Reads keys from a profile of AWS' shared credentials file, which an agent on this machine keeps up to date.
//!
//! In: path and profile. Out: its keys, or a [`ProfileError`]. They have no expiry: the file names none, and its agent replaces them in time.
//! So the file is read again when it changes, before AWS rejects the old keys, and when it does.
//!
//! Only keys are taken. Whatever else a profile may hold would make them the keys of another role (`role_arn`) or needs what the sidecar does
//! not have (a program, a browser); all of it is refused by name, with what to set instead.

use std::io;
#[cfg(feature = "internals")]
use std::path::Path;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::aws_keys::{AwsKeys, KeyFault, KeyTexts};
use crate::config::ProfileConfig;
use crate::credentials::ini::{Ini, IniError};
use crate::credentials::last_sent::{Digest, LastSent};
use crate::credentials::small_file::{self, SmallFileError};
use crate::credentials::sts::SessionCredentials;
use crate::remedies::credentials_file as rows;
use crate::remedies::first_hour::NOT_A_FILE;
use crate::remedies::{Advice, Remedy};
use crate::sanitize::{sanitize, sanitize_within};

/// Larger than a file of a thousand profiles.
const LONGEST: u64 = 512 * 1024;
const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
/// As botocore prefers them: the older name first.
const SESSION_TOKEN: [&str; 2] = ["aws_security_token", "aws_session_token"];
/// The pauses before a file that is being written is read again.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(8),
    Duration::from_millis(32),
    Duration::from_millis(128),
];

/// One profile of one file.
#[derive(Debug)]
pub struct Profile {
    config: ProfileConfig,
    /// The keys that were read last.
    sent: LastSent,
}

/// Why a file gave no keys.
#[derive(Debug, thiserror::Error)]
#[error("credentials file {}: {fault}", .path.display())]
pub struct ProfileError {
    path: PathBuf,
    #[source]
    fault: ProfileFault,
}

#[derive(Debug, thiserror::Error)]
enum ProfileFault {
    #[error("{source}")]
    Unreadable {
        source: io::Error,
        /// Who may read it and what to set, if access is denied.
        access: Option<String>,
    },
    #[error("{0}")]
    Malformed(String),
    #[error("it has no profile {profile}{known}")]
    NoProfile { profile: String, known: String },
    #[error("profile [{profile}] has no {option}")]
    NoKey {
        profile: String,
        option: &'static str,
    },
    #[error("profile [{profile}]: {fault}")]
    Keys { profile: String, fault: KeyFault },
    #[error("profile [{profile}] has {option}, which is not supported")]
    Unsupported {
        profile: String,
        option: String,
        remedy: Remedy,
    },
}

// === impl Profile ===

impl Profile {
    #[must_use]
    pub fn new(config: ProfileConfig) -> Self {
        Self {
            config,
            sent: LastSent::default(),
        }
    }

    /// Reads the keys.
    pub async fn obtain(&self) -> Result<SessionCredentials, ProfileError> {
        let keys = self.keys().await;
        self.sent.set(keys.as_ref().ok().map(digest));
        let provider = "shared credentials file";
        Ok(SessionCredentials::without_expiry(&keys?, provider))
    }

    /// When the file was last written.
    pub async fn modified(&self) -> Option<SystemTime> {
        let metadata = tokio::fs::metadata(&self.config.file).await.ok()?;
        metadata.modified().ok()
    }

    /// Whether another read would give other keys than the last one, or an error where that gave keys.
    pub async fn changed(&self) -> bool {
        let now = self.keys().await.as_ref().ok().map(digest);
        now != self.sent.get()
    }

    /// An agent may write the file in place, so what may be half of it is read again.
    async fn keys(&self) -> Result<AwsKeys, ProfileError> {
        for pause in PAUSES {
            match self.keys_at_once().await {
                Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
                settled => return settled,
            }
        }
        self.keys_at_once().await
    }

    async fn keys_at_once(&self) -> Result<AwsKeys, ProfileError> {
        let ProfileConfig { file, profile } = &self.config;
        let content = small_file::read(file, LONGEST).await;
        let keys = content.map_err(ProfileFault::from).and_then(|content| {
            let text = std::str::from_utf8(&content)
                .map_err(|_| ProfileFault::Malformed("it is not UTF-8 text".to_owned()))?;
            keys_of(text, profile)
        });
        keys.map_err(|fault| ProfileError {
            path: file.clone(),
            fault,
        })
    }
}

/// The keys of a profile in the text of the file at `path`.
///
/// # Errors
/// [`ProfileError`] if there are none.
#[cfg(feature = "internals")]
pub fn keys_in(text: &str, path: &Path, profile: &str) -> Result<AwsKeys, Box<ProfileError>> {
    keys_of(text, profile).map_err(|fault| {
        let path = path.to_owned();
        Box::new(ProfileError { path, fault })
    })
}

fn keys_of(text: &str, profile: &str) -> Result<AwsKeys, ProfileFault> {
    let ini = Ini::parse(text)?;
    if !ini.contains(profile) {
        return Err(no_profile(&ini, profile));
    }
    if let Some((option, remedy)) = ini.options(profile).find_map(unsupported) {
        return Err(ProfileFault::Unsupported {
            profile: sanitize(profile),
            option: sanitize(option),
            remedy,
        });
    }
    let required = |option| {
        ini.get(profile, option).ok_or_else(|| ProfileFault::NoKey {
            profile: sanitize(profile),
            option,
        })
    };
    let id = required(ACCESS_KEY_ID)?;
    let secret = required(SECRET_ACCESS_KEY)?;
    let [older, usual] =
        SESSION_TOKEN.map(|name| ini.get(profile, name).map(|token| (name, token)));
    let (name, token) = older
        .or(usual)
        .map_or((SESSION_TOKEN[1], None), |(name, token)| {
            (name, Some(token))
        });
    AwsKeys::checked(KeyTexts {
        access_key_id: (ACCESS_KEY_ID, &id),
        secret_access_key: (SECRET_ACCESS_KEY, &secret),
        session_token: (name, token.as_deref()),
    })
    .map_err(|fault| ProfileFault::Keys {
        profile: sanitize(profile),
        fault,
    })
}

/// A section `[profile NAME]` is of the other file, `~/.aws/config`.
fn no_profile(ini: &Ini<'_>, profile: &str) -> ProfileFault {
    let known: Vec<String> = ini
        .sections()
        .take(8)
        .map(|name| sanitize_within(&format!("{name:?}"), 64))
        .collect();
    let known = match known.as_slice() {
        [] => ", and no other one".to_owned(),
        _ if ini.contains(&format!("profile {profile}")) => {
            format!(
                ", but [profile {0}]: in this file the profile is called [{0}]",
                sanitize(profile)
            )
        }
        names => format!(", but {}", names.join(", ")),
    };
    // In quotes, because `[ a ]` is a profile of another name than `[a]`.
    ProfileFault::NoProfile {
        profile: sanitize(&format!("{profile:?}")),
        known,
    }
}

/// What makes a profile something else than its keys.
fn unsupported(option: &str) -> Option<(&str, Remedy)> {
    let remedy = match option {
        "credential_process" => rows::PROGRAM,
        "web_identity_token_file" => rows::WEB_IDENTITY,
        "role_arn" | "source_profile" | "credential_source" => rows::ROLE,
        _ if option.starts_with("sso_") => rows::SSO,
        _ => return None,
    };
    Some((option, remedy))
}

fn digest(keys: &AwsKeys) -> Digest {
    let credentials = keys.credentials("");
    Digest::of([
        credentials.access_key_id().as_bytes(),
        credentials.secret_access_key().as_bytes(),
        credentials.session_token().unwrap_or_default().as_bytes(),
    ])
}

// === impl ProfileFault ===

impl From<IniError> for ProfileFault {
    fn from(error: IniError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<SmallFileError> for ProfileFault {
    fn from(error: SmallFileError) -> Self {
        match error {
            SmallFileError::Unreadable { source, access } => Self::Unreadable { source, access },
            SmallFileError::TooLong => {
                Self::Malformed(format!("it is longer than {LONGEST} bytes"))
            }
            SmallFileError::Changing => Self::Malformed("it changes while it is read".to_owned()),
        }
    }
}

// === impl ProfileError ===

impl ProfileError {
    /// The metric's label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.fault {
            ProfileFault::Unreadable { .. } => "credentials_file_unreadable",
            ProfileFault::Malformed(_) => "credentials_file_malformed",
            ProfileFault::NoProfile { .. } => "credentials_file_no_profile",
            ProfileFault::NoKey { .. } | ProfileFault::Keys { .. } => "credentials_file_no_keys",
            ProfileFault::Unsupported { .. } => "credentials_file_unsupported",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Advice {
        use io::ErrorKind;
        let row = match &self.fault {
            ProfileFault::Unreadable { source, access } => match source.kind() {
                ErrorKind::PermissionDenied => {
                    let here = access.clone().unwrap_or_default();
                    return Advice::from(rows::DENIED).here(here);
                }
                ErrorKind::InvalidInput => NOT_A_FILE,
                _ => rows::MISSING,
            },
            ProfileFault::Malformed(_) => rows::SYNTAX,
            ProfileFault::NoProfile { .. } => rows::PROFILE,
            ProfileFault::NoKey { .. } | ProfileFault::Keys { .. } => rows::KEYS,
            ProfileFault::Unsupported { remedy, .. } => *remedy,
        };
        row.into()
    }

    /// Whether a file that is being written can cause this.
    fn may_pass(&self) -> bool {
        match &self.fault {
            ProfileFault::Unreadable { source, .. } => source.kind() == io::ErrorKind::NotFound,
            ProfileFault::Malformed(_)
            | ProfileFault::NoProfile { .. }
            | ProfileFault::NoKey { .. }
            | ProfileFault::Keys { .. } => true,
            ProfileFault::Unsupported { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
