//! The last incidents, for the status page.
//!
//! In: what an [`IncidentTracker`](super::IncidentTracker) logs. Out: at most [`MOST`] records, one per incident, newest first. Further ones
//! replace those that are over: whatever peers do, memory is bounded. Like the log, it holds no secret.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Stamp;
use crate::sanitize::sanitize_within;

/// How many incidents are kept.
const MOST: usize = 20;
/// The longest text of one, in bytes.
const LONGEST: usize = 2048;

/// One incident, from its first occurrence to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The name of its [`IncidentSubject`](super::IncidentSubject).
    pub about: &'static str,
    /// The workspace; `None` for the process.
    pub workspace: Option<Arc<str>>,
    /// The name of the verdict or error, as in the metric's label.
    pub kind: &'static str,
    /// What is wrong.
    pub reason: String,
    /// What to do, if known.
    pub remedy: Option<String>,
    /// The first occurrence.
    pub began: Stamp,
    /// The latest occurrence.
    pub last: Stamp,
    /// The number of occurrences.
    pub count: u64,
    /// When it ended.
    pub ended: Option<Stamp>,
}

/// The incidents of the process; clones share them.
#[derive(Debug, Clone, Default)]
pub struct RecentIncidents(Arc<Mutex<IncidentRing>>);

#[derive(Debug, Default)]
struct IncidentRing {
    begun: u64,
    kept: VecDeque<(u64, Incident)>,
}

// === impl Incident ===

impl Incident {
    /// How long it lasted, or has lasted; a clock that is set does not change it.
    #[must_use]
    pub fn duration(&self) -> Duration {
        match self.ended {
            Some(ended) => ended.instant.duration_since(self.began.instant),
            None => self.began.instant.elapsed(),
        }
    }
}

// === impl RecentIncidents ===

impl RecentIncidents {
    /// The last incidents, newest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Incident> {
        let records = self.records();
        let newest = records.kept.iter().rev();
        newest.map(|(_, incident)| incident.clone()).collect()
    }

    /// An incident begins; returns the key of its record.
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

    pub(super) fn continues(&self, record: u64, last: Stamp, count: u64) {
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

    pub(super) fn end(&self, record: u64, ended: Stamp) {
        self.change(record, |incident| incident.ended = Some(ended));
    }

    /// A record that was dropped is not updated.
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
