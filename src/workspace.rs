//! One workspace being served: its data path, its credentials and the task that renews them.
//!
//! In: a [`Workspace`] of the configuration. Out: a [`ActiveWorkspace`] one, which shares nothing with its neighbours but the machine:
//! it has credentials, a byte budget, connections, meters and a learned clock offset of its own, so that a broken
//! workspace can neither starve another nor move its clock. It lives for as long as a route or a request holds it, and
//! its renewals end with it.

use std::sync::Arc;

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
use crate::telemetry::incidents::{BATCHES, CREDENTIALS, IncidentTracker};
use crate::telemetry::{Telemetry, WorkspaceGauges, WorkspaceMetrics};

/// A workspace that takes batches, and queries where they are allowed.
#[derive(Debug)]
pub struct ActiveWorkspace {
    /// As it was configured.
    pub config: Workspace,
    /// Takes its batches.
    pub pipeline: Pipeline,
    /// Reads it, where that is allowed.
    pub queries: Option<Queries>,
    /// What flowed lately.
    pub history: History,
    credentials: Cache,
    identity_trail: IdentityTrail,
    clock: Clock,
    metrics: Arc<WorkspaceMetrics>,
    renewals: JoinHandle<()>,
}

/// What a workspace reaches outside of the process.
#[derive(Debug, Clone)]
pub struct Externals {
    /// The network.
    pub transport: Arc<dyn Transport>,
    /// The files of tokens.
    pub token_files: Arc<dyn TokenFiles>,
}

/// Why a workspace could not be served; a checked configuration leaves no reason but a fault of the system.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The workspace's URL cannot be used.
    #[error(transparent)]
    Address(#[from] SigningError),
}

// === impl Externals ===

impl Externals {
    /// The network as the configuration wants it, and this machine's disks.
    ///
    /// # Errors
    /// Where a certificate of its bundle cannot be trusted.
    pub fn new(config: &Config) -> Result<Self, rustls::Error> {
        Ok(Self {
            transport: Arc::new(NetworkTransport::new(config)?),
            token_files: Arc::new(Disk),
        })
    }

    /// The same for another configuration.
    ///
    /// # Errors
    /// Where a certificate of its bundle cannot be trusted.
    pub fn rebuild(&self, config: &Config) -> Result<Self, rustls::Error> {
        Ok(Self {
            transport: self.transport.rebuild(config)?,
            token_files: Arc::clone(&self.token_files),
        })
    }
}

// === impl ActiveWorkspace ===

impl ActiveWorkspace {
    /// Wires the stages and begins to ask for credentials.
    ///
    /// # Errors
    /// [`WorkspaceError`]; trouble with STS, the token or DNS is none.
    pub fn start(
        config: &Workspace,
        externals: &Externals,
        clock: &Clock,
        telemetry: &Telemetry,
    ) -> Result<Self, WorkspaceError> {
        let clock = clock.apart();
        let metrics = Arc::new(telemetry.metrics(&config.name));
        let client = externals.transport.client();
        let file = externals.token_files.open(&config.identity.token_file);
        let source = Exchange::new(&config.identity, file, &client, &clock, &metrics);
        let identity_trail = source.identity_trail();
        let watch = |subject| {
            IncidentTracker::over(subject, Some(&config.name), telemetry.incidents(), &clock)
        };
        let (credentials, refresher) = cache::cache(
            source,
            clock.clone(),
            Arc::clone(&metrics),
            watch(&CREDENTIALS),
        );
        let pipeline = Pipeline::new(
            config,
            &*externals.transport,
            credentials.clone(),
            clock.clone(),
            Arc::clone(&metrics),
            watch(&BATCHES),
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
        tracing::info!(
            workspace = config.name,
            remote_write_url = %config.remote_write_url,
            region = config.region,
            entra = config
                .identity
                .entra
                .as_ref()
                .map(|entra| format!("{}{}", entra.authority_host, entra.tenant_id)),
            entra_client_id = config.identity.entra.as_ref().map(|entra| &entra.client_id),
            sts_endpoint = %config.identity.sts_endpoint,
            role_arn = config.identity.role.role_arn,
            signing_role_arn = config.identity.signing().role_arn,
            role_session_name = config.identity.role.name,
            token_file = %config.identity.token_file.display(),
            max_inflight_bytes = config.limits.max_inflight_bytes,
            allow_query = config.query.is_some(),
            "serving"
        );
        Ok(Self {
            config: config.clone(),
            pipeline,
            queries: queries.transpose()?,
            history: History::new(telemetry.tally(&config.name)),
            credentials,
            identity_trail,
            clock,
            metrics,
            renewals: tokio::spawn(refresher.run()),
        })
    }

    /// What is missing before a batch can be signed, if anything is.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let why = self.credentials.ready().err()?;
        Some(format!("no AWS credentials: {why}"))
    }

    /// What batches are signed with.
    #[must_use]
    pub fn credentials(&self) -> &Cache {
        &self.credentials
    }

    /// What was seen on the way to them.
    #[must_use]
    pub fn identity_trail(&self) -> &IdentityTrail {
        &self.identity_trail
    }

    /// How far AWS' clock is ahead.
    #[must_use]
    pub fn clock_offset_seconds(&self) -> f64 {
        self.clock.offset_seconds()
    }

    /// Measures what is only known when somebody looks.
    pub fn observe(&self, draining: bool) {
        let admission = self.pipeline.admission();
        self.metrics.observe(WorkspaceGauges {
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
        self.renewals.abort();
    }
}
