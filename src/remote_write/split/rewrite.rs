//! Writes a section of a message as a message of its own.
//!
//! In: a section. Out: the bytes of a part. In version 1 a section's fields are the part already; only a series that is cut
//! gets its description before its samples. In version 2 every reference is rewritten: a part's symbols are those that it uses,
//! in order of first use, after the first symbol, which stays first because an omitted reference means it.
//!
//! Everything else is copied byte for byte. References keep their form (packed or one by one), so a receiver that could read
//! the batch can read the part.

use std::rc::Rc;

use crate::remote_write::inspect::{Malformed, Version};
use crate::remote_write::wire::{Field, Reader, WireType, put_varint};

/// A reference to a missing symbol stays invalid in every part, so that AMP decides about such a series. No part has this many
/// symbols.
const NOWHERE: u32 = u32::MAX;

/// A section of the message that may become a part.
pub(super) enum Stretch<'a> {
    /// Whole fields of the request.
    Fields(Reader<'a>),
    /// Some samples of one series, with the description that each of its pieces repeats.
    Samples {
        description: Rc<[u8]>,
        samples: Reader<'a>,
    },
}

/// Writes sections one after the other and reuses their memory.
pub(super) struct Rewriter<'a> {
    message: &'a [u8],
    version: Version,
    /// Offset of each symbol's field.
    places: Vec<usize>,
    /// Each symbol's number in the current part; 0 if it has none.
    numbers: Vec<u32>,
    /// The next free number.
    next: u32,
    /// The part's symbol table.
    symbols: Vec<u8>,
    /// The part's other fields.
    out: Vec<u8>,
}

/// The kinds of version 2 messages that differ in their references.
#[derive(Clone, Copy)]
enum MessageKind {
    Request,
    Series,
    /// A series without its description.
    Samples,
    Exemplar,
    Metadata,
}

/// How a field of version 2 is handled.
enum Role {
    Copy,
    Leave,
    Reference,
    Nested(MessageKind),
}

/// Whether a field of the request is a series.
pub(super) fn is_series(version: Version, number: u32) -> bool {
    number == series_number(version)
}

/// Whether a field of the request belongs to the symbol table.
pub(super) fn is_symbol(version: Version, number: u32) -> bool {
    version == Version::V2 && number == 4
}

/// Whether a field of a series describes the series, and is not a sample: labels, and in version 2 metadata and the created
/// timestamp.
pub(super) fn describes(version: Version, number: u32) -> bool {
    match version {
        Version::V1 => number == 1,
        Version::V2 => matches!(number, 1 | 5 | 6),
    }
}

/// The describing fields of a series, byte for byte.
pub(super) fn description(mut series: Reader<'_>, version: Version) -> Result<Rc<[u8]>, Malformed> {
    let mut description = Vec::new();
    while let Some(field) = series.field()? {
        if describes(version, field.key.number) {
            description.extend_from_slice(field.raw);
        }
    }
    Ok(description.into())
}

fn series_number(version: Version) -> u32 {
    match version {
        Version::V1 => 1,
        Version::V2 => 5,
    }
}

// === impl MessageKind ===

impl MessageKind {
    fn role(self, number: u32) -> Role {
        match (self, number) {
            (MessageKind::Request, 4) | (MessageKind::Samples, 1 | 5 | 6) => Role::Leave,
            (MessageKind::Request, 5) => Role::Nested(MessageKind::Series),
            (MessageKind::Series, 1)
            | (MessageKind::Exemplar, 1)
            | (MessageKind::Metadata, 3 | 4) => Role::Reference,
            (MessageKind::Series | MessageKind::Samples, 4) => Role::Nested(MessageKind::Exemplar),
            (MessageKind::Series, 5) => Role::Nested(MessageKind::Metadata),
            _ => Role::Copy,
        }
    }
}

// === impl Rewriter ===

impl<'a> Rewriter<'a> {
    /// `message` must have been validated.
    pub(super) fn new(message: &'a [u8], version: Version) -> Result<Self, Malformed> {
        let mut places = Vec::new();
        if version == Version::V2 {
            let mut fields = Reader::new(message);
            loop {
                let place = fields.offset();
                match fields.field()? {
                    Some(field) if is_symbol(version, field.key.number) => places.push(place),
                    Some(_) => {}
                    None => break,
                }
            }
        }
        Ok(Self {
            message,
            version,
            numbers: vec![0; places.len()],
            places,
            next: 0,
            symbols: Vec::new(),
            out: Vec::new(),
        })
    }

    pub(super) fn write<'s>(&'s mut self, stretch: &Stretch<'a>) -> Result<&'s [u8], Malformed> {
        self.out.clear();
        match (stretch, self.version) {
            (Stretch::Fields(fields), Version::V1) => return Ok(fields.rest()),
            (Stretch::Fields(fields), Version::V2) => {
                self.begin()?;
                self.rewrite(*fields, MessageKind::Request)?;
            }
            (
                Stretch::Samples {
                    description,
                    samples,
                },
                version,
            ) => {
                self.begin()?;
                let start = self.open(series_number(version));
                match version {
                    Version::V1 => self.describe(description, *samples)?,
                    Version::V2 => {
                        self.rewrite(Reader::new(description), MessageKind::Series)?;
                        self.rewrite(*samples, MessageKind::Samples)?;
                    }
                }
                self.close(start);
            }
        }
        // Symbols come first: some receivers resolve references while reading.
        self.out.extend_from_slice(&self.symbols);
        self.out.rotate_right(self.symbols.len());
        Ok(&self.out)
    }

    /// A new part, with only the first symbol.
    fn begin(&mut self) -> Result<(), Malformed> {
        self.numbers.fill(0);
        self.symbols.clear();
        self.next = 0;
        self.add_symbol(0)
    }

    /// A piece of a version 1 series.
    fn describe(&mut self, description: &[u8], mut samples: Reader<'_>) -> Result<(), Malformed> {
        self.out.extend_from_slice(description);
        while let Some(field) = samples.field()? {
            if !describes(Version::V1, field.key.number) {
                self.out.extend_from_slice(field.raw);
            }
        }
        Ok(())
    }

    /// A version 2 message. Recursive for nested messages, at most three deep.
    fn rewrite(&mut self, mut message: Reader<'_>, kind: MessageKind) -> Result<(), Malformed> {
        while let Some(field) = message.field()? {
            match kind.role(field.key.number) {
                Role::Copy => self.out.extend_from_slice(field.raw),
                Role::Leave => {}
                Role::Reference => self.renumber(field)?,
                Role::Nested(kind) => {
                    let start = self.open(field.key.number);
                    self.rewrite(field.value, kind)?;
                    self.close(start);
                }
            }
        }
        Ok(())
    }

    /// References, packed or a single one.
    fn renumber(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        let mut references = field.value;
        if field.key.wire_type == WireType::Delimited {
            let start = self.open(field.key.number);
            while !references.is_empty() {
                self.reference(&mut references)?;
            }
            self.close(start);
            Ok(())
        } else {
            put_varint(u64::from(field.key.number) << 3, &mut self.out);
            self.reference(&mut references)
        }
    }

    fn reference(&mut self, references: &mut Reader<'_>) -> Result<(), Malformed> {
        // The schema's type has 32 bits; decoders drop the others.
        let reference = references.varint()? as u32;
        let place = reference as usize;
        let number = match self.numbers.get(place).copied() {
            Some(0) if reference != 0 => {
                let number = self.next;
                self.add_symbol(place)?;
                number
            }
            Some(number) => number,
            None => NOWHERE,
        };
        put_varint(u64::from(number), &mut self.out);
        Ok(())
    }

    fn add_symbol(&mut self, place: usize) -> Result<(), Malformed> {
        if let Some(number) = self.numbers.get_mut(place)
            && let Some(start) = self.places.get(place)
            && let Some(rest) = self.message.get(*start..)
            && let Some(symbol) = Reader::new(rest).field()?
        {
            *number = self.next;
            self.next += 1;
            self.symbols.extend_from_slice(symbol.raw);
        }
        Ok(())
    }

    /// Begins a delimited field: everything written until it is closed is its value.
    fn open(&mut self, number: u32) -> usize {
        put_varint(u64::from(number) << 3 | 2, &mut self.out);
        self.out.len()
    }

    fn close(&mut self, start: usize) {
        let length = self.out.len() - start;
        put_varint(length as u64, &mut self.out);
        let moved = self.out.len() - start - length;
        if let Some(value) = self.out.get_mut(start..) {
            value.rotate_right(moved);
        }
    }
}
