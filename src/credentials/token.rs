//! The web identity token, read afresh by path at each exchange.
//!
//! In: the path of a projected service-account token. Out: a [`Token`] that looks like a JWT, or a [`TokenError`] that says
//! what the file held instead. Kubelet replaces the file by an atomic rename of the folder above it, so a descriptor that
//! is kept open would go on reading the old token: the path is opened each time. Whether the token is *valid* only its
//! issuer and STS can say; the shape is checked so that an empty or half-written file is named as that.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncReadExt;

/// STS takes at most this many characters (API reference of AssumeRoleWithWebIdentity).
const LONGEST: u64 = 20_000;

/// A web identity token; wiped from memory when dropped, and never shown.
pub struct Token(SecretString);

impl Token {
    /// The token itself, for the exchange alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([withheld])")
    }
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
}

impl TokenError {
    /// The metric's label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "token_unreadable",
            Self::Empty(_) => "token_empty",
            Self::TooLong(_) => "token_too_long",
            Self::NotAToken(_) => "token_malformed",
        }
    }
}

/// Reads the token at `path`.
///
/// # Errors
/// [`TokenError`] where there is none.
pub async fn read(path: &Path) -> Result<Token, TokenError> {
    let unreadable = |source| TokenError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(4096));
    file.take(LONGEST + 1024)
        .read_to_end(&mut bytes)
        .await
        .map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| TokenError::NotAToken(path.to_owned()))?
        .trim();
    if text.is_empty() {
        return Err(TokenError::Empty(path.to_owned()));
    }
    if text.len() as u64 > LONGEST {
        return Err(TokenError::TooLong(path.to_owned()));
    }
    if !looks_like_jwt(text) {
        return Err(TokenError::NotAToken(path.to_owned()));
    }
    Ok(Token(SecretString::from(text)))
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
mod tests {
    use super::*;

    async fn read_text(text: &str) -> Result<String, &'static str> {
        let folder = std::env::temp_dir().join(format!(
            "amp-sidecar-token-{}-{}",
            std::process::id(),
            fastrand::u64(..)
        ));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("token");
        std::fs::write(&path, text).unwrap();
        let result = read(&path).await;
        std::fs::remove_dir_all(&folder).unwrap();
        result
            .map(|token| token.expose().to_owned())
            .map_err(|error| error.name())
    }

    #[tokio::test]
    async fn what_is_no_token_is_named() {
        assert_eq!(
            read_text("eyJh.eyJz.c2ln").await,
            Ok("eyJh.eyJz.c2ln".into())
        );
        assert_eq!(
            read_text(" \n eyJh.eyJz.c2ln\r\n").await,
            Ok("eyJh.eyJz.c2ln".into())
        );
        assert_eq!(read_text("").await, Err("token_empty"));
        assert_eq!(read_text("\n\n").await, Err("token_empty"));
        for torn in [
            "eyJh",
            "eyJh.eyJz",
            "eyJh.eyJz.",
            "eyJh..c2ln",
            "a.b.c.d",
            "not a token",
            "a.b.c\nd",
        ] {
            assert_eq!(read_text(torn).await, Err("token_malformed"), "{torn:?}");
        }
        let long = format!("a.{}.c", "b".repeat(20_000));
        assert_eq!(read_text(&long).await, Err("token_too_long"));
        assert_eq!(
            read(Path::new("/does/not/exist")).await.unwrap_err().name(),
            "token_unreadable"
        );
    }

    #[tokio::test]
    async fn a_token_is_not_shown() {
        assert_eq!(
            format!("{:?}", Token(SecretString::from("eyJh.eyJz.c2ln"))),
            "Token([withheld])"
        );
    }
}
