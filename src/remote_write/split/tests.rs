//! Checks that split parts together equal the whole as prost decodes it.

use std::collections::HashSet;

use proptest::prelude::*;
use prost::Message as _;
use remote_write_proto::{as_bytes, v1, v2};

use super::*;
use crate::remote_write::inspect::unpack;
use crate::remote_write::wire::{WireError, random};

const BODIES: [&[u8]; 4] = [
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0011.bin"),
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0016.bin"),
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0026.bin"),
    include_bytes!("../../../tests/data/bodies/prometheus-2.42-0030.bin"),
];

fn unpacked(body: &[u8]) -> Vec<u8> {
    unpack(body, 1 << 28).unwrap().unwrap()
}

/// All real bodies in one message, `times` over.
fn real(times: usize) -> Vec<u8> {
    BODIES.map(unpacked).concat().repeat(times)
}

/// The contents of a message: each sample with its series, so that it does not matter whether a series was split.
#[derive(Debug, Default, PartialEq)]
struct Said {
    series: Vec<Vec<u8>>,
    samples: Vec<(Vec<u8>, Vec<u8>)>,
    histograms: Vec<(Vec<u8>, Vec<u8>)>,
    exemplars: Vec<(Vec<u8>, Vec<u8>)>,
    metadata: Vec<Vec<u8>>,
    unknown: Vec<Vec<u8>>,
}

impl Said {
    fn by<'a>(messages: impl IntoIterator<Item = &'a [u8]>, version: Version) -> Self {
        let mut said = Said::default();
        for message in messages {
            match version {
                Version::V1 => said.add_v1(message),
                Version::V2 => said.add_v2(message),
            }
            said.add_unknown(Reader::new(message), version, &[]);
        }
        said.series.dedup();
        said
    }

    fn add_v1(&mut self, message: &[u8]) {
        let request = as_bytes::v1::WriteRequest::decode(message).unwrap();
        for series in request.timeseries {
            let labels = as_bytes::v1::TimeSeries {
                labels: series.labels,
                ..Default::default()
            };
            let of = |inner: Vec<u8>| (labels.encode_to_vec(), inner);
            self.series.push(labels.encode_to_vec());
            let samples = series
                .samples
                .iter()
                .map(|sample| of(sample.encode_to_vec()));
            self.samples.extend(samples);
            let histograms = series.histograms.iter();
            self.histograms
                .extend(histograms.map(|histogram| of(histogram.encode_to_vec())));
            let exemplars = series.exemplars.iter();
            self.exemplars
                .extend(exemplars.map(|exemplar| of(exemplar.encode_to_vec())));
        }
        let metadata = request.metadata.iter();
        self.metadata
            .extend(metadata.map(|metadata| metadata.encode_to_vec()));
    }

    fn add_v2(&mut self, message: &[u8]) {
        let request = as_bytes::v2::Request::decode(message).unwrap();
        let symbol = |reference: &u32| request.symbols[*reference as usize].clone();
        let symbols =
            |references: &[u32]| format!("{:?}", references.iter().map(symbol).collect::<Vec<_>>());
        for series in request.timeseries {
            let metadata = series.metadata.map(|metadata| {
                let meant = |reference: u32| request.symbols.get(reference as usize).cloned();
                (
                    metadata.r#type,
                    meant(metadata.help_ref),
                    meant(metadata.unit_ref),
                )
            });
            let labels = format!(
                "{} {metadata:?} {}",
                symbols(&series.labels_refs),
                series.created_timestamp
            )
            .into_bytes();
            let of = |inner: Vec<u8>| (labels.clone(), inner);
            self.series.push(labels.clone());
            let samples = series
                .samples
                .iter()
                .map(|sample| of(sample.encode_to_vec()));
            self.samples.extend(samples);
            let histograms = series.histograms.iter();
            self.histograms
                .extend(histograms.map(|histogram| of(histogram.encode_to_vec())));
            for mut exemplar in series.exemplars {
                let meant = symbols(&std::mem::take(&mut exemplar.labels_refs));
                let inner = [meant.into_bytes(), exemplar.encode_to_vec()].concat();
                self.exemplars.push(of(inner));
            }
        }
    }

    /// Fields of neither schema: 18 is the first number that both leave free.
    fn add_unknown(&mut self, mut message: Reader<'_>, version: Version, path: &[u32]) {
        while let Some(field) = message.field().unwrap() {
            let nested = match (version, path, field.key.number) {
                (_, _, 18..) => {
                    self.unknown.push(field.raw.to_vec());
                    false
                }
                (Version::V1, [], 1) | (Version::V2, [], 5) => true,
                (Version::V1, [1], 1..=4) | (Version::V2, [5], 2..=5) => true,
                _ => false,
            };
            if nested {
                let path = [path, &[field.key.number]].concat();
                self.add_unknown(field.value, version, &path);
            }
        }
    }
}

fn within(packed: usize) -> PartLimits {
    PartLimits {
        packed,
        unpacked: None,
    }
}

/// Splits, and checks the parts. Returns their number, and whether series were split.
fn check(message: &[u8], version: Version, limit: usize) -> Result<(usize, bool), SplitError> {
    check_within(message, version, within(limit))
}

fn check_within(
    message: &[u8],
    version: Version,
    limits: PartLimits,
) -> Result<(usize, bool), SplitError> {
    let parts = split(message, version, limits)?;
    check_parts(&parts, message, version, limits);
    let sum: u64 = parts.iter().map(|part| part.contents.series).sum();
    let whole = inspect::count(message, version).unwrap();
    Ok((parts.len(), sum > whole.series))
}

/// Checks that the parts together hold what the message holds, and are within the limits if possible.
fn check_parts(parts: &[Part], message: &[u8], version: Version, limits: PartLimits) {
    let messages: Vec<_> = parts.iter().map(|part| unpacked(&part.body)).collect();
    let mut sum = Contents::default();
    for (part, message) in parts.iter().zip(&messages) {
        let is_within = part.body.len() <= limits.packed
            && limits.unpacked.is_none_or(|limit| message.len() <= limit);
        assert!(is_within || part.is_indivisible);
        assert_eq!(part.contents, inspect::count(message, version).unwrap());
        sum += part.contents;
    }
    let whole = inspect::count(message, version).unwrap();
    let cut = sum.series > whole.series;
    if cut {
        (sum.series, sum.metadata) = (whole.series, whole.metadata);
    } else if version == Version::V1 {
        assert_eq!(messages.concat(), message);
    }
    assert_eq!(sum, whole);
    let mut said = Said::by(messages.iter().map(Vec::as_slice), version);
    let mut meant = Said::by([message], version);
    if cut {
        // A description is repeated, and so is an unknown field within a label or metadata.
        said.unknown.dedup();
        meant.unknown.dedup();
        let all: HashSet<_> = said.unknown.drain(..).collect();
        assert_eq!(all, meant.unknown.drain(..).collect());
    }
    assert_eq!(said, meant);
    check_order(parts, &messages, version);
}

/// A part waits exactly if one before it holds samples of the same series.
fn check_order(parts: &[Part], messages: &[Vec<u8>], version: Version) {
    let mut before = HashSet::new();
    let is_loose = messages.iter().any(|message| match version {
        Version::V1 => {
            let request = as_bytes::v1::WriteRequest::decode(&**message).unwrap();
            request.encode_to_vec() != *message
        }
        Version::V2 => {
            let request = as_bytes::v2::Request::decode(&**message).unwrap();
            request.encode_to_vec() != *message
        }
    });
    for (part, message) in parts.iter().zip(messages) {
        let series: HashSet<String> = match version {
            Version::V1 => {
                let request = as_bytes::v1::WriteRequest::decode(&**message).unwrap();
                let series = request.timeseries.iter();
                series
                    .map(|series| format!("{:?}", series.labels))
                    .collect()
            }
            Version::V2 => {
                let request = as_bytes::v2::Request::decode(&**message).unwrap();
                let symbol = |reference: &u32| request.symbols.get(*reference as usize);
                let labels = |series: &as_bytes::v2::TimeSeries| {
                    let labels = series.labels_refs.iter().map(symbol);
                    format!("{:?}", labels.collect::<Vec<_>>())
                };
                request.timeseries.iter().map(labels).collect()
            }
        };
        // The same labels in another encoding, which no sender writes, count as different.
        assert!(!part.waits || !before.is_disjoint(&series));
        assert!(part.waits || is_loose || before.is_disjoint(&series));
        before.extend(series);
    }
}

/// Each part's table comes first, begins like the whole's, and has no duplicates and no unused symbols.
fn check_tables(message: &[u8], limit: usize) {
    let whole = v2::Request::decode(message).unwrap();
    for part in split(message, Version::V2, within(limit)).unwrap_or_default() {
        let message = unpacked(&part.body);
        assert_eq!(message.first(), Some(&0x22));
        let request = v2::Request::decode(&*message).unwrap();
        let mut used = HashSet::from([0]);
        for series in &request.timeseries {
            used.extend(&series.labels_refs);
            used.extend(series.exemplars.iter().flat_map(|one| &one.labels_refs));
            used.extend(series.metadata.iter().map(|metadata| &metadata.help_ref));
            used.extend(series.metadata.iter().map(|metadata| &metadata.unit_ref));
        }
        assert_eq!(request.symbols.first().map(String::as_str), Some(""));
        assert_eq!(request.symbols.len(), used.len());
        for symbol in &request.symbols {
            let times = |all: &[String]| all.iter().filter(|one| *one == symbol).count();
            assert!(times(&request.symbols) <= times(&whole.symbols));
        }
    }
}

/// The smallest pieces of a version 1 message: each field, and of a series its labels with each sample.
fn least_pieces(message: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field().unwrap() {
        if field.key.number != 1 {
            pieces.push(field.raw.to_vec());
            continue;
        }
        let labels = rewrite::description(field.value, Version::V1).unwrap();
        let (mut inner, before) = (field.value, pieces.len());
        while let Some(sample) = inner.field().unwrap() {
            if sample.key.number != 1 {
                pieces.push([&labels, sample.raw].concat());
            }
        }
        if pieces.len() == before {
            pieces.push(labels.to_vec());
        }
    }
    pieces
}

fn check_v1(message: &[u8], limit: usize) {
    if let Err(error) = check(message, Version::V1, limit) {
        let fits = |piece: &Vec<u8>| snap::raw::max_compress_len(piece.len()) + 8 <= limit;
        assert!(
            error == SplitError::Inflated { limit } || !least_pieces(message).iter().all(fits),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn version_1_split_and_merged_is_the_whole(
        message in random::request_v1().prop_map(|request| request.encode_to_vec()),
        limit in 100..4000_usize,
    ) {
        check_v1(&message, limit);
    }

    #[test]
    fn loose_version_1_split_and_merged_is_the_whole(message in random::loose_v1(), limit in 40..600_usize) {
        check_v1(&message, limit);
    }

    #[test]
    fn version_2_split_and_merged_is_the_whole(
        message in random::request_v2().prop_map(|request| request.encode_to_vec()),
        limit in 100..4000_usize,
    ) {
        let checked = check(&message, Version::V2, limit);
        prop_assert!(!matches!(checked, Err(SplitError::Malformed(_))));
        check_tables(&message, limit);
    }

    #[test]
    fn loose_version_2_split_and_merged_is_the_whole(message in random::loose_v2(0..40), limit in 60..900_usize) {
        let symbols = ["", "a", "help", "instance", "127.0.0.1:9090"].repeat(8);
        let table = v2::Request {
            symbols: symbols.into_iter().map(str::to_owned).collect(),
            ..Default::default()
        };
        let message = [table.encode_to_vec(), message].concat();
        let checked = check(&message, Version::V2, limit);
        prop_assert!(!matches!(checked, Err(SplitError::Malformed(_))));
    }

    #[test]
    fn never_fails_on_a_damaged_message(
        message in random::damaged(prop_oneof![random::loose_v1(), random::loose_v2(0..9)]),
        limit in 0..300_usize,
    ) {
        for version in [Version::V1, Version::V2] {
            let found = split(&message, version, within(limit));
            if let Err(fault) = inspect::count(&message, version) {
                prop_assert_eq!(found, Err(SplitError::Malformed(fault)));
            }
        }
    }
}

// === real bodies ===

fn in_version_2(message: &[u8]) -> v2::Request {
    v1::WriteRequest::decode(message).unwrap().into()
}

fn packed_size(message: &[u8]) -> usize {
    snap::raw::Encoder::new()
        .compress_vec(message)
        .unwrap()
        .len()
}

#[test]
fn real_bodies_of_megabytes_take_few_parts() {
    let message = real(14);
    // Small parts compress worse than the whole.
    for (limit, most) in [(2_000, 550), (60_000, 9), (200_000, 3), (1_000_000, 1)] {
        let (parts, cut) = check(&message, Version::V1, limit).unwrap();
        assert!(!cut);
        assert!(parts <= most, "{parts} parts of {limit}");
    }
}

#[test]
fn real_bodies_in_version_2_take_few_parts() {
    let mut request = in_version_2(&real(1));
    request.timeseries = vec![request.timeseries; 14].concat();
    let message = request.encode_to_vec();
    // Each part has symbols to repeat.
    for (limit, most) in [(10_000, 50), (60_000, 4), (200_000, 1)] {
        let (parts, cut) = check(&message, Version::V2, limit).unwrap();
        assert!(!cut);
        assert!(parts <= most, "{parts} parts of {limit}");
    }
    check_tables(&message, 60_000);
}

#[test]
fn a_message_within_the_limit_stays_one_part() {
    for body in BODIES {
        let message = unpacked(body);
        let parts = split(&message, Version::V1, within(packed_size(&message))).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!(unpacked(&parts[0].body), message);
        assert!(
            split(&message, Version::V1, within(packed_size(&message) - 1))
                .unwrap()
                .len()
                > 1
        );
    }
    for version in [Version::V1, Version::V2] {
        assert_eq!(check(&[], version, 1), Ok((1, false)));
    }
}

#[test]
fn packing_block_by_block_equals_packing_the_whole() {
    let message = real(2);
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, message.len()] {
        let part = &message[..length];
        let whole = snap::raw::Encoder::new().compress_vec(part).unwrap();
        let mut packer = Packer::new();
        let Packed::Within(body) = packer.pack(part, Some(within(whole.len()))).unwrap() else {
            panic!("over the limit");
        };
        assert_eq!(body, whole);
        let over = packer.pack(part, Some(within(whole.len() - 1))).unwrap();
        assert!(matches!(over, Packed::Over { pieces: 2 }));
    }
}

// === a single series, and what cannot be cut ===

const GIANT: usize = 20_000;

/// Values that snappy cannot compress.
fn values() -> impl Iterator<Item = (f64, i64)> {
    (0..GIANT as u64).map(|place| {
        let noise = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        (f64::from_bits(noise >> 2), 1_790_000_000_000 + place as i64)
    })
}

fn label(name: &str, value: &str) -> v1::Label {
    v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

#[test]
fn a_series_that_is_too_large_alone_is_cut_between_its_samples() {
    let samples = values().map(|(value, timestamp)| v1::Sample { value, timestamp });
    let giant = v1::TimeSeries {
        labels: vec![label("__name__", "giant"), label("job", "test")],
        samples: samples.collect(),
        ..Default::default()
    };
    let giant = v1::WriteRequest {
        timeseries: vec![giant],
        ..Default::default()
    };
    let few = unpacked(BODIES[3]);
    let message = [few.as_slice(), &giant.encode_to_vec(), &few].concat();
    let (parts, cut) = check(&message, Version::V1, 20_000).unwrap();
    assert!(cut);
    let least = packed_size(&message).div_ceil(20_000);
    assert!(
        (least..least + least / 5 + 3).contains(&parts),
        "{parts} parts for {least}"
    );
}

#[test]
fn a_series_of_version_2_keeps_what_describes_it_in_each_piece() {
    let samples = values().map(|(value, timestamp)| v2::Sample {
        value,
        timestamp,
        start_timestamp: 7,
    });
    let giant = v2::TimeSeries {
        labels_refs: vec![3, 1, 2, 4],
        samples: samples.collect(),
        exemplars: vec![
            v2::Exemplar {
                labels_refs: vec![6, 7],
                ..Default::default()
            };
            3
        ],
        metadata: Some(v2::Metadata {
            r#type: 1,
            help_ref: 5,
            unit_ref: 0,
        }),
        created_timestamp: 9,
        ..Default::default()
    };
    let symbols = [
        "", "job", "test", "__name__", "giant", "Help.", "trace_id", "12", "unused",
    ];
    let request = v2::Request {
        symbols: symbols.map(str::to_owned).to_vec(),
        timeseries: vec![giant],
    };
    let message = request.encode_to_vec();
    assert!(matches!(
        check(&message, Version::V2, 20_000),
        Ok((9.., true))
    ));
    let last = split(&message, Version::V2, within(20_000))
        .unwrap()
        .pop()
        .unwrap();
    let last = v2::Request::decode(&*unpacked(&last.body)).unwrap();
    assert_eq!(
        last.symbols[..6],
        ["", "__name__", "job", "test", "giant", "Help."]
    );
    assert_eq!(last.timeseries[0].exemplars.len(), 3);
}

/// Text that snappy cannot compress.
fn noise(length: usize) -> String {
    let words = values().map(|(value, _)| format!("{:016x}", value.to_bits()));
    let mut text: String = words.take(length / 16 + 1).collect();
    text.truncate(length);
    text
}

#[test]
fn an_indivisible_rest_is_a_part_of_its_own() {
    let limit = 1000;
    let series = |labels, samples: usize| v1::TimeSeries {
        labels,
        samples: vec![v1::Sample::default(); samples],
        ..Default::default()
    };
    let small = || series(vec![label("__name__", "small")], 1);
    let large = series(vec![label("__name__", &noise(2000))], 1);
    let metadata = v1::MetricMetadata {
        help: noise(9000),
        ..Default::default()
    };
    let request = v1::WriteRequest {
        timeseries: vec![small(), large, small()],
        metadata: vec![metadata],
    };
    let message = request.encode_to_vec();
    check(&message, Version::V1, limit).unwrap();
    let parts = split(&message, Version::V1, within(limit)).unwrap();
    let shape = |part: &Part| (part.is_indivisible, part.contents.series, part.waits);
    assert_eq!(
        parts.iter().map(shape).collect::<Vec<_>>(),
        [
            (false, 1, false),
            (true, 1, false),
            (false, 1, true),
            (true, 0, false)
        ]
    );
}

#[test]
fn a_message_too_large_unpacked_is_split() {
    let message = real(3);
    let limits = PartLimits {
        packed: 1_000_000,
        unpacked: Some(50_000),
    };
    let (parts, cut) = check_within(&message, Version::V1, limits).unwrap();
    assert!(!cut && parts > message.len() / 50_000);
    assert!(parts <= message.len() / 40_000);
}

#[test]
fn halving_ends_at_single_series() {
    for (message, version) in [
        (unpacked(BODIES[3]), Version::V1),
        (
            in_version_2(&unpacked(BODIES[3])).encode_to_vec(),
            Version::V2,
        ),
    ] {
        let mut ahead = vec![message.clone()];
        let mut singles = 0;
        while let Some(message) = ahead.pop() {
            match halve(&message, version).unwrap() {
                Some(halves) => {
                    assert_eq!(halves.len(), 2);
                    check_parts(&halves, &message, version, within(usize::MAX));
                    ahead.extend(halves.iter().map(|half| unpacked(&half.body)));
                }
                None => {
                    singles += 1;
                    let Some(SeriesIdentity::Series { name, .. }) =
                        first_identity(&message, version).unwrap()
                    else {
                        panic!("no series")
                    };
                    assert!(name.contains('_') || name == "up", "{name}");
                }
            }
        }
        assert_eq!(singles, inspect::count(&message, version).unwrap().series);
        assert_eq!(halve(&[], version), Ok(None));
    }
}

#[test]
fn parts_that_would_mostly_repeat_each_other_are_an_error() {
    let limit = 10_000;
    let series = values().map(|(value, timestamp)| v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![v2::Sample {
            value,
            timestamp,
            start_timestamp: 0,
        }],
        ..Default::default()
    });
    let request = v2::Request {
        symbols: vec![String::new(), "name".to_owned(), noise(8_500)],
        timeseries: series.collect(),
    };
    let found = split(&request.encode_to_vec(), Version::V2, within(limit));
    assert_eq!(found, Err(SplitError::Inflated { limit }));
}

#[test]
fn an_invalid_reference_stays_invalid() {
    let message = [
        0x22, 0x00, 0x22, 0x01, 0x61, 0x2a, 0x04, 0x0a, 0x02, 0x01, 0x02,
    ];
    let parts = split(&message, Version::V2, within(100)).unwrap();
    let [part] = parts.as_slice() else {
        panic!("{parts:?}");
    };
    let part = v2::Request::decode(&*unpacked(&part.body)).unwrap();
    assert_eq!(part.symbols, ["", "a"]);
    assert_eq!(part.timeseries[0].labels_refs, [1, u32::MAX]);
    // The lower 32 bits count, as in prost and every other decoder.
    let long = [0x0a, 0x06, 0x81, 0x80, 0x80, 0x80, 0x10, 0x00];
    let message = [&[0x22, 0x00, 0x22, 0x01, 0x61, 0x2a, 0x08], &long[..]].concat();
    assert_eq!(check(&message, Version::V2, 100), Ok((1, false)));
    assert_eq!(
        split(&[0x0a], Version::V1, within(100)),
        Err(SplitError::Malformed(
            WireError::Varint { offset: 1 }.into()
        ))
    );
}
