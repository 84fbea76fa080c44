//! How far a workspace is behind, and what senders hold back.
//!
//! In: each batch's beginning, what the walk found in it, and its verdict. Out: a [`LagView`]: the newest stored sample, the batches that
//! got a retryable answer and have not been settled since, the oldest of their samples. AMP refuses samples older than an hour, so
//! that sample says when data begins to be lost; a warning is logged once when that is near.
//!
//! A batch is recognised by its hash when it is retried. A sender that restarts or reshards may cut its batches anew, so a batch that was
//! not retried for [`FORGOTTEN`] is not counted any more. A request that was answered before its body was read has no hash; it counts
//! for [`UNREAD`], three times a Prometheus' longest pause.
//!
//! Of stored batches, those that were counted say how far behind AMP is: several a second, whatever their rate. Held ones are all counted.
//!
//! A stored batch costs some atomic operations here. The lock is taken only for batches that are not stored at once.

mod view;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::clock::Clock;
use crate::outcome::verdict::Verdict;
use crate::remedies::running::NEAR_LOSS;
use crate::remote_write::contents::{Contents, Timestamps};
use crate::remote_write::payload::{Payload, PayloadContents};
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};

use view::FRESH;
pub use view::{LOST_AFTER, LagView};

/// vmagent pauses a minute at most between two attempts, Prometheus 5 s.
const FORGOTTEN: Duration = Duration::from_secs(150);
const UNREAD: Duration = Duration::from_secs(15);
/// Enough for a gateway with a thousand senders of a few shards each.
const MOST_HELD: usize = 4096;
const NEVER: u64 = u64::MAX;

/// The kind of the incident.
const NEAR_LOSS_INCIDENT: &str = "near_loss";

/// What is known of one workspace's delay.
#[derive(Debug)]
pub struct Lag {
    clock: Clock,
    metrics: Arc<WorkspaceMetrics>,
    incidents: IncidentTracker,
    /// Since the epoch, in milliseconds; 0 before the first.
    newest_stored: AtomicU64,
    last_success: AtomicU64,
    in_flight: AtomicUsize,
    /// The times below are milliseconds since this.
    began: Instant,
    /// When a request last began or got its response.
    last_request: AtomicU64,
    /// When a batch was last held back, or stored with no fresh sample; [`NEVER`] before.
    last_delay: AtomicU64,
    /// When a batch was last stored that was not counted; [`NEVER`] before.
    last_uncounted: AtomicU64,
    /// Lets a stored batch skip the lock while nothing is held back.
    count: AtomicUsize,
    held: Mutex<HeldBatches>,
}

#[derive(Debug, Default)]
struct HeldBatches {
    by_hash: HashMap<u64, HeldBatch>,
    /// When a request was last answered before its body was read.
    unread: Option<(Instant, &'static str)>,
}

/// A batch that its sender holds back.
#[derive(Debug, Clone, Copy)]
struct HeldBatch {
    oldest: Option<SystemTime>,
    tried: Instant,
    outcome: &'static str,
}

/// A batch from its beginning to its verdict. Dropped without one, its sender has left and retries.
#[derive(Debug)]
pub(super) struct Tracked<'a> {
    lag: &'a Lag,
    batch: Option<(u64, PayloadContents)>,
    outcome: Option<&'static str>,
}

// === impl Lag ===

impl Lag {
    pub(super) fn new(
        clock: Clock,
        metrics: Arc<WorkspaceMetrics>,
        incidents: IncidentTracker,
    ) -> Self {
        Self {
            clock,
            metrics,
            incidents,
            newest_stored: AtomicU64::new(0),
            last_success: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            began: Instant::now(),
            last_request: AtomicU64::new(0),
            last_delay: AtomicU64::new(NEVER),
            last_uncounted: AtomicU64::new(NEVER),
            count: AtomicUsize::new(0),
            held: Mutex::default(),
        }
    }

    /// Follows a batch until the result is dropped.
    pub(super) fn begin(&self) -> Tracked<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.last_request.store(self.elapsed(), Ordering::Relaxed);
        Tracked {
            lag: self,
            batch: None,
            outcome: Some("sender_gone"),
        }
    }

    /// The state now.
    #[must_use]
    pub fn view(&self) -> LagView {
        let now = self.clock.now();
        let mut held = self.lock();
        held.forget();
        self.count.store(held.by_hash.len(), Ordering::Relaxed);
        let unread = held.unread.filter(|(since, _)| since.elapsed() < UNREAD);
        let batches = held.by_hash.values();
        let oldest = batches
            .clone()
            .min_by_key(|batch| batch.oldest.unwrap_or(now));
        let known = batches.filter_map(|batch| batch.oldest);
        let since = |millis: &AtomicU64| match millis.load(Ordering::Relaxed) {
            NEVER => Duration::MAX,
            millis => self
                .began
                .elapsed()
                .saturating_sub(Duration::from_millis(millis)),
        };
        let moment = |millis: &AtomicU64| {
            let millis = millis.load(Ordering::Relaxed);
            (millis > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
        };
        LagView {
            now,
            local: self.clock.local(),
            newest_stored: moment(&self.newest_stored),
            last_success: moment(&self.last_success),
            oldest_held: known.min(),
            held: held.by_hash.len(),
            outcome: oldest
                .map(|batch| batch.outcome)
                .or(unread.map(|(_, outcome)| outcome)),
            unread: unread.is_some(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            idle: since(&self.last_request),
            undelayed: since(&self.last_delay),
            all_counted: since(&self.last_uncounted),
        }
    }

    /// AMP has the batch, or all of it that is valid.
    fn stored(&self, contents: Option<Contents>, is_whole: bool) {
        let now = self.clock.now();
        if is_whole {
            self.last_success.store(millis(now), Ordering::Relaxed);
            self.incidents.recover();
        }
        let Some(Contents { timestamps, .. }) = contents else {
            self.last_uncounted.store(self.elapsed(), Ordering::Relaxed);
            return;
        };
        let latest = now.max(self.clock.local());
        let Some((oldest, newest)) = plausible(timestamps, latest) else {
            return;
        };
        if is_whole {
            let age = now.duration_since(oldest).unwrap_or_default();
            self.metrics.stored_sample_age(age);
        }
        // A clock that was set back makes the earlier time one of the future.
        let later = |before: u64| {
            (before < millis(newest) || before > millis(latest)).then_some(millis(newest))
        };
        let _unchanged =
            self.newest_stored
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        if !view::is_fresh(newest, now, self.clock.local()) {
            self.last_delay.store(self.elapsed(), Ordering::Relaxed);
        }
    }

    /// The sender keeps the batch.
    fn hold(&self, batch: Option<(u64, Timestamps)>, outcome: &'static str) {
        self.last_delay.store(self.elapsed(), Ordering::Relaxed);
        let now = self.clock.now();
        let latest = now.max(self.clock.local());
        let oldest = batch.and_then(|(_, timestamps)| plausible(timestamps, latest));
        let oldest = oldest.map(|(oldest, _)| oldest);
        let tried = Instant::now();
        {
            let mut held = self.lock();
            if held.by_hash.len() >= MOST_HELD {
                held.forget();
            }
            match batch {
                Some((hash, _))
                    if held.by_hash.len() < MOST_HELD || held.by_hash.contains_key(&hash) =>
                {
                    let batch = HeldBatch {
                        oldest,
                        tried,
                        outcome,
                    };
                    held.by_hash.insert(hash, batch);
                }
                _ => held.unread = Some((tried, outcome)),
            }
            self.count.store(held.by_hash.len(), Ordering::Relaxed);
        }
        if oldest.is_some_and(|oldest| view::is_near_loss(oldest, now)) {
            let diagnose = || Diagnosis::new(&self.view().words(), NEAR_LOSS);
            self.incidents.fail(NEAR_LOSS_INCIDENT, diagnose);
        }
    }

    /// The sender does not send the batch again.
    fn settle(&self, hash: Option<u64>) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut held = self.lock();
        if let Some(hash) = hash {
            held.by_hash.remove(&hash);
        }
        self.count.store(held.by_hash.len(), Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HeldBatches> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl HeldBatches ===

impl HeldBatches {
    fn forget(&mut self) {
        self.by_hash
            .retain(|_, batch| batch.tried.elapsed() < FORGOTTEN);
    }
}

// === impl Tracked ===

impl Tracked<'_> {
    /// The body was read.
    pub(super) fn identify(&mut self, payload: &Payload) {
        let beginning = payload.payload_hash.get(..16).unwrap_or_default();
        let hash = u64::from_str_radix(beginning, 16).unwrap_or_default();
        self.batch = Some((hash, payload.contents.clone()));
    }

    /// The sender gets this response.
    pub(super) fn end(mut self, verdict: &Verdict) {
        if verdict.is_retried() {
            self.outcome = Some(verdict.name());
            return;
        }
        self.outcome = None;
        let (hash, contents) = self.batch.take().unzip();
        self.lag.settle(hash);
        let contents = contents.and_then(|contents| contents.known());
        if verdict.is_stored() {
            self.lag.stored(contents, true);
        } else if matches!(verdict, Verdict::Refused { .. }) {
            // AMP refuses samples, not the request: it has stored the others.
            self.lag.stored(contents, false);
        }
    }
}

impl Drop for Tracked<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            let batch = self.batch.take();
            let batch = batch.map(|(hash, contents)| (hash, contents.exact().timestamps));
            self.lag.hold(batch, outcome);
        }
        let lag = self.lag;
        lag.last_request.store(lag.elapsed(), Ordering::Relaxed);
        lag.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The oldest and the newest time, none in the future. A batch holds some seconds' samples; one that is older than the newest by more than
/// AMP accepts was set by its exporter and is lost anyway. One in the future hides how late the others are: the oldest tells, unless it is
/// as old as that.
fn plausible(timestamps: Timestamps, latest: SystemTime) -> Option<(SystemTime, SystemTime)> {
    let (oldest, mut newest) = timestamps.span()?;
    let ahead = newest.duration_since(latest).unwrap_or_default();
    if ahead > FRESH {
        if latest.duration_since(oldest).unwrap_or_default() > LOST_AFTER {
            return None;
        }
        newest = oldest;
    }
    let (oldest, newest) = (oldest.min(latest), newest.min(latest));
    let apart = newest.duration_since(oldest).unwrap_or_default();
    let oldest = if apart > LOST_AFTER { newest } else { oldest };
    Some((oldest, newest))
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
