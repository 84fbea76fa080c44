//! A real Prometheus, and what it has in its own database.
//!
//! In: a [`Setup`]: what to scrape, where to write. Out: a [`Prometheus`] in a temporary folder on a free port of loopback,
//! with every remote-write setting at its default. Its raw samples are read by range selectors over its own API, which
//! neither interpolate nor round; stale markers are not among them.
//!
//! The order of an honest comparison: [`Prometheus::stop_scraping`], wait for its queue, then
//! compare [`Prometheus::sent`] with the store. Prometheus keeps its queue over that, because a reload restarts remote write
//! only where its own settings changed.

mod answer;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::process::{Log, Process};
use super::samples::Samples;
use super::{PeerError, call, environment, free_ports};
use crate::timestamp::millis;
pub use answer::InstantValue;
use answer::{NAME, range_result, vector};
use emulator::clock::Clock;

const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const ASK_WITHIN: Duration = Duration::from_secs(60);
/// One request for raw samples covers so much, to keep its answer small.
const STEP_MS: i64 = 60_000;
const TRIES: usize = 3;

/// A Prometheus that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its path, or its name where it is on the `PATH`.
    pub program: PathBuf,
    /// What it calls itself, as `2.42.0`.
    pub version: String,
}

/// What a Prometheus is to do.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// What it scrapes.
    pub targets: Vec<SocketAddr>,
    /// Whether it scrapes itself too.
    pub itself: bool,
    /// Labels of all targets.
    pub target_labels: Vec<(String, String)>,
    /// How often.
    pub scrape_interval: Duration,
    /// Where it writes to.
    pub write_url: String,
    /// Added to whatever it sends.
    pub external_labels: Vec<(String, String)>,
    /// Settings of `remote_write` beyond the URL, as an object; by default none.
    pub remote_write: Value,
    /// Further flags.
    pub flags: Vec<String>,
}

/// A running Prometheus; it is killed, and its folder removed, when this is dropped.
#[derive(Debug)]
pub struct Prometheus {
    setup: Setup,
    address: SocketAddr,
    process: Process,
    folder: TempDir,
    since: SystemTime,
}

// === impl Installed ===

impl Installed {
    /// The Prometheus at `path`, or the one on the `PATH`; `None` where none is there.
    ///
    /// # Errors
    /// [`PeerError::NoProgram`] where a path was named and nothing is there, [`PeerError::Answer`] where what is there
    /// does not say a version.
    pub async fn find(path: Option<&Path>) -> Result<Option<Self>, PeerError> {
        let program = path.unwrap_or(Path::new(NAME));
        let asked = Command::new(program)
            .arg("--version")
            .env_clear()
            .envs(environment("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match (asked.await, path) {
            (Ok(output), _) => {
                let output = [output.stdout, output.stderr].concat();
                let version = version(&String::from_utf8_lossy(&output));
                let version = version.ok_or_else(|| PeerError::Answer {
                    program: program.display().to_string(),
                    what: "--version prints no version of Prometheus".to_owned(),
                })?;
                Ok(Some(Self {
                    program: program.to_owned(),
                    version,
                }))
            }
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            (Err(error), Some(path)) if error.kind() == io::ErrorKind::NotFound => {
                Err(PeerError::NoProgram(path.to_owned()))
            }
            (Err(source), _) => Err(PeerError::Spawn {
                program: program.display().to_string(),
                source,
            }),
        }
    }
}

// === impl Setup ===

impl Setup {
    /// Scrapes `target` once a second and writes to `write_url` as the cluster `emulator`, all else at its default.
    #[must_use]
    pub fn new(program: &Path, target: SocketAddr, write_url: String) -> Self {
        Self {
            program: program.to_owned(),
            targets: vec![target],
            itself: false,
            target_labels: Vec::new(),
            scrape_interval: Duration::from_secs(1),
            write_url,
            external_labels: vec![("cluster".to_owned(), "emulator".to_owned())],
            remote_write: json!({}),
            flags: Vec::new(),
        }
    }

    /// JSON is YAML too.
    fn config(&self, own: SocketAddr, scraping: bool) -> Value {
        let interval = format!("{}ms", self.scrape_interval.as_millis());
        let object = |labels: &[(String, String)]| -> serde_json::Map<_, _> {
            let labels = labels.iter();
            labels
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect()
        };
        let labels = object(&self.external_labels);
        let mut remote_write = self.remote_write.clone();
        if let Some(settings) = remote_write.as_object_mut() {
            settings.insert("url".to_owned(), self.write_url.as_str().into());
        }
        let own = self.itself.then_some(own);
        let targets = self.targets.iter().chain(&own);
        let targets: Vec<_> = targets.map(SocketAddr::to_string).collect();
        let jobs = json!([{
            "job_name": "shop",
            "static_configs": [{"targets": targets, "labels": object(&self.target_labels)}],
        }]);
        json!({
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "external_labels": labels,
            },
            "scrape_configs": if scraping { jobs } else { json!([]) },
            "remote_write": [remote_write],
        })
    }
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts one with an empty database and waits until it is ready.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn start(setup: Setup) -> Result<Self, PeerError> {
        let place = |source| PeerError::Place {
            program: NAME.to_owned(),
            source,
        };
        let mut tried = 1;
        loop {
            let [address] = free_ports().map_err(place)?;
            let folder = tempfile::Builder::new()
                .prefix("amp-sidecar-prometheus-")
                .tempdir()
                .map_err(place)?;
            std::fs::write(
                config_file(&folder),
                setup.config(address, true).to_string(),
            )
            .map_err(place)?;
            let since = Clock::new().now();
            match run(&setup, address, &folder).await {
                Err(PeerError::Ended { .. }) if tried < TRIES => tried += 1,
                process => {
                    let process = process?;
                    return Ok(Self {
                        setup,
                        address,
                        process,
                        folder,
                        since,
                    });
                }
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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

    /// What it shows on its own `/metrics`, `prometheus_remote_storage_…` among it.
    ///
    /// # Errors
    /// [`PeerError::Call`].
    pub async fn metrics(&self) -> Result<Metrics, PeerError> {
        let text = self.ask(Method::GET, "/metrics").await?;
        Ok(Metrics::parse(&text))
    }

    /// Has no targets from now on. What it has scraped it goes on sending.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn stop_scraping(&self) -> Result<(), PeerError> {
        self.rewrite(false).await
    }

    /// Scrapes its targets again.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn scrape_again(&self) -> Result<(), PeerError> {
        self.rewrite(true).await
    }

    /// The raw samples in its database from `since` on, with the labels that they have there.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn samples(&self, since: SystemTime) -> Result<Samples, PeerError> {
        let mut samples = Samples::new();
        let mut from = millis(since).saturating_sub(1);
        let end = millis(Clock::new().now()).saturating_add(1);
        while from < end {
            let until = from.saturating_add(STEP_MS);
            // 2.x takes the sample at the left end too, 3.x does not: the set takes it once either way.
            let path = format!(
                "/api/v1/query?query=%7B__name__%3D~%22.%2B%22%7D%5B{STEP_MS}ms%5D&time={}.{:03}",
                until / 1000,
                until % 1000
            );
            let text = self.ask(Method::GET, &path).await?;
            samples.absorb(range_result(&text)?);
            from = until;
        }
        Ok(samples)
    }

    /// All that it has, with its external labels: what it has to send.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn sent(&self) -> Result<Samples, PeerError> {
        let samples = self.samples(self.since).await?;
        Ok(samples.with_external_labels(&self.setup.external_labels))
    }

    /// The value of an expression now: an instant vector. Whole native histograms, which are no single value, are left
    /// out.
    ///
    /// # Errors
    /// [`PeerError`], with Prometheus' own words where it rejects the expression.
    pub async fn query(&self, expression: &str) -> Result<Vec<InstantValue>, PeerError> {
        let encoded: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let path = format!("/api/v1/query?query={encoded}");
        vector(&self.ask(Method::GET, &path).await?)
    }

    /// SIGTERM: it tries to send what is left, and ends. False where it had to be killed.
    ///
    /// # Errors
    /// [`PeerError::Control`].
    pub async fn stop(&mut self, within: Duration) -> Result<bool, PeerError> {
        Ok(self.process.stop(within).await?.is_some())
    }

    /// Starts it again on its database and at its address, after it was stopped or killed.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn start_again(&mut self) -> Result<(), PeerError> {
        self.process.kill().await?;
        self.process = run(&self.setup, self.address, &self.folder).await?;
        Ok(())
    }

    async fn rewrite(&self, scraping: bool) -> Result<(), PeerError> {
        let config = self.setup.config(self.address, scraping).to_string();
        std::fs::write(config_file(&self.folder), config).map_err(|source| PeerError::Place {
            program: NAME.to_owned(),
            source,
        })?;
        self.ask(Method::POST, "/-/reload").await.map(drop)
    }

    async fn ask(&self, method: Method, path: &str) -> Result<String, PeerError> {
        let asked = call::text(self.address, method, path, ASK_WITHIN).await;
        asked.map_err(|source| PeerError::Call {
            program: NAME.to_owned(),
            what: path.to_owned(),
            source,
        })
    }
}

async fn run(setup: &Setup, address: SocketAddr, folder: &TempDir) -> Result<Process, PeerError> {
    let mut command = Command::new(&setup.program);
    command
        .current_dir(folder)
        .arg(format!("--config.file={}", config_file(folder).display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .args(["--web.enable-lifecycle", "--log.level=warn"])
        .args(&setup.flags);
    let mut process = Process::start(NAME, command, &[])?;
    let deadline = Instant::now() + READY_WITHIN;
    while Instant::now() < deadline {
        process.check().await?;
        let ready = call::text(address, Method::GET, "/-/ready", Duration::from_secs(5));
        if ready.await.is_ok() {
            return Ok(process);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(process.not_ready(READY_WITHIN))
}

fn config_file(folder: &TempDir) -> PathBuf {
    folder.path().join("prometheus.yml")
}

/// `prometheus, version 2.42.0+ds (branch: …`
fn version(output: &str) -> Option<String> {
    let (_, rest) = output.split_once("prometheus, version ")?;
    let number = rest
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()?;
    (!number.is_empty()).then(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let debian =
            "prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5+b6)\n";
        assert_eq!(version(debian).as_deref(), Some("2.42.0"));
        assert_eq!(
            version("prometheus, version 3.14.0 (branch").as_deref(),
            Some("3.14.0")
        );
        assert_eq!(version("promtool, version 3"), None);
    }
}
