//! What is measured, and how.
//!
//! In: [`Proxy`]s, a world and a [`Sink`]. Out: [`Measurements`] by proxy and body, numbers as they were read. Whatever is compared is
//! measured in turn, round after round, so that a machine that gets slower gets slower for all. Processor time is the
//! kernel's, of the proxy's whole process; memory is that of a process started afresh.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::bodies::Body;
use super::error::Error;
use super::load::LoadTarget;
use super::measurements::{Measurements, Table};
use super::options::Options;
use super::proxies::{Proxy, Running};
use super::sink::Sink;
use crate::peers::free_ports;
use emulator::world::World;

/// Under valgrind, beside the tests and with what processor time they leave, it takes a while.
const READY_WITHIN: Duration = Duration::from_secs(120);
const CONNECTIONS: usize = 8;
pub(super) const WARM_UP: Duration = Duration::from_millis(300);
const CROWD_WITHIN: Duration = Duration::from_secs(60);

/// The bench: what a measurement needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) world: &'a World,
    pub(crate) sink: &'a Sink,
    pub(crate) options: &'a Options,
}

// === impl Bench ===

impl Bench<'_> {
    /// Checks the proxy's signatures with AMP's own verification: whether a batch was stored. One that is not signed must
    /// not be.
    pub(crate) async fn check(&self, proxy: &Proxy) -> Result<bool, Error> {
        let running = proxy.start(self.world, self.world.amp_url()).await?;
        let millis = self.world.clock().now();
        let millis = millis.duration_since(std::time::UNIX_EPOCH);
        let millis = i64::try_from(millis.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
        let stored = || self.world.store().stats().samples;
        let before = stored();
        let deadline = Instant::now() + READY_WITHIN;
        while stored() == before && Instant::now() < deadline {
            // Ours may have no credentials yet, and others have yet to connect.
            let answered = running.target.once(&Body::fresh(millis)).await;
            let settled = proxy.signs == Some(false) && answered.is_ok();
            sleep(Duration::from_millis(200)).await;
            if settled {
                break;
            }
        }
        let signs = stored() > before;
        if proxy.signs.is_some_and(|expected| expected != signs) {
            return Err(Error::Signature {
                proxy: proxy.name.clone(),
                signs,
                log: running.last_words(),
            });
        }
        running.stop().await?;
        Ok(signs)
    }

    /// Starts it, writing to the sink, and waits until a batch comes through.
    pub(crate) async fn start(&self, proxy: &Proxy) -> Result<Running, Error> {
        let running = proxy.start(self.world, &self.sink.url(self.world)).await?;
        let before = self.sink.requests();
        let deadline = Instant::now() + READY_WITHIN;
        while self.sink.requests() == before {
            if Instant::now() > deadline {
                return Err(Error::NoFlow {
                    proxy: proxy.name.clone(),
                    log: running.last_words(),
                });
            }
            let _answered = running.target.once(&Body::real()).await;
            sleep(Duration::from_millis(50)).await;
        }
        Ok(running)
    }

    /// Starts all, warm.
    pub(crate) async fn start_all(&self, proxies: &[Proxy]) -> Result<Vec<Running>, Error> {
        let mut all = Vec::new();
        for proxy in proxies {
            let running = self.start(proxy).await?;
            let target = &running.target;
            target.closed(&Body::real(), CONNECTIONS, WARM_UP).await;
            all.push(running);
        }
        Ok(all)
    }

    /// Processor time a batch, in milliseconds, over a closed loop; none where a batch failed.
    pub(crate) async fn cpu(
        &self,
        running: &Running,
        body: &Body,
        connections: usize,
        lasts: Duration,
    ) -> Result<f64, Error> {
        let begin = || running.usage.cpu();
        let load = running.target.closed_after(body, connections, lasts, begin);
        let (before, done) = load.await;
        let took = running.usage.cpu().millis_since(&before);
        running.all_taken(body, done)?;
        Ok(took / done.taken as f64)
    }

    /// Processor time a batch of each proxy and body, in turn.
    pub(crate) async fn cpu_table(
        &self,
        proxies: &[Proxy],
        bodies: &[Body],
        connections: &[usize],
        progress: &(impl Fn(String) + ?Sized),
    ) -> Result<Table, Error> {
        let varied = |body: &Body, number: usize| match connections {
            [_] => body.name.clone(),
            _ => number.to_string(),
        };
        let mut table = Table::new();
        let all = self.start_all(proxies).await?;
        for round in 1..=self.options.rounds {
            for body in bodies {
                for &connections in connections {
                    let started = proxies.iter().zip(&all);
                    for (proxy, running) in started.filter(|(proxy, _)| proxy.takes(body)) {
                        let lasts = self.options.window;
                        let took = self.cpu(running, body, connections, lasts).await?;
                        let key = varied(body, connections);
                        table
                            .entry((proxy.name.clone(), key))
                            .or_default()
                            .push(took);
                    }
                }
            }
            progress(format!("round {round} of {}", self.options.rounds));
        }
        stop_all(all).await?;
        Ok(table)
    }

    /// Milliseconds from a batch's moment to its answer, of all rounds together; by proxy, and `direct` without any.
    pub(crate) async fn latency(&self, proxies: &[Proxy]) -> Result<Table, Error> {
        let mut targets = vec![("direct".to_owned(), self.direct())];
        let all = self.start_all(proxies).await?;
        for (proxy, running) in proxies.iter().zip(&all) {
            targets.push((proxy.name.clone(), running.target.clone()));
        }
        let mut table = Table::new();
        for _ in 0..self.options.rounds.min(3) {
            for (name, target) in &targets {
                target.closed(&Body::real(), CONNECTIONS, WARM_UP).await;
                let took =
                    Measurements::from(target.open(&Body::real(), 100, self.options.paced).await);
                for (quantile, key) in [(0.5, "p50"), (0.99, "p99")] {
                    let key = (name.clone(), key.to_owned());
                    table.entry(key).or_default().push(took.quantile(quantile));
                }
            }
        }
        stop_all(all).await?;
        Ok(table)
    }

    fn direct(&self) -> LoadTarget {
        LoadTarget {
            address: self.sink.address(),
            path: format!(
                "/workspaces/{}/api/v1/remote_write",
                self.world.workspace_id()
            ),
            tls: Some(self.world.certificates().client_config()),
            token: None,
        }
    }

    /// Resident bytes after a while without work, and at most under 8 senders of 1 MB bodies.
    pub(crate) async fn memory(&self, proxy: &Proxy) -> Result<[f64; 2], Error> {
        let running = self.start(proxy).await?;
        sleep(self.options.rest).await;
        let idle = running.usage.resident();
        let large = Body::generated(10_000);
        running.usage.forget_peak();
        running
            .target
            .closed(&large, CONNECTIONS, 2 * self.options.window)
            .await;
        let peak = running.usage.peak();
        running.stop().await?;
        Ok([idle, peak])
    }

    /// The most resident bytes while so many senders send at once, and those that are left a while after they left; all must be
    /// answered in the end.
    pub(crate) async fn crowd(&self, proxy: &Proxy, senders: usize) -> Result<[f64; 2], Error> {
        let running = self.start(proxy).await?;
        running.usage.forget_peak();
        let body = Body::generated(500);
        let done = running.target.crowd(&body, senders, CROWD_WITHIN).await;
        running.all_taken(&body, done)?;
        let peak = running.usage.peak();
        sleep(self.options.calm).await;
        let left = running.usage.resident();
        running.stop().await?;
        Ok([peak, left])
    }

    /// Milliseconds from the start of a process to its first accepted connection.
    pub(crate) fn start_up(&self, binary: &Path, times: usize) -> Result<Measurements, Error> {
        let mut took = Measurements::default();
        for _ in 0..times {
            let [listen, admin] = free_ports().map_err(Error::Io)?;
            let mut command = Command::new(binary);
            command
                .args(["--listen", &listen.to_string()])
                .args(["--admin-listen", &admin.to_string()])
                .env_clear()
                .envs(self.world.environment())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let started = Instant::now();
            let mut child = command.spawn().map_err(Error::Io)?;
            while TcpStream::connect(listen).is_err() && started.elapsed() < READY_WITHIN {
                std::thread::sleep(Duration::from_micros(100));
            }
            took.push(started.elapsed().as_secs_f64() * 1000.0);
            child
                .kill()
                .and_then(|()| child.wait())
                .map_err(Error::Io)?;
        }
        Ok(took)
    }
}

/// Ends what [`Bench::start_all`] started.
pub(crate) async fn stop_all(all: Vec<Running>) -> Result<(), Error> {
    for running in all {
        running.stop().await?;
    }
    Ok(())
}
