//! Progress of batches that their senders will retry.
//!
//! In: after each attempt, the results of the batch's payloads (the batch itself or the parts it was opened into), keyed by
//! hash. Out: the same results when the batch is retried, so that delivery resumes: what AMP stored or refused is not sent
//! again, and the batch is cut in the same way. A settled batch leaves no record.
//!
//! Bounded in number, bytes and time. Beyond a limit the batch that was tried longest ago is dropped from memory. That costs a
//! duplicate request, which the protocol allows, and never a sample.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::verdict::Verdict;
use crate::remote_write::contents::Contents;
use crate::remote_write::split::PartLimits;

/// Enough for a gateway with a thousand senders of a few shards each.
const MOST_BATCHES: usize = 4096;
/// Estimated size of all records together.
const MOST_BYTES: usize = 2 << 20;
/// AMP refuses samples older than an hour anyway.
const LONGEST: Duration = Duration::from_secs(3600);
/// Size of a record besides its strings: hash, map entries, numbers.
const BYTES_A_RECORD: usize = 320;

/// The result of each payload of one batch, by the payload's hash.
pub(super) type Records = HashMap<String, Record>;

/// The result of one payload.
#[derive(Debug)]
pub(super) enum Record {
    Stored(Verdict),
    /// AMP refused it for good; counted when the batch is settled.
    Refused(Verdict, Contents),
    /// It was replaced by other payloads.
    Opened(Opening),
    /// It must be sent again.
    Failing(Failing),
}

/// How a payload was replaced by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// Cut so that each part is within these limits.
    Cut(PartLimits),
    /// Converted to remote write 1.0.
    AsV1,
    /// Halved after repeated refusals.
    Halved(Suspicion),
}

/// Why a payload is halved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspicion {
    /// Its last refusal.
    pub(super) answer: RefusedAs,
    /// True if the payload itself was refused often and long enough; false if only another batch was.
    pub(super) is_earned: bool,
    /// When halving began.
    pub(super) since: Instant,
    /// How many payloads AMP had judged by then.
    pub(super) judged: u64,
}

/// The kind of response a payload got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RefusedAs {
    /// The status code.
    pub(super) status: u16,
    /// The verdict's name.
    pub(super) name: &'static str,
}

/// A payload that is refused repeatedly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failing {
    answer: RefusedAs,
    pub(super) since: Instant,
    times: u32,
    /// How many payloads AMP had judged by then.
    pub(super) judged: u64,
    /// It is a single series, and AMP accepted an empty write after refusing it.
    is_alone: bool,
}

/// Batches that are expected to be retried.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Lets a batch skip the lock while there are no records.
    batches: AtomicUsize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_hash: HashMap<String, Remembered>,
    /// By time of the last attempt, oldest first.
    order: BTreeMap<u64, String>,
    tries: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Remembered {
    records: Records,
    tried: Instant,
    place: u64,
    bytes: usize,
}

// === impl Progress ===

impl Progress {
    /// Removes and returns the records of a batch.
    pub(super) fn take(&self, hash: &str) -> Records {
        if self.batches.load(Ordering::Relaxed) == 0 {
            return Records::new();
        }
        let mut kept = self.lock();
        let batch = kept.remove(hash);
        self.batches.store(kept.by_hash.len(), Ordering::Relaxed);
        let fresh = batch.filter(|batch| batch.tried.elapsed() < LONGEST);
        fresh.map(|batch| batch.records).unwrap_or_default()
    }

    /// Keeps the records of a batch until it is retried.
    pub(super) fn keep(&self, hash: String, records: Records) {
        if records.is_empty() {
            return;
        }
        let mut kept = self.lock();
        kept.insert(hash, records);
        self.batches.store(kept.by_hash.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    fn insert(&mut self, hash: String, records: Records) {
        drop(self.remove(&hash));
        let bytes = hash.len() + records.values().map(Record::bytes).sum::<usize>();
        self.tries += 1;
        let batch = Remembered {
            records,
            tried: Instant::now(),
            place: self.tries,
            bytes,
        };
        self.bytes += bytes;
        self.order.insert(batch.place, hash.clone());
        self.by_hash.insert(hash, batch);
        while let Some((_, oldest)) = self.order.first_key_value()
            && (self.by_hash.len() > MOST_BATCHES
                || self.bytes > MOST_BYTES
                || self.is_over(oldest))
        {
            let oldest = oldest.clone();
            drop(self.remove(&oldest));
        }
    }

    fn remove(&mut self, hash: &str) -> Option<Remembered> {
        let batch = self.by_hash.remove(hash)?;
        self.order.remove(&batch.place);
        self.bytes = self.bytes.saturating_sub(batch.bytes);
        Some(batch)
    }

    fn is_over(&self, hash: &str) -> bool {
        let batch = self.by_hash.get(hash);
        batch.is_none_or(|batch| batch.tried.elapsed() >= LONGEST)
    }
}

// === impl Record ===

impl Record {
    fn bytes(&self) -> usize {
        let words = match self {
            Self::Refused(verdict, _) => verdict.to_string().len(),
            Self::Stored(_) | Self::Opened(_) | Self::Failing(_) => 0,
        };
        BYTES_A_RECORD + words
    }
}

// === impl RefusedAs ===

impl RefusedAs {
    /// Whether a rate limit refuses, which is temporary.
    pub(super) fn is_rate(self) -> bool {
        self.name == "throttled"
    }

    /// Whether both may have one cause. Two proxies may refuse the same payload in different words.
    pub(super) fn is_like(self, other: Self) -> bool {
        self.is_rate() == other.is_rate()
    }
}

// === impl Failing ===

impl Failing {
    /// First refusal, now.
    pub(super) fn new(answer: RefusedAs, judged: u64) -> Self {
        Self {
            answer,
            since: Instant::now(),
            times: 1,
            judged,
            is_alone: false,
        }
    }

    /// First refusal of a single series after which AMP accepted an empty write.
    pub(super) fn alone(self) -> Self {
        Self {
            is_alone: true,
            ..self
        }
    }

    /// Adds a refusal.
    pub(super) fn again(self, answer: RefusedAs) -> Self {
        if !self.answer.is_like(answer) {
            return Self::new(answer, self.judged);
        }
        Self {
            answer,
            times: self.times.saturating_add(1),
            ..self
        }
    }

    /// Whether it was a single series already, refused while AMP accepted an empty write.
    pub(super) fn is_alone(self) -> bool {
        self.is_alone
    }

    /// Whether it was refused often and long enough that its contents may be the cause.
    pub(super) fn is_suspect(&self) -> bool {
        const TIMES: u32 = 5;
        const AT_LEAST: Duration = Duration::from_secs(60);
        self.is_alone || self.times >= TIMES && self.since.elapsed() >= AT_LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote_write::written_stats::WrittenStats;

    const ANSWER: RefusedAs = RefusedAs {
        status: 418,
        name: "unexpected",
    };

    fn failing() -> Records {
        Records::from([("part".to_owned(), Record::Failing(Failing::new(ANSWER, 0)))])
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_returned_once_and_expire_after_an_hour() {
        let progress = Progress::default();
        progress.keep("batch".to_owned(), failing());
        assert!(progress.take("another").is_empty());
        assert_eq!(progress.take("batch").len(), 1);
        assert!(progress.take("batch").is_empty());

        progress.keep("batch".to_owned(), failing());
        tokio::time::advance(LONGEST).await;
        assert!(progress.take("batch").is_empty());
        progress.keep("batch".to_owned(), failing());
        tokio::time::advance(LONGEST).await;
        progress.keep("younger".to_owned(), failing());
        assert_eq!(progress.lock().by_hash.len(), 1, "the old record is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_bounded_in_number_and_in_bytes() {
        let progress = Progress::default();
        for n in 0..MOST_BATCHES + 10 {
            progress.keep(n.to_string(), failing());
        }
        assert!(progress.take("9").is_empty(), "tried longest ago");
        assert!(!progress.take("10").is_empty());

        let refused = || {
            let said = "x".repeat(1000);
            let written = WrittenStats::default();
            Record::Refused(
                Verdict::TooLargeForAmp { said, written },
                Contents::default(),
            )
        };
        for n in 0..100 {
            let parts = (0..100).map(|part| (part.to_string(), refused())).collect();
            progress.keep(format!("large {n}"), parts);
            let kept = progress.lock();
            let batches = kept.by_hash.values();
            let bytes: usize = batches.map(|batch| batch.bytes).sum();
            assert_eq!(bytes, kept.bytes);
            assert!(bytes <= MOST_BYTES && kept.order.len() == kept.by_hash.len());
        }
        assert!(!progress.take("large 99").is_empty());
        assert!(progress.take("large 0").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn five_refusals_in_a_minute_are_suspect() {
        let other = RefusedAs {
            status: 419,
            ..ANSWER
        };
        let rate = RefusedAs {
            status: 429,
            name: "throttled",
        };
        let mut failing = Failing::new(ANSWER, 0);
        for _ in 0..10 {
            failing = failing.again(ANSWER).again(other);
        }
        assert!(!failing.is_suspect(), "a minute has to pass");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(failing.is_suspect());
        let failing = failing.again(rate);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!failing.is_suspect(), "one refusal only");
        let failing = (0..4).fold(failing, |failing, _| failing.again(rate));
        assert!(failing.is_suspect());
    }
}
