//! What each outcome and each reason of a loss means, in words.
//!
//! For pages that people read; the table of `docs/outcomes.md` says the same of each outcome, which a test checks. What to do about
//! one is for [`remedy`](crate::outcome::remedy), which knows more than the name.

/// What becomes of the samples of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// AMP has them.
    Stored,
    /// The sender keeps them and sends them again.
    Retried,
    /// The sender drops them for good.
    Lost,
    /// It was no batch for a workspace of ours.
    Other,
}

/// An outcome in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeDoc {
    /// Its name.
    pub outcome: &'static str,
    /// What becomes of its samples.
    pub fate: Fate,
    /// What happened.
    pub happened: &'static str,
    /// The response to the sender: a status, or `closed`.
    pub response: &'static str,
}

macro_rules! meanings {
    ($($outcome:literal, $fate:ident, $happened:literal, $response:literal;)*) => {
        /// In the order of [`OUTCOMES`](crate::outcome::verdict::OUTCOMES).
        pub const OUTCOME_DOCS: [OutcomeDoc; crate::outcome::verdict::OUTCOMES.len()] = [$(OutcomeDoc {
            outcome: $outcome, fate: Fate::$fate, happened: $happened, response: $response,
        }),*];
    };
}

meanings! {
    "stored", Stored, "AMP took it", "AMP's 2xx, with what AMP says it wrote";
    "deduplicated", Stored, "AMP 202: it has these samples from the other replica of a pair", "AMP's 202";
    "no_credentials", Retried, "no token, STS refuses or is out, and the last credentials expired", "503";
    "unauthenticated", Retried, "AMP 401, 403 or a 400 about signature or token, also after the clock was corrected or credentials were renewed", "503";
    "access_denied", Retried, "the role may not `aps:RemoteWrite`; the answer names action and workspace", "503";
    "workspace_not_found", Retried, "AMP 404", "503";
    "throttled", Retried, "AMP 429 or 400 about a rate", "503, `Retry-After` of 1 to 5 s";
    "amp_failing", Retried, "AMP 500, 502, 503, 504", "the same, `Retry-After` at most 5 s";
    "unexpected", Retried, "HTML with any status, 1xx, 3xx, any other 4xx or 5xx, words of neither AWS nor the store: something in between; a redirect is never followed", "503";
    "unreachable", Retried, "DNS, connection, TLS, reset, time-out, no HTTP, an answer that breaks off", "503";
    "overloaded", Retried, "over `--max-inflight-bytes` for 0.8 s", "503";
    "unsigned", Retried, "the request could not be signed, so it was not sent", "503";
    "refused", Lost, "AMP 400 about the samples: out of order, too old, duplicate, labels, invalid", "400";
    "series_limit", Lost, "AMP 400 or 429: the workspace is full; holding the batch would block its shard", "400";
    "refused_other", Lost, "AMP 402, 415, 422", "AMP's status";
    "too_large_for_amp", Lost, "over AMP's limit and cannot be split", "413";
    "poison", Lost, "a series that is refused below 500 whenever it is sent, alone too, for over a minute, while AMP takes an empty write", "400";
    "malformed", Lost, "not snappy, not protobuf, absurd size", "400";
    "too_large", Lost, "over `--max-body-bytes`", "413";
    "unsupported_media", Lost, "not `snappy`, not `application/x-protobuf`, or of the other version than its `Content-Type` says", "415";
    "client_unauthenticated", Other, "no valid bearer token, where one is asked for; a 401 would make Prometheus drop the batch while tokens rotate", "503";
    "cross_origin", Other, "a page of another origin, or a browser that was led here by another name than those of `--allow-host`", "503";
    "ambiguous_path", Other, "a path without a workspace where several are configured", "503";
    "misdirected", Retried, "remote write by another path, method or port than it is taken at; the answer names the right URL", "503";
    "protocol_probe", Other, "vmagent asks whether VictoriaMetrics' protocol is spoken, and then sends the same as remote write", "415";
    "no_such_path", Other, "another path", "404";
    "method_not_allowed", Other, "another method than POST", "405";
    "ambiguous_head", Other, "no `Host` or several, an encoding other than `chunked`: two readers could differ", "400, closed";
    "slow_sender", Retried, "the body took over 30 s", "closed";
    "sender_gone", Retried, "the connection broke inside the body; nothing is forwarded", "closed";
}

/// A reason why a batch was refused, in words that go on from "they were".
pub const REASONS: [(&str, &str); crate::outcome::verdict::LOSSES.len()] = [
    (
        "out_of_order",
        "older than what AMP has of their series, by more than the workspace's window",
    ),
    (
        "too_old",
        "older than the hour that AMP takes, as after a long outage",
    ),
    (
        "too_new",
        "from the future: the clock of what was scraped, or of the sender, is ahead",
    ),
    (
        "out_of_bounds",
        "older than what AMP still has in memory of the workspace",
    ),
    (
        "duplicate",
        "another value for a time that AMP has a sample of",
    ),
    ("too_many_labels", "in a series with too many labels"),
    (
        "labels_size",
        "in a series whose labels are too large together",
    ),
    (
        "label_name_too_long",
        "in a series with a label name that is too long",
    ),
    (
        "label_value_too_long",
        "in a series with a label value that is too long",
    ),
    ("missing_name", "in a series without a metric name"),
    ("invalid_name", "in a series with an invalid metric name"),
    ("invalid_label", "in a series with an invalid label name"),
    ("duplicate_label", "in a series that has a label twice"),
    (
        "exemplar",
        "beside an exemplar that AMP refused; the samples are stored",
    ),
    (
        "metadata",
        "beside metadata that AMP refused; the samples are stored",
    ),
    ("native_histogram", "native histograms that AMP refuses"),
    (
        "ha_groups",
        "of more pairs of replicas (label `cluster`) than the workspace may have",
    ),
    ("invalid", "invalid to AMP in another way"),
    (
        "series_limit",
        "new series of a workspace that holds as many as it may",
    ),
    ("refused_other", "refused by AMP with another 4xx"),
    (
        "too_large_for_amp",
        "a single series over AMP's limit on a request",
    ),
    (
        "poison",
        "in a series that something on the way to AMP, or AMP, refuses whenever it is sent",
    ),
    ("malformed", "in a body that is not remote write"),
    ("too_large", "in a body over --max-body-bytes"),
    (
        "unsupported_media",
        "in a body that is not packed in snappy or is not protobuf",
    ),
];
