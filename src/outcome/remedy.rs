//! What to do about a fault, in words for whoever is woken by it.
//!
//! In: what a batch or an exchange came to. Out: the mend, from the table of mistakes where a row of it fits, or none where
//! there is nothing to add. A fault that passes by itself says so: that, too, is worth knowing at night.
#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

use crate::net::pool::TransportFault;
use crate::outcome::verdict::{RefusalReason, Verdict};
use crate::remedies::{AMP_CREDENTIALS, PROMETHEUS_PATH, REGION_WRONG, WORKSPACE_UNKNOWN};

pub(crate) const PASSES: &str = "it passes by itself; senders keep their samples and come again";
const FOREIGN: &str = "see whether a proxy or a private endpoint in between answers in AMP's place";
pub(crate) const UNSIGNED: &str = "this is a fault of amp-sidecar: please report it";

/// About a batch that was not stored.
#[must_use]
pub fn of_verdict(verdict: &Verdict) -> Option<String> {
    let remedy = match verdict {
        Verdict::Stored { .. } | Verdict::Deduplicated { .. } => return None,
        Verdict::Unfinished { why, .. } => return of_verdict(why),
        Verdict::NoCredentials { .. } => {
            "mend what keeps credentials from being renewed; nothing is lost while senders keep their samples"
        }
        Verdict::Unauthenticated { said } if said.contains("scoped") => REGION_WRONG.remedy,
        Verdict::Unauthenticated { .. } => AMP_CREDENTIALS.remedy,
        Verdict::AccessDenied { .. } => {
            "give the role a policy that allows it, as `amp-sidecar check` prints one, or AWS' AmazonPrometheusRemoteWriteAccess; check the workspace id, since a policy hides a wrong one"
        }
        Verdict::WorkspaceNotFound { .. } => WORKSPACE_UNKNOWN.remedy,
        Verdict::Throttled { .. } => {
            "it passes by itself; where it lasts, ask AWS for a higher ingestion rate of the workspace"
        }
        Verdict::AmpFailing { .. } => PASSES,
        Verdict::Unexpected { .. } => FOREIGN,
        Verdict::Unreachable(fault) => of_transport(fault),
        Verdict::Unsigned { .. } => UNSIGNED,
        Verdict::Overloaded => {
            "raise the container's memory limit or --max-inflight-bytes, or lower max_shards of the senders"
        }
        Verdict::SeriesLimit { .. } => {
            "these samples are lost: ask AWS for a higher limit of active series, or drop series by write_relabel_configs"
        }
        Verdict::Refused { reason, .. } => of_refusal(*reason),
        Verdict::Poison { .. } => {
            "the samples of this series are lost: drop or relabel it by write_relabel_configs of the sender, and see what on the way to AMP refuses it (a filter of a proxy or firewall)"
        }
        Verdict::RefusedOther { .. } => "these samples are lost: AMP's own words say why",
        Verdict::TooLargeForAmp { .. } => {
            "these samples are lost: shorten the labels or the metadata of the largest series"
        }
        Verdict::Malformed(_) | Verdict::UnsupportedMedia { .. } => {
            "this batch is lost: let nothing but remote write of Prometheus' kind, snappy-compressed, be sent here"
        }
        Verdict::TooLarge { .. } => {
            "this batch is lost: lower max_samples_per_send of the sender, or raise --max-body-bytes"
        }
        Verdict::ClientUnauthenticated => "give the sender a token of --listen-bearer-token-file",
        Verdict::AmbiguousPath { .. } => "let the sender's url name the workspace",
        Verdict::Misdirected { right, .. } => {
            return Some(format!("let the sender's remote_write name {right}"));
        }
        Verdict::ProtocolProbe => return None,
        Verdict::NoSuchPath => PROMETHEUS_PATH.remedy,
        Verdict::MethodNotAllowed => "let nothing but remote write be sent here",
        Verdict::CrossOrigin(_) => {
            "where this is a sender, let it send no Origin and no Sec-Fetch-Site (remote_write.headers); where it is you, use an address, localhost or a name of --allow-host"
        }
        Verdict::AmbiguousHead(_) => {
            "no sender writes such a request: see who sends it, or what on the way rewrites it"
        }
        Verdict::SlowSender => "see what slows the sender or the way from it down; it sends again",
        Verdict::SenderGone => "a sender that restarts breaks off; it sends again",
    };
    Some(remedy.to_owned())
}

/// About samples that AMP refuses.
fn of_refusal(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::OutOfOrder | RefusalReason::Duplicate => {
            "these samples are lost: see that no two senders write the same series, each with external labels of its own, and that clocks are right"
        }
        RefusalReason::TooOld | RefusalReason::OutOfBounds => {
            "these samples are lost: AMP takes none that is older than an hour, as after a long outage; where there was none, see that the clock of what is scraped is right"
        }
        RefusalReason::TooNew => {
            "these samples are lost: put the clock of the sender's node, or of the target that exposes timestamps of its own, right"
        }
        RefusalReason::TooManyLabels
        | RefusalReason::LabelsSize
        | RefusalReason::LabelNameTooLong
        | RefusalReason::LabelValueTooLong => {
            "samples of the series that AMP names are lost: drop or shorten its labels by write_relabel_configs of the sender, or set label_limit and label_value_length_limit for the scrape"
        }
        RefusalReason::Exemplar => {
            "exemplars are lost, samples are not: set send_exemplars: false at the sender, or shorten their labels to 128 characters"
        }
        RefusalReason::Metadata => {
            "metadata is lost, samples are not: shorten the help text of the metric that AMP names, or set metadata_config.send: false at the sender"
        }
        RefusalReason::NativeHistogram => {
            "samples of the histogram that AMP names are lost: lower native_histogram_bucket_limit of its scrape, or scrape its classic buckets"
        }
        RefusalReason::HaGroups => {
            "these samples are lost: ask AWS for more replica groups, or give fewer values to the label `cluster`"
        }
        RefusalReason::MissingName
        | RefusalReason::InvalidName
        | RefusalReason::InvalidLabel
        | RefusalReason::DuplicateLabel
        | RefusalReason::Invalid => {
            "samples of the series that AMP names are lost: relabel or drop it by write_relabel_configs of the sender"
        }
    }
}

/// About a request to AMP that got no answer.
#[must_use]
pub fn of_transport(fault: &TransportFault) -> &'static str {
    match fault {
        TransportFault::Dial(error) => error.mistake().remedy,
        TransportFault::Broken(_) | TransportFault::TimedOut => PASSES,
        TransportFault::Garbage(_) | TransportFault::Endless => FOREIGN,
    }
}
