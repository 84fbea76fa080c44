//! Every way in which a request to a write path can end.
//!
//! In: the result of a batch. Out: the one [`SenderResponse`](crate::outcome::response::SenderResponse) for it. Prometheus keeps a
//! batch and retries it only after a transport error or a 5xx. On anything else it drops the batch for good, sometimes without a
//! log line. So a sample that can still be kept is never answered with a 4xx, and AMP's responses are translated, not relayed.
//!
//! [`Verdict`] has every outcome, and the matches below have no wildcard arm: a new failure does not compile until its response
//! is decided. A verdict's [`name`](Verdict::name) is the metric's label, the log's `incident` and the row in
//! `docs/outcomes.md`.
#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;

use crate::http::browser::CrossOrigin;
use crate::http::head::AmbiguousHead;
use crate::net::error::TransportError;
use crate::remote_write::content_type::NotABatch;
use crate::remote_write::inspect::Malformed;
use crate::remote_write::written_stats::WrittenStats;

/// The served paths, for the response to any other path.
pub const SERVED: &str = "POST /api/v1/remote_write, /api/v1/write and /workspaces/<id or name>/api/v1/remote_write of a configured workspace, and its query API and Alertmanager where --allow-query and --allow-alertmanager are given";

/// The names of all outcomes.
pub const OUTCOMES: [&str; 31] = [
    "stored",
    "deduplicated",
    "no_credentials",
    "unauthenticated",
    "access_denied",
    "workspace_not_found",
    "throttled",
    "amp_failing",
    "unexpected",
    "unreachable",
    "overloaded",
    "unsigned",
    "refused",
    "series_limit",
    "refused_other",
    "too_large_for_amp",
    "poison",
    "malformed",
    "too_large",
    "unsupported_media",
    "client_unauthenticated",
    "cross_origin",
    "ambiguous_path",
    "workspace_not_configured",
    "misdirected",
    "protocol_probe",
    "no_such_path",
    "method_not_allowed",
    "ambiguous_head",
    "slow_sender",
    "sender_gone",
];

/// The reasons under which samples in refused batches are counted.
pub const LOSSES: [&str; 25] = [
    "out_of_order",
    "too_old",
    "too_new",
    "out_of_bounds",
    "duplicate",
    "too_many_labels",
    "labels_size",
    "label_name_too_long",
    "label_value_too_long",
    "missing_name",
    "invalid_name",
    "invalid_label",
    "duplicate_label",
    "exemplar",
    "metadata",
    "native_histogram",
    "ha_groups",
    "invalid",
    "series_limit",
    "refused_other",
    "too_large_for_amp",
    "poison",
    "malformed",
    "too_large",
    "unsupported_media",
];

/// The result of a batch or another request to a write path.
#[derive(Debug)]
pub enum Verdict {
    /// AMP accepted it.
    Stored {
        /// AMP's own 2xx.
        status: StatusCode,
        /// AMP's written counts (remote write 2.0), verbatim; never invented.
        written: WrittenStats,
    },
    /// AMP has it from the other replica of a high-availability pair and dropped this copy.
    Deduplicated {
        /// AMP's own 202.
        status: StatusCode,
        /// AMP's written counts (remote write 2.0), verbatim; never invented.
        written: WrittenStats,
    },
    /// Some parts of a split batch are settled; the others must be sent again.
    Unfinished {
        /// Parts that AMP has stored or refused for good.
        settled: usize,
        /// Parts in total.
        parts: usize,
        /// Why the rest is not settled.
        why: Box<Verdict>,
    },
    /// There are no usable credentials.
    NoCredentials {
        /// The cause, as the credentials task reported it.
        why: String,
        /// What to do about the cause, if there is one yet.
        remedy: Option<String>,
    },
    /// AMP rejected the credentials or the signature, even after a refresh.
    Unauthenticated {
        /// AMP's error text.
        said: String,
        /// The path that was sent, if AMP has no such path: it then says that the signature is missing.
        unserved: Option<String>,
    },
    /// IAM does not allow the role to write to the workspace.
    AccessDenied {
        /// AMP's error text.
        said: String,
        /// The missing IAM action and its resource, or the kind of policy that denies it.
        missing: String,
    },
    /// AMP does not know the workspace.
    WorkspaceNotFound {
        /// AMP's error text.
        said: String,
    },
    /// A rate limit of AMP.
    Throttled {
        /// AMP's `Retry-After`.
        pause: Option<Duration>,
        /// AMP's error text.
        said: String,
    },
    /// The workspace is at its limit of active series; holding the batch back would block its whole shard.
    SeriesLimit {
        /// AMP's error text.
        said: String,
        /// What AMP wrote of the batch nevertheless.
        written: WrittenStats,
    },
    /// AMP rejects the samples: they can never be stored.
    Refused {
        /// What is wrong with them.
        reason: RefusalReason,
        /// AMP's error text.
        said: String,
        /// What AMP wrote of the batch nevertheless.
        written: WrittenStats,
    },
    /// AMP says with another 4xx that the request can never succeed.
    RefusedOther {
        status: StatusCode,
        /// AMP's error text.
        said: String,
        /// What AMP wrote of the batch nevertheless.
        written: WrittenStats,
    },
    /// A series that is refused every time while AMP accepts other writes.
    Poison {
        /// What it is, with its name, such as `series up`.
        what: String,
        /// The error text of the last response.
        said: String,
        /// What AMP wrote of the other series.
        written: WrittenStats,
    },
    /// Too large for AMP, and it cannot be split.
    TooLargeForAmp {
        /// AMP's error text.
        said: String,
        /// What AMP wrote of the other parts.
        written: WrittenStats,
    },
    /// AMP has an internal failure.
    AmpFailing {
        /// 500, 502, 503 or 504.
        status: StatusCode,
        /// AMP's `Retry-After`.
        pause: Option<Duration>,
        /// AMP's error text.
        said: String,
    },
    /// A response from a proxy, or one that AMP never sends: HTML, a redirect, 405, 407, 499, 101, …
    Unexpected {
        /// The status of that response.
        status: StatusCode,
        /// Its text, sanitized.
        said: String,
    },
    /// AMP did not respond.
    Unreachable(TransportError),
    /// The request could not be signed: an internal error.
    Unsigned {
        /// What failed.
        why: String,
    },
    /// The byte budget or the request slots are exhausted.
    Overloaded,
    /// No decoder can accept the body.
    Malformed(Malformed),
    /// The body exceeds `--max-body-bytes`.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is not remote write.
    UnsupportedMedia {
        /// The declared type, in words.
        what: String,
    },
    /// The request has no valid bearer token. 503, because tokens do not rotate on both sides at the same moment.
    ClientUnauthenticated,
    /// A page of another site may have caused the request. A sender with headers like a browser's keeps its samples.
    CrossOrigin(CrossOrigin),
    /// The path names no workspace, and several are configured.
    AmbiguousPath {
        /// The names of the configured workspaces.
        names: Vec<String>,
    },
    /// No workspace is configured, and the one that the path names, if it does, is not served.
    WorkspaceNotConfigured(NotConfigured),
    /// Remote write to a wrong path, method or port: the sender keeps it, and the response has the right URL.
    Misdirected {
        /// The request line and the port.
        asked: String,
        /// The right URL.
        right: String,
    },
    /// vmagent probes for VictoriaMetrics' protocol; the response loses no sample.
    ProtocolProbe,
    /// The path is not served.
    NoSuchPath,
    /// The path does not accept this method.
    MethodNotAllowed,
    /// Two HTTP parsers could read the request differently; no real sender's request is like that.
    AmbiguousHead(AmbiguousHead),
    /// The body arrived too slowly.
    SlowSender,
    /// The connection broke before the body was complete.
    SenderGone,
}

/// Why a workspace that is not configured is not served either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotConfigured {
    /// `--any-workspace` is off; the id that the path names, if it does.
    Off(Option<String>),
    /// The path names none.
    Unnamed,
    /// This many are served already.
    Most(usize),
}

/// Why AMP rejects samples, in the order of the store's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// Out of order beyond the workspace's window.
    OutOfOrder,
    /// Older than AMP accepts.
    TooOld,
    /// From the future.
    TooNew,
    /// Outside the time range of the store's head block.
    OutOfBounds,
    /// A different value for a timestamp that is already stored.
    Duplicate,
    /// Too many labels in a series.
    TooManyLabels,
    /// All labels of a series together are too large.
    LabelsSize,
    LabelNameTooLong,
    LabelValueTooLong,
    /// A series without a metric name, or without labels.
    MissingName,
    /// An invalid metric name.
    InvalidName,
    /// An invalid label name.
    InvalidLabel,
    /// A label occurs twice.
    DuplicateLabel,
    /// An exemplar; the samples are stored.
    Exemplar,
    /// Metadata; the samples are stored.
    Metadata,
    NativeHistogram,
    /// More high-availability groups than the workspace may have.
    HaGroups,
    /// Anything else that is invalid.
    Invalid,
}

// === impl Verdict ===

impl Verdict {
    /// The outcome's name, as in metrics, log and docs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stored { .. } => "stored",
            Self::Deduplicated { .. } => "deduplicated",
            Self::Unfinished { why, .. } => why.name(),
            Self::NoCredentials { .. } => "no_credentials",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::AccessDenied { .. } => "access_denied",
            Self::WorkspaceNotFound { .. } => "workspace_not_found",
            Self::Throttled { .. } => "throttled",
            Self::SeriesLimit { .. } => "series_limit",
            Self::Refused { .. } => "refused",
            Self::RefusedOther { .. } => "refused_other",
            Self::TooLargeForAmp { .. } => "too_large_for_amp",
            Self::Poison { .. } => "poison",
            Self::AmpFailing { .. } => "amp_failing",
            Self::Unexpected { .. } => "unexpected",
            Self::Unreachable(_) => "unreachable",
            Self::Unsigned { .. } => "unsigned",
            Self::Overloaded => "overloaded",
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::UnsupportedMedia { .. } => "unsupported_media",
            Self::ClientUnauthenticated => "client_unauthenticated",
            Self::CrossOrigin(_) => "cross_origin",
            Self::AmbiguousPath { .. } => "ambiguous_path",
            Self::WorkspaceNotConfigured(_) => "workspace_not_configured",
            Self::Misdirected { .. } => "misdirected",
            Self::ProtocolProbe => "protocol_probe",
            Self::NoSuchPath => "no_such_path",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AmbiguousHead(_) => "ambiguous_head",
            Self::SlowSender => "slow_sender",
            Self::SenderGone => "sender_gone",
        }
    }

    /// Whether AMP has all of it.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::Stored { .. } | Self::Deduplicated { .. })
    }

    /// The reason under which the samples are counted as lost; `None` if the sender keeps the batch or AMP stored it.
    #[must_use]
    pub fn lost(&self) -> Option<&'static str> {
        match self {
            Self::Refused { reason, .. } => Some(reason.name()),
            Self::SeriesLimit { .. }
            | Self::RefusedOther { .. }
            | Self::TooLargeForAmp { .. }
            | Self::Poison { .. }
            | Self::Malformed(_)
            | Self::TooLarge { .. }
            | Self::UnsupportedMedia { .. } => Some(self.name()),
            Self::Stored { .. }
            | Self::Deduplicated { .. }
            | Self::Unfinished { .. }
            | Self::NoCredentials { .. }
            | Self::Unauthenticated { .. }
            | Self::AccessDenied { .. }
            | Self::WorkspaceNotFound { .. }
            | Self::Throttled { .. }
            | Self::AmpFailing { .. }
            | Self::Unexpected { .. }
            | Self::Unreachable(_)
            | Self::Unsigned { .. }
            | Self::Overloaded
            | Self::ClientUnauthenticated
            | Self::CrossOrigin(_)
            | Self::AmbiguousPath { .. }
            | Self::WorkspaceNotConfigured(_)
            | Self::Misdirected { .. }
            | Self::ProtocolProbe
            | Self::NoSuchPath
            | Self::MethodNotAllowed
            | Self::AmbiguousHead(_)
            | Self::SlowSender
            | Self::SenderGone => None,
        }
    }

    /// What AMP says it wrote of a settled batch.
    #[must_use]
    pub fn written(&self) -> Option<&WrittenStats> {
        match self {
            Self::Stored { written, .. }
            | Self::Deduplicated { written, .. }
            | Self::SeriesLimit { written, .. }
            | Self::Refused { written, .. }
            | Self::RefusedOther { written, .. }
            | Self::TooLargeForAmp { written, .. }
            | Self::Poison { written, .. } => Some(written),
            Self::Unfinished { .. }
            | Self::NoCredentials { .. }
            | Self::Unauthenticated { .. }
            | Self::AccessDenied { .. }
            | Self::WorkspaceNotFound { .. }
            | Self::Throttled { .. }
            | Self::AmpFailing { .. }
            | Self::Unexpected { .. }
            | Self::Unreachable(_)
            | Self::Unsigned { .. }
            | Self::Overloaded
            | Self::Malformed(_)
            | Self::TooLarge { .. }
            | Self::UnsupportedMedia { .. }
            | Self::ClientUnauthenticated
            | Self::CrossOrigin(_)
            | Self::AmbiguousPath { .. }
            | Self::WorkspaceNotConfigured(_)
            | Self::NoSuchPath
            | Self::MethodNotAllowed
            | Self::Misdirected { .. }
            | Self::ProtocolProbe
            | Self::AmbiguousHead(_)
            | Self::SlowSender
            | Self::SenderGone => None,
        }
    }

    /// Adds to the error text about AMP's limit on a request.
    #[must_use]
    pub fn explained(mut self, says: impl FnOnce(&str) -> String) -> Self {
        if let Self::TooLargeForAmp { said, .. } = &mut self {
            *said = says(said);
        }
        self
    }

    /// Replaces the written counts by the sum over all parts.
    #[must_use]
    pub fn with_written(mut self, all: WrittenStats) -> Self {
        if let Self::Stored { written, .. }
        | Self::Deduplicated { written, .. }
        | Self::SeriesLimit { written, .. }
        | Self::Refused { written, .. }
        | Self::RefusedOther { written, .. }
        | Self::TooLargeForAmp { written, .. }
        | Self::Poison { written, .. } = &mut self
        {
            *written = all;
        }
        self
    }
}

impl From<CrossOrigin> for Verdict {
    fn from(why: CrossOrigin) -> Self {
        Self::CrossOrigin(why)
    }
}

impl From<AmbiguousHead> for Verdict {
    fn from(why: AmbiguousHead) -> Self {
        Self::AmbiguousHead(why)
    }
}

/// For the sender and the log.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored { status, .. } => write!(f, "AMP answered {status}"),
            Self::Deduplicated { status, .. } => {
                write!(f, "AMP answered {status}: it has these samples from the other replica")
            }
            Self::Unfinished {
                settled,
                parts,
                why,
            } => write!(
                f,
                "{settled} of {parts} parts are settled and will not be sent again; the next one: {why}"
            ),
            Self::NoCredentials { why, .. } => f.write_str(why),
            Self::Unauthenticated {
                said,
                unserved: None,
            } => write!(f, "AMP does not take the credentials: {said}"),
            Self::Unauthenticated {
                said,
                unserved: Some(path),
            } => write!(f, "AMP has nothing at the path {path}: {said}"),
            Self::AccessDenied { said, missing } => write!(f, "{missing}; AMP said: {said}"),
            Self::WorkspaceNotFound { said } => {
                write!(f, "AMP does not know the workspace: {said}")
            }
            Self::Throttled { said, .. } => write!(f, "AMP throttles: {said}"),
            Self::SeriesLimit { said, .. }
            | Self::Refused { said, .. }
            | Self::RefusedOther { said, .. } => {
                write!(f, "AMP refused this batch: {said}")
            }
            Self::TooLargeForAmp { said, .. } => write!(f, "too large for AMP: {said}"),
            Self::Poison { what, said, .. } => write!(
                f,
                "{what} is refused every time, even alone, while AMP accepts other writes; the last response was: {said}"
            ),
            Self::AmpFailing { said, .. } => write!(f, "AMP is failing: {said}"),
            Self::Unexpected { status, said } => write!(f, "unexpected answer {status}: {said}"),
            Self::Unreachable(fault) => write!(f, "no answer from AMP: {fault}"),
            Self::Unsigned { why } => write!(f, "not signed, so not sent: {why}"),
            Self::Overloaded => f.write_str("more in flight than --max-inflight-bytes allows"),
            Self::Malformed(why) => write!(f, "not a remote-write body: {why}"),
            Self::TooLarge { limit } => write!(f, "the body is over --max-body-bytes, {limit}"),
            Self::UnsupportedMedia { what } => {
                write!(
                    f,
                    "{what}; expected Content-Encoding: snappy and Content-Type: application/x-protobuf, for remote write 2.0 with ;proto=io.prometheus.write.v2.Request"
                )
            }
            Self::ClientUnauthenticated => f.write_str(
                "not authenticated: the request needs `Authorization: Bearer` with a token of --listen-bearer-token-file",
            ),
            Self::CrossOrigin(why) => why.fmt(f),
            Self::AmbiguousHead(why) => why.fmt(f),
            Self::AmbiguousPath { names } => write!(
                f,
                "several workspaces are configured: write to /workspaces/<name>/api/v1/remote_write with one of {}",
                names.join(", ")
            ),
            Self::WorkspaceNotConfigured(why) => match why {
                NotConfigured::Off(None) => f.write_str("no workspace is configured"),
                NotConfigured::Off(Some(id)) => write!(
                    f,
                    "no workspace is configured, and the sender names {id}"
                ),
                NotConfigured::Unnamed => f.write_str(
                    "no workspace is configured, and the path names none: write to /workspaces/<id>/api/v1/remote_write",
                ),
                NotConfigured::Most(most) => write!(
                    f,
                    "{most} workspaces that senders named are served already, the most with --any-workspace"
                ),
            },
            Self::Misdirected { asked, right } => {
                write!(f, "remote write is accepted at {right}, not at {asked}")
            }
            Self::ProtocolProbe => f.write_str(
                "VictoriaMetrics' own protocol is not supported: send Prometheus remote write with Content-Encoding: snappy",
            ),
            Self::NoSuchPath | Self::MethodNotAllowed => {
                write!(f, "not served here; the served paths are {SERVED}")
            }
            Self::SlowSender => f.write_str("the body did not arrive within 30 s"),
            Self::SenderGone => f.write_str("the connection broke before the body was complete"),
        }
    }
}

impl RefusalReason {
    /// The reason under which the samples are counted.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OutOfOrder => "out_of_order",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::OutOfBounds => "out_of_bounds",
            Self::Duplicate => "duplicate",
            Self::TooManyLabels => "too_many_labels",
            Self::LabelsSize => "labels_size",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::MissingName => "missing_name",
            Self::InvalidName => "invalid_name",
            Self::InvalidLabel => "invalid_label",
            Self::DuplicateLabel => "duplicate_label",
            Self::Exemplar => "exemplar",
            Self::Metadata => "metadata",
            Self::NativeHistogram => "native_histogram",
            Self::HaGroups => "ha_groups",
            Self::Invalid => "invalid",
        }
    }
}

impl From<NotABatch> for Verdict {
    fn from(why: NotABatch) -> Self {
        match why {
            NotABatch::Method => Self::MethodNotAllowed,
            NotABatch::Format(what) => Self::UnsupportedMedia { what },
        }
    }
}

#[cfg(test)]
mod tests;
