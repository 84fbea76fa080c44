//! A pool of connections to one endpoint.
//!
//! In: an [`OutgoingRequest`]. Out: the head of the response, with its body still unread, or a [`TransportError`]. Connections are
//! HTTP/1.1 with keep-alive, and the most recently used one is acquired first. A pooled connection that the endpoint closes before any
//! byte of a response is no error: the request is sent once more, on a new connection. The caller releases the connection with
//! [`Pool::release`] after it has read the whole response.
//!
//! A general client's pool was rejected for hyper's bare connection and a stack of idle ones: only these tell whether a connection was
//! reused and whether any byte of the response came, which decides whether to resend.

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
use crate::net::connect::Connect;
use crate::net::error::TransportError;
use crate::net::stream::ByteCounter;

/// The limit on a buffered response.
const LARGEST_BUFFER: usize = 64 * 1024;
/// Load balancers drop connections that are idle for a minute or so.
const LONGEST_IDLE: Duration = Duration::from_secs(50);
/// More than Prometheus ever has shards.
const MOST_IDLE: usize = 256;

/// A request, which may be sent more than once.
#[derive(Debug)]
pub struct OutgoingRequest {
    pub method: Method,
    /// Path and query, in origin form.
    pub path: Uri,
    /// Every header but Content-Length, which follows from the body.
    pub headers: HeaderMap,
    pub chunks: ChunkedBody,
}

/// Observes a pool's connections, to count them.
pub(crate) trait PoolEvents: fmt::Debug + Send + Sync {
    /// A connection was opened; the result is dropped when it closes.
    fn connected(&self) -> Box<dyn Send + Sync>;

    /// A pooled connection was closed before any response, and the request is sent once more.
    fn stale(&self);
}

/// Counts nothing.
impl PoolEvents for () {
    fn connected(&self) -> Box<dyn Send + Sync> {
        Box::new(())
    }

    fn stale(&self) {}
}

#[derive(Debug)]
pub(crate) struct Pool {
    connector: Box<dyn Connect>,
    idle: Idle,
    events: Arc<dyn PoolEvents>,
}

/// Idle connections, the most recently used one last. Those that the peer closes are removed at once, and those that exceed
/// [`LONGEST_IDLE`] within that time again: what a flood needed is given back after it.
#[derive(Debug, Clone, Default)]
struct Idle(Arc<Mutex<Vec<Connection>>>);

/// A connection, idle or in use.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<ChunkedBody>,
    counter: ByteCounter,
    idle_since: Instant,
}

/// The first 64 KiB of a response body.
#[derive(Debug, Default)]
pub(crate) struct BoundedBody {
    pub(crate) bytes: Vec<u8>,
    pub(crate) complete: bool,
}

/// A failed attempt, and whether the request may be resent.
struct Failed {
    error: TransportError,
    stale: bool,
}

// === impl Pool ===

impl Pool {
    /// A pool of connections that `connector` opens.
    #[must_use]
    pub(crate) fn new(connector: Box<dyn Connect>, events: Arc<dyn PoolEvents>) -> Self {
        Self {
            connector,
            idle: Idle::default(),
            events,
        }
    }

    #[must_use]
    pub(crate) fn is_verified(&self) -> bool {
        self.connector.is_verified()
    }

    /// Sends, and waits for the head of the response; calls `on_send` for each attempt.
    pub(crate) async fn send(
        &self,
        request: &OutgoingRequest,
        mut on_send: impl FnMut(),
    ) -> Result<(Response<Incoming>, Connection), TransportError> {
        if let Some(pooled) = self.acquire().await {
            on_send();
            match attempt(pooled, request).await {
                Err(Failed { stale: true, error }) => {
                    tracing::debug!(%error, "pooled connection was stale, sending again");
                    self.events.stale();
                }
                result => return result.map_err(|failed| failed.error),
            }
        }
        let new = self.connect().await?;
        on_send();
        attempt(new, request).await.map_err(|failed| failed.error)
    }

    /// The same over a new connection, for a request that must not arrive twice.
    pub(crate) async fn send_once(
        &self,
        request: &OutgoingRequest,
    ) -> Result<(Response<Incoming>, Connection), TransportError> {
        let new = self.connect().await?;
        attempt(new, request).await.map_err(|failed| failed.error)
    }

    /// Takes back a connection whose response was read completely.
    pub(crate) fn release(&self, connection: Connection) {
        self.idle.push(connection);
    }

    #[must_use]
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    pub(crate) fn close_idle(&self) {
        self.idle.lock().clear();
    }

    /// The most recently used connection that is still open.
    async fn acquire(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle.lock().pop()?;
            if !connection.is_expired() && connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection, TransportError> {
        let stream = self.connector.connect().await?;
        let open = self.events.connected();
        let counter = stream.counter();
        let handshake = http1::Builder::new()
            .max_buf_size(LARGEST_BUFFER)
            .handshake(TokioIo::new(stream));
        let (sender, mut connection) = handshake.await.map_err(TransportError::Broken)?;
        let idle = self.idle.clone();
        tokio::spawn(async move {
            let ended = loop {
                tokio::select! {
                    ended = &mut connection => break ended,
                    () = tokio::time::sleep(LONGEST_IDLE) => idle.remove_expired(),
                }
            };
            // The waiting request gets its errors; on an idle connection they do not matter.
            if let Err(error) = ended {
                tracing::trace!(%error, "pooled connection ended");
            }
            drop((connection, open));
            idle.remove_closed();
        });
        Ok(Connection {
            sender,
            counter,
            idle_since: Instant::now(),
        })
    }
}

// === impl Idle ===

impl Idle {
    fn push(&self, mut connection: Connection) {
        connection.idle_since = Instant::now();
        let mut idle = self.lock();
        if idle.len() < MOST_IDLE && !connection.sender.is_closed() {
            idle.push(connection);
        }
    }

    fn remove_expired(&self) {
        self.lock().retain(|one| !one.is_expired());
    }

    fn remove_closed(&self) {
        self.lock().retain(|one| !one.sender.is_closed());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Connection ===

impl Connection {
    /// Whether a middlebox may have dropped it by now.
    fn is_expired(&self) -> bool {
        self.idle_since.elapsed() >= LONGEST_IDLE
    }
}

// === impl BoundedBody ===

impl BoundedBody {
    /// Reads a body up to 64 KiB and ignores the rest.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn read(mut body: Incoming) -> Result<Self, hyper::Error> {
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
    outgoing: &OutgoingRequest,
) -> Result<(Response<Incoming>, Connection), Failed> {
    let mut request = Request::new(outgoing.chunks.clone());
    request.method_mut().clone_from(&outgoing.method);
    request.uri_mut().clone_from(&outgoing.path);
    request.headers_mut().clone_from(&outgoing.headers);

    connection.counter.set_body_length(outgoing.chunks.len());
    let received = connection.counter.received();
    match connection.sender.send_request(request).await {
        Ok(response) => Ok((response, connection)),
        Err(error) => Err(Failed {
            stale: connection.counter.received() == received,
            error: TransportError::of(error),
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

    use super::*;
    use crate::net::error::ConnectError;
    use crate::net::stream::Stream;

    /// Connects to peers that respond to every request until they are aborted.
    #[derive(Debug, Clone, Default)]
    struct Peers(Arc<Mutex<Vec<JoinHandle<()>>>>);

    impl Connect for Peers {
        fn is_verified(&self) -> bool {
            false
        }

        fn connect(
            &self,
        ) -> Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send + '_>> {
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

    async fn used(pool: &Pool) -> Connection {
        let request = OutgoingRequest {
            method: Method::POST,
            path: Uri::from_static("/"),
            headers: HeaderMap::new(),
            chunks: ChunkedBody::new(Vec::new()),
        };
        let (response, connection) = pool.send(&request, || {}).await.unwrap();
        BoundedBody::read(response.into_body()).await.unwrap();
        connection
    }

    #[tokio::test(start_paused = true)]
    async fn idle_and_closed_connections_leave_the_pool() {
        let peers = Peers::default();
        let pool = Pool::new(Box::new(peers.clone()), Arc::new(()));
        let (one, other) = (used(&pool).await, used(&pool).await);
        pool.release(one);
        pool.release(other);
        assert_eq!(pool.idle(), 2);

        tokio::time::sleep(LONGEST_IDLE / 2).await;
        pool.release(used(&pool).await);
        assert_eq!(pool.idle(), 2);
        let moment = Duration::from_millis(1);
        tokio::time::sleep(LONGEST_IDLE / 2 + moment).await;
        assert_eq!(pool.idle(), 1, "one was enough all that time");
        assert_eq!(peers.0.lock().unwrap().len(), 2);
        tokio::time::sleep(LONGEST_IDLE).await;
        assert_eq!(pool.idle(), 0, "nothing came");

        pool.release(used(&pool).await);
        assert_eq!(pool.idle(), 1);
        peers.0.lock().unwrap().iter().for_each(JoinHandle::abort);
        tokio::time::sleep(moment).await;
        assert_eq!(pool.idle(), 0, "nobody has to ask for it");
    }
}
