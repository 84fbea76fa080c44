//! Credentials of STS, in exchange for a token: AssumeRoleWithWebIdentity.
//!
//! ```text
//! token file ─▶ [entra::Entra] ─▶ sts::Sts
//! opened by      with --token-     unsigned:
//! path for each  source entra      the token
//! exchange                         suffices
//!
//! metadata::MetadataServer ──────▶ sts::Sts
//! with --token-source azure-imds
//! or gce-metadata
//! ```

use super::ExchangeError;
use super::entra::{Entra, EntraError};
use super::last_sent::{Digest, LastSent};
use super::metadata::{MetadataError, MetadataServer};
use super::remedy;
use super::steps::{StepRecord, shown};
use super::sts::{SessionCredentials, Sts, StsError};
use super::token::{self, ReadToken, Token, TokenFiles};
use crate::clock::Clock;
use crate::config::{RoleSession, TokenConfig, WebIdentityConfig};
use crate::net::transport::Transport;
use crate::telemetry::traces::Span;

/// The call's name in spans and metrics.
const METADATA: &str = "Metadata";

/// A token and the role that it is exchanged for.
#[derive(Debug)]
pub struct WebIdentity {
    token: TokenSource,
    /// The token that the last exchange read.
    sent: LastSent,
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
    /// The metadata server of the machine that this runs on.
    Machine(MetadataServer),
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
            TokenConfig::AzureImds(config) => {
                TokenSource::Machine(MetadataServer::azure(config, transport.direct_client()))
            }
            TokenConfig::GceMetadata(config) => {
                TokenSource::Machine(MetadataServer::google(config, transport.direct_client()))
            }
        };
        Self {
            token,
            sent: LastSent::default(),
            sts,
            role: config.role.clone(),
            clock: clock.clone(),
            steps,
        }
    }

    /// The projected token, or the machine's.
    pub async fn token(&self) -> Result<Token, ExchangeError> {
        let given = match &self.token {
            TokenSource::File(file) | TokenSource::Entra(file, _) => {
                let read = token::read_with_retries(&**file).await;
                read.map_err(ExchangeError::from)
            }
            TokenSource::Machine(server) => {
                let given = server.token().await;
                self.steps.count(METADATA, &given, MetadataError::name);
                given.map_err(ExchangeError::from)
            }
        };
        self.steps.trail.token(given.as_ref().ok());
        let token = given?;
        self.steps
            .metrics
            .token_read(token.claims().and_then(|claims| claims.exp));
        Ok(token)
    }

    /// What STS gets: Entra's token if so configured, else the same.
    pub async fn for_aws(&self, token: Token) -> Result<Token, EntraError> {
        match &self.token {
            TokenSource::File(_) | TokenSource::Machine(_) => Ok(token),
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
        self.sent.set(None);
        let token = match &self.token {
            TokenSource::File(_) | TokenSource::Entra(..) => self.token().await?,
            TokenSource::Machine(server) => {
                let mut call = span.request(METADATA);
                call.at(server.url());
                shown(call, self.token()).await?
            }
        };
        self.sent.set(Some(digest(&token)));
        let token = match &self.token {
            TokenSource::File(_) | TokenSource::Machine(_) => token,
            TokenSource::Entra(..) => shown(span.request("Entra"), self.for_aws(token)).await?,
        };
        let mut call = span.request("AssumeRoleWithWebIdentity");
        call.at(self.sts.endpoint());
        shown(call, self.session(&token)).await
    }

    /// Whether the file holds another token than the last exchange read.
    pub(super) async fn changed(&self) -> bool {
        let file = match &self.token {
            TokenSource::File(file) | TokenSource::Entra(file, _) => file,
            // It would give the same token as long as that is valid.
            TokenSource::Machine(_) => return false,
        };
        match file.read().await {
            Ok(token) => self.sent.get() != Some(digest(&token)),
            Err(_) => false,
        }
    }
}

fn digest(token: &Token) -> Digest {
    Digest::of([token.expose().as_bytes()])
}
