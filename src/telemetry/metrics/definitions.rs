//! Every metric of ours: its name, its help, and what to do with it.
//!
//! In: nothing. Out: registered [`Definitions`], whose clones share the values. This file is the one place where a metric is defined,
//! except the process' resources, which are in `process`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{
    ApiLabels, CallLabels, CodeLabels, DenialLabels, ExchangeLabels, HeadLabels, KeysLabels,
    ListenerLabels, OutcomeLabels, PhaseLabels, QueryLabels, ReasonLabels, ReloadLabels,
    SpanLabels, WorkspaceLabels,
};
use crate::telemetry::metrics::durations::DurationCounters;
use crate::telemetry::metrics::registry::{FloatCounter, Histograms, MetricRegistry, buckets};

/// From a batch on loopback to the deadline and beyond.
const DURATIONS: [f64; 15] = [
    0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0,
];
/// Shorter times share a bucket.
const NO_TIME: f64 = 1e-6;
/// Up to AMP's limit on a request.
const SIZES: [f64; 9] = [1e3, 4e3, 16e3, 64e3, 128e3, 256e3, 512e3, 768e3, 1e6];

/// Up to the age at which AMP refuses a sample.
const AGES: [f64; 13] = [
    1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0,
];

/// The kinds of keys that a credentials file holds.
pub(crate) const KEYS: [&str; 2] = ["temporary", "lasting"];

/// A gauge of a fraction.
pub(crate) type FloatGauge = Gauge<f64, AtomicU64>;
pub(crate) type PerWorkspace<M> = Family<WorkspaceLabels, M>;

/// Counters of a batch's content.
#[derive(Debug, Clone)]
pub(crate) struct ContentCounters<M> {
    pub(crate) series: M,
    pub(crate) samples: M,
    pub(crate) histograms: M,
    pub(crate) exemplars: M,
    pub(crate) metadata: M,
}

#[derive(Debug, Clone)]
pub(crate) struct QueryDefinitions {
    pub(crate) answered: Family<QueryLabels, Counter>,
    pub(crate) bytes: Family<ApiLabels, Counter>,
    pub(crate) broken_off: Family<ReasonLabels, Counter>,
}

/// All metrics of all workspaces; clones share the values.
#[derive(Debug, Clone)]
pub(crate) struct Definitions {
    pub(crate) batches: Family<OutcomeLabels, Counter>,
    pub(crate) received: ContentCounters<PerWorkspace<Counter>>,
    pub(crate) forwarded: ContentCounters<PerWorkspace<Counter>>,
    pub(crate) deduplicated: ContentCounters<PerWorkspace<Counter>>,
    pub(crate) lost_samples: Family<ReasonLabels, Counter>,
    pub(crate) lost_histograms: Family<ReasonLabels, Counter>,
    pub(crate) lost_exemplars: Family<ReasonLabels, Counter>,
    pub(crate) newest_stored: PerWorkspace<FloatGauge>,
    pub(crate) oldest_held: PerWorkspace<FloatGauge>,
    pub(crate) last_success: PerWorkspace<FloatGauge>,
    pub(crate) sample_age: Histograms<WorkspaceLabels>,
    pub(crate) received_bytes: PerWorkspace<Counter>,
    pub(crate) estimated_samples: PerWorkspace<Counter>,
    pub(crate) uncounted: PerWorkspace<Counter>,
    pub(crate) unreadable: PerWorkspace<Counter>,
    pub(crate) inspect_seconds: PerWorkspace<FloatCounter>,
    pub(crate) canaries: Family<ReasonLabels, Counter>,
    pub(crate) conversions: PerWorkspace<Counter>,
    pub(crate) splits: PerWorkspace<Counter>,
    pub(crate) split_parts: PerWorkspace<Counter>,
    pub(crate) duration: Histograms<WorkspaceLabels>,
    pub(crate) phases: Histograms<PhaseLabels>,
    pub(crate) upstream_bytes: Histograms<WorkspaceLabels>,
    pub(crate) upstream_responses: Family<CodeLabels, Counter>,
    pub(crate) upstream_errors: Family<ReasonLabels, Counter>,
    pub(crate) upstream_retries: Family<ReasonLabels, Counter>,
    pub(crate) upstream_connections: PerWorkspace<Counter>,
    pub(crate) upstream_open: PerWorkspace<Gauge>,
    pub(crate) upstream_idle: PerWorkspace<Gauge>,
    pub(crate) denials: Family<DenialLabels, Counter>,
    pub(crate) inflight_bytes: PerWorkspace<Gauge>,
    pub(crate) inflight_bytes_limit: PerWorkspace<Gauge>,
    pub(crate) inflight_requests: PerWorkspace<Gauge>,
    pub(crate) inflight_requests_limit: PerWorkspace<Gauge>,
    pub(crate) exchanges: Family<ExchangeLabels, Counter>,
    pub(crate) exchange_duration: Histograms<WorkspaceLabels>,
    pub(crate) calls: Family<CallLabels, Counter>,
    pub(crate) credentials_obtained: PerWorkspace<FloatGauge>,
    pub(crate) credentials_expire: PerWorkspace<FloatGauge>,
    pub(crate) file_modified: Family<KeysLabels, FloatGauge>,
    pub(crate) token_expires: PerWorkspace<FloatGauge>,
    pub(crate) clock_offset: PerWorkspace<FloatGauge>,
    pub(crate) ready: PerWorkspace<Gauge>,
    pub(crate) queries: QueryDefinitions,
    pub(crate) connections: Family<ListenerLabels, Counter>,
    pub(crate) open_connections: Family<ListenerLabels, Gauge>,
    pub(crate) unread_heads: Family<HeadLabels, Counter>,
    pub(crate) spans: Family<SpanLabels, Counter>,
    pub(crate) reloads: Family<ReloadLabels, Counter>,
    pub(crate) last_reload_successful: Gauge,
    pub(crate) hang_ups: Counter,
    pub(crate) tasks: Gauge,
    /// The sum of `duration` in microseconds, since a histogram does not expose its own. Not a metric.
    pub(crate) took_micros: PerWorkspace<Counter>,
    /// The same durations, for quantiles.
    pub(crate) durations: PerWorkspace<DurationCounters>,
    /// The same of `upstream_bytes`.
    pub(crate) sent_bytes: PerWorkspace<Counter>,
}

// === impl Definitions ===

impl Definitions {
    #[allow(
        clippy::too_many_lines,
        reason = "a table, which reads best in one piece"
    )]
    pub(crate) fn new(c: &mut MetricRegistry<'_>) -> Self {
        c.build_info(
            "amp_sidecar_build_info",
            env!("CARGO_PKG_VERSION"),
            "Version of the running sidecar, and the commit that it was built of",
        );
        Self {
            ready: c.gauge(
                "amp_sidecar_ready",
                "1 while credentials are valid and the sidecar is not draining",
                "0 for minutes: `/readyz` says what is missing",
            ),
            batches: c.counter(
                "amp_sidecar_batches_total",
                "Requests of senders by outcome",
                "the share of `stored` is the sidecar's success; `docs/outcomes.md` has the meaning of each outcome and the response to the sender",
            ),
            received: ContentCounters::counted(c, "received", "read and valid", "the input from senders"),
            forwarded: ContentCounters::counted(
                c,
                "forwarded",
                "stored by AMP",
                "the output to AMP; less than `received`: senders retry, or AMP refuses",
            ),
            deduplicated: ContentCounters::counted(
                c,
                "deduplicated",
                "accepted by AMP from the other replica of a highly available pair",
                "normal for the replica that is not elected; on both at once: unrelated senders share a `cluster` label",
            ),
            lost_samples: lost(c, "samples"),
            lost_histograms: lost(c, "histograms"),
            lost_exemplars: lost(c, "exemplars"),
            newest_stored: c.gauge(
                "amp_sidecar_newest_stored_sample_timestamp_seconds",
                "Timestamp of the newest sample that AMP stored, since the epoch; of the counted batches if `amp_sidecar_uncounted_batches_total` grows; absent before the first and with `--inspect off`",
                "`time()` minus this: how far the data in AMP is behind, while senders write",
            ),
            oldest_held: c.gauge(
                "amp_sidecar_oldest_held_sample_timestamp_seconds",
                "Timestamp of the oldest sample in batches that got a retryable response and are not settled yet, since the epoch; 0 if none is held back; absent with `--inspect off`",
                "AMP refuses it one hour later: fix the cause before `time()` minus this reaches 3600",
            ),
            last_success: c.gauge(
                "amp_sidecar_last_success_timestamp_seconds",
                "When AMP last stored a batch, since the epoch; absent before the first",
                "`time()` minus this: how long nothing has been stored",
            ),
            sample_age: c.histogram(
                "amp_sidecar_stored_sample_age_seconds",
                || buckets(AGES, NO_TIME),
                "Age of the oldest sample of each stored batch at that time; of the counted ones if `amp_sidecar_uncounted_batches_total` grows",
                "normally below 10 s; near 3600 s samples are about to be lost",
            ),
            received_bytes: c.counter(
                "amp_sidecar_received_bytes_total",
                "Compressed bytes of bodies that were read and valid",
                "the traffic of senders",
            ),
            estimated_samples: c.counter(
                "amp_sidecar_estimated_samples_total",
                "Of `amp_sidecar_received_samples_total`, how many are estimated by the size of their batches; 0 while `--inspect-budget` lasts for all",
                "as a share of `received`: how much of the sample rates is estimated; what is refused or lost is always counted",
            ),
            uncounted: c.counter(
                "amp_sidecar_uncounted_batches_total",
                "Batches that were read, and not counted for `--inspect-budget`",
                "as a share of all batches: 6 of 7 means that 1 of 7 is counted; `--inspect on` counts all, at a price",
            ),
            unreadable: c.counter(
                "amp_sidecar_unreadable_batches_total",
                "Batches that AMP stored although the sidecar finds their bodies malformed; their samples are not counted",
                "always 0 with known senders; the log line `unreadable` has the reason: please report it",
            ),
            inspect_seconds: c.float_counter(
                "amp_sidecar_inspect_cpu_seconds_total",
                "Processor time spent on counting batches",
                "its rate is the share of a core; with `--inspect auto` about `--inspect-budget` at most",
            ),
            upstream_bytes: c.histogram(
                "amp_sidecar_upstream_request_bytes",
                || buckets(SIZES, 1.0),
                "Compressed body bytes of each request sent to AMP, retries included",
                "`_sum` is the traffic to AMP, `_count` its requests; AMP accepts at most 1 MB per request",
            ),
            canaries: c.counter(
                "amp_sidecar_canary_writes_total",
                "Empty writes, sent to test whether AMP accepts any write while a batch keeps getting the same response: taken or refused",
                "`taken`: a batch is being halved to find the series at fault; `refused`: no batch is at fault",
            ),
            conversions: c.counter(
                "amp_sidecar_conversions_total",
                "Conversions of remote write 2.0 batches to 1.0, one per attempt",
                "AMP does not accept 2.0: set `protobuf_message: prometheus.WriteRequest` at the sender to avoid the conversion",
            ),
            splits: c.counter(
                "amp_sidecar_splits_total",
                "Batches that were split because they were too large for AMP",
                "many: lower `max_samples_per_send` of the sender",
            ),
            split_parts: c.counter(
                "amp_sidecar_split_parts_total",
                "Parts of split batches",
                "divided by `splits`: how much too large batches are",
            ),
            duration: c.histogram(
                "amp_sidecar_request_duration_seconds",
                || buckets(DURATIONS, NO_TIME),
                "Duration from a request's head to its response",
                "above 10 s senders open more shards and may drop samples",
            ),
            phases: c.histogram(
                "amp_sidecar_request_phase_duration_seconds",
                || buckets(DURATIONS, NO_TIME),
                "Duration of a request by phase, summed over its parts: receive (reading the body), admission (waiting for memory), credentials (waiting for them), sign, upstream (AMP, connecting included)",
                "the slow phase; `admission` and `credentials` are waits inside the sidecar",
            ),
            inflight_bytes: c.gauge(
                "amp_sidecar_inflight_bytes",
                "Bytes reserved for bodies",
                "compare with its limit",
            ),
            inflight_bytes_limit: c.gauge(
                "amp_sidecar_inflight_limit_bytes",
                "Bytes that may be reserved for bodies",
                "`--max-inflight-bytes`",
            ),
            inflight_requests: c.gauge(
                "amp_sidecar_inflight_requests",
                "Requests admitted and in progress",
                "compare with its limit; about the senders' number of shards",
            ),
            inflight_requests_limit: c.gauge(
                "amp_sidecar_inflight_requests_limit",
                "Requests that may be admitted at once",
                "follows from `--max-inflight-bytes`",
            ),
            queries: QueryDefinitions::new(c),
            connections: c.counter(
                "amp_sidecar_connections_total",
                "Connections accepted, by listener: senders or admin",
                "a high rate: a sender does not reuse connections",
            ),
            open_connections: c.gauge(
                "amp_sidecar_open_connections",
                "Open connections, by listener",
                "at 2048 per listener, new ones wait",
            ),
            unread_heads: c.counter(
                "amp_sidecar_invalid_request_heads_total",
                "Requests that are not HTTP/1.1 (malformed) or whose head is too large: answered 400 or 431, and the connection closed",
                "find the client: no sender does this (it would drop the batch)",
            ),
            upstream_responses: c.counter(
                "amp_sidecar_upstream_responses_total",
                "AMP's responses by status",
                "compare its rate with AMP's quota of 3,000 requests per second",
            ),
            upstream_errors: c.counter(
                "amp_sidecar_upstream_errors_total",
                "Attempts without a complete response from AMP: dns, connect, proxy, tls, connect_timed_out, broken, garbage, endless, timed_out",
                "the reason names the part of the network to check",
            ),
            upstream_retries: c.counter(
                "amp_sidecar_upstream_retries_total",
                "Requests sent once more within one batch or query: stale_connection, clock, credentials",
                "a few are normal; a steady rate of `clock` or `credentials` is not",
            ),
            upstream_connections: c.counter(
                "amp_sidecar_upstream_connections_total",
                "Connections made to AMP",
                "a high rate: a proxy or firewall closes them",
            ),
            upstream_open: c.gauge(
                "amp_sidecar_upstream_open_connections",
                "Open connections to AMP",
                "about the number of requests in flight",
            ),
            upstream_idle: c.gauge(
                "amp_sidecar_upstream_idle_connections",
                "Idle connections to AMP",
                "included in the open ones",
            ),
            denials: c.counter(
                "amp_sidecar_access_denied_total",
                "Requests that AMP denied, by the permission that the role lacks",
                "allow the role `action` on `resource`",
            ),
            exchanges: c.counter(
                "amp_sidecar_credential_exchanges_total",
                "Refreshes of the credentials, from reading the token to the last role, by result: ok, or the name of what failed",
                "anything but `ok` for longer than half of the credentials' life ends in an outage",
            ),
            exchange_duration: c.histogram(
                "amp_sidecar_credential_exchange_duration_seconds",
                || buckets(DURATIONS, NO_TIME),
                "Duration of a token exchange, successful or not",
                "near 5 s per call: STS or Entra is slow or distant",
            ),
            calls: c.counter(
                "amp_sidecar_identity_calls_total",
                "Calls to STS and Entra ID by result: ok, or the name of what failed",
                "the failing step",
            ),
            credentials_obtained: c.gauge(
                "amp_sidecar_credentials_obtained_timestamp_seconds",
                "When the credentials in use were obtained, since the epoch; 0 before the first",
                "expiry minus this is the lifetime; they are refreshed when half of it has passed",
            ),
            credentials_expire: c.gauge(
                "amp_sidecar_credentials_expire_timestamp_seconds",
                "When the credentials in use expire, since the epoch; 0 before the first, +Inf if they have no expiry",
                "minus `time()`: the remaining lifetime",
            ),
            file_modified: c.gauge(
                "amp_sidecar_credentials_file_modified_timestamp_seconds",
                "When the credentials file in use was last written, since the epoch, by the kind of its keys: temporary (with a session token) or lasting; only with `--credentials file` and a file",
                "`time()` minus this: for how long nobody has rotated the keys; temporary ones of a role end after 12 hours at the latest",
            ),
            token_expires: c.gauge(
                "amp_sidecar_token_expire_timestamp_seconds",
                "When the last token that was read expires by its own claim, since the epoch; 0 if unknown",
                "in the past: kubelet does not refresh the projected token",
            ),
            clock_offset: c.gauge(
                "amp_sidecar_clock_offset_seconds",
                "How far AWS' clock is ahead of this machine's; 0 below 30 s",
                "not 0: correct the node's clock",
            ),
            spans: c.counter(
                "amp_sidecar_trace_spans_total",
                "Spans by result: exported, failed (not accepted in time), rejected (by the collector), dropped (queue full); none if traces are off",
                "all but `exported` are missing in traces; batches are not affected",
            ),
            reloads: c.counter(
                "amp_sidecar_config_reloads_total",
                "Configuration reloads by result: ok or refused",
                "the log has a line for each",
            ),
            last_reload_successful: c.alone(
                "amp_sidecar_config_last_reload_successful",
                "gauge",
                "0 while the last reload failed and the previous configuration is in use",
                "0: the log names the error",
            ),
            hang_ups: c.alone(
                "amp_sidecar_unawaited_responses_total",
                "counter",
                "Responses to senders that had closed their connection before",
                "growing: a sender's response timeout is shorter than AMP takes, raise it above `--upstream-timeout`",
            ),
            tasks: c.alone(
                "amp_sidecar_tasks",
                "gauge",
                "Tasks of the runtime: one per connection, and some permanent ones",
                "follows the open connections; growth without them is a leak",
            ),
            took_micros: Family::default(),
            durations: Family::default(),
            sent_bytes: Family::default(),
        }
    }

    /// Removes gauges of a workspace that is gone; its counters stay.
    pub(crate) fn forget(&self, workspace: &str) {
        let of = WorkspaceLabels {
            workspace: Arc::from(workspace),
        };
        for gauge in [
            &self.inflight_bytes,
            &self.inflight_bytes_limit,
            &self.inflight_requests,
            &self.inflight_requests_limit,
            &self.upstream_open,
            &self.upstream_idle,
            &self.ready,
        ] {
            gauge.remove(&of);
        }
        for level in [
            &self.credentials_obtained,
            &self.credentials_expire,
            &self.token_expires,
            &self.clock_offset,
            &self.newest_stored,
            &self.oldest_held,
            &self.last_success,
        ] {
            level.remove(&of);
        }
        for keys in KEYS {
            self.file_modified.remove(&KeysLabels {
                workspace: Arc::from(workspace),
                keys,
            });
        }
    }
}

fn lost(c: &mut MetricRegistry<'_>, what: &str) -> Family<ReasonLabels, Counter> {
    c.counter(
        format!("amp_sidecar_{what}_in_refused_batches_total"),
        format!(
            "{what} in batches that were refused for good; an upper bound: AMP stores the valid ones of the same request"
        ),
        "data that may be lost; the reason names the cause",
    )
}

// === impl QueryDefinitions ===

impl QueryDefinitions {
    fn new(c: &mut MetricRegistry<'_>) -> Self {
        Self {
            answered: c.counter(
                "amp_sidecar_queries_total",
                "Queries by API and by response status",
                "the share of `200` is the success of queries; `docs/query.md` explains the others",
            ),
            bytes: c.counter(
                "amp_sidecar_query_response_bytes_total",
                "Bytes of AMP's query responses sent to clients",
                "the query traffic, as AMP compressed it",
            ),
            broken_off: c.counter(
                "amp_sidecar_query_responses_truncated_total",
                "Query responses that were cut off: too_large, timed_out, upstream, reader_gone",
                "`too_large` and `timed_out`: query less at once",
            ),
        }
    }
}

// === impl ContentCounters ===

impl ContentCounters<PerWorkspace<Counter>> {
    fn counted(c: &mut MetricRegistry<'_>, verb: &str, done: &str, advice: &'static str) -> Self {
        let mut counter = |what: &str| {
            c.counter(
                format!("amp_sidecar_{verb}_{what}_total"),
                format!("{what} of batches that were {done}"),
                advice,
            )
        };
        Self {
            series: counter("series"),
            samples: counter("samples"),
            histograms: counter("histograms"),
            exemplars: counter("exemplars"),
            metadata: counter("metadata"),
        }
    }

    pub(crate) fn of(&self, workspace: &WorkspaceLabels) -> ContentCounters<Counter> {
        let of = |family: &PerWorkspace<Counter>| family.get_or_create_owned(workspace);
        ContentCounters {
            series: of(&self.series),
            samples: of(&self.samples),
            histograms: of(&self.histograms),
            exemplars: of(&self.exemplars),
            metadata: of(&self.metadata),
        }
    }
}
