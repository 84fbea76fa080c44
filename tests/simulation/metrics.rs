//! The sidecar's own metrics, asked for over its admin listener.
//!
//! In: the way in to that listener. Out: [`Metrics`], the numbers by family and labels, as the exposition says them.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::world::address;

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics(String);

// === impl Metrics ===

impl Metrics {
    /// None where nobody answers.
    pub async fn read(come: &mpsc::Sender<(DuplexStream, std::net::IpAddr)>) -> Option<Self> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        come.send((theirs, address(None))).await.ok()?;
        let (mut line, connection) = http1::handshake(TokioIo::new(ours)).await.ok()?;
        let driving = tokio::spawn(connection);
        let request = Request::get("/metrics").header("host", "127.0.0.1:9095");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = line.send_request(request).await.ok()?;
        let body = response.into_body().collect().await.ok()?.to_bytes();
        drop(line);
        driving.await.ok()?.ok()?;
        Some(Self(String::from_utf8(body.to_vec()).ok()?))
    }

    /// The sum over a family, of those whose labels hold this text.
    pub fn sum(&self, family: &str, labels: &str) -> u64 {
        let number = |line: &str| {
            let rest = line.strip_prefix(family)?;
            let (named, number) = rest.rsplit_once(' ')?;
            let is_it = named.is_empty() || named.starts_with('{');
            (is_it && named.contains(labels)).then(|| number.parse::<f64>().unwrap())
        };
        self.0.lines().filter_map(number).sum::<f64>() as u64
    }

    /// Samples that AMP has taken.
    pub fn forwarded(&self) -> u64 {
        self.sum("amp_sidecar_forwarded_samples_total", "")
    }

    /// Samples in what was refused for good.
    pub fn refused(&self, reason: &str) -> u64 {
        self.sum("amp_sidecar_samples_in_refused_batches_total", reason)
    }
}
