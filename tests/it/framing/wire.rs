//! Bytes to a proxy, and what becomes of them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Whoever says nothing for so long waits for more.
const QUIET: Duration = Duration::from_secs(2);

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    pub bytes: Vec<u8>,
    /// Whether the other side closed the connection.
    pub closed: bool,
}

impl Heard {
    /// The statuses of all answers but 100, in their order.
    pub fn statuses(&self) -> Vec<u16> {
        let text = String::from_utf8_lossy(&self.bytes);
        let heads = text.match_indices("HTTP/1.").map(|(at, _)| &text[at..]);
        heads
            .filter_map(|head| head.get(9..12)?.parse().ok())
            .filter(|status| *status != 100)
            .collect()
    }
}

/// Says `bytes` and listens until the other side closes or has nothing more to say; `ends` closes our half after them.
pub async fn speak(host: &str, bytes: &[u8], ends: bool) -> Heard {
    let (mut from, mut to) = TcpStream::connect(host).await.unwrap().into_split();
    let saying = async {
        // Whoever has heard enough resets the connection.
        if to.write_all(bytes).await.is_ok() && ends {
            to.shutdown().await.unwrap_or_default();
        }
        to
    };
    let listening = async {
        let mut heard = Heard::default();
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
