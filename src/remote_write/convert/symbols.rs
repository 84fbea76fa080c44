//! The symbol table of a 2.0 message, and labels as references into it.
//!
//! Symbols may follow the series that refer to them, so the table is read first. A reference to a missing symbol is an error
//! with its series and the table's size, never a guess: omitting a label would make it another series.

use crate::remote_write::convert::read::{ConvertError, SeriesFields, each, reference, v2};
use crate::remote_write::wire::{Field, Reader};

/// Strings by number.
pub(super) struct Symbols<'a> {
    message: &'a [u8],
    places: Vec<SymbolRange>,
}

/// Position of a symbol in the message. Half the size of a slice: a symbol can be as short as two bytes, and there may be
/// millions.
#[derive(Clone, Copy)]
struct SymbolRange {
    start: u32,
    length: u32,
}

// === impl Symbols ===

impl<'a> Symbols<'a> {
    /// `message` must have been validated.
    pub(super) fn of(message: &'a [u8]) -> Result<Self, ConvertError> {
        let is_symbol = |field: &Field<'_>| field.key.number == v2::SYMBOLS;
        let mut count = 0;
        each(Reader::new(message), |field| {
            count += usize::from(is_symbol(&field));
            Ok(())
        })?;
        let mut places = Vec::with_capacity(count);
        each(Reader::new(message), |field| {
            if is_symbol(&field) {
                let place = |place: usize| {
                    u32::try_from(place).map_err(|_| ConvertError::TooLarge {
                        length: message.len(),
                        limit: u32::MAX as usize,
                    })
                };
                places.push(SymbolRange {
                    start: place(field.value.offset())?,
                    length: place(field.value.rest().len())?,
                });
            }
            Ok(())
        })?;
        Ok(Self { message, places })
    }

    /// The labels of a series or of one of its exemplars. A name and its value may be in different fields.
    pub(super) fn each_label(
        &self,
        holder: Reader<'a>,
        of: SeriesFields<'a>,
        mut with: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError> {
        let (mut name, mut references) = (None, 0);
        each(holder, |field| {
            if field.key.number != v2::LABELS {
                return Ok(());
            }
            // Packed, or a single one.
            let mut rest = field.value;
            while !rest.is_empty() {
                let symbol = self.get(reference(&mut rest)?, of)?;
                references += 1;
                match name.take() {
                    None => name = Some(symbol),
                    Some(name) => with(name, symbol)?,
                }
            }
            Ok(())
        })?;
        if name.is_some() {
            return Err(ConvertError::OddReferences {
                series: of.index,
                references,
            });
        }
        Ok(())
    }

    pub(super) fn get(
        &self,
        reference: u32,
        of: SeriesFields<'a>,
    ) -> Result<&'a [u8], ConvertError> {
        let symbol = match self.places.get(reference as usize) {
            Some(symbol) => {
                let start = symbol.start as usize;
                self.message.get(start..start + symbol.length as usize)
            }
            // An omitted reference means the empty string, even without a table.
            None if reference == 0 => Some(&[][..]),
            None => None,
        };
        symbol.ok_or(ConvertError::Reference {
            series: of.index,
            reference,
            symbols: self.places.len(),
        })
    }
}
