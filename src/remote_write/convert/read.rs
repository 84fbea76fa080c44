//! Reads a validated 2.0 message, and names invalid references.

use crate::remote_write::inspect::Malformed;
use crate::remote_write::wire::{Field, Reader};

/// Why a batch cannot be converted to 1.0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// No decoder can accept the batch.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A series refers to a missing symbol.
    #[error("series {series} refers to symbol {reference}, and the batch has {symbols} symbols")]
    Reference {
        /// Index of the series in the batch, from 0.
        series: usize,
        reference: u32,
        /// Size of the symbol table.
        symbols: usize,
    },
    /// A label is a pair of references, and one of them is missing.
    #[error("series {series} has {references} label references, which is not an even number")]
    OddReferences {
        /// Index of the series in the batch, from 0.
        series: usize,
        /// Number of references of the series, or of one of its exemplars.
        references: usize,
    },
    /// The converted batch is larger than the limit.
    #[error("as remote write 1.0 the batch has {length} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its uncompressed size as 1.0.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// The series to name in an error.
#[derive(Clone, Copy)]
pub(super) struct SeriesFields<'a> {
    pub(super) fields: Reader<'a>,
    pub(super) index: usize,
}

/// The field numbers of 2.0 that are read here.
pub(super) mod v2 {
    pub(in crate::remote_write::convert) const SYMBOLS: u32 = 4;
    pub(in crate::remote_write::convert) const SERIES: u32 = 5;
    /// Of a series and of an exemplar.
    pub(in crate::remote_write::convert) const LABELS: u32 = 1;
    pub(in crate::remote_write::convert) const SAMPLES: u32 = 2;
    pub(in crate::remote_write::convert) const HISTOGRAMS: u32 = 3;
    pub(in crate::remote_write::convert) const EXEMPLARS: u32 = 4;
    pub(in crate::remote_write::convert) const METADATA: u32 = 5;
}

pub(super) fn each<'a>(
    mut message: Reader<'a>,
    mut with: impl FnMut(Field<'a>) -> Result<(), ConvertError>,
) -> Result<(), ConvertError> {
    while let Some(field) = message.field().map_err(Malformed::from)? {
        with(field)?;
    }
    Ok(())
}

/// The schema's references and enumerations have 32 bits; decoders drop the others.
pub(super) fn reference(from: &mut Reader<'_>) -> Result<u32, ConvertError> {
    Ok(from.varint().map_err(Malformed::from)? as u32)
}
