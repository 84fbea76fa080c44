//! Credentials of STS, in exchange for a token: AssumeRoleWithWebIdentity.
//!
//! ```text
//! token file ─▶ [entra::Entra] ─▶ sts::Sts
//! opened by      with --token-     unsigned:
//! path for each  source entra      the token
//! exchange                         suffices
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::ExchangeError;
use super::entra::{Entra, EntraError};
use super::remedy;
use super::steps::{StepRecord, shown};
use super::sts::{SessionCredentials, Sts, StsError};
use super::token::{self, ReadToken, Token, TokenError, TokenFiles};
use crate::clock::Clock;
use crate::config::{RoleSession, TokenConfig, WebIdentityConfig};
use crate::net::transport::Transport;
use crate::telemetry::traces::Span;

/// A token and the role that it is exchanged for.
#[derive(Debug)]
pub struct WebIdentity {
    token: TokenSource,
    /// The SHA-256 of the token that the last exchange read.
    read: Mutex<Option<[u8; 32]>>,
    sts: Sts,
    role: RoleSession,
    clock: Clock,
    steps: StepRecord,
}

/// Where STS' token comes from.
#[derive(Debug)]
enum TokenSource {
    File(Box<dyn ReadToken>),
    /// The projected token, and who exchanges it.
    Entra(Box<dyn ReadToken>, Box<Entra>),
}

// === impl WebIdentity ===

impl WebIdentity {
    pub(super) fn new(
        config: &WebIdentityConfig,
        files: &dyn TokenFiles,
        transport: &dyn Transport,
        sts: Sts,
        clock: &Clock,
        steps: StepRecord,
    ) -> Self {
        let token = match &config.token {
            TokenConfig::File(path) => TokenSource::File(files.open(path)),
            TokenConfig::Entra(application) => TokenSource::Entra(
                files.open(&application.token_file),
                Box::new(Entra::new(
                    application.clone(),
                    transport.client(),
                    clock.clone(),
                )),
            ),
        };
        Self {
            token,
            read: Mutex::default(),
            sts,
            role: config.role.clone(),
            clock: clock.clone(),
            steps,
        }
    }

    /// Reads the projected token.
    pub async fn token(&self) -> Result<Token, TokenError> {
        let read = token::read_with_retries(self.token.file()).await;
        self.steps.trail.token(read.as_ref().ok());
        let token = read?;
        self.steps
            .metrics
            .token_read(token.claims().and_then(|claims| claims.exp));
        Ok(token)
    }

    /// What STS gets: Entra's token if so configured, else the projected one.
    pub async fn for_aws(&self, token: Token) -> Result<Token, EntraError> {
        match &self.token {
            TokenSource::File(_) => Ok(token),
            TokenSource::Entra(_, entra) => {
                let exchanged = entra.exchange(&token).await;
                self.steps.count("Entra", &exchanged, EntraError::name);
                exchanged.inspect(|token| self.steps.trail.entra(token))
            }
        }
    }

    /// The session that STS gives for the token.
    pub async fn session(&self, token: &Token) -> Result<SessionCredentials, ExchangeError> {
        let obtained = self.sts.assume_role_with_web_identity(&self.role, token);
        let obtained = obtained.await;
        self.steps
            .count("AssumeRoleWithWebIdentity", &obtained, StsError::name);
        let obtained = obtained.inspect(|obtained| self.steps.trail.session(0, obtained));
        obtained.map_err(|source| {
            // The response may have corrected the clock, which decides whether the token has really expired.
            let (region, now) = (self.sts.region(), self.clock.now());
            let remedy = remedy::web_identity(&source, &self.role, region, token.claims(), now);
            ExchangeError::WebIdentity { source, remedy }
        })
    }

    /// All steps; each call is a span.
    pub(super) async fn obtain(&self, span: &Span) -> Result<SessionCredentials, ExchangeError> {
        *self.last_read() = None;
        let token = self.token().await?;
        *self.last_read() = Some(digest(&token));
        let token = match &self.token {
            TokenSource::File(_) => token,
            TokenSource::Entra(..) => shown(span.request("Entra"), self.for_aws(token)).await?,
        };
        let mut call = span.request("AssumeRoleWithWebIdentity");
        call.at(self.sts.endpoint());
        shown(call, self.session(&token)).await
    }

    /// Whether the file holds another token than the last exchange read.
    pub(super) async fn changed(&self) -> bool {
        match self.token.file().read().await {
            Ok(token) => *self.last_read() != Some(digest(&token)),
            Err(_) => false,
        }
    }

    fn last_read(&self) -> MutexGuard<'_, Option<[u8; 32]>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl TokenSource ===

impl TokenSource {
    fn file(&self) -> &dyn ReadToken {
        match self {
            Self::File(file) | Self::Entra(file, _) => &**file,
        }
    }
}

fn digest(token: &Token) -> [u8; 32] {
    Sha256::digest(token.expose()).into()
}
