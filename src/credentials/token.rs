//! The web identity token, read afresh by path at each exchange.
//!
//! In: the path of a projected service-account token. Out: a [`Token`] that looks like a JWT, or a [`TokenError`] that says
//! what the file held instead, or who may read it. Kubelet replaces the file by an atomic rename of the link above it, so a
//! descriptor that is kept open would go on reading the old token: the path is opened each time. Between following the link
//! and opening the file the old folder may be gone, and a file that somebody writes in place may be half written: both pass
//! within milliseconds, so what may pass is tried again for a moment before it is an error.
//!
//! Whether the token is *valid* only its issuer and STS can say, and an expired one is shown to STS all the same, because
//! this machine's clock may be the one that is wrong; what the token says of itself is for the error's words alone.

mod access;

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::credentials::claims::Claims;
use crate::remedies::first_hour::{TOKEN_EMPTY, TOKEN_MALFORMED};
use crate::remedies::running::TOKEN_CHANGING;

/// STS takes at most this many characters (API reference of AssumeRoleWithWebIdentity).
const LONGEST: u64 = 20_000;
/// The first pause before another look; it doubles up to the longest, 31 ms in all.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// Where a token is read.
pub trait ReadToken: fmt::Debug + Send + Sync {
    /// One look, which may fall into the middle of a rotation.
    fn read(&self) -> Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send + '_>>;
}

/// Where the files of tokens are.
pub trait TokenFiles: fmt::Debug + Send + Sync {
    /// The one at this path.
    fn open(&self, path: &Path) -> Box<dyn ReadToken>;
}

/// On this machine's disks.
#[derive(Debug)]
pub struct Disk;

impl TokenFiles for Disk {
    fn open(&self, path: &Path) -> Box<dyn ReadToken> {
        Box::new(path.to_owned())
    }
}

/// A web identity token; wiped from memory when dropped, and never shown.
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
        /// What the system said.
        source: io::Error,
        /// Who may read it and what to set, where that is known.
        remedy: Option<String>,
    },
    /// The file holds nothing but white space.
    #[error("token file {} is empty", .0.display())]
    Empty(PathBuf),
    /// The file holds more than any token may.
    #[error("token file {} is longer than the 20000 characters that STS takes", .0.display())]
    TooLong(PathBuf),
    /// The file holds something else, or half of a token.
    #[error("token file {} does not hold a JSON web token (three parts of base64url, divided by dots)", .0.display())]
    NotAToken(PathBuf),
    /// The file is being written, and not by renaming a whole one into its place.
    #[error("token file {} changes while it is read", .0.display())]
    Changing(PathBuf),
}

// === impl Token ===

impl Token {
    /// A token of this text, where it has a token's form.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        looks_like_jwt(text).then(|| Self {
            text: SecretString::from(text),
            claims: Claims::of(text).ok(),
        })
    }

    /// The token itself, for the exchange alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// What it says of itself, unverified; none where that cannot be read.
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

    /// What to do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let row = match self {
            Self::Unreadable { remedy, .. } => return remedy.clone(),
            Self::Empty(_) => TOKEN_EMPTY,
            Self::TooLong(_) | Self::NotAToken(_) => TOKEN_MALFORMED,
            Self::Changing(_) => TOKEN_CHANGING,
        };
        Some(row.remedy.to_owned())
    }

    fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            remedy: access::remedy(path, &source),
            source,
        }
    }

    /// Whether it can be what the middle of a rotation looks like.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Empty(_) | Self::NotAToken(_) | Self::Changing(_) => true,
            Self::TooLong(_) => false,
        }
    }
}

/// Reads the token at `path`.
///
/// # Errors
/// [`TokenError`] where there is none.
pub async fn read(path: &Path) -> Result<Token, TokenError> {
    read_with_retries(&path.to_owned()).await
}

/// Reads the token there; what may pass is looked at again for a moment.
///
/// # Errors
/// [`TokenError`] where there is none.
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
            let path = self.clone();
            let reading = tokio::task::spawn_blocking(move || at_once(&path));
            let ended = |error| Err(TokenError::unreadable(self, io::Error::other(error)));
            reading.await.unwrap_or_else(ended)
        })
    }
}

fn at_once(path: &Path) -> Result<Token, TokenError> {
    let unreadable = |source| TokenError::unreadable(path, source);
    let mut file = File::open(path).map_err(unreadable)?;
    let bytes = whole(&mut file).map_err(unreadable)?;
    // A file that was replaced stays as it is under the descriptor; one that is written in place does not.
    file.rewind().map_err(unreadable)?;
    if whole(&mut file).map_err(unreadable)? != bytes {
        return Err(TokenError::Changing(path.to_owned()));
    }
    held(path, &bytes)
}

/// The token in what the file at `path` holds.
///
/// # Errors
/// [`TokenError`] where that is none.
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

fn whole(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LONGEST + 1024).read_to_end(&mut bytes)?;
    Ok(bytes)
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
