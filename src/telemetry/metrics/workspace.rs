//! Metric handles, resolved once.
//!
//! In: events of a batch, a connection, the credentials. Out: numbers. A stored batch costs additions here, and one lock per histogram,
//! contended only by a scrape; rare events may look up their labels. Counters that alerts apply `increase` to exist from the start, at
//! 0: a counter that first appears with a value has not increased.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::{
    CallLabels, CodeLabels, DenialLabels, ExchangeLabels, HeadLabels, KeysLabels, ListenerLabels,
    OutcomeLabels, PhaseLabels, ReasonLabels, WorkspaceLabels,
};
use crate::net::pool::PoolEvents;
use crate::outcome::verdict::{self, Verdict};
use crate::remote_write::body_count::FlowCount;
use crate::remote_write::contents::Contents;
use crate::telemetry::metrics::definitions::{ContentCounters, Definitions, FloatGauge, KEYS};
use crate::telemetry::metrics::durations::DurationCounters;
use crate::telemetry::metrics::estimate::FlowCounters;
use crate::telemetry::metrics::registry::FloatCounter;
use crate::telemetry::timings::PhaseTimings;
use crate::telemetry::traces::Traces;

/// The metrics of one workspace.
#[derive(Debug)]
pub struct WorkspaceMetrics {
    workspace: Arc<str>,
    families: Definitions,
    traces: Traces,
    received: FlowCounters,
    forwarded: FlowCounters,
    deduplicated: FlowCounters,
    received_bytes: Counter,
    uncounted: Counter,
    unreadable: Counter,
    inspect_seconds: FloatCounter,
    splits: Counter,
    split_parts: Counter,
    stored: Counter,
    duration: Histogram,
    phases: Phases,
    took_micros: Counter,
    sample_age: Histogram,
    durations: DurationCounters,
    upstream_bytes: Histogram,
    sent_bytes: Counter,
    upstream_ok: Counter,
    upstream_connections: Counter,
    upstream_open: Gauge,
    upstream_idle: Gauge,
    inflight_bytes: Gauge,
    inflight_bytes_limit: Gauge,
    inflight_requests: Gauge,
    inflight_requests_limit: Gauge,
    exchange_duration: Histogram,
    credentials_obtained: FloatGauge,
    credentials_expire: FloatGauge,
    token_expires: FloatGauge,
    clock_offset: FloatGauge,
    ready: Gauge,
}

#[derive(Debug)]
struct Phases {
    receive: Histogram,
    admission: Histogram,
    credentials: Histogram,
    sign: Histogram,
    upstream: Histogram,
}

/// State that is read at a scrape.
#[derive(Debug, Clone, Copy)]
pub struct WorkspaceGauges {
    /// Bytes reserved, and the limit.
    pub bytes: (usize, usize),
    /// Requests admitted, and the limit.
    pub requests: (usize, usize),
    pub idle_connections: usize,
    /// The newest stored sample, the oldest one that is held back (the epoch if there is none), and the last success; `None` if unknown.
    pub newest_stored: Option<SystemTime>,
    pub oldest_held: Option<SystemTime>,
    pub last_success: Option<SystemTime>,
    /// How far AWS' clock is ahead.
    pub clock_offset: f64,
    /// Whether a batch can be signed.
    pub ready: bool,
}

/// The metrics of requests without a workspace.
#[derive(Debug)]
pub struct UnroutedMetrics {
    batches: Family<OutcomeLabels, Counter>,
    workspace: Arc<str>,
    duration: Histogram,
    hang_ups: Counter,
}

/// The metrics of a listener's connections.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    accepted: Counter,
    open: Gauge,
    too_large: Counter,
    malformed: Counter,
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

// === impl WorkspaceMetrics ===

impl WorkspaceMetrics {
    pub(crate) fn new(workspace: Arc<str>, families: Definitions, traces: Traces) -> Self {
        let of = WorkspaceLabels {
            workspace: Arc::clone(&workspace),
        };
        let count = |family: &Family<WorkspaceLabels, Counter>| family.get_or_create_owned(&of);
        let gauge = |family: &Family<WorkspaceLabels, Gauge>| family.get_or_create_owned(&of);
        let level = |family: &Family<WorkspaceLabels, FloatGauge>| family.get_or_create_owned(&of);
        let outcome = |outcome| {
            let workspace = Arc::clone(&workspace);
            let outcome = OutcomeLabels { workspace, outcome };
            families.batches.get_or_create_owned(&outcome)
        };
        let phase = |phase| {
            let workspace = Arc::clone(&workspace);
            families
                .phases
                .get_or_create_owned(&PhaseLabels { workspace, phase })
        };
        for name in verdict::OUTCOMES {
            outcome(name);
        }
        for reason in verdict::LOSSES {
            for lost in [
                &families.lost_samples,
                &families.lost_histograms,
                &families.lost_exemplars,
            ] {
                let workspace = Arc::clone(&workspace);
                drop(lost.get_or_create(&ReasonLabels { workspace, reason }));
            }
        }
        let ok = CodeLabels {
            workspace: Arc::clone(&workspace),
            code: StatusCode::OK.as_u16(),
        };
        Self {
            received: FlowCounters::new(
                families.received.of(&of),
                Some(count(&families.estimated_samples)),
            ),
            forwarded: FlowCounters::new(families.forwarded.of(&of), None),
            deduplicated: FlowCounters::new(families.deduplicated.of(&of), None),
            received_bytes: count(&families.received_bytes),
            uncounted: count(&families.uncounted),
            unreadable: count(&families.unreadable),
            inspect_seconds: families.inspect_seconds.get_or_create_owned(&of),
            splits: count(&families.splits),
            split_parts: count(&families.split_parts),
            stored: outcome("stored"),
            duration: families.duration.get_or_create_owned(&of),
            phases: Phases {
                receive: phase("receive"),
                admission: phase("admission"),
                credentials: phase("credentials"),
                sign: phase("sign"),
                upstream: phase("upstream"),
            },
            took_micros: count(&families.took_micros),
            sample_age: families.sample_age.get_or_create_owned(&of),
            durations: families.durations.get_or_create_owned(&of),
            upstream_bytes: families.upstream_bytes.get_or_create_owned(&of),
            sent_bytes: count(&families.sent_bytes),
            upstream_ok: families.upstream_responses.get_or_create_owned(&ok),
            upstream_connections: count(&families.upstream_connections),
            upstream_open: gauge(&families.upstream_open),
            upstream_idle: gauge(&families.upstream_idle),
            inflight_bytes: gauge(&families.inflight_bytes),
            inflight_bytes_limit: gauge(&families.inflight_bytes_limit),
            inflight_requests: gauge(&families.inflight_requests),
            inflight_requests_limit: gauge(&families.inflight_requests_limit),
            exchange_duration: families.exchange_duration.get_or_create_owned(&of),
            credentials_obtained: level(&families.credentials_obtained),
            credentials_expire: level(&families.credentials_expire),
            token_expires: level(&families.token_expires),
            clock_offset: level(&families.clock_offset),
            ready: gauge(&families.ready),
            workspace,
            families,
            traces,
        }
    }

    /// Its labels.
    #[must_use]
    pub fn workspace(&self) -> &Arc<str> {
        &self.workspace
    }

    /// Makes its spans.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// A batch was read, and is valid.
    pub fn received(&self, bytes: usize, flow: &FlowCount) {
        self.received_bytes.inc_by(bytes as u64);
        self.received.add(flow);
        if matches!(flow, FlowCount::Sampled { contents: None, .. }) {
            self.uncounted.inc();
        }
    }

    /// AMP stored a batch whose body is malformed.
    pub fn unreadable(&self) {
        self.unreadable.inc();
    }

    /// Counting a batch took this much processor time.
    pub fn inspected(&self, took: Duration) {
        self.inspect_seconds.inc_by(took.as_secs_f64());
    }

    /// A sender got its response.
    pub fn answered(&self, verdict: &Verdict, took: Duration, timings: &PhaseTimings) {
        if matches!(verdict, Verdict::Stored { .. }) {
            self.stored.inc();
        } else {
            let outcome = OutcomeLabels {
                workspace: Arc::clone(&self.workspace),
                outcome: verdict.name(),
            };
            self.families.batches.get_or_create(&outcome).inc();
        }
        self.duration.observe(took.as_secs_f64());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.took_micros.inc_by(micros);
        self.durations.count(took);
        for (phase, took) in [
            (&self.phases.receive, timings.receive),
            (&self.phases.admission, timings.admission),
            (&self.phases.credentials, timings.credentials),
            (&self.phases.sign, timings.sign),
            (&self.phases.upstream, timings.upstream),
        ] {
            if let Some(took) = took {
                phase.observe(took.as_secs_f64());
            }
        }
    }

    /// AMP stored a payload (a batch or a part of one), or this much of a refused one.
    pub fn forwarded(&self, flow: &FlowCount) {
        self.forwarded.add(flow);
    }

    /// AMP stored a batch whose oldest sample was this old.
    pub fn stored_sample_age(&self, age: Duration) {
        self.sample_age.observe(age.as_secs_f64());
    }

    /// AMP has the payload from the other replica.
    pub fn deduplicated(&self, flow: &FlowCount) {
        self.deduplicated.add(flow);
    }

    /// AMP refused a payload for good, with this content.
    pub fn refused(&self, reason: &'static str, contents: &Contents) {
        let reason = self.reason(reason);
        let add = |family: &Family<ReasonLabels, Counter>, count| {
            family.get_or_create(&reason).inc_by(count);
        };
        add(&self.families.lost_samples, contents.samples);
        add(&self.families.lost_histograms, contents.histograms);
        add(&self.families.lost_exemplars, contents.exemplars);
    }

    /// A batch of remote write 2.0 was converted to 1.0.
    pub fn converted(&self) {
        let of = WorkspaceLabels {
            workspace: Arc::clone(&self.workspace),
        };
        self.families.conversions.get_or_create(&of).inc();
    }

    /// An empty write was sent, to test whether AMP accepts any.
    pub fn canary(&self, taken: bool) {
        let reason = self.reason(if taken { "taken" } else { "refused" });
        self.families.canaries.get_or_create(&reason).inc();
    }

    /// A batch was split.
    pub fn split(&self, parts: usize) {
        self.splits.inc();
        self.split_parts.inc_by(parts as u64);
    }

    /// A request is sent to AMP.
    pub fn upstream_request(&self, bytes: usize) {
        self.upstream_bytes.observe(bytes as f64);
        self.sent_bytes.inc_by(bytes as u64);
    }

    /// AMP responded.
    pub fn upstream_response(&self, status: StatusCode) {
        if status == StatusCode::OK {
            self.upstream_ok.inc();
            return;
        }
        let code = CodeLabels {
            workspace: Arc::clone(&self.workspace),
            code: status.as_u16(),
        };
        self.families.upstream_responses.get_or_create(&code).inc();
    }

    /// AMP did not respond.
    pub fn upstream_error(&self, reason: &'static str) {
        let reason = self.reason(reason);
        self.families.upstream_errors.get_or_create(&reason).inc();
    }

    /// The same bytes were sent once more.
    pub fn upstream_retry(&self, reason: &'static str) {
        let reason = self.reason(reason);
        self.families.upstream_retries.get_or_create(&reason).inc();
    }

    /// AMP denied the role `action` on `resource`.
    pub fn denied(&self, action: &'static str, resource: &str) {
        let denial = DenialLabels {
            workspace: Arc::clone(&self.workspace),
            action,
            resource: resource.to_owned(),
        };
        self.families.denials.get_or_create(&denial).inc();
    }

    /// A token was read; it expires then, by its own claim.
    pub fn token_read(&self, expires: Option<u64>) {
        self.token_expires.set(expires.unwrap_or_default() as f64);
    }

    /// Keys of a file that was written then are in use; they are temporary or lasting.
    pub fn credentials_file(&self, modified: SystemTime, are_temporary: bool) {
        let of = |keys| KeysLabels {
            workspace: Arc::clone(&self.workspace),
            keys,
        };
        let [temporary, lasting] = KEYS;
        let (keys, others) = match are_temporary {
            true => (temporary, lasting),
            false => (lasting, temporary),
        };
        let family = &self.families.file_modified;
        family.remove(&of(others));
        family
            .get_or_create(&of(keys))
            .set(since_the_epoch(modified));
    }

    /// A call to STS or Entra ended.
    pub fn identity_call(&self, call: &'static str, result: Result<(), &'static str>) {
        let call = CallLabels {
            workspace: Arc::clone(&self.workspace),
            call,
            result: result.err().unwrap_or("ok"),
        };
        self.families.calls.get_or_create(&call).inc();
    }

    /// An exchange ended, either way.
    pub fn exchanged(&self, took: Duration) {
        self.exchange_duration.observe(took.as_secs_f64());
    }

    /// An exchange gave credentials; some have no expiry.
    pub fn credentials_obtained(&self, now: SystemTime, expires: Option<SystemTime>) {
        self.exchange("ok");
        self.credentials_obtained.set(since_the_epoch(now));
        self.credentials_expire
            .set(expires.map_or(f64::INFINITY, since_the_epoch));
    }

    /// An exchange gave none.
    pub fn exchange_failed(&self, result: &'static str) {
        self.exchange(result);
    }

    /// Updates the state for a scrape.
    pub fn observe(&self, seen: WorkspaceGauges) {
        for flow in [&self.received, &self.forwarded, &self.deduplicated] {
            flow.update();
        }
        let set = |gauge: &Gauge, value| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.inflight_bytes, seen.bytes.0);
        set(&self.inflight_bytes_limit, seen.bytes.1);
        set(&self.inflight_requests, seen.requests.0);
        set(&self.inflight_requests_limit, seen.requests.1);
        set(&self.upstream_idle, seen.idle_connections);
        let of = WorkspaceLabels {
            workspace: Arc::clone(&self.workspace),
        };
        for (gauge, time) in [
            (&self.families.newest_stored, seen.newest_stored),
            (&self.families.oldest_held, seen.oldest_held),
            (&self.families.last_success, seen.last_success),
        ] {
            if let Some(time) = time {
                gauge.get_or_create(&of).set(since_the_epoch(time));
            }
        }
        self.clock_offset.set(seen.clock_offset);
        self.ready.set(i64::from(seen.ready));
    }

    fn exchange(&self, result: &'static str) {
        let exchange = ExchangeLabels {
            workspace: Arc::clone(&self.workspace),
            result,
        };
        self.families.exchanges.get_or_create(&exchange).inc();
    }

    fn reason(&self, reason: &'static str) -> ReasonLabels {
        ReasonLabels {
            workspace: Arc::clone(&self.workspace),
            reason,
        }
    }
}

fn since_the_epoch(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

impl PoolEvents for WorkspaceMetrics {
    fn connected(&self) -> Box<dyn Send + Sync> {
        self.upstream_connections.inc();
        Box::new(OpenConnection::one_of(&self.upstream_open))
    }

    fn stale(&self) {
        self.upstream_retry("stale_connection");
    }
}

// === impl UnroutedMetrics ===

impl UnroutedMetrics {
    pub(crate) fn new(families: &Definitions) -> Self {
        let workspace: Arc<str> = Arc::from("");
        Self {
            batches: families.batches.clone(),
            duration: families.duration.get_or_create_owned(&WorkspaceLabels {
                workspace: Arc::clone(&workspace),
            }),
            workspace,
            hang_ups: families.hang_ups.clone(),
        }
    }

    /// A sender had closed its connection before its response.
    pub fn hung_up(&self) {
        self.hang_ups.inc();
    }

    /// A sender got its response.
    pub fn answered(&self, verdict: &Verdict, took: Duration) {
        let outcome = OutcomeLabels {
            workspace: Arc::clone(&self.workspace),
            outcome: verdict.name(),
        };
        self.batches.get_or_create(&outcome).inc();
        self.duration.observe(took.as_secs_f64());
    }
}

// === impl ConnectionMetrics ===

impl ConnectionMetrics {
    pub(crate) fn new(families: &Definitions, listener: &'static str) -> Self {
        let unread = |reason| {
            let head = HeadLabels { listener, reason };
            families.unread_heads.get_or_create_owned(&head)
        };
        let listener = ListenerLabels { listener };
        Self {
            accepted: families.connections.get_or_create_owned(&listener),
            open: families.open_connections.get_or_create_owned(&listener),
            too_large: unread("too_large"),
            malformed: unread("malformed"),
        }
    }

    #[must_use]
    pub fn accepted(&self) -> OpenConnection {
        self.accepted.inc();
        OpenConnection::one_of(&self.open)
    }

    /// One ended with this error; hyper may have rejected a request by itself.
    pub fn broke(&self, error: &hyper::Error) {
        if error.is_parse_too_large() {
            self.too_large.inc();
        } else if error.is_parse() {
            self.malformed.inc();
        }
    }
}

// === impl OpenConnection ===

impl OpenConnection {
    fn one_of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl ContentCounters ===

impl ContentCounters<Counter> {
    pub(super) fn each(&self) -> [&Counter; 5] {
        let Self {
            series,
            samples,
            histograms,
            exemplars,
            metadata,
        } = self;
        [series, samples, histograms, exemplars, metadata]
    }

    pub(super) fn add(&self, contents: &Contents) {
        self.series.inc_by(contents.series);
        self.samples.inc_by(contents.samples);
        self.histograms.inc_by(contents.histograms);
        self.exemplars.inc_by(contents.exemplars);
        self.metadata.inc_by(contents.metadata);
    }
}
