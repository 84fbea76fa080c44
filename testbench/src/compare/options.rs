//! What is compared, and for how long.

use std::path::PathBuf;
use std::time::Duration;

/// The memory budget under a crowd of senders, in MiB.
pub(super) const CROWD_BUDGET: u32 = 16;

/// What is compared, and for how long.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The amp-sidecar binary, of a release build.
    pub sidecar: PathBuf,
    /// More proxies, by name and command line.
    pub peers: Vec<(String, String)>,
    /// These proxies alone, and their processor time alone; all of everything where there are none.
    pub only: Vec<String>,
    /// Of the bodies this one alone, by its name: `real`, `real-2000`, `real-2000-v2` or a number of samples.
    pub body: Option<String>,
    /// How often everything is measured.
    pub rounds: usize,
    /// How long a closed loop lasts.
    pub window: Duration,
    /// How long an open loop lasts.
    pub paced: Duration,
    /// How long a proxy is idle before its memory is read.
    pub rest: Duration,
    /// How long it is idle after a crowd of senders left.
    pub calm: Duration,
    /// How long a rate lasts before it is measured, where ours has a budget for counting.
    pub settle: Duration,
    /// Refuse where other processes take part of the processors.
    pub quiet_only: bool,
}

// === impl Options ===

impl Options {
    /// Enough rounds to distinguish the ratios: a quarter of an hour.
    #[must_use]
    pub fn full(sidecar: PathBuf) -> Self {
        Self {
            sidecar,
            peers: Vec::new(),
            only: Vec::new(),
            body: None,
            rounds: 7,
            window: Duration::from_secs(1),
            paced: Duration::from_secs(5),
            rest: Duration::from_secs(5),
            calm: Duration::from_secs(60),
            settle: Duration::from_secs(20),
            quiet_only: false,
        }
    }

    /// A quick look.
    #[must_use]
    pub fn quick(sidecar: PathBuf) -> Self {
        Self {
            rounds: 2,
            window: Duration::from_millis(500),
            paced: Duration::from_millis(1500),
            rest: Duration::from_secs(1),
            calm: Duration::from_secs(10),
            settle: Duration::from_secs(1),
            ..Self::full(sidecar)
        }
    }
}
