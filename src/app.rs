//! Wiring only: start, serve, drain, stop.
//!
//! In: a [`Config`] and a [`Clock`]. Out: an [`App`] with both sockets bound, which [`App::run`] serves until it has left. The
//! caller owns the signals and says by a [`Stage`] what is wanted, so a test can do what a kubelet does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::admin::Admin;
use crate::batch::Pipeline;
use crate::clock::Clock;
use crate::config::{Config, Drain};
use crate::credentials::call::{Caller, ClientError};
use crate::credentials::sts::Sts;
use crate::credentials::{Refresher, WebIdentity, cache};
use crate::sigv4::SigningError;
use crate::telemetry::Telemetry;
use crate::{listener, tls};

/// What the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Serve.
    Serving,
    /// Leave once the senders are done.
    Draining,
    /// Leave now.
    Leaving,
}

/// Why the program could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error(
        "cannot listen on {address}: {source}; is it in use, or is {setting} not an address of this machine?"
    )]
    Bind {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate of the bundle cannot be trusted.
    #[error("--ca-bundle holds a certificate that cannot be a root: {0}")]
    Roots(#[from] rustls::Error),
    /// The client for STS could not be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The workspace's URL cannot be used.
    #[error(transparent)]
    Workspace(#[from] SigningError),
}

/// Everything, ready to run.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    admin_listener: TcpListener,
    pipeline: Arc<Pipeline>,
    admin: Arc<Admin>,
    refresher: Refresher<WebIdentity>,
    draining: watch::Sender<bool>,
    drain: Drain,
}

// === impl App ===

impl App {
    /// Binds both sockets and wires the stages; speaks to nobody yet.
    ///
    /// # Errors
    /// [`StartError`]; trouble with STS, the token or DNS is none.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let telemetry = Arc::new(Telemetry::new());
        let tls = Arc::new(tls::client(&config.extra_roots)?);
        let caller = Caller::new(&tls, &config.network)?;
        let sts = Sts::new(config.identity.clone(), caller, clock.clone());
        let source = WebIdentity {
            token_file: config.identity.token_file.clone(),
            sts,
        };
        let (credentials, refresher) = cache::cache(source, clock.clone(), Arc::clone(&telemetry));
        let pipeline = Pipeline::new(
            &config,
            tls,
            credentials.clone(),
            clock.clone(),
            Arc::clone(&telemetry),
        )?;
        let pipeline = Arc::new(pipeline);
        let (draining, is_draining) = watch::channel(false);
        let admin = Admin {
            credentials,
            pipeline: Arc::clone(&pipeline),
            clock,
            telemetry,
            draining: is_draining,
        };
        let app = Self {
            listener: bind("--listen", config.listen).await?,
            admin_listener: bind("--admin-listen", config.admin_listen).await?,
            pipeline,
            admin: Arc::new(admin),
            refresher,
            draining,
            drain: config.drain,
        };
        tracing::info!(
            listen = %config.listen,
            admin = %config.admin_listen,
            remote_write_url = %config.workspace.remote_write_url,
            region = config.workspace.region,
            sts_endpoint = %config.identity.sts_endpoint,
            proxy = config.network.proxy().map(tracing::field::display),
            role_arn = config.identity.role_arn,
            role_session_name = config.identity.session_name,
            token_file = %config.identity.token_file.display(),
            max_inflight_bytes = config.limits.max_inflight_bytes,
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        Ok(app)
    }

    /// Where senders write to, with the port that was given.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where probes and metrics are, with the port that was given.
    ///
    /// # Errors
    /// What the system says.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin_listener.local_addr()
    }

    /// Serves until the caller wants to leave and the senders are done.
    pub async fn run(self, mut stage: watch::Receiver<Stage>) {
        let (stop, stopped) = watch::channel(false);
        let (stop_admin, admin_stopped) = watch::channel(false);
        let refresher = tokio::spawn(self.refresher.run());
        let senders = tokio::spawn(listener::serve(
            self.listener,
            Arc::clone(&self.pipeline),
            stopped,
        ));
        let admin = tokio::spawn(listener::serve(
            self.admin_listener,
            self.admin,
            admin_stopped,
        ));

        reached(&mut stage, Stage::Draining).await;
        tracing::info!(
            idle_seconds = self.drain.idle.as_secs_f32(),
            timeout_seconds = self.drain.timeout.as_secs_f32(),
            "leaving once the senders are done"
        );
        self.draining.send_replace(true);
        tokio::select! {
            () = self.pipeline.quiet(self.drain.idle) => {}
            () = tokio::time::sleep(self.drain.timeout) => tracing::warn!("senders were not done within --drain-timeout"),
            () = reached(&mut stage, Stage::Leaving) => {}
        }
        stop.send_replace(true);
        tokio::select! {
            _ = senders => {}
            () = reached(&mut stage, Stage::Leaving) => {}
        }
        stop_admin.send_replace(true);
        refresher.abort();
        admin.abort();
        tracing::info!("left");
    }
}

/// Returns at `wanted` or later, and also where nobody is left to say so.
async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    if stage.wait_for(|stage| *stage >= wanted).await.is_err() {
        tracing::debug!("nobody is left to say what is wanted");
    }
}

async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Bind {
            setting,
            address,
            source,
        })
}
