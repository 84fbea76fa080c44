//! The options of a demo: who sends, how long, and when to end.

use std::path::PathBuf;
use std::time::Duration;

/// The options of a demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// The sidecar's binary; built where none is named.
    pub sidecar: Option<PathBuf>,
    /// Who sends.
    pub sender: SenderChoice,
    /// How long; until the caller says so where absent.
    pub length: Option<Duration>,
    /// How many series.
    pub series: usize,
    /// Whether stdout is kept for the summary, and progress goes to stderr.
    pub progress_on_stderr: bool,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SenderChoice {
    /// The Prometheus on the `PATH`, or the built-in sender where there is none.
    Any,
    /// The Prometheus at this path.
    Prometheus(PathBuf),
    /// The built-in sender.
    BuiltIn,
}

/// What the caller wants by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// The show to go on.
    More,
    /// The end: drain, and the summary.
    End,
    /// The summary now.
    Now,
}
