//! Senders that close early, send slowly, lie about lengths or send something else.

use std::time::Duration;

use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bodies;
use crate::rig::{Rig, V1, text};

fn head(length: &str) -> String {
    format!(
        "POST /api/v1/write HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-encoding: snappy\r\n{length}\r\n\r\n"
    )
}

/// All bytes until the connection closes.
async fn spoken(rig: &Rig, bytes: &[u8]) -> String {
    let mut tcp = TcpStream::connect(&rig.host).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), tcp.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_provably_broken_are_refused() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let whole = bodies::v1("up", 3).body;
    let truncated = whole[..whole.len() / 2].to_vec();
    let bomb = [&[0xff, 0xff, 0xff, 0xff, 0x0f], &whole[2..]].concat();
    // What begins like a batch has left before it is looked into.
    for (what, body, forwarded) in [
        ("empty", Vec::new(), 0),
        ("text", b"hello, I am no batch".to_vec(), 0),
        ("absurd size", bomb, 0),
        ("truncated", truncated, 1),
        (
            "not protobuf",
            bodies::snappy(&[0x0a, 0xff, 0xff, 0xff, 0x7f, 1]),
            2,
        ),
    ] {
        let response = rig.post("/api/v1/write", V1, body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{what}");
        let words = text(response).await;
        assert!(
            words.starts_with("not a remote-write body: "),
            "{what}: {words}"
        );
        assert_eq!(rig.world.journal(Target::Amp).total(), forwarded, "{what}");
    }
    let malformed = r#"amp_sidecar_batches_total{outcome="malformed"}"#;
    assert_eq!(rig.count(malformed).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_inspection_amp_judges() {
    let rig = Rig::start_in(Default::default(), &[("inspect", "off")]).await;
    let batch = bodies::v1("up", 3);
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    assert!(rig.has_stored(&batch));
    let response = rig.post("/api/v1/write", V1, b"no batch".to_vec()).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let words = text(response).await;
    assert!(words.starts_with("AMP refused this batch: "), "{words}");
    assert_eq!(rig.world.journal(Target::Amp).total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_whether_it_says_so_or_not() {
    let rig = Rig::start_in(Default::default(), &[("max-body-bytes", "1000")]).await;
    rig.until_ready().await;
    assert_eq!(
        rig.post("/api/v1/write", V1, vec![1; 1001]).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let mut request = head("transfer-encoding: chunked").into_bytes();
    for _ in 0..3 {
        request.extend_from_slice(b"1f4\r\n");
        request.extend_from_slice(&[1; 500]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = spoken(&rig, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(rig.world.journal(Target::Amp).total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_not_forwarded() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let body = bodies::v1("up", 50).body;
    let mut request = head(&format!("content-length: {}", body.len())).into_bytes();
    request.extend_from_slice(&body[..body.len() - 1]);
    assert_eq!(spoken(&rig, &request).await, "");
    let mut request = head("transfer-encoding: chunked").into_bytes();
    request.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
    request.extend_from_slice(&body);
    request.extend_from_slice(b"\r\n");
    assert_eq!(spoken(&rig, &request).await, "");
    assert_eq!(rig.world.journal(Target::Amp).total(), 0);
    let gone = r#"amp_sidecar_batches_total{outcome="sender_gone"}"#;
    assert_eq!(rig.count(gone).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_leaves_after_its_body_is_still_served() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let batch = bodies::v1("up", 50);
    let request = [
        head(&format!("content-length: {}", batch.body.len())).as_bytes(),
        &batch.body,
    ]
    .concat();
    const LEFT: &str = "amp_sidecar_unawaited_responses_total";
    // One that closes as soon as it has its response is no such sender.
    for _ in 0..20 {
        let mut tcp = TcpStream::connect(&rig.host).await.unwrap();
        tcp.write_all(&request).await.unwrap();
        let mut first = [0; 12];
        tcp.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    assert_eq!(rig.count(LEFT).await, 0);
    let stored = rig.world.store().stats().samples;

    let slow = Fault::new(FaultKind::Delay(Duration::from_millis(500)));
    rig.world.faults(Target::Amp).set([slow]);
    let later = bodies::v1("later", 50);
    let request = [
        head(&format!("content-length: {}", later.body.len())).as_bytes(),
        &later.body,
    ]
    .concat();
    let mut tcp = TcpStream::connect(&rig.host).await.unwrap();
    tcp.write_all(&request).await.unwrap();
    drop(tcp);
    for _ in 0..100 {
        if rig.has_stored(&later) && rig.count(LEFT).await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(rig.has_stored(&later), "the batch was dropped, of {stored}");
    assert_eq!(rig.count(LEFT).await, 1);
    let (_, status) = rig.admin("/status.json").await;
    assert!(
        status.contains("closed its connection before it got its response"),
        "{status}"
    );
}

/// Requests that come before the response to the last one are all served, byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_wait_for_each_other_are_served_in_turn() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let batches: Vec<_> = (0..5).map(|n| bodies::v1(&format!("up_{n}"), 50)).collect();
    let mut tcp = TcpStream::connect(&rig.host).await.unwrap();
    for batch in &batches {
        let head = head(&format!("content-length: {}", batch.body.len()));
        tcp.write_all(head.as_bytes()).await.unwrap();
        tcp.write_all(&batch.body).await.unwrap();
    }
    let mut spoken = String::new();
    while spoken.matches("HTTP/1.1 200").count() < batches.len() {
        let mut piece = [0; 1024];
        let reading = tokio::time::timeout(Duration::from_secs(10), tcp.read(&mut piece));
        let read = reading.await.unwrap().unwrap();
        assert!(read > 0, "{spoken}");
        spoken.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    assert!(batches.iter().all(|batch| rig.has_stored(batch)));
    assert_eq!(rig.count("amp_sidecar_unawaited_responses_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_byte_budget_senders_are_asked_to_come_again_and_probes_still_answer() {
    let rig = Rig::start_in(Default::default(), &[("max-inflight-bytes", "100000")]).await;
    rig.until_ready().await;
    // Reserves nearly all of the budget, and then stalls.
    let mut holder = TcpStream::connect(&rig.host).await.unwrap();
    holder
        .write_all(head("content-length: 99999").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    let started = std::time::Instant::now();
    assert_eq!(
        rig.write(&bodies::v1("up", 50)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(rig.admin("/livez").await.0, StatusCode::OK);
    assert_eq!(rig.count("amp_sidecar_inflight_bytes").await, 99_999);

    drop(holder);
    rig.write_until_stored(&bodies::v1("up", 50), Duration::from_secs(5))
        .await;
}

/// The service behind the parser never sees them.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_parsed_is_counted() {
    let rig = Rig::start().await;
    let counted = async |reason: &str| {
        let name = format!(
            "amp_sidecar_invalid_request_heads_total{{listener=\"senders\",reason=\"{reason}\"}}"
        );
        rig.count(&name).await
    };
    assert_eq!(
        (counted("malformed").await, counted("too_large").await),
        (0, 0)
    );
    let long = format!("x-long: {}", "y".repeat(70_000));
    let many = (0..120)
        .map(|n| format!("x-{n}: y\r\n"))
        .collect::<String>();
    for (line, status) in [
        ("content-length: 1\r\ncontent-length: 2", "400"),
        ("content length: 1", "400"),
        ("content-length: +1", "400"),
        (long.as_str(), "431"),
        (many.trim_end(), "431"),
    ] {
        let answer = spoken(&rig, head(line).as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    let fine = spoken(&rig, head("content-length: 0").as_bytes()).await;
    assert!(!fine.is_empty());
    // The connection closes a moment after its response.
    for _ in 0..100 {
        if (counted("malformed").await, counted("too_large").await) == (3, 2) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "counted: {} and {}",
        counted("malformed").await,
        counted("too_large").await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_prior_knowledge_is_closed_without_a_4xx() {
    let rig = Rig::start().await;
    let answer = spoken(&rig, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1 4"), "{answer}");
}
