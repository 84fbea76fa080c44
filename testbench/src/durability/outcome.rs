//! The result of a row, and whether it is as promised.
//!
//! In: what was [`Played`]. Out: an [`Outcome`], one line of the table, judged: a
//! keepable row must miss nothing, the others must miss exactly what no proxy
//! could have saved; and the row's metric must show that it happened, because a
//! fault that never struck would show nothing.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Serialize;

use super::responses::ResponseObserver;
use super::row::{Ending, LossCheck, Promise, Row};
use super::shown::{STARTED, Shown};
use crate::peers::compare::Comparison;
use crate::peers::metrics::{MetricError, Metrics};

const LOST: &str = "amp_sidecar_samples_in_refused_batches_total";
/// The contract's, in seconds.
const LONGEST_PAUSE: u64 = 5;
/// A sample may be scraped, and so be lost, some seconds before the fault: it waits for its batch to be full.
const BEFORE_THE_FAULT_MS: i64 = 10_000;

/// What was seen of a row.
pub(super) struct Played<'a> {
    pub(super) responses: &'a ResponseObserver,
    pub(super) comparison: Comparison,
    /// Samples that AMP refused.
    pub(super) refused: u64,
    /// The sidecar's, before, in and after the fault.
    pub(super) metrics: [Option<Metrics>; 3],
    /// When the fault began and when it was over, in milliseconds since 1970.
    pub(super) fault: (i64, i64),
    pub(super) again_after: Option<Duration>,
    /// Whether it is our sidecar, whose metrics are known.
    pub(super) is_ours: bool,
    /// How the sidecar left; `None` where it was not to, or did not in time.
    pub(super) left: Option<ExitStatus>,
    pub(super) log: String,
    pub(super) took: Duration,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The row's name.
    pub row: &'static str,
    /// What went wrong.
    pub fault: String,
    /// Answers to the sender by status.
    pub responses: BTreeMap<String, u64>,
    /// The longest `Retry-After` among them, in seconds.
    pub longest_retry_after: Option<u64>,
    /// Samples that the sender had to send.
    pub samples: u64,
    /// Those that AMP does not have.
    pub missing: u64,
    /// Samples that AMP received more than once.
    pub duplicates: u64,
    /// From the fault's end to the next 2xx, where the sender had been refused.
    pub seconds_until_flow: Option<f64>,
    /// The metric that shows that it happened.
    pub metric: String,
    /// Why samples are lost by design.
    pub lost_because: Option<&'static str>,
    /// What is not as promised; nothing where all is.
    pub broken: Vec<String>,
    /// The end of the proxy's log, where something is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// How long the row took.
    pub seconds: f64,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(row: &Row, played: Played<'_>) -> Self {
        let mut broken = Vec::new();
        broken.extend(samples_kept(row, &played));
        if played.is_ours {
            broken.extend(not_shown(&row.shown, &played.metrics));
            broken.extend(silenced(played.responses.longest_pause()));
            broken.extend(stayed(row, played.left));
        }
        let comparison = &played.comparison;
        Self {
            row: row.name,
            fault: row.what.clone(),
            responses: played.responses.answers(),
            longest_retry_after: played.responses.longest_pause(),
            samples: comparison.total,
            missing: comparison.missing,
            duplicates: comparison.duplicates,
            seconds_until_flow: played.again_after.map(tenths),
            metric: row.shown.to_string(),
            lost_because: match row.promise {
                Promise::Kept => None,
                Promise::Lost { why, .. } => Some(why),
            },
            log: if broken.is_empty() {
                String::new()
            } else {
                played.log
            },
            broken,
            seconds: tenths(played.took),
        }
    }

    /// A row that could not be played.
    pub(super) fn unplayed(row: &Row, why: String, took: Duration) -> Self {
        Self {
            row: row.name,
            fault: row.what.clone(),
            responses: BTreeMap::new(),
            longest_retry_after: None,
            samples: 0,
            missing: 0,
            duplicates: 0,
            seconds_until_flow: None,
            metric: row.shown.to_string(),
            lost_because: None,
            broken: vec![format!("not played: {why}")],
            log: String::new(),
            seconds: tenths(took),
        }
    }

    /// Whether everything is as promised.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.broken.is_empty()
    }
}

/// What is wrong with the samples, if anything is.
fn samples_kept(row: &Row, played: &Played<'_>) -> Option<String> {
    let Comparison {
        total,
        missing,
        span,
        ..
    } = played.comparison;
    if total == 0 {
        return Some("the sender had no samples".to_owned());
    }
    let Promise::Lost { counted, .. } = row.promise else {
        return (missing > 0).then(|| {
            let examples = &played.comparison.examples;
            let first = examples.first().map(|first| format!("{} at {}", first.labels, first.timestamp));
            let (from, to) = span.unwrap_or_default();
            let (begun, over) = played.fault;
            format!(
                "{missing} samples are missing, from {} ms after the fault began to {} ms after it was over; first {}",
                from - begun,
                to - over,
                first.unwrap_or_default()
            )
        });
    };
    if missing == 0 {
        return Some("nothing was lost, so the fault did not strike".to_owned());
    }
    match counted {
        LossCheck::BySidecar if !played.is_ours => None,
        LossCheck::BySidecar => {
            let [before, _, after] = &played.metrics;
            let lost = |metrics: &Option<Metrics>| {
                let metrics = metrics
                    .as_ref()
                    .ok_or("the sidecar's metrics could not be read")?;
                metrics.count(LOST, &[]).map_err(|error| error.to_string())
            };
            match (lost(before), lost(after)) {
                (Ok(before), Ok(after)) if after.checked_sub(before) == Some(missing) => None,
                (Ok(before), Ok(after)) => Some(format!(
                    "{missing} samples are missing, {LOST} went from {before} to {after}"
                )),
                (Err(error), _) | (_, Err(error)) => Some(error),
            }
        }
        LossCheck::ByAmp => (played.refused != missing).then(|| {
            format!(
                "{missing} samples are missing, AMP refused {}",
                played.refused
            )
        }),
        LossCheck::OfMetric(name) => {
            let others = &played.comparison.metrics_concerned;
            let others: Vec<_> = others.iter().filter(|other| *other != name).collect();
            (!others.is_empty())
                .then(|| format!("{missing} samples are missing, of {others:?} too"))
        }
        LossCheck::InTheFault => {
            let (begun, over) = played.fault;
            let (first, last) = span?;
            (first < begun - BEFORE_THE_FAULT_MS || last > over)
                .then(|| "samples are missing that were not scraped within the fault".to_owned())
        }
    }
}

/// A pause that keeps newer Prometheus silent past the end of an outage.
fn silenced(longest_pause: Option<u64>) -> Option<String> {
    let pause = longest_pause.filter(|pause| *pause > LONGEST_PAUSE)?;
    Some(format!("Retry-After: {pause}, above {LONGEST_PAUSE} s"))
}

/// A sidecar that had to leave and did not, or not as a program does that is done.
fn stayed(row: &Row, left: Option<ExitStatus>) -> Option<String> {
    match (row.ending, left) {
        (Ending::Finish, _) => None,
        (_, None) => Some("the sidecar did not leave in time".to_owned()),
        (_, Some(status)) => (!status.success()).then(|| format!("the sidecar left with {status}")),
    }
}

/// What the row's metric fails to show. A metric that the sidecar does not show at all is such a failure, whatever its name
/// should have shown.
fn not_shown(shown: &Shown, metrics: &[Option<Metrics>; 3]) -> Option<String> {
    has_happened(shown, metrics).err()
}

fn has_happened(shown: &Shown, metrics: &[Option<Metrics>; 3]) -> Result<(), String> {
    let [before, during, after] = metrics;
    let readable = |metrics: Option<&'_ Metrics>, when| {
        let metrics = metrics.cloned();
        metrics.ok_or_else(|| format!("the sidecar's metrics could not be read {when}"))
    };
    let before = readable(before.as_ref(), "before the fault")?;
    let words = |error: MetricError| error.to_string();
    match *shown {
        Shown::Moved(name, ref label) => {
            let labels = label.as_slice();
            // A sidecar that has left shows nothing after the fault.
            let last = readable(
                after.as_ref().or(during.as_ref()),
                "during or after the fault",
            )?;
            // What is counted by its reason shows with the first event.
            let was = before.find_count(name, labels).map_err(words)?.unwrap_or(0);
            let is = last.count(name, labels).map_err(words)?;
            (is > was)
                .then_some(())
                .ok_or_else(|| format!("{shown} did not move from {was} ({is})"))
        }
        Shown::Ever(name, label) => {
            let after = readable(after.as_ref(), "after the fault")?;
            let is = after.count(name, &[label]).map_err(words)?;
            (is > 0)
                .then_some(())
                .ok_or_else(|| format!("{shown} never moved"))
        }
        Shown::Above(name, bound) => {
            let (all, below) = (format!("{name}_count"), format!("{name}_bucket"));
            let above = |metrics: &Metrics| {
                let below = metrics.count(&below, &[("le", bound)])?;
                Ok(metrics.count(&all, &[])?.saturating_sub(below))
            };
            let after = readable(after.as_ref(), "after the fault")?;
            let (was, is) = (
                above(&before).map_err(words)?,
                above(&after).map_err(words)?,
            );
            (is > was)
                .then_some(())
                .ok_or_else(|| format!("{shown} did not move from {was} ({is})"))
        }
        Shown::Is(name, value, slack) => {
            let during = readable(during.as_ref(), "during the fault")?;
            let is = during.value(name, &[]).map_err(words)?;
            ((is - value).abs() <= slack)
                .then_some(())
                .ok_or_else(|| format!("{name} was {is} in the fault, not {value}"))
        }
        Shown::Restarted => {
            let after = readable(after.as_ref(), "after the fault")?;
            let was = before.value(STARTED, &[]).map_err(words)?;
            let is = after.value(STARTED, &[]).map_err(words)?;
            (is > was)
                .then_some(())
                .ok_or_else(|| format!("{STARTED} was {was} and is {is}"))
        }
    }
}

fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
