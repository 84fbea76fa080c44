//! The sidecar's own metrics, scraped over its admin listener.
//!
//! In: a connection to that listener. Out: [`Metrics`], the values by family and labels, as exposed.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::world::address;

/// Every sample of a scrape.
#[derive(Debug, Default)]
pub struct Metrics(String);

// === impl Metrics ===

impl Metrics {
    /// `None` if the scrape fails.
    pub async fn read(
        connections: &mpsc::Sender<(DuplexStream, std::net::IpAddr)>,
    ) -> Option<Self> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        connections.send((theirs, address(None))).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.ok()?;
        let driving = tokio::spawn(connection);
        let request = Request::get("/metrics").header("host", "127.0.0.1:9095");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.ok()?;
        let body = response.into_body().collect().await.ok()?.to_bytes();
        drop(sender);
        driving.await.ok()?.ok()?;
        Some(Self(String::from_utf8(body.to_vec()).ok()?))
    }

    /// The sum over the samples of a family whose labels contain this text.
    pub fn sum(&self, family: &str, labels: &str) -> u64 {
        let number = |connection: &str| {
            let rest = connection.strip_prefix(family)?;
            let (named, number) = rest.rsplit_once(' ')?;
            let is_it = named.is_empty() || named.starts_with('{');
            (is_it && named.contains(labels)).then(|| number.parse::<f64>().unwrap())
        };
        self.0.lines().filter_map(number).sum::<f64>() as u64
    }

    /// Samples that AMP accepted.
    pub fn forwarded(&self) -> u64 {
        self.sum("amp_sidecar_forwarded_samples_total", "")
    }

    /// Samples in batches that were refused for good.
    pub fn refused(&self, reason: &str) -> u64 {
        self.sum("amp_sidecar_samples_in_refused_batches_total", reason)
    }
}
