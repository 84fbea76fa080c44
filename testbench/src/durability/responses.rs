//! Every response to a sender, read off the wire between it and the proxy.
//!
//! In: the bytes of plain HTTP/1.1 connections, as a [`emulator::tcp`] proxy sees
//! them pass. Out: answers by status, with the moment of each; a request whose
//! connection ended unanswered counts as one too. Neither the sender's metrics
//! nor its log would do: 2.42 counts no statuses and logs one line a minute.
//!
//! Only the first bytes of requests and answers are looked at, which is enough
//! because no sender of remote write pipelines.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use emulator::tcp::{Direction, Observer};

/// What the table shows where a connection ended without an answer.
pub(super) const NO_ANSWER: &str = "no answer";

/// Records the responses to all of a row's senders.
#[derive(Debug)]
pub(super) struct ResponseObserver {
    inner: Mutex<Observed>,
    total: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Observed {
    /// Connections with a request that is not answered yet.
    waiting: HashSet<u64>,
    responses: Vec<ObservedResponse>,
    longest_pause: Option<u64>,
}

/// Records for a [`ResponseObserver`] what passes another proxy, whose connections have numbers of their own.
#[derive(Debug)]
pub(super) struct SecondObserver(pub(super) Arc<ResponseObserver>);

/// One answer, or the lack of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ObservedResponse {
    at: Instant,
    status: Option<u16>,
}

// === impl ResponseObserver ===

impl ResponseObserver {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            total: watch::channel(0).0,
        }
    }

    /// Answers by status, as the table shows them.
    pub(super) fn answers(&self) -> BTreeMap<String, u64> {
        let mut answers = BTreeMap::new();
        for responses in &self.lock().responses {
            let name = responses
                .status
                .map_or(NO_ANSWER.to_owned(), |code| code.to_string());
            *answers.entry(name).or_default() += 1;
        }
        answers
    }

    /// The longest `Retry-After`, in seconds.
    pub(super) fn longest_pause(&self) -> Option<u64> {
        self.lock().longest_pause
    }

    /// Whether anything but a success was responses from `since` on.
    pub(super) fn was_refused(&self, since: Instant) -> bool {
        let inner = self.lock();
        inner
            .responses
            .iter()
            .any(|responses| responses.at >= since && !responses.is_success())
    }

    /// The moment of the first success from `since` on, which is waited for; `None` where it does not come in time.
    pub(super) async fn success(&self, since: Instant, within: Duration) -> Option<Instant> {
        let mut total = self.total.subscribe();
        let first = async {
            loop {
                total.borrow_and_update();
                if let Some(at) = self.first_success(since) {
                    return Some(at);
                }
                total.changed().await.ok()?;
            }
        };
        tokio::time::timeout(within, first).await.ok().flatten()
    }

    fn first_success(&self, since: Instant) -> Option<Instant> {
        let inner = self.lock();
        let fits = |responses: &&ObservedResponse| responses.at >= since && responses.is_success();
        inner
            .responses
            .iter()
            .find(fits)
            .map(|responses| responses.at)
    }

    fn record(&self, mut inner: MutexGuard<'_, Observed>, status: Option<u16>) {
        let at = Instant::now();
        inner.responses.push(ObservedResponse { at, status });
        drop(inner);
        self.total.send_modify(|total| *total += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for ResponseObserver {
    fn passes(&self, connection: u64, direction: Direction, bytes: &[u8]) {
        let mut inner = self.lock();
        match direction {
            Direction::Request => {
                if bytes.starts_with(b"POST ") {
                    inner.waiting.insert(connection);
                }
            }
            Direction::Answer => {
                let Some(status) = status(bytes) else { return };
                // "Continue" is no answer yet.
                if status >= 200 && inner.waiting.remove(&connection) {
                    inner.longest_pause = inner.longest_pause.max(pause(bytes));
                    self.record(inner, Some(status));
                }
            }
        }
    }

    fn unreached(&self, _connection: u64) {
        // The reset comes before the request was read: to the sender it is one without an answer.
        self.record(self.lock(), None);
    }

    fn ended(&self, connection: u64) {
        let mut inner = self.lock();
        if inner.waiting.remove(&connection) {
            self.record(inner, None);
        }
    }
}

// === impl SecondObserver ===

impl SecondObserver {
    const OTHERS: u64 = 1 << 63;
}

impl Observer for SecondObserver {
    fn passes(&self, connection: u64, direction: Direction, bytes: &[u8]) {
        self.0.passes(connection | Self::OTHERS, direction, bytes);
    }

    fn unreached(&self, connection: u64) {
        self.0.unreached(connection | Self::OTHERS);
    }

    fn ended(&self, connection: u64) {
        self.0.ended(connection | Self::OTHERS);
    }
}

// === impl ObservedResponse ===

impl ObservedResponse {
    fn is_success(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// The status in an answer's first line.
fn status(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/1.")?;
    std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok()
}

/// The seconds of `Retry-After`.
fn pause(bytes: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(bytes);
    let (head, _) = text.split_once("\r\n\r\n")?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let asked = name.eq_ignore_ascii_case("retry-after");
        asked.then(|| value.trim().parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn responses_are_counted_by_status_and_ends_without_one_too() {
        let observer = ResponseObserver::new();
        let before = Instant::now();
        let ask = |connection| {
            observer.passes(
                connection,
                Direction::Request,
                b"POST /write HTTP/1.1\r\n\r\n",
            );
            observer.passes(connection, Direction::Request, b"body");
        };
        ask(1);
        observer.passes(1, Direction::Answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        observer.passes(
            1,
            Direction::Answer,
            b"HTTP/1.1 503 Unavailable\r\nRetry-After: 4\r\n\r\nno",
        );
        assert_eq!(
            observer.success(before, Duration::from_millis(10)).await,
            None
        );
        assert!(observer.was_refused(before));
        ask(1);
        observer.passes(1, Direction::Answer, b"HTTP/1.1 204 No Content\r\n\r\n");
        ask(2);
        observer.ended(2);
        observer.ended(1);
        observer.unreached(3);
        observer.ended(3);
        let counted = [("204", 1), ("503", 1), (NO_ANSWER, 2)];
        assert_eq!(
            observer.answers(),
            counted.map(|(name, count)| (name.to_owned(), count)).into()
        );
        assert_eq!(observer.longest_pause(), Some(4));
        assert!(
            observer
                .success(before, Duration::from_secs(1))
                .await
                .is_some()
        );
        assert_eq!(
            observer
                .success(Instant::now(), Duration::from_millis(10))
                .await,
            None
        );
    }

    #[tokio::test]
    async fn a_success_is_waited_for() {
        let observer = ResponseObserver::new();
        let (since, soon) = (Instant::now(), Duration::from_secs(5));
        let (responses, ()) = tokio::join!(observer.success(since, soon), async {
            observer.passes(1, Direction::Request, b"POST / HTTP/1.1\r\n\r\n");
            observer.passes(1, Direction::Answer, b"HTTP/1.1 200 OK\r\n\r\n");
        });
        assert!(responses.is_some());
        assert!(!observer.was_refused(since));
    }
}
