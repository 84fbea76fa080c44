//! Connections to one endpoint, kept while they are idle.
//!
//! In: a [`Signed`]. Out: the head of AMP's answer with its body still to be read, or the [`TransportFault`] that stood in its
//! place. Connections are HTTP/1.1, kept alive, and used by the one that was idle for the shortest time first. A kept
//! connection that AMP closed as the request left, before any byte of an answer, is no fault: the request goes out once
//! more, on a fresh connection. Whoever reads an answer to its end gives its connection back by [`Connections::keep`].
//!
//! Instead of a general client's pool this is hyper's connection and a stack of idle ones: only so can be seen whether a
//! connection was used before and whether a byte of the answer came, which decides about sending again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::http::body::ChunkedBody;
use crate::net::connect::{Dial, DialError, Meter};

/// More of an answer is never held for its reader.
const LARGEST_BUFFER: usize = 64 * 1024;
/// Load balancers drop connections that are idle for a minute or so.
const LONGEST_IDLE: Duration = Duration::from_secs(50);
/// More than Prometheus' shards ever need.
const MOST_IDLE: usize = 256;

/// A request that may leave.
#[derive(Debug)]
pub struct Signed {
    /// The method that was signed.
    pub method: Method,
    /// Path and query, in origin form.
    pub path: Uri,
    /// Every header but Content-Length, which follows from the body.
    pub headers: HeaderMap,
    /// The body.
    pub chunks: ChunkedBody,
}

/// What a pool tells of its connections.
pub trait PoolEvents: fmt::Debug + Send + Sync {
    /// A connection was made; it is open for as long as this is held.
    fn connected(&self) -> Box<dyn Send + Sync>;

    /// An idle connection was closed as a request left, which goes out once more.
    fn stale(&self);
}

/// The connections to one endpoint.
#[derive(Debug)]
pub struct Connections {
    dialer: Box<dyn Dial>,
    idle: Idle,
    events: Arc<dyn PoolEvents>,
}

/// Kept connections that nobody uses, the one that was used last at the end. Those that their peer closes leave by
/// themselves, and those that were not needed for [`LONGEST_IDLE`] when another one is kept.
#[derive(Debug, Clone, Default)]
struct Idle(Arc<Mutex<Vec<Connection>>>);

/// A connection, idle or in use.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<ChunkedBody>,
    meter: Meter,
    idle_since: Instant,
}

/// The beginning of an answer's body.
#[derive(Debug, Default)]
pub struct Beginning {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether that is all.
    pub complete: bool,
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
    /// A success has a longer body than AMP ever sends.
    #[error("the answer is a success with a body of over 64 KiB, which AMP never sends")]
    Endless,
    /// The deadline passed.
    #[error("no answer within --upstream-timeout")]
    TimedOut,
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
            Self::Endless => "endless",
            Self::TimedOut => "timed_out",
        }
    }
}

// === impl Connections ===

impl Connections {
    /// Connections to where `dialer` leads.
    #[must_use]
    pub fn new(dialer: Box<dyn Dial>, events: Arc<dyn PoolEvents>) -> Self {
        Self {
            dialer,
            idle: Idle::default(),
            events,
        }
    }

    /// Whether the peer proves who it is.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.dialer.is_verified()
    }

    /// Sends, and waits for the head of the answer; `leaves` is called each time that the request leaves.
    ///
    /// # Errors
    /// [`TransportFault`].
    pub async fn send(
        &self,
        signed: &Signed,
        mut leaves: impl FnMut(),
    ) -> Result<(Response<Incoming>, Connection), TransportFault> {
        if let Some(kept) = self.kept().await {
            leaves();
            match attempt(kept, signed).await {
                Err(Attempt { stale: true, fault }) => {
                    tracing::debug!(%fault, "kept connection was stale, sending again");
                    self.events.stale();
                }
                done => return done.map_err(|attempt| attempt.fault),
            }
        }
        let fresh = self.connect().await?;
        leaves();
        attempt(fresh, signed)
            .await
            .map_err(|attempt| attempt.fault)
    }

    /// Takes back a connection whose answer was read to its end.
    pub fn keep(&self, connection: Connection) {
        self.idle.keep(connection);
    }

    /// Kept connections that nobody uses.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    /// Drops every idle connection.
    pub fn forget_idle(&self) {
        self.idle.lock().clear();
    }

    /// The most recently used connection that is still open.
    async fn kept(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle.lock().pop()?;
            if !connection.is_over() && connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection, TransportFault> {
        let stream = self.dialer.dial().await?;
        let open = self.events.connected();
        let meter = stream.meter();
        let handshake = http1::Builder::new()
            .max_buf_size(LARGEST_BUFFER)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(TransportFault::Broken)?;
        let idle = self.idle.clone();
        tokio::spawn(async move {
            // Its faults reach whoever waits for an answer; on an idle connection they mean nothing.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "connection to AMP ended");
            }
            drop(open);
            idle.forget_closed();
        });
        Ok(Connection {
            sender,
            meter,
            idle_since: Instant::now(),
        })
    }
}

// === impl Idle ===

impl Idle {
    fn keep(&self, mut connection: Connection) {
        connection.idle_since = Instant::now();
        let mut idle = self.lock();
        let over = idle.iter().take_while(|kept| kept.is_over()).count();
        idle.drain(..over);
        if idle.len() < MOST_IDLE && !connection.sender.is_closed() {
            idle.push(connection);
        }
    }

    fn forget_closed(&self) {
        self.lock().retain(|kept| !kept.sender.is_closed());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Connection ===

impl Connection {
    /// Whether something on the way may have dropped it by now.
    fn is_over(&self) -> bool {
        self.idle_since.elapsed() >= LONGEST_IDLE
    }
}

// === impl Beginning ===

impl Beginning {
    /// Reads a body of which no more than 64 KiB are worth reading.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub async fn read(mut body: Incoming) -> Result<Self, hyper::Error> {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Some(chunk) = frame?.data_ref() {
                let room = LARGEST_BUFFER - bytes.len();
                bytes.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
                if chunk.len() >= room {
                    return Ok(Self {
                        bytes,
                        complete: false,
                    });
                }
            }
        }
        Ok(Self {
            bytes,
            complete: true,
        })
    }
}

async fn attempt(
    mut connection: Connection,
    signed: &Signed,
) -> Result<(Response<Incoming>, Connection), Attempt> {
    let mut request = Request::new(signed.chunks.clone());
    request.method_mut().clone_from(&signed.method);
    request.uri_mut().clone_from(&signed.path);
    request.headers_mut().clone_from(&signed.headers);

    connection.meter.leaves(signed.chunks.len());
    let answered = connection.meter.read();
    let response = connection.sender.send_request(request).await;
    match response {
        Ok(response) => Ok((response, connection)),
        Err(error) => Err(Attempt {
            stale: connection.meter.read() == answered,
            fault: if error.is_parse() {
                TransportFault::Garbage(error)
            } else {
                TransportFault::Broken(error)
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::advance;

    use super::*;
    use crate::net::connect::Stream;

    /// Leads to peers that take every request, until they are aborted.
    #[derive(Debug, Clone, Default)]
    struct Peers(Arc<Mutex<Vec<JoinHandle<()>>>>);

    impl Dial for Peers {
        fn is_verified(&self) -> bool {
            false
        }

        fn dial(&self) -> Pin<Box<dyn Future<Output = Result<Stream, DialError>> + Send + '_>> {
            let (ours, mut theirs) = duplex(1024);
            let peer = tokio::spawn(async move {
                let mut request = [0; 1024];
                while theirs.read(&mut request).await.unwrap() > 0 {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    theirs.write_all(answer).await.unwrap();
                }
            });
            self.0.lock().unwrap().push(peer);
            Box::pin(std::future::ready(Ok(Stream::new(ours))))
        }
    }

    #[derive(Debug)]
    struct Unheard;

    impl PoolEvents for Unheard {
        fn connected(&self) -> Box<dyn Send + Sync> {
            Box::new(())
        }

        fn stale(&self) {}
    }

    async fn used(connections: &Connections) -> Connection {
        let request = Signed {
            method: Method::POST,
            path: Uri::from_static("/"),
            headers: HeaderMap::new(),
            chunks: ChunkedBody::new(Vec::new()),
        };
        let (response, connection) = connections.send(&request, || {}).await.unwrap();
        Beginning::read(response.into_body()).await.unwrap();
        connection
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_or_was_closed_is_not_kept() {
        let peers = Peers::default();
        let connections = Connections::new(Box::new(peers.clone()), Arc::new(Unheard));
        let (one, other) = (used(&connections).await, used(&connections).await);
        connections.keep(one);
        connections.keep(other);
        assert_eq!(connections.idle(), 2);

        advance(LONGEST_IDLE / 2).await;
        connections.keep(used(&connections).await);
        assert_eq!(connections.idle(), 2);
        advance(LONGEST_IDLE / 2).await;
        connections.keep(used(&connections).await);
        assert_eq!(connections.idle(), 1, "one was enough all that time");
        assert_eq!(peers.0.lock().unwrap().len(), 2);

        peers.0.lock().unwrap().iter().for_each(JoinHandle::abort);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(connections.idle(), 0, "nobody has to ask for it");
    }
}
