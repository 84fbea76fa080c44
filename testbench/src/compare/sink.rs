//! Where every proxy writes to while it is measured.
//!
//! In: a [`World`], for its certificate. Out: an address that takes requests over TLS, reads each to its end and answers 200,
//! and counts them. It looks at nothing, so that it takes as little as can be from the core that it shares with the load; whether
//! signatures are right was asked of the world's AMP before.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use tokio_rustls::TlsAcceptor;

use emulator::http::{Bound, Reply, Serve, Server};
use emulator::world::World;

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
    async fn serve(&self, _request: Request<Bytes>, _peer: SocketAddr) -> Reply {
        self.0.fetch_add(1, Ordering::Relaxed);
        Reply::Whole(Response::new(Bytes::new()))
    }
}
