//! Which series a message holds samples of.
//!
//! In: a message of either version. Out: a hash of the labels of each of its series, the same for the same labels whatever
//! message they stand in. Two series that hash alike by chance are taken for one, which costs nothing but time.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::batch::inspect::{Malformed, Version};
use crate::batch::split::rewrite;
use crate::batch::wire::Reader;

/// One hash for each series of the message.
pub(super) fn series(message: &[u8], version: Version) -> Result<Vec<u64>, Malformed> {
    let symbols = symbols(message, version)?;
    let mut series = Vec::new();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        if rewrite::is_series(version, field.key.number) {
            let mut hash = DefaultHasher::new();
            match version {
                Version::V1 => of_labels(field.value, &mut hash)?,
                Version::V2 => of_references(field.value, &symbols, &mut hash)?,
            }
            series.push(hash.finish());
        }
    }
    Ok(series)
}

fn of_labels(mut series: Reader<'_>, hash: &mut DefaultHasher) -> Result<(), Malformed> {
    while let Some(field) = series.field()? {
        if field.key.number == 1 {
            label(field.value)?.hash(hash);
        }
    }
    Ok(())
}

fn of_references(
    mut series: Reader<'_>,
    symbols: &[&[u8]],
    hash: &mut DefaultHasher,
) -> Result<(), Malformed> {
    while let Some(field) = series.field()? {
        if field.key.number != 1 {
            continue;
        }
        // Packed, or a single one.
        let mut references = field.value;
        while !references.is_empty() {
            symbol(symbols, references.varint()?).hash(hash);
        }
    }
    Ok(())
}

/// The symbol table of version 2.
fn symbols(message: &[u8], version: Version) -> Result<Vec<&[u8]>, Malformed> {
    let mut symbols = Vec::new();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        if rewrite::is_symbol(version, field.key.number) {
            symbols.push(field.value.rest());
        }
    }
    Ok(symbols)
}

/// Name and value, as a decoder understands them.
fn label(mut label: Reader<'_>) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut name, mut value) = (&[][..], &[][..]);
    while let Some(text) = label.field()? {
        match text.key.number {
            1 => name = text.value.rest(),
            2 => value = text.value.rest(),
            _ => {}
        }
    }
    Ok((name, value))
}

/// The schema's type has 32 bits, and decoders drop the others.
fn symbol<'a>(symbols: &[&'a [u8]], reference: u64) -> Option<&'a [u8]> {
    symbols.get(reference as u32 as usize).copied()
}

/// The name of the first series, where it has one.
pub(in crate::batch) fn first_name(
    message: &[u8],
    version: Version,
) -> Result<Option<String>, Malformed> {
    let symbols = symbols(message, version)?;
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        if rewrite::is_series(version, field.key.number) {
            return match version {
                Version::V1 => name_in_labels(field.value),
                Version::V2 => name_in_references(field.value, &symbols),
            };
        }
    }
    Ok(None)
}

const NAME: &[u8] = b"__name__";

fn name_in_labels(mut series: Reader<'_>) -> Result<Option<String>, Malformed> {
    while let Some(field) = series.field()? {
        if field.key.number != 1 {
            continue;
        }
        let (name, value) = label(field.value)?;
        if name == NAME {
            return Ok(Some(String::from_utf8_lossy(value).into_owned()));
        }
    }
    Ok(None)
}

fn name_in_references(
    mut series: Reader<'_>,
    symbols: &[&[u8]],
) -> Result<Option<String>, Malformed> {
    let mut is_name = None;
    while let Some(field) = series.field()? {
        if field.key.number != 1 {
            continue;
        }
        let mut references = field.value;
        while !references.is_empty() {
            let symbol = symbol(symbols, references.varint()?);
            match is_name {
                None => is_name = Some(symbol == Some(NAME)),
                Some(true) => {
                    let name = symbol.map(|name| String::from_utf8_lossy(name).into_owned());
                    return Ok(name);
                }
                Some(false) => is_name = None,
            }
        }
    }
    Ok(None)
}
