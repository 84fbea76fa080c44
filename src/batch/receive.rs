//! A bounded, timed read of the body.
//!
//! In: an [`Admitted`] and the request's body. Out: a [`Received`]: the body as the chunks that arrived, hashed on the way,
//! or a verdict. The size is counted while it streams, since a sender may declare none or a wrong one. A sender that is
//! slow is closed and never answered 408, which Prometheus takes as "drop the batch".

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use sha2::{Digest, Sha256};

use crate::batch::admission::Admitted;
use crate::http::body::ChunkedBody;
use crate::outcome::verdict::Verdict;

/// From head to last byte.
const LONGEST_READ: Duration = Duration::from_secs(30);

/// A whole body, with the room that it takes.
#[derive(Debug)]
pub struct Received {
    /// The chunks.
    pub chunks: ChunkedBody,
    /// SHA-256 of the body, in lower-case hexadecimal, as a signature needs it.
    pub payload_hash: String,
    /// The room it takes.
    pub admitted: Admitted,
}

/// Reads the body, at most `limit` bytes of it.
///
/// # Errors
/// The [`Verdict`] on a body that is too large, too slow, cut short, or finds no room.
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
        // Trailers are no part of a remote-write body.
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

    /// A byte at every tick, without end.
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
    async fn a_sender_that_dribbles_is_closed_and_its_room_is_free_again() {
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
    async fn the_hash_is_that_of_the_whole_body_however_it_came() {
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
