//! A TCP proxy that injects faults into connections, for kernels without netem.
//!
//! ```text
//! peer ──▶ accept ──▶ relay ──▶ service
//!            ▲          ▲
//!            └──────────┴── active faults ◀── script, a timeline
//! ```
//!
//! In: the address of a service, and at run time a list of [`TcpFault`]s. Out:
//! an address that leads to the service, until a fault refuses, resets, halves,
//! freezes, slows or cuts what goes through it. It is separate from
//! [`crate::fault`], which speaks HTTP: this one sees bytes alone, so it can
//! cut inside a TLS record, keep a connection open that is dead, or leave a
//! port without a listener; that one knows requests.
//!
//! What it cannot do: its kernel acknowledges what a frozen connection still
//! sends until the buffers are full, where a dead host would not.
//!
//! Invariant: where no fault is on, bytes pass unchanged and in order, and the
//! end of each direction is passed on separately.

mod connections;
mod listen;
mod relay;
mod script;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use self::connections::ConnectionLog;
pub use self::connections::{ConnectionStats, Observer};
use self::script::TcpScript;
pub use self::script::{Cut, Direction, Only, TcpFault, TcpFaultKind};

/// A running proxy; dropping it ends every connection through it.
#[derive(Debug)]
pub struct TcpFaults {
    address: SocketAddr,
    script: TcpScript,
    connections: ConnectionLog,
    accepting: JoinHandle<()>,
}

// === impl TcpFaults ===

impl TcpFaults {
    /// Listens on a free port of 127.0.0.1 and leads to `service`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(service: SocketAddr) -> io::Result<Self> {
        Self::observed(service, None)
    }

    /// As [`Self::start`]; `observer` sees every byte that passes.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn observed(service: SocketAddr, observer: Option<Arc<dyn Observer>>) -> io::Result<Self> {
        let port = listen::ReservedPort::reserve()?;
        let address = port.address();
        // Here and not in the task: a client that has the address may connect at once.
        let listener = port.listener()?;
        let script = TcpScript::start();
        let connections = ConnectionLog::default();
        let accepting = tokio::spawn(listen::accept(
            port,
            listener,
            script.active(),
            relay::Route {
                service,
                observer,
                active: script.active(),
                connections: connections.clone(),
            },
        ));
        Ok(Self {
            address,
            script,
            connections,
            accepting,
        })
    }

    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the script; its clock starts now. What is on at once is on when
    /// this returns, but for the port itself: it changes hands a moment later.
    pub fn set(&self, faults: impl IntoIterator<Item = TcpFault>) {
        self.script.set(faults);
    }

    /// Ends all faults. What was frozen goes on.
    pub fn clear(&self) {
        self.script.set([]);
    }

    /// How many connections each entry of the script has hit so far.
    #[must_use]
    pub fn hits(&self) -> Vec<u64> {
        self.script.hits()
    }

    /// The last connections, oldest first, at most 4,096.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionStats> {
        self.connections.list()
    }
}

impl Drop for TcpFaults {
    fn drop(&mut self) {
        // The task owns every connection's task, so that they end with it.
        self.accepting.abort();
    }
}
