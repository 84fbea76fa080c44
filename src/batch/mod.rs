//! The life of a batch, from a request's head to the answer.
//!
//! ```text
//! address ─▶ admission ─▶ receive ─▶ inspect ─▶ deliver ( [split] ─▶ sign ─▶ forward ─▶ reply ) ─▶ verdict
//! Media      Admitted     Received   Inspected           Payloads    Signed   Reply      Meaning      Verdict
//! ```
//!
//! Each stage consumes what the stage before made, so a batch that was not admitted cannot be read and one that was not
//! signed cannot leave. Nothing is queued: the sender waits for AMP's own word, and 2xx is said only once AMP said it.

pub mod address;
pub mod admission;
pub mod deliver;
pub mod forward;
pub mod frames;
pub mod inspect;
pub mod receive;
pub mod reply;
pub mod sign;
pub mod split;
pub mod trouble;
pub mod verdict;
pub mod wire;
pub mod written;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::Config;
use crate::credentials::Cache;
use crate::listener::Service;
use crate::sigv4::SigningError;
use crate::telemetry::Telemetry;

use address::{Address, Media};
use admission::{Admission, Admitted};
use deliver::Delivery;
use frames::Frames;
use inspect::{Contents, Inspector};
use receive::Received;
use trouble::Trouble;
use verdict::{Answer, Verdict};

/// What an inspector may take without asking for room: it keeps as much between batches anyway.
const UNASKED: usize = 1 << 20;

/// How many times `--drain-idle` a sender has that was told to come again.
const PAUSES: u32 = 3;

/// Takes batches for one workspace.
#[derive(Debug)]
pub struct Pipeline {
    address: Address,
    admission: Admission,
    inspectors: Mutex<Vec<Inspector>>,
    delivery: Delivery,
    telemetry: Arc<Telemetry>,
    trouble: Trouble,
    max_body_bytes: usize,
    seen: Mutex<Seen>,
}

/// When senders were last heard of.
#[derive(Debug)]
struct Seen {
    /// The last request began or was answered.
    request: Instant,
    /// The last sender was told to come again, so one will.
    come_again: Option<Instant>,
}

/// A batch whose body is no nonsense.
#[derive(Debug)]
pub struct Inspected {
    payload: Payload,
    /// Held until the sender was answered.
    admitted: Admitted,
}

/// What one request to AMP carries: a batch, or a part of one.
#[derive(Debug)]
pub struct Payload {
    media: Media,
    frames: Frames,
    /// SHA-256 of the body, in lower-case hexadecimal.
    payload_hash: String,
    contents: Contents,
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer: {0}")]
pub struct Closed(&'static str);

// === impl Pipeline ===

impl Pipeline {
    /// Wires the stages for the configured workspace.
    ///
    /// # Errors
    /// Where its URL cannot be signed for or dialled, which a checked configuration excludes.
    pub fn new(
        config: &Config,
        tls: Arc<rustls::ClientConfig>,
        credentials: Cache,
        clock: Clock,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, SigningError> {
        Ok(Self {
            address: Address::new(&config.workspace.id),
            admission: Admission::new(config.limits.max_inflight_bytes),
            inspectors: Mutex::default(),
            delivery: Delivery::new(config, tls, credentials, clock, Arc::clone(&telemetry))?,
            telemetry,
            trouble: Trouble::default(),
            max_body_bytes: config.limits.max_body_bytes,
            seen: Mutex::new(Seen {
                request: Instant::now(),
                come_again: None,
            }),
        })
    }

    /// One request, whatever it is.
    ///
    /// # Errors
    /// [`Closed`] where the sender is not to be answered.
    pub async fn answer<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Closed>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let started = Instant::now();
        self.seen().request = started;
        let verdict = match self.prepare(request).await {
            Ok(batch) => self.delivery.deliver(batch).await,
            Err(verdict) => verdict,
        };
        self.saw(&verdict);
        self.telemetry.answered(&verdict, started.elapsed());
        self.trouble.saw(&verdict);
        match verdict.answer() {
            Answer::Respond(response) => Ok(response),
            Answer::Close => Err(Closed(verdict.name())),
        }
    }

    /// From the head to a batch that is worth sending.
    async fn prepare<B>(&self, request: Request<B>) -> Result<Inspected, Verdict>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let media = self.address.accept(&head)?;
        let declared = address::declared_length(&head.headers);
        if declared.is_some_and(|declared| declared > self.max_body_bytes) {
            return Err(Verdict::TooLarge {
                limit: self.max_body_bytes,
            });
        }
        let admitted = self.admission.admit(declared).await?;
        let received = receive::receive(admitted, body, self.max_body_bytes).await?;
        self.inspect(received, media).await
    }

    async fn inspect(&self, received: Received, media: Media) -> Result<Inspected, Verdict> {
        let Received {
            frames,
            payload_hash,
            mut admitted,
        } = received;
        let body = frames.contiguous();
        let room = self.room_to_unpack(&body, &mut admitted).await?;
        let mut inspector = self.inspectors().pop().unwrap_or_default();
        let inspected = inspector.inspect(&body, media.version, room);
        self.inspectors().push(inspector);
        let contents = match inspected.map_err(Verdict::Malformed)? {
            inspect::Inspected::Counted(contents) => contents,
            inspect::Inspected::TooLarge { .. } => Contents::default(),
        };
        self.telemetry.received(body.len(), &contents);
        drop(body);
        let payload = Payload {
            media,
            frames,
            payload_hash,
            contents,
        };
        Ok(Inspected { payload, admitted })
    }

    /// How much may be unpacked. What is too large for the whole budget goes on uncounted.
    async fn room_to_unpack(&self, body: &[u8], admitted: &mut Admitted) -> Result<usize, Verdict> {
        let unpacked = inspect::unpacked_len(body).map_err(Verdict::Malformed)?;
        let whole = body.len().saturating_add(unpacked);
        if unpacked > UNASKED && whole <= admitted.budget() {
            admitted.grow_to(whole).await?;
            return Ok(unpacked);
        }
        Ok(UNASKED)
    }

    /// Returns once no request has come for `idle`, none is in flight, and no sender that was told to come again is due:
    /// Prometheus pauses up to 5 s between two tries, so it is given [`PAUSES`] times as long.
    pub async fn quiet(&self, idle: Duration) {
        loop {
            let left = {
                let seen = self.seen();
                let idle_until = seen.request + idle;
                let due_until = seen.come_again.map_or(idle_until, |at| at + idle * PAUSES);
                idle_until
                    .max(due_until)
                    .saturating_duration_since(Instant::now())
            };
            if left.is_zero() && self.admission.requests_in_flight() == 0 {
                return;
            }
            tokio::time::sleep(left.max(Duration::from_millis(50))).await;
        }
    }

    fn saw(&self, verdict: &Verdict) {
        let now = Instant::now();
        let mut seen = self.seen();
        seen.request = now;
        if verdict.keeps() {
            seen.come_again = Some(now);
        }
    }

    /// Room and requests in flight, for the metrics.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    fn inspectors(&self) -> std::sync::MutexGuard<'_, Vec<Inspector>> {
        self.inspectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Pipeline {
    async fn call(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
        self.answer(request).await
    }
}
