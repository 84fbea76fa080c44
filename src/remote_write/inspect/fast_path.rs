//! The fast path for the few field shapes that make up almost every body.
//!
//! In: the rest of a request or a series. Out: the rest after its leading plain fields, with their contents counted. A field is
//! plain if a few bytes prove it well formed: lengths below 128, no field missing, repeated, unknown or out of order.
//! Everything else is left to the walk over the schema, which knows every form and detects every error; so nothing here can
//! reject a body, and only accepting must be right.
//!
//! It is five times as fast as that walk: a label costs six comparisons, and the next one's position depends only on its
//! length. Iterating over series here too, and not in that walk, reduces a sample's cost from 18 ns to 11.5.

use crate::remote_write::contents::{Contents, Timestamps};

/// Counts the leading plain fields of a message and returns the rest.
pub(super) type Skim = for<'a> fn(&'a [u8], &mut Contents) -> &'a [u8];

/// In version 1 the key of a request's series.
const SERIES: u8 = 1 << 3 | 2;
/// In both versions the keys of a series' first two fields, both delimited: labels and samples.
const LABELS: u8 = 1 << 3 | 2;
const SAMPLES: u8 = 2 << 3 | 2;

/// A request of remote write 1.0: its leading series that are entirely plain and shorter than 16 KiB.
pub(super) fn request_v1<'a>(request: &'a [u8], contents: &mut Contents) -> &'a [u8] {
    let mut rest = request;
    // Of a series that is not plain, some are added here and again by the walk, which changes neither the oldest nor the newest.
    let mut timestamps = contents.timestamps;
    while let [SERIES, tail @ ..] = rest
        && let Some((length, tail)) = length(tail)
        && let Some((series, after)) = tail.split_at_checked(length)
    {
        let (unread, samples) = skim(series, &mut timestamps, is_label);
        if !unread.is_empty() {
            break;
        }
        contents.series += 1;
        contents.samples += samples;
        rest = after;
    }
    contents.timestamps = timestamps;
    rest
}

#[inline(always)]
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [only, rest @ ..] if *only < 0x80 => Some((usize::from(*only), rest)),
        [low, high, rest @ ..] if *high < 0x80 => {
            Some((usize::from(*low & 0x7f) | usize::from(*high) << 7, rest))
        }
        _ => None,
    }
}

/// A series of remote write 1.0.
pub(super) fn series_v1<'a>(series: &'a [u8], contents: &mut Contents) -> &'a [u8] {
    let (rest, samples) = skim(series, &mut contents.timestamps, is_label);
    contents.samples += samples;
    rest
}

/// A series of remote write 2.0.
pub(super) fn series_v2<'a>(series: &'a [u8], contents: &mut Contents) -> &'a [u8] {
    let (rest, samples) = skim(series, &mut contents.timestamps, is_refs);
    contents.samples += samples;
    rest
}

/// The rest of a series after its plain labels and samples, and the number of these samples.
#[inline(always)]
fn skim<'a>(
    series: &'a [u8],
    timestamps: &mut Timestamps,
    are_labels: impl Fn(&[u8]) -> bool,
) -> (&'a [u8], u64) {
    let mut rest = series;
    let mut samples = 0;
    while let [key, length, tail @ ..] = rest
        && *length < 0x80
        && let Some((value, after)) = tail.split_at_checked(usize::from(*length))
    {
        match *key {
            LABELS if are_labels(value) => {}
            SAMPLES => {
                let Some(timestamp) = timestamp(value) else {
                    break;
                };
                timestamps.add_field(timestamp);
                samples += 1;
            }
            _ => break,
        }
        rest = after;
    }
    (rest, samples)
}

/// Exactly a name and a value.
#[inline(always)]
fn is_label(label: &[u8]) -> bool {
    const NAME: u8 = 1 << 3 | 2;
    const VALUE: u8 = 2 << 3 | 2;
    if let [NAME, name_length, tail @ ..] = label
        && *name_length < 0x80
        && let Some((_, [VALUE, value_length, value @ ..])) =
            tail.split_at_checked(usize::from(*name_length))
    {
        *value_length < 0x80 && usize::from(*value_length) == value.len()
    } else {
        false
    }
}

/// Packed varints of at most seven bytes: if no aligned word has four continuation bytes, no more than six follow each other
/// anywhere.
#[inline(always)]
fn is_refs(refs: &[u8]) -> bool {
    const CONTINUED: u32 = 0x8080_8080;
    let (words, _) = refs.as_chunks::<4>();
    words
        .iter()
        .all(|word| u32::from_le_bytes(*word) & CONTINUED != CONTINUED)
        && refs.last().is_none_or(|last| *last < 0x80)
}

/// The timestamp of a sample that is a value and a timestamp of six bytes (years 1971 to 2109), or only the timestamp, because a value
/// of zero is omitted.
#[inline(always)]
fn timestamp(sample: &[u8]) -> Option<u64> {
    const VALUE: u8 = 1 << 3 | 1;
    if let Ok([VALUE, _, _, _, _, _, _, _, end @ ..]) = <&[u8; 16]>::try_from(sample) {
        // The last byte of the value comes with the field, since eight bytes are read at once.
        return Timestamps::field(u64::from_le_bytes(*end) >> 8);
    }
    let [a, b, c, d, e, f, g] = *<&[u8; 7]>::try_from(sample).ok()?;
    Timestamps::field(u64::from_le_bytes([a, b, c, d, e, f, g, 0]))
}
