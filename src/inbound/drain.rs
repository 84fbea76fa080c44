//! Whether no more requests from senders.
//!
//! In: when each request began and how it was answered. Out: [`SenderActivity::quiet`], which returns once no request has come for
//! a while, none is in flight, and no sender that was told to come again is due: Prometheus pauses up to 5 s between two
//! tries, so such a one is given [`PAUSES`] times as long. A count of connections would not do: senders keep them open.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many times `--drain-idle` a sender has that was told to come again.
const PAUSES: u32 = 3;

/// All senders, as far as leaving is concerned.
#[derive(Debug)]
pub struct SenderActivity(Mutex<LastRequest>);

#[derive(Debug)]
struct LastRequest {
    in_flight: usize,
    begun: u64,
    /// The last request began or was answered.
    last: Instant,
    /// The last sender was told to come again, so one will.
    come_again: Option<Instant>,
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight<'a> {
    senders: &'a SenderActivity,
    comes_again: bool,
}

// === impl Senders ===

impl Default for SenderActivity {
    fn default() -> Self {
        Self(Mutex::new(LastRequest {
            in_flight: 0,
            begun: 0,
            last: Instant::now(),
            come_again: None,
        }))
    }
}

impl SenderActivity {
    /// A request begins; it is in flight until what this gives is dropped.
    pub fn begin(&self) -> InFlight<'_> {
        let mut heard = self.heard();
        heard.in_flight += 1;
        heard.begun += 1;
        heard.last = Instant::now();
        InFlight {
            senders: self,
            // Whoever goes away unanswered sends again.
            comes_again: true,
        }
    }

    /// How many requests are in flight, and how many there were in all.
    #[must_use]
    pub fn counted(&self) -> (usize, u64) {
        let heard = self.heard();
        (heard.in_flight, heard.begun)
    }

    /// Returns once no more requests from senders.
    pub async fn quiet(&self, idle: Duration) {
        loop {
            let (left, in_flight) = {
                let heard = self.heard();
                let due = heard.come_again.map(|at| at + idle * PAUSES);
                let until = (heard.last + idle).max(due.unwrap_or(heard.last));
                let left = until.saturating_duration_since(Instant::now());
                (left, heard.in_flight)
            };
            if left.is_zero() && in_flight == 0 {
                return;
            }
            tokio::time::sleep(left.max(Duration::from_millis(50))).await;
        }
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, LastRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl InFlight ===

impl InFlight<'_> {
    /// Its sender heard an answer after which it does not send the same again.
    pub fn done(mut self) {
        self.comes_again = false;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut heard = self.senders.heard();
        let now = Instant::now();
        heard.in_flight = heard.in_flight.saturating_sub(1);
        heard.last = now;
        if self.comes_again {
            heard.come_again = Some(now);
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
    async fn a_sender_that_was_told_to_come_again_is_waited_for_longer() {
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
