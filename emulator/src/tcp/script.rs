//! The timeline of faults, and which of them are on.
//!
//! In: a list of [`TcpFault`]s. Out: the [`ActiveFaults`], which every connection
//! watches: the entries that are on at this moment, in the order of the list,
//! published anew whenever one begins or ends. A connection is under the first
//! of them that is meant for it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// One entry of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpFault {
    /// When it begins, counted from when the script is set.
    pub after: Duration,
    /// How long it lasts; without end where absent.
    pub lasting: Option<Duration>,
    /// How many connections it hits; every one where absent.
    pub count: Option<u64>,
    /// The numbers of the connections that it is for; every one where absent.
    pub connections: Option<Range<u64>>,
    /// Whether it is for connections of before or of after its beginning.
    pub only: Only,
    /// What goes wrong.
    pub kind: TcpFaultKind,
}

/// Which connections a fault is for, by their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Only {
    /// All of them.
    #[default]
    All,
    /// Those that state when it begins.
    Standing,
    /// Those that come while it lasts.
    New,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer to the service.
    Request,
    /// From the service to the peer.
    Answer,
}

/// How a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// With a TCP reset, on both sides.
    Reset,
    /// With an orderly close, on both sides.
    Close,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFaultKind {
    /// Nobody listens: new connections are refused. Standing ones go on.
    Refuse,
    /// New connections are not even refused: their SYN is dropped. Standing
    /// ones go on.
    Unanswered,
    /// The connection is ended, a new one as soon as it is accepted.
    End(Cut),
    /// One direction ends as if its sender had shut it down; the other goes on.
    HalfClose(Direction),
    /// The connection stands, and nothing is read from it any more.
    Freeze,
    /// The connection stands, is read from, and nothing is passed on.
    Swallow,
    /// So many bytes pass in each direction, then a pause.
    Drip {
        /// At most so many at once.
        bytes: usize,
        /// The pause.
        every: Duration,
    },
    /// Whatever passes does so this much later.
    Delay(Duration),
    /// So many bytes pass in one direction, counted from the fault's beginning
    /// or the connection's if that is later; the next one ends the connection
    /// and is not passed on. With 0 bytes of [`Direction::Request`] a kept-alive
    /// connection ends as the next request leaves; with 0 bytes of
    /// [`Direction::Answer`] once the service has answered it.
    CutAfter {
        /// The direction that is counted.
        direction: Direction,
        /// How many bytes still pass.
        bytes: u64,
        /// How it is ended.
        how: Cut,
    },
}

/// What is on at a moment.
pub(super) type ActiveFaults = watch::Receiver<Vec<Arc<ScheduledTcpFault>>>;

/// One fault of the script in use.
#[derive(Debug)]
pub(super) struct ScheduledTcpFault {
    pub(super) fault: TcpFault,
    /// When it begins, or began.
    begins: Instant,
    hits: AtomicU64,
}

/// The script of one proxy.
#[derive(Debug)]
pub(super) struct TcpScript {
    now: Arc<watch::Sender<Vec<Arc<ScheduledTcpFault>>>>,
    inner: Mutex<Playback>,
}

#[derive(Debug, Default)]
struct Playback {
    entries: Vec<Arc<ScheduledTcpFault>>,
    playing: Option<JoinHandle<()>>,
}

// === impl TcpFault ===

impl TcpFault {
    /// A fault for every connection that begins at once and lasts.
    #[must_use]
    pub fn new(kind: TcpFaultKind) -> Self {
        Self {
            after: Duration::ZERO,
            lasting: None,
            count: None,
            connections: None,
            only: Only::All,
            kind,
        }
    }

    /// Begins so long after the script is set.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Ends so long after it began.
    #[must_use]
    pub fn lasting(self, lasting: Duration) -> Self {
        Self {
            lasting: Some(lasting),
            ..self
        }
    }

    /// Ends after it has hit so many connections.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// Only the connections of these numbers.
    #[must_use]
    pub fn on(self, connections: Range<u64>) -> Self {
        Self {
            connections: Some(connections),
            ..self
        }
    }

    /// Only connections of this age.
    #[must_use]
    pub fn only(self, only: Only) -> Self {
        Self { only, ..self }
    }
}

// === impl ScheduledTcpFault ===

impl ScheduledTcpFault {
    /// Whether it is meant for a connection of this number and age.
    pub(super) fn is_for(&self, number: u64, opened: Instant) -> bool {
        let fault = &self.fault;
        let numbered = fault
            .connections
            .as_ref()
            .is_none_or(|range| range.contains(&number));
        let aged = match fault.only {
            Only::All => true,
            Only::Standing => opened < self.begins,
            Only::New => opened >= self.begins,
        };
        numbered && aged
    }

    /// Counts a connection that it hits; false where its count is used up.
    pub(super) fn hit(&self) -> bool {
        let most = self.fault.count.unwrap_or(u64::MAX);
        self.hits
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |hits| {
                (hits < most).then_some(hits + 1)
            })
            .is_ok()
    }

    fn ends(&self) -> Option<Instant> {
        self.begins.checked_add(self.fault.lasting?)
    }

    fn is_on(&self, now: Instant) -> bool {
        self.begins <= now && self.ends().is_none_or(|ends| now < ends)
    }
}

// === impl TcpScript ===

impl TcpScript {
    pub(super) fn start() -> Self {
        Self {
            now: Arc::new(watch::channel(Vec::new()).0),
            inner: Mutex::default(),
        }
    }

    pub(super) fn active(&self) -> ActiveFaults {
        self.now.subscribe()
    }

    pub(super) fn hits(&self) -> Vec<u64> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = |entry: &Arc<ScheduledTcpFault>| entry.hits.load(Ordering::Relaxed);
        inner.entries.iter().map(hits).collect()
    }

    pub(super) fn set(&self, faults: impl IntoIterator<Item = TcpFault>) {
        let set_at = Instant::now();
        let entry = |fault: TcpFault| {
            Arc::new(ScheduledTcpFault {
                begins: set_at + fault.after,
                hits: AtomicU64::new(0),
                fault,
            })
        };
        let entries: Vec<_> = faults.into_iter().map(entry).collect();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(playing) = inner.playing.take() {
            playing.abort();
        }
        inner.entries.clone_from(&entries);
        // What is on at once must be on when this returns, and not when the task gets its turn.
        self.now.send_replace(on_at(&entries, set_at));
        inner.playing = Some(tokio::spawn(play(entries, set_at, Arc::clone(&self.now))));
    }
}

impl Drop for TcpScript {
    fn drop(&mut self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(playing) = inner.playing.take() {
            playing.abort();
        }
    }
}

/// Publishes what is on, each time that something begins or ends.
async fn play(
    entries: Vec<Arc<ScheduledTcpFault>>,
    mut last: Instant,
    now: Arc<watch::Sender<Vec<Arc<ScheduledTcpFault>>>>,
) {
    let turns = |entry: &Arc<ScheduledTcpFault>| [Some(entry.begins), entry.ends()];
    while let Some(next) = entries
        .iter()
        .flat_map(turns)
        .flatten()
        .filter(|turn| *turn > last)
        .min()
    {
        tokio::time::sleep_until(next).await;
        now.send_replace(on_at(&entries, next));
        last = next;
    }
}

fn on_at(entries: &[Arc<ScheduledTcpFault>], now: Instant) -> Vec<Arc<ScheduledTcpFault>> {
    let on = entries.iter().filter(|entry| entry.is_on(now));
    on.cloned().collect()
}
