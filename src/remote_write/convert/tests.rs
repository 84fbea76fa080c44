//! Checks conversions against an independent one through prost's types.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;
use remote_write_proto::{as_bytes, v1 as one, v2 as two};

use super::*;
use crate::remote_write::wire::{put_varint, random};

#[path = "../../../fuzz/src/as_v1.rs"]
mod as_v1;

const UNLIMITED: usize = usize::MAX;
const AT: i64 = 1_790_000_000_000;

const BODIES: [&[u8]; 4] = [
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0011.bin"),
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0016.bin"),
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0026.bin"),
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0030.bin"),
];

/// Converts, and compares the result with prost's: `None` if both say that a reference is invalid.
fn both(message: &[u8]) -> Option<Converted> {
    let request = as_bytes::v2::Request::decode(message).unwrap();
    let meant = as_v1::convert(&request);
    let converted = match to_v1(message, UNLIMITED) {
        Ok(converted) => converted,
        Err(ConvertError::Reference { .. } | ConvertError::OddReferences { .. }) => {
            assert_eq!(meant, None);
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let said = as_bytes::v1::WriteRequest::decode(&*converted.message).unwrap();
    assert_eq!(as_v1::bytes(&said), as_v1::bytes(&meant.unwrap()));
    assert_eq!(
        inspect::count(&converted.message, Version::V1),
        Ok(converted.contents)
    );
    let length = converted.message.len();
    assert_eq!(v1_len(message), Ok(length));
    assert_eq!(to_v1(message, length), Ok(converted.clone()));
    assert_eq!(converted.message.capacity(), length);
    Some(converted)
}

// === random batches ===

fn span() -> impl Strategy<Value = two::BucketSpan> {
    (any::<i32>(), 0..9_u32).prop_map(|(offset, length)| two::BucketSpan { offset, length })
}

/// Of both kinds, with custom buckets too, and with every field of a histogram.
fn histogram() -> impl Strategy<Value = two::Histogram> {
    use two::histogram::{Count, ZeroCount};
    let counts = (any::<bool>(), any::<u64>(), any::<f64>());
    let spans = (vec(span(), 0..3), vec(span(), 0..3));
    let deltas = (vec(any::<i64>(), 0..4), vec(any::<i64>(), 0..4));
    let floats = (vec(any::<f64>(), 0..4), vec(any::<f64>(), 0..4));
    let rest = (-53..9, 0..4, any::<f64>(), vec(any::<f64>(), 0..4));
    (counts, spans, deltas, floats, rest).prop_map(|(counts, spans, deltas, floats, rest)| {
        let (is_integer, count, float) = counts;
        let (schema, reset_hint, sum, custom_values) = rest;
        two::Histogram {
            count: Some(if is_integer {
                Count::CountInt(count)
            } else {
                Count::CountFloat(float)
            }),
            zero_count: Some(if is_integer {
                ZeroCount::ZeroCountInt(count)
            } else {
                ZeroCount::ZeroCountFloat(float)
            }),
            sum,
            schema,
            zero_threshold: sum,
            negative_spans: spans.0,
            positive_spans: spans.1,
            negative_deltas: deltas.0,
            positive_deltas: deltas.1,
            negative_counts: floats.0,
            positive_counts: floats.1,
            reset_hint,
            timestamp: AT,
            custom_values,
            start_timestamp: AT,
        }
    })
}

/// References are pairs, some series have names, and some of these have the suffix of a type.
fn request() -> impl Strategy<Value = two::Request> {
    let name = select(vec![
        "", "__name__", "quantile", "x", "x_total", "x_bucket", "x_sum", "x_count", "x_gsum",
        "x_gcount", "x_info", "_sum", "y_sum", "help",
    ]);
    let histograms = vec(vec(histogram(), 0..2), 20);
    let names = vec((name.clone(), 0..9_usize), 20);
    (random::request_v2(), histograms, names).prop_map(|(mut request, histograms, names)| {
        let mut refer = |symbol: &str| {
            request.symbols.push(symbol.to_owned());
            request.symbols.len() as u32 - 1
        };
        for ((series, histograms), (name, kind)) in
            request.timeseries.iter_mut().zip(histograms).zip(names)
        {
            series.labels_refs.truncate(series.labels_refs.len() & !1);
            series.labels_refs.extend([refer("__name__"), refer(name)]);
            series.histograms = histograms;
            if let Some(metadata) = &mut series.metadata {
                metadata.r#type = kind as i32;
            }
            for exemplar in &mut series.exemplars {
                exemplar
                    .labels_refs
                    .truncate(exemplar.labels_refs.len() & !1);
            }
        }
        request
    })
}

/// The fields of a message one by one, references unpacked.
fn fields_of(message: &[u8], of_references: u32) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field().unwrap() {
        if field.key.number != of_references {
            all.push(field.raw.to_vec());
            continue;
        }
        let mut rest = field.value;
        while !rest.is_empty() {
            let mut single = vec![8];
            put_varint(rest.varint().unwrap(), &mut single);
            all.push(single);
        }
    }
    all
}

fn nested(number: u8, message: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    put_varint(message.len() as u64, &mut field);
    [&field, message].concat()
}

/// The fields of batch and series in any order: symbols after the series that refer to them, references one by one, metadata in
/// pieces. prost defines what that means.
fn shuffled() -> impl Strategy<Value = Vec<u8>> {
    (request(), any::<u64>()).prop_map(|(request, seed)| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut fields = fields_of(&request.encode_to_vec(), 0);
        for field in &mut fields {
            let whole = Reader::new(field).field().unwrap().unwrap();
            if whole.key.number != v2::SERIES {
                continue;
            }
            let mut parts = Vec::new();
            for part in fields_of(whole.value.rest(), v2::LABELS) {
                let inner = Reader::new(&part).field().unwrap().unwrap();
                if inner.key.number == v2::METADATA {
                    let pieces = fields_of(inner.value.rest(), 0);
                    parts.extend(pieces.iter().map(|piece| nested(5, piece)));
                } else {
                    parts.push(part);
                }
            }
            random.shuffle(&mut parts);
            *field = nested(5, &parts.concat());
        }
        random.shuffle(&mut fields);
        fields.concat()
    })
}

/// As loose as the wire format allows, after a symbol table.
fn loose() -> impl Strategy<Value = Vec<u8>> {
    random::loose_v2(0..40).prop_map(|message| {
        let symbols = ["", "__name__", "quantile", "x_sum", "x_count", "x_info"].repeat(6);
        let table = two::Request {
            symbols: symbols.into_iter().map(str::to_owned).collect(),
            ..Default::default()
        };
        [table.encode_to_vec(), message].concat()
    })
}

proptest! {
    #[test]
    fn matches_prosts_conversion(request in request()) {
        prop_assert!(both(&request.encode_to_vec()).is_some());
    }

    #[test]
    fn names_bad_references(request in random::request_v2()) {
        both(&request.encode_to_vec());
    }

    #[test]
    fn accepts_the_loosest_format(message in loose()) {
        both(&message);
    }

    #[test]
    fn accepts_fields_in_any_order(message in shuffled()) {
        prop_assert!(both(&message).is_some());
    }

    #[test]
    fn a_damaged_batch_is_malformed_or_converted(
        message in random::damaged(prop_oneof![
            loose(),
            request().prop_map(|request| request.encode_to_vec()),
        ]),
    ) {
        match inspect::count(&message, Version::V2) {
            Ok(_) => drop(both(&message)),
            Err(why) => {
                prop_assert_eq!(v1_len(&message), Err(why.clone().into()));
                prop_assert_eq!(to_v1(&message, UNLIMITED), Err(why.into()));
            }
        }
    }

    #[test]
    fn never_fails_on_noise(message in vec(any::<u8>(), 0..60)) {
        if inspect::count(&message, Version::V2).is_ok() {
            both(&message);
        }
    }
}

// === real shapes ===

/// Real bodies of 1.0, rewritten as 2.0 like senders do, are the same after conversion.
#[test]
fn real_series_survive_conversion() {
    for body in BODIES {
        let message = inspect::unpack(body, 1 << 24).unwrap().unwrap();
        let real = one::WriteRequest::decode(&*message).unwrap();
        let in_v2 = two::Request::from(real.clone()).encode_to_vec();
        let converted = both(&in_v2).unwrap();
        let back = one::WriteRequest::decode(&*converted.message).unwrap();
        let series = |request: one::WriteRequest| {
            let all = request.timeseries.into_iter();
            all.map(|series| series.encode_to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(series(back), series(real));
        assert!(converted.message.len() > 2 * in_v2.len());
        let packed = converted.pack().unwrap();
        let unpacked = inspect::unpack(&packed, 1 << 24).unwrap();
        assert_eq!(unpacked.as_ref(), Some(&converted.message));
    }
}

#[derive(Default)]
struct Builder(two::Request);

impl Builder {
    fn refer(&mut self, symbol: &str) -> u32 {
        if self.0.symbols.is_empty() {
            self.0.symbols.push(String::new());
        }
        let symbols = &mut self.0.symbols;
        let known = symbols.iter().position(|known| known == symbol);
        known.unwrap_or_else(|| {
            symbols.push(symbol.to_owned());
            symbols.len() - 1
        }) as u32
    }

    fn add(&mut self, labels: &[(&str, &str)], kind: i32, help: &str) -> &mut two::TimeSeries {
        let labels_refs = labels
            .iter()
            .flat_map(|(name, value)| [self.refer(name), self.refer(value)])
            .collect();
        let help_ref = self.refer(help);
        self.0.timeseries.push(two::TimeSeries {
            labels_refs,
            metadata: Some(two::Metadata {
                r#type: kind,
                help_ref,
                unit_ref: 0,
            }),
            created_timestamp: 5,
            ..Default::default()
        });
        self.0.timeseries.last_mut().unwrap()
    }

    fn sample(&mut self, name: &str, kind: i32, help: &str) {
        self.labelled(&[("__name__", name)], kind, help);
    }

    fn labelled(&mut self, labels: &[(&str, &str)], kind: i32, help: &str) {
        self.add(labels, kind, help).samples.push(two::Sample {
            value: 1.0,
            timestamp: AT,
            start_timestamp: AT - 1,
        });
    }

    fn converted(&self) -> one::WriteRequest {
        let converted = both(&self.0.encode_to_vec()).unwrap();
        let request = one::WriteRequest::decode(&*converted.message).unwrap();
        // Fields that 1.0 does not have are dropped.
        assert_eq!(request.encode_to_vec(), converted.message);
        request
    }
}

/// The name, type and help of each entry.
fn metadata(request: &one::WriteRequest) -> Vec<(&str, i32, &str)> {
    let entries = request.metadata.iter();
    entries
        .map(|entry| (&*entry.metric_family_name, entry.r#type, &*entry.help))
        .collect()
}

const COUNTER: i32 = 1;
const GAUGE: i32 = 2;
const HISTOGRAM: i32 = 3;
const GAUGE_HISTOGRAM: i32 = 4;
const SUMMARY: i32 = 5;
const INFO: i32 = 6;

#[test]
fn a_family_is_described_once_by_its_own_name() {
    let mut batch = Builder::default();
    for suffix in ["_bucket", "_bucket", "_sum", "_count"] {
        batch.sample(&format!("took_seconds{suffix}"), HISTOGRAM, "Took.");
        batch.sample(&format!("held_bytes{suffix}"), SUMMARY, "Held.");
    }
    batch.labelled(
        &[("__name__", "waited_sum"), ("quantile", "0.9")],
        SUMMARY,
        "Waited.",
    );
    batch.sample("queued_gsum", GAUGE_HISTOGRAM, "Queued.");
    batch.sample("queued_gcount", GAUGE_HISTOGRAM, "Queued.");
    batch.sample("sent_total", COUNTER, "Sent.");
    batch.sample("up_count", GAUGE, "Up.");
    batch.sample("build_info", INFO, "Build.");
    batch.sample("_sum", SUMMARY, "Nothing before it.");
    assert_eq!(
        metadata(&batch.converted()),
        [
            ("_sum", SUMMARY, "Nothing before it."),
            ("build", INFO, "Build."),
            ("held_bytes", SUMMARY, "Held."),
            ("held_bytes_bucket", SUMMARY, "Held."),
            ("queued", GAUGE_HISTOGRAM, "Queued."),
            ("sent_total", COUNTER, "Sent."),
            ("took_seconds", HISTOGRAM, "Took."),
            ("up_count", GAUGE, "Up."),
            ("waited_sum", SUMMARY, "Waited."),
        ]
    );
}

#[test]
fn different_metadata_is_another_entry_and_empty_metadata_is_dropped() {
    let mut batch = Builder::default();
    batch.sample("up", GAUGE, "Of one target.");
    batch.sample("up", GAUGE, "Of another.");
    batch.sample("down", 0, "");
    batch.sample("later", 8, "");
    batch.labelled(&[("job", "nameless")], GAUGE, "Without a name.");
    assert_eq!(
        metadata(&batch.converted()),
        [
            ("up", GAUGE, "Of another."),
            ("up", GAUGE, "Of one target.")
        ]
    );
}

#[test]
fn histograms_with_custom_buckets_are_unchanged() {
    let mut batch = Builder::default();
    let name = [("__name__", "request_count")];
    batch
        .add(&name, HISTOGRAM, "Native.")
        .histograms
        .push(two::Histogram {
            count: Some(two::histogram::Count::CountInt(3)),
            sum: 4.5,
            schema: -53,
            positive_spans: vec![two::BucketSpan {
                offset: 0,
                length: 3,
            }],
            positive_deltas: vec![1, 0, 0],
            reset_hint: 2,
            timestamp: AT,
            custom_values: vec![0.5, 1.0],
            start_timestamp: AT - 1,
            ..Default::default()
        });
    let request = batch.converted();
    assert_eq!(
        request.timeseries[0].histograms,
        [one::Histogram {
            count: Some(one::histogram::Count::CountInt(3)),
            sum: 4.5,
            schema: -53,
            positive_spans: vec![one::BucketSpan {
                offset: 0,
                length: 3,
            }],
            positive_deltas: vec![1, 0, 0],
            reset_hint: 2,
            timestamp: AT,
            custom_values: vec![0.5, 1.0],
            ..Default::default()
        }]
    );
    // A native histogram has its family's name, whatever its suffix.
    assert_eq!(
        metadata(&request),
        [("request_count", HISTOGRAM, "Native.")]
    );
}

/// As the newest Prometheus sends them with exemplars enabled, and as Cortex refuses them in 2.0.
#[test]
fn a_series_with_only_exemplars_is_kept() {
    let mut batch = Builder::default();
    let labels_refs = vec![batch.refer("trace_id"), batch.refer("abc")];
    let series = batch.add(&[("__name__", "took_seconds_bucket"), ("le", "1")], 0, "");
    series.exemplars.push(two::Exemplar {
        labels_refs,
        value: 0.7,
        timestamp: AT,
    });
    let label = |name: &str, value: &str| one::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let expected = one::WriteRequest {
        timeseries: vec![one::TimeSeries {
            labels: vec![label("__name__", "took_seconds_bucket"), label("le", "1")],
            exemplars: vec![one::Exemplar {
                labels: vec![label("trace_id", "abc")],
                value: 0.7,
                timestamp: AT,
            }],
            ..Default::default()
        }],
        metadata: Vec::new(),
    };
    assert_eq!(batch.converted(), expected);
}

// === what cannot be written ===

fn of_series(labels_refs: Vec<u32>, symbol: usize) -> Vec<u8> {
    let good = two::TimeSeries::default();
    let bad = two::TimeSeries {
        labels_refs,
        ..Default::default()
    };
    let request = two::Request {
        symbols: vec![String::new(), "x".repeat(symbol)],
        timeseries: vec![good, bad],
    };
    request.encode_to_vec()
}

#[test]
fn bad_references_are_named() {
    let said = |message: &[u8]| to_v1(message, UNLIMITED).unwrap_err().to_string();
    assert_eq!(
        said(&of_series(vec![0, 2], 1)),
        "series 1 refers to symbol 2, and the batch has 2 symbols"
    );
    assert_eq!(
        said(&of_series(vec![0, 1, 1], 1)),
        "series 1 has 3 label references, which is not an even number"
    );
    assert_eq!(
        said(&[0x2a, 0x00, 0x0a]),
        "the body is not a protobuf message: the varint at byte 3 is cut short or longer than 64 bits"
    );
    let mut batch = Builder::default();
    batch.sample("up", GAUGE, "");
    batch.0.timeseries[0].metadata.as_mut().unwrap().unit_ref = 9;
    assert_eq!(
        said(&batch.0.encode_to_vec()),
        "series 0 refers to symbol 9, and the batch has 3 symbols"
    );
}

/// An invalid reference is ignored if the field occurs again, as in any decoder.
#[test]
fn an_overridden_reference_is_ignored() {
    let metadata = [0x08, 0x02, 0x18, 0x63, 0x18, 0x01];
    let labels = [0x0a, 0x02, 0x02, 0x01];
    let series = [&labels[..], &[0x2a, metadata.len() as u8], &metadata].concat();
    let symbols = [&b"\x22\x00\x22\x01x\x22\x08"[..], b"__name__"].concat();
    let message = [&symbols[..], &[0x2a, series.len() as u8], &series].concat();
    assert_eq!(both(&message).unwrap().contents.metadata, 1);
}

/// Two megabytes that would expand to a terabyte: rejected without allocating any of it.
#[test]
fn the_limit_is_checked_before_a_byte_is_written() {
    let message = of_series(vec![1; 1_000_000], 1_000_000);
    let length = v1_len(&message).unwrap();
    assert!(length > 1_000_000_000_000);
    assert_eq!(
        to_v1(&message, 1 << 30),
        Err(ConvertError::TooLarge {
            length,
            limit: 1 << 30
        })
    );
}
