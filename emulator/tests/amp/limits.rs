//! Limits and behavior of the instance, as they are turned while it runs.

use std::time::{Duration, Instant};

use emulator::amp::{
    AmpConfig, EngineAnswer, HaTracker, Limits, Rate, RemoteWrite2,
    proto::{v1, v2},
};

use crate::world::{ROLE, Signing, V1, V2, World, label, named, packed, series};

fn with(limits: Limits) -> World {
    World::with(AmpConfig {
        limits,
        ..AmpConfig::default()
    })
}

/// So many series of one sample each.
fn batch(world: &World, count: usize) -> v1::WriteRequest {
    let now = world.now_ms();
    v1::WriteRequest {
        timeseries: (0..count)
            .map(|number| series(&format!("m{number}"), &[(now, 1.0)]))
            .collect(),
        metadata: Vec::new(),
    }
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_packed_or_unpacked() {
    let world = with(Limits {
        max_recv_msg_size: 1000,
        ..Limits::default()
    });
    let plain = prost::Message::encoded_len(&batch(&world, 100));
    let answer = world.send(V1, packed(&batch(&world, 100))).await;
    answer.assert_plain(
        400,
        &format!("received message larger than max ({plain} vs 1000)"),
    );
    let answer = world.send(V1, vec![0xff; 1001]).await;
    answer.assert_plain(400, "received message larger than max (1001 vs 1000)");
    let second = v2::Request::from(batch(&world, 100));
    let answer = world.send_v2(&second).await;
    assert!(
        answer
            .text
            .starts_with("received message larger than max ("),
        "{}",
        answer.text
    );
    assert_eq!(world.amp.store().stats().batches, 0);
    world.send(V1, packed(&batch(&world, 10))).await.assert_ok();
}

#[tokio::test]
async fn a_message_that_an_ingester_does_not_take_is_a_500() {
    let world = with(Limits {
        ingester_max_recv_msg_size: Some(1000),
        ..Limits::default()
    });
    let preface = "maxFailure (quorum) on a given error family, addr=10.0.3.17:9095 state=ACTIVE zone=, rpc error: code = ";
    let body = packed(&batch(&world, 100));
    world.send(V1, body.clone()).await.assert_plain(
        500,
        &format!(
            "{preface}ResourceExhausted desc = grpc: received message after decompression larger than max 1000"
        ),
    );
    world.amp.change_limits(|limits| {
        limits.ingester_max_send_msg_size = Some(900);
    });
    let plain = prost::Message::encoded_len(&batch(&world, 100));
    world.send(V1, body).await.assert_plain(
        500,
        &format!(
            "{preface}ResourceExhausted desc = trying to send message larger than max ({plain} vs. 900)"
        ),
    );
    assert_eq!(world.amp.store().stats().samples, 0);
    world.send(V1, packed(&batch(&world, 10))).await.assert_ok();
}

#[tokio::test]
async fn the_ingestion_rate_takes_a_request_whole_or_not_at_all() {
    let world = with(Limits {
        ingestion_rate: Some(Rate::new(1.0, 10)),
        ..Limits::default()
    });
    let over = world.send_v2(&v2::Request::from(batch(&world, 50))).await;
    over.assert_plain(
        429,
        "ingestion rate limit (1) exceeded while adding 50 samples and 50 metadata",
    );
    assert_eq!(over.written(), Some([0, 0, 0]));
    world.send(V1, packed(&batch(&world, 8))).await.assert_ok();
    let answer = world.send(V1, packed(&batch(&world, 8))).await;
    let text = "ingestion rate limit (1) exceeded while adding 8 samples and 0 metadata";
    answer.assert_plain(429, text);
    // Nothing to add needs nothing, and what is refused before costs nothing.
    world
        .send(V1, packed(&v1::WriteRequest::default()))
        .await
        .assert_ok();
    let bad = world
        .send_v1(vec![series("not-a-name", &[(world.now_ms(), 1.0)])])
        .await;
    assert_eq!(bad.status, 400, "{}", bad.text);
    let later = world.now + Duration::from_secs(6);
    let request = world.signing().sign(packed(&batch(&world, 8)));
    assert_eq!(world.amp.handle(later, request).await.status(), 200);
    assert_eq!(world.amp.store().stats().samples, 8);
}

#[tokio::test]
async fn the_rate_of_native_histograms_spares_the_rest_of_a_request() {
    let world = with(Limits {
        native_histogram_ingestion_rate: Some(Rate::new(1.0, 1)),
        ..Limits::default()
    });
    let now = world.now_ms();
    let histograms = v1::TimeSeries {
        labels: vec![label("__name__", "h")],
        histograms: (0..2)
            .map(|number| v1::Histogram {
                count: Some(v1::histogram::Count::CountInt(0)),
                timestamp: now + number,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let text = "native histogram ingestion rate limit (1) exceeded while adding 2 native histogram samples";
    world
        .send_v1(vec![histograms.clone()])
        .await
        .assert_plain(429, text);
    world
        .send_v1(vec![histograms, series("up", &[(now, 1.0)])])
        .await
        .assert_plain(429, text);
    let stats = world.amp.store().stats();
    assert_eq!((stats.samples, stats.histograms), (1, 0));
}

#[tokio::test]
async fn a_slow_engine_takes_its_time_for_each_write_and_each_sample_and_none_for_an_empty_one() {
    let world = with(Limits {
        write_delay: Duration::from_millis(100),
        sample_delay: Duration::from_millis(10),
        ..Limits::default()
    });
    let started = Instant::now();
    world.send(V1, packed(&batch(&world, 20))).await.assert_ok();
    assert!(started.elapsed() >= Duration::from_millis(300));
    world
        .amp
        .change_limits(|limits| limits.write_delay = Duration::from_secs(600));
    world
        .send(V1, packed(&v1::WriteRequest::default()))
        .await
        .assert_ok();
}

#[tokio::test]
async fn one_replica_of_a_pair_is_taken_without_its_label() {
    let world = with(Limits {
        ha_tracker: Some(HaTracker {
            failover_timeout: Duration::from_secs(2),
            max_replica_groups: Some(1),
            ..HaTracker::default()
        }),
        ..Limits::default()
    });
    let now = world.now_ms();
    let from = |cluster: &str, replica: &str, at: i64| {
        let mut series = series("up", &[(at, 1.0)]);
        series.labels.push(label("cluster", cluster));
        series.labels.push(label("__replica__", replica));
        v1::WriteRequest {
            timeseries: vec![series],
            metadata: Vec::new(),
        }
    };
    world
        .send(V1, packed(&from("c", "a", now)))
        .await
        .assert_ok();
    let stored =
        emulator::amp::Labels::new([("__name__", "up"), ("job", "test"), ("cluster", "c")]);
    assert!(world.amp.store().contains(&stored, now));
    let text = "replicas did not match, rejecting sample: replica=b, elected=a";
    let other = world.send(V1, packed(&from("c", "b", now + 1))).await;
    other.assert_plain(202, text);
    let other = world
        .send_v2(&v2::Request::from(from("c", "b", now + 1)))
        .await;
    assert_eq!(other.assert_plain(202, text).written(), Some([1, 0, 0]));
    assert!(!world.amp.store().contains(&stored, now + 1));
    world
        .send(V1, packed(&from("d", "a", now)))
        .await
        .assert_plain(400, "too many HA replicaGroups (limit: 1)");
    // A sender without a replica label is not deduplicated.
    world
        .send_v1(vec![series("alone", &[(now, 1.0)])])
        .await
        .assert_ok();
    let later = world.now + Duration::from_secs(2);
    let request = world.signing().sign(packed(&from("c", "b", now + 2)));
    assert_eq!(world.amp.handle(later, request).await.status(), 200);
    assert!(world.amp.store().contains(&stored, now + 2));
}

#[tokio::test]
async fn a_receiver_of_version_1_refuses_version_2_or_reads_nothing_in_it() {
    let world = with(Limits {
        remote_write_2: RemoteWrite2::Rejected,
        ..Limits::default()
    });
    let body = v2::Request::from(batch(&world, 3));
    world.send_v2(&body).await.assert_plain(
        415,
        "io.prometheus.write.v2.Request protobuf message is not accepted by this server; only accepts \
         prometheus.WriteRequest",
    );
    world
        .amp
        .change_limits(|limits| limits.remote_write_2 = RemoteWrite2::Misread);
    let answer = world.send_v2(&body).await;
    assert_eq!(answer.assert_ok().written(), None);
    assert_eq!(world.amp.store().stats().samples, 0);
    world.send(V1, packed(&batch(&world, 3))).await.assert_ok();
    assert_eq!(world.amp.store().stats().samples, 3);
}

#[tokio::test]
async fn any_of_the_engines_answers_can_be_had_and_only_the_distributors_meet_an_empty_write() {
    let world = World::new();
    let tenant = format!("123456789012_{}", world.amp.config().workspace_id);
    for answer in EngineAnswer::all() {
        world
            .amp
            .change_limits(|limits| limits.answer = Some(answer));
        world
            .send(V1, packed(&batch(&world, 1)))
            .await
            .assert_plain(answer.status().as_u16(), &answer.text(&tenant));
    }
    assert_eq!(world.amp.store().stats().samples, 0);
    for (name, status) in [
        ("distributor-inflight", 503),
        ("canceled", 499),
        ("no-tenant", 401),
        ("stopping", 200),
        ("empty-ring", 200),
    ] {
        world
            .amp
            .change_limits(|limits| limits.answer = EngineAnswer::named(name));
        let empty = world.send(V1, packed(&v1::WriteRequest::default())).await;
        assert_eq!(empty.status.as_u16(), status, "{name}");
    }
}

/// What a sidecar sends to see whether it is the batch or the workspace that is refused.
#[tokio::test]
async fn an_empty_write_shows_whether_the_front_door_is_open() {
    let world = World::new();
    let empty = packed(&v1::WriteRequest::default());
    assert_eq!(empty, [0]);
    world.send(V1, empty.clone()).await.assert_ok();
    let second = world.send(V2, empty.clone()).await;
    assert_eq!(second.assert_ok().written(), Some([0, 0, 0]));

    world.amp.change_limits(|limits| {
        limits.request_rate = Some(Rate::new(0.0, 1));
    });
    world.send(V1, empty.clone()).await.assert_ok();
    let throttled = world.send(V1, empty.clone()).await;
    throttled.assert_aws(429, "ThrottlingException", "message", "Rate exceeded");
    world.amp.set_limits(Limits::default());

    let target = "/workspaces/ws-0/api/v1/remote_write".into();
    let elsewhere = Signing {
        target,
        ..world.signing()
    };
    assert_eq!(
        world.handle(elsewhere.sign(empty.clone())).await.status,
        404
    );
    world.amp.allow_roles([]);
    assert_eq!(world.send(V1, empty.clone()).await.status, 403);
    world.amp.allow_roles([ROLE.to_owned()]);
    world.send(V1, empty).await.assert_ok();
    assert!(!world.amp.store().contains(&named("up"), world.now_ms()));
}
