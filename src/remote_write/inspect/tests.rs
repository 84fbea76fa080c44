//! Checks counting against prost, and decompression against snappy.

use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;
use remote_write_proto::{as_bytes, v1, v2};

use super::buffer_pool::InspectorPool;
use super::*;
use crate::remote_write::contents::Timestamps;
use crate::remote_write::wire::{WireError, random};

const CAP: usize = 1 << 24;

const BODIES: [(&[u8], u64); 4] = [
    (
        include_bytes!("../../../tests/data/bodies/prometheus-2.42-0011.bin"),
        500,
    ),
    (
        include_bytes!("../../../tests/data/bodies/prometheus-2.42-0016.bin"),
        500,
    ),
    (
        include_bytes!("../../../tests/data/bodies/prometheus-2.42-0026.bin"),
        500,
    ),
    (
        include_bytes!("../../../tests/data/bodies/prometheus-2.42-0030.bin"),
        123,
    ),
];

fn pack(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

fn is_not_a_block(inspected: &Result<Inspected, Malformed>) -> bool {
    matches!(
        inspected,
        Err(Malformed::Snappy(_) | Malformed::ImpossibleSize { .. } | Malformed::Empty)
    )
}

fn message_of(body: &[u8]) -> Vec<u8> {
    unpack(body, CAP).unwrap().unwrap()
}

// === the walk against prost ===

/// Those between 1971 and 2109 count.
fn timestamps_of(all: impl Iterator<Item = i64>) -> Timestamps {
    let plausible: Vec<_> = all
        .filter(|millis| (1 << 35..1 << 42).contains(millis))
        .collect();
    let mut timestamps = Timestamps::default();
    plausible.iter().for_each(|millis| timestamps.add(*millis));
    let time = |millis: &i64| SystemTime::UNIX_EPOCH + Duration::from_millis(*millis as u64);
    let span = plausible.iter().min().zip(plausible.iter().max());
    let span = span.map(|(oldest, newest)| (time(oldest), time(newest)));
    assert_eq!(timestamps.span(), span);
    timestamps
}

/// What prost decodes of a message of either schema, as written or with its strings as bytes.
macro_rules! decoded_v1 {
    ($request:ty, $message:expr) => {
        <$request>::decode($message).ok().map(|request| {
            let mut contents = Contents {
                series: request.timeseries.len() as u64,
                metadata: request.metadata.len() as u64,
                ..Contents::default()
            };
            for series in request.timeseries {
                contents.samples += series.samples.len() as u64;
                contents.histograms += series.histograms.len() as u64;
                let samples = series.samples.iter().map(|sample| sample.timestamp);
                let histograms = series.histograms.iter().map(|one| one.timestamp);
                let times = samples.chain(histograms);
                contents.timestamps.merge(timestamps_of(times));
                contents.exemplars += series.exemplars.len() as u64;
            }
            contents
        })
    };
}

macro_rules! decoded_v2 {
    ($request:ty, $message:expr) => {
        <$request>::decode($message).ok().map(|request| {
            let mut contents = Contents {
                series: request.timeseries.len() as u64,
                ..Contents::default()
            };
            for series in request.timeseries {
                contents.samples += series.samples.len() as u64;
                contents.histograms += series.histograms.len() as u64;
                let samples = series.samples.iter().map(|sample| sample.timestamp);
                let histograms = series.histograms.iter().map(|one| one.timestamp);
                let times = samples.chain(histograms);
                contents.timestamps.merge(timestamps_of(times));
                contents.exemplars += series.exemplars.len() as u64;
                contents.metadata += u64::from(series.metadata.is_some());
            }
            contents
        })
    };
}

/// Counts, and compares the result with prost's: `None` if both reject the message.
fn both(message: &[u8], version: Version) -> Option<Contents> {
    let (strict, lenient) = match version {
        Version::V1 => (
            decoded_v1!(v1::WriteRequest, message),
            decoded_v1!(as_bytes::v1::WriteRequest, message),
        ),
        Version::V2 => (
            decoded_v2!(v2::Request, message),
            decoded_v2!(as_bytes::v2::Request, message),
        ),
    };
    let walked = count(message, version);
    assert_eq!(
        walked.clone().ok(),
        lenient,
        "{version:?}: the walk says {walked:?} of {message:02x?}"
    );
    if strict.is_some() {
        assert_eq!(strict, lenient);
    }
    lenient
}

fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::V1, Version::V2])
}

fn loose() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![random::loose_v1(), random::loose_v2(0..u64::MAX)]
}

proptest! {
    #[test]
    fn counts_what_prost_decodes(one in random::request_v1(), two in random::request_v2()) {
        prop_assert!(both(&one.encode_to_vec(), Version::V1).is_some());
        prop_assert!(both(&two.encode_to_vec(), Version::V2).is_some());
    }

    #[test]
    fn accepts_the_loosest_format(
        one in random::loose_v1(),
        two in random::loose_v2(0..u64::MAX),
    ) {
        prop_assert!(both(&one, Version::V1).is_some());
        prop_assert!(both(&two, Version::V2).is_some());
    }

    #[test]
    fn agrees_on_damaged_messages(message in random::damaged(loose()), version in version()) {
        both(&message, version);
    }

    #[test]
    fn agrees_on_damaged_prost_messages(
        one in random::damaged(random::request_v1().prop_map(|request| request.encode_to_vec())),
        two in random::damaged(random::request_v2().prop_map(|request| request.encode_to_vec())),
    ) {
        both(&one, Version::V1);
        both(&two, Version::V2);
    }

    #[test]
    fn agrees_on_noise(message in vec(any::<u8>(), 0..40), version in version()) {
        both(&message, version);
    }

    #[test]
    fn never_fails_on_a_damaged_body(
        body in random::damaged(select(&BODIES).prop_map(|(body, _)| body.to_vec())),
        version in version(),
    ) {
        let inspected = Inspector::new().inspect(&body, version, CAP);
        if let Ok(Some(message)) = unpack(&body, CAP) {
            let counted = both(&message, version).map(Inspected::Counted);
            let is_other = inspected == Ok(Inspected::OtherVersion)
                && counted == Some(Inspected::Counted(Contents::default()));
            prop_assert!(is_other || inspected.ok() == counted);
        } else {
            let beyond = matches!(inspected, Ok(Inspected::TooLarge { .. }));
            prop_assert!(beyond || is_not_a_block(&inspected), "{inspected:?}");
        }
    }

    #[test]
    fn what_begins_like_its_version_is_not_of_the_other(
        message in prop_oneof![
            vec(any::<u8>(), 0..200),
            random::damaged(random::request_v1().prop_map(|request| request.encode_to_vec())),
            random::damaged(random::request_v2().prop_map(|request| request.encode_to_vec())),
        ],
        version in version(),
    ) {
        let body = pack(&message);
        if begins_as(&body, version) {
            let inspected = Inspector::new().inspect(&body, version, CAP);
            prop_assert_ne!(inspected, Ok(Inspected::OtherVersion));
        }
    }
}

/// A message with one of everything, small enough to damage in every way.
fn one_of_everything(version: Version) -> Vec<u8> {
    let name = || "__name__".to_owned();
    match version {
        Version::V1 => {
            let label = v1::Label {
                name: name(),
                value: "up".to_owned(),
            };
            let sample = |value| v1::Sample {
                value,
                timestamp: 1_790_000_000_000,
            };
            let exemplar = v1::Exemplar {
                labels: vec![label.clone()],
                value: 1.0,
                timestamp: 7,
            };
            let histogram = v1::Histogram {
                count: Some(v1::histogram::Count::CountInt(300)),
                positive_spans: vec![v1::BucketSpan {
                    offset: -1,
                    length: 2,
                }],
                positive_deltas: vec![1, -200],
                custom_values: vec![0.5],
                ..Default::default()
            };
            let series = v1::TimeSeries {
                labels: vec![label.clone(), label],
                samples: vec![sample(1.0), sample(0.0)],
                exemplars: vec![exemplar],
                histograms: vec![histogram],
            };
            let metadata = v1::MetricMetadata {
                r#type: 2,
                metric_family_name: name(),
                ..Default::default()
            };
            let request = v1::WriteRequest {
                timeseries: vec![series],
                metadata: vec![metadata],
            };
            request.encode_to_vec()
        }
        Version::V2 => {
            let series = v2::TimeSeries {
                labels_refs: vec![1, 2, 300, 20_000, 3, 4],
                samples: vec![v2::Sample {
                    value: 1.0,
                    timestamp: 1_790_000_000_000,
                    start_timestamp: 5,
                }],
                histograms: vec![v2::Histogram {
                    negative_deltas: vec![-1, 200],
                    ..Default::default()
                }],
                exemplars: vec![v2::Exemplar {
                    labels_refs: vec![1, 2],
                    value: 0.0,
                    timestamp: 9,
                }],
                metadata: Some(v2::Metadata {
                    r#type: 1,
                    help_ref: 300,
                    unit_ref: 2,
                }),
                created_timestamp: -1,
            };
            let request = v2::Request {
                symbols: vec![String::new(), name()],
                timeseries: vec![series],
            };
            request.encode_to_vec()
        }
    }
}

#[test]
fn agrees_on_every_cut_and_every_changed_byte() {
    for version in [Version::V1, Version::V2] {
        let whole = one_of_everything(version);
        assert!(both(&whole, version).is_some());
        let accepted = (0..whole.len())
            .filter(|end| both(&whole[..*end], version).is_some())
            .count();
        assert!((1..whole.len() / 2).contains(&accepted), "{accepted}");
        for place in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut changed = whole.clone();
                changed[place] = byte;
                both(&changed, version);
            }
        }
    }
}

#[test]
fn timestamps_of_every_length_are_compared_as_numbers() {
    for exponent in 0..64 {
        for millis in [-1_i64, 0, 1].map(|off| (1_i64 << exponent).wrapping_add(off)) {
            let sample = |timestamp| v1::Sample {
                value: 1.0,
                timestamp,
            };
            let series = |samples| v1::TimeSeries {
                samples,
                ..Default::default()
            };
            let now = 1_790_000_000_000;
            let request = v1::WriteRequest {
                timeseries: vec![
                    series(vec![sample(now), sample(millis)]),
                    series(vec![sample(now + 1)]),
                ],
                metadata: Vec::new(),
            };
            both(&request.encode_to_vec(), Version::V1).unwrap();
        }
    }
    // Neither in the fewest bytes: a second that is 1970, and a time that is one.
    for (field, is_time) in [
        ([0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00].to_vec(), false),
        (
            [0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0xb4, 0x00].to_vec(),
            true,
        ),
    ] {
        let sample = [vec![0x12, field.len() as u8], field].concat();
        let message = [vec![0x0a, sample.len() as u8], sample].concat();
        let contents = both(&message, Version::V1).unwrap();
        assert_eq!(contents.timestamps.span().is_some(), is_time);
    }
}

#[test]
fn follows_groups_as_deep_as_prost() {
    let nest = |depth: usize| [vec![0x7b; depth], vec![0x7c; depth]].concat();
    let field = |inner: Vec<u8>| {
        let mut field = vec![0x0a];
        prost::encoding::encode_varint(inner.len() as u64, &mut field);
        [field, inner].concat()
    };
    let accepted = |wrap: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        (90..=105)
            .filter(|depth| both(&wrap(nest(*depth)), Version::V1).is_some())
            .max()
    };
    assert_eq!(accepted(&|groups| groups), Some(100));
    assert_eq!(accepted(&field), Some(99));
    assert_eq!(accepted(&|groups| field(field(groups))), Some(98));
    assert!(both(&nest(100_000), Version::V2).is_none());
}

#[test]
fn counts_real_bodies() {
    let mut inspector = Inspector::new();
    for (body, samples) in BODIES {
        let contents = both(&message_of(body), Version::V1).unwrap();
        assert_eq!((contents.series, contents.samples), (samples, samples));
        let (oldest, newest) = contents.timestamps.span().unwrap();
        assert!(newest.duration_since(oldest).unwrap() < Duration::from_secs(60));
        let inspected = inspector.inspect(body, Version::V1, CAP);
        assert_eq!(inspected, Ok(Inspected::Counted(contents)));
    }
}

#[test]
fn skips_most_of_a_real_body_on_the_fast_path() {
    for (body, samples) in BODIES {
        let request = as_bytes::v1::WriteRequest::decode(&*message_of(body)).unwrap();
        let plain = request.timeseries.iter().filter(|series| {
            let mut contents = Contents::default();
            fast_path::series_v1(&series.encode_to_vec(), &mut contents).is_empty()
        });
        assert!(plain.count() as u64 * 10 > samples * 9);
        let (mut message, mut contents) = (message_of(body), Contents::default());
        let skimmed = message.len() - fast_path::request_v1(&message, &mut contents).len();
        message.truncate(skimmed);
        assert_eq!(both(&message, Version::V1), Some(contents));
        assert!(skimmed > 1000);
    }
}

#[test]
fn the_fast_path_accepts_no_references_that_the_walk_rejects() {
    let mut taken = 0;
    for length in 0..17 {
        for continued in 0..1_u32 << length {
            let refs = (0..length).map(|place| {
                if continued >> place & 1 == 1 {
                    0xff
                } else {
                    0x7f
                }
            });
            let series = [vec![0x0a, length], refs.collect()].concat();
            if fast_path::series_v2(&series, &mut Contents::default()).is_empty() {
                taken += 1;
                let message = [vec![0x2a, length + 2], series].concat();
                assert!(both(&message, Version::V2).is_some());
            }
        }
    }
    assert!(taken > 1 << 15);
}

#[test]
fn errors_name_cause_and_offset() {
    let series = |inner: &[u8]| [&[0x0a, inner.len() as u8], inner].concat();
    for (message, fault) in [
        (vec![0x0a, 0x80], WireError::Varint { offset: 1 }),
        (vec![0x02, 0x00], WireError::FieldNumber { offset: 0 }),
        (
            vec![0x80, 0x80, 0x80, 0x80, 0x10, 0x00],
            WireError::FieldNumber { offset: 0 },
        ),
        (
            series(&[0x77]),
            WireError::UndefinedWireType {
                offset: 2,
                wire_type: 7,
            },
        ),
        (
            series(&[0x10, 0x00]),
            WireError::WrongWireType {
                offset: 3,
                number: 2,
            },
        ),
        (
            series(&[0x0a, 0x03, 0x0a]),
            WireError::Truncated { offset: 4 },
        ),
        (
            series(&[0x0a, 0x02, 0x12, 0x05]),
            WireError::Truncated { offset: 6 },
        ),
        (vec![0x7c], WireError::GroupEnd { offset: 1 }),
        (vec![0x7b, 0x74], WireError::GroupEnd { offset: 2 }),
        (vec![0x7b; 200], WireError::TooDeep { offset: 101 }),
    ] {
        let found = Inspector::new().inspect(&pack(&message), Version::V1, CAP);
        assert_eq!(found, Err(Malformed::Wire(fault)), "{message:02x?}");
    }
}

// === unpacking ===

#[test]
fn an_empty_message_is_a_batch_but_an_empty_body_is_not() {
    let mut inspector = Inspector::new();
    for version in [Version::V1, Version::V2] {
        let nothing = Ok(Inspected::Counted(Contents::default()));
        assert_eq!(inspector.inspect(&pack(&[]), version, 0), nothing);
        assert_eq!(inspector.inspect(&[], version, CAP), Err(Malformed::Empty));
    }
}

#[test]
fn a_body_that_is_not_snappy_is_malformed() {
    let (body, _) = BODIES[3];
    let mut inspector = Inspector::new();
    for end in 1..body.len() {
        let found = inspector.inspect(&body[..end], Version::V1, CAP);
        assert!(is_not_a_block(&found), "cut at {end}: {found:?}");
    }
    let gzip = [0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00];
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x00, 0x00];
    let frame = *b"\xff\x06\x00\x00sNaPpY";
    let plain = message_of(body);
    for foreign in [&gzip[..], &zstd, &frame, &plain] {
        let found = inspector.inspect(foreign, Version::V1, CAP);
        assert!(is_not_a_block(&found), "{found:?}");
    }
}

fn block(declared: u64, elements: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    prost::encoding::encode_varint(declared, &mut block);
    block.extend_from_slice(elements);
    block
}

/// A literal of one byte, then `copies` times the element with the highest expansion.
fn densest(copies: usize) -> (u64, Vec<u8>) {
    let elements = [vec![0x00, 0x3a], [0xfe, 0x01, 0x00].repeat(copies)].concat();
    (1 + 64 * copies as u64, elements)
}

#[test]
fn the_densest_block_is_accepted_and_a_denser_one_is_rejected() {
    let mut inspector = Inspector::new();
    for copies in [1, 2, 100, 10_000] {
        let (size, elements) = densest(copies);
        assert_eq!(
            unpack(&block(size, &elements), CAP).unwrap().unwrap(),
            vec![0x3a; size as usize]
        );
        let most = elements.len() as u64 * 64 / 3;
        // The header is part of the length, so the bound is up to four bytes' worth higher.
        for declared in [most + 64 * 4, u64::from(u32::MAX)] {
            let body = block(declared, &elements);
            assert_eq!(
                inspector.inspect(&body, Version::V1, CAP),
                Err(Malformed::ImpossibleSize {
                    declared,
                    compressed: body.len() as u64
                })
            );
        }
    }
    assert!(matches!(
        inspector.inspect(&block(1 << 32, &[0; 9]), Version::V1, CAP),
        Err(Malformed::Snappy(_))
    ));
}

/// One element of a block, valid after at least one byte of output: its bytes, and the length of its output.
fn element() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let literal = vec(any::<u8>(), 1..60).prop_map(|bytes| {
        (
            [&[(bytes.len() as u8 - 1) << 2], &*bytes].concat(),
            bytes.len(),
        )
    });
    let copy1 = (4..12_u8).prop_map(|length| (vec![(length - 4) << 2 | 1, 1], length.into()));
    let copy2 = (1..65_u8).prop_map(|length| (vec![(length - 1) << 2 | 2, 1, 0], length.into()));
    let copy4 =
        (1..65_u8).prop_map(|length| (vec![(length - 1) << 2 | 3, 1, 0, 0, 0], length.into()));
    prop_oneof![literal, copy1, copy2, copy4]
}

proptest! {
    #[test]
    fn no_valid_block_is_rejected(elements in vec(element(), 0..200)) {
        let size = 1 + elements.iter().map(|(_, yields)| yields).sum::<usize>();
        let bytes: Vec<u8> = elements.into_iter().flat_map(|(bytes, _)| bytes).collect();
        let body = block(size as u64, &[&[0x00, 0x0a], bytes.as_slice()].concat());
        prop_assert_eq!(message_of(&body).len(), size);
    }
}

#[test]
fn a_valid_giant_is_forwarded_uncounted() {
    let (size, elements) = densest(10_000);
    let body = block(size, &elements);
    let found = Inspector::new().inspect(&body, Version::V1, size as usize - 1);
    assert_eq!(found, Ok(Inspected::TooLarge { declared: size }));
    assert_eq!(unpack(&body, size as usize - 1), Ok(None));
}

#[test]
fn giants_leave_bounded_memory() {
    let series = pack(&[0x0a, 0x00].repeat(buffer_pool::MOST / 2));
    let inspectors = InspectorPool::default();
    let mut at_once = [inspectors.take(), inspectors.take(), inspectors.take()];
    let (body, samples) = BODIES[0];
    for (inspector, body) in at_once.iter_mut().zip([&series[..], &series[..], body]) {
        let found = inspector.inspect(body, Version::V1, CAP);
        assert!(matches!(found, Ok(Inspected::Counted(_))), "{found:?}");
    }
    for inspector in at_once {
        inspectors.keep(inspector);
    }
    let mut kept = inspectors.take();
    assert_eq!(
        (kept.held(), inspectors.take().held()),
        (buffer_pool::MOST, 0)
    );
    let found = kept.inspect(body, Version::V1, CAP);
    assert!(matches!(found, Ok(Inspected::Counted(contents)) if contents.samples == samples));
}

// === the other version ===

/// What senders send is not looked into before it leaves.
#[test]
fn real_bodies_begin_like_their_version_and_not_like_the_other() {
    let in_version = |body: &[u8]| {
        let request = v1::WriteRequest::decode(message_of(body).as_slice()).unwrap();
        pack(&v2::Request::from(request).encode_to_vec())
    };
    for (body, _) in BODIES {
        for (body, is, other) in [
            (body.to_vec(), Version::V1, Version::V2),
            (in_version(body), Version::V2, Version::V1),
        ] {
            assert!(begins_as(&body[..16], is) && !begins_as(&body[..16], other));
        }
    }
    for version in [Version::V1, Version::V2] {
        assert!(begins_as(&[0], version), "empty");
        for odd in [&b"hello, I am no batch"[..], &[], &[0x80], &[5, 1, 10]] {
            assert!(!begins_as(odd, version), "{odd:?}");
        }
    }
}

#[test]
fn a_body_of_the_other_version_is_detected() {
    let mut inspector = Inspector::new();
    for (is, says) in [(Version::V1, Version::V2), (Version::V2, Version::V1)] {
        let body = pack(&one_of_everything(is));
        assert_eq!(
            inspector.inspect(&body, says, CAP),
            Ok(Inspected::OtherVersion)
        );
        assert!(matches!(
            inspector.inspect(&body, is, CAP),
            Ok(Inspected::Counted(_))
        ));
        // Unknown fields alone, or a field that is not a series, do not show the other version.
        for message in [
            &[0x32, 0x00][..],
            &[0x0a, 0x00, 0x2a, 0x00],
            &[0x22, 0x00],
            &[0x1a, 0x00],
        ] {
            let found = inspector.inspect(&pack(message), says, CAP);
            assert!(
                matches!(found, Ok(Inspected::Counted(_))),
                "{message:02x?}: {found:?}"
            );
        }
    }
}
