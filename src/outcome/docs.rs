//! Every outcome and every reason for lost samples, described for people.
//!
//! The status page shows these texts, and a test compares the table of `docs/outcomes.md` with [`OUTCOME_DOCS`]. What to do about an
//! outcome is in [`remedy`](crate::outcome::remedy), which knows the verdict and not only its name.

/// What happens to the samples of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// AMP has them.
    Stored,
    /// The sender keeps them and retries.
    Retried,
    /// The sender drops them for good.
    Lost,
    /// The request was not a batch for a configured workspace.
    Other,
}

/// The description of one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeDoc {
    /// As in [`Verdict::name`](crate::outcome::verdict::Verdict::name).
    pub outcome: &'static str,
    /// What happens to the samples.
    pub fate: Fate,
    /// Whether AMP itself responded so, and not the sidecar or somebody in between.
    pub is_said_by_amp: bool,
    /// When a request ends so.
    pub happened: &'static str,
    /// The response to the sender: a status, or `closed`.
    pub response: &'static str,
}

macro_rules! is_amp {
    (Amp) => {
        true
    };
    (Else) => {
        false
    };
}

macro_rules! outcome_docs {
    ($($outcome:literal, $fate:ident $by:ident, $happened:literal, $response:literal;)*) => {
        /// In the order of [`OUTCOMES`](crate::outcome::verdict::OUTCOMES).
        pub const OUTCOME_DOCS: [OutcomeDoc; crate::outcome::verdict::OUTCOMES.len()] = [$(OutcomeDoc {
            outcome: $outcome, fate: Fate::$fate, is_said_by_amp: is_amp!($by), happened: $happened, response: $response,
        }),*];
    };
}

outcome_docs! {
    "stored", Stored Else, "AMP accepted it", "AMP's 2xx, with what AMP says it wrote";
    "deduplicated", Stored Else, "AMP 202: it has these samples from the other replica of a high-availability pair", "AMP's 202";
    "no_credentials", Retried Else, "no token, or STS rejects it or is unreachable, and the last credentials have expired", "503";
    "unauthenticated", Retried Amp, "AMP 401, 403 or a 400 about signature or token, even after the clock was corrected or the credentials were refreshed", "503";
    "access_denied", Retried Amp, "IAM does not allow the role `aps:RemoteWrite`; the response names action and workspace", "503";
    "workspace_not_found", Retried Amp, "AMP 404", "503";
    "throttled", Retried Amp, "AMP 429 or 400 about a rate limit", "503, `Retry-After` of 1 to 5 s";
    "amp_failing", Retried Amp, "AMP 500, 502, 503, 504", "the same, `Retry-After` at most 5 s";
    "unexpected", Retried Else, "HTML with any status, 1xx, 3xx, any other 4xx or 5xx, a text of neither AWS nor the store: a proxy's response; redirects are never followed", "503";
    "unreachable", Retried Else, "DNS, connection, TLS, reset, timeout, not HTTP, a truncated response", "503";
    "overloaded", Retried Else, "over `--max-inflight-bytes` for 0.8 s", "503";
    "unsigned", Retried Else, "the request could not be signed, so it was not sent", "503";
    "refused", Lost Amp, "AMP 400 about the samples: out of order, too old, duplicate, labels, invalid", "400";
    "series_limit", Lost Amp, "AMP 400 or 429: the workspace is at its limit of active series; holding the batch would block its shard", "400";
    "refused_other", Lost Amp, "AMP 402, 415, 422", "AMP's status";
    "too_large_for_amp", Lost Amp, "over AMP's limit, and it cannot be split", "413";
    "poison", Lost Amp, "a series that gets a status below 500 every time, even alone, for over a minute, while AMP accepts an empty write", "400";
    "malformed", Lost Else, "not snappy, not protobuf, or an impossible declared size, and AMP did not store it", "400";
    "too_large", Lost Else, "over `--max-body-bytes`", "413";
    "unsupported_media", Lost Else, "not `snappy`, not `application/x-protobuf`, or not of the version that its `Content-Type` names", "415";
    "client_unauthenticated", Other Else, "no valid bearer token, where one is required; a 401 would make Prometheus drop the batch while tokens rotate", "503";
    "cross_origin", Other Else, "a browser's request from a page of another origin, or for a host name that is not in `--allow-host`", "503";
    "ambiguous_path", Other Else, "a path without a workspace, and several are configured", "503";
    "workspace_not_configured", Retried Else, "no workspace is configured, and `--any-workspace` is off; or it serves 8 others already, or the path names none", "503";
    "misdirected", Retried Else, "remote write to a wrong path, method or port; the response has the right URL", "503";
    "protocol_probe", Other Else, "vmagent probes for VictoriaMetrics' protocol, then sends the same data as remote write", "415";
    "no_such_path", Other Else, "another path", "404";
    "method_not_allowed", Other Else, "another method than POST", "405";
    "ambiguous_head", Other Else, "no `Host` or several, an encoding other than `chunked`: two HTTP parsers could differ", "400, closed";
    "slow_sender", Retried Else, "the body took over 30 s", "closed";
    "sender_gone", Retried Else, "the connection broke before the end of the body; nothing is forwarded", "closed";
}

/// Why samples were lost; each text continues a sentence that begins "they were".
pub const REASONS: [(&str, &str); crate::outcome::verdict::LOSSES.len()] = [
    (
        "out_of_order",
        "older than AMP's last sample of their series by more than the workspace's out-of-order window",
    ),
    (
        "too_old",
        "over an hour old, which AMP rejects; typical after a long outage",
    ),
    (
        "too_new",
        "from the future: the clock of the scraped target or of the sender is ahead",
    ),
    (
        "out_of_bounds",
        "older than the oldest samples that AMP still has in memory for the workspace",
    ),
    (
        "duplicate",
        "different values for timestamps that AMP already has",
    ),
    ("too_many_labels", "in a series with too many labels"),
    (
        "labels_size",
        "in a series whose labels are too large in total",
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
    ("duplicate_label", "in a series with a duplicate label"),
    (
        "exemplar",
        "in a batch with an exemplar that AMP refused; the samples are stored",
    ),
    (
        "metadata",
        "in a batch with metadata that AMP refused; the samples are stored",
    ),
    ("native_histogram", "native histograms that AMP refuses"),
    (
        "ha_groups",
        "of more high-availability groups (label `cluster`) than the workspace allows",
    ),
    ("invalid", "invalid for another reason"),
    (
        "series_limit",
        "of new series in a workspace at its limit of active series",
    ),
    ("refused_other", "refused by AMP with another 4xx"),
    (
        "too_large_for_amp",
        "a single series over AMP's limit on a request",
    ),
    (
        "poison",
        "in a series that AMP, or a proxy before it, refuses every time",
    ),
    ("malformed", "in a body that is not remote write"),
    ("too_large", "in a body over --max-body-bytes"),
    (
        "unsupported_media",
        "in a body that is not snappy or not protobuf",
    ),
];
