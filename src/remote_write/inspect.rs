//! Counts what a batch contains.
//!
//! In: the snappy block as the sender sent it, and the schema version that its Content-Type names. Out: the number of series,
//! samples, histograms, exemplars and metadata entries, and the time that they cover; or that the body is of the other version; or why it is [`Malformed`].
//! The body itself is forwarded unchanged.
//!
//! Invariant: a body is called malformed only if no decoder can accept it. Whatever prost accepts of either schema is accepted
//! here and counted alike, including unknown fields, groups and non-minimal varints; invalid UTF-8 in a string is left to AMP,
//! because the wire format allows it.
//!
//! Memory is bounded: before anything is allocated, the declared size is compared with what the block's bytes can expand to
//! ([`MAX_EXPANSION`]) and with the caller's limit. A block that exceeds only the limit is not an error: it is forwarded
//! uncounted.
//!
//! Building the messages with prost was rejected: 680 to 3,900 ns a sample against about 30 for this walk.

pub mod buffer_pool;
mod fast_path;
mod schema;
#[cfg(test)]
mod tests;

use super::wire::{self, Reader, WireType};
use crate::remote_write::contents::Contents;
use schema::{Counted, FieldKind, Message};

/// Maximum expansion of a snappy block, as output over input: an element of three bytes (a copy with a two-byte offset) yields
/// at most 64 bytes. Others yield less: a copy of two bytes 11, one of five bytes 64, a literal no more than its own length.
pub const MAX_EXPANSION: (u64, u64) = (64, 3);

/// The version of the remote-write schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

/// The result of inspecting a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspected {
    /// The batch was counted.
    Counted(Contents),
    /// The body is certainly of the other version than its Content-Type names.
    OtherVersion,
    /// The batch may be valid, but unpacks to more than the limit.
    TooLarge {
        /// The declared uncompressed size.
        declared: u64,
    },
}

/// Why no decoder can accept a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No bytes: even an empty message is one byte of snappy.
    #[error("the body is empty, which is not a snappy block")]
    Empty,
    /// A declared size that no block of this length can expand to.
    #[error(
        "a snappy block of {compressed} bytes cannot hold the {declared} bytes that it declares"
    )]
    ImpossibleSize {
        /// The declared uncompressed size.
        declared: u64,
        /// The length of the block.
        compressed: u64,
    },
    #[error("the body is not a snappy block")]
    Snappy(#[source] snap::Error),
    /// The uncompressed bytes are not protobuf.
    #[error("the body is not a protobuf message: {0}")]
    Wire(#[from] wire::WireError),
}

/// Inspects batches one after the other and reuses its memory.
#[derive(Debug, Default)]
pub struct Inspector {
    buffer: Vec<u8>,
}

// === impl Inspector ===

impl Inspector {
    #[cfg(any(test, feature = "internals"))]
    /// An inspector without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The capacity that it holds, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Counts the contents of a batch, using at most `max_unpacked` bytes.
    pub fn inspect(
        &mut self,
        body: &[u8],
        version: Version,
        max_unpacked: usize,
    ) -> Result<Inspected, Malformed> {
        let size = match declared_size(body, body.len(), max_unpacked)? {
            Declared::Within(size) => size,
            Declared::Beyond(declared) => return Ok(Inspected::TooLarge { declared }),
        };
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        let size = snap::raw::Decoder::new()
            .decompress(body, &mut self.buffer)
            .map_err(Malformed::Snappy)?;
        let message = self.buffer.get(..size).unwrap_or_default();
        let contents = count(message, version)?;
        // Only a batch that seems empty is inspected again as the other version.
        if contents == Contents::default() && is_of_other(message, version) {
            return Ok(Inspected::OtherVersion);
        }
        Ok(Inspected::Counted(contents))
    }
}

/// The declared size of a block, if it is possible.
///
/// # Errors
/// [`Malformed`] if no block of this length can expand to it.
pub fn unpacked_len(body: &[u8]) -> Result<usize, Malformed> {
    unpacked_len_of(body, body.len())
}

/// The same of a block of so many bytes that begins like this.
///
/// # Errors
/// [`Malformed`] if no such block can expand to it.
pub fn unpacked_len_of(beginning: &[u8], len: usize) -> Result<usize, Malformed> {
    match declared_size(beginning, len, usize::MAX)? {
        Declared::Within(size) => Ok(size),
        Declared::Beyond(_) => Ok(usize::MAX),
    }
}

/// Unpacks a batch; `None` if it is larger than `max_unpacked`.
pub fn unpack(body: &[u8], max_unpacked: usize) -> Result<Option<Vec<u8>>, Malformed> {
    let Declared::Within(size) = declared_size(body, body.len(), max_unpacked)? else {
        return Ok(None);
    };
    let mut message = vec![0; size];
    snap::raw::Decoder::new()
        .decompress(body, &mut message)
        .map_err(Malformed::Snappy)?;
    Ok(Some(message))
}

enum Declared {
    Within(usize),
    Beyond(u64),
}

fn declared_size(beginning: &[u8], len: usize, max_unpacked: usize) -> Result<Declared, Malformed> {
    if beginning.is_empty() {
        return Err(Malformed::Empty);
    }
    let size = snap::raw::decompress_len(beginning).map_err(Malformed::Snappy)?;
    // Neither can overflow: snappy declares 32 bits at most, and a body is far below 2^57 bytes.
    let (declared, compressed) = (size as u64, len as u64);
    // The header takes at least one of the bytes.
    let (output, input) = MAX_EXPANSION;
    if declared * input > (compressed - 1) * output {
        return Err(Malformed::ImpossibleSize {
            declared,
            compressed,
        });
    }
    Ok(if size > max_unpacked {
        Declared::Beyond(declared)
    } else {
        Declared::Within(size)
    })
}

/// Whether a block begins with a field of this version: then it is not [`Inspected::OtherVersion`], whatever follows. All senders write
/// such a field first. Costs nothing, since snappy cannot compress the first bytes. True for an empty message; false if `beginning`, the
/// first bytes of the block, is too short to tell.
pub fn begins_as(beginning: &[u8], version: Version) -> bool {
    let length = beginning.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    match beginning.get(length..) {
        // A first element that is not a literal has nothing to copy from.
        Some([tag, literal @ ..]) if tag & 3 == 0 => {
            let more = usize::from(tag >> 2).saturating_sub(59);
            let number = literal.get(more).map(|key| u32::from(key >> 3));
            number.is_some_and(|number| own_fields(version).contains(&number))
        }
        Some([]) => beginning == [0],
        Some(_) | None => false,
    }
}

/// The numbers of a version's fields at the top level.
fn own_fields(version: Version) -> &'static [u32] {
    match version {
        Version::V1 => &[1, 3],
        Version::V2 => &[4, 5],
    }
}

/// Whether a message that is empty in this version has series in the other one. The versions share no field: a batch of one is
/// an empty batch of the other, and a receiver that trusts the content type answers it with 2xx.
fn is_of_other(message: &[u8], version: Version) -> bool {
    let other = match version {
        Version::V1 => Version::V2,
        Version::V2 => Version::V1,
    };
    let (theirs, ours) = (own_fields(other), own_fields(version));
    let mut has_theirs = false;
    let mut fields = Reader::new(message);
    while let Ok(Some(field)) = fields.field() {
        if ours.contains(&field.key.number) {
            return false;
        }
        has_theirs |= theirs.contains(&field.key.number);
    }
    has_theirs && count(message, other).is_ok_and(|contents| contents.series > 0)
}

/// Counts the contents of an uncompressed message.
pub fn count(message: &[u8], version: Version) -> Result<Contents, Malformed> {
    let request = match version {
        Version::V1 => &schema::REQUEST_V1,
        Version::V2 => &schema::REQUEST_V2,
    };
    let mut contents = Contents::default();
    walk(
        Reader::new(message),
        request,
        wire::MAX_DEPTH,
        &mut contents,
    )?;
    Ok(contents)
}

/// Walks one message and returns its timestamp, 0 if it has none. Recursive for nested messages, at most four deep.
fn walk(
    mut reader: Reader<'_>,
    message: &Message,
    depth: u32,
    contents: &mut Contents,
) -> Result<i64, wire::WireError> {
    let mut metadata = 0;
    let mut timestamp = 0;
    loop {
        if let Some(skim) = message.skim {
            reader.skip_to(skim(reader.rest(), contents));
        }
        if reader.is_empty() {
            contents.metadata += metadata;
            return Ok(timestamp);
        }
        let key = reader.key()?;
        let field = usize::try_from(key.number)
            .ok()
            .and_then(|number| message.fields.get(number))
            .unwrap_or(&FieldKind::Unknown);
        match (field, key.wire_type) {
            (FieldKind::Unknown, _) => reader.skip(key, depth)?,
            (FieldKind::Varint | FieldKind::Varints, WireType::Varint) => drop(reader.varint()?),
            (FieldKind::Timestamp, WireType::Varint) => timestamp = reader.varint()? as i64,
            (FieldKind::Fixed64 | FieldKind::Fixed64s, WireType::Fixed64) => drop(reader.take(8)?),
            (FieldKind::Text, WireType::Delimited) => drop(reader.delimited()?),
            (FieldKind::Varints, WireType::Delimited) => {
                let mut packed = reader.delimited()?;
                while !packed.is_empty() {
                    packed.varint()?;
                }
            }
            (FieldKind::Fixed64s, WireType::Delimited) => {
                let mut packed = reader.delimited()?;
                while !packed.is_empty() {
                    packed.take(8)?;
                }
            }
            (FieldKind::Message(message, tally), WireType::Delimited) => {
                let timestamp = walk(reader.delimited()?, message, depth - 1, contents)?;
                match tally {
                    Counted::Nothing => {}
                    Counted::Series => contents.series += 1,
                    Counted::Samples => {
                        contents.samples += 1;
                        contents.timestamps.add(timestamp);
                    }
                    Counted::Histograms => {
                        contents.histograms += 1;
                        contents.timestamps.add(timestamp);
                    }
                    Counted::Exemplars => contents.exemplars += 1,
                    Counted::Metadata => contents.metadata += 1,
                    Counted::MetadataOnce => metadata = 1,
                }
            }
            _ => {
                return Err(wire::WireError::WrongWireType {
                    offset: reader.offset(),
                    number: key.number,
                });
            }
        }
    }
}
