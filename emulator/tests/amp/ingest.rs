//! What becomes of samples: stored once, refused with a reason, never both.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use emulator::amp::{AmpConfig, Labels, Stats, proto::v1};
use http::StatusCode;
use prost::Message;

use crate::world::{V1, World, label, named, packed, series};

/// Captured from Prometheus 2.42, in the order in which it sent them.
fn real_bodies() -> Vec<(Vec<u8>, v1::WriteRequest)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/bodies");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let body = fs::read(path).unwrap();
        let mut plain = vec![0; snap::raw::decompress_len(&body).unwrap()];
        snap::raw::Decoder::new()
            .decompress(&body, &mut plain)
            .unwrap();
        (body, v1::WriteRequest::decode(plain.as_slice()).unwrap())
    };
    paths.iter().map(read).collect()
}

#[tokio::test]
async fn real_bodies_are_stored_to_the_last_bit_and_only_once() {
    let bodies = real_bodies();
    let mut expected = BTreeMap::new();
    for (_, request) in &bodies {
        for series in &request.timeseries {
            let labels = Labels::new(
                series
                    .labels
                    .iter()
                    .map(|label| (&label.name, &label.value)),
            );
            for sample in &series.samples {
                expected.insert((labels.clone(), sample.timestamp), sample.value.to_bits());
            }
        }
    }
    assert!(expected.len() > 1000, "{} samples", expected.len());
    let newest = expected
        .keys()
        .map(|(_, timestamp)| *timestamp)
        .max()
        .unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(newest).unwrap());
    let world = World::at(AmpConfig::default(), now);
    for round in [1, 2] {
        for (body, _) in &bodies {
            world.send(V1, body.clone()).await.assert_ok();
        }
        let mut stored = BTreeMap::new();
        world.amp.store().visit(|labels, series| {
            stored.extend(
                series
                    .samples()
                    .map(|(timestamp, value)| ((labels.clone(), timestamp), value.to_bits())),
            );
        });
        assert!(
            stored == expected,
            "{} stored, {} sent",
            stored.len(),
            expected.len()
        );
        let stats = world.amp.store().stats();
        assert_eq!(stats.samples, expected.len() as u64);
        assert_eq!(stats.duplicates, (round - 1) * expected.len() as u64);
        assert_eq!((stats.metadata, stats.refused), (0, 0));
        assert_eq!(stats.batches, round * bodies.len() as u64);
        assert_eq!(
            stats.bytes,
            round
                * bodies
                    .iter()
                    .map(|(body, _)| body.len() as u64)
                    .sum::<u64>()
        );
    }
}

#[tokio::test]
async fn a_body_without_samples_is_fine() {
    let world = World::new();
    world
        .send(V1, packed(&v1::WriteRequest::default()))
        .await
        .assert_ok();
    assert_eq!(
        world.amp.store().stats(),
        Stats {
            batches: 1,
            bytes: 1,
            ..Stats::default()
        }
    );
    let answer = world.send(V1, packed(&v1::WriteRequest::default())).await;
    assert_eq!(answer.written(), None, "version 1 has no such headers");
}

#[tokio::test]
async fn bad_series_do_not_take_good_ones_along() {
    let world = World::new();
    let now = world.now_ms();
    let bad = |labels: Vec<v1::Label>| v1::TimeSeries {
        labels,
        ..series("", &[(now, 1.0), (now + 1, 1.0)])
    };
    let many = (0..150).map(|number| label(&format!("l{number:03}"), "x"));
    let many: Vec<_> = std::iter::once(label("__name__", "many"))
        .chain(many)
        .collect();
    let cases = [
        (
            vec![label("a", "x")],
            "sample missing metric name".to_owned(),
        ),
        (
            vec![label("__name__", "a-b")],
            "sample invalid metric name: \"a-b\"".into(),
        ),
        (
            vec![label("__name__", "up"), label("a.b", "x")],
            r#"sample invalid label: "a.b" metric "up{a.b=\"x\"}""#.into(),
        ),
        (
            vec![label("__name__", "up"), label("a", "x"), label("a", "x")],
            r#"duplicate label name: "a" metric "up{a=\"x\", a=\"x\"}""#.into(),
        ),
        (
            many.clone(),
            format!(
                "series has too many labels (actual: 151, limit: 150) series: 'many{{{}}}'",
                many[1..]
                    .iter()
                    .map(|label| format!("{}=\"x\"", label.name))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        ),
    ];
    for (number, (labels, text)) in cases.into_iter().enumerate() {
        let good = [format!("before_{number}"), format!("after_{number}")];
        let batch = vec![
            series(&good[0], &[(now, 1.0)]),
            bad(labels),
            series(&good[1], &[(now, 1.0)]),
        ];
        world.send_v1(batch).await.assert_plain(400, &text);
        assert!(
            good.iter()
                .all(|metric| world.amp.store().contains(&named(metric), now)),
            "{text}"
        );
    }
    let stats = world.amp.store().stats();
    assert_eq!(
        (stats.series, stats.samples, stats.refused, stats.batches),
        (10, 10, 10, 5)
    );
}

#[tokio::test]
async fn a_series_without_labels_ends_the_whole_request() {
    let world = World::new();
    let now = world.now_ms();
    let bare = v1::TimeSeries {
        labels: Vec::new(),
        ..series("", &[(now, 1.0)])
    };
    world
        .send_v1(vec![series("up", &[(now, 1.0)]), bare])
        .await
        .assert_plain(400, "empty labels found");
    assert_eq!(world.amp.store().stats(), Stats::default());
}

#[tokio::test]
async fn a_repetition_is_known_and_another_value_is_refused() {
    let world = World::new();
    let now = world.now_ms();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    world
        .send_v1(vec![series(
            "up",
            &[(now - 2, 1.0), (now - 1, f64::NAN), (now, stale)],
        )])
        .await
        .assert_ok();
    world
        .send_v1(vec![series(
            "up",
            &[(now - 2, 1.0), (now - 1, f64::NAN), (now, stale)],
        )])
        .await
        .assert_ok();
    let text = |existing: &str, value: &str, metric: &str| {
        world.ingester_says(&format!(
            "err: duplicate sample for timestamp {now}; overrides not allowed: existing {existing}, new value {value}. \
             series={}",
            named(metric)
        ))
    };
    let again = [(now - 2, 1.0), (now, 2.0), (now + 1, 3.0)];
    world
        .send_v1(vec![series("up", &again)])
        .await
        .assert_plain(400, &text("NaN", "2", "up"));
    let store = world.amp.store();
    assert_eq!(
        store.value(&named("up"), now).map(f64::to_bits),
        Some(stale.to_bits())
    );
    assert_eq!(store.value(&named("up"), now + 1), Some(3.0));
    let stats = store.stats();
    assert_eq!((stats.samples, stats.duplicates, stats.refused), (4, 4, 1));
    // Within one batch, and across its entries, too.
    let twice = vec![
        series("two", &[(now, 1.0)]),
        series("two", &[(now, 1.0)]),
        series("two", &[(now, 5.0)]),
    ];
    world
        .send_v1(twice)
        .await
        .assert_plain(400, &text("1", "5", "two"));
    assert_eq!(store.value(&named("two"), now), Some(1.0));
}

#[tokio::test]
async fn out_of_order_is_for_a_minute() {
    let world = World::new();
    let now = world.now_ms();
    world
        .send_v1(vec![
            series("up", &[(now, 1.0)]),
            series("slow", &[(now - 600_000, 1.0)]),
        ])
        .await
        .assert_ok();
    world
        .send_v1(vec![series("up", &[(now - 60_000, 2.0)])])
        .await
        .assert_ok();
    // In order for its own series, however far it is behind the others.
    world
        .send_v1(vec![series("slow", &[(now - 599_000, 1.0)])])
        .await
        .assert_ok();
    for (metric, timestamp, shown) in [
        ("up", now - 60_001, "2025-12-31T23:58:59.999Z"),
        ("slow", now - 601_000, "2025-12-31T23:49:59Z"),
    ] {
        let text = world.ingester_says(&format!(
            "err: too old sample. timestamp={shown}, tsdbHeadMaxTimestamp=2026-01-01T00:00:00Z, series={}",
            named(metric)
        ));
        world
            .send_v1(vec![series(metric, &[(timestamp, 3.0)])])
            .await
            .assert_plain(400, &text);
        assert!(!world.amp.store().contains(&named(metric), timestamp));
    }
    // The batch itself moves the newest sample on, too.
    let fresh = World::new();
    let backwards = vec![series(
        "up",
        &[(now, 1.0), (now - 60_000, 1.0), (now - 60_001, 1.0)],
    )];
    assert_eq!(fresh.send_v1(backwards).await.status, 400);
    assert_eq!(fresh.amp.store().stats().samples, 2);

    let mut seen = Vec::new();
    world.amp.store().visit(|labels, series| {
        seen.push((
            labels.clone(),
            series.samples().collect::<Vec<_>>(),
            series.newest(),
        ));
    });
    seen.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(
        seen[0],
        (
            named("slow"),
            vec![(now - 600_000, 1.0), (now - 599_000, 1.0)],
            Some(now - 599_000)
        )
    );
    assert_eq!(
        seen[1],
        (
            named("up"),
            vec![(now - 60_000, 2.0), (now, 1.0)],
            Some(now)
        )
    );
}

#[tokio::test]
async fn an_hour_is_too_old_even_for_what_is_known() {
    let world = World::new();
    let oldest = world.now_ms() - 3_600_000;
    world
        .send_v1(vec![series("up", &[(oldest, 1.0)])])
        .await
        .assert_ok();
    let text = format!("timestamp too old: {} metric: \"up\"", oldest - 1);
    // An old sample takes along whatever is in its entry, and no other entry of its series.
    world
        .send_v1(vec![
            series("up", &[(oldest - 1, 1.0), (oldest + 1, 1.0)]),
            series("up", &[(oldest + 2, 1.0)]),
        ])
        .await
        .assert_plain(400, &text);
    for (timestamp, kept) in [(oldest - 1, false), (oldest + 1, false), (oldest + 2, true)] {
        assert_eq!(
            world.amp.store().contains(&named("up"), timestamp),
            kept,
            "{timestamp}"
        );
    }
    let later = world.now + Duration::from_secs(1);
    let known = world.signing().sign(packed(&v1::WriteRequest {
        timeseries: vec![series("up", &[(oldest, 1.0)])],
        metadata: Vec::new(),
    }));
    let answer = world.amp.handle(later, known).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        answer.body(),
        &format!("timestamp too old: {oldest} metric: \"up\"\n")
    );
}

#[tokio::test]
async fn the_series_limit_lets_known_series_go_on() {
    for status in [StatusCode::BAD_REQUEST, StatusCode::TOO_MANY_REQUESTS] {
        let world = World::with(AmpConfig {
            max_series: 2,
            series_limit_status: status,
            ..AmpConfig::default()
        });
        let now = world.now_ms();
        let sample = |metric: &str, at| series(metric, &[(at, 1.0)]);
        let text = world
            .ingester_says(
                "per-user series limit of 2 exceeded, please contact administrator to raise it (local limit: 0 global \
                 limit: 2 actual local limit: 2)",
            )
            .replace("Code(400)", &format!("Code({})", status.as_u16()));
        let batch = vec![
            sample("a", now),
            sample("b", now),
            sample("c", now),
            sample("a", now + 1),
        ];
        world
            .send_v1(batch)
            .await
            .assert_plain(status.as_u16(), &text);
        world.send_v1(vec![sample("b", now + 1)]).await.assert_ok();
        world
            .send_v1(vec![sample("d", now)])
            .await
            .assert_plain(status.as_u16(), &text);
        let stats = world.amp.store().stats();
        assert_eq!((stats.series, stats.samples, stats.refused), (2, 4, 2));
    }
}

#[tokio::test]
async fn metadata_and_exemplars_are_counted() {
    let world = World::new();
    let metadata = v1::MetricMetadata {
        r#type: v1::metric_metadata::MetricType::Gauge.into(),
        metric_family_name: "up".into(),
        help: "is it".into(),
        unit: String::new(),
    };
    let exemplar = v1::Exemplar {
        labels: vec![label("trace_id", "x")],
        value: 1.0,
        timestamp: world.now_ms(),
    };
    let only_exemplar = v1::TimeSeries {
        exemplars: vec![exemplar],
        ..series("up", &[])
    };
    let request = v1::WriteRequest {
        timeseries: vec![only_exemplar],
        metadata: vec![metadata.clone()],
    };
    world.send(V1, packed(&request)).await.assert_ok();
    assert_eq!(world.amp.store().metadata("up"), Some(metadata));
    let stats = world.amp.store().stats();
    assert_eq!((stats.exemplars, stats.metadata, stats.series), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_at_the_same_time_do_not_disturb_each_other() {
    let world = std::sync::Arc::new(World::new());
    let now = world.now_ms();
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..8 {
        let world = world.clone();
        senders.spawn(async move {
            for shared in [now + sender, now + 100] {
                let batch = (0..50)
                    .map(|number| series(&format!("m{number}"), &[(shared, 1.0)]))
                    .collect();
                world.send_v1(batch).await.assert_ok();
            }
        });
    }
    senders.join_all().await;
    let stats = world.amp.store().stats();
    assert_eq!(
        (stats.samples, stats.duplicates, stats.series),
        (9 * 50, 7 * 50, 50)
    );
}
