//! Converts a batch of remote write 2.0 to 1.0, for a receiver that accepts nothing else.
//!
//! In: an uncompressed `io.prometheus.write.v2.Request`. Out: the equivalent `prometheus.WriteRequest`: samples, native
//! histograms of both kinds with custom buckets, exemplars, and metadata ([`family`]). Dropped are fields that 1.0 does not
//! have: created and start timestamps, and fields of a later schema. Labels, series, samples and histograms keep their order.
//!
//! Invariants: whatever [`inspect::count`] accepts is converted, unless a reference is invalid or the result exceeds the limit;
//! and the same message always gives the same bytes, so that a retried batch is recognized by its hash.
//!
//! In 1.0 each series repeats its strings, so a few kilobytes that refer to one large symbol expand to gigabytes. So the result
//! is measured before a byte of it is written: over the limit nothing is allocated, below it exactly what is needed. Besides
//! that it takes eight bytes per symbol, and a reference per metadata entry.
//!
//! Values are copied from wire to wire. prost's types were rejected, because they allocate for each label.

mod family;
mod read;
mod sink;
mod symbols;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bytes::Bytes;

use super::contents::Contents;
use super::inspect::{self, Version};
use super::wire::Reader;
use family::Family;
pub use read::ConvertError;
use read::{SeriesFields, each, v2};
use sink::{Length, Sink};
use symbols::Symbols;

/// A batch converted to remote write 1.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The uncompressed `prometheus.WriteRequest`.
    pub message: Vec<u8>,
    /// Its contents, counted as 1.0. Series, samples, histograms and exemplars are those of the 2.0 message.
    pub contents: Contents,
}

/// Converts an uncompressed 2.0 message to a 1.0 message of at most `limit` bytes.
///
/// # Errors
/// [`ConvertError`]: the message is malformed, refers to missing symbols, or exceeds the limit as 1.0.
pub fn to_v1(message: &[u8], limit: usize) -> Result<Converted, ConvertError> {
    let mut contents = inspect::count(message, Version::V2)?;
    let batch = V2Message::new(message)?;
    let families = batch.families()?;
    contents.metadata = families.len() as u64;
    let mut length = Length::default();
    batch.write(&families, &mut length)?;
    if length.0 > limit {
        let length = length.0;
        return Err(ConvertError::TooLarge { length, limit });
    }
    let mut message = Vec::with_capacity(length.0);
    batch.write(&families, &mut message)?;
    Ok(Converted { message, contents })
}

/// The size of the result of [`to_v1`], to reserve budget before.
///
/// # Errors
/// Those of [`to_v1`], except the limit.
#[cfg(any(test, feature = "internals"))]
pub fn v1_len(message: &[u8]) -> Result<usize, ConvertError> {
    inspect::count(message, Version::V2)?;
    let batch = V2Message::new(message)?;
    let mut length = Length::default();
    batch.write(&batch.families()?, &mut length)?;
    Ok(length.0)
}

/// A validated 2.0 message.
struct V2Message<'a> {
    message: &'a [u8],
    symbols: Symbols<'a>,
}

/// The keys of 1.0 that are written here: field number, and that the value is delimited.
mod v1 {
    pub(super) const SERIES: u8 = 1 << 3 | 2;
    pub(super) const METADATA: u8 = 3 << 3 | 2;
    pub(super) const LABELS: u8 = 1 << 3 | 2;
    pub(super) const SAMPLES: u8 = 2 << 3 | 2;
    pub(super) const EXEMPLARS: u8 = 3 << 3 | 2;
    pub(super) const HISTOGRAMS: u8 = 4 << 3 | 2;
    pub(super) const NAME: u8 = 1 << 3 | 2;
    pub(super) const VALUE: u8 = 2 << 3 | 2;
}

// === impl Converted ===

impl Converted {
    /// Compresses the message with snappy.
    ///
    /// # Errors
    /// If it is longer than snappy's maximum of 4 GiB.
    pub fn pack(&self) -> Result<Bytes, snap::Error> {
        let packed = snap::raw::Encoder::new().compress_vec(&self.message)?;
        Ok(packed.into())
    }
}

// === impl V2Message ===

impl<'a> V2Message<'a> {
    /// `message` must have been validated.
    fn new(message: &'a [u8]) -> Result<Self, ConvertError> {
        let symbols = Symbols::of(message)?;
        Ok(Self { message, symbols })
    }

    fn write(
        &self,
        families: &BTreeSet<Family<'a>>,
        out: &mut impl Sink,
    ) -> Result<(), ConvertError> {
        self.each_series(|series| {
            let mut length = Length::default();
            self.write_series(series, &mut length)?;
            out.delimited(v1::SERIES, length, |out| self.write_series(series, out))
        })?;
        for family in families {
            let mut length = Length::default();
            family.write(&mut length);
            out.delimited(v1::METADATA, length, |out| {
                family.write(out);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn each_series(
        &self,
        mut with: impl FnMut(SeriesFields<'a>) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError> {
        let mut index = 0;
        each(Reader::new(self.message), |field| {
            if field.key.number != v2::SERIES {
                return Ok(());
            }
            let fields = field.value;
            with(SeriesFields { fields, index })?;
            index += 1;
            Ok(())
        })
    }

    fn write_series(
        &self,
        series: SeriesFields<'a>,
        out: &mut impl Sink,
    ) -> Result<(), ConvertError> {
        self.write_labels(series.fields, series, out)?;
        each(series.fields, |field| match field.key.number {
            // After value and timestamp comes the start timestamp, which 1.0 does not have.
            v2::SAMPLES => write_up_to(2, v1::SAMPLES, field.value, out),
            // The same fields in both versions, up to the start timestamp.
            v2::HISTOGRAMS => write_up_to(16, v1::HISTOGRAMS, field.value, out),
            v2::EXEMPLARS => {
                let exemplar = field.value;
                let mut length = Length::default();
                self.write_exemplar(exemplar, series, &mut length)?;
                out.delimited(v1::EXEMPLARS, length, |out| {
                    self.write_exemplar(exemplar, series, out)
                })
            }
            _ => Ok(()),
        })
    }

    fn write_exemplar(
        &self,
        exemplar: Reader<'a>,
        of: SeriesFields<'a>,
        out: &mut impl Sink,
    ) -> Result<(), ConvertError> {
        self.write_labels(exemplar, of, out)?;
        each(exemplar, |field| {
            // Value and timestamp have the same numbers in both versions.
            if matches!(field.key.number, 2 | 3) {
                out.put(field.raw);
            }
            Ok(())
        })
    }

    fn write_labels(
        &self,
        holder: Reader<'a>,
        of: SeriesFields<'a>,
        out: &mut impl Sink,
    ) -> Result<(), ConvertError> {
        self.symbols.each_label(holder, of, |name, value| {
            let mut length = Length::default();
            write_label(name, value, &mut length);
            out.delimited(v1::LABELS, length, |out| {
                write_label(name, value, out);
                Ok(())
            })
        })
    }

    fn families(&self) -> Result<BTreeSet<Family<'a>>, ConvertError> {
        let mut families = BTreeSet::new();
        self.each_series(|series| {
            families.extend(Family::of(series, &self.symbols)?);
            Ok(())
        })?;
        Ok(families)
    }
}

fn write_label(name: &[u8], value: &[u8], out: &mut impl Sink) {
    out.text(v1::NAME, name);
    out.text(v1::VALUE, value);
}

/// The fields of a message up to number `last`, byte for byte.
fn write_up_to(
    last: u32,
    key: u8,
    message: Reader<'_>,
    out: &mut impl Sink,
) -> Result<(), ConvertError> {
    let copy = |out: &mut dyn FnMut(&[u8])| {
        each(message, |field| {
            if field.key.number <= last {
                out(field.raw);
            }
            Ok(())
        })
    };
    let mut length = Length::default();
    copy(&mut |raw| length.put(raw))?;
    out.delimited(key, length, |out| copy(&mut |raw| out.put(raw)))
}
