//! The engine's answers by name: what a real Cortex says in each case, for a test that wants one of them whatever is sent.
//!
//! Measured on a Cortex built from its main branch of August 2026, one request a row, with small limits; times, addresses
//! and tenants stand for those it named. In: a name, from a fault script
//! ([`FaultKind::Engine`](crate::fault::FaultKind::Engine)) or from [`Limits::answer`](super::Limits). Out: status, content
//! type and the whole text, with what Cortex puts before the words of an ingester and not before a distributor's.
//!
//! Texts that real data brings about are made in `distributor` and `judge`; `tests/amp/engine.rs` compares them with this
//! table.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// One answer of the engine.
#[derive(Clone, Copy)]
pub struct EngineAnswer(&'static Row);

struct Row {
    name: &'static str,
    status: u16,
    speaker: Speaker,
    text: &'static str,
}

/// Which part of the engine speaks, which shows in what stands before its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    /// The HTTP layer and the distributor: nothing.
    Distributor,
    /// An ingester that refuses samples: the quorum's words, and the tenant.
    Ingester,
    /// An ingester that fails, or the way to it: the quorum's words.
    Failure,
    /// What the distributor says when there is nobody to ask: nothing, but an empty write does not notice.
    Nobody,
}

/// What a real Cortex answered, without what stands before it.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ingester("ooo-window-0", r#"err: out of order sample. timestamp=2026-11-27T10:00:00Z, series={__name__="m"}"#),
    ingester("ooo-window-60s-outside", r#"err: too old sample. timestamp=2026-11-27T10:00:00Z, tsdbHeadMaxTimestamp=2026-11-27T10:02:00Z, series={__name__="m"}"#),
    ingester("too-old-out-of-bounds", r#"err: out of bounds. timestamp=2026-11-27T08:00:00Z, tsdbHeadMaxTimestamp=2026-11-27T10:00:00Z, series={__name__="m2"}"#),
    distributor("reject-old-samples", 400, r#"timestamp too old: 1795773600000 metric: "m""#),
    ingester("duplicate-other-value", r#"err: duplicate sample for timestamp 1795773600000; overrides not allowed: existing 1, new value 2. series={__name__="m"}"#),
    distributor("future", 400, r#"timestamp too new: 1795860000000 metric: "m""#),
    distributor("label-name-too-long", 400, r#"label name too long for metric (actual: 30, limit: 20) metric: "m{nnnnnnnnnnnnnnnnnnnnnnnnnnnnnn=\"v\"}" label name: "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnn""#),
    distributor("label-value-too-long", 400, r#"label value too long for metric (actual: 30, limit: 20) metric: "m{n=\"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\"}" label name: "n" label value: "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvv""#),
    distributor("too-many-labels", 400, r#"series has too many labels (actual: 6, limit: 3) series: 'm{l0="v", l1="v", l2="v", l3="v", l4="v"}'"#),
    distributor("labels-size", 400, r#"labels size bytes exceeded for metric (actual: 83, limit: 40) metric: "m{l0=\"vvvvvvvv\", l1=\"vvvvvvvv\", l2=\"vvvvvvvv\", l3=\"vvvvvvvv\", l4=\"vvvvvvvv\"}""#),
    distributor("no-name", 400, "sample missing metric name"),
    distributor("no-labels", 400, "empty labels found"),
    distributor("invalid-metric-name", 400, r#"sample invalid metric name: "bad name\x01""#),
    distributor("invalid-label-name", 400, r#"sample invalid label: "bad-label" metric "m{bad-label=\"v\"}""#),
    distributor("label-name-not-utf8", 400, r#"sample invalid label: "a\xff" metric "m{a\xff=\"v\"}""#),
    distributor("duplicate-label", 400, r#"duplicate label name: "a" metric "m{a=\"1\", a=\"2\"}""#),
    ingester("series-per-user", "per-user series limit of 5 exceeded, please contact administrator to raise it (local limit: 5 global limit: 0 actual local limit: 5)"),
    ingester("series-per-metric", r#"per-metric series limit of 2 exceeded for metric m, please contact administrator to raise it (local limit: 2 global limit: 0 actual local limit: 2) for series {__name__="m", i="2"}"#),
    ingester("series-per-labelset", r#"per-labelset series limit of 2 exceeded (labelSet: {team="a"}, global limit: 2 actual local limit: 2) for series {__name__="m", i="2", team="a"}"#),
    ingester("global-series-per-user", "per-user series limit of 5 exceeded, please contact administrator to raise it (local limit: 5000000 global limit: 5 actual local limit: 5)"),
    ingester("nh-series-per-user", "per-user native histogram series limit of 1 exceeded, please contact administrator to raise it (local limit: 1 global limit: 0 actual local limit: 1)"),
    distributor("metadata-too-long", 400, r#"metadata 'HELP' value too long: "helphelphelphelphelphelphelp" metric "m_total""#),
    distributor("metadata-no-name", 400, "metadata missing metric name"),
    distributor("nh-too-many-buckets", 400, r#"native histogram bucket count exceeded for metric (limit: 1) metric: "h""#),
    distributor("nh-schema-invalid", 400, r#"invalid native histogram schema 12 for metric: "h". supported schema from -4 to 8"#),
    distributor("nh-count-wrong", 400, r#"invalid native histogram, validation err: 5 observations found in buckets, but the Count field is 3: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN), metric: "h""#),
    distributor("nh-size", 400, r#"native histogram sample size bytes exceeded for metric (actual: 39, limit: 10) metric: "h""#),
    ingester("nh-ooo", r#"err: out of order sample. timestamp=2026-11-27T10:00:00Z, series={__name__="h"}"#),
    distributor("nhcb-bad-bounds", 400, r#"invalid native histogram, validation err: custom buckets: previous bound is 5.000000 and current is 2.000000: histogram custom bounds must be in strictly increasing order, metric: "h""#),
    distributor("nh-rate-limit", 429, "native histogram ingestion rate limit (1) exceeded while adding 2 native histogram samples"),
    distributor("rate-limit", 429, "ingestion rate limit (1) exceeded while adding 8 samples and 0 metadata"),
    distributor("exemplar-labels-too-long", 400, r#"exemplar combined labelset exceeds 128 characters, timestamp: 1795773600000 series: {__name__="m"} labels: {trace_id="aaaaaaaaaaaaaaaa"}"#),
    distributor("exemplar-no-labels", 400, r#"exemplar missing labels, timestamp: 1795773600000 series: {__name__="m"} labels: {}"#),
    ingester("exemplar-ooo", r#"err: out of order exemplar. timestamp=2026-11-27T10:00:00Z, series={__name__="m"}, exemplar={trace_id="x"}"#),
    distributor("ha-not-elected", 202, "replicas did not match, rejecting sample: replica=b, elected=a"),
    distributor("ha-too-many-clusters", 400, "too many HA replicaGroups (limit: 1)"),
    distributor("v2-bad-ref", 400, "labelRefs 1 (name) = 1000000 (value) outside of symbols table (size 3)"),
    distributor("v2-no-samples", 400, r#"TimeSeries must contain at least one sample or histogram for series {__name__="m"}"#),
    distributor("v2-rejected", 415, "io.prometheus.write.v2.Request protobuf message is not accepted by this server; only accepts prometheus.WriteRequest"),
    distributor("content-type-json", 415, "expected application/x-protobuf as the first (media) part, got application/json content-type"),
    distributor("content-encoding-zstd", 415, "zstd encoding (compression) is not accepted by this server; only snappy is acceptable"),
    distributor("not-snappy", 400, "snappy: corrupt input"),
    distributor("not-protobuf", 400, "proto: illegal wireType 7"),
    // Of the instance.
    distributor("message-too-large", 400, "received message larger than max (449780 vs 300000)"),
    failure("ingester-message-too-large", "ResourceExhausted desc = grpc: received message after decompression larger than max 100000"),
    failure("ingester-send-too-large", "ResourceExhausted desc = trying to send message larger than max (449780 vs. 300000)"),
    distributor("distributor-inflight", 503, "too many inflight push requests in distributor"),
    distributor("ingester-client-inflight", 503, "too many inflight ingester client requests in distributor"),
    distributor("distributor-rate", 503, "distributor's samples push rate limit reached"),
    failure("ingester-inflight", "Unknown desc = cannot push: too many inflight push requests in ingester"),
    failure("ingester-rate", "Unknown desc = cannot push more samples: ingester's samples push rate limit reached"),
    failure("ingester-tenants", "Unknown desc = cannot create TSDB: ingesters's max tenants limit reached"),
    failure("ingester-series", "Unknown desc = cannot add series: ingesters's max series limit reached"),
    failure("deadline", "DeadlineExceeded desc = context deadline exceeded"),
    failure("stopping", "Unavailable desc = Stopping"),
    Row { name: "empty-ring", status: 500, speaker: Speaker::Nobody, text: "empty ring" },
    Row { name: "no-instances", status: 500, speaker: Speaker::Nobody, text: "DoBatch: InstancesCount <= 0" },
    distributor("canceled", 499, "context canceled"),
    distributor("no-tenant", 401, "no org id"),
];

const fn distributor(name: &'static str, status: u16, text: &'static str) -> Row {
    Row {
        name,
        status,
        speaker: Speaker::Distributor,
        text,
    }
}

const fn ingester(name: &'static str, text: &'static str) -> Row {
    Row {
        name,
        status: 400,
        speaker: Speaker::Ingester,
        text,
    }
}

const fn failure(name: &'static str, text: &'static str) -> Row {
    Row {
        name,
        status: 500,
        speaker: Speaker::Failure,
        text,
    }
}

/// What the distributor puts before whatever an ingester says.
const QUORUM: &str = "maxFailure (quorum) on a given error family, addr=10.0.3.17:9095 state=ACTIVE zone=, rpc error: code = ";

/// What an ingester says of samples that it refuses.
pub(super) fn from_ingester(status: StatusCode, tenant: &str, text: &str) -> String {
    let code = status.as_u16();
    format!("{QUORUM}Code({code}) desc = user={tenant}: {text}")
}

/// What is said of an ingester that failed: gRPC's code and its description.
pub(super) fn of_ingester(failure: &str) -> String {
    format!("{QUORUM}{failure}")
}

// === impl EngineAnswer ===

impl EngineAnswer {
    /// The answer of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|answer| answer.name() == name)
    }

    /// Every answer.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(Self)
    }

    /// Its name in scripts, as `ooo-window-0`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Its status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Its whole text as `tenant` receives it, without the line feed at its end.
    #[must_use]
    pub fn text(self, tenant: &str) -> String {
        match self.0.speaker {
            Speaker::Distributor | Speaker::Nobody => self.0.text.to_owned(),
            Speaker::Ingester => from_ingester(self.status(), tenant, self.0.text),
            Speaker::Failure => of_ingester(self.0.text),
        }
    }

    /// The whole answer. A tenant of AMP's is an account and a workspace.
    #[must_use]
    pub fn response(self, tenant: &str) -> Response<Bytes> {
        plain(self.status(), &self.text(tenant))
    }

    /// Whether a write meets it although nothing of it would reach an ingester.
    pub(super) fn meets_empty_writes(self) -> bool {
        self.0.speaker == Speaker::Distributor
    }
}

impl fmt::Debug for EngineAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineAnswer").field(&self.name()).finish()
    }
}

impl PartialEq for EngineAnswer {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for EngineAnswer {}

impl Serialize for EngineAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EngineAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Self::name).collect();
            D::Error::custom(format!(
                "the engine has no answer {name:?}; it has {}",
                names.join(", ")
            ))
        })
    }
}

/// An answer as Go's `http.Error` writes it.
pub(super) fn plain(status: StatusCode, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{message}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_answer_has_a_name_of_its_own_and_says_who_speaks() {
        let names: BTreeSet<_> = EngineAnswer::all().map(EngineAnswer::name).collect();
        assert_eq!(names.len(), ROWS.len());
        let text = |name| EngineAnswer::named(name).map(|answer| answer.text("U"));
        assert_eq!(
            text("ooo-window-0").as_deref(),
            Some(
                "maxFailure (quorum) on a given error family, addr=10.0.3.17:9095 state=ACTIVE zone=, rpc error: code = \
                 Code(400) desc = user=U: err: out of order sample. timestamp=2026-11-27T10:00:00Z, series={__name__=\"m\"}"
            )
        );
        assert_eq!(
            text("stopping").as_deref(),
            Some(
                "maxFailure (quorum) on a given error family, addr=10.0.3.17:9095 state=ACTIVE zone=, rpc error: code = \
                 Unavailable desc = Stopping"
            )
        );
        assert_eq!(text("no-tenant").as_deref(), Some("no org id"));
        assert_eq!(text("nothing"), None);
        let response =
            EngineAnswer::named("canceled").map(|answer| answer.response("U").into_parts());
        let (head, body) = response.expect("it is there");
        assert_eq!(
            (head.status.as_u16(), body.as_ref()),
            (499, &b"context canceled\n"[..])
        );
        assert_eq!(
            head.headers[header::CONTENT_TYPE],
            "text/plain; charset=utf-8"
        );
    }
}
