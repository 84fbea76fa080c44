//! Many senders, each with a connection of its own.
//!
//! In: where to write, and when. Out: what was sent, and the results. A sender makes one small batch, retries it for as
//! long as it gets 5xx, and looks into AMP's store when it gets a 2xx. Now and then it drops its connection,
//! or opens another one, sends a part of a request and leaves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use prost::Message as _;
use remote_write_proto::v1;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::peers::call::Caller;
use crate::peers::sender::to_proto;
use crate::peers::sidecar::Sidecar;
use crate::timestamp::millis;
use emulator::amp::{Labels, Store};
use emulator::clock::Clock;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const SERIES: usize = 3;

/// Running senders; they stop when this is dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    going: watch::Sender<bool>,
    counts: Arc<CrowdCounters>,
    _senders: JoinSet<()>,
}

/// Results of batches.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrowdStats {
    /// Answered with 2xx.
    pub stored: u64,
    /// Of these, not in AMP's store.
    pub missing: u64,
    /// Given up, as the answer said never to send them again.
    pub lost: u64,
    /// Tries that had to be repeated.
    pub retries: u64,
    /// Connections made.
    pub connections: u64,
}

#[derive(Debug, Default)]
struct CrowdCounters {
    stored: AtomicU64,
    missing: AtomicU64,
    lost: AtomicU64,
    retries: AtomicU64,
    connections: AtomicU64,
    busy: AtomicU64,
}

struct CrowdSender {
    number: usize,
    address: SocketAddr,
    path: String,
    store: Store,
    counts: Arc<CrowdCounters>,
    going: watch::Receiver<bool>,
    rng: Rng,
}

// === impl Crowd ===

impl Crowd {
    pub(super) fn gather(senders: usize, sidecar: &Sidecar, store: Store, rng: &mut Rng) -> Self {
        let (going, _) = watch::channel(false);
        let counts = Arc::<CrowdCounters>::default();
        let url = sidecar.write_url();
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let mut tasks = JoinSet::new();
        for number in 0..senders {
            let sender = CrowdSender {
                number,
                address: sidecar.listen(),
                path: format!("/{path}"),
                store: store.clone(),
                counts: Arc::clone(&counts),
                going: going.subscribe(),
                rng: rng.fork(),
            };
            tasks.spawn(sender.run());
        }
        Self {
            going,
            counts,
            _senders: tasks,
        }
    }

    pub(super) fn go(&self) {
        self.going.send_replace(true);
    }

    /// Until each has its batch delivered and its connection closed; false where one takes longer.
    pub(super) async fn fall_silent(&self, within: Duration) -> bool {
        self.going.send_replace(false);
        let deadline = Instant::now() + within;
        while self.counts.busy.load(Ordering::SeqCst) > 0 {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }

    pub(super) fn sent(&self) -> CrowdStats {
        let count = |of: &AtomicU64| of.load(Ordering::SeqCst);
        CrowdStats {
            stored: count(&self.counts.stored),
            missing: count(&self.counts.missing),
            lost: count(&self.counts.lost),
            retries: count(&self.counts.retries),
            connections: count(&self.counts.connections),
        }
    }
}

// === impl CrowdSender ===

impl CrowdSender {
    async fn run(mut self) {
        while self.going.wait_for(|going| *going).await.is_ok() {
            self.counts.busy.fetch_add(1, Ordering::SeqCst);
            self.round().await;
            self.counts.busy.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Until it is to fall silent; its connection goes with it.
    async fn round(&mut self) {
        let mut caller = self.connection();
        while *self.going.borrow() {
            match self.rng.u8(..20) {
                0 => caller = self.connection(),
                1 => self.leave_in_the_middle().await,
                _ => {}
            }
            self.deliver(&mut caller).await;
            let pause = Duration::from_millis(self.rng.u64(500..4000));
            // A sender that is to stop need not finish its pause.
            let silent = self.going.wait_for(|going| !*going);
            let _either = tokio::time::timeout(pause, silent).await;
        }
    }

    fn connection(&self) -> Caller {
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        Caller::new(self.address, ANSWER_WITHIN)
    }

    async fn deliver(&mut self, caller: &mut Caller) {
        let at = millis(Clock::new().now());
        let (body, series) = self.batch(at);
        let mut pause = Duration::from_millis(30);
        loop {
            let Ok(request) = self.request(body.clone()) else {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
                return;
            };
            match caller.call(request).await.map(|answer| answer.status) {
                Ok(status) if status.is_success() => {
                    self.counts.stored.fetch_add(1, Ordering::Relaxed);
                    if !series.iter().all(|labels| self.store.contains(labels, at)) {
                        self.counts.missing.fetch_add(1, Ordering::Relaxed);
                    }
                    return;
                }
                Ok(status) if !status.is_server_error() => {
                    self.lost(status);
                    return;
                }
                Ok(_) | Err(_) => {
                    self.counts.retries.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn lost(&self, status: StatusCode) {
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
        eprintln!("sender {} lost a batch on {status}", self.number);
    }

    fn batch(&self, at: i64) -> (Bytes, Vec<Labels>) {
        let series: Vec<Labels> = (0..SERIES)
            .map(|n| {
                let (sender, series) = (self.number.to_string(), n.to_string());
                Labels::new([
                    ("__name__", "soak"),
                    ("sender", sender.as_str()),
                    ("series", series.as_str()),
                ])
            })
            .collect();
        let entry = |labels: &Labels| v1::TimeSeries {
            labels: to_proto(labels),
            samples: vec![v1::Sample {
                value: 1.0,
                timestamp: at,
            }],
            ..Default::default()
        };
        let message = v1::WriteRequest {
            timeseries: series.iter().map(entry).collect(),
            metadata: Vec::new(),
        };
        let packed = snap::raw::Encoder::new().compress_vec(&message.encode_to_vec());
        (Bytes::from(packed.unwrap_or_default()), series)
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, http::Error> {
        Request::post(&self.path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONTENT_ENCODING, "snappy")
            .body(Full::new(body))
    }

    /// A request whose body never comes whole.
    async fn leave_in_the_middle(&self) {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-protobuf\r\ncontent-encoding: snappy\r\ncontent-length: 5000\r\n\r\nhalf",
            self.path, self.address
        );
        if let Ok(mut stream) = TcpStream::connect(self.address).await {
            // Whether it arrives is the sidecar's trouble.
            let _sent = stream.write_all(head.as_bytes()).await;
        }
    }
}
