//! AWS' shared credentials file, kept up to date as an agent does it.
//!
//! In: keys. Out: a file with a profile of them beside others, replaced by a rename. What else an agent may do (write in place, leave half a
//! file) is for a test to do at the file's path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sessions::Session;

/// The profile with the keys.
pub const PROFILE: &str = "amp-writer";

/// Where keys that are ready to sign with come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenKeys {
    /// An agent writes those of the role to a file; see [`World::rotate_credentials_file`](crate::world::World::rotate_credentials_file).
    File,
    /// An IAM user's, in the environment.
    Static,
}

/// One file.
#[derive(Debug)]
pub(crate) struct CredentialsFile(PathBuf);

// === impl CredentialsFile ===

impl CredentialsFile {
    /// A file in a folder of its own below `folder`.
    pub(crate) fn below(folder: &Path) -> io::Result<Self> {
        let folder = folder.join("aws");
        fs::create_dir_all(&folder)?;
        Ok(Self(folder.join("credentials")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, session: &Session) -> io::Result<()> {
        let Session {
            access_key_id,
            secret_access_key,
            session_token,
            ..
        } = session;
        let beside = self.0.with_extension("new");
        let text = format!(
            "# Written by an agent; do not edit.\n[default]\nregion = eu-central-1\n\n[{PROFILE}]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {secret_access_key}\naws_session_token = {session_token}\n"
        );
        fs::write(&beside, text)?;
        fs::rename(beside, &self.0)
    }
}
