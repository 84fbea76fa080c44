//! What stands between a sender and the world: amp-sidecar, or any other proxy.
//!
//! In: a [`Program`] and a [`World`]. Out: a [`Sidecar`] that listens on loopback with the world's environment, once its
//! `/livez` says so (another proxy: once its port accepts). Where no binary is named, it is the one beside this program's own if
//! none of its sources is newer, else cargo builds one in this program's profile: what is tested is the present source, never
//! a binary that happens to lie around.
//!
//! Another proxy is a shell command line with these in braces: `{listen}` and `{admin}` (address and port), `{port}` and
//! `{admin_port}`, `{upstream}` (AMP's whole remote-write URL), `{upstream_origin}` (its scheme, host and port),
//! `{upstream_address}` (host and port), `{region}`, `{workspace}`, `{role_arn}`, `{token_file}`, `{sts}`, `{ca_file}`.
//! All of it is in its environment too, as [`World::environment`] has it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::process::{Log, Process};
use super::{PeerError, call, environment, free_ports};
use emulator::world::World;

const NAME: &str = "amp-sidecar";
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// A chosen port may be taken before it is used.
const TRIES: usize = 3;

/// Which program stands between sender and world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The amp-sidecar binary at this path.
    Sidecar(PathBuf),
    /// Another proxy's command line.
    Command(String),
}

/// A running sidecar; it is killed when this is dropped.
#[derive(Debug)]
pub struct Sidecar {
    launch: Launch,
    process: Process,
}

/// All that it takes to start it once more at the same addresses.
#[derive(Debug, Clone)]
struct Launch {
    program: Program,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    placeholders: Vec<(&'static str, String)>,
    path: String,
    listen: SocketAddr,
    admin: SocketAddr,
}

// === impl Program ===

impl Program {
    /// The sidecar at `binary`, or where that is `None` one built from the present source; cargo's progress is on stderr.
    ///
    /// # Errors
    /// [`PeerError::NoProgram`] and [`PeerError::Build`].
    pub async fn sidecar(binary: Option<&Path>) -> Result<Self, PeerError> {
        match binary {
            Some(path) if path.is_file() => Ok(Self::Sidecar(path.to_owned())),
            Some(path) => Err(PeerError::NoProgram(path.to_owned())),
            None => match up_to_date() {
                Some(path) => Ok(Self::Sidecar(path)),
                None => build().await.map(Self::Sidecar),
            },
        }
    }

    /// What it is called where something about it fails.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Sidecar(_) => NAME,
            Self::Command(line) => line.split_whitespace().next().unwrap_or("proxy"),
        }
    }
}

// === impl Sidecar ===

impl Sidecar {
    /// Starts `program` on free ports, pointed at `world`, and waits until it listens. `flags` are for amp-sidecar alone.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn start(
        program: &Program,
        world: &World,
        flags: &[&str],
    ) -> Result<Self, PeerError> {
        Self::start_towards(program, world, world.amp_url(), flags, &[]).await
    }

    /// The same, writing to `upstream` instead of the world's AMP, and with more in its environment.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn start_towards(
        program: &Program,
        world: &World,
        upstream: &str,
        flags: &[&str],
        environment: &[(String, String)],
    ) -> Result<Self, PeerError> {
        let mut tried = 1;
        loop {
            let mut launch = Launch::new(program, world, upstream, flags)?;
            launch.environment.extend_from_slice(environment);
            match launch.run().await {
                Err(PeerError::Ended { .. }) if tried < TRIES => tried += 1,
                process => {
                    let process = process?;
                    return Ok(Self { launch, process });
                }
            }
        }
    }

    /// Where senders write to.
    #[must_use]
    pub fn write_url(&self) -> String {
        format!("http://{}{}", self.launch.listen, self.launch.path)
    }

    /// Where it listens for senders.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.launch.listen
    }

    /// Where its `/livez`, `/readyz` and `/metrics` are.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.launch.admin
    }

    /// What it shows on `/metrics`.
    ///
    /// # Errors
    /// [`PeerError::Call`].
    pub async fn metrics(&self) -> Result<Metrics, PeerError> {
        self.ask("/metrics").await.map(|text| Metrics::parse(&text))
    }

    /// Whether `/readyz` says so.
    pub async fn is_ready(&self) -> bool {
        self.ask("/readyz").await.is_ok()
    }

    /// Waits until senders have caught up, as a `preStop` hook does. Another proxy has no such path: no wait then.
    ///
    /// # Errors
    /// [`PeerError::Call`] where they have not `within` that time.
    pub async fn caught_up(&self, within: Duration) -> Result<(), PeerError> {
        match self.launch.program {
            Program::Sidecar(_) => {
                let path = format!("/caught-up?within={}s", within.as_secs());
                self.ask_within(&path, within + ASK_WITHIN).await.map(drop)
            }
            Program::Command(_) => Ok(()),
        }
    }

    /// The process, with its log.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to be ended.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// Starts it once more at the same address; what still runs is killed first.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn start_again(&mut self) -> Result<(), PeerError> {
        self.process.kill().await?;
        self.process = self.launch.run().await?;
        Ok(())
    }

    async fn ask(&self, path: &str) -> Result<String, PeerError> {
        self.ask_within(path, ASK_WITHIN).await
    }

    async fn ask_within(&self, path: &str, within: Duration) -> Result<String, PeerError> {
        let asked = call::text(self.launch.admin, Method::GET, path, within).await;
        asked.map_err(|source| PeerError::Call {
            program: self.process.name().to_owned(),
            what: path.to_owned(),
            source,
        })
    }
}

// === impl Launch ===

impl Launch {
    fn new(
        program: &Program,
        world: &World,
        upstream: &str,
        flags: &[&str],
    ) -> Result<Self, PeerError> {
        let [listen, admin] = free_ports().map_err(|source| PeerError::Place {
            program: program.name().to_owned(),
            source,
        })?;
        let path = format!("/workspaces/{}/api/v1/remote_write", world.workspace_id());
        let origin = upstream.strip_suffix(&path).unwrap_or(upstream);
        let address = origin.split_once("://").map_or(origin, |(_, rest)| rest);
        let placeholders = vec![
            ("{listen}", listen.to_string()),
            ("{admin}", admin.to_string()),
            ("{port}", listen.port().to_string()),
            ("{admin_port}", admin.port().to_string()),
            ("{upstream}", upstream.to_owned()),
            ("{upstream_origin}", origin.to_owned()),
            ("{upstream_address}", address.to_owned()),
            ("{region}", world.region().to_owned()),
            ("{workspace}", world.workspace_id().to_owned()),
            ("{role_arn}", world.role_arn().to_owned()),
            ("{token_file}", world.token_file().display().to_string()),
            ("{sts}", world.sts_url().to_owned()),
            ("{ca_file}", world.ca_file().display().to_string()),
        ];
        let mut environment = world.environment();
        for (name, value) in &mut environment {
            if *name == "AMP_SIDECAR_REMOTE_WRITE_URL" {
                upstream.clone_into(value);
            }
        }
        Ok(Self {
            program: program.clone(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            environment: environment
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            placeholders,
            path,
            listen,
            admin,
        })
    }

    fn command(&self) -> Command {
        match &self.program {
            Program::Sidecar(path) => {
                let mut command = Command::new(path);
                command
                    .arg(format!("--listen={}", self.listen))
                    .arg(format!("--admin-listen={}", self.admin))
                    .args(&self.flags);
                command
            }
            Program::Command(line) => {
                let fill = |line: String, (placeholder, value): &(&str, String)| {
                    line.replace(placeholder, value)
                };
                let line = self.placeholders.iter().fold(line.clone(), fill);
                let mut command = Command::new("sh");
                // The shell gives way to the proxy, so that its pid is the one that signals go to.
                command.arg("-c").arg(format!("exec {line}"));
                command
            }
        }
    }

    async fn run(&self) -> Result<Process, PeerError> {
        let name = self.program.name();
        let mut process = Process::start(name, self.command(), &self.environment)?;
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            process.check().await?;
            if self.serves().await {
                return Ok(process);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(process.not_ready(READY_WITHIN))
    }

    async fn serves(&self) -> bool {
        match self.program {
            Program::Sidecar(_) => call::text(self.admin, Method::GET, "/livez", ASK_WITHIN)
                .await
                .is_ok(),
            Program::Command(_) => TcpStream::connect(self.listen).await.is_ok(),
        }
    }
}

/// The binary that cargo put beside our own, if it is newer than all that it was made of.
fn up_to_date() -> Option<PathBuf> {
    let ours = std::env::current_exe().ok()?;
    let mut folder = ours.parent()?;
    if folder.ends_with("deps") {
        // A test's own binary lies one deeper.
        folder = folder.parent()?;
    }
    let binary = folder.join(NAME);
    let built = modified(&binary)?;
    let listed = std::fs::read_to_string(folder.join(format!("{NAME}.d"))).ok()?;
    let workspace = ["Cargo.toml", "Cargo.lock"].map(|file| Path::new(WORKSPACE).join(file));
    let sources = sources(&listed).into_iter().chain(workspace);
    let mut ages = sources.map(|source| modified(&source));
    ages.all(|changed| changed.is_some_and(|changed| changed <= built))
        .then_some(binary)
}

/// The files that cargo's dependency file names: `binary: a.rs b.rs`, blanks within names escaped.
fn sources(listed: &str) -> Vec<PathBuf> {
    let (_, files) = listed.split_once(": ").unwrap_or_default();
    let escaped = files.trim_end().replace("\\ ", "\0");
    let names = escaped.split(' ').filter(|name| !name.is_empty());
    names
        .map(|name| PathBuf::from(name.replace('\0', " ")))
        .collect()
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).ok()?.modified().ok()
}

async fn build() -> Result<PathBuf, PeerError> {
    let cargo = environment("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command
        .current_dir(WORKSPACE)
        .args(["build", "--package", NAME, "--bin", NAME])
        .args(["--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().await.map_err(|source| PeerError::Spawn {
        program: cargo.to_string_lossy().into_owned(),
        source,
    })?;
    if !output.status.success() {
        return Err(PeerError::Build(format!("cargo ended ({})", output.status)));
    }
    built(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| PeerError::Build("cargo named no binary".to_owned()))
}

/// The binary's path among cargo's messages.
fn built(messages: &str) -> Option<PathBuf> {
    messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let ours = message.pointer("/target/name")?.as_str()? == NAME;
        let path = message.get("executable")?.as_str()?;
        ours.then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use emulator::world::WorldConfig;

    #[test]
    fn the_binary_is_found_among_cargos_messages() {
        let messages = r#"
            {"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"amp-sidecar"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"amp-sidecar"},"executable":"/t/amp-sidecar"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(built(messages), Some(PathBuf::from("/t/amp-sidecar")));
        assert_eq!(built("{}\nnothing"), None);
    }

    #[test]
    fn sources_are_read_from_a_dependency_file() {
        let listed = "/t/debug/amp-sidecar: /w/src/a.rs /w/with\\ blank/b.rs\n";
        let expected = ["/w/src/a.rs", "/w/with blank/b.rs"].map(PathBuf::from);
        assert_eq!(sources(listed), expected);
        assert!(sources("").is_empty());
    }

    #[tokio::test]
    async fn another_proxys_command_line_is_filled_in() {
        let world = World::start(WorldConfig::default()).await.expect("a world");
        let line =
            "echo {listen} {upstream_address} {region} '{token_file}' \"$AWS_REGION\"; exit 3";
        let program = Program::Command(line.to_owned());
        let error = Sidecar::start(&program, &world, &[])
            .await
            .expect_err("it ends");
        let PeerError::Ended {
            log,
            status,
            program,
        } = error
        else {
            panic!("{error}");
        };
        // `exec` ends the shell with echo, so what follows it never runs.
        assert_eq!((program.as_str(), status.code()), ("echo", Some(0)));
        let amp = world.amp_url().replace("https://", "");
        let amp = amp.split('/').next().expect("an address");
        assert!(log.contains(amp), "{log}");
        assert!(
            log.ends_with(&format!("{} us-east-1", world.token_file().display())),
            "{log}"
        );
    }
}
