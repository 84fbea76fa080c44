//! A file with the setting that names it, so that every error can name both.

use std::path::{Path, PathBuf};

use super::bundle::CaBundle;

/// A file that a setting names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFile {
    /// The setting's flag, without the dashes.
    pub setting: &'static str,
    pub path: PathBuf,
}

/// A file with invalid content.
#[derive(Debug, thiserror::Error)]
#[error("--{setting}: expected {expected}")]
pub struct InvalidFile {
    /// The setting's flag, without the dashes.
    pub setting: &'static str,
    /// The expected content, in words that complete "expected …".
    pub expected: String,
}

/// Several of them.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidFiles(pub Vec<InvalidFile>);

impl TlsFile {
    /// Reads a bundle of CA certificates.
    ///
    /// # Errors
    /// If it has no valid certificate.
    pub(crate) fn read_ca_bundle(&self) -> Result<CaBundle, InvalidFile> {
        self.read(CaBundle::read)
    }

    pub(super) fn read<T>(
        &self,
        parse: impl Fn(&Path) -> Result<T, String>,
    ) -> Result<T, InvalidFile> {
        parse(&self.path).map_err(|expected| self.invalid(expected))
    }

    pub(super) fn invalid(&self, expected: String) -> InvalidFile {
        InvalidFile {
            setting: self.setting,
            expected,
        }
    }
}
