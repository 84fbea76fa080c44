//! What a soak is to be like.

use std::time::Duration;

use crate::peers::sidecar::Program;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The sidecar.
    pub program: Program,
    /// How long, about.
    pub length: Duration,
    /// How many send.
    pub senders: usize,
    /// What decides about faults, pauses and leaving.
    pub seed: u64,
}
