//! From the projected token to credentials that sign a batch.
//!
//! ```text
//! token file ─▶ [entra::Entra] ─▶ sts::Sts ─▶ [sts::Sts …] ─▶ cache::Refresher ═▶ cache::Cache ─▶ batch::sign
//! opened by      with --token-     unsigned:    --assume-role:   one task, at half    read only,
//! path for each  source entra      the token    signed with the  of the lifetime,     waits ≤ 2 s
//! exchange                         suffices     previous role    with backoff
//! ```
//!
//! [`Exchange`] is everything before the cache, as one [`CredentialSource`]: if any step fails, the whole exchange is repeated.

pub mod cache;
pub mod claims;
pub mod entra;
mod error;
pub mod identity_trail;
pub mod issuer;
mod redact;
pub(crate) mod remedy;
pub mod sts;
pub mod token;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Uri;
use sha2::{Digest, Sha256};

pub use cache::{ActiveCredentials, Cache, RejectionCause, Unavailable};
pub use error::ExchangeError;

use crate::net::client::HttpClient;
use cache::{CredentialSource, Failure as _};
use entra::{Entra, EntraError};
use identity_trail::IdentityTrail;
use sts::{SessionCredentials, Sts, StsError};
use token::{ReadToken, Token, TokenError};

use crate::clock::Clock;
use crate::config::{IdentityConfig, RoleSession};
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::traces::Span;

/// The steps from token to credentials, for one identity.
#[derive(Debug)]
pub struct Exchange {
    token_file: Box<dyn ReadToken>,
    /// The SHA-256 of the token that the last exchange read.
    read: Mutex<Option<[u8; 32]>>,
    entra: Option<Entra>,
    sts: Sts,
    role: RoleSession,
    hops: Vec<RoleSession>,
    clock: Clock,
    metrics: Arc<WorkspaceMetrics>,
    sts_endpoint: Uri,
    identity_trail: IdentityTrail,
}

/// A role of the chain, and the one before it.
#[derive(Debug, Clone, Copy)]
pub struct RoleHop<'a> {
    exchange: &'a Exchange,
    index: usize,
    /// The role that assumes it.
    pub before: &'a RoleSession,
    /// The role to assume.
    pub role: &'a RoleSession,
}

// === impl Exchange ===

impl Exchange {
    /// Exchanges the token in `token_file` for `identity` through `client`.
    #[must_use]
    pub fn new(
        identity: &IdentityConfig,
        token_file: Box<dyn ReadToken>,
        client: &HttpClient,
        clock: &Clock,
        metrics: &Arc<WorkspaceMetrics>,
    ) -> Self {
        let entra = identity
            .entra
            .clone()
            .map(|application| Entra::new(application, client.clone(), clock.clone()));
        Self {
            token_file,
            read: Mutex::default(),
            entra,
            sts: Sts::new(
                identity.sts_endpoint.clone(),
                identity.sts_region.clone(),
                client.clone(),
                clock.clone(),
            ),
            role: identity.role.clone(),
            hops: identity.hops.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            sts_endpoint: identity.sts_endpoint.clone(),
            identity_trail: IdentityTrail::default(),
        }
    }

    /// The record of each step, kept up to date.
    #[must_use]
    pub fn identity_trail(&self) -> IdentityTrail {
        self.identity_trail.clone()
    }

    /// Reads the token.
    pub async fn token(&self) -> Result<Token, TokenError> {
        let read = token::read_with_retries(&*self.token_file).await;
        self.identity_trail.token(read.as_ref().ok());
        let token = read?;
        self.metrics
            .token_read(token.claims().and_then(|claims| claims.exp));
        Ok(token)
    }

    /// What STS gets: Entra's token if so configured, else the projected one.
    pub async fn for_aws(&self, token: Token) -> Result<Token, EntraError> {
        let Some(entra) = &self.entra else {
            return Ok(token);
        };
        let exchanged = entra.exchange(&token).await;
        self.count("Entra", &exchanged, EntraError::name);
        exchanged.inspect(|token| self.identity_trail.entra(token))
    }

    /// The first session.
    pub async fn session(&self, token: &Token) -> Result<SessionCredentials, ExchangeError> {
        let obtained = self.sts.assume_role_with_web_identity(&self.role, token);
        let obtained = obtained.await;
        self.count("AssumeRoleWithWebIdentity", &obtained, StsError::name);
        let obtained = obtained.inspect(|obtained| self.identity_trail.session(0, obtained));
        obtained.map_err(|source| {
            // The response may have corrected the clock, which decides whether the token has really expired.
            let (region, now) = (self.sts.region(), self.clock.now());
            let remedy = remedy::web_identity(&source, &self.role, region, token.claims(), now);
            ExchangeError::WebIdentity { source, remedy }
        })
    }

    /// The further roles, in order; each is assumed with the previous session.
    pub fn hops(&self) -> impl Iterator<Item = RoleHop<'_>> {
        let before = std::iter::once(&self.role).chain(&self.hops);
        let hops = before.zip(&self.hops).enumerate();
        hops.map(|(index, (before, role))| RoleHop {
            exchange: self,
            index,
            before,
            role,
        })
    }

    fn last_read(&self) -> MutexGuard<'_, Option<[u8; 32]>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All steps; each call is a span.
    async fn obtain_within(&self, span: &Span) -> Result<SessionCredentials, ExchangeError> {
        *self.last_read() = None;
        let token = self.token().await?;
        *self.last_read() = Some(digest(&token));
        let token = match &self.entra {
            None => token,
            Some(_) => shown(span.request("Entra"), self.for_aws(token)).await?,
        };
        let mut call = span.request("AssumeRoleWithWebIdentity");
        call.at(&self.sts_endpoint);
        let mut obtained = shown(call, self.session(&token)).await?;
        for hop in self.hops() {
            let mut call = span.request("AssumeRole");
            call.at(&self.sts_endpoint);
            obtained = shown(call, hop.assume(&obtained)).await?;
        }
        Ok(obtained)
    }

    fn count<T, E>(&self, call: &'static str, answer: &Result<T, E>, name: fn(&E) -> &'static str) {
        self.metrics
            .identity_call(call, answer.as_ref().map(|_| ()).map_err(name));
    }
}

/// A call whose span ends with it.
async fn shown<T, E>(
    mut span: Span,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, ExchangeError>
where
    ExchangeError: From<E>,
{
    let answer = call.await.map_err(ExchangeError::from);
    answer.inspect_err(|error| span.failed(error.name()))
}

impl CredentialSource for Exchange {
    type Error = ExchangeError;

    async fn obtain(&self) -> Result<SessionCredentials, ExchangeError> {
        let mut span = self.metrics.traces().exchange();
        span.set(
            "amp_sidecar.workspace",
            Arc::clone(self.metrics.workspace()),
        );
        let obtained = self.obtain_within(&span).await;
        obtained.inspect_err(|error| span.failed(error.name()))
    }

    fn session(&self) -> Option<&RoleSession> {
        Some(self.hops.last().unwrap_or(&self.role))
    }

    async fn changed(&self) -> bool {
        match self.token_file.read().await {
            Ok(token) => *self.last_read() != Some(digest(&token)),
            Err(_) => false,
        }
    }
}

fn digest(token: &Token) -> [u8; 32] {
    Sha256::digest(token.expose()).into()
}

// === impl RoleHop ===

impl RoleHop<'_> {
    /// Assumes the role with the previous session.
    pub async fn assume(
        &self,
        by: &SessionCredentials,
    ) -> Result<SessionCredentials, ExchangeError> {
        let Self {
            exchange,
            index,
            before,
            role,
        } = self;
        let next = exchange.sts.assume_role(role, &by.credentials).await;
        exchange.count("AssumeRole", &next, StsError::name);
        let next = next.inspect(|next| exchange.identity_trail.session(index + 1, next));
        next.map_err(|source| ExchangeError::Hop {
            number: index + 1,
            of: exchange.hops.len(),
            role_arn: role.role_arn.clone(),
            remedy: remedy::hop(&source, before, role, exchange.sts.region()),
            source,
        })
    }
}
