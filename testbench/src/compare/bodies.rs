//! The batches that every proxy is given.
//!
//! In: nothing. Out: [`Body`]s, the same in every run: one that a real Prometheus sent, and generated ones of any number of
//! samples, a sample a series. Generated labels hold hashes, as names of pods and containers do, and values are random, so
//! that they compress as badly as bodies ever do, to 85 bytes a sample; the real one has 24.

use bytes::Bytes;
use prost::Message as _;
use remote_write_proto::v1;
use sha2::{Digest as _, Sha256};

/// As Prometheus 2.42 sent it while it scraped itself.
const REAL: &[u8] = include_bytes!("../../../tests/data/bodies/prometheus-2.42-0026.bin");
/// When generated samples are of, unless they are to be stored: in 2026.
const THEN: i64 = 1_790_000_000_000;

/// A batch.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// As the tables call it.
    pub(crate) name: String,
    pub(crate) samples: usize,
    pub(crate) bytes: Bytes,
}

// === impl Body ===

impl Body {
    /// A real Prometheus' 500 samples.
    pub(crate) fn real() -> Self {
        Self {
            name: "real".to_owned(),
            samples: 500,
            bytes: Bytes::from_static(REAL),
        }
    }

    /// So many samples.
    pub(crate) fn generated(samples: usize) -> Self {
        Self {
            name: samples.to_string(),
            samples,
            bytes: generated(samples, THEN),
        }
    }

    /// One sample of this millisecond, which AMP would store.
    pub(crate) fn fresh(millis: i64) -> Self {
        Self {
            name: "fresh".to_owned(),
            samples: 1,
            bytes: generated(1, millis),
        }
    }

    /// `real, 12 KB`
    pub(crate) fn title(&self) -> String {
        let (samples, len) = (self.samples, (self.bytes.len() + 500) / 1000);
        if self.name == "real" {
            format!("real, {samples} samples, {len} KB")
        } else {
            format!("{samples} samples, {len} KB")
        }
    }
}

fn generated(samples: usize, millis: i64) -> Bytes {
    let request = v1::WriteRequest {
        timeseries: (0..samples).map(|n| series(n, millis)).collect(),
        ..Default::default()
    };
    let message = request.encode_to_vec();
    // It fails only for messages of 4 GB.
    let block = snap::raw::Encoder::new().compress_vec(&message);
    block.unwrap_or_default().into()
}

fn series(n: usize, millis: i64) -> v1::TimeSeries {
    let hash: [u8; 32] = Sha256::digest(n.to_le_bytes()).into();
    let label = |name: &str, value: String| v1::Label {
        name: name.to_owned(),
        value,
    };
    let [a, b, c, d, e, f, g, h, rest @ ..] = hash;
    v1::TimeSeries {
        labels: vec![
            label("__name__", format!("container_metric_{}_total", n % 50)),
            label("container_id", hex::encode(rest)),
            label("job", "kubelet".to_owned()),
            label("namespace", format!("team-{}", n % 20)),
            label("node", format!("aks-pool-{}", n % 7)),
            label("pod", format!("app-{}", hex::encode([a, b, c, d]))),
        ],
        samples: vec![v1::Sample {
            // Any number will do, as long as it is one.
            value: f64::from_bits(u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 2),
            timestamp: millis,
        }],
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_what_it_says_and_is_as_large_as_a_bad_one() {
        for body in [Body::real(), Body::generated(10), Body::generated(2000)] {
            let mut message = vec![0; snap::raw::decompress_len(&body.bytes).expect("snappy")];
            snap::raw::Decoder::new()
                .decompress(&body.bytes, &mut message)
                .expect("snappy");
            let request = v1::WriteRequest::decode(message.as_slice()).expect("a request");
            let samples = request.timeseries.iter().map(|series| series.samples.len());
            assert_eq!(samples.sum::<usize>(), body.samples, "{}", body.title());
        }
        let generated = Body::generated(2000).bytes.len();
        assert!((160_000..180_000).contains(&generated), "{generated}");
        assert_eq!(Body::generated(9).bytes, Body::generated(9).bytes);
    }
}
