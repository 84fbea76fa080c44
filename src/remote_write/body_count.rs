//! Counts a body once, when that is needed.
//!
//! In: the body of a batch, and whether it was chosen to be counted. Out: its contents, exactly ([`BodyCount::exact`]), or what a flow of
//! batches is counted by ([`BodyCount::flow`]): the contents of those that were chosen, and the size of all. Counting is synchronous, so
//! that the thread's processor time says what it cost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::http::body::ChunkedBody;
use crate::remote_write::contents::Contents;
use crate::remote_write::inspect::buffer_pool::InspectorPool;
use crate::remote_write::inspect::{Inspected, Malformed, Version};

/// A body that may be counted.
#[derive(Debug)]
pub struct BodyCount {
    body: ChunkedBody,
    version: Version,
    /// The unpacked size that the body declares, and how many bytes may be unpacked.
    size: usize,
    room: usize,
    inspectors: Arc<InspectorPool>,
    clock: Clock,
    choice: Choice,
    must_be_exact: AtomicBool,
    done: OnceLock<Done>,
}

/// Whether a batch is counted, decided without a look at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    pub is_chosen: bool,
    /// The probability of that.
    pub probability: f64,
}

/// What a batch adds to a counter of batches that flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FlowCount {
    /// This much.
    Exact(Contents),
    /// Counted if it was chosen, and if so for those that were not.
    Sampled {
        /// When unpacked: it says more about the contents than how well they were packed.
        size: usize,
        probability: f64,
        contents: Option<Contents>,
    },
}

#[derive(Debug)]
struct Done {
    result: Result<Inspected, Malformed>,
    took: Option<Duration>,
}

// === impl BodyCount ===

impl BodyCount {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(
        body: ChunkedBody,
        version: Version,
        (size, room): (usize, usize),
        choice: Choice,
        inspectors: Arc<InspectorPool>,
        clock: Clock,
    ) -> Self {
        Self {
            body,
            version,
            size,
            room,
            inspectors,
            clock,
            choice,
            must_be_exact: AtomicBool::new(false),
            done: OnceLock::new(),
        }
    }

    /// Its size when unpacked.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The version that its Content-Type names.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the body is, counted now unless it was before.
    pub fn result(&self) -> &Result<Inspected, Malformed> {
        &self.done.get_or_init(|| self.count()).result
    }

    /// The same, if it was counted.
    #[must_use]
    pub fn known_result(&self) -> Option<&Result<Inspected, Malformed>> {
        self.done.get().map(|done| &done.result)
    }

    /// The contents, if it was counted.
    #[must_use]
    pub fn known(&self) -> Option<Contents> {
        self.known_result().map(contents)
    }

    /// The processor time that it took; `None` if it was not counted, or the machine cannot tell.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.done.get()?.took
    }

    /// Whether it will be counted in any case, so that it can be counted at any time.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.choice.is_chosen || self.must_be_exact.load(Ordering::Relaxed)
    }

    /// From now on, the batch is not an example of others.
    pub fn require_exact(&self) {
        self.must_be_exact.store(true, Ordering::Relaxed);
    }

    /// The contents; none if the body is not a batch, or unpacks to more than fits.
    pub fn exact(&self) -> Contents {
        self.require_exact();
        contents(self.result())
    }

    /// What it adds to a flow.
    pub fn flow(&self) -> FlowCount {
        if self.must_be_exact.load(Ordering::Relaxed) {
            return FlowCount::Exact(contents(self.result()));
        }
        let contents = match self.choice.is_chosen.then(|| self.result()) {
            None => None,
            Some(Ok(Inspected::Counted(contents))) => Some(*contents),
            // Not an example of anything.
            Some(_) => return FlowCount::Exact(Contents::default()),
        };
        FlowCount::Sampled {
            size: self.size,
            probability: self.choice.probability,
            contents,
        }
    }

    fn count(&self) -> Done {
        let body = self.body.contiguous();
        let mut inspector = self.inspectors.take();
        let before = self.clock.processor_time();
        let result = inspector.inspect(&body, self.version, self.room);
        let after = self.clock.processor_time();
        self.inspectors.keep(inspector);
        Done {
            result,
            took: before
                .zip(after)
                .map(|(before, after)| after.saturating_sub(before)),
        }
    }
}

fn contents(result: &Result<Inspected, Malformed>) -> Contents {
    match result {
        Ok(Inspected::Counted(contents)) => *contents,
        Ok(Inspected::OtherVersion | Inspected::TooLarge { .. }) | Err(_) => Contents::default(),
    }
}
