//! Remote-write bodies with current timestamps, made with prost.

use std::time::{SystemTime, UNIX_EPOCH};

use emulator::amp::Labels;
use emulator::amp::proto::{v1, v2};
use prost::Message;

/// A batch and its expected samples.
pub struct Batch {
    pub body: Vec<u8>,
    pub samples: Vec<(Labels, i64)>,
}

pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
        .try_into()
        .unwrap()
}

fn labels(name: &str, n: usize) -> Vec<(String, String)> {
    vec![
        ("__name__".into(), name.into()),
        ("instance".into(), format!("host-{n:05}")),
        ("job".into(), "test".into()),
    ]
}

/// Version 1.0: `series` series of one sample each, at `at`.
pub fn v1_at(name: &str, series: usize, at: i64) -> Batch {
    let all: Vec<_> = (0..series).map(|n| labels(name, n)).collect();
    let timeseries = all
        .iter()
        .enumerate()
        .map(|(n, labels)| v1::TimeSeries {
            labels: labels
                .iter()
                .map(|(name, value)| v1::Label {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            samples: vec![v1::Sample {
                value: n as f64,
                timestamp: at,
            }],
            ..Default::default()
        })
        .collect();
    let message = v1::WriteRequest {
        timeseries,
        metadata: Vec::new(),
    };
    let samples = all
        .into_iter()
        .map(|labels| (Labels::new(labels), at))
        .collect();
    Batch {
        body: snappy(&message.encode_to_vec()),
        samples,
    }
}

pub fn v1(name: &str, series: usize) -> Batch {
    v1_at(name, series, now_ms())
}

/// Version 2.0, ending with a series that has only an exemplar, as Prometheus 3 sends them.
pub fn v2_with_exemplars_alone(name: &str, series: usize) -> Batch {
    let Batch { body, samples } = v2(name, series);
    let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let mut message = v2::Request::decode(&*message).unwrap();
    let exemplars = message.timeseries[0].exemplars.clone();
    message.timeseries.push(v2::TimeSeries {
        labels_refs: message.timeseries[0].labels_refs.clone(),
        exemplars,
        ..Default::default()
    });
    Batch {
        body: snappy(&message.encode_to_vec()),
        samples,
    }
}

/// Version 2.0, with metadata, an exemplar and a native histogram on the first series.
pub fn v2(name: &str, series: usize) -> Batch {
    let at = now_ms();
    let mut symbols = vec![String::new()];
    let mut symbol = |text: &str| -> u32 {
        if let Some(known) = symbols.iter().position(|known| known == text) {
            return known as u32;
        }
        symbols.push(text.to_owned());
        symbols.len() as u32 - 1
    };
    let help = symbol("What it is for.");
    let (trace, id) = (symbol("trace_id"), symbol("abc"));
    let mut samples = Vec::new();
    let mut timeseries = Vec::new();
    for n in 0..series {
        let labels = labels(name, n);
        timeseries.push(v2::TimeSeries {
            labels_refs: labels
                .iter()
                .flat_map(|(name, value)| [symbol(name), symbol(value)])
                .collect(),
            samples: vec![v2::Sample {
                value: n as f64,
                timestamp: at,
                ..Default::default()
            }],
            metadata: Some(v2::Metadata {
                r#type: v2::metadata::MetricType::Gauge.into(),
                help_ref: help,
                unit_ref: 0,
            }),
            ..Default::default()
        });
        samples.push((Labels::new(labels), at));
    }
    timeseries[0].exemplars = vec![v2::Exemplar {
        labels_refs: vec![trace, id],
        value: 1.0,
        timestamp: at,
    }];
    let histogram_labels = labels(&format!("{name}_histogram"), 0);
    timeseries.push(v2::TimeSeries {
        labels_refs: histogram_labels
            .iter()
            .flat_map(|(name, value)| [symbol(name), symbol(value)])
            .collect(),
        histograms: vec![v2::Histogram {
            count: Some(v2::histogram::Count::CountInt(1)),
            zero_count: Some(v2::histogram::ZeroCount::ZeroCountInt(0)),
            sum: 1.0,
            positive_spans: vec![v2::BucketSpan {
                offset: 0,
                length: 1,
            }],
            positive_deltas: vec![1],
            timestamp: at,
            ..Default::default()
        }],
        ..Default::default()
    });
    samples.push((Labels::new(histogram_labels), at));
    let message = v2::Request {
        symbols,
        timeseries,
    };
    Batch {
        body: snappy(&message.encode_to_vec()),
        samples,
    }
}

pub fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

/// Several incompressible series: `bytes` is the number of random bytes in a label.
pub fn incompressible(name: &str, series: usize, bytes: usize) -> Batch {
    let at = now_ms();
    let mut timeseries = Vec::new();
    let mut samples = Vec::new();
    for n in 0..series {
        let mut labels = labels(name, n);
        let noise: String = (0..bytes).map(|_| fastrand::alphanumeric()).collect();
        labels.push(("noise".into(), noise));
        timeseries.push(v1::TimeSeries {
            labels: labels
                .iter()
                .map(|(name, value)| v1::Label {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            samples: vec![v1::Sample {
                value: n as f64,
                timestamp: at,
            }],
            ..Default::default()
        });
        samples.push((Labels::new(labels), at));
    }
    let message = v1::WriteRequest {
        timeseries,
        metadata: Vec::new(),
    };
    Batch {
        body: snappy(&message.encode_to_vec()),
        samples,
    }
}
