//! Simulated senders that behave like Prometheus: they retry what failed, and drop what was refused.
//!
//! In: the batches of a plan. Out: the result of each, compared with what AMP has. A sender speaks HTTP/1.1 with hyper's client
//! over its connection, sends slowly if the plan says so, and may disconnect in the middle.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use emulator::amp::Labels;
use emulator::amp::proto::v1;
use futures_util::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::plan::{BatchPlan, SenderPlan, Shape};
use crate::watch::{ALONE, BUDGET_WAIT, MAX_HELD, READ_TIMEOUT, Sent};
use crate::world::{World, address};

/// The result of a try.
#[derive(Debug)]
enum TryResult {
    Stored,
    Refused,
    Retry(Option<Duration>),
    /// The listener is closed.
    NotListening,
}

/// An open connection, and the task that drives it.
type SenderConnection = (SendRequest<BoxBody<Bytes, Infallible>>, JoinHandle<()>);

/// One sender.
#[derive(Debug)]
pub struct Sender {
    world: Arc<World>,
    connections: mpsc::Sender<(DuplexStream, std::net::IpAddr)>,
    number: usize,
    elsewhere: Option<u8>,
    connection: Option<SenderConnection>,
}

/// A body, and the samples that must be stored.
struct Batch {
    number: usize,
    body: Bytes,
    samples: Vec<(Labels, i64)>,
    /// Number of samples in poison series, which may be refused; each may be in a part of its own.
    poisoned: u32,
}

/// A request in progress; a dropped one has no response, but may still be processed to its end.
struct Open<'a> {
    world: &'a World,
    number: usize,
    will_retry: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let now = self.world.now();
        self.world
            .watch()
            .request_ends(now, self.number, self.will_retry);
    }
}

impl Sender {
    pub fn new(
        world: &Arc<World>,
        connections: &mpsc::Sender<(DuplexStream, std::net::IpAddr)>,
        number: usize,
        elsewhere: Option<u8>,
    ) -> Self {
        Self {
            world: Arc::clone(world),
            connections: connections.clone(),
            number,
            elsewhere,
            connection: None,
        }
    }

    /// Sends all batches of the plan, each until it ends.
    pub async fn run(mut self, plan: SenderPlan) {
        for batch in plan.batches {
            tokio::time::sleep(batch.at.saturating_sub(self.world.now())).await;
            if !self.until_done(&batch).await {
                return;
            }
        }
    }

    /// Sends a small batch every half second until one is stored; returns how long that took.
    pub async fn probe(mut self) -> Option<Duration> {
        let began = self.world.now();
        loop {
            let batch = Batch::new(&self.world, self.number, &BatchPlan::small());
            match self.try_once(&batch, Shape::Whole).await {
                TryResult::Stored => return Some(self.world.now() - began),
                TryResult::NotListening => return None,
                TryResult::Refused | TryResult::Retry(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// False if the listener is closed.
    async fn until_done(&mut self, plan: &BatchPlan) -> bool {
        let world = Arc::clone(&self.world);
        let batch = Batch::new(&world, self.number, plan);
        let mut shape = plan.shape;
        let mut goes_away = plan.goes_away;
        let mut pause = Duration::from_millis(30);
        loop {
            let trying = self.try_once(&batch, shape);
            let result = match goes_away.take() {
                None => trying.await,
                Some(after) => match tokio::time::timeout(after, trying).await {
                    Ok(result) => result,
                    Err(_) => {
                        world.note(format_args!("sender {}: went away", self.number));
                        // It may still be processed, even at the same time as the next try.
                        world.watch().count_repeat(batch.number);
                        TryResult::Retry(None)
                    }
                },
            };
            shape = Shape::Whole;
            match result {
                TryResult::Stored | TryResult::Refused => return true,
                TryResult::NotListening => return false,
                TryResult::Retry(pause_sent) => {
                    tokio::time::sleep(pause_sent.unwrap_or(pause)).await;
                    pause = (pause * 2).min(world.plan.longest_pause);
                }
            }
        }
    }

    async fn try_once(&mut self, batch: &Batch, shape: Shape) -> TryResult {
        let world = Arc::clone(&self.world);
        let connection = match self.reuse().await {
            Some(connection) => Some(connection),
            None => self.connect().await,
        };
        let Some((mut connection, task)) = connection else {
            world.note(format_args!("sender {}: nobody there", self.number));
            return TryResult::NotListening;
        };
        let number = world.number();
        let began = world.now();
        {
            let mut watch = world.watch();
            watch.open.insert(number);
            watch.last_activity = began;
        }
        let mut open = Open {
            world: &world,
            number,
            will_retry: false,
        };
        let response = connection.send_request(batch.request(shape)).await;
        let waited = world.now() - began;
        let mut bound = world.plan.upstream_timeout + BUDGET_WAIT;
        if shape != Shape::Whole {
            bound += READ_TIMEOUT;
        }
        if batch.samples.len() > 1 {
            bound += BUDGET_WAIT;
        }
        if waited > bound {
            world.violated(format_args!(
                "batch {} waited {waited:?}, its bound is {bound:?}",
                batch.number
            ));
        }
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                world.note(format_args!(
                    "sender {}: batch {} broke: {error}",
                    self.number, batch.number
                ));
                world.watch().count_repeat(batch.number);
                self.check_unanswered(batch, shape, began);
                return TryResult::Retry(None);
            }
        };
        let status = response.status().as_u16();
        let pause = response.headers().get(RETRY_AFTER);
        let pause = pause.and_then(|value| value.to_str().ok()?.parse().ok());
        let said = response.into_body().collect().await;
        let said = said.map(|said| said.to_bytes()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        world.note(format_args!(
            "sender {}: batch {} got {status} {}",
            self.number,
            batch.number,
            said.trim_end()
        ));
        self.connection = Some((connection, task));
        *world.watch().answers.entry(status).or_default() += 1;
        let held = world
            .watch()
            .responded(world.now(), batch.number, status, &said);
        // If AMP judges nothing else, not even a part of the same batch, the sidecar waits longer.
        let is_alone = batch.poisoned as usize >= batch.samples.len();
        let alone = if is_alone { ALONE } else { Duration::ZERO };
        let most = MAX_HELD + alone + world.plan.longest_pause * 6;
        if held > most * batch.poisoned {
            world.violated(format_args!(
                "batch {} has been held for {held:?} for what is in it",
                batch.number
            ));
        }
        let result = self.judge(batch, status, pause, &said);
        open.will_retry = matches!(result, TryResult::Retry(_));
        result
    }

    /// Checks a response against what AMP did.
    fn judge(&self, batch: &Batch, status: u16, pause: Option<u64>, said: &str) -> TryResult {
        let world = &self.world;
        let number = batch.number;
        match status {
            200..=299 => {
                let stored = |(labels, at): &(Labels, i64)| world.amp.store().contains(labels, *at);
                if !batch.samples.iter().all(stored) {
                    world.violated(format_args!(
                        "batch {number} got {status}, and AMP has not stored it"
                    ));
                }
                TryResult::Stored
            }
            500..=599 => {
                if pause.is_some_and(|pause| pause > 5) {
                    world.violated(format_args!("batch {number} was sent off for {pause:?} s"));
                }
                let now = world.now();
                if said.starts_with("no AWS credentials") && !world.plan.time_was_wrong(now) {
                    world.watch().no_credentials_reported(now);
                }
                TryResult::Retry(pause.map(Duration::from_secs))
            }
            _ => {
                if !world.watch().parts.may_be_lost(batch.number) {
                    world.violated(format_args!(
                        "batch {number} got {status}, which AMP never said of it: {said}"
                    ));
                }
                TryResult::Refused
            }
        }
    }

    /// A whole batch without a response must not have been accepted.
    fn check_unanswered(&self, batch: &Batch, shape: Shape, began: Duration) {
        let world = &self.world;
        let stopped = *world.stopped.lock().unwrap();
        let accepted = stopped.is_none_or(|at| began < at);
        if shape == Shape::Whole && accepted && !world.watch().is_stopping() {
            world.violated(format_args!(
                "batch {} was accepted and never answered",
                batch.number
            ));
        }
    }

    async fn reuse(&mut self) -> Option<SenderConnection> {
        let (mut connection, task) = self.connection.take()?;
        connection
            .ready()
            .await
            .is_ok()
            .then_some((connection, task))
    }

    async fn connect(&mut self) -> Option<SenderConnection> {
        if !self.world.listening.load(Ordering::Relaxed) {
            return None;
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.connections
            .send((theirs, address(self.elsewhere)))
            .await
            .ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(ours)).await.ok()?;
        // The request's future reports how the connection ends.
        let task = tokio::spawn(async move { connection.await.unwrap_or_default() });
        Some((sender, task))
    }
}

impl Batch {
    fn new(world: &World, sender: usize, plan: &BatchPlan) -> Self {
        let number = world.number();
        let at = i64::try_from(world.unix_seconds() * 1000).unwrap();
        let mut filling = fastrand::Rng::with_seed(number as u64);
        let fillings: Vec<String> = (0..plan.series)
            .map(|_| {
                let word = |_| format!("{:016x}", filling.u64(..));
                (0..50).map(word).collect()
            })
            .collect();
        let mut message = v1::WriteRequest::default();
        let mut samples = Vec::new();
        for place in 0..plan.samples {
            for (n, filling) in fillings.iter().enumerate() {
                let mut labels = vec![
                    ("__name__".to_owned(), format!("batch_{number}")),
                    ("filling".to_owned(), filling.clone()),
                    ("series".to_owned(), n.to_string()),
                ];
                if plan.poison.contains(&n) {
                    labels.insert(2, ("poison".to_owned(), "yes".to_owned()));
                }
                let at = at + place as i64;
                samples.push((Labels::new(labels.clone()), at));
                message.timeseries.push(v1::TimeSeries {
                    labels: labels
                        .into_iter()
                        .map(|(name, value)| v1::Label { name, value })
                        .collect(),
                    samples: vec![v1::Sample {
                        value: place as f64,
                        timestamp: at,
                    }],
                    ..Default::default()
                });
            }
        }
        let sent = Sent {
            sender,
            samples: samples.len() as u64,
            began: world.now(),
            whole: 1,
            ..Sent::default()
        };
        world.watch().batches.insert(number, sent);
        let body = snap::raw::Encoder::new()
            .compress_vec(&message.encode_to_vec())
            .unwrap();
        Self {
            number,
            body: body.into(),
            samples,
            poisoned: (plan.poison.len() * plan.samples) as u32,
        }
    }

    fn request(&self, shape: Shape) -> Request<BoxBody<Bytes, Infallible>> {
        let request = Request::post("/api/v1/remote_write")
            .header("host", "127.0.0.1:8005")
            .header("content-encoding", "snappy")
            .header("content-type", "application/x-protobuf")
            .header("x-prometheus-remote-write-version", "0.1.0");
        let (declared, pause, ends) = match shape {
            Shape::Whole => return request.body(Full::from(self.body.clone()).boxed()).unwrap(),
            Shape::Chunks { declared, pause } => (declared, pause, true),
            Shape::NeverEnds => (true, Duration::from_secs(7), false),
        };
        let request = match declared {
            true => request.header(CONTENT_LENGTH, self.body.len()),
            false => request,
        };
        let mut chunks: Vec<_> = self
            .body
            .chunks(self.body.len().div_ceil(4))
            .map(Bytes::copy_from_slice)
            .collect();
        if !ends {
            chunks.pop();
        }
        let begins = futures_util::stream::iter(chunks).then(move |chunk| async move {
            tokio::time::sleep(pause).await;
            Ok(Frame::data(chunk))
        });
        let body = if ends {
            BodyExt::boxed(StreamBody::new(begins))
        } else {
            BodyExt::boxed(StreamBody::new(
                begins.chain(futures_util::stream::pending()),
            ))
        };
        request.body(body).unwrap()
    }
}
