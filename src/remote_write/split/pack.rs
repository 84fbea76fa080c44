//! Packs a part with snappy, and stops as soon as it is over the limit.
//!
//! In: a part's message and the limits. Out: the packed body, or into how many pieces the message must be
//! cut for each to fit in. Snappy packs 64 KiB at a time without looking back, so packing these blocks one
//! by one gives the very bytes that packing the whole gives, but needs no room for the worst case of the
//! whole, and costs no more than a part even where the message is many times too large.

use bytes::Bytes;

use crate::remote_write::wire::{Reader, put_varint};

/// The most that a part may weigh, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLimits {
    /// Once packed.
    pub packed: usize,
    /// Unpacked, where that counts too.
    pub unpacked: Option<usize>,
}

/// What snappy looks at in one go.
const BLOCK: usize = 1 << 16;

/// No message is cut into more pieces at once; those still too large are cut again.
const MAX_PIECES: usize = 1024;

/// What came of packing a part.
pub(super) enum Packed {
    Within(Bytes),
    Over { pieces: usize },
}

/// Packs one part after the other, reusing the memory that one block takes.
pub(super) struct Packer {
    encoder: snap::raw::Encoder,
    block: Vec<u8>,
}

// === impl Packer ===

impl Packer {
    pub(super) fn new() -> Self {
        Self {
            encoder: snap::raw::Encoder::new(),
            block: vec![0; snap::raw::max_compress_len(BLOCK)],
        }
    }

    /// Packs a part that is within the limits, or any part where there are none.
    pub(super) fn pack(
        &mut self,
        part: &[u8],
        limits: Option<PartLimits>,
    ) -> Result<Packed, snap::Error> {
        let limit = limits.map_or(usize::MAX, |limits| limits.packed);
        let unpacked = limits.and_then(|limits| limits.unpacked);
        if let Some(unpacked) = unpacked.filter(|unpacked| part.len() > *unpacked) {
            return Ok(Packed::Over {
                pieces: pieces(part.len(), unpacked),
            });
        }
        let mut body = Vec::new();
        put_varint(part.len() as u64, &mut body);
        let mut done = 0;
        for block in part.chunks(BLOCK) {
            let length = self.encoder.compress(block, &mut self.block)?;
            let mut elements = Reader::new(self.block.get(..length).unwrap_or_default());
            // A block of its own begins with its size, which the whole states only once.
            elements.varint().map_err(|_| snap::Error::Header)?;
            body.extend_from_slice(elements.rest());
            done += block.len();
            if body.len() > limit {
                break;
            }
        }
        if body.len() <= limit {
            return Ok(Packed::Within(body.into()));
        }
        let whole = body.len().saturating_mul(part.len()) / done.max(1);
        Ok(Packed::Over {
            pieces: pieces(whole, limit),
        })
    }
}

/// Into how many pieces something of this size is cut for each to be within the limit. A sixteenth is left free, since
/// they will not be exactly of the same size.
fn pieces(size: usize, limit: usize) -> usize {
    let room = (limit - limit / 16).max(1);
    size.div_ceil(room).clamp(2, MAX_PIECES)
}
