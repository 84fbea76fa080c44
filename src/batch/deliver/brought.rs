//! What a try brought a payload to, be it the batch itself or what it was opened into.
//!
//! In: verdicts on payloads. Out: a [`Brought`], which adds up over parts: the verdict on all of them, what AMP says it wrote,
//! how far it came, and the records for the next try. A refusal of one part is the answer once all are settled: the sender is
//! told that not all of the batch was stored. A part that has to be sent again makes the batch come again.

use crate::batch::deliver::progress::{Failing, Record, Records};
use crate::outcome::verdict::Verdict;
use crate::remote_write::contents::Contents;
use crate::remote_write::written_stats::WrittenStats;
use crate::telemetry::timings::PhaseTimings;

/// What became of a payload, with all that was made of it.
#[derive(Debug)]
pub(super) struct Brought {
    hash: String,
    record: Option<Record>,
    /// Of what it was opened into.
    inner: Records,
    /// Why it has to be sent again.
    again: Option<Verdict>,
    settled: usize,
    parts: usize,
    pub(super) timings: PhaseTimings,
}

/// A batch after a try.
#[derive(Debug)]
pub(super) enum Ended {
    /// It is settled: the answer, and what of it was refused.
    Settled(Verdict, Vec<(&'static str, Contents)>),
    /// It has to be sent again: the answer, and what to remember until then.
    Again(Verdict, String, Records),
}

/// The verdicts on the parts of a settled batch.
#[derive(Debug, Default)]
struct Sum {
    stored: Option<Verdict>,
    refused: Option<Verdict>,
    written: Option<WrittenStats>,
    lost: Vec<(&'static str, Contents)>,
}

// === impl Brought ===

impl Brought {
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

    /// It has to be sent again.
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

    /// It has to be sent again, and this is how it was refused so far.
    pub(super) fn failing(
        hash: String,
        verdict: Verdict,
        failing: Failing,
        timings: PhaseTimings,
    ) -> Self {
        Self::again(hash, verdict, Some(Record::Failing(failing)), timings)
    }

    /// Others went in its place, so many that had to be started; nothing of them is known yet.
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

    /// Adds what became of one of those that went in its place.
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

    /// Where AMP has all that it was opened into, it has the payload: one record says so.
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

    /// Whether it has to be sent again.
    pub(super) fn is_again(&self) -> bool {
        self.again.is_some()
    }

    /// Why it has to be sent again.
    pub(super) fn why_again(&self) -> Option<&Verdict> {
        self.again.as_ref()
    }

    /// Whether anything of it is settled.
    pub(super) fn is_begun(&self) -> bool {
        self.settled > 0
    }

    /// What the sender is told of the batch that this was; `unseen` is known of parts that were not tried this time.
    pub(super) fn end(self, unseen: Records) -> Ended {
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
        Ended::Again(verdict, self.hash, records)
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, record: Record) {
        match record {
            Record::Stored(verdict) => {
                self.write(verdict.written(), true);
                // One that was stored says more than one that another replica had stored.
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

    /// A refusal without numbers wrote nothing that AMP tells.
    fn write(&mut self, written: Option<&WrittenStats>, is_stored: bool) {
        let Some(written) = written.filter(|written| is_stored || !written.is_empty()) else {
            return;
        };
        self.written = Some(match &self.written {
            Some(before) => before.plus(written),
            None => written.clone(),
        });
    }

    /// None of nothing at all.
    fn verdict(self) -> Option<Verdict> {
        let verdict = self.refused.or(self.stored)?;
        Some(match self.written {
            Some(written) => verdict.with_written(written),
            None => verdict,
        })
    }

    fn end(mut self) -> Ended {
        let lost = std::mem::take(&mut self.lost);
        Ended::Settled(self.verdict().unwrap_or(Verdict::Overloaded), lost)
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

    fn stored(hash: &str, samples: u64) -> Brought {
        let record = Record::Stored(Verdict::Stored {
            status: StatusCode::OK,
            written: written(samples),
        });
        Brought::settled(hash.to_owned(), record, PhaseTimings::default())
    }

    fn refused(hash: &str) -> Brought {
        let verdict = Verdict::TooLargeForAmp {
            said: "words".to_owned(),
            written: WrittenStats::default(),
        };
        let contents = Contents {
            samples: 7,
            ..Contents::default()
        };
        let record = Record::Refused(verdict, contents);
        Brought::settled(hash.to_owned(), record, PhaseTimings::default())
    }

    fn again(hash: &str) -> Brought {
        Brought::again(
            hash.to_owned(),
            Verdict::Overloaded,
            None,
            PhaseTimings::default(),
        )
    }

    fn opened(parts: Vec<Brought>) -> Brought {
        let how = crate::batch::deliver::progress::Opening::AsV1;
        let count = parts.len();
        let mut whole = Brought::opened(
            "whole".to_owned(),
            Record::Opened(how),
            count,
            PhaseTimings::default(),
        );
        parts.into_iter().for_each(|part| whole.add(part));
        whole
    }

    #[test]
    fn a_refused_part_is_the_answer_with_all_that_was_written() {
        let whole = opened(vec![
            stored("a", 3),
            refused("b"),
            opened(vec![stored("c", 4)]),
        ]);
        let Ended::Settled(verdict, lost) = whole.end(Records::new()) else {
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

        let Ended::Settled(verdict, _) =
            opened(vec![stored("a", 3), stored("b", 4)]).end(Records::new())
        else {
            panic!("not settled")
        };
        assert_eq!(verdict.written().unwrap().numbers(), written(7).numbers());
    }

    #[test]
    fn a_part_that_comes_again_brings_the_batch_back_and_says_how_far_it_is() {
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
        let Ended::Again(verdict, hash, records) = whole.end(unseen) else {
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
        let Ended::Again(verdict, ..) = again("c").end(Records::new()) else {
            panic!("settled")
        };
        assert!(
            matches!(verdict, Verdict::Overloaded),
            "alone it is what it is"
        );
    }
}
