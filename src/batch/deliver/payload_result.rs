//! The result of delivering a payload, be it the whole batch or a part.
//!
//! In: verdicts on payloads. Out: a [`PayloadResult`], which sums up over parts: the verdict, what AMP says it wrote, the
//! progress, and the records for the next attempt. Once all parts are settled, a refusal of one part is the response to the
//! sender: not all of the batch was stored. If a part must be sent again, the sender retries the whole batch.

use crate::batch::deliver::progress::{Failing, Record, Records};
use crate::outcome::verdict::Verdict;
use crate::remote_write::contents::Contents;
use crate::remote_write::written_stats::WrittenStats;
use crate::telemetry::timings::PhaseTimings;

/// The result of a payload and of all its parts.
#[derive(Debug)]
pub(super) struct PayloadResult {
    hash: String,
    record: Option<Record>,
    /// Records of its parts.
    inner: Records,
    /// Why it must be sent again.
    again: Option<Verdict>,
    settled: usize,
    parts: usize,
    pub(super) timings: PhaseTimings,
}

/// The result of a batch after an attempt.
#[derive(Debug)]
pub(super) enum BatchResult {
    /// The verdict, and which contents were refused for which reason.
    Settled(Verdict, Vec<(&'static str, Contents)>),
    /// The verdict, the batch's hash, and the records to keep until the sender retries.
    Retry(Verdict, String, Records),
}

/// The verdicts on the parts of a settled batch.
#[derive(Debug, Default)]
struct Sum {
    stored: Option<Verdict>,
    refused: Option<Verdict>,
    written: Option<WrittenStats>,
    lost: Vec<(&'static str, Contents)>,
}

// === impl PayloadResult ===

impl PayloadResult {
    /// AMP stored it or refused it for good.
    pub(super) fn settled(hash: String, record: Record, timings: PhaseTimings) -> Self {
        Self {
            hash,
            record: Some(record),
            inner: Records::new(),
            again: None,
            settled: 1,
            parts: 1,
            timings,
        }
    }

    /// It must be sent again.
    pub(super) fn again(
        hash: String,
        verdict: Verdict,
        record: Option<Record>,
        timings: PhaseTimings,
    ) -> Self {
        Self {
            hash,
            record,
            inner: Records::new(),
            again: Some(verdict),
            settled: 0,
            parts: 1,
            timings,
        }
    }

    /// It must be sent again after these refusals.
    pub(super) fn failing(
        hash: String,
        verdict: Verdict,
        failing: Failing,
        timings: PhaseTimings,
    ) -> Self {
        Self::again(hash, verdict, Some(Record::Failing(failing)), timings)
    }

    /// It was replaced by parts. `parts` counts those that were started; none of them has a result yet.
    pub(super) fn opened(
        hash: String,
        record: Record,
        parts: usize,
        timings: PhaseTimings,
    ) -> Self {
        Self {
            hash,
            record: Some(record),
            inner: Records::new(),
            again: None,
            settled: 0,
            parts,
            timings,
        }
    }

    pub(super) fn add(&mut self, part: Self) {
        let Self {
            hash,
            record,
            inner,
            again,
            settled,
            parts,
            timings,
        } = part;
        self.inner.extend(inner);
        if let Some(record) = record {
            self.inner.insert(hash, record);
        }
        if self.again.is_none() {
            self.again = again;
        }
        self.settled += settled;
        // The part itself was counted already.
        self.parts += parts - 1;
        self.timings.add(&timings);
    }

    /// If AMP stored all parts, replaces their records by one for the whole payload.
    pub(super) fn close(&mut self) {
        let is_stored = |record: &Record| matches!(record, Record::Stored(_) | Record::Opened(_));
        if self.again.is_some() || !self.inner.values().all(is_stored) {
            return;
        }
        let mut sum = Sum::default();
        for record in std::mem::take(&mut self.inner).into_values() {
            sum.add(record);
        }
        if let Some(stored) = sum.verdict() {
            self.record = Some(Record::Stored(stored));
        }
    }

    pub(super) fn must_retry(&self) -> bool {
        self.again.is_some()
    }

    pub(super) fn retry_cause(&self) -> Option<&Verdict> {
        self.again.as_ref()
    }

    /// Whether any part is settled.
    pub(super) fn is_partly_settled(&self) -> bool {
        self.settled > 0
    }

    /// The batch's result; `unseen` are the records of parts that were not tried this time.
    pub(super) fn end(self, unseen: Records) -> BatchResult {
        let mut records = self.inner;
        let Some(why) = self.again else {
            let mut sum = Sum::default();
            for record in records.into_values().chain(self.record) {
                sum.add(record);
            }
            return sum.end();
        };
        records.extend(unseen);
        if let Some(record) = self.record {
            records.insert(self.hash.clone(), record);
        }
        let verdict = if self.parts > 1 {
            Verdict::Unfinished {
                settled: self.settled,
                parts: self.parts,
                why: Box::new(why),
            }
        } else {
            why
        };
        BatchResult::Retry(verdict, self.hash, records)
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, record: Record) {
        match record {
            Record::Stored(verdict) => {
                self.write(verdict.written(), true);
                // `stored` takes precedence over `deduplicated`.
                if !matches!(self.stored, Some(Verdict::Stored { .. })) {
                    self.stored = Some(verdict);
                }
            }
            Record::Refused(verdict, contents) => {
                self.write(verdict.written(), false);
                self.lost
                    .extend(verdict.lost().map(|reason| (reason, contents)));
                self.refused.get_or_insert(verdict);
            }
            Record::Opened(_) | Record::Failing(_) => {}
        }
    }

    /// A refusal without written counts adds none.
    fn write(&mut self, written: Option<&WrittenStats>, is_stored: bool) {
        let Some(written) = written.filter(|written| is_stored || !written.is_empty()) else {
            return;
        };
        self.written = Some(match &self.written {
            Some(before) => before.plus(written),
            None => written.clone(),
        });
    }

    /// `None` if there was no record.
    fn verdict(self) -> Option<Verdict> {
        let verdict = self.refused.or(self.stored)?;
        Some(match self.written {
            Some(written) => verdict.with_written(written),
            None => verdict,
        })
    }

    fn end(mut self) -> BatchResult {
        let lost = std::mem::take(&mut self.lost);
        BatchResult::Settled(self.verdict().unwrap_or(Verdict::Overloaded), lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    fn written(samples: u64) -> WrittenStats {
        WrittenStats::counted(&Contents {
            samples,
            ..Contents::default()
        })
    }

    fn stored(hash: &str, samples: u64) -> PayloadResult {
        let record = Record::Stored(Verdict::Stored {
            status: StatusCode::OK,
            written: written(samples),
        });
        PayloadResult::settled(hash.to_owned(), record, PhaseTimings::default())
    }

    fn refused(hash: &str) -> PayloadResult {
        let verdict = Verdict::TooLargeForAmp {
            said: "words".to_owned(),
            written: WrittenStats::default(),
        };
        let contents = Contents {
            samples: 7,
            ..Contents::default()
        };
        let record = Record::Refused(verdict, contents);
        PayloadResult::settled(hash.to_owned(), record, PhaseTimings::default())
    }

    fn again(hash: &str) -> PayloadResult {
        PayloadResult::again(
            hash.to_owned(),
            Verdict::Overloaded,
            None,
            PhaseTimings::default(),
        )
    }

    fn opened(parts: Vec<PayloadResult>) -> PayloadResult {
        let how = crate::batch::deliver::progress::Opening::AsV1;
        let count = parts.len();
        let mut whole = PayloadResult::opened(
            "whole".to_owned(),
            Record::Opened(how),
            count,
            PhaseTimings::default(),
        );
        parts.into_iter().for_each(|part| whole.add(part));
        whole
    }

    #[test]
    fn a_refused_part_is_the_verdict_with_the_sum_of_what_was_written() {
        let whole = opened(vec![
            stored("a", 3),
            refused("b"),
            opened(vec![stored("c", 4)]),
        ]);
        let BatchResult::Settled(verdict, lost) = whole.end(Records::new()) else {
            panic!("not settled")
        };
        assert_eq!(verdict.name(), "too_large_for_amp");
        let all = verdict.written().map(WrittenStats::numbers);
        assert_eq!(all, Some(written(7).numbers()));
        assert_eq!(
            lost.iter()
                .map(|(reason, contents)| (*reason, contents.samples))
                .collect::<Vec<_>>(),
            [("too_large_for_amp", 7)]
        );

        let BatchResult::Settled(verdict, _) =
            opened(vec![stored("a", 3), stored("b", 4)]).end(Records::new())
        else {
            panic!("not settled")
        };
        assert_eq!(verdict.written().unwrap().numbers(), written(7).numbers());
    }

    #[test]
    fn a_part_to_retry_makes_the_batch_be_retried_and_reports_progress() {
        let unseen = Records::from([(
            "z".to_owned(),
            Record::Opened(crate::batch::deliver::progress::Opening::AsV1),
        )]);
        let whole = opened(vec![
            stored("a", 3),
            refused("b"),
            again("c"),
            stored("d", 1),
        ]);
        let BatchResult::Retry(verdict, hash, records) = whole.end(unseen) else {
            panic!("settled")
        };
        assert!(
            matches!(
                verdict,
                Verdict::Unfinished {
                    settled: 3,
                    parts: 4,
                    ..
                }
            ),
            "{verdict:?}"
        );
        assert_eq!(hash, "whole");
        let mut known: Vec<_> = records.into_keys().collect();
        known.sort();
        assert_eq!(known, ["a", "b", "d", "whole", "z"]);
        let BatchResult::Retry(verdict, ..) = again("c").end(Records::new()) else {
            panic!("settled")
        };
        assert!(
            matches!(verdict, Verdict::Overloaded),
            "a whole batch reports no progress of parts"
        );
    }
}
