//! `GET /caught-up?within=60s`: answers once AMP has what senders have sent and would send.
//!
//! In: the query, and each workspace's [`LagView`](crate::batch::lag::LagView). Out: 200 once nothing is held back and the newest stored
//! sample is fresh, or senders have nothing to send; else 504 at the end of the time, with what is missing. A Prometheus that ends reads its
//! log no further, so a `preStop` hook that waits here keeps what an outage has left in the log. It works while the sidecar drains, which
//! lasts as long as a request waits here, up to `--drain-timeout`.
//!
//! Any client that reaches the port can make it wait: so few requests may wait at once, each for a limited time, and a look costs as much as a scrape.

use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::config::duration;
use crate::router::Router;
use crate::sanitize::sanitize_within;

pub(super) const PATH: &str = "/caught-up";
const DEFAULT: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(600);
const MOST_WAITING: usize = 16;
/// What is waited for takes seconds.
const LOOK: Duration = Duration::from_millis(500);

/// The requests that wait.
#[derive(Debug)]
pub struct CaughtUp {
    places: Semaphore,
    /// Turns true when draining ends.
    stopped: watch::Receiver<bool>,
}

// === impl CaughtUp ===

impl CaughtUp {
    /// Nobody waits any longer once `stopped` is true.
    #[must_use]
    pub fn new(stopped: watch::Receiver<bool>) -> Self {
        Self {
            places: Semaphore::new(MOST_WAITING),
            stopped,
        }
    }

    pub(super) async fn answer(
        &self,
        query: Option<&str>,
        router: &Router,
    ) -> (StatusCode, String) {
        let within = match within(query) {
            Ok(within) => within,
            Err(why) => return (StatusCode::BAD_REQUEST, why),
        };
        let Ok(_place) = self.places.try_acquire() else {
            let words = format!("{MOST_WAITING} requests wait here already\n");
            return (StatusCode::SERVICE_UNAVAILABLE, words);
        };
        // The sidecar drains at least until this is answered: until then, the sender goes on.
        let _awaited = router.senders.awaited();
        let began = Instant::now();
        let mut stopped = self.stopped.clone();
        let because = tokio::select! {
            words = caught_up(router) => return (StatusCode::OK, words),
            () = tokio::time::sleep(within) => format!("after {} s", began.elapsed().as_secs()),
            _ = stopped.wait_for(|stopped| *stopped) => "and the sidecar stops".to_owned(),
        };
        let missing = missing(router).join("; ");
        (
            StatusCode::GATEWAY_TIMEOUT,
            format!("not caught up {because}: {missing}\n"),
        )
    }
}

/// Returns once nothing is missing.
async fn caught_up(router: &Router) -> String {
    while !missing(router).is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    "caught up: nothing is held back\n".to_owned()
}

/// What AMP does not have yet, by workspace.
fn missing(router: &Router) -> Vec<String> {
    let routes = router.routes();
    let of_workspaces = routes.workspaces().iter().filter_map(|running| {
        let missing = running.pipeline.missing()?;
        Some(format!("workspace {}: {missing}", running.config.name))
    });
    let misdirected = router.unrouted().senders().recent();
    let misdirected = misdirected
        .iter()
        .filter(|sender| sender.is_writing())
        .map(ToString::to_string);
    of_workspaces.chain(misdirected).collect()
}

/// The time to wait that the query asks for.
fn within(query: Option<&str>) -> Result<Duration, String> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(DEFAULT);
    };
    let refused = |why: &str| {
        let query = sanitize_within(query, 64);
        format!("?{query}: {why}; write {PATH}?within=60s\n")
    };
    let Some(value) = query.strip_prefix("within=") else {
        return Err(refused("the only parameter is within"));
    };
    match duration(value) {
        Ok(within) => Ok(within.min(LONGEST)),
        Err(expected) => Err(refused(&format!("expected {expected}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_one_of_our_durations_and_limited() {
        let seconds = |query| within(query).map(|within| within.as_secs());
        assert_eq!(seconds(None), Ok(60));
        assert_eq!(seconds(Some("")), Ok(60));
        assert_eq!(seconds(Some("within=25s")), Ok(25));
        assert_eq!(seconds(Some("within=1m30s")), Ok(90));
        assert_eq!(seconds(Some("within=24h")), Ok(600));
        for bad in [
            "within=",
            "within=60",
            "within=0s",
            "within=-1s",
            "within=1e3s",
            "within=99999999999999999999s",
            "for=60s",
            "within=60s&within=1s",
            "within=60s&x=1",
        ] {
            let why = seconds(Some(bad)).unwrap_err();
            assert!(why.contains("within=60s"), "{bad}: {why}");
        }
    }
}
