//! Compares what AMP says it wrote with what a payload held.

use crate::outcome::verdict::{RefusalReason, Verdict};
use crate::remote_write::contents::Contents;
use crate::remote_write::payload::Payload;
use crate::remote_write::written_stats::WrittenStats;

/// Whether a non-empty 2.0 batch got a 2xx without written counts: a receiver that knows only 1.0 reads it as an empty batch
/// and stores nothing.
pub(super) fn lacks_written_counts(verdict: &Verdict, payload: &Payload) -> bool {
    // A block of one byte holds an empty message.
    let is_empty = payload.chunks.len() <= 1;
    matches!(verdict, Verdict::Stored { written, .. } if written.is_empty()) && !is_empty
}

/// What AMP says it wrote of a refused payload, and how much was refused at most.
pub(super) fn split_by_written(verdict: &Verdict, contents: Contents) -> (Contents, Contents) {
    let numbers = verdict
        .written()
        .map(WrittenStats::numbers)
        .unwrap_or_default();
    let [samples, histograms, exemplars] = numbers.map(Option::unwrap_or_default);
    let written = Contents {
        samples: samples.min(contents.samples),
        histograms: histograms.min(contents.histograms),
        exemplars: exemplars.min(contents.exemplars),
        ..Contents::default()
    };
    let is_about_others = match verdict {
        Verdict::Refused { reason, .. } => {
            matches!(reason, RefusalReason::Exemplar | RefusalReason::Metadata)
        }
        _ => false,
    };
    let rest = |all: u64, written: u64| if is_about_others { 0 } else { all - written };
    let is_metadata = matches!(
        verdict,
        Verdict::Refused {
            reason: RefusalReason::Metadata,
            ..
        }
    );
    let refused = Contents {
        samples: rest(contents.samples, written.samples),
        histograms: rest(contents.histograms, written.histograms),
        exemplars: if is_metadata {
            0
        } else {
            contents.exemplars - written.exemplars
        },
        ..contents
    };
    (written, refused)
}
