//! Splits a batch into parts: into as many as keep each below a limit, or in half.
//!
//! In: the uncompressed message and the size limits of a part, compressed and uncompressed. Out: compressed [`Part`]s that
//! together hold what the message held. Nothing is decoded into objects: fields are copied byte for byte, so that those of a
//! later schema survive. What cannot be split any further becomes a part over the limit and is marked: AMP decides whether it
//! is too large.
//!
//! The same message is always split in the same way, so that a part of a retried batch is recognized by its hash.
//!
//! The parts are consecutive sections of the message. In version 1 they are its bytes: decompressed and concatenated they are
//! the message again. In version 2 each part gets its own symbol table, and references are rewritten. A series is split only if
//! it is too large alone; then each piece repeats its description (labels, metadata, created timestamp), and the samples are
//! distributed in order. A batch may hold several samples of one series, and AMP requires their order: each part says whether
//! earlier parts [must be stored first](Part::waits).
//!
//! A section is compressed until it exceeds the limit, and the progress up to there determines into how many pieces it is cut,
//! so a series is compressed once or twice in total. Memory is bounded by the message, one rewritten section of it, twelve
//! bytes per symbol, and the parts. Splitting fails if repeating large labels makes the parts larger than twice the message.

mod identity;
mod pack;
mod rewrite;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;

use super::contents::Contents;
use super::inspect::{self, Malformed, Version};
use super::wire::{Field, Reader};
pub(crate) use identity::{SeriesIdentity, first_identity};
pub use pack::PartLimits;
use pack::{Packed, Packer};
use rewrite::{Rewriter, Stretch};

/// A batch of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The message, compressed with snappy.
    pub body: Bytes,
    /// Its contents. Those of all parts add up to the whole's, except that a split series and its metadata count once in each
    /// part.
    pub contents: Contents,
    /// It may exceed the limit and cannot be split.
    pub is_indivisible: bool,
    /// Parts before it hold samples of its series and must be stored first.
    pub waits: bool,
}

/// Why a batch cannot be split into small enough parts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No decoder can accept the batch.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The repeated description is so large that hardly anything else fits into a part.
    #[error("parts of at most {limit} bytes would mostly repeat each other")]
    Inflated {
        /// The limit for a compressed part.
        limit: usize,
    },
    /// Compression failed, for which no cause is known.
    #[error("a part cannot be packed")]
    Pack(#[from] snap::Error),
}

// === impl Part ===

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("bytes", &self.body.len())
            .field("contents", &self.contents)
            .finish()
    }
}

/// Splits an uncompressed message so that each part is within `limits`, as far as possible. A message within the limits becomes
/// one part.
pub fn split(
    message: &[u8],
    version: Version,
    limits: PartLimits,
) -> Result<Vec<Part>, SplitError> {
    inspect::count(message, version)?;
    let limit = limits.packed;
    let most = message.len().saturating_mul(2).saturating_add(limit);
    let mut parts = PartBuilder::of(message, version)?;
    // A stack, with the next section last, so that the message's order is kept.
    let mut ahead = vec![Stretch::Fields(Reader::new(message))];
    while let Some(stretch) = ahead.pop() {
        if let Packed::Over { pieces } = parts.pack(&stretch, Some(limits))? {
            if let Some(pieces) = cut(&stretch, version, pieces)? {
                ahead.extend(pieces.into_iter().rev());
                continue;
            }
            parts.pack(&stretch, None)?;
        }
        if parts.size > most {
            return Err(SplitError::Inflated { limit });
        }
    }
    Ok(parts.done)
}

/// Splits an uncompressed message in half; `None` if it holds at most one series.
pub fn halve(message: &[u8], version: Version) -> Result<Option<Vec<Part>>, SplitError> {
    inspect::count(message, version)?;
    let counts = |number| !rewrite::is_symbol(version, number);
    let halves = cut_fields(Reader::new(message), 2, counts)?;
    if halves.len() < 2 {
        return Ok(None);
    }
    let mut parts = PartBuilder::of(message, version)?;
    for half in halves {
        let unlimited = PartLimits {
            packed: usize::MAX,
            unpacked: None,
        };
        parts.pack(&Stretch::Fields(half), Some(unlimited))?;
    }
    Ok(Some(parts.done))
}

/// Collects finished parts.
struct PartBuilder<'a> {
    version: Version,
    rewriter: Rewriter<'a>,
    packer: Packer,
    done: Vec<Part>,
    /// Bytes of all finished parts.
    size: usize,
    /// The first part with samples of each series.
    first_in: HashMap<u64, usize>,
}

// === impl PartBuilder ===

impl<'a> PartBuilder<'a> {
    fn of(message: &'a [u8], version: Version) -> Result<Self, SplitError> {
        Ok(Self {
            version,
            rewriter: Rewriter::new(message, version)?,
            packer: Packer::new(),
            done: Vec::new(),
            size: 0,
            first_in: HashMap::new(),
        })
    }

    /// Makes a part of the section if it is within the limits, or always if there are none.
    fn pack(
        &mut self,
        stretch: &Stretch<'a>,
        limits: Option<PartLimits>,
    ) -> Result<Packed, SplitError> {
        let message = self.rewriter.write(stretch)?;
        let packed = self.packer.pack(message, limits)?;
        let Packed::Within(body) = &packed else {
            return Ok(packed);
        };
        let mut waits = false;
        for series in identity::series(message, self.version)? {
            // Several samples of one series may be in the same part.
            let first = *self.first_in.entry(series).or_insert(self.done.len());
            waits |= first < self.done.len();
        }
        self.size = self.size.saturating_add(body.len());
        self.done.push(Part {
            contents: inspect::count(message, self.version)?,
            body: body.clone(),
            is_indivisible: limits.is_none(),
            waits,
        });
        Ok(packed)
    }
}

/// Cuts a section into at most this many `pieces`, but at least two; `None` if it cannot be cut.
fn cut<'a>(
    stretch: &Stretch<'a>,
    version: Version,
    pieces: usize,
) -> Result<Option<Vec<Stretch<'a>>>, SplitError> {
    let fields = match stretch {
        Stretch::Fields(fields) => *fields,
        Stretch::Samples {
            description,
            samples,
        } => return cut_series(description, *samples, version, pieces),
    };
    let counts = |number| !rewrite::is_symbol(version, number);
    let cut = cut_fields(fields, pieces, counts)?;
    if cut.len() > 1 {
        return Ok(Some(cut.into_iter().map(Stretch::Fields).collect()));
    }
    match find(fields, counts)? {
        Some(field) if rewrite::is_series(version, field.key.number) => {
            let description = rewrite::description(field.value, version)?;
            cut_series(&description, field.value, version, pieces)
        }
        // Metadata, an unknown field, or unused symbols.
        _ => Ok(None),
    }
}

fn cut_series<'a>(
    description: &Rc<[u8]>,
    samples: Reader<'a>,
    version: Version,
    pieces: usize,
) -> Result<Option<Vec<Stretch<'a>>>, SplitError> {
    let counts = |number| !rewrite::describes(version, number);
    let cut = cut_fields(samples, pieces, counts)?;
    if cut.len() < 2 {
        return Ok(None);
    }
    let piece = |samples| Stretch::Samples {
        description: Rc::clone(description),
        samples,
    };
    Ok(Some(cut.into_iter().map(piece).collect()))
}

/// Cuts between fields into at most this many `pieces` of about equal size, weighing only the fields that count. If two fields
/// count, there are at least two pieces: the middles of the first and the last are half of the whole apart, and so in different
/// pieces.
fn cut_fields(
    fields: Reader<'_>,
    pieces: usize,
    counts: impl Fn(u32) -> bool,
) -> Result<Vec<Reader<'_>>, Malformed> {
    let mut weight = 0;
    let mut rest = fields;
    while let Some(field) = rest.field()? {
        if counts(field.key.number) {
            weight += field.raw.len();
        }
    }
    let mut cut = Vec::new();
    let (mut start, mut rest) = (fields, fields);
    let (mut before, mut current) = (0, None);
    loop {
        let here = rest;
        let Some(field) = rest.field()? else {
            cut.push(start);
            return Ok(cut);
        };
        if counts(field.key.number) {
            let twice_middle = 2 * before + field.raw.len();
            let piece = twice_middle.saturating_mul(pieces) / (2 * weight);
            if current.is_some_and(|current| current != piece) {
                cut.push(start.until(here));
                start = here;
            }
            current = Some(piece);
            before += field.raw.len();
        }
    }
}

fn find(
    mut fields: Reader<'_>,
    counts: impl Fn(u32) -> bool,
) -> Result<Option<Field<'_>>, Malformed> {
    while let Some(field) = fields.field()? {
        if counts(field.key.number) {
            return Ok(Some(field));
        }
    }
    Ok(None)
}
