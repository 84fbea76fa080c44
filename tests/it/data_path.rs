//! A batch reaches AMP unchanged, byte for byte.

use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;

use crate::bodies;
use crate::corpora::promises::rig::MAY_LEAVE;
use crate::rig::{Rig, V1, V2, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_stored_whatever_path_it_came_by() {
    let rig = Rig::start().await;
    let ours = format!(
        "/workspaces/{}/api/v1/remote_write",
        rig.world.workspace_id()
    );
    for (n, path) in ["/api/v1/write", "/api/v1/remote_write", &ours]
        .into_iter()
        .enumerate()
    {
        let batch = bodies::v1(&format!("up_{n}"), 100);
        let response = rig.post(path, V1, batch.body.clone()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(text(response).await, "");
        assert!(rig.has_stored(&batch));
    }
    assert_eq!(rig.count("amp_sidecar_forwarded_samples_total").await, 300);
    let stored = r#"amp_sidecar_batches_total{outcome="stored"}"#;
    assert_eq!(rig.count(stored).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_goes_on_with_its_content_type_and_what_was_written_comes_back() {
    let rig = Rig::start().await;
    let batch = bodies::v2("up", 10);
    let response = rig.post("/api/v1/write", V2, batch.body.clone()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let written = |kind: &str| {
        response.headers()[format!("x-prometheus-remote-write-{kind}-written")]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (
            written("samples"),
            written("histograms"),
            written("exemplars")
        ),
        ("10".into(), "1".into(), "1".into())
    );
    assert!(rig.has_stored(&batch));

    let seen = rig.world.journal(Target::Amp).requests().pop().unwrap();
    assert_eq!(seen.headers["content-type"], V2);
    assert_eq!(seen.headers["x-prometheus-remote-write-version"], "2.0.0");
    assert_eq!(seen.body_bytes, batch.body.len());
    for (name, count) in [
        ("series", 11),
        ("samples", 10),
        ("histograms", 1),
        ("exemplars", 1),
        ("metadata", 10),
    ] {
        let forwarded = rig
            .count(&format!("amp_sidecar_forwarded_{name}_total"))
            .await;
        assert_eq!(forwarded, count, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_other_version_than_its_type_says_is_not_called_stored() {
    let rig = Rig::start().await;
    for (content_type, body) in [
        (V2, bodies::v1("up", 3).body),
        (V1, bodies::v2("up", 3).body),
    ] {
        let response = rig.post("/api/v1/write", content_type, body).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let words = text(response).await;
        assert!(words.contains("the body is remote write"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_leaves_with_a_content_length() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::start().await;
    let batch = bodies::v1("up", 500);
    let mut tcp = tokio::net::TcpStream::connect(&rig.host).await.unwrap();
    let head = "POST /api/v1/write HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-encoding: snappy\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    tcp.write_all(head.as_bytes()).await.unwrap();
    for chunk in batch.body.chunks(700) {
        tcp.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
            .await
            .unwrap();
        tcp.write_all(chunk).await.unwrap();
        tcp.write_all(b"\r\n").await.unwrap();
        tcp.flush().await.unwrap();
    }
    tcp.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(rig.has_stored(&batch));
    let seen = rig.world.journal(Target::Amp).requests().pop().unwrap();
    assert_eq!(
        seen.headers["content-length"],
        batch.body.len().to_string().as_str()
    );
    assert!(!seen.headers.contains_key("transfer-encoding"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_sender_do_not_reach_amp() {
    let rig = Rig::start().await;
    let batch = bodies::v1("up", 1);
    let client = crate::rig::client();
    let response = client
        .post(format!("http://{}/api/v1/write", rig.host))
        .header("content-encoding", "snappy")
        .header("content-type", V1)
        .header("x-scope-orgid", "tenant")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("authorization", "Bearer of-the-sender")
        .header("x-amz-date", "19700101T000000Z")
        .header("cookie", "a=b")
        .header("forwarded", "for=1.2.3.4")
        .body(batch.body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let seen = rig.world.journal(Target::Amp).requests().pop().unwrap();
    let mut names: Vec<&str> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    // A batch requests no encoding of its response.
    let mut expected = MAY_LEAVE.to_vec();
    expected.retain(|name| *name != "accept-encoding");
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_amp_are_kept() {
    let rig = Rig::start().await;
    for n in 0..20 {
        assert_eq!(
            rig.write(&bodies::v1(&format!("up_{n}"), 5)).await,
            StatusCode::OK
        );
    }
    let mut peers: Vec<_> = rig
        .world
        .journal(Target::Amp)
        .requests()
        .iter()
        .map(|seen| seen.peer)
        .collect();
    peers.dedup();
    assert_eq!(peers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_samples_are_refused_for_good_and_counted_as_lost() {
    let rig = Rig::start().await;
    let old = bodies::v1_at("up", 7, bodies::now_ms() - 2 * 60 * 60 * 1000);
    let response = rig.post("/api/v1/write", V1, old.body).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let words = text(response).await;
    assert!(words.contains("too old"), "{words}");
    let too_old = r#"amp_sidecar_samples_in_refused_batches_total{reason="too_old"}"#;
    assert_eq!(rig.count(too_old).await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_limit_is_final_for_every_sender() {
    for status in [400, 429] {
        let mut world = WorldConfig::default();
        world.amp.max_series = 1;
        world.amp.series_limit_status = StatusCode::from_u16(status).unwrap();
        let rig = Rig::start_in(world, &[]).await;
        assert_eq!(
            rig.write(&bodies::v1("up", 9)).await,
            StatusCode::BAD_REQUEST,
            "AMP said {status}"
        );
        let over = r#"amp_sidecar_samples_in_refused_batches_total{reason="series_limit"}"#;
        assert_eq!(rig.count(over).await, 9);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_hear_what_is_served_and_reach_nobody() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let body = || bodies::v1("up", 1).body;
    for path in [
        "/workspaces/ws-other/api/v1/remote_write",
        "/api/v1/query",
        "/elsewhere",
    ] {
        let answer = rig.post(path, V1, body()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    assert_eq!(
        rig.post("/api/v1/write", "application/json", body())
            .await
            .status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let get = crate::rig::client()
        .get(format!("http://{}/api/v1/write", rig.host))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (get.status(), get.headers()["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "POST")
    );
    assert_eq!(rig.world.journal(Target::Amp).total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_other_version_is_not_said_to_be_stored() {
    let rig = Rig::start().await;
    let (one, two) = (bodies::v1("up", 10), bodies::v2("up", 10));
    for (says, body, words) in [
        (
            V2,
            &one.body,
            "remote write 2.0, the body is remote write 1.0",
        ),
        (
            V1,
            &two.body,
            "remote write 1.0, the body is remote write 2.0",
        ),
    ] {
        let response = rig.post("/api/v1/write", says, body.clone()).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let said = text(response).await;
        assert!(said.contains(words), "{said}");
    }
    assert!(rig.world.journal(Target::Amp).requests().is_empty());

    // Nothing inspects a body there.
    let rig = Rig::start_in(WorldConfig::default(), &[("inspect", "off")]).await;
    let response = rig.post("/api/v1/write", V2, one.body).await;
    assert_ne!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(rig.world.journal(Target::Amp).requests().len(), 1);
}
