//! What one request to AMP carries.

use std::borrow::Cow;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::http::body::ChunkedBody;
use crate::remote_write::content_type::WriteProtocol;
use crate::remote_write::contents::Contents;

/// A message that holds nothing, as a snappy block.
pub(crate) const EMPTY: &[u8] = &[0];

/// What one request to AMP carries: a batch, or a part of one.
#[derive(Debug)]
pub struct Payload {
    pub(crate) media: WriteProtocol,
    pub(crate) chunks: ChunkedBody,
    /// SHA-256 of the body, in lower-case hexadecimal.
    pub(crate) payload_hash: String,
    pub(crate) contents: Contents,
    /// It is remote write 1.0 of what the sender sent as 2.0.
    pub(crate) is_converted: bool,
    /// It cannot be cut.
    pub(crate) is_indivisible: bool,
    /// It follows parts that hold samples of its series.
    pub(crate) waits: bool,
}

// === impl Payload ===

impl Payload {
    /// A payload whose body nobody has hashed yet.
    #[must_use]
    pub fn new(media: WriteProtocol, body: Bytes, contents: Contents) -> Self {
        Self {
            media,
            payload_hash: hex::encode(Sha256::digest(&body)),
            chunks: ChunkedBody::new(vec![body]),
            contents,
            is_converted: false,
            is_indivisible: false,
            waits: false,
        }
    }

    /// The size that the body declares to have unpacked.
    pub(crate) fn unpacked_len(&self) -> Option<usize> {
        snap::raw::decompress_len(self.chunks.beginning()).ok()
    }

    /// What it is remembered by. What cannot be cut may have the very bytes of what was to be cut.
    pub(crate) fn key(&self) -> Cow<'_, str> {
        if self.is_indivisible {
            Cow::Owned(format!("{}!", self.payload_hash))
        } else {
            Cow::Borrowed(&self.payload_hash)
        }
    }

    pub(crate) fn into_key(self) -> String {
        match self.key() {
            Cow::Owned(key) => key,
            Cow::Borrowed(_) => self.payload_hash,
        }
    }

    /// A batch that holds nothing: an empty message, packed.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(
            WriteProtocol::v1(),
            Bytes::from_static(EMPTY),
            Contents::default(),
        )
    }
}
