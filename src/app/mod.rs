//! Wiring only: start, serve, drain, stop.
//!
//! In: a [`Config`] and a [`Clock`]. Out: an [`App`] with both sockets bound, which [`App::run`] serves until it has stopped. The caller
//! owns the signals and sets the [`Stage`], so a test can do what a kubelet does.

pub mod log;
pub mod reload;
pub mod sandbox;
mod trust;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::{Admin, CaughtUp};
use crate::app::reload::{ReloadError, Reloader};
use crate::clock::Clock;
use crate::config::{Config, Drain};
use crate::http::browser::AllowedHosts;
use crate::inbound::listener::{self, Accept};
use crate::inbound::server_auth::ServerAuth;
use crate::net::tls;
use crate::router::Router;
use crate::router::misdirected::UnroutedRequests;
use crate::telemetry::Telemetry;
use crate::telemetry::history::STEP;
use crate::telemetry::incidents::{
    CONNECTIONS, IncidentTracker, REJECTED_REQUESTS, SERVER_AUTH, SPANS, TRUST,
};
use crate::telemetry::traces::{Exporting, Traces, TracesError};
use crate::tls_files::{InvalidFiles, TlsFile};
use crate::workspace::Externals;
use trust::trust_incidents;

/// What the caller wants the app to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Serve.
    Serving,
    /// Drain: stop once no more requests come.
    Draining,
    /// Stop now.
    Stopping,
}

/// Why the program could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error(
        "cannot listen on {address}: {source}; {}", why_unbound(setting, *address, source)
    )]
    Bind {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The files of client authentication changed since they were validated, and are invalid now.
    #[error(transparent)]
    ServerAuth(#[from] InvalidFiles),
    /// The span exporter could not be set up.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// A workspace could not be started.
    #[error(transparent)]
    Workspaces(#[from] ReloadError),
}

/// Everything, ready to run.
#[derive(Debug)]
pub struct App<L = TcpListener> {
    listener: L,
    admin_listener: L,
    server_auth: Arc<ServerAuth>,
    reloader: Reloader,
    admin: Arc<Admin>,
    draining: watch::Sender<bool>,
    /// Turns true when draining has ended.
    stop: watch::Sender<bool>,
    drain: Drain,
    exporting: Option<Exporting>,
    collector_files: Vec<TlsFile>,
    clock: Clock,
}

// === impl App ===

impl App {
    /// Binds both sockets, wires the workspaces and requests their first credentials.
    ///
    /// # Errors
    /// [`StartError`]; a failure of STS, the token or DNS does not prevent the start.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let listener = bind("--listen", config.listen).await?;
        let admin_listener = bind("--admin-listen", config.admin_listen).await?;
        let externals = Externals::new(&config).map_err(ReloadError::Roots)?;
        let bound = |listener: &TcpListener| listener.local_addr().ok();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            revision = crate::REVISION,
            listen = bound(&listener).map(tracing::field::display),
            client_auth = config.server_auth.describe(),
            admin = bound(&admin_listener).map(tracing::field::display),
            config = config.file.as_ref().map(|file| file.display().to_string()),
            proxy = config.network.proxy().map(tracing::field::display),
            workspaces = config.workspaces.len(),
            any_workspace = config.by_path.as_ref().map(|by_path| by_path.allowed),
            "listening"
        );
        Self::between(listener, admin_listener, externals, config, clock)
    }

    /// The address for senders, with the actual port.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The address of probes and metrics, with the actual port.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin_listener.local_addr()
    }
}

impl<L: Accept> App<L> {
    /// Wires the workspaces between senders and `outside`, and requests their first credentials.
    ///
    /// # Errors
    /// [`StartError`]; a failure of STS, the token or DNS does not prevent the start.
    pub fn between(
        listener: L,
        admin_listener: L,
        externals: Externals,
        config: Config,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let mut telemetry = Telemetry::new();
        let exporting = match &config.tracing {
            None => None,
            Some(tracing) => {
                let (roots, network) = (&config.extra_roots, &config.network);
                let incidents = IncidentTracker::over(&SPANS, None, telemetry.incidents(), &clock);
                let (traces, exporting) =
                    Traces::start(tracing, roots, network, telemetry.spans(), incidents)?;
                telemetry.trace(traces);
                Some(exporting)
            }
        };
        let telemetry = Arc::new(telemetry);
        let drain = config.drain.clone();
        let collector_files = config.ca_files_of_collector();
        let server_auth = Arc::new(ServerAuth::load(&config.server_auth)?);
        let (shown, shared) = (Arc::clone(&telemetry), Arc::clone(&server_auth));
        let names = AllowedHosts {
            allowed: config.allow_host.clone(),
            certified: false,
        };
        let mut address = config.listen;
        address.set_port(listener.port().unwrap_or(address.port()));
        let port = admin_listener.port();
        let port = port.unwrap_or(config.admin_listen.port());
        let reloader = Reloader::start(config, address, externals, shared, clock.clone(), shown)?;
        let unrouted = UnroutedRequests::new(
            IncidentTracker::over(&REJECTED_REQUESTS, None, telemetry.incidents(), &clock),
            telemetry.unrouted_metrics(),
            reloader.router().unrouted().senders().clone(),
            clock.clone(),
        );
        let (draining, is_draining) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let admin = Admin {
            router: Arc::clone(reloader.router()),
            config: Arc::clone(reloader.config()),
            telemetry,
            names,
            port,
            unrouted,
            draining: is_draining,
            caught_up: CaughtUp::new(stopped),
            started: clock.stamp(),
            clock: clock.clone(),
        };
        Ok(Self {
            listener,
            admin_listener,
            server_auth,
            reloader,
            admin: Arc::new(admin),
            draining,
            stop,
            drain,
            exporting,
            collector_files,
            clock,
        })
    }

    /// Loads new configurations.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Serves until the caller asks to stop and no more requests come.
    pub async fn run(self, mut stage: watch::Receiver<Stage>) {
        let router = Arc::clone(self.reloader.router());
        let stopped = self.stop.subscribe();
        let (stop_admin, admin_stopped) = watch::channel(false);
        let recent_incidents = self.admin.telemetry.incidents();
        let watch = |subject| IncidentTracker::over(subject, None, recent_incidents, &self.clock);
        let rotations = tokio::spawn(Arc::clone(&self.server_auth).follow(watch(&SERVER_AUTH)));
        let roots = tokio::spawn(self.reloader.clone().follow_roots(watch(&TRUST)));
        let collector_roots = self.exporting.as_ref().map(|exporting| {
            let (files, trust) = (self.collector_files.clone(), exporting.trust().clone());
            let (files, trust) = (move || files.clone(), move |roots: &_| trust.replace(roots));
            let report = trust_incidents(watch(&TRUST), "collector_ca");
            tokio::spawn(tls::follow(files, trust, report))
        });
        let steps = tokio::spawn(follow_history(Arc::clone(&router)));
        let connections = |listener| self.admin.telemetry.connections(listener);
        let senders = tokio::spawn(listener::serve(
            self.listener,
            Arc::clone(&self.server_auth),
            Arc::clone(&router),
            connections("senders"),
            watch(&CONNECTIONS),
            stopped,
        ));
        let admin = tokio::spawn(listener::serve(
            self.admin_listener,
            Arc::default(),
            Arc::clone(&self.admin),
            connections("admin"),
            watch(&CONNECTIONS),
            admin_stopped,
        ));

        reached(&mut stage, Stage::Draining).await;
        let began = Instant::now();
        let (in_flight, before) = router.senders.counted();
        tracing::info!(
            in_flight,
            idle_seconds = self.drain.idle.as_secs_f32(),
            timeout_seconds = self.drain.timeout.as_secs_f32(),
            "draining"
        );
        self.draining.send_replace(true);
        router.senders.drain();
        let because = tokio::select! {
            () = router.senders.quiet(self.drain.idle) => "no more requests from senders",
            () = tokio::time::sleep(self.drain.timeout) => "--drain-timeout expired",
            () = reached(&mut stage, Stage::Stopping) => "second signal",
        };
        self.stop.send_replace(true);
        tokio::select! {
            _ = senders => {}
            () = reached(&mut stage, Stage::Stopping) => {}
        }
        if let Some(exporting) = self.exporting {
            tokio::select! {
                () = exporting.finish() => {}
                () = reached(&mut stage, Stage::Stopping) => {}
            }
        }
        stop_admin.send_replace(true);
        admin.abort();
        rotations.abort();
        roots.abort();
        collector_roots.inspect(|task| task.abort());
        steps.abort();
        let (in_flight, after) = router.senders.counted();
        tracing::info!(
            because,
            seconds = began.elapsed().as_secs_f32(),
            requests = after - before,
            in_flight,
            "stopped"
        );
    }
}

/// Closes a history step of every workspace, for ever.
async fn follow_history(router: Arc<Router>) {
    loop {
        tokio::time::sleep(STEP).await;
        for running in router.routes().workspaces() {
            running.history.step();
        }
    }
}

/// Returns at `wanted` or later, or if the stage has no owner any more.
async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    if stage.wait_for(|stage| *stage >= wanted).await.is_err() {
        tracing::debug!("the stage has no owner any more");
    }
}

async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = match TcpListener::bind(address).await {
        Err(error) if lacks_ipv6(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|source| StartError::Bind {
        setting,
        address,
        source,
    })
}

fn why_unbound(setting: &str, address: SocketAddr, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process holds {address}, perhaps a second sidecar: ss -ltnp shows it; or set {setting}"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a privilege: set {setting} to a higher one")
        }
        _ => format!("is {setting} an address of this machine?"),
    }
}

/// A kernel without IPv6 can listen on IPv4 alone.
fn lacks_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}
