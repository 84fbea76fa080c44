//! Compresses a part with snappy and stops as soon as it exceeds the limit.
//!
//! In: a part's message and the limits. Out: the compressed body, or the number of pieces into which the message must be cut.
//! Snappy compresses 64 KiB blocks independently, so compressing them one by one gives the same bytes as compressing the whole,
//! but needs no memory for the worst case of the whole, and costs no more than one part even if the message is many times too
//! large.

use bytes::Bytes;

use crate::remote_write::wire::{Reader, put_varint};

/// Maximum size of a part, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLimits {
    /// Compressed.
    pub packed: usize,
    /// Uncompressed, if that is limited too.
    pub unpacked: Option<usize>,
}

/// Snappy's block size.
const BLOCK: usize = 1 << 16;

/// Maximum pieces per cut; pieces that are still too large are cut again.
const MAX_PIECES: usize = 1024;

/// The result of compressing a part.
pub(super) enum Packed {
    Within(Bytes),
    Over { pieces: usize },
}

/// Compresses parts one after the other and reuses the memory for a block.
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

    /// Compresses a part that is within the limits, or any part if there are none.
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
            // A separate block begins with its size, which the whole states only once.
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

/// Number of pieces so that each is within the limit. A sixteenth is left free, because pieces are not of equal size.
fn pieces(size: usize, limit: usize) -> usize {
    let room = (limit - limit / 16).max(1);
    size.div_ceil(room).clamp(2, MAX_PIECES)
}
