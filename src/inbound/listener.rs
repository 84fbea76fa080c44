//! Accepts connections and serves HTTP/1.1 on them.
//!
//! In: a bound socket, its [`ServerAuth`], a [`Service`] and the signal to stop. Out: when [`serve`] returns, nothing is in flight or
//! the grace period is over. The number of connections is capped; further ones wait in the kernel's backlog. A slow request head closes
//! the connection and never gets 408, which Prometheus takes as "drop the batch"; an idle connection stays open for longer
//! ([`timeouts`]), since a sender that sends every 30 s would often find it closed. A sender that shuts down its side after the body is
//! still served. A connection on which another server could parse a different next request is closed after the response, and so is every one
//! while draining.

pub mod timeouts;

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::http::head;
use crate::inbound::server_auth::{self, ClientId, ServerAuth};
use crate::remedies::running::{ACCEPT, HANDSHAKE, TLS_ON_PLAIN_HTTP};
use crate::telemetry::ConnectionMetrics;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};

use timeouts::{Phase, TIMEOUTS, Timed};

/// Enough for a thousand senders with two connections each.
const MOST_CONNECTIONS: usize = 2048;
/// Connections whose first request, or first after a pause, is in progress: each takes 16 KiB of buffers, and a thousand senders that
/// come at once take turns.
const MOST_TURNS: usize = 256;
/// Who waited this long for a turn is served without one: slow senders do not keep out the others.
const LONGEST_TURN: Duration = Duration::from_secs(5);
/// The read buffer's limit, and so that of a head.
const LARGEST_BUFFER: usize = 32 * 1024;
/// A peer that reads nothing of its response for this long is gone.
const LONGEST_STALL: Duration = Duration::from_secs(60);
/// The grace period for requests in flight at the end.
const GRACE: Duration = Duration::from_secs(30);

/// The connection is to be closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("closed without a response")]
pub struct Closed;

/// Why a connection did not end cleanly.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct BrokenConnection {
    source: hyper::Error,
    /// Whether the client spoke TLS inside of what is served.
    began_as_tls: bool,
}

/// Where connections come from.
pub trait Accept: Send + Sync + 'static {
    /// An accepted connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// The next one, and its peer.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, IpAddr)>> + Send;
    /// The port, if there is one.
    fn port(&self) -> Option<u16> {
        None
    }
}

/// Handles requests.
pub trait Service: Send + Sync + 'static {
    /// The body of a response; an error in it truncates the response.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;
    /// One request of `peer`; an error closes the connection without a response.
    fn call(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Closed>> + Send;
    /// `peer` closed its connection before it got its response.
    fn left(&self, _peer: IpAddr) {}
    /// Whether each response closes its connection.
    fn is_draining(&self) -> bool {
        false
    }
}

/// Serves until `stop` turns true, then finishes what is in flight.
pub async fn serve<S: Service>(
    listener: impl Accept,
    server_auth: Arc<ServerAuth>,
    service: Arc<S>,
    counted: ConnectionMetrics,
    incidents: IncidentTracker,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let turns = Arc::new(Semaphore::new(MOST_TURNS));
    let incidents = Arc::new(incidents);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room, &incidents) => accepted,
        };
        let Some((stream, peer, place)) = accepted else {
            continue;
        };
        let (server_auth, service, stop) =
            (Arc::clone(&server_auth), Arc::clone(&service), stop.clone());
        let (open, incidents) = (counted.accepted(), Arc::clone(&incidents));
        let (counted, turns) = (counted.clone(), Arc::clone(&turns));
        connections.spawn(async move {
            let served = enter(stream, peer, &server_auth, &incidents, service, turns, stop);
            if let Err(error) = served.await {
                counted.broke(&error.source);
                if error.began_as_tls {
                    incidents.fail("tls_on_plain_http", || {
                        let what = format!(
                            "{} speaks TLS, and this port serves plain http",
                            peer.to_canonical()
                        );
                        Diagnosis::new(&what, TLS_ON_PLAIN_HTTP)
                    });
                }
                tracing::debug!(%error, "connection ended");
            }
            drop((place, open));
        });
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "stopped with requests in flight"
        );
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, IpAddr)> {
        let (tcp, peer) = Self::accept(self).await?;
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "connection without TCP_NODELAY");
        }
        let stalled = SockRef::from(&tcp).set_tcp_user_timeout(Some(LONGEST_STALL));
        if let Err(error) = stalled {
            tracing::debug!(%error, "connection without TCP_USER_TIMEOUT");
        }
        Ok((tcp, peer.ip()))
    }

    fn port(&self) -> Option<u16> {
        self.local_addr().ok().map(|address| address.port())
    }
}

async fn accept<L: Accept>(
    listener: &L,
    room: &Arc<Semaphore>,
    incidents: &IncidentTracker,
) -> Option<(L::Stream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            // Most likely out of descriptors: an immediate retry would spin.
            incidents.fail("accept", || Diagnosis::new(&error, ACCEPT));
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// Authenticates the connection and serves it.
async fn enter<S: Service, C>(
    stream: C,
    peer: IpAddr,
    server_auth: &ServerAuth,
    incidents: &IncidentTracker,
    service: Arc<S>,
    turns: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
) -> Result<(), BrokenConnection>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    match server_auth.acceptor() {
        None => {
            let client = elsewhere(peer).map(|address| ClientId::of(address, None));
            connection(stream, peer, client, service, turns, stop).await
        }
        // Boxed, so that connections without TLS, up to a thousand, reserve no room for it.
        Some(acceptor) => {
            Box::pin(encrypted(
                stream, peer, acceptor, incidents, service, turns, stop,
            ))
            .await
        }
    }
}

async fn encrypted<S: Service, C>(
    stream: C,
    peer: IpAddr,
    acceptor: TlsAcceptor,
    incidents: &IncidentTracker,
    service: Arc<S>,
    turns: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
) -> Result<(), BrokenConnection>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    match server_auth::handshake(&acceptor, stream).await {
        Ok(tls) => {
            let client =
                elsewhere(peer).map(|address| ClientId::of(address, Some(tls.get_ref().1)));
            return connection(tls, peer, client, service, turns, stop).await;
        }
        // A load balancer's probe opens a connection and sends nothing.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::debug!(%error, "a connection ended before its handshake");
        }
        Err(error) => incidents.fail("handshake", || {
            Diagnosis::new(&format!("TLS with a sender: {error}"), HANDSHAKE)
        }),
    }
    Ok(())
}

/// Clients in the same pod share all there is.
fn elsewhere(peer: IpAddr) -> Option<IpAddr> {
    (!peer.to_canonical().is_loopback()).then_some(peer)
}

/// Serves one connection of `peer` until it closes or `stop` fires; `client` identifies it if it is outside this pod. It takes one of the
/// `turns` when a request comes and it has no buffers yet.
///
/// # Errors
/// If it did not end cleanly; hyper has then rejected a request that it could not parse, if that was the cause.
pub async fn connection<S: Service, C>(
    stream: C,
    peer: IpAddr,
    client: Option<ClientId>,
    service: Arc<S>,
    turns: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), BrokenConnection>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let phase = Phase::default();
    let answer = |mut request: Request<Incoming>| {
        phase.request_begins();
        if let Some(client) = &client {
            request.extensions_mut().insert(client.clone());
        }
        let last = head::is_last(&request);
        let (service, phase) = (&service, &phase);
        async move {
            let mut response = service.call(peer, request).await?;
            if last || service.is_draining() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            // A response of unknown length is a query's, whose readers come and go.
            phase.request_ends(response.body().size_hint().exact().is_some());
            Ok::<_, Closed>(response)
        }
    };
    let mut stream = Timed::new(stream, &phase, TIMEOUTS);
    loop {
        // hyper takes 16 KiB for a connection: one that waits for its next request does without.
        tokio::select! {
            biased;
            () = stream.readable() => {}
            () = stopped(&mut stop) => return Ok(()),
        }
        let turn = tokio::time::timeout(LONGEST_TURN, Arc::clone(&turns).acquire_owned()).await;
        stream.take_turn(turn.ok().and_then(Result::ok));
        let mut served = http1::Builder::new()
            // hyper's own head timeout would include the idle time.
            .header_read_timeout(None)
            .half_close(true)
            .max_buf_size(LARGEST_BUFFER)
            .serve_connection(TokioIo::new(stream), service_fn(&answer));
        let ended = tokio::select! {
            biased;
            result = &mut served => Some(result),
            () = phase.parked() => None,
            () = stopped(&mut stop) => None,
        };
        let result = match ended {
            Some(result) => result,
            None => {
                // Of a parked connection this closes hyper's end alone: its stream does not shut down.
                Pin::new(&mut served).graceful_shutdown();
                (&mut served).await
            }
        };
        if phase.was_left() {
            service.left(peer);
        }
        if result.is_err() || !phase.is_parked() {
            return result.map_err(|source| BrokenConnection {
                source,
                began_as_tls: phase.began_as_tls(),
            });
        }
        let parts = served.into_parts();
        stream = parts.io.into_inner();
        stream.hold(parts.read_buf);
    }
}

/// Returns when `stop` turns true or its sender is dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("the stop signal has no owner any more");
    }
}

#[cfg(test)]
mod tests;
