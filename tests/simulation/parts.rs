//! What AMP saw of each batch: what may be lost of it, and in which order it came.
//!
//! In: each request that AMP answers. Out: whether a sender may hear 4xx of a batch ([`Parts::may_be_lost`]): AMP refused some of
//! it for good, or a series of it alone while it took an empty write asked for later. And what comes in the wrong order: a sample
//! that is taken before an earlier one of its series.

use std::collections::{BTreeMap, BTreeSet};

use crate::answers::Asked;

/// All batches, by their numbers.
#[derive(Debug, Default)]
pub struct Parts {
    batches: BTreeMap<usize, Batch>,
    /// Requests that held something.
    asked: usize,
    /// Of which batches a single series was refused, in their order.
    alone: Vec<usize>,
}

#[derive(Debug, Default)]
struct Batch {
    may_be_lost: bool,
    /// Samples that were taken, by series and place.
    taken: BTreeSet<(usize, usize)>,
}

/// A request that AMP has not answered: how many series were refused alone before it came.
#[derive(Debug, Clone, Copy)]
pub struct Arrived(usize);

// === impl Parts ===

impl Parts {
    /// Requests that held something.
    pub fn asked(&self) -> usize {
        self.asked
    }

    pub fn arrives(&mut self, asked: &Asked) -> Arrived {
        self.asked += usize::from(!asked.is_canary());
        Arrived(self.alone.len())
    }

    /// AMP stores it; what is wrong with that.
    pub fn taken(&mut self, asked: &Asked, arrived: Arrived) -> Option<String> {
        let Some(number) = asked.batch else {
            for refused in &self.alone[..arrived.0] {
                self.batches.entry(*refused).or_default().may_be_lost = true;
            }
            return None;
        };
        let batch = self.batches.entry(number).or_default();
        let mut wrong = None;
        for (series, places) in &asked.series {
            for place in places {
                let missing = (0..*place).find(|before| !batch.taken.contains(&(*series, *before)));
                if let Some(before) = missing.filter(|_| !batch.may_be_lost) {
                    wrong = Some(format!(
                        "sample {place} of series {series} of batch {number} came before sample {before}"
                    ));
                }
                batch.taken.insert((*series, *place));
            }
        }
        wrong
    }

    /// It is answered otherwise; `for_good` where nothing helps.
    pub fn refused(&mut self, asked: &Asked, _: Arrived, status: u16, for_good: bool) {
        let Some(number) = asked.batch else {
            return;
        };
        let batch = self.batches.entry(number).or_default();
        batch.may_be_lost |= for_good;
        // A rate comes to an end, and what is failing too.
        if asked.is_single() && status < 500 && status != 429 {
            self.alone.push(number);
        }
    }

    /// Whether a sender may hear 4xx of it.
    pub fn may_be_lost(&self, number: usize) -> bool {
        self.batches
            .get(&number)
            .is_some_and(|batch| batch.may_be_lost)
    }
}
