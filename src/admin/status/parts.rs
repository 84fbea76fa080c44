//! Flow, outcomes, losses, incidents and settings, as `/status.json` has them.

use serde::Serialize;

use super::moment::Moment;
use crate::batch::admission::Admission;
use crate::config::{Config, EffectiveSection, EffectiveSetting, SettingValue};
use crate::outcome::docs::{Fate, OUTCOME_DOCS, REASONS};
use crate::outcome::verdict::LOSSES;
use crate::telemetry::ByOutcome;
use crate::telemetry::history::{HistoryStep, HistoryView, STEP};
use crate::telemetry::incidents::Incident;
use crate::telemetry::refused_series::RefusedSeries;

/// Rates per second over the last 15 minutes; steps from the oldest to the current one.
#[derive(Debug, Serialize)]
pub(super) struct FlowStatus {
    counts_samples: bool,
    counted_one_in: Option<f64>,
    last_request_seconds_ago: Option<u64>,
    received_samples: u64,
    estimated_samples: u64,
    stored_samples: u64,
    lost_samples: u64,
    step_seconds: u64,
    stored_batches_per_second: Vec<f32>,
    retried_batches_per_second: Vec<f32>,
    lost_batches_per_second: Vec<f32>,
    stored_samples_per_second: Vec<f32>,
    lost_samples_per_second: Vec<f32>,
    received_bytes_per_second: Vec<f32>,
    sent_bytes_per_second: Vec<f32>,
    mean_seconds: Vec<Option<f32>>,
    p50_seconds: Vec<Option<f32>>,
    p99_seconds: Vec<Option<f32>>,
}

/// Requests and bytes in flight, and their limits.
#[derive(Debug, Serialize)]
pub(super) struct InFlightStatus {
    requests: usize,
    requests_limit: usize,
    bytes: usize,
    bytes_limit: usize,
}

/// Requests by outcome, and what the outcome means.
#[derive(Debug, Serialize)]
pub(super) struct OutcomeStatus {
    outcome: &'static str,
    batches: u64,
    fate: Fate,
    meaning: String,
    response: String,
}

/// Losses for one reason.
#[derive(Debug, Serialize)]
pub(super) struct LostStatus {
    reason: &'static str,
    samples: u64,
    histograms: u64,
    exemplars: u64,
    meaning: &'static str,
}

/// An incident, from its first occurrence to its end.
#[derive(Debug, Serialize)]
pub(super) struct IncidentStatus {
    about: &'static str,
    workspace: Option<String>,
    kind: &'static str,
    reason: String,
    remedy: Option<String>,
    began: Moment,
    last: Moment,
    count: u64,
    ended: Option<Moment>,
    duration_seconds: f32,
}

/// A name of series that AMP refused.
#[derive(Debug, Serialize)]
pub(super) struct RefusedSeriesStatus {
    name: String,
    reason: &'static str,
    meaning: &'static str,
    count: u64,
    last: Moment,
}

/// The settings of the process, or of a workspace.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    workspace: Option<String>,
    settings: Vec<SettingStatus>,
}

#[derive(Debug, Serialize)]
struct SettingStatus {
    flag: &'static str,
    value: Vec<String>,
    from: String,
}

// === impl FlowStatus ===

impl FlowStatus {
    pub(super) fn of(view: &HistoryView, counted_one_in: Option<f64>) -> Self {
        let each = |rate: fn(&HistoryStep) -> f32| view.steps.iter().map(rate).collect();
        Self {
            counts_samples: counted_one_in.is_some(),
            counted_one_in: counted_one_in.map(f64::round),
            last_request_seconds_ago: view.last.map(|(_, ago)| ago.as_secs()),
            received_samples: view.totals.received_samples,
            estimated_samples: view.totals.estimated_samples,
            stored_samples: view.totals.stored_samples,
            lost_samples: view.totals.lost_samples(),
            step_seconds: STEP.as_secs(),
            stored_batches_per_second: each(|step| step.stored),
            retried_batches_per_second: each(|step| step.kept),
            lost_batches_per_second: each(|step| step.lost),
            stored_samples_per_second: each(|step| step.stored_samples),
            lost_samples_per_second: each(|step| step.lost_samples),
            received_bytes_per_second: each(|step| step.received_bytes),
            sent_bytes_per_second: each(|step| step.sent_bytes),
            mean_seconds: view.steps.iter().map(|step| step.latency).collect(),
            p50_seconds: view.steps.iter().map(|step| step.p50).collect(),
            p99_seconds: view.steps.iter().map(|step| step.p99).collect(),
        }
    }
}

// === impl InFlightStatus ===

impl InFlightStatus {
    pub(super) fn of(admission: &Admission) -> Self {
        Self {
            requests: admission.requests_in_flight(),
            requests_limit: admission.slots(),
            bytes: admission.bytes_in_flight(),
            bytes_limit: admission.budget(),
        }
    }
}

// === impl OutcomeStatus ===

impl OutcomeStatus {
    /// The outcomes of a workspace that occurred.
    pub(super) fn all(counts: &ByOutcome) -> Vec<Self> {
        let names = OUTCOME_DOCS.iter().map(|doc| doc.outcome);
        Self::of(names.zip(*counts))
    }

    pub(super) fn of(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<Self> {
        let counts = counts.into_iter().filter(|(_, batches)| *batches > 0);
        counts
            .filter_map(|(outcome, batches)| {
                let doc = OUTCOME_DOCS.iter().find(|known| known.outcome == outcome)?;
                Some(Self {
                    outcome,
                    batches,
                    fate: doc.fate,
                    meaning: doc.happened.replace('`', ""),
                    response: doc.response.replace('`', ""),
                })
            })
            .collect()
    }
}

// === impl LostStatus ===

impl LostStatus {
    /// The reasons that occurred.
    pub(super) fn all(counts: &[[u64; 3]; LOSSES.len()]) -> Vec<Self> {
        let counts = REASONS.iter().zip(counts);
        counts
            .filter(|(_, lost)| lost.iter().any(|count| *count > 0))
            .map(
                |((reason, meaning), [samples, histograms, exemplars])| Self {
                    reason,
                    samples: *samples,
                    histograms: *histograms,
                    exemplars: *exemplars,
                    meaning,
                },
            )
            .collect()
    }
}

// === impl IncidentStatus ===

impl IncidentStatus {
    pub(super) fn of(incident: &Incident) -> Self {
        Self {
            about: incident.about,
            workspace: incident.workspace.as_deref().map(str::to_owned),
            kind: incident.kind,
            reason: incident.reason.clone(),
            remedy: incident.remedy.clone(),
            began: Moment::past(incident.began),
            last: Moment::past(incident.last),
            count: incident.count,
            ended: incident.ended.map(Moment::past),
            duration_seconds: (incident.duration().as_secs_f32() * 10.0).round() / 10.0,
        }
    }
}

// === impl RefusedSeriesStatus ===

impl RefusedSeriesStatus {
    pub(super) fn of(series: RefusedSeries) -> Self {
        let meaning = REASONS.iter().find(|(reason, _)| *reason == series.reason);
        Self {
            name: series.name,
            reason: series.reason,
            meaning: meaning.map_or("", |(_, meaning)| meaning),
            count: series.count,
            last: Moment::past(series.last),
        }
    }
}

// === impl Settings ===

impl Settings {
    pub(super) fn of(config: &Config) -> Vec<Self> {
        let of = |EffectiveSection { name, settings }: EffectiveSection<'_>| Self {
            workspace: (!name.is_empty()).then(|| name.to_owned()),
            settings: settings.into_iter().map(SettingStatus::of).collect(),
        };
        std::iter::once(config.process_section())
            .chain(config.by_path_section())
            .chain(config.workspace_sections())
            .map(of)
            .collect()
    }
}

impl SettingStatus {
    fn of(effective: EffectiveSetting) -> Self {
        let EffectiveSetting {
            setting,
            value,
            from,
        } = effective;
        let values = match value {
            SettingValue::One(text) => vec![text],
            SettingValue::Many(texts) => texts,
        };
        Self {
            flag: setting.flag,
            value: values.into_iter().map(without_external_id).collect(),
            from,
        }
    }
}

/// Not secret to AWS, and yet confidential between the role's owner and us: readers of this page need not know it.
fn without_external_id(value: String) -> String {
    match value.split_once(",external-id=") {
        Some((role, _)) => format!("{role},external-id=[withheld]"),
        None => value,
    }
}
