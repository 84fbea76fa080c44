//! Reads the request body within limits of size and time.
//!
//! In: an [`Admitted`] and the request's body. Out: a [`Received`] (the body as the chunks that arrived, hashed while reading)
//! or a verdict. The size is checked while streaming, because a sender may declare no length or a wrong one. A slow sender's
//! connection is closed; it never gets 408, on which Prometheus drops the batch.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use sha2::{Digest, Sha256};

use crate::batch::admission::Admitted;
use crate::http::body::ChunkedBody;
use crate::outcome::verdict::Verdict;

/// Time from the request head to the last byte of the body.
const LONGEST_READ: Duration = Duration::from_secs(30);

/// A complete body with the budget reserved for it.
#[derive(Debug)]
pub struct Received {
    /// The body in the chunks that arrived.
    pub chunks: ChunkedBody,
    /// SHA-256 of the body in lower-case hexadecimal, as the signature needs it.
    pub payload_hash: String,
    /// The budget reserved for the body.
    pub admitted: Admitted,
}

/// Reads at most `limit` bytes of body.
///
/// # Errors
/// The [`Verdict`] on a body that is too large, too slow or truncated, or for which there is no budget.
pub async fn receive<B>(admitted: Admitted, body: B, limit: usize) -> Result<Received, Verdict>
where
    B: Body<Data = Bytes> + Unpin,
{
    match tokio::time::timeout(LONGEST_READ, read(admitted, body, limit)).await {
        Ok(result) => result,
        Err(_) => Err(Verdict::SlowSender),
    }
}

async fn read<B>(mut admitted: Admitted, mut body: B, limit: usize) -> Result<Received, Verdict>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut hash = Sha256::new();
    let mut chunks = Vec::with_capacity(4);
    let mut len: usize = 0;
    while let Some(frame) = body.frame().await {
        // Remote write uses no trailers.
        let Ok(chunk) = frame.map_err(|_| Verdict::SenderGone)?.into_data() else {
            continue;
        };
        len = len.saturating_add(chunk.len());
        if len > limit {
            return Err(Verdict::TooLarge { limit });
        }
        admitted.grow_to(len).await?;
        hash.update(&chunk);
        chunks.push(chunk);
    }
    Ok(Received {
        chunks: ChunkedBody::new(chunks),
        payload_hash: hex::encode(hash.finalize()),
        admitted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::admission::Admission;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::time::{Instant, Interval, interval};

    /// One byte per tick, without end.
    struct Dribble(Interval);

    impl Body for Dribble {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0
                .poll_tick(cx)
                .map(|_| Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_is_closed_and_its_budget_is_released() {
        let admission = Admission::new(1 << 20, 50);
        let admitted = admission.admit(None, None).await.unwrap();
        let started = Instant::now();
        let result = receive(admitted, Dribble(interval(Duration::from_secs(1))), 1 << 20).await;
        assert!(matches!(result, Err(Verdict::SlowSender)), "{result:?}");
        assert_eq!(started.elapsed(), LONGEST_READ);
        assert_eq!(
            (admission.bytes_in_flight(), admission.requests_in_flight()),
            (0, 0)
        );
    }

    #[tokio::test]
    async fn the_hash_covers_the_whole_body_in_any_chunking() {
        let chunks = [&b"a body"[..], b"", b" of some", b" bytes"];
        let chunks =
            chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from_static(chunk))));
        let body = StreamBody::new(futures_util::stream::iter(chunks));
        let admitted = Admission::new(1000, 50)
            .admit(Some(20), None)
            .await
            .unwrap();
        let received = receive(admitted, body, 1000).await.unwrap();
        assert_eq!(received.chunks.contiguous(), &b"a body of some bytes"[..]);
        assert_eq!(
            received.payload_hash,
            hex::encode(Sha256::digest(b"a body of some bytes"))
        );
    }
}
