//! The port: kept for the proxy's whole life, listened on while no fault says otherwise.
//!
//! A port that nobody listens on could be given to another process meanwhile. So
//! one socket is bound to it from beginning to end and never listens, and the
//! listeners come and go beside it (SO_REUSEPORT); connections that come while
//! there is none are refused by the kernel, as from a machine whose service is
//! down. Dropped SYNs are made as busy servers make them: by a listener whose
//! queue is full.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::relay::Route;
use super::script::{ActiveFaults, TcpFaultKind};

/// As many as wait in a busy server's queue.
const BACKLOG: u32 = 1024;
/// How long to wait before a connection counts as unanswered.
const UNANSWERED_WITHIN: Duration = Duration::from_millis(50);
/// A queue of length 0 takes one; anything above a few means that it is not full.
const FILLERS_AT_MOST: usize = 8;

/// A port of 127.0.0.1.
#[derive(Debug)]
pub(super) struct ReservedPort {
    address: SocketAddr,
    _held: TcpSocket,
}

/// What happens to new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortState {
    Accepting,
    Refusing,
    Unanswering,
}

// === impl ReservedPort ===

impl ReservedPort {
    pub(super) fn reserve() -> io::Result<Self> {
        let held = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            address: held.local_addr()?,
            _held: held,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listener(&self) -> io::Result<TcpListener> {
        bound(self.address)?.listen(BACKLOG)
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts for as long as it is polled, and stops listening while a fault says so.
pub(super) async fn accept(
    port: ReservedPort,
    first: TcpListener,
    mut active: ActiveFaults,
    route: Route,
) {
    let mut first = Some(first);
    let mut relays = JoinSet::new();
    loop {
        let state = PortState::of(&mut active);
        let done = match state {
            PortState::Accepting => {
                let listener = first.take().map_or_else(|| port.listener(), Ok);
                accept_until_changed(listener, &mut active, &route, &mut relays).await
            }
            PortState::Refusing => {
                drop(first.take());
                changed(&mut active, state).await
            }
            PortState::Unanswering => {
                drop(first.take());
                drop_syns(&port, &mut active).await
            }
        };
        match done {
            Ok(Change::Faults) => {}
            Ok(Change::Over) => return,
            // Out of descriptors, most likely: connections that end will free some.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Why the state of the port ends.
enum Change {
    Faults,
    Over,
}

async fn accept_until_changed(
    listener: io::Result<TcpListener>,
    active: &mut ActiveFaults,
    route: &Route,
    relays: &mut JoinSet<()>,
) -> io::Result<Change> {
    let listener = listener?;
    loop {
        tokio::select! {
            biased;
            change = changed(active, PortState::Accepting) => return change,
            accepted = listener.accept() => {
                let (peer, _) = accepted?;
                relays.spawn(route.clone().lead(peer));
            }
            Some(_) = relays.join_next(), if !relays.is_empty() => {}
        }
    }
}

async fn drop_syns(port: &ReservedPort, active: &mut ActiveFaults) -> io::Result<Change> {
    let _full = bound(port.address)?.listen(0)?;
    let mut fillers = Vec::new();
    while fillers.len() < FILLERS_AT_MOST {
        let knock = TcpStream::connect(port.address());
        match tokio::time::timeout(UNANSWERED_WITHIN, knock).await {
            Ok(filler) => fillers.push(filler?),
            Err(_) => break,
        }
    }
    changed(active, PortState::Unanswering).await
}

/// Returns when something else is to state at the port, or nobody is left to say so.
async fn changed(active: &mut ActiveFaults, state: PortState) -> io::Result<Change> {
    loop {
        if active.changed().await.is_err() {
            return Ok(Change::Over);
        }
        if PortState::of(active) != state {
            return Ok(Change::Faults);
        }
    }
}

// === impl PortState ===

impl PortState {
    fn of(active: &mut ActiveFaults) -> Self {
        let on = active.borrow_and_update();
        on.iter()
            .find_map(|entry| match entry.fault.kind {
                TcpFaultKind::Refuse => Some(Self::Refusing),
                TcpFaultKind::Unanswered => Some(Self::Unanswering),
                TcpFaultKind::End(_)
                | TcpFaultKind::HalfClose(_)
                | TcpFaultKind::Freeze
                | TcpFaultKind::Swallow
                | TcpFaultKind::Drip { .. }
                | TcpFaultKind::Delay(_)
                | TcpFaultKind::CutAfter { .. } => None,
            })
            .unwrap_or(Self::Accepting)
    }
}
