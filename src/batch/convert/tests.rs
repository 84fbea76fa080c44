//! What is converted, held against an independent conversion through prost's types.

use proptest::prelude::*;
use prost::Message as _;
use remote_write_proto::{v1, v2};

use super::*;
use crate::batch::wire::random;

const UNLIMITED: usize = usize::MAX;

/// The same by prost's types; `None` where a reference is bad.
fn expected(request: &v2::Request) -> Option<v1::WriteRequest> {
    let text = |reference: u32| -> Option<String> {
        match request.symbols.get(reference as usize) {
            None if reference == 0 => Some(String::new()),
            symbol => symbol.cloned(),
        }
    };
    let labels = |references: &[u32]| -> Option<Vec<v1::Label>> {
        if references.len() % 2 != 0 {
            return None;
        }
        let label = |pair: &[u32]| {
            Some(v1::Label {
                name: text(pair[0])?,
                value: text(pair[1])?,
            })
        };
        references.chunks(2).map(label).collect()
    };
    let mut whole = v1::WriteRequest::default();
    for series in &request.timeseries {
        let own = labels(&series.labels_refs)?;
        if let Some(metadata) = series.metadata {
            let (help, unit) = (text(metadata.help_ref)?, text(metadata.unit_ref)?);
            let name = own.iter().find(|label| label.name == "__name__");
            let name = name.map_or("", |label| &label.value);
            let suffixes: &[&str] = match metadata.r#type {
                3 => &["_bucket", "_sum", "_count"],
                4 => &["_bucket", "_gsum", "_gcount"],
                5 => &["_sum", "_count"],
                _ => &[],
            };
            let bare = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            let family = bare.filter(|bare| !bare.is_empty()).unwrap_or(name);
            let known = |entry: &v1::MetricMetadata| entry.metric_family_name == family;
            let says = metadata.r#type != 0 || !help.is_empty() || !unit.is_empty();
            if says && !whole.metadata.iter().any(known) {
                whole.metadata.push(v1::MetricMetadata {
                    r#type: metadata.r#type,
                    metric_family_name: family.to_owned(),
                    help,
                    unit,
                });
            }
        }
        let exemplar = |exemplar: &v2::Exemplar| {
            Some(v1::Exemplar {
                labels: labels(&exemplar.labels_refs)?,
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            })
        };
        let sample = |sample: &v2::Sample| v1::Sample {
            value: sample.value,
            timestamp: sample.timestamp,
        };
        let histogram = |histogram: &v2::Histogram| {
            let bytes = v2::Histogram {
                start_timestamp: 0,
                ..histogram.clone()
            };
            v1::Histogram::decode(&*bytes.encode_to_vec()).unwrap()
        };
        whole.timeseries.push(v1::TimeSeries {
            labels: own,
            samples: series.samples.iter().map(sample).collect(),
            exemplars: series
                .exemplars
                .iter()
                .map(exemplar)
                .collect::<Option<_>>()?,
            histograms: series.histograms.iter().map(histogram).collect(),
        });
    }
    Some(whole)
}

/// Numbers that are none do not equal themselves.
fn bytes(request: &v1::WriteRequest) -> Vec<u8> {
    request.encode_to_vec()
}

proptest! {
    #[test]
    fn says_what_prost_would_say(request in random::request_v2()) {
        let converted = to_v1(&request.encode_to_vec(), UNLIMITED);
        match expected(&request) {
            None => {
                let is_named = matches!(
                    converted,
                    Err(ConvertError::Reference { .. } | ConvertError::OddReferences { .. })
                );
                prop_assert!(is_named);
            }
            Some(expected) => {
                let converted = converted.unwrap();
                let decoded = v1::WriteRequest::decode(&*converted.message).unwrap();
                prop_assert_eq!(bytes(&decoded), bytes(&expected));
                prop_assert_eq!(converted.contents.series, request.timeseries.len() as u64);
            }
        }
    }

    #[test]
    fn what_is_damaged_is_refused_or_stays_a_message(
        message in random::damaged(random::loose_v2(0..9)),
    ) {
        match to_v1(&message, UNLIMITED) {
            Ok(converted) => {
                let counted = inspect::count(&converted.message, Version::V1);
                prop_assert_eq!(counted, Ok(converted.contents));
            }
            Err(ConvertError::Malformed(why)) => {
                prop_assert_eq!(inspect::count(&message, Version::V2), Err(why));
            }
            Err(_) => prop_assert!(inspect::count(&message, Version::V2).is_ok()),
        }
    }
}

fn series(name: u32, kind: i32) -> v2::TimeSeries {
    v2::TimeSeries {
        labels_refs: vec![1, name],
        samples: vec![v2::Sample {
            value: 1.0,
            timestamp: 1_790_000_000_000,
            start_timestamp: 5,
        }],
        metadata: Some(v2::Metadata {
            r#type: kind,
            help_ref: 2,
            unit_ref: 0,
        }),
        ..Default::default()
    }
}

#[test]
fn a_family_is_described_once_by_its_own_name() {
    let symbols = [
        "",
        "__name__",
        "Help.",
        "took_seconds_bucket",
        "took_seconds_count",
        "took_seconds",
        "sent_total",
        "_sum",
    ];
    let request = v2::Request {
        symbols: symbols.map(str::to_owned).to_vec(),
        timeseries: vec![
            series(3, 3),
            series(4, 3),
            series(5, 5),
            series(6, 1),
            series(7, 5),
        ],
    };
    let converted = to_v1(&request.encode_to_vec(), UNLIMITED).unwrap();
    let decoded = v1::WriteRequest::decode(&*converted.message).unwrap();
    let families: Vec<_> = decoded
        .metadata
        .iter()
        .map(|entry| (&*entry.metric_family_name, &*entry.help))
        .collect();
    assert_eq!(
        families,
        [
            ("took_seconds", "Help."),
            ("sent_total", "Help."),
            ("_sum", "Help.")
        ]
    );
    assert_eq!(converted.contents.samples, 5);
    let unpacked = inspect::unpack(&converted.pack().unwrap(), 1 << 20).unwrap();
    assert_eq!(unpacked, Some(converted.message));
}

#[test]
fn a_series_of_exemplars_alone_stays_one() {
    let request = v2::Request {
        symbols: ["", "__name__", "up", "trace_id", "abc"]
            .map(str::to_owned)
            .to_vec(),
        timeseries: vec![v2::TimeSeries {
            labels_refs: vec![1, 2],
            exemplars: vec![v2::Exemplar {
                labels_refs: vec![3, 4],
                value: 7.0,
                timestamp: 9,
            }],
            created_timestamp: 5,
            ..Default::default()
        }],
    };
    let converted = to_v1(&request.encode_to_vec(), UNLIMITED).unwrap();
    let decoded = v1::WriteRequest::decode(&*converted.message).unwrap();
    assert_eq!(decoded, expected(&request).unwrap());
    assert_eq!(
        (converted.contents.series, converted.contents.exemplars),
        (1, 1)
    );
}

#[test]
fn what_cannot_be_written_is_named() {
    let request = |labels_refs: Vec<u32>| v2::Request {
        symbols: vec![String::new(), "x".repeat(100)],
        timeseries: vec![v2::TimeSeries {
            labels_refs,
            ..Default::default()
        }],
    };
    let found = |refs| to_v1(&request(refs).encode_to_vec(), UNLIMITED).unwrap_err();
    assert_eq!(
        found(vec![0, 2]),
        ConvertError::Reference {
            reference: 2,
            symbols: 2
        }
    );
    assert_eq!(
        found(vec![0]),
        ConvertError::OddReferences { references: 1 }
    );
    let large = request([1; 100].to_vec()).encode_to_vec();
    assert_eq!(
        to_v1(&large, 9_000),
        Err(ConvertError::TooLarge { limit: 9_000 })
    );
    assert!(to_v1(&large, 12_000).is_ok());
}
