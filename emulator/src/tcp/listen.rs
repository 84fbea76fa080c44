//! The port: kept for the proxy's whole life, listened on while no fault says otherwise.
//!
//! A port that nobody listens on could be handed to somebody else meanwhile. So
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

use super::Weather;
use super::link::Route;
use super::script::TcpFaultKind;

/// As many as wait in a busy server's queue.
const BACKLOG: u32 = 1024;
/// How long a connection that must not be answered may take to prove it.
const UNANSWERED_WITHIN: Duration = Duration::from_millis(50);
/// A queue of length 0 takes one; anything above a few means that it is not full.
const FILLERS_AT_MOST: usize = 8;

/// A port of 127.0.0.1.
#[derive(Debug)]
pub(super) struct Place {
    address: SocketAddr,
    _held: TcpSocket,
}

/// What stands at the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Accepting,
    Refusing,
    Unanswering,
}

// === impl Place ===

impl Place {
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

/// Accepts for as long as it is polled, and stands down when the weather says so.
pub(super) async fn accept(place: Place, first: TcpListener, mut weather: Weather, route: Route) {
    let mut first = Some(first);
    let mut links = JoinSet::new();
    loop {
        let stand = Stand::of(&mut weather);
        let done = match stand {
            Stand::Accepting => {
                let listener = first.take().map_or_else(|| place.listener(), Ok);
                welcome(listener, &mut weather, &route, &mut links).await
            }
            Stand::Refusing => {
                drop(first.take());
                turned(&mut weather, stand).await
            }
            Stand::Unanswering => {
                drop(first.take());
                stonewall(&place, &mut weather).await
            }
        };
        match done {
            Ok(Turn::Weather) => {}
            Ok(Turn::Over) => return,
            // Out of descriptors, most likely: connections that end will free some.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Why standing ended.
enum Turn {
    Weather,
    Over,
}

async fn welcome(
    listener: io::Result<TcpListener>,
    weather: &mut Weather,
    route: &Route,
    links: &mut JoinSet<()>,
) -> io::Result<Turn> {
    let listener = listener?;
    loop {
        tokio::select! {
            biased;
            turn = turned(weather, Stand::Accepting) => return turn,
            accepted = listener.accept() => {
                let (peer, _) = accepted?;
                links.spawn(route.clone().lead(peer));
            }
            Some(_) = links.join_next(), if !links.is_empty() => {}
        }
    }
}

async fn stonewall(place: &Place, weather: &mut Weather) -> io::Result<Turn> {
    let _full = bound(place.address)?.listen(0)?;
    let mut fillers = Vec::new();
    while fillers.len() < FILLERS_AT_MOST {
        let knock = TcpStream::connect(place.address());
        match tokio::time::timeout(UNANSWERED_WITHIN, knock).await {
            Ok(filler) => fillers.push(filler?),
            Err(_) => break,
        }
    }
    turned(weather, Stand::Unanswering).await
}

/// Returns when something else is to stand at the port, or nobody is left to say so.
async fn turned(weather: &mut Weather, stand: Stand) -> io::Result<Turn> {
    loop {
        if weather.changed().await.is_err() {
            return Ok(Turn::Over);
        }
        if Stand::of(weather) != stand {
            return Ok(Turn::Weather);
        }
    }
}

// === impl Stand ===

impl Stand {
    fn of(weather: &mut Weather) -> Self {
        let on = weather.borrow_and_update();
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
