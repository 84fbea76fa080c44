//! From the projected token to credentials that a batch can be signed with.
//!
//! ```text
//! token file ─▶ token::read ─▶ sts::Sts ─▶ cache::Refresher ═▶ cache::Cache ─▶ batch::sign
//!               afresh each     unsigned     one task, half of     read only,
//!               time, by path   POST         the life, backoff     waits ≤ 2 s
//! ```
//!
//! [`WebIdentity`] is the chain's first half, as one [`Source`] for the cache.

pub mod cache;
pub mod call;
pub mod claims;
pub mod sts;
pub mod token;

use std::path::PathBuf;
use std::sync::Arc;

pub use cache::{Cache, Held, Refresher, Refusal, Unavailable};

use cache::{Failure, Source};
use sts::{Obtained, Pace, Sts, StsError};
use token::TokenError;

use crate::telemetry::Meters;

/// Credentials for the projected token, straight from STS.
#[derive(Debug)]
pub struct WebIdentity {
    /// The token's path.
    pub token_file: PathBuf,
    /// Where it is exchanged.
    pub sts: Sts,
    /// Where calls are counted.
    pub meters: Arc<Meters>,
}

/// Why an exchange gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There was no token to exchange.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// STS gave nothing for it.
    #[error(transparent)]
    Sts(#[from] StsError),
}

impl Source for WebIdentity {
    type Error = ExchangeError;

    async fn obtain(&self) -> Result<Obtained, ExchangeError> {
        let token = token::read(&self.token_file).await?;
        let claims = claims::Claims::of(token.expose()).ok();
        self.meters.token_read(claims.and_then(|claims| claims.exp));
        let obtained = self.sts.assume_role_with_web_identity(&token).await;
        let result = obtained.as_ref().map(|_| ()).map_err(StsError::name);
        self.meters
            .identity_call("AssumeRoleWithWebIdentity", result);
        Ok(obtained?)
    }
}

impl Failure for ExchangeError {
    fn name(&self) -> &'static str {
        match self {
            Self::Token(error) => error.name(),
            Self::Sts(error) => error.name(),
        }
    }

    fn pace(&self) -> Pace {
        match self {
            // Kubelet writes the token when it can, and nothing tells when that is.
            Self::Token(_) => Pace::Soon,
            Self::Sts(error) => error.pace(),
        }
    }
}
