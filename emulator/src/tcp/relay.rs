//! One connection through the proxy.
//!
//! In: a peer's connection and where it is to lead. Two pumps, one a direction,
//! each checking the active faults before every read; beside them
//! one future waits for what ends both. Out: both sockets ended the same direction, by an
//! orderly close or a reset.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::connections::{ConnectionLog, Counters, Observer};
use super::script::{ActiveFaults, Cut, Direction, ScheduledTcpFault, TcpFaultKind};

const CHUNK: usize = 16 * 1024;

/// Where connections lead, and the observer of their bytes.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) service: SocketAddr,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) active: ActiveFaults,
    pub(super) connections: ConnectionLog,
}

/// What both pumps know of their connection.
#[derive(Debug)]
struct Relay {
    counters: Arc<Counters>,
    observer: Option<Arc<dyn Observer>>,
    /// The entries that have hit this connection: each counts it once.
    hit_by: Mutex<Vec<Arc<ScheduledTcpFault>>>,
}

/// What becomes of the next bytes in one direction.
#[derive(Debug, Clone)]
enum Action {
    Pass,
    Stop,
    Swallow,
    Drip {
        bytes: usize,
        every: Duration,
    },
    Late(Duration),
    UpTo {
        bytes: u64,
        how: Cut,
        of: Arc<ScheduledTcpFault>,
    },
    ShutDown,
    End(Cut),
}

/// Why a pump stopped.
#[derive(Debug)]
enum Stopped {
    Cut(Cut),
    Broken,
}

// === impl Route ===

impl Route {
    /// Leads `peer` to the service, until either ends it or a fault does.
    pub(super) async fn lead(self, mut peer: TcpStream) {
        let relay = Relay {
            counters: self.connections.open(),
            observer: self.observer.clone(),
            hit_by: Mutex::default(),
        };
        let cut = relay.join(&mut peer, self.service, self.active).await;
        // A socket that is gone already needs no direction to go.
        let _gone = match cut {
            Cut::Reset => peer.set_zero_linger(),
            Cut::Close => Ok(()),
        };
        relay.counters.over.store(true, Ordering::Relaxed);
        if let Some(observer) = &relay.observer {
            observer.ended(relay.counters.number);
        }
    }
}

// === impl Relay ===

impl Relay {
    /// Returns how the peer's connection is to end; the service's has ended so.
    async fn join(
        &self,
        peer: &mut TcpStream,
        service: SocketAddr,
        mut active: ActiveFaults,
    ) -> Cut {
        // A frozen newcomer must not reach the service, not even with a SYN.
        loop {
            match self.action(Direction::Request, &mut active) {
                Action::End(cut) => return cut,
                Action::Stop => match active.changed().await {
                    Ok(()) => {}
                    Err(_) => return Cut::Reset,
                },
                _ => break,
            }
        }
        let Ok(mut service) = TcpStream::connect(service).await else {
            if let Some(observer) = &self.observer {
                observer.unreached(self.counters.number);
            }
            return Cut::Reset;
        };
        // Only speed depends on it.
        let _quick = (peer.set_nodelay(true), service.set_nodelay(true));
        let cut = {
            let (mut from_peer, mut to_peer) = peer.split();
            let (mut from_service, mut to_service) = service.split();
            let pumps = async {
                tokio::try_join!(
                    self.pump(
                        Direction::Request,
                        &mut from_peer,
                        &mut to_service,
                        active.clone()
                    ),
                    self.pump(
                        Direction::Answer,
                        &mut from_service,
                        &mut to_peer,
                        active.clone()
                    ),
                )
            };
            tokio::select! {
                pumped = pumps => match pumped {
                    Ok(_) => Cut::Close,
                    Err(Stopped::Cut(cut)) => cut,
                    Err(Stopped::Broken) => Cut::Reset,
                },
                // A pump that waits for room to write would not notice.
                cut = self.ended(active.clone()) => cut,
            }
        };
        let _gone = match cut {
            Cut::Reset => service.set_zero_linger(),
            Cut::Close => Ok(()),
        };
        cut
    }

    async fn ended(&self, mut active: ActiveFaults) -> Cut {
        loop {
            if let Action::End(cut) = self.action(Direction::Request, &mut active) {
                return cut;
            }
            if active.changed().await.is_err() {
                return Cut::Reset;
            }
        }
    }

    async fn pump(
        &self,
        direction: Direction,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        mut active: ActiveFaults,
    ) -> Result<(), Stopped> {
        let mut chunk = vec![0; CHUNK];
        // How many bytes passed under the entry that limits them.
        let mut under: Option<(Arc<ScheduledTcpFault>, u64)> = None;
        loop {
            let action = self.action(direction, &mut active);
            let room = match action {
                Action::End(cut) => return Err(Stopped::Cut(cut)),
                Action::ShutDown => return Ok(to.shutdown().await?),
                Action::Stop => 0,
                Action::Drip { bytes, .. } => bytes.clamp(1, CHUNK),
                Action::Pass | Action::Swallow | Action::Late(_) | Action::UpTo { .. } => CHUNK,
            };
            let space = chunk.get_mut(..room).unwrap_or_default();
            let length = tokio::select! {
                // A request that is sent after a fault was set must be hit by it.
                biased;
                changed = active.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Err(Stopped::Cut(Cut::Reset)),
                },
                length = from.read(space), if room > 0 => length?,
            };
            if length == 0 {
                return Ok(to.shutdown().await?);
            }
            let bytes = chunk.get(..length).unwrap_or_default();
            match action {
                Action::Swallow => {}
                Action::Drip { every, .. } => {
                    self.pass(direction, bytes, to).await?;
                    tokio::time::sleep(every).await;
                }
                Action::Late(delay) => {
                    tokio::time::sleep(delay).await;
                    self.pass(direction, bytes, to).await?;
                }
                Action::UpTo {
                    bytes: most,
                    how,
                    of,
                } => {
                    let passed = match &under {
                        Some((entry, passed)) if Arc::ptr_eq(entry, &of) => *passed,
                        _ => 0,
                    };
                    let left = usize::try_from(most.saturating_sub(passed)).unwrap_or(usize::MAX);
                    if length > left && of.hit() {
                        self.pass(direction, bytes.get(..left).unwrap_or_default(), to)
                            .await?;
                        return Err(Stopped::Cut(how));
                    }
                    under = Some((of, passed + length as u64));
                    self.pass(direction, bytes, to).await?;
                }
                Action::Pass | Action::Stop | Action::ShutDown | Action::End(_) => {
                    self.pass(direction, bytes, to).await?;
                }
            }
        }
    }

    async fn pass(
        &self,
        direction: Direction,
        bytes: &[u8],
        to: &mut WriteHalf<'_>,
    ) -> io::Result<()> {
        if let Some(observer) = &self.observer {
            observer.passes(self.counters.number, direction, bytes);
        }
        to.write_all(bytes).await?;
        self.counters.count(direction, bytes.len());
        Ok(())
    }

    /// What the first fault that is on and meant for this connection makes of one direction.
    fn action(&self, direction: Direction, active: &mut ActiveFaults) -> Action {
        let on = active.borrow_and_update();
        on.iter()
            .filter(|entry| entry.is_for(self.counters.number, self.counters.opened))
            .find_map(|entry| self.action_of(entry, direction))
            .unwrap_or(Action::Pass)
    }

    fn action_of(&self, entry: &Arc<ScheduledTcpFault>, direction: Direction) -> Option<Action> {
        let action = match entry.fault.kind {
            TcpFaultKind::Refuse | TcpFaultKind::Unanswered => return None,
            // Counted where it is cut: a connection that stays silent is not hit.
            TcpFaultKind::CutAfter {
                direction: counted,
                bytes,
                how,
            } => {
                let of = Arc::clone(entry);
                return (direction == counted).then_some(Action::UpTo { bytes, how, of });
            }
            TcpFaultKind::HalfClose(closed) if closed != direction => return None,
            TcpFaultKind::HalfClose(_) => Action::ShutDown,
            TcpFaultKind::End(cut) => Action::End(cut),
            TcpFaultKind::Freeze => Action::Stop,
            TcpFaultKind::Swallow => Action::Swallow,
            TcpFaultKind::Drip { bytes, every } => Action::Drip { bytes, every },
            TcpFaultKind::Delay(delay) => Action::Late(delay),
        };
        self.hits(entry).then_some(action)
    }

    fn hits(&self, entry: &Arc<ScheduledTcpFault>) -> bool {
        let mut hit_by = self.hit_by.lock().unwrap_or_else(PoisonError::into_inner);
        let known = hit_by.iter().any(|known| Arc::ptr_eq(known, entry));
        if known {
            return true;
        }
        let is_hit = entry.hit();
        if is_hit {
            hit_by.push(Arc::clone(entry));
        }
        is_hit
    }
}

// === impl Stopped ===

impl From<io::Error> for Stopped {
    fn from(_how: io::Error) -> Self {
        Self::Broken
    }
}
