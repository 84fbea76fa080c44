//! The delay of a workspace at one time, and the words for it.

use std::time::{Duration, SystemTime};

use crate::clock::in_words;

/// AMP's limit on the age of a sample.
pub const LOST_AFTER: Duration = Duration::from_secs(3600);
/// How long before a loss the log warns of it.
const WARNED_BEFORE: Duration = Duration::from_secs(1200);
/// Twice as long as Prometheus collects samples for a batch (`batch_send_deadline`, 5 s), so that in regular operation the newest stored
/// sample is always younger.
pub(super) const FRESH: Duration = Duration::from_secs(10);
/// Without a request for this long, senders have nothing to send: they pause up to 5 s between two attempts.
const QUIET: Duration = Duration::from_secs(10);
/// After a delay, how long samples have to be fresh: a sender that catches up needs about as long for what is not sent yet.
const SETTLED: Duration = Duration::from_secs(10);
/// A delay that is worth a word.
const NOTICED: Duration = Duration::from_secs(60);

/// The delay of a workspace at one time.
#[derive(Debug, Clone, Copy)]
pub struct LagView {
    /// The time as AWS sees it.
    pub now: SystemTime,
    /// The machine's time.
    pub(super) local: SystemTime,
    /// The newest stored sample of the counted batches; `None` before the first, and if batches are not inspected.
    pub newest_stored: Option<SystemTime>,
    /// When AMP last stored a batch.
    pub last_success: Option<SystemTime>,
    /// The oldest sample of the batches that are held back, if it is known.
    pub oldest_held: Option<SystemTime>,
    /// The number of batches that are held back.
    pub held: usize,
    /// The outcome of the one with the oldest sample.
    pub(super) outcome: Option<&'static str>,
    /// Whether a sender was asked to retry before its batch was read.
    pub(super) unread: bool,
    pub(super) in_flight: usize,
    /// Since a request last began or ended.
    pub(super) idle: Duration,
    /// Since a batch was last held back or stored late.
    pub(super) undelayed: Duration,
    /// Since a stored batch was last not counted.
    pub(super) all_counted: Duration,
}

// === impl LagView ===

impl LagView {
    /// When the oldest sample that is held back gets too old for AMP.
    #[must_use]
    pub fn lost_from(&self) -> Option<SystemTime> {
        self.oldest_held?.checked_add(LOST_AFTER)
    }

    /// Since when data is missing in AMP: from the oldest sample that is held back, else from the newest stored one.
    #[must_use]
    pub fn behind(&self) -> Option<Duration> {
        let since = self.oldest_held.or(self.newest_stored)?;
        Some(self.now.duration_since(since).unwrap_or_default())
    }

    /// Whether held samples are within 20 minutes of their loss, or lost.
    #[must_use]
    pub fn is_near_loss(&self) -> bool {
        self.oldest_held
            .is_some_and(|oldest| is_near_loss(oldest, self.now))
    }

    /// One sentence.
    #[must_use]
    pub fn words(&self) -> String {
        if let (Some(behind), Some(lost)) = (self.behind(), self.lost_from()) {
            let (are, from) = match lost > self.now {
                true => ("are", "from"),
                false => ("have been", "since"),
            };
            let on = if lost > self.now { " on" } else { "" };
            let (behind, at) = (in_words(behind), time_of_day(lost));
            // A backfill, or one batch of many.
            let newest = self
                .newest_stored
                .map(|newest| self.now.duration_since(newest));
            let is_current = newest.is_some_and(|age| age.unwrap_or_default() < NOTICED);
            let what = match is_current {
                true => format!(
                    "current data is stored, but samples that are {behind} old are held back"
                ),
                false => format!("data is {behind} behind"),
            };
            return format!("{what}; samples older than 1 h {are} lost {from} {at}{on}");
        }
        match (self.is_held(), self.newest_stored, self.last_success) {
            (true, ..) => "batches are held back; the age of their samples is not known".to_owned(),
            (false, Some(newest), last) => {
                let age = self.now.duration_since(newest).unwrap_or_default();
                let whole = last.map(|last| self.now.duration_since(last).unwrap_or_default());
                match self.idle {
                    // Each is refused, in part or as a whole.
                    idle if idle < NOTICED && whole.is_none_or(|whole| whole >= NOTICED) => {
                        let long = whole
                            .map_or("yet".to_owned(), |whole| format!("for {}", in_words(whole)));
                        format!("nothing is held back, but AMP stored no batch whole {long}")
                    }
                    _ if age < NOTICED => "data is up to date".to_owned(),
                    idle if idle < NOTICED => {
                        format!("data is {} behind and catching up", in_words(age))
                    }
                    _ => format!(
                        "nothing is held back; the newest stored sample is {} old",
                        in_words(age)
                    ),
                }
            }
            (false, None, Some(_)) => {
                "nothing is held back; the age of stored samples is not known".to_owned()
            }
            (false, None, None) => "no batch was stored yet".to_owned(),
        }
    }

    /// What AMP does not have yet, as far as that can be known; `None` if senders may stop.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let outcome = self.outcome.unwrap_or_default();
        if self.held > 0 {
            let batches = match self.held {
                1 => "1 batch is".to_owned(),
                count => format!("{count} batches are"),
            };
            let oldest = self
                .oldest_held
                .map(|oldest| self.now.duration_since(oldest));
            let oldest = oldest.map(|age| {
                format!(
                    ", the oldest sample is {} old",
                    in_words(age.unwrap_or_default())
                )
            });
            let oldest = oldest.unwrap_or_default();
            return Some(format!("{batches} held back ({outcome}){oldest}"));
        }
        if self.unread {
            return Some(format!("a sender was asked to retry ({outcome})"));
        }
        if self.in_flight == 0 && self.idle >= QUIET {
            return None;
        }
        match self.newest_stored {
            None => {
                Some("requests still come, and the age of their samples is not known".to_owned())
            }
            Some(newest) if !is_fresh(newest, self.now, self.local) => {
                let latest = self.now.max(self.local);
                let age = latest.duration_since(newest).unwrap_or_default();
                Some(format!("the newest stored sample is {} old", in_words(age)))
            }
            Some(_) if self.undelayed < SETTLED => {
                Some("samples came late until a moment ago, and more may follow".to_owned())
            }
            Some(_) if self.all_counted < SETTLED => {
                Some("until a moment ago not every batch was counted, and one of the others may have been late".to_owned())
            }
            Some(_) => None,
        }
    }

    fn is_held(&self) -> bool {
        self.held > 0 || self.unread
    }
}

/// Whether AMP refuses a sample of this time within [`WARNED_BEFORE`], or already.
pub(super) fn is_near_loss(oldest: SystemTime, now: SystemTime) -> bool {
    let near = oldest.checked_add(LOST_AFTER - WARNED_BEFORE);
    near.is_some_and(|near| near <= now)
}

/// By the clock of AWS or by that of this machine, which the sender beside it uses.
pub(super) fn is_fresh(newest: SystemTime, now: SystemTime, local: SystemTime) -> bool {
    let is_near = |now: SystemTime| match now.duration_since(newest) {
        Ok(age) => age <= FRESH,
        Err(ahead) => ahead.duration() <= FRESH,
    };
    is_near(now) || is_near(local)
}

/// As `02:23 UTC`.
pub(super) fn time_of_day(time: SystemTime) -> String {
    let time = time::OffsetDateTime::from(time);
    format!("{:02}:{:02} UTC", time.hour(), time.minute())
}
