//! The batches that every proxy is given.
//!
//! In: nothing. Out: [`Body`]s, the same in every run: what a real Prometheus sent, and generated ones of any number of
//! samples, a sample a series. Generated labels hold hashes, as names of pods and containers do, and values are random, so
//! that they compress as badly as bodies ever do, to 85 bytes a sample; real ones have 24.
//!
//! Prometheus 2 sends at most 500 samples in a batch, Prometheus 3 sends 2,000. Such a batch is made of four real requests:
//! concatenated protobuf messages are one message that holds the series of all. It is packed as Go's snappy packs, which a test
//! checks, and also written in version 2.0.

use bytes::Bytes;
use prost::Message as _;
use remote_write_proto::{v1, v2};
use sha2::{Digest as _, Sha256};

/// As Prometheus 2.42 sent them while it scraped itself: 500 samples each.
const REAL: [&[u8]; 3] = [
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0026.bin"),
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0011.bin"),
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0016.bin"),
];
/// More than any of these bodies unpacks to.
const LONGEST: usize = 1 << 20;
/// When generated samples are of, unless they are to be stored: in 2026.
const THEN: i64 = 1_790_000_000_000;

/// A batch.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// As the tables call it.
    pub(crate) name: String,
    kind: BodyKind,
    pub(crate) samples: usize,
    pub(crate) bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    Generated,
    Real,
    /// In remote write 2.0.
    RealV2,
}

/// A real Prometheus 2's 500 samples.
pub(crate) const SMALL: &str = "real";
/// As many real samples as Prometheus 3 sends at once.
pub(crate) const LARGE: &str = "real-2000";

// === impl Body ===

impl Body {
    /// A real Prometheus 2's 500 samples.
    pub(crate) fn real() -> Self {
        let [first, ..] = REAL;
        Self {
            name: SMALL.to_owned(),
            kind: BodyKind::Real,
            samples: 500,
            bytes: Bytes::from_static(first),
        }
    }

    /// The 2,000 real samples that Prometheus 3 would send at once.
    pub(crate) fn real_large() -> Self {
        Self {
            name: LARGE.to_owned(),
            kind: BodyKind::Real,
            samples: 2000,
            bytes: packed(&joined()),
        }
    }

    /// The same series in remote write 2.0.
    pub(crate) fn real_v2() -> Self {
        // It was written by Prometheus; if it were invalid, the body would be empty and its test would fail.
        let series = v1::WriteRequest::decode(joined().as_slice()).unwrap_or_default();
        Self {
            name: "real-2000-v2".to_owned(),
            kind: BodyKind::RealV2,
            samples: 2000,
            bytes: packed(&v2::Request::from(series).encode_to_vec()),
        }
    }

    /// So many samples.
    pub(crate) fn generated(samples: usize) -> Self {
        Self {
            name: samples.to_string(),
            kind: BodyKind::Generated,
            samples,
            bytes: generated(samples, THEN),
        }
    }

    /// One sample of this millisecond, which AMP would store.
    pub(crate) fn fresh(millis: i64) -> Self {
        Self {
            name: "fresh".to_owned(),
            kind: BodyKind::Generated,
            samples: 1,
            bytes: generated(1, millis),
        }
    }

    /// Whether it is remote write 2.0.
    pub(crate) fn is_v2(&self) -> bool {
        self.kind == BodyKind::RealV2
    }

    /// `real, 500 samples, 12 KB`
    pub(crate) fn title(&self) -> String {
        let (samples, len) = (self.samples, (self.bytes.len() + 500) / 1000);
        match self.kind {
            BodyKind::Generated => format!("{samples} samples, {len} KB"),
            BodyKind::Real => format!("real, {samples} samples, {len} KB"),
            BodyKind::RealV2 => format!("real, {samples} samples, 2.0, {len} KB"),
        }
    }
}

/// Four real requests as one. The first is there twice: snappy looks back 64 KiB at most, and the others between them are longer.
fn joined() -> Vec<u8> {
    let [first, ..] = REAL;
    let bodies = REAL.into_iter().chain([first]);
    bodies.flat_map(unpacked).collect()
}

fn unpacked(block: &[u8]) -> Vec<u8> {
    let mut message = vec![0; LONGEST];
    let len = snap::raw::Decoder::new().decompress(block, &mut message);
    message.truncate(len.unwrap_or(0));
    message
}

fn packed(message: &[u8]) -> Bytes {
    // It fails only for messages of 4 GB.
    let block = snap::raw::Encoder::new().compress_vec(message);
    block.unwrap_or_default().into()
}

fn generated(samples: usize, millis: i64) -> Bytes {
    let request = v1::WriteRequest {
        timeseries: (0..samples).map(|n| series(n, millis)).collect(),
        ..Default::default()
    };
    packed(&request.encode_to_vec())
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
        let generated = [Body::generated(10), Body::generated(2000)];
        for body in [Body::real(), Body::real_large()]
            .into_iter()
            .chain(generated)
        {
            let request = v1::WriteRequest::decode(unpacked(&body.bytes).as_slice());
            let series = request.expect("a request").timeseries;
            let samples = series.iter().map(|series| series.samples.len());
            assert_eq!(samples.sum::<usize>(), body.samples, "{}", body.title());
        }
        let generated = Body::generated(2000).bytes.len();
        assert!((160_000..180_000).contains(&generated), "{generated}");
        assert_eq!(Body::generated(9).bytes, Body::generated(9).bytes);
    }

    #[test]
    fn version_2_holds_the_same_series() {
        let first = v1::WriteRequest::decode(unpacked(&Body::real_large().bytes).as_slice());
        let second = v2::Request::decode(unpacked(&Body::real_v2().bytes).as_slice());
        let (first, second) = (first.expect("a request"), second.expect("a request"));
        assert_eq!(second.timeseries.len(), 2000);
        let symbols = &second.symbols;
        for (first, second) in first.timeseries.iter().zip(&second.timeseries) {
            let labels = first
                .labels
                .iter()
                .flat_map(|label| [&label.name, &label.value]);
            let refs = second.labels_refs.iter();
            let texts = refs.map(|symbol| &symbols[*symbol as usize]);
            assert!(labels.eq(texts));
            let [sample] = first.samples.as_slice() else {
                panic!("{first:?}")
            };
            let [same] = second.samples.as_slice() else {
                panic!("{second:?}")
            };
            assert_eq!(
                (sample.timestamp, sample.value.to_bits()),
                (same.timestamp, same.value.to_bits())
            );
        }
    }

    /// Unpacked and packed again, what a real Prometheus sent is the same bytes.
    #[test]
    fn bodies_are_packed_as_go_packs_them() {
        for body in REAL {
            assert_eq!(packed(&unpacked(body)), body);
        }
        // As much as three different requests and a fourth: the one that is there twice was not packed as a copy.
        let large = Body::real_large().bytes.len();
        assert!((45_000..47_000).contains(&large), "{large}");
    }
}
