//! The last faults, for whoever looks at the status page.
//!
//! In: what a [`Watch`](super::Watch) logs. Out: at most [`MOST`] records, one for each episode, newest first. Where there are
//! more, those that are over go first: whatever peers do, it grows no further. It holds no secret, as the log holds none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::sanitize::sanitize_within;

/// How many faults are kept.
const MOST: usize = 20;
/// The longest words of one, in bytes.
const LONGEST: usize = 2048;

/// One incident, from when it was first met until it was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Whose; none where it is the whole process'.
    pub workspace: Option<Arc<str>>,
    /// The name of the verdict or of the error, which is the metric's label too.
    pub kind: &'static str,
    /// What is wrong.
    pub reason: String,
    /// What to do, where that is known.
    pub remedy: Option<String>,
    /// When it was met first.
    pub began: SystemTime,
    /// When it was met last.
    pub last: SystemTime,
    /// How often it was met.
    pub count: u64,
    /// Since when it is over.
    pub ended: Option<SystemTime>,
}

/// The faults of the process; clones are the same journal.
#[derive(Debug, Clone, Default)]
pub struct RecentIncidents(Arc<Mutex<IncidentRing>>);

#[derive(Debug, Default)]
struct IncidentRing {
    begun: u64,
    kept: VecDeque<(u64, Incident)>,
}

// === impl Journal ===

impl RecentIncidents {
    /// The last faults, newest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Incident> {
        let records = self.records();
        let newest = records.kept.iter().rev();
        newest.map(|(_, incident)| incident.clone()).collect()
    }

    /// A incident begins; what this gives names its record.
    pub(super) fn begin(&self, mut incident: Incident) -> u64 {
        bound(&mut incident);
        let mut records = self.records();
        if records.kept.len() >= MOST {
            let over = |(_, incident): &(u64, Incident)| incident.ended.is_some();
            let goes = records.kept.iter().position(over).unwrap_or(0);
            records.kept.remove(goes);
        }
        records.begun += 1;
        let record = records.begun;
        records.kept.push_back((record, incident));
        record
    }

    pub(super) fn continues(&self, record: u64, last: SystemTime, count: u64) {
        self.change(record, |incident| {
            (incident.last, incident.count) = (last, count)
        });
    }

    pub(super) fn says(&self, record: u64, reason: &str, remedy: Option<String>) {
        self.change(record, |incident| {
            (incident.reason, incident.remedy) = (reason.to_owned(), remedy);
            bound(incident);
        });
    }

    pub(super) fn end(&self, record: u64, ended: SystemTime) {
        self.change(record, |incident| incident.ended = Some(ended));
    }

    /// Of a record that had to go nothing is kept.
    fn change(&self, record: u64, change: impl FnOnce(&mut Incident)) {
        let mut records = self.records();
        let found = records
            .kept
            .iter_mut()
            .find(|(number, _)| *number == record);
        if let Some((_, incident)) = found {
            change(incident);
        }
    }

    fn records(&self) -> MutexGuard<'_, IncidentRing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bound(incident: &mut Incident) {
    incident.reason = sanitize_within(&incident.reason, LONGEST);
    incident.remedy = incident
        .remedy
        .as_deref()
        .map(|remedy| sanitize_within(remedy, LONGEST));
}
