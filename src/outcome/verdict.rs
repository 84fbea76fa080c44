//! All that a sender can ever be told.
//!
//! In: what became of a batch. Out: the one [`SenderResponse`](crate::outcome::response::SenderResponse) to it. Prometheus keeps a batch and sends it again only after a
//! transport error or a 5xx, and drops it for good, silently even, on anything else: so a sample that it could still keep
//! is never answered with a 4xx, and AMP's answers are translated, not relayed.
//!
//! [`Verdict`] holds every outcome, and the matches below have no wildcard arm: a new kind of fault does not compile until
//! somebody has decided what the sender hears. A verdict's [`name`](Verdict::name) is at once the metric's label, the
//! log's `fault` and the row in `docs/outcomes.md`.
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

/// Paths that are served, for the answer to a request for another.
pub const SERVED: &str = "POST /api/v1/remote_write, /api/v1/write and /workspaces/<id or name>/api/v1/remote_write of a configured workspace, and its query API where --allow-query is given";

/// The names of all outcomes.
pub const OUTCOMES: [&str; 30] = [
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
    "misdirected",
    "protocol_probe",
    "no_such_path",
    "method_not_allowed",
    "ambiguous_head",
    "slow_sender",
    "sender_gone",
];

/// The reasons under which samples of refused batches are counted.
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

/// What became of a batch.
#[derive(Debug)]
pub enum Verdict {
    /// AMP took it.
    Stored {
        /// AMP's own 2xx.
        status: StatusCode,
        /// What AMP says it wrote (remote write 2.0), verbatim; never invented.
        written: WrittenStats,
    },
    /// AMP has it from the other replica of a highly available pair, and dropped this one's.
    Deduplicated {
        /// AMP's own 202.
        status: StatusCode,
        /// What AMP says it wrote (remote write 2.0), verbatim; never invented.
        written: WrittenStats,
    },
    /// Some parts of a split batch are settled, and the others have to be sent again.
    Unfinished {
        /// Parts that AMP has stored or refused for good.
        settled: usize,
        /// Parts in all.
        parts: usize,
        /// Why the rest is not.
        why: Box<Verdict>,
    },
    /// There are no usable credentials.
    NoCredentials {
        /// Why not.
        why: String,
    },
    /// AMP did not take the credentials or the signature, not even renewed ones.
    Unauthenticated {
        /// AMP's words.
        said: String,
    },
    /// The role may not write to the workspace.
    AccessDenied {
        /// AMP's words.
        said: String,
        /// What the role must be allowed to do, and on what.
        missing: String,
    },
    /// AMP does not know the workspace.
    WorkspaceNotFound {
        /// AMP's words.
        said: String,
    },
    /// AMP takes less just now.
    Throttled {
        /// The pause that AMP asked for.
        pause: Option<Duration>,
        /// AMP's words.
        said: String,
    },
    /// The workspace holds as many series as it may; holding the batch back would block its whole shard.
    SeriesLimit {
        /// AMP's words.
        said: String,
        /// What AMP says it wrote all the same.
        written: WrittenStats,
    },
    /// AMP finds the samples bad: they can never be stored.
    Refused {
        /// What about them.
        reason: RefusalReason,
        /// AMP's words.
        said: String,
        /// What AMP says it wrote all the same.
        written: WrittenStats,
    },
    /// AMP says that the request can never succeed, with another 4xx.
    RefusedOther {
        /// AMP's status.
        status: StatusCode,
        /// AMP's words.
        said: String,
        /// What AMP says it wrote all the same.
        written: WrittenStats,
    },
    /// A series that is refused whenever it is sent, while AMP takes other writes.
    Poison {
        /// What it is, with its name.
        what: String,
        /// The answer's words.
        said: String,
        /// What AMP says it wrote of the other series.
        written: WrittenStats,
    },
    /// AMP finds the batch too large, and it cannot be made smaller.
    TooLargeForAmp {
        /// AMP's words.
        said: String,
        /// What AMP says it wrote of the other parts.
        written: WrittenStats,
    },
    /// AMP is failing.
    AmpFailing {
        /// 500, 502, 503 or 504.
        status: StatusCode,
        /// The pause that AMP asked for.
        pause: Option<Duration>,
        /// AMP's words.
        said: String,
    },
    /// Something in between answered, or AMP what it never should: HTML, a redirect, 405, 407, 499, 101, …
    Unexpected {
        /// The status.
        status: StatusCode,
        /// The words.
        said: String,
    },
    /// No answer came from AMP.
    Unreachable(TransportError),
    /// The request could not be signed, which is a fault of ours.
    Unsigned {
        /// What failed.
        why: String,
    },
    /// The byte budget or the request slots are full.
    Overloaded,
    /// The body is provably broken.
    Malformed(Malformed),
    /// The body is larger than may be read.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It is no remote-write body.
    UnsupportedMedia {
        /// What it says it is.
        what: String,
    },
    /// The request shows no valid bearer token. Tokens rotate on both sides, seldom at the same moment.
    ClientUnauthenticated,
    /// A page of another site may be behind the request. A sender that says by mistake what browsers say keeps its samples.
    CrossOrigin(CrossOrigin),
    /// The path names no workspace, and there are several.
    AmbiguousPath {
        /// Of the workspaces that it could mean.
        names: Vec<String>,
    },
    /// Remote write that came to where none is taken: its sender keeps it, and is told the right URL.
    Misdirected {
        /// What was asked, and on which port.
        asked: String,
        /// Where remote write is taken.
        right: String,
    },
    /// A question of vmagent's whether VictoriaMetrics' protocol is spoken; no sample is lost by the answer.
    ProtocolProbe,
    /// No such path here.
    NoSuchPath,
    /// The path takes another method.
    MethodNotAllowed,
    /// The request can be read in two ways, which none of a real sender can.
    AmbiguousHead(AmbiguousHead),
    /// The body came too slowly.
    SlowSender,
    /// The connection broke before the body was complete.
    SenderGone,
}

/// Why AMP finds samples bad, in the store's own order of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// Out of order beyond the workspace's window.
    OutOfOrder,
    /// Older than AMP takes.
    TooOld,
    /// From the future.
    TooNew,
    /// Outside of what the store's head holds.
    OutOfBounds,
    /// Another value for a timestamp that is stored.
    Duplicate,
    /// More labels than a series may have.
    TooManyLabels,
    /// All labels of a series together are too large.
    LabelsSize,
    /// A label's name is too long.
    LabelNameTooLong,
    /// A label's value is too long.
    LabelValueTooLong,
    /// A series without a metric name, or without labels.
    MissingName,
    /// A metric name that is none.
    InvalidName,
    /// A label name that is none.
    InvalidLabel,
    /// A label that is there twice.
    DuplicateLabel,
    /// An exemplar; the samples are stored.
    Exemplar,
    /// Metadata; the samples are stored.
    Metadata,
    /// A native histogram.
    NativeHistogram,
    /// More groups of replicas than the workspace may have.
    HaGroups,
    /// Anything else that is invalid.
    Invalid,
}

// === impl Verdict ===

impl Verdict {
    /// The outcome's one name.
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

    /// The sender drops the batch for good: the label under which its samples are counted.
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
            | Self::Misdirected { .. }
            | Self::ProtocolProbe
            | Self::NoSuchPath
            | Self::MethodNotAllowed
            | Self::AmbiguousHead(_)
            | Self::SlowSender
            | Self::SenderGone => None,
        }
    }

    /// What AMP says it wrote of a batch that is settled.
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
            | Self::NoSuchPath
            | Self::MethodNotAllowed
            | Self::Misdirected { .. }
            | Self::ProtocolProbe
            | Self::AmbiguousHead(_)
            | Self::SlowSender
            | Self::SenderGone => None,
        }
    }

    /// The same, with more said where it is about AMP's limit on a request.
    #[must_use]
    pub fn explained(mut self, says: impl FnOnce(&str) -> String) -> Self {
        if let Self::TooLargeForAmp { said, .. } = &mut self {
            *said = says(said);
        }
        self
    }

    /// The same, where AMP says that it wrote this over all parts.
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

/// In words, for the sender and for the log.
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
            Self::NoCredentials { why } => write!(f, "no AWS credentials: {why}"),
            Self::Unauthenticated { said } => {
                write!(f, "AMP does not take the credentials: {said}")
            }
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
                "{what} is refused whenever it is sent, alone too, while other writes are taken; the answer was: {said}"
            ),
            Self::AmpFailing { said, .. } => write!(f, "AMP is failing: {said}"),
            Self::Unexpected { status, said } => write!(f, "unexpected answer {status}: {said}"),
            Self::Unreachable(fault) => write!(f, "no answer from AMP: {fault}"),
            Self::Unsigned { why } => write!(f, "not signed, so not sent: {why}"),
            Self::Overloaded => f.write_str("more in flight than --max-inflight-bytes allows"),
            Self::Malformed(why) => write!(f, "no remote-write body: {why}"),
            Self::TooLarge { limit } => write!(f, "the body is over --max-body-bytes, {limit}"),
            Self::UnsupportedMedia { what } => {
                write!(
                    f,
                    "{what}; expected Content-Encoding: snappy and Content-Type: application/x-protobuf, for remote write 2.0 with ;proto=io.prometheus.write.v2.Request"
                )
            }
            Self::ClientUnauthenticated => f.write_str(
                "not let in: the request needs `Authorization: Bearer` with a token of --listen-bearer-token-file",
            ),
            Self::CrossOrigin(why) => why.fmt(f),
            Self::AmbiguousHead(why) => why.fmt(f),
            Self::AmbiguousPath { names } => write!(
                f,
                "several workspaces are configured: write to /workspaces/<name>/api/v1/remote_write with one of {}",
                names.join(", ")
            ),
            Self::Misdirected { asked, right } => {
                write!(f, "remote write is taken at {right}; not by {asked}")
            }
            Self::ProtocolProbe => f.write_str(
                "VictoriaMetrics' protocol is not spoken here: send Prometheus' remote write, with Content-Encoding: snappy",
            ),
            Self::NoSuchPath | Self::MethodNotAllowed => {
                write!(f, "not served here; served is {SERVED}")
            }
            Self::SlowSender => f.write_str("the body did not come within 30 s"),
            Self::SenderGone => f.write_str("the connection broke before the body was complete"),
        }
    }
}

impl RefusalReason {
    /// The label under which the samples are counted.
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
