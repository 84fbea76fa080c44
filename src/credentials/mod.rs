//! From the configured source to credentials that sign a batch.
//!
//! ```text
//! IdentitySource ─────────────────────────▶ [sts::Sts …] ─▶ cache::Refresher ═▶ cache::Cache ─▶ batch::sign
//! the only one that is asked:       --assume-role:   one task, at half    read only,
//! web_identity, container, profile  signed with the  of the lifetime,     waits ≤ 2 s
//!                                   previous role    with backoff
//! ```
//!
//! [`Exchange`] is everything before the cache, as one [`CredentialSource`]: if any step fails, the whole exchange is repeated.

mod access;
pub mod cache;
pub mod claims;
pub mod container;
pub mod entra;
mod error;
pub mod identity_trail;
mod ini;
pub mod issuer;
mod last_sent;
pub mod metadata;
pub mod profile;
mod redact;
pub(crate) mod remedy;
pub mod roles_anywhere;
mod small_file;
mod steps;
pub mod sts;
pub mod token;
pub mod web_identity;

use std::sync::Arc;

pub use cache::{ActiveCredentials, Cache, RejectionCause, Unavailable};
pub use error::ExchangeError;

use cache::{CredentialSource, Failure as _};
use container::{Container, ContainerError};
use identity_trail::IdentityTrail;
use profile::Profile;
use roles_anywhere::RolesAnywhere;
use steps::{StepRecord, shown};
use sts::{SessionCredentials, Sts, StsError};
use token::TokenFiles;
use web_identity::WebIdentity;

use crate::aws_keys::AwsKeys;
use crate::clock::Clock;
use crate::config::{IdentityConfig, RoleSession, SourceConfig};
use crate::net::transport::Transport;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::traces::Span;

/// The steps from the source to the credentials that sign, for one identity.
#[derive(Debug)]
pub struct Exchange {
    source: IdentitySource,
    identity: IdentityConfig,
    sts: Sts,
    steps: StepRecord,
}

/// Where the first credentials come from.
#[derive(Debug)]
pub enum IdentitySource {
    WebIdentity(Box<WebIdentity>),
    RolesAnywhere(Box<RolesAnywhere>),
    Container(Container),
    File(Profile),
    StaticKeys(AwsKeys),
}

/// A role of the chain, and the one before it.
#[derive(Debug, Clone, Copy)]
pub struct RoleHop<'a> {
    exchange: &'a Exchange,
    index: usize,
    /// The role that assumes it; `None` if the source does not name it.
    pub before: Option<&'a RoleSession>,
    /// The role to assume.
    pub role: &'a RoleSession,
}

// === impl IdentitySource ===

impl IdentitySource {
    /// The first credentials; each call is a span.
    async fn obtain(
        &self,
        span: &Span,
        steps: &StepRecord,
    ) -> Result<SessionCredentials, ExchangeError> {
        let given = match self {
            Self::WebIdentity(web_identity) => return web_identity.obtain(span).await,
            Self::RolesAnywhere(anywhere) => return anywhere.obtain(span).await,
            Self::Container(container) => {
                let mut call = span.request("container credentials");
                call.at(container.endpoint());
                let obtained = container.obtain().await;
                steps.count("container credentials", &obtained, ContainerError::name);
                shown(call, std::future::ready(obtained)).await?
            }
            Self::File(profile) => {
                let given = profile.obtain().await?;
                if let Some(modified) = profile.modified().await {
                    let are_temporary = given.credentials.session_token().is_some();
                    steps.metrics.credentials_file(modified, are_temporary);
                }
                given
            }
            Self::StaticKeys(keys) => SessionCredentials::without_expiry(keys, "static keys"),
        };
        steps.trail.session(0, &given);
        Ok(given)
    }

    /// Whether the next exchange would present something else than the last one did.
    async fn changed(&self) -> bool {
        match self {
            Self::WebIdentity(web_identity) => web_identity.changed().await,
            Self::Container(container) => container.changed().await,
            Self::File(profile) => profile.changed().await,
            Self::StaticKeys(_) => false,
            Self::RolesAnywhere(anywhere) => anywhere.changed().await,
        }
    }
}

// === impl Exchange ===

impl Exchange {
    /// Gets credentials for `identity`: tokens from `files`, everything else through `transport`.
    #[must_use]
    pub fn new(
        identity: &IdentityConfig,
        files: &dyn TokenFiles,
        transport: &dyn Transport,
        clock: &Clock,
        metrics: &Arc<WorkspaceMetrics>,
    ) -> Self {
        let steps = StepRecord {
            metrics: Arc::clone(metrics),
            trail: IdentityTrail::default(),
        };
        let sts = Sts::new(
            identity.sts_endpoint.clone(),
            identity.sts_region.clone(),
            transport.client(),
            clock.clone(),
        );
        let source = match &identity.source {
            SourceConfig::WebIdentity(config) => {
                let (sts, steps) = (sts.clone(), steps.clone());
                IdentitySource::WebIdentity(Box::new(WebIdentity::new(
                    config, files, transport, sts, clock, steps,
                )))
            }
            SourceConfig::RolesAnywhere(config) => IdentitySource::RolesAnywhere(Box::new(
                RolesAnywhere::new(config, transport, clock, steps.clone()),
            )),
            SourceConfig::Container(config) => {
                let client = transport.direct_client();
                let container = Container::new(config.clone(), client, clock.clone());
                IdentitySource::Container(container)
            }
            SourceConfig::File(config) => IdentitySource::File(Profile::new(config.clone())),
            SourceConfig::StaticKeys(keys) => IdentitySource::StaticKeys(keys.clone()),
        };
        Self {
            source,
            identity: identity.clone(),
            sts,
            steps,
        }
    }

    /// The record of each step, kept up to date.
    #[must_use]
    pub fn identity_trail(&self) -> IdentityTrail {
        self.steps.trail.clone()
    }

    /// Where the first credentials come from.
    #[must_use]
    pub fn source(&self) -> &IdentitySource {
        &self.source
    }

    /// The further roles, in order; each is assumed with the credentials before.
    pub fn hops(&self) -> impl Iterator<Item = RoleHop<'_>> {
        let hops = &self.identity.hops;
        let before = std::iter::once(self.identity.source.role()).chain(hops.iter().map(Some));
        before
            .zip(hops)
            .enumerate()
            .map(|(index, (before, role))| RoleHop {
                exchange: self,
                index,
                before,
                role,
            })
    }

    async fn obtain_within(&self, span: &Span) -> Result<SessionCredentials, ExchangeError> {
        let mut obtained = self.source.obtain(span, &self.steps).await?;
        for hop in self.hops() {
            let mut call = span.request("AssumeRole");
            call.at(self.sts.endpoint());
            obtained = shown(call, hop.assume(&obtained)).await?;
        }
        Ok(obtained)
    }
}

impl CredentialSource for Exchange {
    type Error = ExchangeError;

    async fn obtain(&self) -> Result<SessionCredentials, ExchangeError> {
        let metrics = &self.steps.metrics;
        let mut span = metrics.traces().exchange();
        span.set("amp_sidecar.workspace", Arc::clone(metrics.workspace()));
        let obtained = self.obtain_within(&span).await;
        obtained.inspect_err(|error| span.failed(error.name()))
    }

    fn session(&self) -> Option<&RoleSession> {
        self.identity.signing()
    }

    async fn changed(&self) -> bool {
        self.source.changed().await
    }

    fn is_watched(&self) -> bool {
        matches!(self.source, IdentitySource::File(_))
    }
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
        let steps = &exchange.steps;
        steps.count("AssumeRole", &next, StsError::name);
        let next = next.inspect(|next| steps.trail.session(index + 1, next));
        next.map_err(|source| ExchangeError::Hop {
            number: index + 1,
            of: exchange.identity.hops.len(),
            role_arn: role.role_arn.clone(),
            remedy: remedy::hop(&source, *before, role, exchange.sts.region()),
            source,
        })
    }
}
