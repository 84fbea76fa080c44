//! Lets senders go elsewhere, and detects when they have stopped sending.
//!
//! In: when each request began and how it was answered. Out: while draining, [`SenderActivity::is_draining`], so that each response closes its
//! connection: a sender behind a balancer would keep it, and with it this replica. And [`SenderActivity::quiet`], which returns once no request has
//! come for a while, none is in flight, and no sender owes a retry: Prometheus pauses up to 5 s between two attempts, so a sender that got a
//! retryable response has [`PAUSES`] times as long. Counting connections would not do: senders keep them open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many times `--drain-idle` a sender gets that owes a retry.
const PAUSES: u32 = 3;

/// The requests of all senders, as far as draining needs them.
#[derive(Debug)]
pub struct SenderActivity {
    requests: Mutex<LastRequest>,
    /// Whether senders are to go elsewhere.
    draining: AtomicBool,
}

#[derive(Debug)]
struct LastRequest {
    in_flight: usize,
    begun: u64,
    /// When the last request began or got its response.
    last: Instant,
    /// When a sender last got a retryable response.
    last_retryable: Option<Instant>,
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight<'a> {
    senders: &'a SenderActivity,
    retries: bool,
}

// === impl SenderActivity ===

impl Default for SenderActivity {
    fn default() -> Self {
        Self {
            requests: Mutex::new(LastRequest {
                in_flight: 0,
                begun: 0,
                last: Instant::now(),
                last_retryable: None,
            }),
            draining: AtomicBool::new(false),
        }
    }
}

impl SenderActivity {
    /// Counts a request as in flight until the result is dropped.
    pub fn begin(&self) -> InFlight<'_> {
        let mut activity = self.lock();
        activity.in_flight += 1;
        activity.begun += 1;
        activity.last = Instant::now();
        InFlight {
            senders: self,
            // A sender that closes before its response sends again.
            retries: true,
        }
    }

    /// Keeps the sidecar from stopping until the result is dropped: somebody waits for the senders' data.
    pub fn awaited(&self) -> InFlight<'_> {
        self.lock().in_flight += 1;
        InFlight {
            senders: self,
            retries: false,
        }
    }

    /// From now on each response closes its connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether they are to go elsewhere.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// How many requests are in flight, and how many there were in all.
    #[must_use]
    pub fn counted(&self) -> (usize, u64) {
        let activity = self.lock();
        (activity.in_flight, activity.begun)
    }

    /// Returns once no more requests come.
    pub async fn quiet(&self, idle: Duration) {
        loop {
            let (left, in_flight) = {
                let activity = self.lock();
                let due = activity.last_retryable.map(|at| at + idle * PAUSES);
                let until = (activity.last + idle).max(due.unwrap_or(activity.last));
                let left = until.saturating_duration_since(Instant::now());
                (left, activity.in_flight)
            };
            if left.is_zero() && in_flight == 0 {
                return;
            }
            tokio::time::sleep(left.max(Duration::from_millis(50))).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LastRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl InFlight ===

impl InFlight<'_> {
    /// Its sender got a final response and does not send the same again.
    pub fn done(mut self) {
        self.retries = false;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut activity = self.senders.lock();
        let now = Instant::now();
        activity.in_flight = activity.in_flight.saturating_sub(1);
        activity.last = now;
        if self.retries {
            activity.last_retryable = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn quiet_after(senders: &SenderActivity) -> Duration {
        let started = Instant::now();
        senders.quiet(Duration::from_secs(5)).await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_owes_a_retry_is_waited_for_longer() {
        let senders = SenderActivity::default();
        senders.begin().done();
        assert_eq!(quiet_after(&senders).await, Duration::from_secs(5));
        drop(senders.begin());
        assert_eq!(quiet_after(&senders).await, Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_is_waited_for() {
        let senders = SenderActivity::default();
        let request = senders.begin();
        let waited = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            request.done();
        };
        let (took, ()) = tokio::join!(quiet_after(&senders), waited);
        assert_eq!(took, Duration::from_secs(65));
    }
}
