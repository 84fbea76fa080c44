//! Reads the keys of an OIDC provider, as STS and Entra ID do before they believe a token.
//!
//! In: the issuer's URL, to the letter as `iss` has it. Out: the keys behind its discovery document, fetched over the
//! network each time: a wrong URL, an unreachable or slow issuer and a key that is not published fail here as they do
//! in the cloud. Who may be fetched from is for the caller to decide, before: a token must not send anybody anywhere.

use serde::Deserialize;

use crate::fetch::{FetchError, Fetcher};
use crate::jwt::Jwks;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("the issuer accepts no connection")]
    Unreachable(#[source] FetchError),
    #[error("the issuer's documents cannot be fetched")]
    Unreadable(#[source] FetchError),
    #[error("the discovery document names another issuer")]
    AnotherIssuer,
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The keys that the issuer `iss` publishes.
pub(crate) async fn published_keys(iss: &str, fetcher: &Fetcher) -> Result<Jwks, KeysError> {
    let base = iss.trim_end_matches('/');
    let discovery: Discovery = fetcher
        .json(&format!("{base}/.well-known/openid-configuration"))
        .await?;
    if discovery.issuer != iss {
        return Err(KeysError::AnotherIssuer);
    }
    Ok(fetcher.json(&discovery.jwks_uri).await?)
}

impl From<FetchError> for KeysError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Connect(_) => Self::Unreachable(error),
            FetchError::Url(_)
            | FetchError::Tls(_)
            | FetchError::Http(_)
            | FetchError::Status(_)
            | FetchError::Body(_)
            | FetchError::Json(_)
            | FetchError::TimedOut => Self::Unreadable(error),
        }
    }
}
