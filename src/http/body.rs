//! A body as the chunks in which it arrived.
//!
//! The chunks are shared, not copied: inspection, sending and retries use the same ones. As a [`Body`] it has an exact length,
//! so it is always sent with a Content-Length, and it is a single frame, so a writer sees as much of it as it can write at
//! once. With one frame per chunk, hyper would write after each 64 KiB.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};

/// Shared chunks, none of them empty.
#[derive(Debug, Clone)]
pub struct ChunkedBody {
    chunks: Arc<[Bytes]>,
    /// The whole body before it was sent, empty after.
    left: usize,
}

/// Position in the chunks while they are sent.
#[derive(Debug)]
pub struct Cursor {
    chunks: Arc<[Bytes]>,
    /// Chunks that were sent, and bytes of the next one.
    sent: (usize, usize),
    left: usize,
}

// === impl ChunkedBody ===

impl ChunkedBody {
    /// A body of these chunks.
    #[must_use]
    pub fn new(mut chunks: Vec<Bytes>) -> Self {
        chunks.retain(|chunk| !chunk.is_empty());
        let left = chunks.iter().map(Bytes::len).sum();
        Self {
            chunks: chunks.into(),
            left,
        }
    }

    /// Bytes left to send.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether nothing is left to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The first bytes, at least 16 if there are so many.
    #[must_use]
    pub fn beginning(&self) -> Cow<'_, [u8]> {
        match &*self.chunks {
            [first, ..] if first.len() >= 16 => Cow::Borrowed(first),
            _ => self.contiguous(),
        }
    }

    /// The body in one piece; copies only if there are several chunks.
    #[must_use]
    pub fn contiguous(&self) -> Cow<'_, [u8]> {
        match &*self.chunks {
            [] => Cow::Borrowed(&[]),
            [only] => Cow::Borrowed(only),
            several => Cow::Owned(several.concat()),
        }
    }
}

impl Body for ChunkedBody {
    type Data = Cursor;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Cursor>, Infallible>>> {
        let left = std::mem::take(&mut self.left);
        Poll::Ready((left > 0).then(|| {
            Ok(Frame::data(Cursor {
                chunks: Arc::clone(&self.chunks),
                sent: (0, 0),
                left,
            }))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

// === impl Cursor ===

impl Cursor {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (chunks, bytes) = self.sent;
        let mut rest = self.chunks.iter().skip(chunks);
        let first = rest.next().and_then(|chunk| chunk.get(bytes..));
        first.into_iter().chain(rest.map(AsRef::as_ref))
    }
}

impl Buf for Cursor {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.slices().next().unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let slices = self.slices().zip(into);
        slices
            .map(|(slice, into)| *into = IoSlice::new(slice))
            .count()
    }

    fn advance(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        let (chunks, bytes) = &mut self.sent;
        *bytes += count;
        while let Some(chunk) = self.chunks.get(*chunks)
            && *bytes >= chunk.len()
        {
            *bytes -= chunk.len();
            *chunks += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    /// Reading in steps of any size leaves the correct rest.
    #[tokio::test]
    async fn it_is_sent_whole_whatever_was_taken_at_a_time() {
        let chunks = ["a body", "", " of", " ", "some bytes"];
        let chunks = ChunkedBody::new(
            chunks
                .map(|chunk| Bytes::from_static(chunk.as_bytes()))
                .into(),
        );
        let whole = chunks.contiguous().into_owned();
        for step in 1..=whole.len() {
            let mut body = chunks.clone();
            assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
            let mut rest = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(body.is_end_stream() && body.frame().await.is_none());
            let mut sent = 0;
            while rest.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = rest.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..filled]
                    .iter()
                    .flat_map(|slice| slice.to_vec())
                    .collect();
                assert!(!rest.chunk().is_empty() && seen.starts_with(rest.chunk()));
                assert!(whole[sent..].starts_with(&seen) && rest.remaining() == whole.len() - sent);
                let step = step.min(rest.remaining());
                rest.advance(step);
                sent += step;
            }
            assert_eq!(sent, whole.len());
        }
    }
}
