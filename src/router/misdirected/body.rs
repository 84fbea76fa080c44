//! Tells from a body whether it is a batch, if no header does.
//!
//! In: a request's body, of which at most [`LOOKED_AT`] bytes are read. Out: whether it is a snappy block with a remote-write
//! message. A short body is decompressed and parsed completely. Of a longer one only the start is examined: a snappy block has
//! nothing to copy from yet, so it begins with a literal that contains the first fields of the message.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::remote_write::inspect::{self, Version};

/// Maximum bytes read to classify a body.
const LOOKED_AT: usize = 4096;
/// Maximum bytes read after that, so that the sender reads the response.
const DISCARDED: usize = 2 << 20;
/// Time limit for either read.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than a block of [`LOOKED_AT`] bytes can unpack to.
const UNPACKED: usize = LOOKED_AT * 64 / 3;

/// Whether the body is a batch, judged by its start.
pub async fn is_batch<B>(body: &mut B) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut beginning = Vec::new();
    let reading = async {
        while beginning.len() < LOOKED_AT {
            match body.frame().await {
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    let room = LOOKED_AT - beginning.len();
                    beginning.extend_from_slice(data.get(..room).unwrap_or(&data));
                }
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        false
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(true) => holds_a_batch(&beginning),
        _ => begins_as_a_batch(&beginning).unwrap_or(false),
    }
}

/// Reads the rest within limits: closing the connection earlier may discard the response.
pub async fn discard<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let reading = async {
        let mut len = 0;
        while len < DISCARDED
            && let Some(Ok(frame)) = body.frame().await
        {
            len += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    if tokio::time::timeout(PATIENCE, reading).await.is_err() {
        tracing::debug!("sender did not finish its body in time for the response");
    }
}

/// A message without series or metadata may be anything.
fn holds_a_batch(body: &[u8]) -> bool {
    let Ok(Some(message)) = inspect::unpack(body, UNPACKED) else {
        return false;
    };
    let counted = [Version::V1, Version::V2].map(|version| inspect::count(&message, version));
    counted
        .into_iter()
        .flatten()
        .any(|contents| contents.series + contents.metadata > 0)
}

/// The first fields of a message: in 1.0 a series with a label with its name, or metadata; in 2.0 the empty symbol.
fn begins_as_a_batch(block: &[u8]) -> Option<bool> {
    let (_, block) = varint(block)?;
    let (tag, block) = block.split_first()?;
    // A long literal has its length in the bytes after the tag.
    let more = usize::from((tag >> 2).saturating_sub(59));
    let message = block.get(more..)?;
    let begins = match message {
        [0x22, 0, 0x22, ..] => true,
        [0x1a, rest @ ..] => matches!(varint(rest)?.1, [0x08 | 0x12, ..]),
        _ => begins_a_series(message)?,
    };
    Some(tag & 3 == 0 && begins)
}

/// A series, in it a label, in it the label's name, each shorter than its container.
fn begins_a_series(mut message: &[u8]) -> Option<bool> {
    let mut room = u64::MAX;
    for _ in ["series", "label", "name"] {
        let (key, rest) = message.split_first()?;
        let (len, rest) = varint(rest)?;
        if *key != 0x0a || len == 0 || len >= room {
            return Some(false);
        }
        (room, message) = (len, rest);
    }
    Some(true)
}

/// A length, and the bytes after it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (n, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(n + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use std::convert::Infallible;

    fn packed(message: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(message).unwrap()
    }

    /// Random values, so that no series compresses well.
    fn series(number: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(number as u64);
        let noise: String = (0..60).map(|_| random.alphanumeric()).collect();
        let label = |name: &str, value: &str| {
            let mut field = vec![0x0a, name.len() as u8];
            field.extend_from_slice(name.as_bytes());
            field.extend_from_slice(&[0x12, value.len() as u8]);
            field.extend_from_slice(value.as_bytes());
            [&[0x0a, field.len() as u8][..], &field].concat()
        };
        let labels = [
            label("__name__", &format!("up_{number}")),
            label("n", &noise),
        ]
        .concat();
        let sample = [0x12, 2, 0x10, 5];
        let body = [&labels[..], &sample].concat();
        [&[0x0a, body.len() as u8][..], &body].concat()
    }

    async fn classified(body: Vec<u8>) -> bool {
        is_batch(&mut Full::from(body)).await
    }

    #[tokio::test]
    async fn a_batch_is_recognized_by_its_bytes() {
        let many: Vec<u8> = (0..200).flat_map(series).collect();
        assert!(classified(packed(&series(1))).await);
        assert!(packed(&many).len() > 2 * LOOKED_AT);
        assert!(classified(packed(&many)).await);
        for real in [
            &include_bytes!("../../../tests/data/bodies/prometheus-2.42-0011.bin")[..],
            include_bytes!("../../../tests/data/bodies/prometheus-2.42-0016.bin"),
            include_bytes!("../../../tests/data/bodies/prometheus-2.42-0026.bin"),
            include_bytes!("../../../tests/data/bodies/prometheus-2.42-0030.bin"),
        ] {
            assert!(classified(real.to_vec()).await);
        }
        // Version 2.0: the empty symbol, a name and a series.
        let v2 = [&[0x22, 0, 0x22, 2][..], b"up", &[0x2a, 4, 0x0a, 2, 0, 1]].concat();
        assert!(classified(packed(&v2)).await);
        let long = [&v2[..6], &[0x22, 120], &series(1)[2..62], &series(2)[2..62]].concat();
        let long: Vec<u8> = std::iter::repeat_n(long, 100).flatten().collect();
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = (0..8000).map(|_| random.u8(..)).collect();
        let long = [&long[..], &noise].concat();
        assert!(classified(packed(&long)).await);
        for other in [
            Vec::new(),
            b"query=up&time=1".to_vec(),
            b"{\"streams\": []}".to_vec(),
            vec![0; 9000],
            packed(b""),
            packed(b"some text that somebody packed"),
            packed(&noise),
            series(1),
            many,
            [b"POST ".to_vec(), noise].concat(),
        ] {
            let beginning = format!("{:?}", other.get(..20));
            assert!(!classified(other).await, "{beginning}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_read_than_tells_and_no_longer_waited() {
        let chunk = || Ok::<_, Infallible>(Frame::data(Bytes::from(vec![7; 1000])));
        let mut read = 0;
        let endless = futures_util::stream::repeat_with(|| {
            read += 1;
            chunk()
        });
        assert!(!is_batch(&mut StreamBody::new(endless)).await);
        assert_eq!(read, 5);
        let silent = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        assert!(!is_batch(&mut StreamBody::new(silent)).await);
        let endless = futures_util::stream::repeat_with(|| {
            read += 1;
            chunk()
        });
        discard(StreamBody::new(endless)).await;
        assert_eq!(read, 5 + DISCARDED.div_ceil(1000));
    }
}
