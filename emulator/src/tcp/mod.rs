//! A TCP proxy that spoils connections, since kernels without netem cannot.
//!
//! ```text
//! peer ──▶ accept ──▶ link ──▶ service
//!            ▲          ▲
//!            └─ weather ┘ ◀── script, a timeline of faults
//! ```
//!
//! In: the address of a service, and at run time a list of [`TcpFault`]s. Out:
//! an address that leads to the service, until a fault refuses, resets, halves,
//! freezes, slows or cuts what goes through it. It stands beside
//! [`crate::fault`], which speaks HTTP: this one sees bytes alone, so it can
//! cut inside a TLS record, keep a connection open that is dead, or leave a
//! port without a listener; that one knows requests.
//!
//! What it cannot do: its kernel acknowledges what a frozen connection still
//! sends until the buffers are full, where a dead host would not.
//!
//! Invariant: where no fault is on, bytes pass unchanged and in order, and the
//! end of either direction is passed on by itself.

mod link;
mod listen;
mod script;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::script::{Cut, Only, TcpFault, TcpFaultKind, Way};
use self::script::{Script, Weather};

/// Connections that are remembered after their end.
const KEPT_AT_MOST: usize = 4096;

/// A running proxy; dropping it ends every connection through it.
#[derive(Debug)]
pub struct TcpFaults {
    address: SocketAddr,
    script: Script,
    passages: Passages,
    accepting: JoinHandle<()>,
}

/// Hears what passes. Called from the connections' tasks: be quick.
pub trait Observe: fmt::Debug + Send + Sync + 'static {
    /// These bytes go on, whole or in part, on the connection of this number.
    fn passes(&self, connection: u64, way: Way, bytes: &[u8]);
    /// The service took no connection for this one, which is reset therefore.
    fn unreached(&self, connection: u64);
    /// The connection has ended.
    fn ended(&self, connection: u64);
}

/// What went through one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Connections count from 0, in the order of their arrival.
    pub number: u64,
    /// Bytes that were passed on to the service.
    pub request_bytes: u64,
    /// Bytes that were passed on from the service.
    pub answer_bytes: u64,
    /// Whether the connection still stands.
    pub open: bool,
}

/// Every connection, in the order of arrival.
#[derive(Debug, Clone, Default)]
struct Passages {
    last: Arc<Mutex<VecDeque<Arc<Tally>>>>,
    total: Arc<AtomicU64>,
}

/// A connection's counters while it is used.
#[derive(Debug)]
struct Tally {
    number: u64,
    opened: Instant,
    request: AtomicU64,
    answer: AtomicU64,
    over: AtomicBool,
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

    /// As [`Self::start`], and `observer` hears what passes.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn observed(service: SocketAddr, observer: Option<Arc<dyn Observe>>) -> io::Result<Self> {
        let place = listen::Place::reserve()?;
        let address = place.address();
        // Here and not in the task: whoever has the address may connect at once.
        let listener = place.listener()?;
        let script = Script::start();
        let passages = Passages::default();
        let accepting = tokio::spawn(listen::accept(
            place,
            listener,
            script.weather(),
            link::Route {
                service,
                observer,
                weather: script.weather(),
                passages: passages.clone(),
            },
        ));
        Ok(Self {
            address,
            script,
            passages,
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

    /// How many connections met each entry of the script so far.
    #[must_use]
    pub fn met(&self) -> Vec<u64> {
        self.script.met()
    }

    /// The last connections, oldest first, at most 4,096.
    #[must_use]
    pub fn passages(&self) -> Vec<Passage> {
        self.passages.list()
    }
}

impl Drop for TcpFaults {
    fn drop(&mut self) {
        // The task owns every connection's task, so that they end with it.
        self.accepting.abort();
    }
}

// === impl Passages ===

impl Passages {
    fn open(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally {
            number: self.total.fetch_add(1, Ordering::Relaxed),
            opened: Instant::now(),
            request: AtomicU64::new(0),
            answer: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(Arc::clone(&tally));
        if last.len() > KEPT_AT_MOST {
            last.pop_front();
        }
        tally
    }

    fn list(&self) -> Vec<Passage> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter()
            .map(|tally| Passage {
                number: tally.number,
                request_bytes: tally.request.load(Ordering::Relaxed),
                answer_bytes: tally.answer.load(Ordering::Relaxed),
                open: !tally.over.load(Ordering::Relaxed),
            })
            .collect()
    }
}

// === impl Tally ===

impl Tally {
    fn count(&self, way: Way, bytes: usize) {
        let counter = match way {
            Way::Request => &self.request,
            Way::Answer => &self.answer,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
