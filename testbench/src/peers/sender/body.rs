//! The bodies that a built-in sender writes, in either version of the protocol, and what an answer to each means.
//!
//! In: points, each with its series' labels. Out: a snappy body with one entry a sample, as Prometheus', and the headers
//! that go with it. Version 2.0 behaves as newest Prometheus: a series with an exemplar has a second entry that holds the
//! exemplar alone, and how many samples were stored is read from `-Written` alone, whatever the status is: a 2xx without it
//! counts as failed.

use bytes::Bytes;
use http::HeaderMap;
use prost::Message as _;
use remote_write_proto::{v1, v2};

use emulator::amp::Labels;

const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// Which version of the protocol is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Schema {
    /// 1.0
    #[default]
    V1,
    /// 2.0
    V2 {
        /// Whether each batch holds an exemplar, in an entry of its own.
        exemplars: bool,
    },
}

/// A sample and the series that it is of.
pub(super) struct Entry<'a> {
    pub(super) labels: &'a Labels,
    pub(super) timestamp: i64,
    pub(super) value: f64,
}

// === impl Schema ===

impl Schema {
    /// The packed message.
    pub(super) fn pack<'a>(
        self,
        entries: impl Iterator<Item = Entry<'a>>,
    ) -> Result<Bytes, snap::Error> {
        let message = v1::WriteRequest {
            timeseries: entries.map(|entry| entry.to_proto()).collect(),
            metadata: Vec::new(),
        };
        let plain = match self {
            Self::V1 => message.encode_to_vec(),
            Self::V2 { exemplars } => {
                let mut message = v2::Request::from(message);
                if exemplars {
                    add_exemplar(&mut message);
                }
                message.encode_to_vec()
            }
        };
        let packed = snap::raw::Encoder::new().compress_vec(&plain)?;
        Ok(Bytes::from(packed))
    }

    /// Its `Content-Type` and `X-Prometheus-Remote-Write-Version`.
    pub(super) fn headers(self) -> [&'static str; 2] {
        match self {
            Self::V1 => ["application/x-protobuf", "0.1.0"],
            Self::V2 { .. } => [
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "2.0.0",
            ],
        }
    }

    /// How many of a batch's samples are stored, by an answer that is final.
    pub(super) fn stored(self, is_success: bool, headers: &HeaderMap, samples: u64) -> u64 {
        match self {
            Self::V1 if is_success => samples,
            Self::V1 => 0,
            Self::V2 { .. } => {
                let written = headers.get(SAMPLES_WRITTEN);
                let written = written.and_then(|value| value.to_str().ok()?.parse().ok());
                written.map_or(0, |written: u64| written.min(samples))
            }
        }
    }
}

impl Entry<'_> {
    fn to_proto(&self) -> v1::TimeSeries {
        v1::TimeSeries {
            labels: to_proto(self.labels),
            samples: vec![v1::Sample {
                value: self.value,
                timestamp: self.timestamp,
            }],
            ..Default::default()
        }
    }
}

/// The labels as the messages have them.
pub(crate) fn to_proto(labels: &Labels) -> Vec<v1::Label> {
    let label = |(name, value): (&str, &str)| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    labels.iter().map(label).collect()
}

/// Gives the first series an exemplar, in an entry that has nothing else.
fn add_exemplar(message: &mut v2::Request) {
    let Some(first) = message.timeseries.first() else {
        return;
    };
    let timestamp = first.samples.first().map_or(0, |sample| sample.timestamp);
    let labels_refs = first.labels_refs.clone();
    let mut refer = |symbol: &str| {
        message.symbols.push(symbol.to_owned());
        u32::try_from(message.symbols.len() - 1).unwrap_or_default()
    };
    let exemplar = v2::Exemplar {
        labels_refs: vec![refer("trace_id"), refer("4bf92f3577b34da6")],
        value: 0.5,
        timestamp,
    };
    message.timeseries.push(v2::TimeSeries {
        labels_refs,
        exemplars: vec![exemplar],
        ..Default::default()
    });
}
