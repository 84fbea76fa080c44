//! Counts what batches contain, within a budget of processor time and while AMP works.
//!
//! ```text
//! prepare ─▶ body leaves for AMP ─▶ count ─▶ AMP's response ─▶ end: metrics, and what the body is
//!    └─ looks first where the body must not leave unseen
//! ```
//!
//! **Which batches.** With `--inspect on`, all. With `auto`, all while that takes less than `--inspect-budget` of a core ([`Budget`]); beyond
//! it each batch is chosen at random, with a probability that was known before the batch came. What is stored is then estimated without
//! bias from the chosen batches ([`FlowCount`](crate::remote_write::body_count::FlowCount)). The budget is processor time and not a rate, since a batch of 10,000 samples costs twenty
//! times as much as one of 500.
//!
//! **What is always exact.** A batch that is refused, lost, held by its sender, split, converted or traced is counted from its body, which is
//! kept until the sender has its response. Only batches that AMP stored as they are, or has from the other replica, are ever estimated: all
//! batches of that kind have the same probability, so that no kind is counted for another.
//!
//! **When.** Once the request was handed to the connection, so that AMP does not wait for it. A body is looked at before it leaves only if it
//! does not begin like the version that its Content-Type names, which costs nothing to see ([`inspect::begins_as`]): AMP would answer 2xx to a
//! body of the other version and store none of it. So is one that must be split or converted. Any other body that turns out malformed has
//! been sent by then. AMP refuses it, and the sender gets the same 400 as if it had not been sent. If AMP stores it all the same, AMP's word
//! stands, since a 400 would tell of a loss that is none: the sender gets AMP's 2xx, and the batch is reported as unreadable.
//!
//! Rejected: counting on another thread, which costs two wake-ups and the caches; a sample of one batch in N, which meets a sender whose
//! batches come in turns.

mod budget;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::admission::Admitted;
use crate::clock::Clock;
use crate::config::{BatchLimits, Inspect};
use crate::http::body::ChunkedBody;
use crate::outcome::verdict::Verdict;
use crate::remedies::running::UNREADABLE;
use crate::remote_write::body_count::BodyCount;
use crate::remote_write::contents::Contents;
use crate::remote_write::inspect::buffer_pool::InspectorPool;
use crate::remote_write::inspect::{self, Inspected, Malformed, Version};
use crate::remote_write::payload::PayloadContents;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};
use crate::telemetry::timings::{PhaseTimings, time};
use crate::telemetry::traces::Span;
use budget::Budget;

/// Memory that an inspector may use without reserving budget.
const UNASKED: usize = 1 << 20;

/// Counts the batches of one workspace.
#[derive(Debug)]
pub(super) struct Counting {
    mode: Inspect,
    budget: Budget,
    inspectors: Arc<InspectorPool>,
    clock: Clock,
    metrics: Arc<WorkspaceMetrics>,
    unreadable: IncidentTracker,
}

/// A batch that was read, until its response. If it is dropped before, its sender has left and keeps the batch.
#[derive(Debug)]
pub(super) struct ReadBatch<'a> {
    counting: &'a Counting,
    bytes: usize,
    contents: PayloadContents,
    has_ended: bool,
}

// === impl Counting ===

impl Counting {
    pub(super) fn new(
        limits: &BatchLimits,
        clock: Clock,
        metrics: Arc<WorkspaceMetrics>,
        unreadable: IncidentTracker,
    ) -> Self {
        Self {
            mode: limits.inspect,
            budget: Budget::new(limits.inspect_budget),
            inspectors: Arc::default(),
            clock,
            metrics,
            unreadable,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.mode != Inspect::Off
    }

    /// One of so many batches is counted; `None` if none is.
    pub(super) fn one_in(&self) -> Option<f64> {
        match self.mode {
            Inspect::On => Some(1.0),
            Inspect::Auto => Some(1.0 / self.budget.probability()),
            Inspect::Off => None,
        }
    }

    /// Counts all batches for so long, whatever that costs.
    pub(super) fn count_all_for(&self, long: Duration) {
        self.budget.suspend(long);
    }

    /// Decides whether the batch is counted, and reserves memory for that. Looks at it now if it must not leave unseen.
    pub(super) async fn prepare(
        &self,
        body: &ChunkedBody,
        version: Version,
        admitted: &mut Admitted,
        timings: &mut PhaseTimings,
    ) -> Result<PayloadContents, Verdict> {
        if self.mode == Inspect::Off {
            return Ok(PayloadContents::Known(Contents::default()));
        }
        let beginning = body.beginning();
        let unpacked = inspect::unpacked_len_of(&beginning, body.len());
        let unpacked = unpacked.map_err(Verdict::Malformed)?;
        let choice = match self.mode {
            Inspect::On | Inspect::Off => budget::ALL,
            Inspect::Auto => self.budget.choose(unpacked),
        };
        let asking = pin!(room_to_unpack(body.len(), unpacked, admitted));
        let room = time(&mut timings.admission, asking).await?;
        let count = BodyCount::new(
            body.clone(),
            version,
            (unpacked, room),
            choice,
            Arc::clone(&self.inspectors),
            self.clock.clone(),
        );
        if self.mode == Inspect::On || timings.span.is_recording() {
            count.require_exact();
        }
        if !inspect::begins_as(&beginning, version) {
            let mut span = timings.span.child("inspect");
            count.result();
            if let Some(verdict) = not_a_batch(&count) {
                self.spend(&count);
                span.failed(verdict.name());
                return Err(verdict);
            }
        }
        Ok(PayloadContents::Countable(Arc::new(count)))
    }

    /// Counts the batch if it was chosen, once its request had a chance to leave.
    pub(super) async fn count(&self, contents: &PayloadContents, batch: &Span) {
        let PayloadContents::Countable(count) = contents else {
            return;
        };
        if count.is_wanted() && count.known().is_none() {
            tokio::task::yield_now().await;
            let mut span = batch.child("inspect");
            if count.result().is_err() {
                span.failed("malformed");
            }
        }
    }

    /// Follows a batch of so many bytes.
    pub(super) fn follow(&self, bytes: usize, contents: &PayloadContents) -> ReadBatch<'_> {
        ReadBatch {
            counting: self,
            bytes,
            contents: contents.clone(),
            has_ended: false,
        }
    }

    fn spend(&self, count: &BodyCount) {
        if let Some(took) = count.took() {
            self.budget.spend(took, count.size());
            self.metrics.inspected(took);
        }
    }

    /// AMP stored what is no batch to us.
    fn could_not_read(&self, why: &Malformed, bytes: usize) {
        self.metrics.unreadable();
        self.unreadable.fail("unreadable", || {
            let what = format!("a body of {bytes} bytes: {why}");
            Diagnosis::new(&what, UNREADABLE)
        });
    }
}

// === impl ReadBatch ===

impl ReadBatch<'_> {
    /// The response to the sender: AMP's verdict, unless the body is not a batch and AMP did not store it.
    pub(super) fn end(mut self, verdict: Verdict) -> Verdict {
        self.has_ended = true;
        self.account(verdict.is_stored()).unwrap_or(verdict)
    }

    /// Adds the batch to what was received, or says why it is not a batch.
    fn account(&self, is_stored: bool) -> Option<Verdict> {
        if !is_stored {
            self.contents.require_exact();
        }
        let flow = self.contents.flow();
        if let PayloadContents::Countable(count) = &self.contents {
            self.counting.spend(count);
            match not_a_batch(count) {
                Some(Verdict::Malformed(why)) if is_stored => {
                    self.counting.could_not_read(&why, self.bytes);
                }
                None if count.known().is_some() => self.counting.unreadable.recover(),
                None => {}
                of_the_body => return of_the_body,
            }
        }
        self.counting.metrics.received(self.bytes, &flow);
        None
    }
}

impl Drop for ReadBatch<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            // Nobody is left to get a response.
            drop(self.account(false));
        }
    }
}

/// How many bytes may be unpacked. A batch that unpacks to more than the whole budget is forwarded uncounted.
async fn room_to_unpack(
    packed: usize,
    unpacked: usize,
    admitted: &mut Admitted,
) -> Result<usize, Verdict> {
    let whole = packed.saturating_add(unpacked);
    if unpacked > UNASKED && whole <= admitted.budget() {
        admitted.grow_to(whole).await?;
        return Ok(unpacked);
    }
    Ok(UNASKED)
}

/// What is wrong with the body, if it was counted and anything is.
fn not_a_batch(count: &BodyCount) -> Option<Verdict> {
    match count.known_result()? {
        Ok(Inspected::Counted(_) | Inspected::TooLarge { .. }) => None,
        Ok(Inspected::OtherVersion) => {
            let (named, is) = match count.version() {
                Version::V1 => ("1.0", "2.0"),
                Version::V2 => ("2.0", "1.0"),
            };
            Some(Verdict::UnsupportedMedia {
                what: format!(
                    "Content-Type says remote write {named}, the body is remote write {is}"
                ),
            })
        }
        Err(why) => Some(Verdict::Malformed(why.clone())),
    }
}
