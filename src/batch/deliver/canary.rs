//! Whether AMP takes a write that nothing can be wrong with.
//!
//! In: the moment after which the answer must have been asked for. Out: whether an empty signed write was taken then. One is asked
//! at a time, and its answer serves all who wait for it: a workspace with a thousand senders is not asked a thousand times.

use std::future::Future;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The last answer, and when it was asked for.
#[derive(Debug, Default)]
pub(super) struct Canary(Mutex<Option<(Instant, bool)>>);

// === impl Canary ===

impl Canary {
    /// The last answer where it was asked for at `since` or later, else that of `ask`; no where somebody else waits for one
    /// until the `deadline`.
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
    async fn an_answer_serves_those_who_asked_before_it() {
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
    async fn nobody_waits_longer_than_his_deadline_for_the_canary_of_another() {
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
