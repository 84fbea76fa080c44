//! Reads a message of 2.0 that was found sound, and says what is wrong with its references.

use crate::remote_write::inspect::Malformed;
use crate::remote_write::wire::{Field, Reader};

/// Why a batch cannot be written as 1.0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// No decoder can take the batch.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A series refers to a symbol that is not there.
    #[error("series {series} refers to symbol {reference}, and the batch has {symbols} symbols")]
    Reference {
        /// Which series of the batch, counted from 0.
        series: usize,
        /// The reference.
        reference: u32,
        /// How many symbols there are.
        symbols: usize,
    },
    /// Labels are pairs of references, and one of them is not there.
    #[error("series {series} has {references} label references, which make no pairs")]
    OddReferences {
        /// Which series of the batch, counted from 0.
        series: usize,
        /// How many references there are, of the series or of one of its exemplars.
        references: usize,
    },
    /// As 1.0 it is larger than the caller has room for.
    #[error("as remote write 1.0 the batch has {length} bytes, over the limit of {limit}")]
    TooLarge {
        /// What it takes, unpacked.
        length: usize,
        /// The most that it may take.
        limit: usize,
    },
}

/// Where a fault belongs.
#[derive(Clone, Copy)]
pub(super) struct SeriesFields<'a> {
    pub(super) fields: Reader<'a>,
    pub(super) index: usize,
}

/// The fields of 2.0 that are read here, by their number.
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

/// The schema's references and enumerations have 32 bits, and decoders drop the others.
pub(super) fn reference(from: &mut Reader<'_>) -> Result<u32, ConvertError> {
    Ok(from.varint().map_err(Malformed::from)? as u32)
}
