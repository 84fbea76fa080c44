//! One connection through the proxy.
//!
//! In: a peer's connection and where it is to lead. Two pumps, one a direction,
//! each asking before every read what the weather makes of it; and beside them
//! a watch for what ends both. Out: both sockets ended the same way, by an
//! orderly close or a reset.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::script::{Cut, Entry, TcpFaultKind, Way};
use super::{Observe, Passages, Tally, Weather};

const CHUNK: usize = 16 * 1024;

/// Where connections lead, and who hears of it.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) service: SocketAddr,
    pub(super) observer: Option<Arc<dyn Observe>>,
    pub(super) weather: Weather,
    pub(super) passages: Passages,
}

/// What both pumps know of their connection.
#[derive(Debug)]
struct Link {
    tally: Arc<Tally>,
    observer: Option<Arc<dyn Observe>>,
    /// The entries that this connection has met: each counts it once.
    met: Mutex<Vec<Arc<Entry>>>,
}

/// What becomes of the next bytes in one direction.
#[derive(Debug, Clone)]
enum Course {
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
        of: Arc<Entry>,
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
        let link = Link {
            tally: self.passages.open(),
            observer: self.observer.clone(),
            met: Mutex::default(),
        };
        let cut = link.join(&mut peer, self.service, self.weather).await;
        // A socket that is gone already needs no way to go.
        let _gone = match cut {
            Cut::Reset => peer.set_zero_linger(),
            Cut::Close => Ok(()),
        };
        link.tally.over.store(true, Ordering::Relaxed);
        if let Some(observer) = &link.observer {
            observer.ended(link.tally.number);
        }
    }
}

// === impl Link ===

impl Link {
    /// Returns how the peer's connection is to end; the service's has ended so.
    async fn join(&self, peer: &mut TcpStream, service: SocketAddr, mut weather: Weather) -> Cut {
        // A frozen newcomer must not reach the service, not even with a SYN.
        loop {
            match self.course(Way::Request, &mut weather) {
                Course::End(cut) => return cut,
                Course::Stop => match weather.changed().await {
                    Ok(()) => {}
                    Err(_) => return Cut::Reset,
                },
                _ => break,
            }
        }
        let Ok(mut service) = TcpStream::connect(service).await else {
            if let Some(observer) = &self.observer {
                observer.unreached(self.tally.number);
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
                        Way::Request,
                        &mut from_peer,
                        &mut to_service,
                        weather.clone()
                    ),
                    self.pump(
                        Way::Answer,
                        &mut from_service,
                        &mut to_peer,
                        weather.clone()
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
                cut = self.ended(weather.clone()) => cut,
            }
        };
        let _gone = match cut {
            Cut::Reset => service.set_zero_linger(),
            Cut::Close => Ok(()),
        };
        cut
    }

    async fn ended(&self, mut weather: Weather) -> Cut {
        loop {
            if let Course::End(cut) = self.course(Way::Request, &mut weather) {
                return cut;
            }
            if weather.changed().await.is_err() {
                return Cut::Reset;
            }
        }
    }

    async fn pump(
        &self,
        way: Way,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        mut weather: Weather,
    ) -> Result<(), Stopped> {
        let mut chunk = vec![0; CHUNK];
        // How many bytes passed under the entry that limits them.
        let mut under: Option<(Arc<Entry>, u64)> = None;
        loop {
            let course = self.course(way, &mut weather);
            let room = match course {
                Course::End(cut) => return Err(Stopped::Cut(cut)),
                Course::ShutDown => return Ok(to.shutdown().await?),
                Course::Stop => 0,
                Course::Drip { bytes, .. } => bytes.clamp(1, CHUNK),
                Course::Pass | Course::Swallow | Course::Late(_) | Course::UpTo { .. } => CHUNK,
            };
            let space = chunk.get_mut(..room).unwrap_or_default();
            let length = tokio::select! {
                // Whoever sets a fault and then sends must meet it.
                biased;
                changed = weather.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Err(Stopped::Cut(Cut::Reset)),
                },
                length = from.read(space), if room > 0 => length?,
            };
            if length == 0 {
                return Ok(to.shutdown().await?);
            }
            let bytes = chunk.get(..length).unwrap_or_default();
            match course {
                Course::Swallow => {}
                Course::Drip { every, .. } => {
                    self.pass(way, bytes, to).await?;
                    tokio::time::sleep(every).await;
                }
                Course::Late(delay) => {
                    tokio::time::sleep(delay).await;
                    self.pass(way, bytes, to).await?;
                }
                Course::UpTo {
                    bytes: most,
                    how,
                    of,
                } => {
                    let passed = match &under {
                        Some((entry, passed)) if Arc::ptr_eq(entry, &of) => *passed,
                        _ => 0,
                    };
                    let left = usize::try_from(most.saturating_sub(passed)).unwrap_or(usize::MAX);
                    if length > left && of.meet() {
                        self.pass(way, bytes.get(..left).unwrap_or_default(), to)
                            .await?;
                        return Err(Stopped::Cut(how));
                    }
                    under = Some((of, passed + length as u64));
                    self.pass(way, bytes, to).await?;
                }
                Course::Pass | Course::Stop | Course::ShutDown | Course::End(_) => {
                    self.pass(way, bytes, to).await?;
                }
            }
        }
    }

    async fn pass(&self, way: Way, bytes: &[u8], to: &mut WriteHalf<'_>) -> io::Result<()> {
        if let Some(observer) = &self.observer {
            observer.passes(self.tally.number, way, bytes);
        }
        to.write_all(bytes).await?;
        self.tally.count(way, bytes.len());
        Ok(())
    }

    /// What the first fault that is on and meant for this connection makes of one direction.
    fn course(&self, way: Way, weather: &mut Weather) -> Course {
        let on = weather.borrow_and_update();
        on.iter()
            .filter(|entry| entry.is_for(self.tally.number, self.tally.opened))
            .find_map(|entry| self.course_under(entry, way))
            .unwrap_or(Course::Pass)
    }

    fn course_under(&self, entry: &Arc<Entry>, way: Way) -> Option<Course> {
        let course = match entry.fault.kind {
            TcpFaultKind::Refuse | TcpFaultKind::Unanswered => return None,
            // Counted where it is cut: a connection that stays silent does not meet it.
            TcpFaultKind::CutAfter {
                way: counted,
                bytes,
                how,
            } => {
                let of = Arc::clone(entry);
                return (way == counted).then_some(Course::UpTo { bytes, how, of });
            }
            TcpFaultKind::HalfClose(closed) if closed != way => return None,
            TcpFaultKind::HalfClose(_) => Course::ShutDown,
            TcpFaultKind::End(cut) => Course::End(cut),
            TcpFaultKind::Freeze => Course::Stop,
            TcpFaultKind::Swallow => Course::Swallow,
            TcpFaultKind::Drip { bytes, every } => Course::Drip { bytes, every },
            TcpFaultKind::Delay(delay) => Course::Late(delay),
        };
        self.meets(entry).then_some(course)
    }

    fn meets(&self, entry: &Arc<Entry>) -> bool {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let known = met.iter().any(|known| Arc::ptr_eq(known, entry));
        if known {
            return true;
        }
        let meets = entry.meet();
        if meets {
            met.push(Arc::clone(entry));
        }
        meets
    }
}

// === impl Stopped ===

impl From<io::Error> for Stopped {
    fn from(_how: io::Error) -> Self {
        Self::Broken
    }
}
