//! The options of a soak test.

use std::time::Duration;

use crate::peers::sidecar::Program;

/// The options of a soak test.
#[derive(Debug, Clone)]
pub struct Options {
    /// The sidecar.
    pub program: Program,
    /// How long, about.
    pub length: Duration,
    /// How many send.
    pub senders: usize,
    /// What decides about faults, pauses and stopping.
    pub seed: u64,
}
