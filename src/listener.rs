//! Accepts connections and serves HTTP/1.1 on them.
//!
//! In: a bound socket, a [`Service`] and the moment to stop. Out: when [`serve`] returns, nothing is in flight any more or the
//! grace is over. The number of connections is capped; over it new ones wait in the kernel's backlog. A head that comes
//! slowly is closed and never answered 408, which Prometheus takes as "drop the batch". A sender that shuts its side
//! down after the body is still served to the end.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Counts the idle time of a kept-alive connection too.
const LONGEST_HEAD: Duration = Duration::from_secs(30);
/// Enough for a thousand senders with two connections each.
const MOST_CONNECTIONS: usize = 2048;
/// The read buffer's bound, and so that of a head.
const LARGEST_BUFFER: usize = 32 * 1024;
/// A peer that takes nothing of its answer for so long is gone.
const LONGEST_STALL: Duration = Duration::from_secs(60);
/// What is in flight when the end comes may take this long.
const GRACE: Duration = Duration::from_secs(30);

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
pub struct Closed;

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// The body of an answer; where it fails, the connection breaks off.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;
    /// One request; an error closes the connection without an answer.
    fn call(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Closed>> + Send;
}

/// Serves until `stop` turns true, then finishes what is in flight.
pub async fn serve<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            Some(_) = connections.join_next() => continue,
            () = told(&mut stop) => break,
        };
        let Some((tcp, place)) = accepted else {
            continue;
        };
        let (service, stop) = (Arc::clone(&service), stop.clone());
        connections.spawn(async move {
            connection(tcp, service, stop).await;
            drop(place);
        });
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "left with requests in flight"
        );
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((tcp, _)) => Some((tcp, place)),
        Err(error) => {
            // Out of descriptors, most likely: trying again at once would spin.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection<S: Service>(tcp: TcpStream, service: Arc<S>, mut stop: watch::Receiver<bool>) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "connection without TCP_NODELAY");
    }
    let stalled = SockRef::from(&tcp).set_tcp_user_timeout(Some(LONGEST_STALL));
    if let Err(error) = stalled {
        tracing::debug!(%error, "connection without TCP_USER_TIMEOUT");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_HEAD)
        .half_close(true)
        .max_buf_size(LARGEST_BUFFER)
        .serve_connection(
            TokioIo::new(tcp),
            service_fn(|request| service.call(request)),
        );
    tokio::pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = told(&mut stop) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// Returns when `stop` turns true, or nobody is left to turn it.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("nobody is left to say when to stop");
    }
}
