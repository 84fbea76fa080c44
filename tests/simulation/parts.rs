//! What AMP received of each batch: what may be lost of it, and in which order its samples arrived.
//!
//! In: each request to which AMP responds. Out: whether a sender may get 4xx for a batch ([`Parts::may_be_lost`]): AMP refused
//! some of it for good, or a series of it alone while it accepted a later empty write. And order violations: a sample that was
//! accepted before an earlier one of its series.

use std::collections::{BTreeMap, BTreeSet};

use crate::answers::AmpRequest;

/// All batches by number.
#[derive(Debug, Default)]
pub struct Parts {
    batches: BTreeMap<usize, Batch>,
    /// Number of non-empty requests.
    nonempty: usize,
    /// The batches of which a single series was refused, in order.
    alone: Vec<usize>,
}

#[derive(Debug, Default)]
struct Batch {
    may_be_lost: bool,
    /// Accepted samples, by series and place.
    taken: BTreeSet<(usize, usize)>,
}

/// A request that AMP has not responded to: how many series were refused alone before it.
#[derive(Debug, Clone, Copy)]
pub struct Arrived(usize);

// === impl Parts ===

impl Parts {
    /// Number of non-empty requests.
    pub fn nonempty(&self) -> usize {
        self.nonempty
    }

    pub fn arrives(&mut self, amp_request: &AmpRequest) -> Arrived {
        self.nonempty += usize::from(!amp_request.is_canary());
        Arrived(self.alone.len())
    }

    /// AMP stores it; returns what is wrong with that.
    pub fn taken(&mut self, amp_request: &AmpRequest, arrived: Arrived) -> Option<String> {
        let Some(number) = amp_request.batch else {
            for refused in &self.alone[..arrived.0] {
                self.batches.entry(*refused).or_default().may_be_lost = true;
            }
            return None;
        };
        let batch = self.batches.entry(number).or_default();
        let mut wrong = None;
        for (series, places) in &amp_request.series {
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

    /// AMP does not store it; `for_good` if no retry can help.
    pub fn refused(&mut self, amp_request: &AmpRequest, _: Arrived, status: u16, for_good: bool) {
        let Some(number) = amp_request.batch else {
            return;
        };
        let batch = self.batches.entry(number).or_default();
        batch.may_be_lost |= for_good;
        // A rate limit and an AMP failure are temporary.
        if amp_request.is_single() && status < 500 && status != 429 {
            self.alone.push(number);
        }
    }

    /// Whether its sender may get a 4xx.
    pub fn may_be_lost(&self, number: usize) -> bool {
        self.batches
            .get(&number)
            .is_some_and(|batch| batch.may_be_lost)
    }
}
