//! Where every proxy writes to while it is measured.
//!
//! In: a [`World`], for its certificate. Out: an address that takes requests over TLS, reads each to its end and answers 200,
//! and counts them. It looks at nothing but the Content-Type, so that it takes as little as can be from the core that it shares with
//! the load; whether signatures are right was asked of the world's AMP before. To remote write 2.0 it answers with counts of what it
//! wrote, as AMP does: without them a sender takes it for a receiver of 1.0 alone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, Response};
use tokio_rustls::TlsAcceptor;

use super::load::V2;
use emulator::http::{Bound, Reply, Serve, Server};
use emulator::world::World;

/// What it says it wrote, whatever that was.
const WRITTEN: [(HeaderName, HeaderValue); 3] = [
    (
        HeaderName::from_static("x-prometheus-remote-write-samples-written"),
        HeaderValue::from_static("2000"),
    ),
    (
        HeaderName::from_static("x-prometheus-remote-write-histograms-written"),
        HeaderValue::from_static("0"),
    ),
    (
        HeaderName::from_static("x-prometheus-remote-write-exemplars-written"),
        HeaderValue::from_static("0"),
    ),
];

/// A running sink.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    _server: Server,
}

struct CountingHandler(Arc<AtomicU64>);

// === impl Sink ===

impl Sink {
    /// Takes requests from now on.
    pub(crate) async fn start(world: &World) -> io::Result<Self> {
        let bound = Bound::to((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let address = bound.address();
        let requests = Arc::<AtomicU64>::default();
        let tls = TlsAcceptor::from(world.certificates().server_config());
        Ok(Self {
            address,
            _server: bound.serve(CountingHandler(Arc::clone(&requests)), Some(tls)),
            requests,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The workspace's remote-write URL, were it here.
    pub(crate) fn url(&self, world: &World) -> String {
        let (address, id) = (self.address, world.workspace_id());
        format!("https://{address}/workspaces/{id}/api/v1/remote_write")
    }

    /// Requests read so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

// === impl CountingHandler ===

impl Serve for CountingHandler {
    async fn serve(&self, request: Request<Bytes>, _peer: SocketAddr) -> Reply {
        self.0.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::new(Bytes::new());
        let content_type = request.headers().get(CONTENT_TYPE);
        if content_type.is_some_and(|named| named == V2) {
            response.headers_mut().extend(WRITTEN);
        }
        Reply::Whole(response)
    }
}
