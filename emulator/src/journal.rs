//! What each target received: every request, its response and the fault that hit it.
//!
//! In: requests as they arrive and answers as they leave. Out: counters for
//! the whole life of the world, and the last few thousand requests in full,
//! headers included, so that a test can say "exactly these headers were sent"
//! or "never two exchanges at once".
//!
//! Invariant: a request counts as in flight from its last byte until its
//! answer is handed over, hangs and delays included, also when its sender
//! leaves in between.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use serde::Serialize;

const KEPT_AT_MOST: usize = 4096;
const SECRET_HEADERS: [&str; 2] = ["authorization", "x-amz-security-token"];

/// One request, as a target saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was complete, by the world's clock.
    pub at: SystemTime,
    /// The other end: two requests with the same one shared a connection.
    pub peer: SocketAddr,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers; the secret ones are withheld from `Debug`.
    pub headers: HeaderMap,
    /// The length of its body.
    pub body_bytes: usize,
    /// What was answered; `None` while in flight, and where no head was sent.
    pub status: Option<u16>,
    /// The fault that hit it.
    pub fault: Option<&'static str>,
}

/// Totals of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Requests being answered right now.
    pub in_flight: u64,
    /// The most there ever were at once.
    pub max_in_flight: u64,
    /// Bytes of all bodies received.
    pub body_bytes: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that a fault hit, by the fault's name.
    pub faults: BTreeMap<&'static str, u64>,
}

/// The requests of one target. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    inner: Arc<Mutex<JournalState>>,
}

#[derive(Debug, Default)]
struct JournalState {
    counts: Counts,
    seen: VecDeque<Seen>,
    /// How many of the oldest were dropped from `seen`.
    dropped: u64,
}

/// One request in flight; leaving the scope ends it.
#[derive(Debug)]
pub struct InFlight {
    journal: Journal,
    number: u64,
}

// === impl Journal ===

impl Journal {
    /// The last requests, oldest first, at most 4,096.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.lock().seen.iter().cloned().collect()
    }

    /// The totals.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// How many requests came so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lock().counts.requests
    }

    /// Notes a request, which is in flight until what this gives is dropped.
    #[must_use]
    pub fn begin(&self, request: &Request<Bytes>, peer: SocketAddr, at: SystemTime) -> InFlight {
        let mut headers = request.headers().clone();
        for name in SECRET_HEADERS {
            if let Some(value) = headers.get_mut(name) {
                value.set_sensitive(true);
            }
        }
        let seen = Seen {
            at,
            peer,
            method: request.method().clone(),
            path: request.uri().path_and_query().map_or_else(
                || request.uri().path().to_owned(),
                |path| path.as_str().to_owned(),
            ),
            headers,
            body_bytes: request.body().len(),
            status: None,
            fault: None,
        };
        let mut inner = self.lock();
        let number = inner.counts.requests;
        inner.counts.requests += 1;
        inner.counts.body_bytes += seen.body_bytes as u64;
        inner.counts.in_flight += 1;
        inner.counts.max_in_flight = inner.counts.max_in_flight.max(inner.counts.in_flight);
        inner.seen.push_back(seen);
        if inner.seen.len() > KEPT_AT_MOST {
            inner.seen.pop_front();
            inner.dropped += 1;
        }
        InFlight {
            journal: self.clone(),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, JournalState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl InFlight ===

impl InFlight {
    pub(crate) fn hit_by(&self, fault: &'static str) {
        let mut inner = self.journal.lock();
        *inner.counts.faults.entry(fault).or_default() += 1;
        if let Some(seen) = inner.seen(self.number) {
            seen.fault = Some(fault);
        }
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        let mut inner = self.journal.lock();
        *inner.counts.statuses.entry(status.as_u16()).or_default() += 1;
        if let Some(seen) = inner.seen(self.number) {
            seen.status = Some(status.as_u16());
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.journal.lock().counts.in_flight -= 1;
    }
}

// === impl JournalState ===

impl JournalState {
    fn seen(&mut self, number: u64) -> Option<&mut Seen> {
        let index = usize::try_from(number.checked_sub(self.dropped)?).ok()?;
        self.seen.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request<Bytes> {
        Request::post("/x?y=1")
            .header("authorization", "AWS4 secret")
            .body(Bytes::from_static(b"abc"))
            .expect("valid")
    }

    #[test]
    fn overlapping_requests_are_counted_and_end_when_dropped() {
        let journal = Journal::default();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let first = journal.begin(&request(), peer, SystemTime::UNIX_EPOCH);
        let second = journal.begin(&request(), peer, SystemTime::UNIX_EPOCH);
        first.hit_by("hang");
        second.answered(StatusCode::OK);
        drop((first, second));
        drop(journal.begin(&request(), peer, SystemTime::UNIX_EPOCH));
        let counts = journal.counts();
        assert_eq!(
            (counts.requests, counts.in_flight, counts.max_in_flight),
            (3, 0, 2)
        );
        assert_eq!(counts.body_bytes, 9);
        assert_eq!(counts.statuses, BTreeMap::from([(200, 1)]));
        assert_eq!(counts.faults, BTreeMap::from([("hang", 1)]));
        assert_eq!(journal.requests()[0].fault, Some("hang"));
        assert_eq!(journal.requests()[1].status, Some(200));
        assert!(!format!("{:?}", journal.requests()).contains("secret"));
    }

    #[test]
    fn old_requests_leave_and_late_answers_find_their_own() {
        let journal = Journal::default();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let early = journal.begin(&request(), peer, SystemTime::UNIX_EPOCH);
        for _ in 0..KEPT_AT_MOST {
            drop(journal.begin(&request(), peer, SystemTime::UNIX_EPOCH));
        }
        early.answered(StatusCode::OK);
        let late = journal.begin(&request(), peer, SystemTime::UNIX_EPOCH);
        late.answered(StatusCode::ACCEPTED);
        let requests = journal.requests();
        assert_eq!(requests.len(), KEPT_AT_MOST);
        assert_eq!(
            requests.iter().filter(|seen| seen.status.is_some()).count(),
            1
        );
        assert_eq!(requests[KEPT_AT_MOST - 1].status, Some(202));
    }
}
