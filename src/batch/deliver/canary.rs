//! Checks whether AMP accepts an empty write.
//!
//! In: the earliest acceptable start of the request. Out: whether AMP accepted an empty signed write after that. One request
//! runs at a time and its result serves all callers: a workspace with a thousand senders does not send a thousand canaries.

use std::future::Future;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The last result, and when its request started.
#[derive(Debug, Default)]
pub(super) struct Canary(Mutex<Option<(Instant, bool)>>);

// === impl Canary ===

impl Canary {
    /// The last result if its request started at `since` or later, else that of `ask`; false if another caller's request is
    /// still running at the `deadline`.
    pub(super) async fn is_taken(
        &self,
        since: Option<Instant>,
        deadline: Instant,
        ask: impl Future<Output = bool>,
    ) -> bool {
        let Ok(mut last) = tokio::time::timeout_at(deadline, self.0.lock()).await else {
            return false;
        };
        if let Some((asked, taken)) = *last
            && since.is_none_or(|since| asked >= since)
        {
            return taken;
        }
        let asked = Instant::now();
        let taken = ask.await;
        *last = Some((asked, taken));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn one_result_serves_every_caller_that_was_waiting() {
        let canary = Canary::default();
        let started = Instant::now();
        let asked = async |since, answer| {
            let mut asked = false;
            let ask = async {
                asked = true;
                answer
            };
            let deadline = Instant::now() + Duration::from_secs(5);
            (canary.is_taken(Some(since), deadline, ask).await, asked)
        };
        assert_eq!(asked(started, true).await, (true, true));
        assert_eq!(asked(started, false).await, (true, false));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(asked(Instant::now(), false).await, (false, true));
    }

    #[tokio::test(start_paused = true)]
    async fn no_caller_waits_past_its_deadline_for_another_callers_canary() {
        let canary = Canary::default();
        let started = Instant::now();
        let deadline = |seconds| started + Duration::from_secs(seconds);
        let slow = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            true
        };
        let first = canary.is_taken(Some(started), deadline(25), slow);
        let second = async {
            let ask = std::future::ready(true);
            let taken = canary.is_taken(Some(started), deadline(5), ask).await;
            (taken, started.elapsed())
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first, second), (true, (false, Duration::from_secs(5))));
    }
}
