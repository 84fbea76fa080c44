//! What went through the proxy: counters per connection, the log of the last ones, and the observer's interface.
//!
//! In: bytes and ends, as the relays report them. Out: [`ConnectionStats`]. The file stands below the relays and the
//! listener, so that neither imports the proxy that owns them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::script::Direction;

/// Connections that are remembered after their end.
const KEPT_AT_MOST: usize = 4096;

/// Sees what passes. Called from the connections' tasks: be quick.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// These bytes go on, whole or in part, on the connection of this number.
    fn passes(&self, connection: u64, direction: Direction, bytes: &[u8]);
    /// The service took no connection for this one, which is reset therefore.
    fn unreached(&self, connection: u64);
    /// The connection has ended.
    fn ended(&self, connection: u64);
}

/// What went through one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionStats {
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
pub(super) struct ConnectionLog {
    last: Arc<Mutex<VecDeque<Arc<Counters>>>>,
    total: Arc<AtomicU64>,
}

/// A connection's counters while it is used.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) number: u64,
    pub(super) opened: Instant,
    request: AtomicU64,
    answer: AtomicU64,
    pub(super) over: AtomicBool,
}

// === impl ConnectionLog ===

impl ConnectionLog {
    pub(super) fn open(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters {
            number: self.total.fetch_add(1, Ordering::Relaxed),
            opened: Instant::now(),
            request: AtomicU64::new(0),
            answer: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(Arc::clone(&counters));
        if last.len() > KEPT_AT_MOST {
            last.pop_front();
        }
        counters
    }

    pub(super) fn list(&self) -> Vec<ConnectionStats> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter()
            .map(|counters| ConnectionStats {
                number: counters.number,
                request_bytes: counters.request.load(Ordering::Relaxed),
                answer_bytes: counters.answer.load(Ordering::Relaxed),
                open: !counters.over.load(Ordering::Relaxed),
            })
            .collect()
    }
}

// === impl Counters ===

impl Counters {
    pub(super) fn count(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::Request => &self.request,
            Direction::Answer => &self.answer,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
