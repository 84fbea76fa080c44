//! An HTTP/1.1 server that can also misbehave below HTTP.
//!
//! In: a bound socket, a certificate or none, and a [`Serve`]. Each request
//! reaches it whole, its body read up to a cap. Out: either a normal answer,
//! framed by hyper, or a [`Raw`] one: bytes that go to the wire as they are,
//! and then a close, a reset, silence or an endless stream.
//!
//! How the raw answers work: the service fails hyper's connection on purpose
//! before a byte of the answer was written, the socket is taken back from
//! hyper, and [`speak`] does the rest. A TCP proxy in front would see neither
//! requests nor what lies inside TLS, and could not cut "after N bytes of the
//! answer to the third batch".
//!
//! Invariant: dropping the [`Server`] ends every connection it accepted.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::journal::InFlight;

/// No sender of ours sends more, and a runaway one must not eat the memory.
const BODY_AT_MOST: usize = 64 * 1024 * 1024;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Lets the peer's kernel take the last bytes before a reset throws them away.
const BEFORE_RESET: Duration = Duration::from_millis(30);
/// However patient the peer is, no misbehaviour lasts longer.
const MISBEHAVE_AT_MOST: Duration = Duration::from_secs(3600);

/// What answers the requests of a [`Server`].
pub trait Serve: Send + Sync + 'static {
    /// Decides what a connection meets before its first byte is read.
    fn arrive(&self) -> Arrival {
        Arrival::Serve
    }

    /// Answers one request.
    fn serve(
        &self,
        request: Request<Bytes>,
        peer: SocketAddr,
    ) -> impl Future<Output = Reply> + Send;
}

/// What a new connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A server that reads.
    Serve,
    /// A reset.
    Reset,
    /// Silence, not even a TLS handshake.
    Stall,
}

/// The answer to one request.
#[derive(Debug)]
pub enum Reply {
    /// A well-formed one.
    Whole(Response<Bytes>),
    /// Anything else.
    Raw(Raw),
}

/// Bytes for the wire, and what follows them.
#[derive(Debug)]
pub struct Raw {
    /// Written as they are; may be none.
    pub bytes: Bytes,
    /// What happens once they are written.
    pub then: Ending,
    /// Keeps the request counted as in flight for as long as this lasts.
    pub in_flight: InFlight,
}

/// How a raw answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// An orderly close.
    Close,
    /// A TCP reset.
    Reset,
    /// Silence until the peer leaves.
    Hang,
    /// These bytes again and again until the peer leaves.
    Endless(Bytes),
}

/// A listening socket that nobody serves yet, so that its address is known
/// before what is served there has to be made.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    accepting: JoinHandle<()>,
}

// === impl Bound ===

impl Bound {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// What the system says.
    pub async fn to(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the returned handle is dropped.
    pub fn serve<S: Serve>(self, service: S, tls: Option<TlsAcceptor>) -> Server {
        Server {
            accepting: tokio::spawn(accept(self.listener, Arc::new(service), tls)),
        }
    }
}

// === impl Server ===

impl Drop for Server {
    fn drop(&mut self) {
        // The task owns every connection's task, so that they end with it.
        self.accepting.abort();
    }
}

async fn accept<S: Serve>(listener: TcpListener, service: Arc<S>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(stream, peer, Arc::clone(&service), tls.clone()));
                }
                // Out of file descriptors, most likely: connections that end will free some.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn converse<S: Serve>(
    stream: TcpStream,
    peer: SocketAddr,
    service: Arc<S>,
    tls: Option<TlsAcceptor>,
) {
    // Whatever goes wrong on this connection is the peer's to notice.
    let _outcome = match (service.arrive(), tls) {
        (Arrival::Reset, _) => stream.set_zero_linger(),
        (Arrival::Stall, _) => silence(stream).await,
        (Arrival::Serve, None) => exchange(stream, peer, service).await,
        (Arrival::Serve, Some(tls)) => {
            match tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
                Ok(Ok(stream)) => exchange(stream, peer, service).await,
                Ok(Err(error)) => Err(error),
                Err(elapsed) => Err(elapsed.into()),
            }
        }
    };
}

async fn exchange<W: Wire, S: Serve>(wire: W, peer: SocketAddr, service: Arc<S>) -> io::Result<()> {
    wire.tcp().set_nodelay(true)?;
    let asked: Arc<Mutex<Option<Raw>>> = Arc::default();
    let handler = service_fn({
        let asked = Arc::clone(&asked);
        move |request: Request<Incoming>| {
            let (service, asked) = (Arc::clone(&service), Arc::clone(&asked));
            async move {
                let request = match whole(request).await {
                    Ok(request) => request,
                    Err(refusal) => return Ok(refusal.map(Full::new)),
                };
                match service.serve(request, peer).await {
                    Reply::Whole(response) => Ok(response.map(Full::new)),
                    Reply::Raw(raw) => {
                        *asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(raw);
                        Err(Broken)
                    }
                }
            }
        }
    });
    let mut connection = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(wire), handler);
    let _how_it_ended = (&mut connection).await;
    let raw = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
    match raw {
        Some(raw) => {
            let misbehave = speak(connection.into_parts().io.into_inner(), raw);
            tokio::time::timeout(MISBEHAVE_AT_MOST, misbehave).await?
        }
        None => Ok(()),
    }
}

async fn speak<W: Wire>(mut wire: W, raw: Raw) -> io::Result<()> {
    let Raw {
        bytes,
        then,
        in_flight: _until_the_end,
    } = raw;
    wire.write_all(&bytes).await?;
    wire.flush().await?;
    match then {
        Ending::Close => wire.shutdown().await,
        Ending::Reset => {
            if !bytes.is_empty() {
                tokio::time::sleep(BEFORE_RESET).await;
            }
            wire.tcp().set_zero_linger()
        }
        Ending::Hang => silence(wire).await,
        Ending::Endless(chunk) => loop {
            wire.write_all(&chunk).await?;
        },
    }
}

/// Says nothing until the peer leaves.
async fn silence<R: AsyncRead + Unpin>(mut wire: R) -> io::Result<()> {
    let mut unread = [0; 4096];
    let listen = async {
        while wire.read(&mut unread).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(MISBEHAVE_AT_MOST, listen).await?
}

async fn whole(request: Request<Incoming>) -> Result<Request<Bytes>, Response<Bytes>> {
    let (head, body) = request.into_parts();
    match Limited::new(body, BODY_AT_MOST).collect().await {
        Ok(body) => Ok(Request::from_parts(head, body.to_bytes())),
        Err(error) => {
            let mut refusal = Response::new(Bytes::from(format!("cannot read the body: {error}")));
            *refusal.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            Err(refusal)
        }
    }
}

/// A connection whose TCP socket can be reached through whatever wraps it.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Makes hyper drop the connection without writing to it.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is to be broken below HTTP")
    }
}

impl std::error::Error for Broken {}

/// The answer as it goes over the wire, its head framed with `content_length`.
pub(crate) fn on_the_wire(response: &Response<Bytes>, content_length: usize) -> Vec<u8> {
    let mut wire = head(response);
    wire.extend_from_slice(format!("content-length: {content_length}\r\n\r\n").as_bytes());
    wire.extend_from_slice(response.body());
    wire
}

/// Status line and headers, without framing and without the empty line.
pub(crate) fn head(response: &Response<Bytes>) -> Vec<u8> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or("Unknown");
    let mut wire = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        if name != http::header::CONTENT_LENGTH && name != http::header::TRANSFER_ENCODING {
            wire.extend_from_slice(name.as_str().as_bytes());
            wire.extend_from_slice(b": ");
            wire.extend_from_slice(value.as_bytes());
            wire.extend_from_slice(b"\r\n");
        }
    }
    wire
}

/// A response of text, for what cannot fail to be built.
pub fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    response
}
