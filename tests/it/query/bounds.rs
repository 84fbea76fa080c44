//! Responses are limited in size and time, and queries do not affect writes.

use std::time::{Duration, Instant};

use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::{data, error, eventually, get, start, with_reading};
use crate::bodies;
use crate::rig::{Rig, client};

const LABELS: &str = "/api/v1/labels";
const LARGEST: usize = 64 << 20;

/// How many bytes came before the end, and whether the end was clean.
async fn read(rig: &Rig) -> (usize, bool) {
    let mut answer = get(rig, LABELS).await;
    assert_eq!(answer.status(), 200);
    let mut came = 0;
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => came += chunk.len(),
            Ok(None) => return (came, true),
            Err(_) => return (came, false),
        }
    }
}

async fn broken_off(rig: &Rig, reason: &str) -> Option<u64> {
    let selector = format!("amp_sidecar_query_responses_truncated_total{{reason=\"{reason}\"}}");
    rig.find_count(&selector).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_breaks_off() {
    let (_storage, rig) = start(&[]).await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::EndlessBody { status: None })]);
    let (came, ended) = read(&rig).await;
    assert!(
        !ended && came <= LARGEST && came > LARGEST - (1 << 20),
        "{came}"
    );
    assert_eq!(broken_off(&rig, "too_large").await, Some(1));
    let bytes = rig.count("amp_sidecar_query_response_bytes_total").await;
    assert!(bytes.abs_diff(came as u64) < 200_000, "{bytes} {came}");
    // Its connection is not used again, and its place is free.
    rig.world.faults(Target::Amp).clear();
    data(get(&rig, LABELS).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_it_is_too_large_is_refused() {
    let rig = Rig::start_in(WorldConfig::default(), &with_reading(&[])).await;
    rig.until_ready().await;
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    for (len, expected) in [(LARGEST, 200), (LARGEST + 1, 422)] {
        rig.world
            .faults(Target::Amp)
            .set([Fault::new(FaultKind::Answer {
                status: 200,
                headers: headers.clone(),
                body: " ".repeat(len),
            })]);
        if expected == 200 {
            assert_eq!(read(&rig).await, (LARGEST, true));
        } else {
            let (status, kind, why) = error(get(&rig, LABELS).await).await;
            assert_eq!((status, kind.as_str()), (expected, "execution"), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stalls_or_breaks_is_not_taken_for_a_whole_one() {
    let (_storage, rig) = start(&[("query-timeout", "1s")]).await;
    for (kind, reason) in [
        (FaultKind::HeaderOnly { status: None }, "timed_out"),
        (FaultKind::BrokenBody { status: None }, "upstream"),
    ] {
        rig.world
            .faults(Target::Amp)
            .set([Fault::new(kind.clone())]);
        let started = Instant::now();
        let (_, ended) = read(&rig).await;
        assert!(!ended, "{kind:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(broken_off(&rig, reason).await == Some(1), "{kind:?}");
    }
}

/// Clients that do not read their responses hold no slot beyond the deadline.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_keep_no_place() {
    let (_storage, rig) = start(&[("query-timeout", "1s")]).await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::EndlessBody { status: None }).times(8)]);
    let mut idle = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut tcp = socket.connect(rig.host.parse().unwrap()).await.unwrap();
        let request = format!("GET {LABELS} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 16];
        tcp.read_exact(&mut head).await.unwrap();
        assert!(head.starts_with(b"HTTP/1.1 200"));
        idle.push(tcp);
    }
    // All slots are taken: this one waits until the deadline of the others.
    data(get(&rig, LABELS).await).await;
    eventually("all eight broke off", async || {
        broken_off(&rig, "timed_out").await >= Some(8)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_ends_its_query() {
    let (_storage, rig) = start(&[]).await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::EndlessBody { status: None })]);
    drop(get(&rig, LABELS).await);
    eventually("it is noticed", async || {
        broken_off(&rig, "reader_gone").await >= Some(1)
    })
    .await;
}

/// While AMP answers none of hundreds of queries, every batch is stored at once.
#[tokio::test(flavor = "multi_thread")]
async fn reading_takes_nothing_from_writing() {
    let budget = (4 << 20).to_string();
    let settings = with_reading(&[("max-inflight-bytes", &budget), ("query-timeout", "20s")]);
    let rig = Rig::start_in(WorldConfig::default(), &settings).await;
    rig.until_ready().await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::Hang).on_path("/query")]);
    let form = format!("query={}", "a".repeat(900_000));
    let queries: Vec<_> = (0..200)
        .map(|_| {
            let request = client().post(format!("http://{}/api/v1/query", rig.host));
            let request = request
                .header("content-type", super::FORM)
                .body(form.clone());
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        })
        .collect();
    let journal = rig.world.journal(Target::Amp);
    eventually("the places are taken", async || {
        journal.counts().in_flight == 8
    })
    .await;
    let busy = || async {
        rig.find_count(r#"amp_sidecar_queries_total{code="503"}"#)
            .await
    };
    eventually("the rest gets 503", async || busy().await >= Some(72)).await;

    for n in 0..40 {
        let batch = bodies::v1(&format!("up_{n}"), 500);
        assert_eq!(rig.write(&batch).await, 200, "{n}");
        assert!(rig.has_stored(&batch));
    }
    assert_eq!(rig.count("amp_sidecar_inflight_bytes").await, 0);
    assert_eq!(
        journal.counts().max_in_flight,
        9,
        "eight queries and a batch"
    );
    assert_eq!(rig.admin("/readyz").await.0, 200);
    for query in queries {
        query.abort();
    }
}

/// Queries do not delay a drain: only batches would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn readers_are_not_waited_for_when_it_leaves() {
    let (_storage, mut rig) = start(&[("drain-idle", "1s")]).await;
    rig.stage.send_replace(amp_sidecar::app::Stage::Draining);
    let began = Instant::now();
    while !rig.sidecar.is_finished() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "readers held it up"
        );
        let asked = client()
            .get(format!("http://{}{LABELS}", rig.host))
            .send()
            .await;
        drop(asked);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (&mut rig.sidecar).await.unwrap();
}
