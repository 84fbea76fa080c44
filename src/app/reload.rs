//! Replaces the configuration without losing a request.
//!
//! In: a new configuration, on SIGHUP or because the content of the `--config` file changed. Out: the router uses it, or a
//! [`ReloadError`] and nothing changes. A workspace whose settings are the same keeps its credentials, connections and counters, also
//! where its part of the default budget is another, since one has come or gone; a changed one is rebuilt, and the previous one ends with its last request. Settings of the process (its ports, its log, how it drains) cannot
//! change while it runs; such a configuration is rejected and the settings are named.
//!
//! The file is polled every [`LOOK`] instead of being watched: kubelet swaps a symlink above it, which each watching API reports
//! differently, and up to a minute late anyway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use tokio::sync::Notify;

use crate::app::trust::trust_incidents;
use crate::clock::Clock;
use crate::config::{Config, InvalidConfig, Workspace, WorkspacesByPath};
use crate::http::browser::AllowedHosts;
use crate::inbound::server_auth::ServerAuth;
use crate::net::tls;
use crate::remedies::Remedy;
use crate::remedies::running::{CONFIG_INVALID, CONFIG_NEEDS_RESTART, CONFIG_WORKSPACE};
use crate::router::misdirected::{MisdirectedSenders, UnroutedRequests};
use crate::router::{Opener, Router, Routes};
use crate::telemetry::Telemetry;
use crate::telemetry::incidents::{CONFIGURATION, Diagnosis, IncidentTracker, REJECTED_REQUESTS};
use crate::workspace::{ActiveWorkspace, Externals, WorkspaceError};

/// How often the file is polled.
const LOOK: Duration = Duration::from_secs(2);

/// Loads new configurations; clones share the state.
#[derive(Debug, Clone)]
pub struct Reloader(Arc<ReloaderState>);

#[derive(Debug)]
struct ReloaderState {
    router: Arc<Router>,
    telemetry: Arc<Telemetry>,
    clock: Clock,
    incidents: IncidentTracker,
    /// The workspaces and configuration in use; replaced while `externals` is locked.
    config: Arc<ArcSwap<Config>>,
    externals: Mutex<Externals>,
}

/// Why the previous configuration stays in use.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new one is invalid.
    #[error("the new configuration is invalid:\n{0}")]
    InvalidConfig(#[from] InvalidConfig),
    /// It changes a setting that cannot change.
    #[error("{} cannot change while the program runs: restart to apply", .0.join(", "))]
    NeedsRestart(Vec<String>),
    /// A certificate of the bundle is not valid.
    #[error("--ca-bundle holds a certificate that cannot be a root: {0}")]
    Roots(#[from] rustls::Error),
    /// A workspace could not be started.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

// === impl ReloadError ===

impl ReloadError {
    fn name(&self) -> &'static str {
        match self {
            Self::InvalidConfig(_) => "config_invalid",
            Self::NeedsRestart(_) => "config_needs_restart",
            Self::Roots(_) => "config_roots",
            Self::Workspace(_) => "config_workspace",
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::InvalidConfig(_) | Self::Roots(_) => CONFIG_INVALID,
            Self::NeedsRestart(_) => CONFIG_NEEDS_RESTART,
            Self::Workspace(_) => CONFIG_WORKSPACE,
        }
    }
}

// === impl Reloader ===

impl Reloader {
    /// Starts the workspaces of the first configuration; senders reach them at `address`.
    pub fn start(
        config: Config,
        address: SocketAddr,
        externals: Externals,
        server_auth: Arc<ServerAuth>,
        clock: Clock,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, ReloadError> {
        let workspaces = running(&config.workspaces, &externals, &[], &clock, &telemetry)?;
        let watch = |subject| IncidentTracker::over(subject, None, telemetry.incidents(), &clock);
        let (unrouted, incidents) = (watch(&REJECTED_REQUESTS), watch(&CONFIGURATION));
        let (counted, senders) = (telemetry.unrouted_metrics(), MisdirectedSenders::default());
        let unrouted = UnroutedRequests::new(unrouted, counted, senders, clock.clone());
        let opener = opener(&config, &externals, &clock, &telemetry);
        let routes = Routes::new(workspaces, opener);
        let names = AllowedHosts {
            allowed: config.allow_host.clone(),
            certified: server_auth.acceptor().is_some(),
        };
        let router = Router::new(routes, server_auth, names, address, &telemetry, unrouted);
        let router = Arc::new(router);
        Ok(Self(Arc::new(ReloaderState {
            router,
            telemetry,
            clock,
            incidents,
            config: Arc::new(ArcSwap::from_pointee(config)),
            externals: Mutex::new(externals),
        })))
    }

    /// The router in use.
    #[must_use]
    pub fn router(&self) -> &Arc<Router> {
        &self.0.router
    }

    /// The configuration in use.
    #[must_use]
    pub fn config(&self) -> &Arc<ArcSwap<Config>> {
        &self.0.config
    }

    /// Switches to the configuration that `read` gives; records the result in log and metrics.
    ///
    /// # Errors
    /// [`ReloadError`]; then the previous configuration stays in use.
    pub fn reload(&self, read: Result<Config, InvalidConfig>) -> Result<(), ReloadError> {
        let result = read
            .map_err(ReloadError::from)
            .and_then(|config| self.replace(config));
        self.0.telemetry.reloaded(result.is_ok());
        match &result {
            Ok(()) => self.0.incidents.recover(),
            Err(error) => self
                .0
                .incidents
                .fail(error.name(), || Diagnosis::new(error, error.remedy())),
        }
        result
    }

    fn replace(&self, config: Config) -> Result<(), ReloadError> {
        let ReloaderState {
            router,
            telemetry,
            clock,
            config: served,
            externals,
            incidents: _,
        } = &*self.0;
        let mut externals = externals.lock().unwrap_or_else(PoisonError::into_inner);
        let served_before = served.load_full();
        let fixed = config.fixed_that_differ(&served_before);
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed));
        }
        let routes = router.routes();
        let before = routes.workspaces();
        let same_network = config.network == served_before.network;
        let next = if same_network {
            externals.clone()
        } else {
            externals.rebuild(&config)?
        };
        let kept = if same_network { before } else { &[] };
        let wanted = match &config.by_path {
            Some(by_path) => still_named(by_path, before),
            None => config.workspaces.clone(),
        };
        let after = running(&wanted, &next, kept, clock, telemetry)?;
        if same_network && config.extra_roots != served_before.extra_roots {
            next.transport.replace_roots(&config.extra_roots)?;
        }
        for warning in &config.warnings {
            if !served_before.warnings.contains(warning) {
                tracing::warn!(reason = warning, "configuration warning");
            }
        }
        let (kept, started) = after
            .iter()
            .partition::<Vec<_>, _>(|one| before.iter().any(|other| Arc::ptr_eq(one, other)));
        let names = |all: &[&Arc<ActiveWorkspace>]| {
            let names: Vec<&str> = all.iter().map(|one| one.config.name.as_str()).collect();
            names.join(", ")
        };
        let (ended, _) = before
            .iter()
            .partition::<Vec<_>, _>(|one| !after.iter().any(|other| Arc::ptr_eq(one, other)));
        tracing::info!(
            kept = names(&kept),
            started = names(&started),
            ended = names(&ended),
            "configuration reloaded"
        );
        for (active, limits) in after.iter().zip(wanted.iter().map(|one| &one.limits)) {
            active.pipeline.resize(limits);
        }
        let names = before.iter().map(|active| &active.config.name);
        let runs = |name: &&String| after.iter().any(|active| active.config.name == **name);
        let gone: Vec<&String> = names.filter(|name| !runs(name)).collect();
        let opener = opener(&config, &next, clock, telemetry);
        router.replace(Routes::new(after, opener));
        for name in gone {
            telemetry.forget(name);
        }
        *externals = next;
        served.store(Arc::new(config));
        Ok(())
    }

    /// Reloads the `--ca-bundle` file whenever it changes.
    pub async fn follow_roots(self, incidents: IncidentTracker) {
        let files = || self.0.config.load().ca_files();
        let trust = |roots: &[CertificateDer<'static>]| {
            let ReloaderState {
                config, externals, ..
            } = &*self.0;
            let externals = externals.lock().unwrap_or_else(PoisonError::into_inner);
            let mut served = Config::clone(&config.load());
            if served.extra_roots != roots {
                externals.transport.replace_roots(roots)?;
                served.extra_roots = roots.to_vec();
                config.store(Arc::new(served));
            }
            Ok(())
        };
        let report = trust_incidents(incidents, "ca_bundle");
        tls::follow(files, trust, report).await;
    }

    /// Reads again with `read` on every `hangup`, and whenever the content of `file` changes.
    pub async fn follow(
        self,
        file: Option<PathBuf>,
        hangup: Arc<Notify>,
        read: impl Fn() -> Result<Config, InvalidConfig>,
    ) {
        let contents = || file.as_ref().map(|file| std::fs::read(file).ok());
        let mut seen = contents();
        loop {
            let asked = tokio::select! {
                () = hangup.notified() => true,
                () = tokio::time::sleep(LOOK), if file.is_some() => false,
            };
            let now = contents();
            if asked || now != seen {
                seen = now;
                // The result has been logged; the next change is another chance.
                let _said = self.reload(read());
            }
        }
    }
}

/// What starts workspaces that senders name, if they may.
fn opener(
    config: &Config,
    externals: &Externals,
    clock: &Clock,
    telemetry: &Arc<Telemetry>,
) -> Option<Arc<Opener>> {
    let by_path = config.by_path.clone()?;
    Some(Arc::new(Opener {
        by_path,
        externals: externals.clone(),
        clock: clock.clone(),
        telemetry: Arc::clone(telemetry),
    }))
}

/// Those that senders have named and may name still.
fn still_named(by_path: &WorkspacesByPath, before: &[Arc<ActiveWorkspace>]) -> Vec<Workspace> {
    let named = before.iter().filter(|_| by_path.allowed);
    named
        .filter_map(|active| by_path.workspace(&active.config.id))
        .take(WorkspacesByPath::MOST)
        .collect()
}

/// Every workspace of the configuration; unchanged ones are taken over from `before`.
fn running(
    workspaces: &[Workspace],
    externals: &Externals,
    before: &[Arc<ActiveWorkspace>],
    clock: &Clock,
    telemetry: &Telemetry,
) -> Result<Vec<Arc<ActiveWorkspace>>, WorkspaceError> {
    let one = |workspace: &Workspace| match before
        .iter()
        .find(|running| running.config.is_resized(workspace))
    {
        Some(same) => Ok(Arc::clone(same)),
        None => ActiveWorkspace::start(workspace, externals, clock, telemetry).map(Arc::new),
    };
    workspaces.iter().map(one).collect()
}
