//! Known error texts of the store behind AMP, matched by their fixed prefix.
//!
//! In: the text of a response. Out: a [`StoreText`], if the text is one of the store's. AMP runs Cortex, which quotes the
//! sender's series in nearly every refusal, so these texts can contain anything that a label can, even the texts of other
//! errors. So only the fixed prefix is compared, which ends before the first quoted name; the rest is never searched. An
//! ingester's error begins with a machine's address and the tenant, which are removed first.
//!
//! Source of the texts: responses of a Cortex of August 2026 that was queried directly, and public reports about older ones.

use crate::outcome::verdict::RefusalReason;

/// What a text of the store means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreText {
    /// The samples, or their exemplars or metadata, are invalid.
    Refused(RefusalReason),
    /// The workspace is at its limit of active series.
    SeriesLimit,
    /// The workspace's ingestion rate is exceeded.
    Rate,
    /// The request is too large for the store.
    TooLarge(ShownLimit),
    /// The store does not accept the request as remote write 2.0; the same batch as 1.0 may pass.
    NotAsV2,
    /// Exemplars were out of order; everything else is stored.
    OldExemplars,
    /// The samples came from the replica that is not elected.
    OtherReplica,
}

/// What a refusal for size shows of the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShownLimit {
    /// The refused size, compressed or uncompressed.
    pub size: Option<usize>,
    pub limit: Option<usize>,
}

use RefusalReason::{
    DuplicateLabel, Exemplar, HaGroups, Invalid, InvalidLabel, InvalidName, LabelNameTooLong,
    LabelValueTooLong, LabelsSize, Metadata, MissingName, NativeHistogram, OutOfBounds, OutOfOrder,
    TooManyLabels, TooNew, TooOld,
};
use StoreText::{NotAsV2, OldExemplars, OtherReplica, Rate, Refused, SeriesLimit};

/// No text is a prefix of another, so their order does not matter.
const BEGINNINGS: &[(&str, StoreText)] = &[
    ("err: out of order sample", Refused(OutOfOrder)),
    ("err: too old sample", Refused(TooOld)),
    ("timestamp too old: ", Refused(TooOld)),
    ("err: out of bounds", Refused(OutOfBounds)),
    ("timestamp too new: ", Refused(TooNew)),
    (
        "err: duplicate sample for timestamp",
        Refused(RefusalReason::Duplicate),
    ),
    ("series has too many labels ", Refused(TooManyLabels)),
    ("labels size bytes exceeded ", Refused(LabelsSize)),
    ("label name too long ", Refused(LabelNameTooLong)),
    ("label value too long ", Refused(LabelValueTooLong)),
    ("sample missing metric name", Refused(MissingName)),
    ("empty labels found", Refused(MissingName)),
    ("sample invalid metric name: ", Refused(InvalidName)),
    ("sample invalid label: ", Refused(InvalidLabel)),
    ("duplicate label name: ", Refused(DuplicateLabel)),
    ("per-user series limit of ", SeriesLimit),
    ("per-metric series limit of ", SeriesLimit),
    ("per-labelset series limit of ", SeriesLimit),
    ("per-user native histogram series limit of ", SeriesLimit),
    ("per-user metric metadata limit of ", Refused(Metadata)),
    ("per-metric metadata limit of ", Refused(Metadata)),
    ("metadata ", Refused(Metadata)),
    ("ingestion rate limit (", Rate),
    ("native histogram ingestion rate limit (", Rate),
    (
        "native histogram bucket count exceeded ",
        Refused(NativeHistogram),
    ),
    (
        "native histogram sample size bytes exceeded ",
        Refused(NativeHistogram),
    ),
    ("invalid native histogram", Refused(NativeHistogram)),
    ("exemplar ", Refused(Exemplar)),
    ("err: out of order exemplar", OldExemplars),
    ("too many HA ", Refused(HaGroups)),
    ("replicas did not match, rejecting sample: ", OtherReplica),
    ("labelRefs ", Refused(Invalid)),
    (
        "TimeSeries must contain at least one sample or histogram for series ",
        NotAsV2,
    ),
    ("snappy: ", Refused(Invalid)),
    ("proto: ", Refused(Invalid)),
    // From older stores.
    (
        "received a series whose number of label names exceeds the limit ",
        Refused(TooManyLabels),
    ),
    (
        "received a series whose label name length exceeds the limit ",
        Refused(LabelNameTooLong),
    ),
    (
        "received a series whose label value length exceeds the limit ",
        Refused(LabelValueTooLong),
    ),
    (
        "the sample has been rejected because another sample with a more recent timestamp has already been ingested",
        Refused(OutOfOrder),
    ),
    (
        "the sample has been rejected because its timestamp is too old",
        Refused(TooOld),
    ),
    (
        "the sample has been rejected because another sample with the same timestamp",
        Refused(RefusalReason::Duplicate),
    ),
];

/// Prefixes of texts with status 415; both have the same consequence.
const MEDIA: &[&str] = &[
    "expected application/x-protobuf as the first (media) part",
    "zstd encoding (compression) is not accepted",
];

/// What the text means; `None` if it is not one of the store's.
pub(super) fn read(text: &str) -> Option<StoreText> {
    let (code, text) = without_prefix(text);
    let begins = |(beginning, _): &&(&str, StoreText)| text.starts_with(*beginning);
    if let Some((_, meaning)) = BEGINNINGS.iter().find(begins) {
        return Some(*meaning);
    }
    if let Some(sizes) = text.strip_prefix("received message larger than max ") {
        return Some(StoreText::TooLarge(compared(sizes)));
    }
    // Between components of the store.
    let inner = text.strip_prefix("grpc: ").unwrap_or(text);
    if code != Some("ResourceExhausted") {
        return None;
    }
    if let Some(limit) = inner.strip_prefix("received message after decompression larger than max ")
    {
        let (size, limit) = (None, number(limit));
        return Some(StoreText::TooLarge(ShownLimit { size, limit }));
    }
    let sizes = inner
        .strip_prefix("trying to send message larger than max ")
        .or_else(|| inner.strip_prefix("received message larger than max "))?;
    // The size is that of a message inside the store.
    let ShownLimit { limit, .. } = compared(sizes);
    Some(StoreText::TooLarge(ShownLimit { size: None, limit }))
}

/// Whether the store says that it does not accept a Content-Type or Content-Encoding.
pub(super) fn is_about_media(text: &str) -> bool {
    MEDIA.iter().any(|beginning| text.starts_with(beginning))
}

/// The code and text of the inner error, without what precedes every error of an ingester: failed replicas, their addresses,
/// the tenant.
fn without_prefix(text: &str) -> (Option<&str>, &str) {
    const CODE: &str = "rpc error: code = ";
    let mut text = text.trim_start();
    if text.starts_with("maxFailure (")
        && let Some(error) = text.find(CODE).and_then(|place| text.get(place..))
    {
        text = error;
    }
    let mut code = None;
    if let Some(error) = text.strip_prefix(CODE)
        && let Some((name, said)) = error.split_once(" desc = ")
    {
        (code, text) = (Some(name), said);
    }
    if let Some(tenant) = text.strip_prefix("user=")
        && let Some((_, said)) = tenant.split_once(": ")
    {
        text = said;
    }
    (code, text)
}

/// `(449780 vs 300000)`
fn compared(sizes: &str) -> ShownLimit {
    let read = || {
        let (size, limit) = sizes.strip_prefix('(')?.split_once(" vs")?;
        let limit = limit.trim_start_matches(['.', ' ']);
        let (limit, _) = limit.split_once(')')?;
        Some((number(size)?, number(limit)?))
    };
    read().map_or_else(ShownLimit::default, |(size, limit)| ShownLimit {
        size: Some(size),
        limit: Some(limit),
    })
}

fn number(text: &str) -> Option<usize> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end)?.parse().ok().filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_hides_another() {
        for (n, (one, _)) in BEGINNINGS.iter().enumerate() {
            for (m, (other, _)) in BEGINNINGS.iter().enumerate() {
                assert!(n == m || !other.starts_with(one), "{one:?} hides {other:?}");
            }
        }
    }

    #[test]
    fn a_limit_is_read_where_one_is_shown() {
        let shown = |text: &str| match read(text) {
            Some(StoreText::TooLarge(ShownLimit { size, limit })) => Some((size, limit)),
            _ => None,
        };
        let inner = "maxFailure (quorum) on a given error family, addr=10.0.0.1:9095 state=ACTIVE zone=, rpc error: code = ResourceExhausted desc = ";
        assert_eq!(
            shown("received message larger than max (449780 vs 300000)"),
            Some((Some(449_780), Some(300_000)))
        );
        assert_eq!(
            shown("received message larger than max"),
            None,
            "that is not how the text begins"
        );
        assert_eq!(
            shown("received message larger than max (many vs 0)"),
            Some((None, None))
        );
        assert_eq!(
            shown(&format!(
                "{inner}grpc: received message after decompression larger than max 100000"
            )),
            Some((None, Some(100_000)))
        );
        assert_eq!(
            shown(&format!(
                "{inner}trying to send message larger than max (5000 vs. 4000)"
            )),
            Some((None, Some(4000)))
        );
        assert_eq!(
            shown("trying to send message larger than max (5000 vs 4000)"),
            None
        );
    }
}
