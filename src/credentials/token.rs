//! Reads the web identity token from its file at each exchange.
//!
//! In: the path of a projected service-account token. Out: a [`Token`] in the form of a JWT, or a [`TokenError`] that says what the
//! file contains instead, or who may read it. Kubelet replaces the file by an atomic rename of the link above it, and an open
//! descriptor would keep reading the old token: so each read opens the path. Between following the link and opening the file the old
//! folder may vanish, and a file written in place may be incomplete: both pass within milliseconds, so such a read is retried briefly
//! before it is an error.
//!
//! Only issuer and STS know whether the token is *valid*. An expired one is sent to STS all the same, because this machine's clock may
//! be the one that is wrong; the token's claims serve the error message only.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::credentials::claims::Claims;
use crate::credentials::small_file::{self, SmallFileError};
use crate::remedies::Advice;
use crate::remedies::first_hour::{
    NOT_A_FILE, SETTING, TOKEN_DENIED, TOKEN_EMPTY, TOKEN_FOLDER, TOKEN_MALFORMED, TOKEN_MISSING,
};
use crate::remedies::running::TOKEN_CHANGING;

/// STS accepts at most this many characters (API reference of AssumeRoleWithWebIdentity).
const LONGEST: u64 = 20_000;
/// The first pause before a retry; it doubles up to the longest, 31 ms in all.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// Where a token is read.
pub trait ReadToken: fmt::Debug + Send + Sync {
    /// One read, which may hit the middle of a rotation.
    fn read(&self) -> Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send + '_>>;
}

/// Where token files are read from.
pub trait TokenFiles: fmt::Debug + Send + Sync {
    fn open(&self, path: &Path) -> Box<dyn ReadToken>;
}

/// This machine's file system.
#[derive(Debug)]
pub struct Disk;

impl TokenFiles for Disk {
    fn open(&self, path: &Path) -> Box<dyn ReadToken> {
        Box::new(path.to_owned())
    }
}

/// A web identity token; wiped from memory when dropped, and never displayed.
pub struct Token {
    text: SecretString,
    claims: Option<Claims>,
}

/// Why no token could be read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file could not be opened or read.
    #[error("token file {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        source: io::Error,
        /// Who may read it and what to set, if access is denied.
        access: Option<String>,
    },
    /// The file is empty or white space.
    #[error("token file {} is empty", .0.display())]
    Empty(PathBuf),
    /// The file is longer than any valid token.
    #[error("token file {} is longer than the 20000 characters that STS accepts", .0.display())]
    TooLong(PathBuf),
    /// The file holds something else, or a truncated token.
    #[error("token file {} does not hold a JSON web token (three parts of base64url, divided by dots)", .0.display())]
    NotAToken(PathBuf),
    /// The file changed while it was read: it is written in place, not replaced by a rename.
    #[error("token file {} changes while it is read", .0.display())]
    Changing(PathBuf),
}

// === impl Token ===

impl Token {
    /// A token, if the text has the form of one.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        looks_like_jwt(text).then(|| Self {
            text: SecretString::from(text),
            claims: Claims::of(text).ok(),
        })
    }

    /// The secret itself, for the exchange alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Its claims, unverified; `None` if they cannot be read.
    #[must_use]
    pub fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([withheld])")
    }
}

// === impl TokenError ===

impl TokenError {
    /// The metric's label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "token_unreadable",
            Self::Empty(_) => "token_empty",
            Self::TooLong(_) => "token_too_long",
            Self::NotAToken(_) => "token_malformed",
            Self::Changing(_) => "token_changing",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Advice {
        use io::ErrorKind;
        let row = match self {
            Self::Unreadable { source, access, .. } => match source.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => TOKEN_MISSING,
                ErrorKind::IsADirectory => TOKEN_FOLDER,
                ErrorKind::InvalidInput => NOT_A_FILE,
                ErrorKind::PermissionDenied => {
                    let here = access.clone().unwrap_or_default();
                    return Advice::from(TOKEN_DENIED).here(here);
                }
                _ => SETTING,
            },
            Self::Empty(_) => TOKEN_EMPTY,
            Self::TooLong(_) | Self::NotAToken(_) => TOKEN_MALFORMED,
            Self::Changing(_) => TOKEN_CHANGING,
        };
        row.into()
    }

    fn of(path: &Path, error: SmallFileError) -> Self {
        let path = path.to_owned();
        match error {
            SmallFileError::Unreadable { source, access } => Self::Unreadable {
                path,
                source,
                access,
            },
            SmallFileError::TooLong => Self::TooLong(path),
            SmallFileError::Changing => Self::Changing(path),
        }
    }

    /// Whether a rotation in progress can cause this.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Empty(_) | Self::NotAToken(_) | Self::Changing(_) => true,
            Self::TooLong(_) => false,
        }
    }
}

/// Reads the token at `path`.
pub async fn read(path: &Path) -> Result<Token, TokenError> {
    read_with_retries(&path.to_owned()).await
}

/// Reads the token; retries briefly what a rotation can cause.
pub async fn read_with_retries(file: &dyn ReadToken) -> Result<Token, TokenError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match file.read().await {
            Err(error) if error.may_pass() && pause <= LONGEST_PAUSE => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            settled => return settled,
        }
    }
}

impl ReadToken for PathBuf {
    fn read(&self) -> Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send + '_>> {
        Box::pin(async {
            // With room for white space around the token.
            let bytes = small_file::read(self, LONGEST + 1024).await;
            held(self, &bytes.map_err(|error| TokenError::of(self, error))?)
        })
    }
}

/// The token in the content of the file at `path`.
pub fn held(path: &Path, bytes: &[u8]) -> Result<Token, TokenError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| TokenError::NotAToken(path.to_owned()))?
        .trim();
    if text.is_empty() {
        return Err(TokenError::Empty(path.to_owned()));
    }
    if text.len() as u64 > LONGEST {
        return Err(TokenError::TooLong(path.to_owned()));
    }
    Token::of(text).ok_or_else(|| TokenError::NotAToken(path.to_owned()))
}

fn looks_like_jwt(text: &str) -> bool {
    let base64url = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'='))
    };
    let mut parts = 0;
    text.split('.').all(|part| {
        parts += 1;
        base64url(part)
    }) && parts == 3
}

#[cfg(test)]
mod tests;
