//! A sender for machines without a Prometheus, with Prometheus' habits.
//!
//! ```text
//! scrape, every interval ─▶ a shard's queue, by series ─▶ batch ─▶ POST ─▶ 2xx: done
//!                                                           ▲        ├──▶ 5xx, no answer: again, after a pause
//!                                                           └────────┘    anything else: lost for good
//! ```
//!
//! In: a URL and how many series. Out: remote-write 1.0 bodies, one request in flight a shard, pauses from 30 ms doubling
//! to 5 s, and a record of every sample made, to be held against AMP's store. What it does not copy: resharding, and
//! dropping on shutdown. Its queues are bounded: where they are full the scrapes wait, so nothing is made that is not
//! recorded and nothing recorded is thrown away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use prost::Message as _;
use remote_write_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::PeerError;
use super::call::{Answer, CallError, Caller};
use super::samples::Samples;
use super::source::Exposition;
use crate::amp::Labels;
use crate::clock::Clock;

const SHORTEST_PAUSE: Duration = Duration::from_millis(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Prometheus' `remote_timeout`.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Samples that a shard holds: some minutes of an outage.
const QUEUE: usize = 100_000;

/// What to send, and where to.
#[derive(Debug, Clone)]
pub struct SenderConfig {
    /// A plain http URL with an IP address.
    pub url: String,
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

/// What a sender did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Samples made.
    pub made: u64,
    /// Samples that were answered with 2xx.
    pub delivered: u64,
    /// Samples given up, because of an answer that says never to send them again.
    pub lost: u64,
    /// Batches that were answered with 2xx.
    pub batches: u64,
    /// Tries that had to be repeated.
    pub retries: u64,
}

/// A running sender; it stops when this is dropped.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    exposition: Exposition,
    labels: Vec<Labels>,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    sent: Sent,
    samples: Samples,
}

/// One sample on its way.
#[derive(Debug, Clone, Copy)]
struct Point {
    series: usize,
    timestamp: i64,
    value: f64,
}

struct Shard {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Point>,
    caller: Caller,
    target: Target,
    batch: usize,
    batch_deadline: Duration,
}

#[derive(Debug, Clone)]
struct Target {
    host: String,
    path: String,
}

/// What an answer means for a batch.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Delivered,
    Lost,
    Again(Option<Duration>),
}

// === impl Sent ===

impl Sent {
    /// Samples that may still be delivered.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.made.saturating_sub(self.delivered + self.lost)
    }
}

// === impl SenderConfig ===

impl SenderConfig {
    /// 200 series a second in 4 shards.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
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
        let (address, target) =
            target(&config.url).ok_or_else(|| PeerError::Url(config.url.clone()))?;
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
                caller: Caller::new(address, ANSWER_WITHIN),
                target: target.clone(),
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
            stop,
            tasks,
        })
    }

    /// What it did so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
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

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes samples until told to stop; the queues close with it.
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

// === impl Shard ===

impl Shard {
    async fn run(mut self) {
        let mut points = Vec::with_capacity(self.batch);
        while self.fill(&mut points).await {
            match self.body(&points) {
                Ok(body) => self.deliver(body, points.len() as u64).await,
                // Cannot happen below 4 GiB; it would show as samples missing.
                Err(_too_large) => self.shared.record().sent.lost += points.len() as u64,
            }
            points.clear();
        }
    }

    /// False once the queue is closed and empty.
    async fn fill(&mut self, points: &mut Vec<Point>) -> bool {
        let Some(first) = self.queue.recv().await else {
            return false;
        };
        points.push(first);
        let deadline = Instant::now() + self.batch_deadline;
        while points.len() < self.batch {
            match tokio::time::timeout_at(deadline, self.queue.recv()).await {
                Ok(Some(point)) => points.push(point),
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    /// As Prometheus, one entry a sample.
    fn body(&self, points: &[Point]) -> Result<Bytes, snap::Error> {
        let entry = |point: &Point| v1::TimeSeries {
            labels: self
                .shared
                .labels
                .get(point.series)
                .map(to_proto)
                .unwrap_or_default(),
            samples: vec![v1::Sample {
                value: point.value,
                timestamp: point.timestamp,
            }],
            ..Default::default()
        };
        let message = v1::WriteRequest {
            timeseries: points.iter().map(entry).collect(),
            metadata: Vec::new(),
        };
        let packed = snap::raw::Encoder::new().compress_vec(&message.encode_to_vec())?;
        Ok(Bytes::from(packed))
    }

    /// Tries for as long as there is hope.
    async fn deliver(&mut self, body: Bytes, samples: u64) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let fate = match self.target.request(body.clone()) {
                Ok(request) => fate(&self.caller.call(request).await),
                Err(_) => Fate::Lost,
            };
            match fate {
                Fate::Delivered => {
                    let sent = &mut self.shared.record().sent;
                    sent.batches += 1;
                    sent.delivered += samples;
                    return;
                }
                Fate::Lost => {
                    self.shared.record().sent.lost += samples;
                    return;
                }
                Fate::Again(asked) => {
                    self.shared.record().sent.retries += 1;
                    tokio::time::sleep(asked.unwrap_or(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

impl Target {
    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, http::Error> {
        Request::post(&self.path)
            .header(header::HOST, &self.host)
            .header(
                header::USER_AGENT,
                concat!("emulator/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONTENT_ENCODING, "snappy")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .body(Full::new(body))
    }
}

/// A 2xx head is final whatever its body does; no answer and 5xx are tried again, as nothing else is.
fn fate(called: &Result<Answer, CallError>) -> Fate {
    match called {
        Ok(answer) if answer.status.is_success() => Fate::Delivered,
        Ok(answer) if answer.status.is_server_error() => {
            let asked = answer.headers.get(header::RETRY_AFTER);
            let seconds = asked.and_then(|value| value.to_str().ok()?.parse().ok());
            Fate::Again(seconds.map(Duration::from_secs))
        }
        Ok(_) => Fate::Lost,
        Err(_) => Fate::Again(None),
    }
}

fn target(url: &str) -> Option<(SocketAddr, Target)> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let address = authority.as_str().parse().ok()?;
    (uri.scheme_str() == Some("http")).then(|| {
        let target = Target {
            host: authority.to_string(),
            path: uri.path().to_owned(),
        };
        (address, target)
    })
}

fn with(labels: &Labels, external: &[(String, String)]) -> Labels {
    let own = labels.iter();
    let added = external
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Labels::new(own.chain(added))
}

pub(crate) fn to_proto(labels: &Labels) -> Vec<v1::Label> {
    let label = |(name, value): (&str, &str)| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    labels.iter().map(label).collect()
}

fn millis(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
