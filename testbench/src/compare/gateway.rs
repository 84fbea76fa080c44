//! What a gateway's batch costs, and what a second worker thread adds.
//!
//! In: an [`Entrance`]. Out: tables by gateway or mode. 64 senders keep their connections, as Prometheus does, so handshakes are not
//! in it. Two worker threads need both cores, of which load and sink take their part: so the throughput of two is not measured, but
//! what a batch costs with one and with two; a program that shared nothing would have the same cost and so twice the capacity.

use tokio::time::Instant;

use super::bodies::Body;
use super::entrance::Entrance;
use super::error::Error;
use super::measure::{Bench, stop_all};
use super::measurements::Table;
use super::proxies::{COUNTING, Proxy};

const SENDERS: usize = 64;
const ROUNDS: usize = 5;
/// What is measured of a number of worker threads; samples a second are as they came, with the load that one core made.
pub(crate) const SCALE: [&str; 4] = ["cost", "kernel", "cores", "samples"];
/// Worker threads, and the cores that make the program start as many.
pub(crate) const THREADS: [(&str, &str); 2] = [("1", "0"), ("2", "0,1")];

// === impl Bench ===

impl Bench<'_> {
    /// Processor time a batch of each gateway, in turn; all sign what they forward, and take nothing without the token.
    pub(crate) async fn gateways(
        &self,
        entrance: &Entrance,
        progress: &(impl Fn(String) + ?Sized),
    ) -> Result<Table, Error> {
        let gateways = Proxy::gateways(&self.options.sidecar, entrance);
        for proxy in &gateways {
            self.check(proxy).await?;
            let running = self.start(proxy).await?;
            let mut stranger = running.target.clone();
            stranger.token = None;
            if !matches!(stranger.once(&Body::real()).await, Ok(false)) {
                return Err(Error::Open {
                    proxy: proxy.name.clone(),
                });
            }
            running.stop().await?;
        }
        let body = [Body::real_large()];
        self.cpu_table(&gateways, &body, &[SENDERS], progress).await
    }

    /// Sidecar and gateway with one worker thread and with two, at once as much as the load's core sends.
    pub(crate) async fn scale(&self, entrance: &Entrance) -> Result<Table, Error> {
        let sidecar = &self.options.sidecar;
        let [gateway, _envoy] = Proxy::gateways(sidecar, entrance);
        let body = Body::real_large();
        let mut table = Table::new();
        for proxy in [Proxy::sidecar(COUNTING, sidecar, ""), gateway] {
            let proxies = THREADS.map(|(_, cores)| proxy.clone().on(cores));
            let all = self.start_all(&proxies).await?;
            for _ in 0..self.options.rounds.min(ROUNDS) {
                for ((threads, _), running) in THREADS.iter().zip(&all) {
                    let usage = running.usage;
                    let read = || (usage.cpu(), usage.user_and_system(), Instant::now());
                    let lasts = 2 * self.options.window;
                    let load = running.target.closed_after(&body, SENDERS, lasts, read);
                    let ((cpu, [user, system], began), done) = load.await;
                    let millis = began.elapsed().as_secs_f64() * 1000.0;
                    let took = usage.cpu().millis_since(&cpu);
                    let [more_user, more_system] = usage.user_and_system();
                    running.all_taken(&body, done)?;
                    let (kernel, own) = (more_system - system, more_user - user);
                    let taken = done.taken as f64;
                    let values = [
                        took / taken,
                        kernel / (kernel + own),
                        took / millis,
                        taken * body.samples as f64 / millis * 1000.0,
                    ];
                    for (what, value) in SCALE.into_iter().zip(values) {
                        let key = (proxy.name.clone(), format!("{what} {threads}"));
                        table.entry(key).or_default().push(value);
                    }
                }
            }
            stop_all(all).await?;
        }
        Ok(table)
    }
}
