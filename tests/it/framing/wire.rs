//! Sends bytes to a proxy, and reads the result.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A peer that is silent for this long waits for more.
const QUIET: Duration = Duration::from_secs(2);

/// The result.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub bytes: Vec<u8>,
    /// Whether the other side closed the connection.
    pub closed: bool,
}

impl Reply {
    /// The statuses of all responses but 100, in order.
    pub fn statuses(&self) -> Vec<u16> {
        let text = String::from_utf8_lossy(&self.bytes);
        let heads = text.match_indices("HTTP/1.").map(|(at, _)| &text[at..]);
        heads
            .filter_map(|head| head.get(9..12)?.parse().ok())
            .filter(|status| *status != 100)
            .collect()
    }
}

/// Sends `bytes` and reads until the peer closes or is silent; `ends` closes our half after them.
pub async fn speak(host: &str, bytes: &[u8], ends: bool) -> Reply {
    let (mut from, mut to) = TcpStream::connect(host).await.unwrap().into_split();
    let saying = async {
        // The peer may have closed early and reset the connection.
        if to.write_all(bytes).await.is_ok() && ends {
            to.shutdown().await.unwrap_or_default();
        }
        to
    };
    let listening = async {
        let mut heard = Reply::default();
        let mut piece = vec![0; 16 * 1024];
        loop {
            match timeout(QUIET, from.read(&mut piece)).await {
                Ok(Ok(0) | Err(_)) => {
                    heard.closed = true;
                    return heard;
                }
                Ok(Ok(len)) => heard.bytes.extend_from_slice(&piece[..len]),
                Err(_) => return heard,
            }
        }
    };
    let (_open, heard) = tokio::join!(saying, listening);
    heard
}
