//! Cuts a batch into parts: into as many as keep each below a limit, or in two.
//!
//! In: the unpacked message, and the most that a part may weigh, packed and unpacked. Out: [`Part`]s, packed again,
//! which together say what the message said. Nothing is decoded into objects: fields are copied as the
//! bytes that came, so that those of a later schema survive. What cannot be cut any further becomes a part
//! that is over the limit, and is marked: whether it is too large is for AMP to say.
//!
//! The same message is always cut in the same way, so that a part of a batch that is sent again is known by its hash.
//!
//! The parts are consecutive stretches of the message. In version 1 they are its very bytes: unpacked and
//! put one behind the other they are the message again. In version 2 each part gets a symbol table of its
//! own, and references are written anew. A series is cut only if it is too large alone; then each piece
//! repeats what describes the series (labels, metadata, created timestamp), and the samples are shared out
//! in their order. A batch may hold several samples of one series, and AMP wants them in their order: each part
//! says whether those before it [have to be taken first](Part::waits).
//!
//! A stretch is packed until it is over the limit, and how far that came says into how many it is cut, so
//! that a series is packed once or twice in all. Memory is bounded by the message, one stretch of it
//! written anew, twelve bytes a symbol, and the parts; these may have to repeat large labels, and are given
//! up where that makes them outgrow the message twice.

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

/// A batch in its own right.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The message, packed with snappy.
    pub body: Bytes,
    /// What it holds. The parts' contents add up to those of the whole, but for a series that was cut: it
    /// and its metadata count once in each part.
    pub contents: Contents,
    /// It may be over the limit, and cannot be cut.
    pub is_indivisible: bool,
    /// Parts before it hold samples of its series, and have to be taken first.
    pub waits: bool,
}

/// Why a batch cannot be cut into parts that are small enough.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No decoder can take the batch.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What each part must repeat is so large that hardly anything else fits in.
    #[error("parts of at most {limit} bytes would mostly repeat each other")]
    Inflated {
        /// The most that a part may weigh, packed.
        limit: usize,
    },
    /// Packing failed, for which there is no known cause.
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

/// Cuts an unpacked message into parts of which each is within `limits`, if it can be cut so far. A message
/// that is within them already comes back as one part.
///
/// # Errors
/// [`SplitError`].
pub fn split(
    message: &[u8],
    version: Version,
    limits: PartLimits,
) -> Result<Vec<Part>, SplitError> {
    inspect::count(message, version)?;
    let limit = limits.packed;
    let most = message.len().saturating_mul(2).saturating_add(limit);
    let mut parts = PartBuilder::of(message, version)?;
    // The last one is the next one, so that the message's order is kept.
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

/// Cuts an unpacked message in two; `None` where it holds a single series, or nothing.
///
/// # Errors
/// [`SplitError`].
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

/// Parts in the making.
struct PartBuilder<'a> {
    version: Version,
    rewriter: Rewriter<'a>,
    packer: Packer,
    done: Vec<Part>,
    /// Bytes of all that are done.
    size: usize,
    /// The first part that has samples of a series.
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

    /// Makes a part of the stretch where it is within the limits; without limits whatever it weighs.
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
            // Several samples of one series may stand in the same part.
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

/// Cuts a stretch into at most so many `pieces`, but at least two; `None` where it cannot be cut.
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
        // Metadata, an unknown field, or symbols that nothing refers to.
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

/// Cuts between fields, into at most so many `pieces` of about the same size, weighing only the fields
/// that count. Where two fields count there are two pieces at least: the middles of the first and the last
/// lie half of the whole apart, and so in different pieces.
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
