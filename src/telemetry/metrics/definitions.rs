//! Every metric of ours: its name, what it is, and what to do with it.
//!
//! In: nothing. Out: [`Definitions`], registered, whose clones share the numbers. This file is the one place where a metric is
//! defined; what the process takes stands in `process`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{
    ApiLabels, CallLabels, CodeLabels, DenialLabels, ExchangeLabels, HeadLabels, ListenerLabels,
    OutcomeLabels, PhaseLabels, QueryLabels, ReasonLabels, ReloadLabels, SpanLabels,
    WorkspaceLabels,
};
use crate::telemetry::metrics::registry::{Histograms, MetricRegistry, buckets};

/// From a batch on loopback to the deadline and beyond.
const DURATIONS: [f64; 15] = [
    0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0,
];
/// No wait is shorter than this, and none of them is worth telling apart.
const NO_TIME: f64 = 1e-6;
/// Up to AMP's limit on a request.
const SIZES: [f64; 9] = [1e3, 4e3, 16e3, 64e3, 128e3, 256e3, 512e3, 768e3, 1e6];

/// A gauge of what is no whole number.
pub(crate) type FloatGauge = Gauge<f64, AtomicU64>;
/// A metric of each workspace.
pub(crate) type PerWorkspace<M> = Family<WorkspaceLabels, M>;

/// What batches consist of, each counted.
#[derive(Debug, Clone)]
pub(crate) struct ContentCounters<M> {
    pub(crate) series: M,
    pub(crate) samples: M,
    pub(crate) histograms: M,
    pub(crate) exemplars: M,
    pub(crate) metadata: M,
}

/// What is counted of reading.
#[derive(Debug, Clone)]
pub(crate) struct QueryDefinitions {
    pub(crate) answered: Family<QueryLabels, Counter>,
    pub(crate) bytes: Family<ApiLabels, Counter>,
    pub(crate) broken_off: Family<ReasonLabels, Counter>,
}

/// Every metric over all workspaces; clones share the numbers.
#[derive(Debug, Clone)]
pub(crate) struct Definitions {
    pub(crate) batches: Family<OutcomeLabels, Counter>,
    pub(crate) received: ContentCounters<PerWorkspace<Counter>>,
    pub(crate) forwarded: ContentCounters<PerWorkspace<Counter>>,
    pub(crate) deduplicated: ContentCounters<PerWorkspace<Counter>>,
    pub(crate) lost_samples: Family<ReasonLabels, Counter>,
    pub(crate) lost_histograms: Family<ReasonLabels, Counter>,
    pub(crate) lost_exemplars: Family<ReasonLabels, Counter>,
    pub(crate) received_bytes: PerWorkspace<Counter>,
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
    pub(crate) tasks: Gauge,
    /// The sum of `duration` in microseconds: a histogram does not tell its own. No metric of its own.
    pub(crate) took_micros: PerWorkspace<Counter>,
    /// The same of `upstream_bytes`.
    pub(crate) sent_bytes: PerWorkspace<Counter>,
}

// === impl Families ===

impl Definitions {
    #[allow(
        clippy::too_many_lines,
        reason = "a table, which reads best in one piece"
    )]
    pub(crate) fn new(c: &mut MetricRegistry<'_>) -> Self {
        c.info(
            "amp_sidecar_build_info",
            ("version", env!("CARGO_PKG_VERSION")),
            "What is running",
        );
        Self {
            ready: c.gauge(
                "amp_sidecar_ready",
                "1 while credentials are held and the sidecar is not leaving",
                "0 for minutes: `/readyz` says what is missing",
            ),
            batches: c.counter(
                "amp_sidecar_batches_total",
                "Requests of senders by what became of them",
                "the share of `stored` is the sidecar's success; `docs/outcomes.md` has the meaning of each outcome and the response to the sender",
            ),
            received: ContentCounters::counted(c, "received", "read and found whole", "what senders deliver"),
            forwarded: ContentCounters::counted(
                c,
                "forwarded",
                "stored by AMP",
                "what has arrived; against `received` it is what senders have to send again",
            ),
            deduplicated: ContentCounters::counted(
                c,
                "deduplicated",
                "taken by AMP from the other replica of a highly available pair",
                "normal for the replica that is not elected; on both at once: their `cluster` labels are the same by mistake",
            ),
            lost_samples: lost(c, "samples"),
            lost_histograms: lost(c, "histograms"),
            lost_exemplars: lost(c, "exemplars"),
            received_bytes: c.counter(
                "amp_sidecar_received_bytes_total",
                "Compressed bytes of bodies that were read and found whole",
                "the traffic of senders",
            ),
            upstream_bytes: c.histogram(
                "amp_sidecar_upstream_request_bytes",
                || buckets(SIZES, 1.0),
                "Compressed bytes of each request's body that was sent to AMP, tries again included",
                "`_sum` is the traffic to AMP, `_count` its requests; AMP takes at most 1 MB a request",
            ),
            canaries: c.counter(
                "amp_sidecar_canary_writes_total",
                "Empty writes, sent to find out whether AMP takes any write while a batch is answered in the same way over and over: taken or refused",
                "`taken`: a batch is being halved to find the series at fault; `refused`: no batch is at fault",
            ),
            conversions: c.counter(
                "amp_sidecar_conversions_total",
                "Batches of remote write 2.0 that were written as 1.0, each time that they were sent",
                "AMP does not take 2.0: set `protobuf_message: prometheus.WriteRequest` at the sender to save the work",
            ),
            splits: c.counter(
                "amp_sidecar_splits_total",
                "Batches that were too large for AMP and were split",
                "many: lower `max_samples_per_send` of the sender",
            ),
            split_parts: c.counter(
                "amp_sidecar_split_parts_total",
                "Parts that split batches were sent in",
                "against `splits`: how much too large batches are",
            ),
            duration: c.histogram(
                "amp_sidecar_request_duration_seconds",
                || buckets(DURATIONS, NO_TIME),
                "From a request's head to its answer",
                "above 10 s senders open more shards and may drop samples",
            ),
            phases: c.histogram(
                "amp_sidecar_request_phase_duration_seconds",
                || buckets(DURATIONS, NO_TIME),
                "What a request took by phase, summed over its parts: receive (its body), admission (waiting for room), credentials (waiting for them), sign, upstream (AMP, connecting included)",
                "which phase makes requests slow; `admission` and `credentials` are the waits of our own",
            ),
            inflight_bytes: c.gauge(
                "amp_sidecar_inflight_bytes",
                "Bytes reserved for bodies",
                "against its limit",
            ),
            inflight_bytes_limit: c.gauge(
                "amp_sidecar_inflight_limit_bytes",
                "Bytes that may be reserved for bodies",
                "`--max-inflight-bytes`",
            ),
            inflight_requests: c.gauge(
                "amp_sidecar_inflight_requests",
                "Requests admitted and not yet answered",
                "against its limit; about the number of the senders' shards",
            ),
            inflight_requests_limit: c.gauge(
                "amp_sidecar_inflight_requests_limit",
                "Requests that may be admitted at once",
                "follows from `--max-inflight-bytes`",
            ),
            queries: QueryDefinitions::new(c),
            connections: c.counter(
                "amp_sidecar_connections_total",
                "Connections that were accepted, by who listens: senders or admin",
                "a high rate: a sender does not keep its connections",
            ),
            open_connections: c.gauge(
                "amp_sidecar_open_connections",
                "Connections that are open, by who listens",
                "over 2048 of one new ones wait",
            ),
            unread_heads: c.counter(
                "amp_sidecar_invalid_request_heads_total",
                "Requests that are no HTTP/1.1 (malformed) or whose head is too large: answered 400 or 431 before they are any, and the connection closed",
                "no sender writes such, and would drop its batch on that answer: what else speaks to this port?",
            ),
            upstream_responses: c.counter(
                "amp_sidecar_upstream_responses_total",
                "AMP's answers by status",
                "its rate against AMP's quota of 3,000 requests a second",
            ),
            upstream_errors: c.counter(
                "amp_sidecar_upstream_errors_total",
                "Attempts that no answer of AMP ended: dns, connect, proxy, tls, connect_timed_out, broken, garbage, endless, timed_out",
                "names the part of the network to look at",
            ),
            upstream_retries: c.counter(
                "amp_sidecar_upstream_retries_total",
                "Requests sent once more within one batch or query: stale_connection, clock, credentials",
                "a few are normal; `clock` or `credentials` all the time is not",
            ),
            upstream_connections: c.counter(
                "amp_sidecar_upstream_connections_total",
                "Connections made to AMP",
                "a high rate: something on the way closes them",
            ),
            upstream_open: c.gauge(
                "amp_sidecar_upstream_open_connections",
                "Connections to AMP that are open",
                "about the number of requests in flight",
            ),
            upstream_idle: c.gauge(
                "amp_sidecar_upstream_idle_connections",
                "Connections to AMP that are open and wait for a request",
                "part of those that are open",
            ),
            denials: c.counter(
                "amp_sidecar_access_denied_total",
                "Times that AMP missed a permission of the role, by what the role must be allowed",
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
                "What an exchange of the token took, whatever came of it",
                "near 5 s a call: STS or Entra is slow or far",
            ),
            calls: c.counter(
                "amp_sidecar_identity_calls_total",
                "Calls of STS and Entra ID by result: ok, or the name of what failed",
                "which link of the chain fails",
            ),
            credentials_obtained: c.gauge(
                "amp_sidecar_credentials_obtained_timestamp_seconds",
                "When the credentials in use were obtained, since the epoch; 0 before the first",
                "with the expiry it gives their life; they are renewed at half of it",
            ),
            credentials_expire: c.gauge(
                "amp_sidecar_credentials_expire_timestamp_seconds",
                "When the credentials in use expire, since the epoch; 0 before the first",
                "minus `time()` it is what is left",
            ),
            token_expires: c.gauge(
                "amp_sidecar_token_expire_timestamp_seconds",
                "When the token that was read last expires by its own claim, since the epoch; 0 where that is not known",
                "in the past: kubelet does not renew the projected token",
            ),
            clock_offset: c.gauge(
                "amp_sidecar_clock_offset_seconds",
                "How far AWS' clock is ahead of this machine's; 0 below 30 s",
                "anything but 0: put the node's clock right",
            ),
            spans: c.counter(
                "amp_sidecar_trace_spans_total",
                "Spans by what became of them: exported, failed (not taken in time), rejected (the collector would not have them), dropped (too many waited); none where traces are off",
                "anything but `exported` is missing in traces; no batch is held up by it",
            ),
            reloads: c.counter(
                "amp_sidecar_config_reloads_total",
                "Tries to put a new configuration in place by result: ok or refused",
                "each is a line of the log",
            ),
            last_reload_successful: c.alone(
                "amp_sidecar_config_last_reload_successful",
                "gauge",
                "0 while an older configuration is served than the one that was given last",
                "0: the log names what is wrong with the new one",
            ),
            tasks: c.alone(
                "amp_sidecar_tasks",
                "gauge",
                "Tasks of the runtime: one a connection, and some that are always there",
                "follows the open connections; where it grows without them, something is never done",
            ),
            took_micros: Family::default(),
            sent_bytes: Family::default(),
        }
    }

    /// What a workspace is like, as opposed to what it has done, is of no interest when it is gone.
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
        ] {
            level.remove(&of);
        }
    }
}

fn lost(c: &mut MetricRegistry<'_>, what: &str) -> Family<ReasonLabels, Counter> {
    c.counter(
        format!("amp_sidecar_{what}_in_refused_batches_total"),
        format!(
            "{what} in batches that were refused for good, at most: AMP stores the good ones of the same request"
        ),
        "data that may never arrive; the reason tells whose fault it is",
    )
}

// === impl Queries ===

impl QueryDefinitions {
    fn new(c: &mut MetricRegistry<'_>) -> Self {
        Self {
            answered: c.counter(
                "amp_sidecar_queries_total",
                "Queries by API and by the status that the reader was given",
                "the share of `200` is readers' success; `docs/query.md` tells what the others mean",
            ),
            bytes: c.counter(
                "amp_sidecar_query_response_bytes_total",
                "Bytes of AMP's answers that were given to readers",
                "the traffic of readers, as it came from AMP",
            ),
            broken_off: c.counter(
                "amp_sidecar_query_responses_truncated_total",
                "Answers whose beginning was given and whose end was not: too_large, timed_out, upstream, reader_gone",
                "`too_large` and `timed_out`: ask for less at once",
            ),
        }
    }
}

// === impl Parts ===

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

    /// Those of one workspace.
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
