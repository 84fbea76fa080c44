//! What the engine says of real data, compared with the answers of a real Cortex: the fixed beginnings, and the sender's
//! own labels in them. And what stays stored beside what is refused.

use emulator::amp::{
    AmpConfig, EngineAnswer, LabelSetLimit, Limits,
    proto::{v1, v2},
};
use std::time::Duration;

use crate::world::{Answer, V1, World, label, named, packed, series};

fn histogram(timestamp: i64) -> v1::Histogram {
    v1::Histogram {
        count: Some(v1::histogram::Count::CountInt(5)),
        positive_spans: vec![v1::BucketSpan {
            offset: 0,
            length: 2,
        }],
        positive_deltas: vec![2, 1],
        sum: 4.0,
        timestamp,
        ..Default::default()
    }
}

fn with_histogram(metric: &str, histogram: v1::Histogram) -> v1::TimeSeries {
    v1::TimeSeries {
        labels: vec![label("__name__", metric)],
        histograms: vec![histogram],
        ..Default::default()
    }
}

fn labeled(labels: &[(&str, &str)], timestamp: i64) -> v1::TimeSeries {
    v1::TimeSeries {
        labels: labels
            .iter()
            .map(|(name, value)| label(name, value))
            .collect(),
        samples: vec![v1::Sample {
            value: 1.0,
            timestamp,
        }],
        ..Default::default()
    }
}

/// A text up to its first value that is the sender's or the clock's.
fn beginning(text: &str) -> &str {
    let end = text
        .find(|letter: char| letter.is_ascii_digit() || letter == '"' || letter == '{')
        .unwrap_or(text.len());
    &text[..end]
}

fn assert_as_the_engine(answer: &Answer, name: &str) {
    let expected = EngineAnswer::named(name).unwrap_or_else(|| panic!("no {name}"));
    // The tenant's digits and the preface's are cut off with what comes before the words.
    let words = |text: &str| {
        let words = text.split_once(": err: ").or(text.split_once("14_14: "));
        words.map_or(text, |(_, words)| words).to_owned()
    };
    let (said, known) = (
        words(&answer.text.replace(
            "user=123456789012_ws-12345678-abcd-1234-abcd-123456789012",
            "user=14_14",
        )),
        words(&expected.text("14_14")),
    );
    assert_eq!(
        (answer.status, beginning(said.trim_end())),
        (expected.status(), beginning(&known)),
        "{name}: {}",
        answer.text
    );
    assert_eq!(
        answer.text.starts_with("maxFailure (quorum)"),
        expected.text("U").starts_with("maxFailure (quorum)"),
        "{name}: {}",
        answer.text
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

fn limited() -> World {
    World::with(AmpConfig {
        max_labels: 4,
        max_label_bytes: 150,
        max_series: 9,
        limits: Limits {
            max_label_name_length: Some(20),
            max_label_value_length: Some(60),
            max_series_per_metric: Some(2),
            limits_per_label_set: vec![LabelSetLimit {
                labels: [("team".to_owned(), "a".to_owned())].into(),
                max_series: 1,
            }],
            max_native_histogram_series: Some(1),
            max_native_histogram_buckets: Some(2),
            max_native_histogram_sample_size_bytes: Some(100),
            max_metadata_length: Some(20),
            creation_grace_period: Some(Duration::from_secs(600)),
            exemplars: true,
            ..Limits::default()
        },
        ..AmpConfig::default()
    })
}

#[tokio::test]
async fn each_fault_is_worded_as_by_a_real_cortex_and_leaves_the_good_sample_beside_it() {
    let at = |world: &World| world.now_ms();
    let long = "v".repeat(61);
    let many = [("a", "v"), ("b", "v"), ("c", "v"), ("d", "v")];
    let wide = "v".repeat(60);
    type Bad<'a> = Box<dyn Fn(i64) -> v1::TimeSeries + 'a>;
    let name = ("__name__", "m");
    let cases: Vec<(&str, Bad<'_>)> = vec![
        (
            "reject-old-samples",
            Box::new(|now| labeled(&[name], now - 3_600_001)),
        ),
        ("future", Box::new(|now| labeled(&[name], now + 600_001))),
        (
            "label-name-too-long",
            Box::new(|now| labeled(&[name, ("nnnnnnnnnnnnnnnnnnnnn", "v")], now)),
        ),
        (
            "label-value-too-long",
            Box::new(|now| labeled(&[name, ("n", &long)], now)),
        ),
        (
            "too-many-labels",
            Box::new(|now| labeled(&[&[name][..], &many[..]].concat(), now)),
        ),
        (
            "labels-size",
            Box::new(|now| labeled(&[name, ("a", &wide), ("b", &wide), ("c", "twenty")], now)),
        ),
        ("no-name", Box::new(|now| labeled(&[("a", "v")], now))),
        (
            "invalid-metric-name",
            Box::new(|now| labeled(&[("__name__", "bad name\u{1}")], now)),
        ),
        (
            "invalid-label-name",
            Box::new(|now| labeled(&[name, ("bad-label", "v")], now)),
        ),
        (
            "duplicate-label",
            Box::new(|now| labeled(&[name, ("a", "1"), ("a", "2")], now)),
        ),
        (
            "nh-schema-invalid",
            Box::new(|now| {
                with_histogram(
                    "h",
                    v1::Histogram {
                        schema: 12,
                        ..histogram(now)
                    },
                )
            }),
        ),
        (
            "nh-count-wrong",
            Box::new(|now| {
                with_histogram(
                    "h",
                    v1::Histogram {
                        count: Some(v1::histogram::Count::CountInt(3)),
                        ..histogram(now)
                    },
                )
            }),
        ),
        (
            "nhcb-bad-bounds",
            Box::new(|now| {
                with_histogram(
                    "h",
                    v1::Histogram {
                        schema: -53,
                        custom_values: vec![5.0, 2.0],
                        ..histogram(now)
                    },
                )
            }),
        ),
        (
            "nh-size",
            Box::new(|now| {
                with_histogram(
                    "h",
                    v1::Histogram {
                        schema: -53,
                        custom_values: (0..20_i32).map(f64::from).collect(),
                        ..histogram(now)
                    },
                )
            }),
        ),
        (
            "nh-too-many-buckets",
            Box::new(|now| {
                let spans = vec![
                    v1::BucketSpan {
                        offset: 0,
                        length: 2,
                    },
                    v1::BucketSpan {
                        offset: 2000,
                        length: 1,
                    },
                ];
                with_histogram(
                    "h",
                    v1::Histogram {
                        count: Some(v1::histogram::Count::CountInt(8)),
                        positive_spans: spans,
                        positive_deltas: vec![2, 1, 0],
                        ..histogram(now)
                    },
                )
            }),
        ),
        (
            "exemplar-no-labels",
            Box::new(|now| {
                let exemplar = v1::Exemplar {
                    timestamp: now,
                    ..Default::default()
                };
                with_sample("m", now, exemplar)
            }),
        ),
        (
            "exemplar-labels-too-long",
            Box::new(|now| {
                let exemplar = v1::Exemplar {
                    labels: vec![label("trace_id", &"é".repeat(121))],
                    timestamp: now,
                    ..Default::default()
                };
                with_sample("m", now, exemplar)
            }),
        ),
    ];
    for (case, bad) in cases {
        let world = limited();
        let now = at(&world);
        let answer = world
            .send_v1(vec![bad(now), series("good", &[(now, 1.0)])])
            .await;
        assert_as_the_engine(&answer, case);
        assert!(world.amp.store().contains(&named("good"), now), "{case}");
        assert_eq!(world.amp.store().stats().series, 1, "{case}");
    }
}

#[tokio::test]
async fn ingesters_refuse_in_the_engines_words_and_keep_the_rest() {
    let two = |world: &World, first: v1::TimeSeries, second: v1::TimeSeries| {
        let request = v1::WriteRequest {
            timeseries: vec![first, second],
            metadata: Vec::new(),
        };
        world.signing().sign(packed(&request))
    };
    let teams = |team: &'static str, metric: &'static str| {
        move |now| labeled(&[("__name__", metric), ("team", team)], now)
    };
    type Made<'a> = &'a dyn Fn(i64) -> v1::TimeSeries;
    let cases: [(&str, Made<'_>, Made<'_>); 4] = [
        (
            "series-per-labelset",
            &teams("a", "one"),
            &teams("a", "two"),
        ),
        (
            "nh-series-per-user",
            &|now| with_histogram("h", histogram(now)),
            &|now| with_histogram("i", histogram(now)),
        ),
        (
            "duplicate-other-value",
            &|now| series("up", &[(now, 1.0)]),
            &|now| series("up", &[(now, 2.0)]),
        ),
        (
            "exemplar-ooo",
            &|now| {
                with_sample(
                    "m",
                    now,
                    v1::Exemplar {
                        labels: vec![label("trace_id", "x")],
                        timestamp: now,
                        ..Default::default()
                    },
                )
            },
            &|now| {
                with_sample(
                    "m",
                    now,
                    v1::Exemplar {
                        labels: vec![label("trace_id", "x")],
                        timestamp: now - 1,
                        ..Default::default()
                    },
                )
            },
        ),
    ];
    for (case, first, second) in cases {
        let world = limited();
        let now = world.now_ms();
        let answer = world.handle(two(&world, first(now), second(now))).await;
        assert_as_the_engine(&answer, case);
        assert_eq!(world.amp.store().stats().series, 1, "{case}");
    }

    let world = limited();
    let now = world.now_ms();
    let answer = world
        .send_v1(vec![
            labeled(&[("__name__", "m"), ("i", "0")], now),
            labeled(&[("__name__", "m"), ("i", "1")], now),
            labeled(&[("__name__", "m"), ("i", "2")], now),
        ])
        .await;
    let text = world.ingester_says(
        "per-metric series limit of 2 exceeded for metric m, please contact administrator to raise it (local limit: 0 \
         global limit: 2 actual local limit: 2) for series {__name__=\"m\", i=\"2\"}",
    );
    answer.assert_plain(400, &text);
    let more = (0..8).map(|n| labeled(&[("__name__", &format!("n{n}"))], now));
    let answer = world.send_v1(more.collect()).await;
    assert_as_the_engine(&answer, "series-per-user");
    assert_eq!(world.amp.store().stats().series, 9);
}

fn with_sample(metric: &str, now: i64, exemplar: v1::Exemplar) -> v1::TimeSeries {
    v1::TimeSeries {
        exemplars: vec![exemplar],
        ..labeled(&[("__name__", metric)], now)
    }
}

#[tokio::test]
async fn without_a_window_it_is_out_of_order_and_beyond_an_hour_out_of_bounds() {
    let world = World::with(AmpConfig {
        out_of_order_window: Duration::ZERO,
        max_sample_age: Duration::from_secs(4 * 3600),
        ..AmpConfig::default()
    });
    let now = world.now_ms();
    let up = |ago: i64| vec![series("up", &[(now - ago, 1.0)])];
    world.send_v1(up(0)).await.assert_ok();
    let answer = world.send_v1(up(1000)).await;
    assert_as_the_engine(&answer, "ooo-window-0");
    assert!(
        answer.text.ends_with(
            ". timestamp=2025-12-31T23:59:59Z, series={__name__=\"up\", job=\"test\"}\n"
        ),
        "{}",
        answer.text
    );
    assert_as_the_engine(&world.send_v1(up(3_600_001)).await, "too-old-out-of-bounds");
    let other = vec![series("other", &[(now - 3_600_001, 1.0)])];
    assert_as_the_engine(&world.send_v1(other).await, "too-old-out-of-bounds");
    assert_eq!(world.amp.store().stats().samples, 1);

    let world = World::new();
    world.send_v1(up(0)).await.assert_ok();
    let answer = world.send_v1(up(61_000)).await;
    assert_as_the_engine(&answer, "ooo-window-60s-outside");
}

#[tokio::test]
async fn a_late_repetition_is_taken_unless_it_is_asked_for() {
    let world = World::new();
    let now = world.now_ms();
    let late = || vec![series("up", &[(now - 61_000, 1.0)])];
    world.send_v1(late()).await.assert_ok();
    world
        .send_v1(vec![series("up", &[(now, 1.0)])])
        .await
        .assert_ok();
    world.send_v1(late()).await.assert_ok();
    world
        .amp
        .change_limits(|limits| limits.refuse_late_repetitions = true);
    assert_as_the_engine(&world.send_v1(late()).await, "ooo-window-60s-outside");
    // The newest sample itself may always come once more.
    world
        .send_v1(vec![series("up", &[(now, 1.0)])])
        .await
        .assert_ok();
}

#[tokio::test]
async fn what_a_label_holds_stands_in_the_text_to_the_letter() {
    let world = limited();
    let value = format!("Rate exceeded \"{}\n", "x".repeat(60));
    let answer = world
        .send_v1(vec![labeled(
            &[("__name__", "m"), ("message", &value)],
            world.now_ms(),
        )])
        .await;
    let shown = format!("Rate exceeded \\\"{}\\n", "x".repeat(60));
    let twice = shown.replace('\\', "\\\\").replace("\\\\\"", "\\\\\\\"");
    answer.assert_plain(
        400,
        &format!(
            "label value too long for metric (actual: 76, limit: 60) metric: \"m{{message=\\\"{twice}\\\"}}\" label name: \
             \"message\" label value: \"{shown}\""
        ),
    );
}

#[tokio::test]
async fn metadata_is_judged_by_itself() {
    let world = limited();
    let metadata = |family: &str, help: &str| v1::MetricMetadata {
        metric_family_name: family.into(),
        help: help.into(),
        ..Default::default()
    };
    for (case, bad) in [
        ("metadata-too-long", metadata("m", &"help".repeat(6))),
        ("metadata-no-name", metadata("", "help")),
    ] {
        let request = v1::WriteRequest {
            timeseries: vec![series("up", &[(world.now_ms(), 1.0)])],
            metadata: vec![bad, metadata("up", "fine")],
        };
        assert_as_the_engine(&world.send(V1, packed(&request)).await, case);
        assert!(world.amp.store().contains(&named("up"), world.now_ms()));
        assert!(world.amp.store().metadata("up").is_some());
    }
}

#[tokio::test]
async fn a_label_limit_leaves_the_counts_of_the_good_ones_standing() {
    let world = limited();
    let now = world.now_ms();
    let request = v1::WriteRequest {
        timeseries: vec![
            labeled(&[("__name__", "bad"), ("a", &"v".repeat(61))], now),
            labeled(&[("__name__", "one")], now),
            labeled(&[("__name__", "two")], now),
        ],
        metadata: Vec::new(),
    };
    let answer = world.send_v2(&v2::Request::from(request)).await;
    assert_as_the_engine(&answer, "label-value-too-long");
    assert_eq!(answer.written(), Some([2, 0, 0]));
    assert_eq!(world.amp.store().stats().samples, 2);
}
