//! The payload of one request to AMP.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::http::body::ChunkedBody;
use crate::remote_write::body_count::{BodyCount, FlowCount};
use crate::remote_write::content_type::WriteProtocol;
use crate::remote_write::contents::Contents;

/// An empty message as a snappy block.
pub(crate) const EMPTY: &[u8] = &[0];

/// The payload of one request to AMP: a batch, or a part of one.
#[derive(Debug)]
pub struct Payload {
    pub(crate) protocol: WriteProtocol,
    pub(crate) chunks: ChunkedBody,
    /// SHA-256 of the body in lower-case hexadecimal.
    pub(crate) payload_hash: String,
    pub(crate) contents: PayloadContents,
    /// Converted to remote write 1.0 from the sender's 2.0.
    pub(crate) is_converted: bool,
    /// It cannot be split.
    pub(crate) is_indivisible: bool,
    /// Parts before it hold samples of its series and must be stored first.
    pub(crate) waits: bool,
}

/// What a payload contains.
#[derive(Debug, Clone)]
pub(crate) enum PayloadContents {
    /// It is known: of a part since the part was made, and of each batch if none is counted.
    Known(Contents),
    /// It is counted when that is needed.
    Countable(Arc<BodyCount>),
}

// === impl Payload ===

impl Payload {
    /// A payload whose body is not hashed yet.
    #[must_use]
    pub fn new(protocol: WriteProtocol, body: Bytes, contents: Contents) -> Self {
        Self {
            protocol,
            payload_hash: hex::encode(Sha256::digest(&body)),
            chunks: ChunkedBody::new(vec![body]),
            contents: PayloadContents::Known(contents),
            is_converted: false,
            is_indivisible: false,
            waits: false,
        }
    }

    /// The uncompressed size that the body declares.
    pub(crate) fn unpacked_len(&self) -> Option<usize> {
        snap::raw::decompress_len(&self.chunks.beginning()).ok()
    }

    /// The key of its record. An indivisible part may have the same bytes as the payload it was cut from.
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

    /// An empty batch: a canary.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(
            WriteProtocol::v1(),
            Bytes::from_static(EMPTY),
            Contents::default(),
        )
    }
}

// === impl PayloadContents ===

impl PayloadContents {
    /// All of it, counted now unless it was before.
    pub(crate) fn exact(&self) -> Contents {
        match self {
            Self::Known(contents) => *contents,
            Self::Countable(count) => count.exact(),
        }
    }

    /// What it adds to a flow.
    pub(crate) fn flow(&self) -> FlowCount {
        match self {
            Self::Known(contents) => FlowCount::Exact(*contents),
            Self::Countable(count) => count.flow(),
        }
    }

    /// All of it if it is known, without counting.
    pub(crate) fn known(&self) -> Option<Contents> {
        match self {
            Self::Known(contents) => Some(*contents),
            Self::Countable(count) => count.known(),
        }
    }

    /// It will be counted, and is not an example of other batches.
    pub(crate) fn require_exact(&self) {
        if let Self::Countable(count) = self {
            count.require_exact();
        }
    }
}
