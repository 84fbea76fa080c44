//! Writes a batch of remote write 2.0 as one of 1.0, for a receiver that takes no other.
//!
//! In: an unpacked `io.prometheus.write.v2.Request`. Out: the `prometheus.WriteRequest` that says the same: samples, native
//! histograms of both kinds with custom buckets, exemplars, and metadata, once for each metric family. Left out is what 1.0 has no
//! place for: created and start timestamps, and fields of a later schema.
//!
//! In 1.0 each series repeats its strings, so the message grows: by how much is for the caller to bound. It is written straight
//! from the wire, and nothing is built but the symbol table; prost's types were rejected, since they allocate for each label.
//!
//! Schemas: `proto/` has both, from Prometheus. A family's name is what Prometheus sends as metadata in 1.0: that of the series
//! without the suffix that its type adds to it (`_bucket`, `_sum`, `_count` and the like); 2.0 has metadata by series.

use std::collections::HashSet;

use bytes::Bytes;

use super::inspect::{self, Contents, Malformed, Version};
use super::wire::{Field, Reader, put_varint};

/// A batch as remote write 1.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Unpacked.
    pub message: Vec<u8>,
    /// What it holds, counted as 1.0.
    pub contents: Contents,
}

/// Why a batch cannot be written as 1.0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// It is no message of 2.0.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A series refers to a symbol that is not there.
    #[error("symbol reference {reference} is outside of the symbol table of {symbols} entries")]
    Reference {
        /// The reference.
        reference: u32,
        /// How many symbols there are.
        symbols: usize,
    },
    /// A name has no value.
    #[error("a series has {references} label references, which is not an even number")]
    OddReferences {
        /// How many there are.
        references: usize,
    },
    /// As 1.0 it is larger than the caller has room for.
    #[error("as remote write 1.0 the batch takes more than {limit} bytes")]
    TooLarge {
        /// The most that it may take.
        limit: usize,
    },
}

/// Strings by their number.
struct Symbols<'a>(Vec<&'a [u8]>);

/// The keys of 1.0 that are written here.
mod key {
    const fn delimited(number: u64) -> u64 {
        number << 3 | 2
    }

    pub(super) const SERIES: u64 = delimited(1);
    pub(super) const METADATA: u64 = delimited(3);
    pub(super) const LABELS: u64 = delimited(1);
    pub(super) const SAMPLES: u64 = delimited(2);
    pub(super) const EXEMPLARS: u64 = delimited(3);
    pub(super) const HISTOGRAMS: u64 = delimited(4);
    pub(super) const NAME: u64 = delimited(1);
    pub(super) const VALUE: u64 = delimited(2);
    pub(super) const METADATA_TYPE: u64 = 1 << 3;
    pub(super) const FAMILY: u64 = delimited(2);
    pub(super) const HELP: u64 = delimited(4);
    pub(super) const UNIT: u64 = delimited(5);
}

/// Writes a 2.0 message as 1.0, of at most `limit` bytes.
///
/// # Errors
/// [`ConvertError`].
pub fn to_v1(message: &[u8], limit: usize) -> Result<Converted, ConvertError> {
    inspect::count(message, Version::V2)?;
    let symbols = Symbols::of(message)?;
    let mut out = Vec::new();
    let mut metadata = Vec::new();
    let mut families = HashSet::new();
    each(message, |field| {
        if field.key.number == 5 {
            let series = symbols.series(field.value)?;
            put(key::SERIES, &series, &mut out);
            if let Some(entry) = symbols.metadata(field.value, &mut families)? {
                put(key::METADATA, &entry, &mut metadata);
            }
        }
        if out.len() + metadata.len() > limit {
            return Err(ConvertError::TooLarge { limit });
        }
        Ok(())
    })?;
    out.append(&mut metadata);
    let contents = inspect::count(&out, Version::V1)?;
    Ok(Converted {
        message: out,
        contents,
    })
}

// === impl Converted ===

impl Converted {
    /// Packs it with snappy.
    ///
    /// # Errors
    /// Where the message is longer than snappy can pack, 4 GiB.
    pub fn pack(&self) -> Result<Bytes, snap::Error> {
        let packed = snap::raw::Encoder::new().compress_vec(&self.message)?;
        Ok(packed.into())
    }
}

// === impl Symbols ===

impl<'a> Symbols<'a> {
    fn of(message: &'a [u8]) -> Result<Self, ConvertError> {
        let mut symbols = Vec::new();
        each(message, |field| {
            if field.key.number == 4 {
                symbols.push(field.value.rest());
            }
            Ok(())
        })?;
        Ok(Self(symbols))
    }

    fn get(&self, reference: u32) -> Result<&'a [u8], ConvertError> {
        let symbols = self.0.len();
        // Without a table 0 means the empty string all the same.
        let symbol = self.0.get(reference as usize).copied();
        symbol
            .or((reference == 0).then_some(&[][..]))
            .ok_or(ConvertError::Reference { reference, symbols })
    }

    /// The labels that a series or an exemplar refers to.
    fn labels(&self, of: Reader<'_>) -> Result<Vec<(&'a [u8], &'a [u8])>, ConvertError> {
        let mut references = Vec::new();
        each(of.rest(), |field| {
            if field.key.number == 1 {
                // Packed, or a single one.
                let mut rest = field.value;
                while !rest.is_empty() {
                    references.push(number(rest.varint().map_err(Malformed::from)?));
                }
            }
            Ok(())
        })?;
        let (pairs, rest) = references.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(ConvertError::OddReferences {
                references: references.len(),
            });
        }
        let label = |[name, value]: &[u32; 2]| Ok((self.get(*name)?, self.get(*value)?));
        pairs.iter().map(label).collect()
    }

    fn put_labels(&self, of: Reader<'_>, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        for (name, value) in self.labels(of)? {
            let mut label = Vec::with_capacity(name.len() + value.len() + 12);
            put(key::NAME, name, &mut label);
            put(key::VALUE, value, &mut label);
            put(key::LABELS, &label, out);
        }
        Ok(())
    }

    fn series(&self, series: Reader<'_>) -> Result<Vec<u8>, ConvertError> {
        let mut out = Vec::with_capacity(series.rest().len() * 4);
        self.put_labels(series, &mut out)?;
        each(series.rest(), |field| {
            match field.key.number {
                // Behind value and time comes the start timestamp.
                2 => put(key::SAMPLES, &up_to(field.value, 2)?, &mut out),
                // The same fields in both versions, but for the start timestamp.
                3 => put(key::HISTOGRAMS, &up_to(field.value, 16)?, &mut out),
                4 => {
                    let mut exemplar = Vec::new();
                    self.put_labels(field.value, &mut exemplar)?;
                    each(field.value.rest(), |field| {
                        if matches!(field.key.number, 2 | 3) {
                            exemplar.extend_from_slice(field.raw);
                        }
                        Ok(())
                    })?;
                    put(key::EXEMPLARS, &exemplar, &mut out);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// The metadata of a series' family, where it has any and the family none so far.
    fn metadata(
        &self,
        series: Reader<'_>,
        families: &mut HashSet<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        let (mut kind, mut help, mut unit) = (0, 0, 0);
        each(series.rest(), |field| {
            if field.key.number != 5 {
                return Ok(());
            }
            each(field.value.rest(), |field| {
                let mut value = field.value;
                match field.key.number {
                    1 => kind = value.varint().map_err(Malformed::from)?,
                    3 => help = number(value.varint().map_err(Malformed::from)?),
                    4 => unit = number(value.varint().map_err(Malformed::from)?),
                    _ => {}
                }
                Ok(())
            })
        })?;
        let (help, unit) = (self.get(help)?, self.get(unit)?);
        if kind == 0 && help.is_empty() && unit.is_empty() {
            return Ok(None);
        }
        let labels = self.labels(series)?;
        let name = labels.iter().find(|(name, _)| *name == b"__name__");
        let family = name.map_or(&[][..], |(_, value)| family(value, kind));
        if !families.insert(family.to_vec()) {
            return Ok(None);
        }
        let mut out = Vec::new();
        put_varint(key::METADATA_TYPE, &mut out);
        put_varint(kind, &mut out);
        put(key::FAMILY, family, &mut out);
        put(key::HELP, help, &mut out);
        put(key::UNIT, unit, &mut out);
        Ok(Some(out))
    }
}

/// The name of the family that a series of this type belongs to.
fn family(name: &[u8], kind: u64) -> &[u8] {
    let suffixes: &[&[u8]] = match kind {
        // Histogram, gauge histogram, summary.
        3 => &[b"_bucket", b"_sum", b"_count"],
        4 => &[b"_bucket", b"_gsum", b"_gcount"],
        5 => &[b"_sum", b"_count"],
        _ => &[],
    };
    let bare = suffixes
        .iter()
        .find_map(|suffix| name.strip_suffix(*suffix));
    bare.filter(|bare| !bare.is_empty()).unwrap_or(name)
}

/// The fields of a message up to this number, as they came.
fn up_to(message: Reader<'_>, last: u32) -> Result<Vec<u8>, ConvertError> {
    let mut out = Vec::with_capacity(message.rest().len());
    each(message.rest(), |field| {
        if field.key.number <= last {
            out.extend_from_slice(field.raw);
        }
        Ok(())
    })?;
    Ok(out)
}

fn each<'a>(
    message: &'a [u8],
    mut with: impl FnMut(Field<'a>) -> Result<(), ConvertError>,
) -> Result<(), ConvertError> {
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field().map_err(Malformed::from)? {
        with(field)?;
    }
    Ok(())
}

fn put(key: u64, value: &[u8], out: &mut Vec<u8>) {
    put_varint(key, out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// The schema's references have 32 bits, and decoders drop the others.
fn number(varint: u64) -> u32 {
    varint as u32
}

#[cfg(test)]
mod tests;
