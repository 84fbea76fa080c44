//! Identifies the series of a message.
//!
//! In: a message of either version. Out: a hash of the labels of each series, equal for equal labels of the same version in any
//! message; and the name of the first element, for people. A hash collision makes two series look like one, which only costs
//! time. Labels are compared in encoded form, because no sender encodes them in two ways.

use std::hash::{DefaultHasher, Hasher};

use crate::remote_write::inspect::{Malformed, Version};
use crate::remote_write::split::rewrite;
use crate::remote_write::wire::Reader;

const NAME: &[u8] = b"__name__";

/// The first element of a message other than symbols.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SeriesIdentity {
    /// A series with its name, which may be empty.
    Series { name: String, hash: u64 },
    /// Metadata of this metric family.
    Metadata { family: String },
}

/// One hash per series of the message.
pub(super) fn series(message: &[u8], version: Version) -> Result<Vec<u64>, Malformed> {
    let symbols = symbols(message, version)?;
    let mut series = Vec::new();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        if rewrite::is_series(version, field.key.number) {
            series.push(hash(field.value, version, &symbols)?);
        }
    }
    Ok(series)
}

/// The first element of the message.
pub(crate) fn first_identity(
    message: &[u8],
    version: Version,
) -> Result<Option<SeriesIdentity>, Malformed> {
    let symbols = symbols(message, version)?;
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        if rewrite::is_series(version, field.key.number) {
            let name = match version {
                Version::V1 => name_in_labels(field.value)?,
                Version::V2 => name_in_references(field.value, &symbols)?,
            };
            return Ok(Some(SeriesIdentity::Series {
                name: text(name),
                hash: hash(field.value, version, &symbols)?,
            }));
        }
        if version == Version::V1 && field.key.number == 3 {
            let family = text(second(field.value)?);
            return Ok(Some(SeriesIdentity::Metadata { family }));
        }
    }
    Ok(None)
}

fn hash(mut series: Reader<'_>, version: Version, symbols: &[&[u8]]) -> Result<u64, Malformed> {
    let mut hash = DefaultHasher::new();
    while let Some(field) = series.field()? {
        if field.key.number != 1 {
            continue;
        }
        match version {
            Version::V1 => hash.write(field.raw),
            Version::V2 => {
                // Packed, or a single one.
                let mut references = field.value;
                while !references.is_empty() {
                    let symbol = symbol(symbols, references.varint()?).unwrap_or_default();
                    hash.write_usize(symbol.len());
                    hash.write(symbol);
                }
            }
        }
    }
    Ok(hash.finish())
}

/// The symbol table of version 2.
fn symbols(message: &[u8], version: Version) -> Result<Vec<&[u8]>, Malformed> {
    let mut symbols = Vec::new();
    if version == Version::V2 {
        let mut fields = Reader::new(message);
        while let Some(field) = fields.field()? {
            if rewrite::is_symbol(version, field.key.number) {
                symbols.push(field.value.rest());
            }
        }
    }
    Ok(symbols)
}

/// The schema's type has 32 bits; decoders drop the others.
fn symbol<'a>(symbols: &[&'a [u8]], reference: u64) -> Option<&'a [u8]> {
    symbols.get(reference as u32 as usize).copied()
}

fn name_in_labels(mut series: Reader<'_>) -> Result<&[u8], Malformed> {
    while let Some(field) = series.field()? {
        if field.key.number == 1 && first(field.value)? == NAME {
            return second(field.value);
        }
    }
    Ok(&[])
}

fn name_in_references<'a>(
    mut series: Reader<'_>,
    symbols: &[&'a [u8]],
) -> Result<&'a [u8], Malformed> {
    let mut is_name = None;
    while let Some(field) = series.field()? {
        if field.key.number != 1 {
            continue;
        }
        let mut references = field.value;
        while !references.is_empty() {
            let symbol = symbol(symbols, references.varint()?).unwrap_or_default();
            match is_name.take() {
                None => is_name = Some(symbol == NAME),
                Some(true) => return Ok(symbol),
                Some(false) => {}
            }
        }
    }
    Ok(&[])
}

/// The first field: a label's name.
fn first(message: Reader<'_>) -> Result<&[u8], Malformed> {
    numbered(message, 1)
}

/// The second field: a label's value, or the family that metadata describes.
fn second(message: Reader<'_>) -> Result<&[u8], Malformed> {
    numbered(message, 2)
}

fn numbered(mut message: Reader<'_>, number: u32) -> Result<&[u8], Malformed> {
    let mut found = &[][..];
    while let Some(field) = message.field()? {
        if field.key.number == number {
            found = field.value.rest();
        }
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
