//! The proxies that are compared, and how each is started.
//!
//! In: which binary is ours, and more command lines. Out: [`Proxy`]s: a name, a command line with the placeholders of
//! [`crate::peers::sidecar`], and what may be expected of it. The scripts that write the configuration of the others are in
//! `benches/peers`. All get the world's environment and, for those that sign with nothing else, static keys of a session of
//! its role; ours exchanges the token, since it takes no keys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::bodies::Body;
use super::entrance::{Entrance, TOKEN};
use super::error::Error;
use super::load::{Done, LoadTarget};
use super::usage::Usage;
use crate::peers::metrics::Metrics;
use crate::peers::process::Log;
use crate::peers::sidecar::{Program, Sidecar};
use emulator::world::World;

/// Ours, with default settings: it counts what its budget allows.
pub(crate) const COUNTING: &str = "amp-sidecar";
/// Ours, counting every batch.
pub(crate) const COUNTING_ALL: &str = "amp-sidecar, inspect on";
/// Ours, with `--inspect off`.
pub(crate) const OFF: &str = "amp-sidecar, inspect off";
/// Ours as a gateway.
pub(crate) const GATEWAY: &str = "amp-sidecar, gateway";
/// Envoy as one.
pub(crate) const ENVOY_GATEWAY: &str = "Envoy, gateway";
/// Who signs as well.
pub(crate) const ENVOY: &str = "Envoy";
/// What no proxy that signs can do without.
pub(crate) const FLOOR: &str = "floor";
/// Who only forwards.
pub(crate) const HAPROXY: &str = "HAProxy";

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/peers");
/// The proxy has a core of its own; sink and load have another, on which this program was started.
const FIRST: &str = "0";

/// A proxy that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    line: String,
    /// Which cores it may use; ours has as many worker threads.
    cores: &'static str,
    /// What its senders speak, where it is a gateway.
    entrance: Option<Entrance>,
    /// Whether what it forwards is signed; not known of a proxy of the caller's.
    pub(crate) signs: Option<bool>,
    /// Whether it answers only once upstream did.
    pub(crate) waits: bool,
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Running {
    process: Sidecar,
    pub(crate) target: LoadTarget,
    pub(crate) usage: Usage,
}

// === impl Proxy ===

impl Proxy {
    /// The floor, ours three times, those that come as packages, and the caller's own by name and command line.
    pub(crate) fn all(sidecar: &Path, more: &[(String, String)]) -> Vec<Self> {
        let ours = |name, flags| Self::sidecar(name, sidecar, flags);
        let script = |name: &str, script: &str, signs, waits| Self {
            name: name.to_owned(),
            line: format!("{SCRIPTS}/{script} {{listen}}"),
            cores: FIRST,
            entrance: None,
            signs: Some(signs),
            waits,
        };
        let testbench = std::env::current_exe().unwrap_or_default();
        let floor = Self {
            line: format!("{} floor {{listen}}", testbench.display()),
            ..script(FLOOR, "", true, true)
        };
        let mut all = vec![
            floor,
            ours(COUNTING, ""),
            ours(COUNTING_ALL, "--inspect on"),
            ours(OFF, "--inspect off"),
            script(ENVOY, "envoy", true, true),
            script(HAPROXY, "haproxy", false, true),
            script("nginx", "nginx", false, true),
            script("vmagent", "vmagent", false, false),
        ];
        all.extend(more.iter().map(|(name, line)| Self {
            name: name.clone(),
            line: line.clone(),
            cores: FIRST,
            entrance: None,
            signs: None,
            waits: true,
        }));
        all
    }

    /// Ours with these flags.
    pub(crate) fn sidecar(name: &str, binary: &Path, flags: &str) -> Self {
        let binary = binary.display();
        Self {
            name: name.to_owned(),
            line: format!("{binary} --listen {{listen}} --admin-listen {{admin}} {flags}"),
            cores: FIRST,
            entrance: None,
            signs: Some(true),
            waits: true,
        }
    }

    /// Gateways with this way in: ours and Envoy.
    pub(crate) fn gateways(sidecar: &Path, entrance: &Entrance) -> [Self; 2] {
        let folder = entrance.folder.display();
        let flags = format!(
            "--listen-tls-cert {folder}/tls.crt --listen-tls-key {folder}/tls.key --listen-bearer-token-file {folder}/tokens"
        );
        let envoy = Self {
            name: ENVOY_GATEWAY.to_owned(),
            line: format!("{SCRIPTS}/envoy {{listen}} {folder}"),
            ..Self::sidecar("", sidecar, "")
        };
        [Self::sidecar(GATEWAY, sidecar, &flags), envoy].map(|proxy| Self {
            entrance: Some(entrance.clone()),
            ..proxy
        })
    }

    /// The same with these cores.
    pub(crate) fn on(self, cores: &'static str) -> Self {
        Self { cores, ..self }
    }

    /// The same under another program, as a profiler is.
    pub(crate) fn under(self, program: &str) -> Self {
        let line = format!("{program} {}", self.line);
        Self { line, ..self }
    }

    /// Whether it knows what the body is: a proxy that answers before it forwards has to.
    pub(crate) fn takes(&self, body: &Body) -> bool {
        self.waits || !body.is_v2()
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with(COUNTING)
    }

    /// Starts it, writing to `upstream`.
    pub(crate) async fn start(&self, world: &World, upstream: &str) -> Result<Running, Error> {
        let program = Program::Command(format!("taskset --cpu-list {} {}", self.cores, self.line));
        let mut environment = Vec::new();
        if !self.is_ours() {
            let life = Duration::from_secs(3600);
            let role = world.role_arn();
            let session = world
                .sessions()
                .issue(role, "compared", life, world.clock().now());
            environment = vec![
                ("AWS_ACCESS_KEY_ID".to_owned(), session.access_key_id),
                (
                    "AWS_SECRET_ACCESS_KEY".to_owned(),
                    session.secret_access_key,
                ),
                ("AWS_SESSION_TOKEN".to_owned(), session.session_token),
            ];
        }
        let process = Sidecar::start_towards(&program, world, upstream, &[], &environment).await?;
        let pid = process.process().pid().ok_or(Error::Gone)?;
        let entrance = self.entrance.as_ref();
        let vmagent = self.name == "vmagent";
        let path = format!("/workspaces/{}/api/v1/remote_write", world.workspace_id());
        Ok(Running {
            target: LoadTarget {
                address: process.listen(),
                path: if vmagent {
                    "/api/v1/write".to_owned()
                } else {
                    path
                },
                tls: entrance.map(|entrance| Arc::clone(&entrance.client)),
                token: entrance.map(|_| TOKEN),
            },
            usage: Usage::of(pid),
            process,
        })
    }
}

// === impl Running ===

impl Running {
    /// Asks it to end at once, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        let process = self.process.process_mut();
        // Ours drains after the first signal and leaves at the second.
        process.terminate()?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        process.stop(Duration::from_secs(60)).await?;
        Ok(())
    }

    /// An error where a batch failed, or none was sent.
    pub(crate) fn all_taken(&self, body: &Body, done: Done) -> Result<(), Error> {
        if done.failed == 0 && done.taken > 0 {
            return Ok(());
        }
        Err(Error::Failed {
            body: body.title(),
            failed: done.failed,
            log: self.last_words(),
        })
    }

    /// What it shows on `/metrics`, where it is ours.
    pub(crate) async fn metrics(&self) -> Result<Metrics, Error> {
        Ok(self.process.metrics().await?)
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> Log {
        self.process.log().clone()
    }

    /// The end of that.
    pub(crate) fn last_words(&self) -> String {
        self.process.log().last_words()
    }
}
