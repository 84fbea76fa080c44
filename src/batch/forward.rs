//! One attempt at AMP: one deadline, a bounded answer.
//!
//! In: a [`Signed`]. Out: AMP's [`Reply`], or the [`TransportFault`] that stood in its place. Connections are HTTP/1.1, kept
//! alive, and used by the one that was idle for the shortest time first. A kept connection that AMP closed as the
//! request left, before any byte of an answer, is no fault: the request goes out once more, on a fresh connection.
//! A redirect is an answer like any other. Whatever times out takes all idle connections with it, since the path that
//! swallowed one will have swallowed the others.
//!
//! Instead of a general client's pool this is hyper's connection and a stack of idle ones: only so can be seen whether a
//! connection was used before and whether a byte of the answer came, which decides about sending again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::batch::frames::Frames;
use crate::batch::reply::Reply;
use crate::batch::sign::Signed;
use crate::dial::{DialError, Dialer, Meter};
use crate::telemetry::Meters;

/// More of an answer is not read.
const LARGEST_ANSWER: usize = 64 * 1024;
/// Once AMP has said 2xx the batch is stored, and the rest of its answer is not worth a wait.
const REST_OF_SUCCESS: Duration = Duration::from_secs(1);
/// Load balancers drop connections that are idle for a minute or so.
const LONGEST_IDLE: Duration = Duration::from_secs(50);
/// More than Prometheus' shards ever need.
const MOST_IDLE: usize = 256;

/// Sends to one endpoint.
#[derive(Debug)]
pub struct Forwarder {
    dialer: Dialer,
    idle: Mutex<Vec<Connection>>,
    meters: Arc<Meters>,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum TransportFault {
    /// No connection could be made.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection broke before the answer was whole.
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
    /// What came is no HTTP.
    #[error("the answer is no HTTP: {0}")]
    Garbage(#[source] hyper::Error),
    /// The deadline passed.
    #[error("no answer within --upstream-timeout")]
    TimedOut,
}

/// A connection, idle or in use.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Frames>,
    meter: Meter,
    idle_since: Instant,
}

/// An attempt's fault, and whether the same bytes may go out again.
struct Attempt {
    fault: TransportFault,
    stale: bool,
}

// === impl TransportFault ===

impl TransportFault {
    /// The metric's label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dial(DialError::Resolve { .. }) => "dns",
            Self::Dial(DialError::Connect { .. }) => "connect",
            Self::Dial(DialError::Proxy { .. }) => "proxy",
            Self::Dial(DialError::Tls { .. }) => "tls",
            Self::Dial(DialError::TimedOut(_)) => "connect_timed_out",
            Self::Broken(_) => "broken",
            Self::Garbage(_) => "garbage",
            Self::TimedOut => "timed_out",
        }
    }
}

// === impl Forwarder ===

impl Forwarder {
    /// Sends to where `dialer` leads.
    #[must_use]
    pub fn new(dialer: Dialer, meters: Arc<Meters>) -> Self {
        Self {
            dialer,
            idle: Mutex::new(Vec::new()),
            meters,
        }
    }

    /// Sends, and reads the answer, before `deadline`.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub async fn send(&self, signed: &Signed, deadline: Instant) -> Result<Reply, TransportFault> {
        let result = tokio::time::timeout_at(deadline, self.send_once_or_again(signed)).await;
        let result = result.unwrap_or(Err(TransportFault::TimedOut));
        if matches!(result, Err(TransportFault::TimedOut)) {
            self.lock().clear();
        }
        result
    }

    async fn send_once_or_again(&self, signed: &Signed) -> Result<Reply, TransportFault> {
        if let Some(kept) = self.kept().await {
            match self.attempt(kept, signed).await {
                Err(Attempt { stale: true, fault }) => {
                    tracing::debug!(%fault, "kept connection was stale, sending again");
                    self.meters.upstream_resend("stale_connection");
                }
                done => return done.map_err(|attempt| attempt.fault),
            }
        }
        let fresh = self.connect().await?;
        self.attempt(fresh, signed)
            .await
            .map_err(|attempt| attempt.fault)
    }

    /// The most recently used connection that is still open.
    async fn kept(&self) -> Option<Connection> {
        loop {
            let mut connection = self.lock().pop()?;
            if connection.idle_since.elapsed() < LONGEST_IDLE
                && connection.sender.ready().await.is_ok()
            {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection, TransportFault> {
        let stream = self.dialer.dial().await?;
        let open = self.meters.upstream_connected();
        let meter = stream.meter();
        let handshake = http1::Builder::new()
            .max_buf_size(LARGEST_ANSWER)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(TransportFault::Broken)?;
        tokio::spawn(async move {
            // Its faults reach whoever waits for an answer; on an idle connection they mean nothing.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "connection to AMP ended");
            }
            drop(open);
        });
        Ok(Connection {
            sender,
            meter,
            idle_since: Instant::now(),
        })
    }

    async fn attempt(&self, mut connection: Connection, signed: &Signed) -> Result<Reply, Attempt> {
        let mut request = Request::new(signed.frames.clone());
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&signed.path);
        request.headers_mut().clone_from(&signed.headers);

        self.meters.upstream_request(signed.frames.len());
        let answered = connection.meter.read();
        let response = connection
            .sender
            .send_request(request)
            .await
            .map_err(|error| {
                let silent = connection.meter.read() == answered;
                let fault = if error.is_parse() {
                    TransportFault::Garbage(error)
                } else {
                    TransportFault::Broken(error)
                };
                Attempt {
                    fault,
                    stale: silent,
                }
            })?;
        self.read(response, connection)
            .await
            .map_err(|fault| Attempt {
                fault,
                stale: false,
            })
    }

    /// Reads the answer; its connection is kept only where the answer was whole and short.
    async fn read(
        &self,
        response: Response<Incoming>,
        connection: Connection,
    ) -> Result<Reply, TransportFault> {
        let (head, body) = response.into_parts();
        let body = if head.status.is_success() {
            // A success whose body breaks or stalls is a success: AMP has the batch.
            let body = tokio::time::timeout(REST_OF_SUCCESS, bounded(body)).await;
            body.ok().and_then(Result::ok).unwrap_or_default()
        } else {
            bounded(body).await.map_err(TransportFault::Broken)?
        };
        if body.complete {
            self.keep(connection);
        } else if head.status.is_success() {
            self.meters.upstream_fault("success_body");
        }
        Ok(Reply::new(
            head.status,
            &head.headers,
            &body.bytes,
            self.dialer.is_verified(),
        ))
    }

    fn keep(&self, mut connection: Connection) {
        connection.idle_since = Instant::now();
        let mut idle = self.lock();
        if idle.len() < MOST_IDLE && !connection.sender.is_closed() {
            idle.push(connection);
        }
    }

    /// Kept connections that nobody uses.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The beginning of an answer's body.
#[derive(Default)]
struct Beginning {
    bytes: Vec<u8>,
    complete: bool,
}

async fn bounded(mut body: Incoming) -> Result<Beginning, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(chunk) = frame?.data_ref() {
            let room = LARGEST_ANSWER - bytes.len();
            bytes.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
            if chunk.len() >= room {
                return Ok(Beginning {
                    bytes,
                    complete: false,
                });
            }
        }
    }
    Ok(Beginning {
        bytes,
        complete: true,
    })
}
