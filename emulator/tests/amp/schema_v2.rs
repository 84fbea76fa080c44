//! Version 2 bodies end in the store as version 1 bodies do.

use emulator::amp::{
    AmpConfig, Labels,
    proto::{v1, v2},
};
use prost::Message;

use crate::world::{V1, World, named, packed, series};

/// `up{job="test"}` with the symbols that it needs.
fn request(series: v2::TimeSeries) -> v2::Request {
    let symbols = [
        "", "__name__", "up", "job", "test", "is it up", "seconds", "trace_id", "abc",
    ];
    let timeseries = vec![v2::TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        ..series
    }];
    v2::Request {
        symbols: symbols.map(str::to_owned).to_vec(),
        timeseries,
    }
}

fn sample(timestamp: i64, value: f64) -> v2::Sample {
    v2::Sample {
        value,
        timestamp,
        start_timestamp: 5,
    }
}

fn histogram(timestamp: i64, sum: f64) -> v2::Histogram {
    v2::Histogram {
        count: Some(v2::histogram::Count::CountInt(3)),
        sum,
        schema: -1,
        zero_threshold: 0.001,
        zero_count: Some(v2::histogram::ZeroCount::ZeroCountInt(1)),
        positive_spans: vec![v2::BucketSpan {
            offset: -2,
            length: 2,
        }],
        positive_deltas: vec![2, -2],
        timestamp,
        start_timestamp: 7,
        ..Default::default()
    }
}

#[tokio::test]
async fn everything_in_a_body_arrives_and_is_reported() {
    let world = World::new();
    let now = world.now_ms();
    let body = request(v2::TimeSeries {
        samples: vec![sample(now - 1, 1.5), sample(now, 2.5)],
        histograms: vec![histogram(now + 1, 4.0)],
        exemplars: vec![v2::Exemplar {
            labels_refs: vec![7, 8],
            value: 1.0,
            timestamp: now,
        }],
        metadata: Some(v2::Metadata {
            r#type: 2,
            help_ref: 5,
            unit_ref: 6,
        }),
        ..Default::default()
    });
    let answer = world.send_v2(&body).await;
    assert_eq!(answer.assert_ok().written(), Some([2, 1, 1]));
    let store = world.amp.store();
    assert_eq!(store.value(&named("up"), now - 1), Some(1.5));
    assert!(store.contains(&named("up"), now + 1));
    let metadata = store.metadata("up").unwrap();
    assert_eq!(
        (
            metadata.r#type,
            metadata.help.as_str(),
            metadata.unit.as_str()
        ),
        (2, "is it up", "seconds")
    );
    store.visit(|labels, series| {
        assert_eq!(labels, &Labels::new([("job", "test"), ("__name__", "up")]));
        let (timestamp, bytes) = series.histograms().next().unwrap();
        let kept = v1::Histogram::decode(bytes).unwrap();
        assert_eq!((timestamp, kept.sum, kept.schema), (now + 1, 4.0, -1));
        assert_eq!(kept.count, Some(v1::histogram::Count::CountInt(3)));
        assert_eq!(
            kept.positive_spans,
            [v1::BucketSpan {
                offset: -2,
                length: 2
            }]
        );
        assert_eq!(kept.positive_deltas, [2, -2]);
    });

    // The same over version 1 is a repetition, histogram included.
    let kept = |mut histogram: v2::Histogram| {
        histogram.start_timestamp = 0;
        v1::Histogram::decode(histogram.encode_to_vec().as_slice()).unwrap()
    };
    let mut again = series("up", &[(now - 1, 1.5), (now, 2.5)]);
    again.histograms.push(kept(histogram(now + 1, 4.0)));
    world.send_v1(vec![again]).await.assert_ok();
    let stats = store.stats();
    assert_eq!(
        (
            stats.samples,
            stats.histograms,
            stats.exemplars,
            stats.duplicates
        ),
        (2, 1, 1, 3)
    );
}

#[tokio::test]
async fn nothing_is_reported_as_written_once_an_ingester_refuses_a_sample() {
    let world = World::new();
    let now = world.now_ms();
    let body = request(v2::TimeSeries {
        samples: vec![sample(now, 1.0)],
        ..Default::default()
    });
    world.send_v2(&body).await.assert_ok();
    let samples = vec![sample(now, 1.0), sample(now + 1, 1.0), sample(now + 1, 2.0)];
    let histograms = vec![
        histogram(now, 1.0),
        histogram(now + 2, 1.0),
        histogram(now + 2, 2.0),
    ];
    let body = request(v2::TimeSeries {
        samples,
        histograms,
        ..Default::default()
    });
    let answer = world.send_v2(&body).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text.contains("duplicate sample for timestamp"),
        "{}",
        answer.text
    );
    assert_eq!(
        answer.written(),
        Some([0, 0, 0]),
        "after an ingester's refusal the engine counts nothing"
    );
    assert!(world.amp.store().contains(&named("up"), now + 1));
    assert_eq!(world.amp.store().stats().refused, 3);
}

#[tokio::test]
async fn the_written_headers_can_be_kept_back() {
    let world = World::with(AmpConfig {
        report_written: false,
        ..AmpConfig::default()
    });
    let body = request(v2::TimeSeries {
        samples: vec![sample(world.now_ms(), 1.0)],
        ..Default::default()
    });
    let answer = world.send_v2(&body).await;
    assert_eq!(answer.assert_ok().written(), None);
    assert_eq!(world.amp.store().stats().samples, 1);
}

#[tokio::test]
async fn broken_symbol_tables_are_malformed() {
    let world = World::new();
    let good = request(v2::TimeSeries {
        samples: vec![sample(world.now_ms(), 1.0)],
        ..Default::default()
    });
    let change = |change: fn(&mut v2::Request)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let cases = [
        (
            change(|request| request.timeseries[0].labels_refs[3] = 9),
            "labelRefs 3 (name) = 9 (value) outside of symbols table (size 9)",
        ),
        (
            change(|request| request.timeseries[0].labels_refs.truncate(3)),
            "invalid labelRefs length 3",
        ),
        (
            change(|request| request.symbols.clear()),
            "labelRefs 1 (name) = 2 (value) outside of symbols table (size 0)",
        ),
        (
            change(|request| {
                request.timeseries[0].metadata = Some(v2::Metadata {
                    help_ref: 99,
                    ..Default::default()
                });
            }),
            "invalid HelpRef 99: exceeds symbols length 9",
        ),
        (
            change(|request| {
                let exemplar = v2::Exemplar {
                    labels_refs: vec![0, 50],
                    ..Default::default()
                };
                request.timeseries[0].exemplars.push(exemplar);
            }),
            "labelRefs 0 (name) = 50 (value) outside of symbols table (size 9)",
        ),
        (
            change(|request| request.timeseries[0].samples.clear()),
            r#"TimeSeries must contain at least one sample or histogram for series {__name__="up", job="test"}"#,
        ),
    ];
    for (request, text) in cases {
        world.send_v2(&request).await.assert_plain(400, text);
    }
    assert_eq!(world.amp.store().stats().batches, 0);
}

/// The schema is what the header says, never what the bytes look like.
#[tokio::test]
async fn a_body_under_the_wrong_type_is_an_empty_one() {
    let world = World::new();
    let v2_body = request(v2::TimeSeries {
        samples: vec![sample(world.now_ms(), 1.0)],
        ..Default::default()
    });
    world.send(V1, packed(&v2_body)).await.assert_ok();
    assert_eq!(world.amp.store().stats().samples, 0);
}
