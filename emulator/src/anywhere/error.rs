//! Why a world has no certificate.

use std::io;

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum AnywhereError {
    /// rcgen refused.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// No RSA key could be made.
    #[error("cannot make an RSA key")]
    Rsa(#[from] rsa::Error),
    /// A key could not be encoded.
    #[error("cannot encode a key: {0}")]
    Encoding(String),
    /// The folder cannot be written.
    #[error("cannot write the certificate")]
    Folder(#[from] io::Error),
}

impl AnywhereError {
    pub(super) fn of(error: impl std::fmt::Display) -> Self {
        Self::Encoding(error.to_string())
    }
}
