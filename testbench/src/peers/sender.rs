//! A sender for machines without a Prometheus, with Prometheus' habits.
//!
//! ```text
//! scrape, every interval ─▶ a shard's queue, by series ─▶ batch ─▶ POST ─▶ 2xx: done
//!                                                           ▲        ├──▶ 5xx, no answer: again, after a pause
//!                                                           └────────┘    anything else: lost for good
//! ```
//!
//! In: a URL, which may change while it sends, how many series, and the version of the protocol. Out: bodies of that version
//! (`body`), one request in flight a `shard`, pauses from 30 ms doubling to 5 s, and a record of every sample made, to be
//! compared with AMP's store. What it does not copy: resharding, and dropping on shutdown. Its queues are bounded: where
//! they are full the scrapes wait, so nothing is made that is not recorded and nothing recorded is thrown away.

mod body;
mod record;
mod shard;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

pub use self::body::Schema;
pub(crate) use self::body::to_proto;
pub use self::record::SenderStats;
use self::record::Shared;
use self::shard::{ANSWER_WITHIN, Point, Shard, WriteTarget};
use super::PeerError;
use super::call::Caller;
use super::samples::Samples;
use super::source::Exposition;
use crate::timestamp::millis;
use emulator::amp::Labels;
use emulator::clock::Clock;

/// Samples that a shard holds: some minutes of an outage.
const QUEUE: usize = 100_000;

/// What to send, and where to.
#[derive(Debug, Clone)]
pub struct SenderConfig {
    /// A plain http URL with an IP address.
    pub url: String,
    /// The version of the protocol.
    pub schema: Schema,
    /// How many series.
    pub series: usize,
    /// How often each has a sample.
    pub interval: Duration,
    /// How many queues send side by side.
    pub shards: usize,
    /// The most samples of a batch.
    pub batch: usize,
    /// How long a batch waits to be full.
    pub batch_deadline: Duration,
    /// Added to every series.
    pub external_labels: Vec<(String, String)>,
}

/// A running sender; it stops when this is dropped.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    target: watch::Sender<WriteTarget>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

// === impl SenderConfig ===

impl SenderConfig {
    /// 200 series a second in 4 shards.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            schema: Schema::V1,
            series: 200,
            interval: Duration::from_secs(1),
            shards: 4,
            batch: 500,
            batch_deadline: Duration::from_millis(500),
            external_labels: vec![("cluster".to_owned(), "emulator".to_owned())],
        }
    }
}

// === impl Sender ===

impl Sender {
    /// Starts at once.
    ///
    /// # Errors
    /// [`PeerError::Url`].
    pub fn start(config: &SenderConfig) -> Result<Self, PeerError> {
        let (target, _) = watch::channel(WriteTarget::of(&config.url)?);
        let exposition = Exposition::new(config.series);
        let external = &config.external_labels;
        let labels = exposition.series().iter().map(|own| with(own, external));
        let shared = Arc::new(Shared {
            labels: labels.collect(),
            exposition,
            record: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let mut queues = Vec::new();
        for _ in 0..config.shards.max(1) {
            let (queue, points) = mpsc::channel(QUEUE);
            queues.push(queue);
            let shard = Shard {
                shared: Arc::clone(&shared),
                queue: points,
                schema: config.schema,
                caller: Caller::new(target.borrow().address, ANSWER_WITHIN),
                target: target.subscribe(),
                batch: config.batch.max(1),
                batch_deadline: config.batch_deadline,
            };
            tasks.spawn(shard.run());
        }
        let (stop, stopped) = watch::channel(false);
        tasks.spawn(scrape(
            Arc::clone(&shared),
            queues,
            config.interval,
            stopped,
        ));
        Ok(Self {
            shared,
            target,
            stop,
            tasks,
        })
    }

    /// Writes to another URL from now on, batches that are tried again included: a mistake that is found and fixed.
    ///
    /// # Errors
    /// [`PeerError::Url`].
    pub fn write_to(&self, url: &str) -> Result<(), PeerError> {
        self.target.send_replace(WriteTarget::of(url)?);
        Ok(())
    }

    /// What it did so far.
    #[must_use]
    pub fn sent(&self) -> SenderStats {
        self.shared.record().sent
    }

    /// Every sample that it made so far.
    #[must_use]
    pub fn samples(&self) -> Samples {
        self.shared.record().samples.clone()
    }

    /// Makes no more samples. What it has made it goes on sending.
    pub fn stop_making(&self) {
        self.stop.send_replace(true);
    }

    /// Makes no more samples and waits until none is left to send; false where that takes longer than `within`.
    pub async fn finish(&mut self, within: Duration) -> bool {
        self.stop_making();
        let done = async { while self.tasks.join_next().await.is_some() {} };
        let finished = tokio::time::timeout(within, done).await.is_ok();
        self.tasks.abort_all();
        finished
    }
}

/// Makes samples until it is stopped; the queues close with it.
async fn scrape(
    shared: Arc<Shared>,
    queues: Vec<mpsc::Sender<Point>>,
    interval: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let clock = Clock::new();
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut newest = i64::MIN;
    for tick in 0.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        // A clock set back must not make two samples of one millisecond.
        newest = millis(clock.now()).max(newest.saturating_add(1));
        for (series, labels) in shared.labels.iter().enumerate() {
            let point = Point {
                series,
                timestamp: newest,
                value: shared.exposition.value(series, tick),
            };
            let Some(queue) = queues.get(series % queues.len()) else {
                return;
            };
            tokio::select! {
                room = queue.reserve() => match room {
                    Ok(room) => {
                        let mut record = shared.record();
                        record.samples.insert(labels.clone(), point.timestamp, point.value);
                        record.sent.made += 1;
                        room.send(point);
                    }
                    Err(_closed) => return,
                },
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
    }
}

fn with(labels: &Labels, external: &[(String, String)]) -> Labels {
    let own = labels.iter();
    let added = external
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Labels::new(own.chain(added))
}

#[cfg(test)]
mod tests;
