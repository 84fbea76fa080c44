//! A real vmagent, and the twin that shows what it had to send.
//!
//! ```text
//! source ◀─scrapes─ vmagent ─┬▶ sidecar ─▶ world          what fails
//!                            └▶ sidecar ─▶ world, a twin   what never does
//! ```
//!
//! vmagent has no database, so nobody can ask it afterwards. But it sends every
//! block to all of its URLs, with the same timestamps: what the twin stored is
//! what the row's world should have. That the twin itself is whole is
//! checked against the source, which counts its scrapes.
//!
//! One queue a URL: several would send an outage's backlog side by side, and
//! AMP takes only a minute of disorder. Everything else is at its default.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

use super::error::Error;
use super::fixture::Fixture;
use crate::peers::process::Process;
use crate::peers::samples::Samples;
use crate::peers::sidecar::Sidecar;
use crate::peers::{PeerError, free_ports};
use crate::timestamp::millis;
use emulator::amp::Store;
use emulator::clock::Clock;
use emulator::world::{World, WorldConfig};

const NAME: &str = "vmagent";
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Whatever was scraped before the cut has been sent once something this much younger was stored.
const PAST_THE_CUT: Duration = Duration::from_millis(1500);

/// A running vmagent and its twin world; all of it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Vmagent {
    process: Process,
    twin: World,
    _sidecar: Sidecar,
    _folder: TempDir,
}

// === impl Vmagent ===

impl Vmagent {
    /// Scrapes `source` once a second and writes to `url`, and to a twin.
    pub(super) async fn start(
        program: &Path,
        fixture: &Fixture,
        url: &str,
        source: SocketAddr,
    ) -> Result<Self, Error> {
        let twin = World::start(WorldConfig::default()).await?;
        let sidecar = Sidecar::start(&fixture.program, &twin, &[]).await?;
        let place = |source| PeerError::Place {
            program: NAME.to_owned(),
            source,
        };
        let folder = tempfile::Builder::new()
            .prefix("amp-sidecar-vmagent-")
            .tempdir()
            .map_err(place)?;
        let config = folder.path().join("scrape.yml");
        let scrape = json!({
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "external_labels": {"cluster": "emulator"},
            },
            "scrape_configs": [{
                "job_name": "shop",
                "static_configs": [{"targets": [source.to_string()]}],
            }],
        });
        std::fs::write(&config, scrape.to_string()).map_err(place)?;
        let [address] = free_ports().map_err(place)?;
        let mut command = Command::new(program);
        command
            .current_dir(&folder)
            .arg(format!("-promscrape.config={}", config.display()))
            .arg(format!("-remoteWrite.url={url}"))
            .arg(format!("-remoteWrite.url={}", sidecar.write_url()))
            .arg(format!(
                "-remoteWrite.tmpDataPath={}",
                folder.path().join("queue").display()
            ))
            .args(["-remoteWrite.queues=1", "-loggerLevel=WARN"])
            .arg(format!("-httpListenAddr={address}"));
        let process = Process::start(NAME, command, &[])?;
        Ok(Self {
            process,
            twin,
            _sidecar: sidecar,
            _folder: folder,
        })
    }

    /// Waits until `store` has everything up to now, and returns what it had to send up to then.
    pub(super) async fn sent(&mut self, store: &Store, within: Duration) -> Result<Samples, Error> {
        let cut = millis(Clock::new().now());
        let past = cut + i64::try_from(PAST_THE_CUT.as_millis()).unwrap_or_default();
        let deadline = Instant::now() + within;
        while Instant::now() < deadline && newest(store).min(newest(self.twin.store())) < past {
            self.process.check().await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let mut samples = Samples::new();
        self.twin.store().visit(|labels, series| {
            for (timestamp, value) in series.samples() {
                samples.insert(labels.clone(), timestamp, value);
            }
        });
        Ok(samples.until(cut))
    }
}

fn newest(store: &Store) -> i64 {
    let mut newest = i64::MIN;
    store.visit(|_, series| newest = newest.max(series.newest().unwrap_or(i64::MIN)));
    newest
}
