//! One served workspace: its data path, its credentials and the task that refreshes them.
//!
//! In: a [`Workspace`] of the configuration. Out: an [`ActiveWorkspace`], which shares nothing with other workspaces except the
//! machine: it has its own credentials, byte budget, connections, metrics and clock offset, so a broken workspace can neither
//! starve another nor shift its clock. It lives while a route or a request holds it, and its refresh task ends with it.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::JoinHandle;

use crate::batch::Pipeline;
use crate::clock::Clock;
use crate::config::{Config, Workspace};
use crate::credentials::identity_trail::IdentityTrail;
use crate::credentials::token::{Disk, TokenFiles};
use crate::credentials::{Cache, Exchange, cache};
use crate::net::transport::{NetworkTransport, Transport};
use crate::query::Queries;
use crate::sigv4::SigningError;
use crate::telemetry::history::History;
use crate::telemetry::incidents::{CREDENTIALS, IncidentTracker};
use crate::telemetry::senders::Senders;
use crate::telemetry::{Telemetry, WorkspaceGauges, WorkspaceMetrics};

/// A workspace that accepts batches, and queries if they are enabled.
#[derive(Debug)]
pub struct ActiveWorkspace {
    /// The configuration it was started with.
    pub config: Workspace,
    /// Handles its batches.
    pub pipeline: Pipeline,
    /// Handles its queries, if they are enabled.
    pub queries: Option<Queries>,
    /// Recent traffic, for the status page.
    pub history: History,
    /// Who writes to it.
    pub senders: Senders,
    credentials: Cache,
    identity_trail: IdentityTrail,
    clock: Clock,
    metrics: Arc<WorkspaceMetrics>,
    refresh_task: JoinHandle<()>,
}

/// What a workspace uses outside of the process.
#[derive(Debug, Clone)]
pub struct Externals {
    /// The network.
    pub transport: Arc<dyn Transport>,
    /// Opens the token files.
    pub token_files: Arc<dyn TokenFiles>,
}

/// Why a workspace cannot start; configuration checks exclude every cause except an internal failure.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The workspace's URL is invalid.
    #[error(transparent)]
    Address(#[from] SigningError),
}

// === impl Externals ===

impl Externals {
    /// The network as configured, and the local file system.
    ///
    /// # Errors
    /// If a certificate of the CA bundle is invalid.
    pub fn new(config: &Config) -> Result<Self, rustls::Error> {
        Ok(Self {
            transport: Arc::new(NetworkTransport::new(config)?),
            token_files: Arc::new(Disk),
        })
    }

    /// Adapts to another configuration.
    ///
    /// # Errors
    /// If a certificate of the CA bundle is invalid.
    pub fn rebuild(&self, config: &Config) -> Result<Self, rustls::Error> {
        Ok(Self {
            transport: self.transport.rebuild(config)?,
            token_files: Arc::clone(&self.token_files),
        })
    }
}

// === impl ActiveWorkspace ===

impl ActiveWorkspace {
    /// Builds the stages and starts the task that gets credentials.
    ///
    /// # Errors
    /// [`WorkspaceError`]. Failures of STS, the token or DNS are not errors here: the task retries.
    pub fn start(
        config: &Workspace,
        externals: &Externals,
        clock: &Clock,
        telemetry: &Telemetry,
    ) -> Result<Self, WorkspaceError> {
        let clock = clock.fork();
        let metrics = Arc::new(telemetry.metrics(&config.name));
        let source = Exchange::new(
            &config.identity,
            &*externals.token_files,
            &*externals.transport,
            &clock,
            &metrics,
        );
        let identity_trail = source.identity_trail();
        let incidents = |subject| {
            IncidentTracker::over(subject, Some(&config.name), telemetry.incidents(), &clock)
        };
        let (credentials, refresher) = cache::cache(
            source,
            clock.clone(),
            Arc::clone(&metrics),
            incidents(&CREDENTIALS),
        );
        let pipeline = Pipeline::new(
            config,
            &*externals.transport,
            credentials.clone(),
            clock.clone(),
            Arc::clone(&metrics),
            incidents,
        )?;
        let queries = config.query.as_ref().map(|reading| {
            let (credentials, clock) = (credentials.clone(), clock.clone());
            Queries::new(
                config,
                reading,
                &*externals.transport,
                credentials,
                clock,
                Arc::clone(&metrics),
                telemetry,
            )
        });
        let token = config.identity.source.token();
        let entra = token.and_then(|token| token.entra());
        let signing = config.identity.signing();
        tracing::info!(
            workspace = config.name,
            remote_write_url = %config.remote_write_url,
            region = config.region,
            credentials = config.identity.source.kind().name(),
            token_source = token.map(|token| token.kind().name()),
            entra = entra.map(|entra| format!("{}{}", entra.authority_host, entra.tenant_id)),
            entra_client_id = entra.map(|entra| &entra.client_id),
            sts_endpoint = %config.identity.sts_endpoint,
            role_arn = config.identity.source.role().map(|role| &role.role_arn),
            signing_role_arn = signing.map(|role| &role.role_arn),
            role_session_name = signing.and_then(|role| role.name.as_ref()),
            token_file = token.and_then(|token| token.file()).map(|file| file.display().to_string()),
            max_inflight_bytes = config.limits.max_inflight_bytes,
            allow_query = config.query.as_ref().is_some_and(|query| query.prometheus),
            allow_alertmanager = config.query.as_ref().map_or("off", |query| query.alertmanager.name()),
            "serving"
        );
        Ok(Self {
            config: config.clone(),
            pipeline,
            queries: queries.transpose()?,
            history: History::new(telemetry.tally(&config.name)),
            senders: Senders::new(&clock),
            credentials,
            identity_trail,
            clock,
            metrics,
            refresh_task: tokio::spawn(refresher.run()),
        })
    }

    /// Why batches cannot be signed yet; `None` if they can.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let why = self.credentials.ready().err()?;
        Some(match why.remedy() {
            Some(remedy) => format!("{why}; {remedy}"),
            None => why.to_string(),
        })
    }

    /// The credentials that sign batches.
    #[must_use]
    pub fn credentials(&self) -> &Cache {
        &self.credentials
    }

    /// The chain of identities from the token to the signing role.
    #[must_use]
    pub fn identity_trail(&self) -> &IdentityTrail {
        &self.identity_trail
    }

    /// How far AWS' clock is ahead of the machine's.
    #[must_use]
    pub fn clock_offset_seconds(&self) -> f64 {
        self.clock.offset_seconds()
    }

    /// Updates the gauges that are measured only on demand.
    pub fn observe(&self, draining: bool) {
        let (admission, lag) = (self.pipeline.admission(), self.pipeline.lag());
        let oldest_held = lag.oldest_held.unwrap_or(SystemTime::UNIX_EPOCH);
        self.metrics.observe(WorkspaceGauges {
            newest_stored: lag.newest_stored,
            oldest_held: self.pipeline.inspects().then_some(oldest_held),
            last_success: lag.last_success,
            bytes: (admission.bytes_in_flight(), admission.budget()),
            requests: (admission.requests_in_flight(), admission.slots()),
            idle_connections: self.pipeline.idle_connections(),
            clock_offset: self.clock.offset_seconds(),
            ready: !draining && self.missing().is_none(),
        });
    }
}

impl Drop for ActiveWorkspace {
    fn drop(&mut self) {
        self.refresh_task.abort();
    }
}
