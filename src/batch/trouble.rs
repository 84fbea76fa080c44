//! One log line where trouble begins, one where it ends.
//!
//! In: every verdict. Out: a warning for each kind of trouble the first time that it is seen, and, with the first batch that
//! AMP stores after [`QUIET`] without trouble, a line that says how long it lasted and how many batches it met. Never a
//! line a batch, not even where bad batches and good ones come in turn.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::verdict::Verdict;

/// How long trouble must be away to count as over.
const QUIET: Duration = Duration::from_secs(5);

/// Folds repeated trouble of one workspace.
#[derive(Debug)]
pub struct Trouble {
    workspace: String,
    episode: Mutex<Option<Episode>>,
}

#[derive(Debug)]
struct Episode {
    began: Instant,
    last: Instant,
    batches: BTreeMap<&'static str, u64>,
}

// === impl Trouble ===

impl Trouble {
    /// None so far.
    #[must_use]
    pub fn of(workspace: &str) -> Self {
        Self {
            workspace: workspace.to_owned(),
            episode: Mutex::default(),
        }
    }

    /// Takes note of a verdict.
    pub fn saw(&self, verdict: &Verdict) {
        let workspace = self.workspace.as_str();
        let mut episode = self.episode.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(verdict, Verdict::Stored { .. }) {
            if let Some(Episode {
                began,
                last,
                batches,
            }) = episode.take_if(|episode| episode.last.elapsed() >= QUIET)
            {
                let seconds = last.duration_since(began).as_secs_f32();
                tracing::info!(workspace, seconds, ?batches, "batches are stored again");
            }
            return;
        }
        let now = Instant::now();
        let episode = episode.get_or_insert_with(|| Episode {
            began: now,
            last: now,
            batches: BTreeMap::new(),
        });
        episode.last = now;
        let count = episode.batches.entry(verdict.name()).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(workspace, outcome = verdict.name(), reason = %verdict, "a batch was not stored");
        }
    }
}
