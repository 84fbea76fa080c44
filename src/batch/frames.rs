//! A body as the chunks in which it arrived.
//!
//! The chunks are shared, not copied: the same ones are inspected, sent, and sent again where that is due. As a
//! [`Body`] its length is exact, so that it leaves with a Content-Length whatever way it came.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Shared chunks, and how many of them were sent.
#[derive(Debug, Clone)]
pub struct Frames {
    chunks: Arc<[Bytes]>,
    sent: usize,
    left: usize,
}

// === impl Frames ===

impl Frames {
    /// A body of these chunks.
    #[must_use]
    pub fn new(chunks: Vec<Bytes>) -> Self {
        let left = chunks.iter().map(Bytes::len).sum();
        Self {
            chunks: chunks.into(),
            sent: 0,
            left,
        }
    }

    /// How many bytes are left to send; all of them before the first was.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The whole body in one piece; copies only where it came in several.
    #[must_use]
    pub fn contiguous(&self) -> Cow<'_, [u8]> {
        match &*self.chunks {
            [] => Cow::Borrowed(&[]),
            [only] => Cow::Borrowed(only),
            several => Cow::Owned(several.concat()),
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(chunk) = self.chunks.get(self.sent).cloned() else {
            return Poll::Ready(None);
        };
        self.sent += 1;
        self.left -= chunk.len();
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.chunks.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
