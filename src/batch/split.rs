//! Cuts an oversized batch into parts that each stay below a limit.
//!
//! In: the unpacked message, and the most that a part may weigh once packed. Out: [`Part`]s, packed again,
//! which together say what the message said. Nothing is decoded into objects: fields are copied as the
//! bytes that came, so that those of a later schema survive.
//!
//! The parts are consecutive stretches of the message. In version 1 they are its very bytes: unpacked and
//! put one behind the other they are the message again. In version 2 each part gets a symbol table of its
//! own, and references are written anew. A series is cut only if it is too large alone; then each piece
//! repeats what describes the series (labels, metadata, created timestamp), and the samples are shared out
//! in their order. A batch may hold several samples of one series: **parts must be sent in their order**.
//!
//! A stretch is packed until it is over the limit, and how far that came says into how many it is cut, so
//! that a series is packed once or twice in all. Memory is bounded by the message, one stretch of it
//! written anew, twelve bytes a symbol, and the parts; these may have to repeat large labels, and are given
//! up where that makes them outgrow the message twice.

mod pack;
mod rewrite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;

use super::inspect::{self, Contents, Malformed, Version};
use super::wire::{Field, Reader};
use pack::{Packed, Packer};
use rewrite::Rewriter;

/// A batch in its own right.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The message, packed with snappy.
    pub body: Bytes,
    /// What it holds. The parts' contents add up to those of the whole, but for a series that was cut: it
    /// and its metadata count once in each part.
    pub contents: Contents,
}

/// Why a batch cannot be cut into parts that are small enough.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No decoder can take the batch.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The labels of a series and one of its samples are over the limit already.
    #[error("the series at byte {offset} cannot be cut into parts of at most {limit} bytes")]
    SeriesTooLarge {
        /// Where in the message it, or the sample that does not fit, begins.
        offset: usize,
        /// The most that a part may weigh.
        limit: usize,
    },
    /// Something else than a series is over the limit: an entry of metadata, an unknown field.
    #[error(
        "field {number}, whose value is at byte {offset}, is over the limit of {limit} bytes alone"
    )]
    FieldTooLarge {
        /// Where the value begins in the message.
        offset: usize,
        /// The field's number.
        number: u32,
        /// The most that a part may weigh.
        limit: usize,
    },
    /// What each part must repeat is so large that hardly anything else fits in.
    #[error("parts of at most {limit} bytes would mostly repeat each other")]
    Inflated {
        /// The most that a part may weigh.
        limit: usize,
    },
    /// Packing failed, for which there is no known cause.
    #[error("a part cannot be packed")]
    Pack(#[from] snap::Error),
}

/// A stretch of the message that may become a part.
enum Stretch<'a> {
    /// Whole fields of the request.
    Fields(Reader<'a>),
    /// Some of the samples of one series, behind the description that each of its pieces repeats.
    Samples {
        description: Rc<[u8]>,
        samples: Reader<'a>,
    },
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

/// Cuts an unpacked message into parts of which each weighs at most `limit` bytes once packed. A message
/// that is below the limit already comes back as one part.
pub fn split(message: &[u8], version: Version, limit: usize) -> Result<Vec<Part>, SplitError> {
    inspect::count(message, version)?;
    let most = message.len().saturating_mul(2).saturating_add(limit);
    let mut rewriter = Rewriter::new(message, version)?;
    let mut packer = Packer::new();
    let mut parts = Vec::new();
    let mut size = 0_usize;
    // The last one is the next one, so that the message's order is kept.
    let mut ahead = vec![Stretch::Fields(Reader::new(message))];
    while let Some(stretch) = ahead.pop() {
        let part = rewriter.write(&stretch)?;
        match packer.pack(part, limit)? {
            Packed::Within(body) => {
                size = size.saturating_add(body.len());
                if size > most {
                    return Err(SplitError::Inflated { limit });
                }
                let contents = inspect::count(part, version)?;
                parts.push(Part { body, contents });
            }
            Packed::Over { pieces } => {
                let pieces = cut(stretch, version, pieces, limit)?;
                ahead.extend(pieces.into_iter().rev());
            }
        }
    }
    Ok(parts)
}

/// Cuts a stretch into at most so many `pieces`, but at least two.
fn cut(
    stretch: Stretch<'_>,
    version: Version,
    pieces: usize,
    limit: usize,
) -> Result<Vec<Stretch<'_>>, SplitError> {
    let fields = match stretch {
        Stretch::Fields(fields) => fields,
        Stretch::Samples {
            description,
            samples,
        } => return cut_series(description, samples, version, pieces, limit),
    };
    let counts = |number| !rewrite::is_symbol(version, number);
    let cut = cut_fields(fields, pieces, counts)?;
    if cut.len() > 1 {
        return Ok(cut.into_iter().map(Stretch::Fields).collect());
    }
    match find(fields, counts)? {
        Some(field) if rewrite::is_series(version, field.key.number) => {
            let description = rewrite::description(field.value, version)?;
            cut_series(description, field.value, version, pieces, limit)
        }
        Some(field) => Err(SplitError::FieldTooLarge {
            offset: field.value.offset(),
            number: field.key.number,
            limit,
        }),
        None => Err(SplitError::Inflated { limit }),
    }
}

fn cut_series(
    description: Rc<[u8]>,
    samples: Reader<'_>,
    version: Version,
    pieces: usize,
    limit: usize,
) -> Result<Vec<Stretch<'_>>, SplitError> {
    let counts = |number| !rewrite::describes(version, number);
    let cut = cut_fields(samples, pieces, counts)?;
    if cut.len() < 2 {
        let offset = samples.offset();
        return Err(SplitError::SeriesTooLarge { offset, limit });
    }
    let piece = |samples| Stretch::Samples {
        description: Rc::clone(&description),
        samples,
    };
    Ok(cut.into_iter().map(piece).collect())
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
