//! Random batches for the property tests of this folder: messages as prost builds them, and messages as loose as the wire
//! format allows.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Union;
use remote_write_proto::{v1, v2};

/// The value with which Prometheus marks a series as stale: a NaN, which is not equal to itself.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

fn text() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[a-z_]{0,12}", 1 => "\\PC{0,200}"]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(STALE), any::<f64>()]
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1_700_000_000_000..1_800_000_000_000_i64, 1 => any::<i64>()]
}

// === remote write 1.0, as prost builds it ===

pub(in crate::remote_write) fn request_v1() -> impl Strategy<Value = v1::WriteRequest> {
    (vec(series_v1(), 0..20), vec(metadata_v1(), 0..5)).prop_map(|(timeseries, metadata)| {
        v1::WriteRequest {
            timeseries,
            metadata,
        }
    })
}

fn metadata_v1() -> impl Strategy<Value = v1::MetricMetadata> {
    (0..9, text(), text(), text()).prop_map(|(r#type, metric_family_name, help, unit)| {
        v1::MetricMetadata {
            r#type,
            metric_family_name,
            help,
            unit,
        }
    })
}

fn series_v1() -> impl Strategy<Value = v1::TimeSeries> {
    let sample =
        (number(), timestamp()).prop_map(|(value, timestamp)| v1::Sample { value, timestamp });
    let exemplar =
        (vec(label(), 0..3), number(), timestamp()).prop_map(|(labels, value, timestamp)| {
            v1::Exemplar {
                labels,
                value,
                timestamp,
            }
        });
    (
        vec(label(), 0..8),
        vec(sample, 0..5),
        vec(exemplar, 0..3),
        vec(histogram_v1(), 0..3),
    )
        .prop_map(|(labels, samples, exemplars, histograms)| v1::TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
        })
}

fn label() -> impl Strategy<Value = v1::Label> {
    (text(), text()).prop_map(|(name, value)| v1::Label { name, value })
}

fn histogram_v1() -> impl Strategy<Value = v1::Histogram> {
    let span =
        (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| v1::BucketSpan { offset, length });
    (
        any::<Option<u64>>(),
        number(),
        vec(span, 0..3),
        vec(any::<i64>(), 0..4),
        vec(number(), 0..4),
        timestamp(),
    )
        .prop_map(
            |(count, sum, positive_spans, positive_deltas, positive_counts, timestamp)| {
                v1::Histogram {
                    count: count.map(v1::histogram::Count::CountInt),
                    sum,
                    positive_spans,
                    positive_deltas,
                    custom_values: positive_counts.clone(),
                    positive_counts,
                    timestamp,
                    ..Default::default()
                }
            },
        )
}

// === remote write 2.0, as prost builds it ===

/// Every reference points into the table, whose first symbol is the empty string.
pub(in crate::remote_write) fn request_v2() -> impl Strategy<Value = v2::Request> {
    vec(text(), 0..30).prop_flat_map(|mut symbols| {
        symbols.insert(0, String::new());
        let reference = 0..symbols.len() as u32;
        (Just(symbols), vec(series_v2(reference), 0..20)).prop_map(|(symbols, timeseries)| {
            v2::Request {
                symbols,
                timeseries,
            }
        })
    })
}

fn series_v2(reference: std::ops::Range<u32>) -> impl Strategy<Value = v2::TimeSeries> {
    let sample =
        (number(), timestamp(), timestamp()).prop_map(|(value, timestamp, start_timestamp)| {
            v2::Sample {
                value,
                timestamp,
                start_timestamp,
            }
        });
    let exemplar = (vec(reference.clone(), 0..4), number(), timestamp()).prop_map(
        |(labels_refs, value, timestamp)| v2::Exemplar {
            labels_refs,
            value,
            timestamp,
        },
    );
    let histogram =
        (vec(any::<i64>(), 0..4), timestamp()).prop_map(|(negative_deltas, timestamp)| {
            v2::Histogram {
                negative_deltas,
                timestamp,
                start_timestamp: timestamp,
                ..Default::default()
            }
        });
    let metadata =
        (0..9, reference.clone(), reference.clone()).prop_map(|(r#type, help_ref, unit_ref)| {
            v2::Metadata {
                r#type,
                help_ref,
                unit_ref,
            }
        });
    (
        vec(reference, 0..12),
        vec(sample, 0..5),
        vec(histogram, 0..3),
        vec(exemplar, 0..3),
        proptest::option::of(metadata),
        timestamp(),
    )
        .prop_map(
            |(labels_refs, samples, histograms, exemplars, metadata, created_timestamp)| {
                v2::TimeSeries {
                    labels_refs,
                    samples,
                    histograms,
                    exemplars,
                    metadata,
                    created_timestamp,
                }
            },
        )
}

// === both, as loosely as the wire format allows ===

/// Fields in any order, repeated, missing or unknown; non-minimal varints; repeated numbers packed and unpacked; strings that
/// are not UTF-8.
pub(in crate::remote_write) fn loose_v1() -> BoxedStrategy<Vec<u8>> {
    let metadata = message(vec![varint(1), text_of(2), text_of(4), text_of(5)]);
    let label = message(vec![text_of(1), text_of(2)]);
    let sample = message(vec![fixed64(1), varint(2)]);
    let exemplar = message(vec![nested(1, label.clone()), fixed64(2), varint(3)]);
    let series = message(vec![
        nested(1, label),
        nested(2, sample),
        nested(3, exemplar),
        nested(4, loose_histogram()),
    ]);
    message(vec![nested(1, series), nested(3, metadata)])
}

/// Like [`loose_v1`] in the other schema. References are numbers below `symbols`.
pub(in crate::remote_write) fn loose_v2(symbols: std::ops::Range<u64>) -> BoxedStrategy<Vec<u8>> {
    let reference = || symbols.clone().boxed();
    let refs = || prop_oneof![varint_of(1, reference()), packed(1, reference())].boxed();
    let sample = message(vec![fixed64(1), varint(2), varint(3)]);
    let exemplar = message(vec![refs(), fixed64(2), varint(3)]);
    let metadata = message(vec![
        varint(1),
        varint_of(3, reference()),
        varint_of(4, reference()),
    ]);
    let series = message(vec![
        refs(),
        nested(2, sample),
        nested(3, loose_histogram()),
        nested(4, exemplar),
        nested(5, metadata),
        varint(6),
    ]);
    message(vec![text_of(4), nested(5, series)])
}

fn loose_histogram() -> BoxedStrategy<Vec<u8>> {
    let span = message(vec![varint(1), varint(2)]);
    let mut fields = Vec::new();
    for number in [1, 4, 6, 14, 15] {
        fields.push(varint(number));
    }
    for number in [2, 3, 5, 7] {
        fields.push(fixed64(number));
    }
    for number in [8, 11] {
        fields.push(nested(number, span.clone()));
    }
    for number in [9, 12] {
        fields.push(varint(number));
        fields.push(packed(number, any::<u64>().boxed()));
    }
    for number in [10, 13, 16] {
        fields.push(fixed64(number));
        let packed = vec(any::<[u8; 8]>(), 0..4).prop_map(|numbers| numbers.concat());
        fields.push(nested(number, packed.boxed()));
    }
    message(fields)
}

fn message(mut fields: Vec<BoxedStrategy<Vec<u8>>>) -> BoxedStrategy<Vec<u8>> {
    fields.push(unknown());
    let field = Union::new(fields);
    vec(field, 0..5).prop_map(|fields| fields.concat()).boxed()
}

/// A field of neither schema: any wire type, including nested groups.
fn unknown() -> BoxedStrategy<Vec<u8>> {
    let number = || select(vec![18_u32, 100, 19_000, (1 << 29) - 1]);
    let leaf = number().prop_flat_map(|number| {
        let fixed32 = (key(number, 5), any::<[u8; 4]>());
        prop_oneof![
            varint(number),
            fixed64(number),
            text_of(number),
            fixed32.prop_map(|(key, value)| [key.as_slice(), &value].concat())
        ]
    });
    leaf.prop_recursive(3, 8, 3, move |inner| {
        (number(), vec(inner, 0..3)).prop_flat_map(|(number, inner)| {
            (key(number, 3), key(number, 4))
                .prop_map(move |(start, end)| [start, inner.concat(), end].concat())
        })
    })
    .boxed()
}

/// `value` in up to three bytes more than needed.
fn padded(value: u64) -> impl Strategy<Value = Vec<u8>> + use<> {
    prop_oneof![6 => Just(0), 1 => 1..4_usize].prop_map(move |padding| {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(value, &mut bytes);
        let padding = padding.min(10 - bytes.len());
        if padding > 0 {
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.resize(bytes.len() + padding - 1, 0x80);
            bytes.push(0);
        }
        bytes
    })
}

fn key(number: u32, wire_type: u64) -> impl Strategy<Value = Vec<u8>> + use<> {
    padded(u64::from(number) << 3 | wire_type)
}

fn varint(number: u32) -> BoxedStrategy<Vec<u8>> {
    varint_of(
        number,
        prop_oneof![0..300_u64, any::<u64>(), any::<u64>().prop_map(|n| n >> 22)].boxed(),
    )
}

fn varint_of(number: u32, value: BoxedStrategy<u64>) -> BoxedStrategy<Vec<u8>> {
    (key(number, 0), value.prop_flat_map(padded))
        .prop_map(|(key, value)| [key, value].concat())
        .boxed()
}

fn packed(number: u32, value: BoxedStrategy<u64>) -> BoxedStrategy<Vec<u8>> {
    let values = vec(value.prop_flat_map(padded), 0..12).prop_map(|values| values.concat());
    nested(number, values.boxed())
}

fn fixed64(number: u32) -> BoxedStrategy<Vec<u8>> {
    (key(number, 1), any::<[u8; 8]>())
        .prop_map(|(key, value)| [key.as_slice(), &value].concat())
        .boxed()
}

fn text_of(number: u32) -> BoxedStrategy<Vec<u8>> {
    let bytes = prop_oneof![6 => vec(any::<u8>(), 0..9), 1 => vec(any::<u8>(), 120..260)];
    nested(number, bytes.boxed())
}

fn nested(number: u32, inner: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    inner
        .prop_flat_map(move |inner| {
            (key(number, 2), padded(inner.len() as u64))
                .prop_map(move |(key, length)| [key, length, inner.clone()].concat())
        })
        .boxed()
}

/// One to three bytes of `bytes` replaced, removed or inserted, or its tail cut off.
pub(in crate::remote_write) fn damaged(
    bytes: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<Index>(), any::<u8>(), 0..7), 1..4);
    (bytes, edits).prop_map(|(mut bytes, edits)| {
        for (place, byte, edit) in edits {
            let at = place.index(bytes.len() + 1);
            match edit {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
        }
        bytes
    })
}
