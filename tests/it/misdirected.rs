//! Senders that omit common headers, and those that write to a wrong port or path: neither loses a sample.

use std::path::Path;
use std::time::Duration;

use emulator::world::{Target, WorldConfig};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::sidecar::{Program, Sidecar};
use testbench::peers::source::Source;

use crate::bodies;
use crate::leak_check;
use crate::rig::{self, Rig, V1, V2, text};

const AGENT: &str = "Prometheus/2.42.0";

/// The response to a request with these headers, on either port.
async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let method: Method = method.parse().unwrap();
    let mut request = rig::client().request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn status(rig: &Rig) -> Value {
    serde_json::from_str(&rig.admin("/status.json").await.1).unwrap()
}

async fn outcomes(rig: &Rig, name: &str) -> u64 {
    let selector = format!("amp_sidecar_batches_total{{outcome=\"{name}\"}}");
    rig.count(&selector).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sender_leaves_out_is_snappy_and_version_1() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let url = format!("http://{}/api/v1/remote_write", rig.host);
    for (n, headers) in [
        &[][..],
        // npm's prometheus-remote-write, vmalert before 1.78, Prometheus 1.5.
        &[("content-type", "application/vnd.google.protobuf")],
        &[("content-type", V1)],
        &[("content-encoding", "snappy")],
        &[("content-encoding", ""), ("content-type", "")],
    ]
    .into_iter()
    .enumerate()
    {
        let batch = bodies::v1(&format!("up_{n}"), 3);
        let answer = send("POST", &url, headers, batch.body.clone()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{headers:?}");
        assert!(rig.has_stored(&batch), "{headers:?}");
    }
    // The same as text is what it always was.
    let batch = bodies::v1("up", 3);
    for headers in [
        [("content-encoding", "gzip"), ("content-type", V1)],
        [
            ("content-encoding", "snappy"),
            ("content-type", "application/json"),
        ],
    ] {
        let answer = send("POST", &url, &headers, batch.body.clone()).await;
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    assert_eq!(outcomes(&rig, "unsupported_media").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_too_many_is_served() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let id = rig.world.workspace_id().to_owned();
    for (n, path) in [
        "/api/v1/remote_write/".to_owned(),
        "/api/v1/write/".to_owned(),
        "//api/v1/write".to_owned(),
        format!("/workspaces/{id}/api/v1/remote_write/"),
        format!("/workspaces/{id}//api/v1/remote_write"),
    ]
    .iter()
    .enumerate()
    {
        let batch = bodies::v2(&format!("up_{n}"), 3);
        let answer = rig.post(path, V2, batch.body.clone()).await;
        assert!(answer.status().is_success(), "{path}");
        assert!(rig.has_stored(&batch), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_write_to_anywhere_is_kept_and_told_the_right_url() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let id = rig.world.workspace_id().to_owned();
    let by_head: &[(&str, &str)] = &[
        ("content-encoding", "snappy"),
        ("content-type", V1),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("user-agent", AGENT),
    ];
    let batch = bodies::v1("up", 400);
    let anywhere = [
        ("POST", format!("http://{}/api/v1/push", rig.host)),
        ("POST", format!("http://{}/", rig.host)),
        ("POST", format!("http://{}/api/v1/query", rig.host)),
        (
            "POST",
            format!("http://{}/workspaces/ws-typo/api/v1/remote_write", rig.host),
        ),
        ("PUT", format!("http://{}/api/v1/remote_write", rig.host)),
        ("POST", format!("http://{}/api/v1/write", rig.admin_host)),
        ("POST", format!("http://{}/", rig.admin_host)),
        ("POST", format!("http://{}/metrics", rig.admin_host)),
        ("PUT", format!("http://{}/api/v1/write", rig.admin_host)),
    ];
    let mut sent = 0;
    for (method, url) in &anywhere {
        // By its headers, by its client alone, and by its body alone.
        for headers in [by_head, &[("user-agent", AGENT)], &[]] {
            let answer = send(method, url, headers, batch.body.clone()).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{url}");
            assert!(!answer.headers().contains_key("retry-after"), "{url}");
            let words = text(answer).await;
            let right = format!(
                "remote write is accepted at http://{}/api/v1/remote_write, or /workspaces/{id}/api/v1/remote_write",
                rig.host
            );
            assert!(words.starts_with(&right), "{words}");
            sent += 1;
        }
    }
    assert_eq!(outcomes(&rig, "misdirected").await, sent);
    assert_eq!(outcomes(&rig, "no_such_path").await, 0);
    assert_eq!(
        rig.count("amp_sidecar_samples_in_refused_batches_total")
            .await,
        0
    );
    // The batch is stored at the address in the response.
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    assert!(rig.has_stored(&batch));
    assert_eq!(rig.world.journal(Target::Amp).total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_hear_what_is_served_as_before() {
    let rig = Rig::start().await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let host = |port: &str, path: &str| format!("http://{port}{path}");
    for (method, url, headers, wanted) in [
        ("POST", host(&rig.host, "/nowhere"), &[form][..], 404),
        ("POST", host(&rig.host, "/api/v1/query"), &[form], 404),
        ("GET", host(&rig.host, "/nowhere"), &[], 404),
        ("GET", host(&rig.host, "/api/v1/write"), &[], 405),
        ("PUT", host(&rig.host, "/api/v1/write"), &[form], 405),
        ("POST", host(&rig.admin_host, "/metrics"), &[form], 405),
        ("POST", host(&rig.admin_host, "/nowhere"), &[], 405),
        (
            "GET",
            host(&rig.admin_host, "/nowhere"),
            &[("content-encoding", "snappy")],
            404,
        ),
        // Alerts of a Prometheus are not our concern.
        (
            "POST",
            host(&rig.host, "/api/v2/alerts"),
            &[("content-type", "application/json"), ("user-agent", AGENT)],
            404,
        ),
    ] {
        let answer = send(method, &url, headers, b"query=up".to_vec()).await;
        assert_eq!(answer.status().as_u16(), wanted, "{method} {url}");
        let text = text(answer).await;
        let is_explained = text.contains(" here") || text.contains("queries are disabled");
        assert!(is_explained || wanted == 405, "{url}: {text}");
    }
    assert_eq!(outcomes(&rig, "misdirected").await, 0);
    assert_eq!(status(&rig).await["misdirected"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_who_writes_where_and_never_that_nobody_does() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    assert_eq!(status(&rig).await["state"]["level"], "idle");
    let url = format!("http://{}/api/v1/write", rig.admin_host);
    let agent = ("user-agent", AGENT);
    let batch = bodies::v1("up", 3);
    for _ in 0..3 {
        send("POST", &url, &[agent], batch.body.clone()).await;
    }
    let seen = status(&rig).await;
    assert!(!seen.to_string().contains("no sender writes"), "{seen}");
    let port = rig.admin_host.rsplit_once(':').unwrap().1;
    let who = format!(
        "A sender ({AGENT}, 127.0.0.1) writes to port {port} path /api/v1/write; nothing of it is stored."
    );
    let state = &seen["state"];
    assert_eq!(
        state["headline"],
        "Nothing flows: a sender writes to the wrong address"
    );
    assert_eq!(state["why"], who);
    assert_eq!(seen["workspaces"][0]["state"], *state);
    let sender = &seen["misdirected"][0];
    assert_eq!(
        (&sender["peer"], &sender["user_agent"], &sender["path"]),
        (&"127.0.0.1".into(), &AGENT.into(), &"/api/v1/write".into())
    );
    assert_eq!(
        (&sender["port"], &sender["count"]),
        (&port.parse::<u64>().unwrap().into(), &3.into())
    );
    let fault = &seen["incidents"][0];
    assert_eq!(
        (&fault["kind"], &fault["count"]),
        (&"misdirected".into(), &3.into())
    );
    assert_eq!(
        format!("{}.", fault["reason"].as_str().unwrap()),
        who.replacen('A', "a", 1)
    );
    assert!(
        fault["remedy"]
            .as_str()
            .unwrap()
            .contains("/api/v1/remote_write"),
        "{fault}"
    );

    let remedy = state["remedy"].as_str().unwrap();
    let line = format!(
        "ok, but nothing flows: a sender writes to the wrong address\nreason: {who}\nwhat to do: {remedy}\n"
    );
    assert_eq!(rig.admin("/readyz").await.1, line);

    // Another sender that writes correctly does not hide it.
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    let state = &status(&rig).await["state"];
    assert_eq!(state["level"], "degraded");
    assert_eq!(
        state["headline"],
        "Data flows in part: a sender writes to the wrong address"
    );
    assert_eq!(state["why"], who);
    let remedy = state["remedy"].as_str().unwrap();
    let line = format!(
        "ok, but data flows in part: a sender writes to the wrong address\nreason: {who}\nwhat to do: {remedy}\n"
    );
    assert_eq!(rig.admin("/readyz").await.1, line);
}

/// A sender's user agent is shown, and cannot inject markup or a second line.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stray_says_of_itself_is_bounded() {
    let rig = Rig::start().await;
    let long = format!("Prometheus/{}", "x".repeat(2000));
    for path in ["/a%0d%0ab", &format!("/{}", "y".repeat(2000))] {
        let url = format!("http://{}{path}", rig.host);
        let headers = [
            ("user-agent", long.as_str()),
            ("content-encoding", "snappy"),
        ];
        let answer = send("POST", &url, &headers, Vec::new()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text(answer).await.lines().count(), 1);
    }
    let seen = status(&rig).await;
    for sender in seen["misdirected"].as_array().unwrap() {
        assert!(
            sender["user_agent"].as_str().unwrap().len() <= 131,
            "{sender}"
        );
        assert!(sender["path"].as_str().unwrap().len() <= 131, "{sender}");
    }
    leak_check::show(&seen.to_string());
}

/// VictoriaMetrics' vmagent probes whether its own protocol is supported: before 1.117 by a GET, since then by a body in zstd.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_vmagent_is_no_loss_and_no_fault() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let url = format!("http://{}/api/v1/write", rig.host);
    let handshake = format!("{url}?get_vm_proto_version=1");
    let agent = [("user-agent", "Go-http-client/1.1")];
    let answer = send("GET", &handshake, &agent, Vec::new()).await;
    assert_ne!(answer.status(), StatusCode::OK);
    let zstd = [
        ("user-agent", "vmagent"),
        ("content-type", V1),
        ("content-encoding", "zstd"),
        ("x-victoriametrics-remote-write-version", "1"),
    ];
    // Of any size: a sender that is still sending must be able to read the response.
    for len in [40, 100_000, 1_500_000] {
        let body = [&[0x28, 0xb5, 0x2f, 0xfd][..], &vec![7; len]].concat();
        let answer = send("POST", &url, &zstd, body).await;
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(text(answer).await.contains("snappy"));
    }
    assert_eq!(outcomes(&rig, "protocol_probe").await, 4);
    assert_eq!(outcomes(&rig, "unsupported_media").await, 0);
    let mine = r#"amp_sidecar_batches_total{workspace="default"}"#;
    assert_eq!(rig.find_count(mine).await, None, "no alert counts it");
    assert_eq!(status(&rig).await["incidents"], Value::Array(Vec::new()));

    let batch = bodies::v1("up", 3);
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    let seen = status(&rig).await;
    assert_eq!(seen["state"]["level"], "flowing");
    assert_eq!(seen["workspaces"][0]["lost"], Value::Array(Vec::new()));

    // A sender that does not re-encode it has lost it.
    let answer = send("POST", &url, &zstd[1..3], b"zstd".to_vec()).await;
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(
        status(&rig).await["incidents"][0]["kind"],
        "unsupported_media"
    );
    // Sent to the wrong place, it is retried like any other.
    let elsewhere = format!("http://{}/nowhere", rig.host);
    let answer = send("POST", &elsewhere, &zstd, b"zstd".to_vec()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// A real one drops nothing, and the page names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_writes_to_the_admin_port_keeps_its_samples() {
    let prometheus = Installed::find(None).await.unwrap();
    let prometheus = prometheus.expect("prometheus is not on the PATH: scripts/test brings it");
    let world = leak_check::World::start(WorldConfig::default())
        .await
        .unwrap();
    let program = Program::Sidecar(Path::new(env!("CARGO_BIN_EXE_amp-sidecar")).to_owned());
    let sidecar = Sidecar::start(&program, &world, &[]).await.unwrap();
    let source = Source::start(20).await.unwrap();
    let url = format!("http://{}/api/v1/write", sidecar.admin());
    let setup = Setup::new(&prometheus.program, source.address(), url);
    let prometheus = Prometheus::start(setup).await.unwrap();

    let page = format!("http://{}/status.json", sidecar.admin());
    let seen = async || -> Value {
        let answer = rig::client().get(&page).send().await.unwrap();
        serde_json::from_str(&text(answer).await).unwrap()
    };
    for _ in 0..300 {
        if seen().await["misdirected"][0]["count"].as_u64() > Some(3) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seen = seen().await;
    let agent = seen["misdirected"][0]["user_agent"].as_str().unwrap();
    assert!(agent.starts_with("Prometheus/"), "{agent}");
    let why = seen["state"]["why"].as_str().unwrap();
    assert!(why.contains(agent), "{why}");
    let metrics = prometheus.metrics().await.unwrap();
    let counted = |name: &str| metrics.count(name, &[]).unwrap();
    assert!(counted("prometheus_remote_storage_samples_retried_total") > 0);
    let failed = counted("prometheus_remote_storage_samples_failed_total");
    assert_eq!(failed, 0, "samples were dropped");
}

/// Its incident: the sender's end of the connection may be over before it.
async fn until_tls_is_seen(rig: &Rig) -> Value {
    for _ in 0..100 {
        let seen = status(rig).await;
        let mut incidents = seen["incidents"].as_array().unwrap().iter();
        if let Some(of_tls) = incidents.find(|incident| incident["kind"] == "tls_on_plain_http") {
            return of_tls.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no incident of TLS");
}

/// With https:// in its url a sender gets no HTTP response at all, so log and page have to name it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_speaks_tls_to_plain_http_is_named() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    for host in [&rig.host, &rig.admin_host] {
        let url = format!("https://{host}/api/v1/write");
        let answer = rig::client().post(&url).body("batch").send().await;
        assert!(answer.is_err(), "a sender keeps the batch");
        let of_tls = until_tls_is_seen(&rig).await;
        let reason = "127.0.0.1 speaks TLS, and this port serves plain http";
        assert_eq!(of_tls["reason"], reason);
        let remedy = of_tls["remedy"].as_str().unwrap();
        assert!(remedy.contains("http:// instead of https://"), "{remedy}");
    }
    // Other requests that are not HTTP are not TLS.
    let raw = tokio::net::TcpStream::connect(&rig.host).await.unwrap();
    raw.writable().await.unwrap();
    raw.try_write(b"\x17\x03\x03 no request\r\n\r\n").unwrap();
    drop(raw);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let kinds = status(&rig).await["incidents"].to_string();
    assert_eq!(kinds.matches("tls_on_plain_http").count(), 2, "{kinds}");
}

/// With `proxy_url` it names another host in the request line, which is not where it has to write.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_takes_the_port_for_a_proxy_is_named_with_the_right_url() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let proxy = reqwest::Proxy::http(format!("http://{}", rig.host)).unwrap();
    let sender = reqwest::Client::builder()
        .tls_backend_preconfigured(amp_sidecar::net::tls::client(&[]).unwrap())
        .proxy(proxy)
        .build()
        .unwrap();
    let batch = sender
        .post("http://mimir.example:9009/api/v1/push")
        .header("content-encoding", "snappy")
        .header("content-type", "application/x-protobuf")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(bodies::v1("up", 1).body);
    let answer = batch.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let said = text(answer).await;
    assert!(said.contains("which is no HTTP proxy (proxy_url"), "{said}");
    assert!(said.contains("http://127.0.0.1"), "{said}");
    assert!(!said.contains("9009/api/v1/remote_write"), "{said}");
    let seen = status(&rig).await;
    assert_ne!(seen["state"]["level"], "idle", "{seen}");
}

/// The same with https: it asks for a tunnel, and never shows its request.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_asks_for_a_tunnel_is_named_with_the_right_url() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let proxy = reqwest::Proxy::https(format!("http://{}", rig.host)).unwrap();
    let sender = reqwest::Client::builder()
        .tls_backend_preconfigured(amp_sidecar::net::tls::client(&[]).unwrap())
        .proxy(proxy)
        .build()
        .unwrap();
    let batch = sender.post("https://mimir.example/api/v1/push").body("x");
    assert!(batch.send().await.is_err(), "a sender keeps the batch");
    let seen = status(&rig).await["incidents"].to_string();
    assert!(
        seen.contains("path mimir.example:443, which is no HTTP proxy"),
        "{seen}"
    );
    assert!(seen.contains("/api/v1/remote_write"), "{seen}");
}

/// The exporter that it names is the one that writes what this port takes.
#[tokio::test(flavor = "multi_thread")]
async fn otlp_is_kept_and_told_which_exporter_to_use() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    for path in ["/v1/metrics", "/api/v1/otlp/v1/metrics"] {
        let url = format!("http://{}{path}", rig.host);
        let headers = [("content-type", "application/x-protobuf")];
        let answer = send("POST", &url, &headers, b"\x0a\x00".to_vec()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let said = text(answer).await;
        assert!(said.contains("which takes no OTLP"), "{said}");
        assert!(said.contains("prometheusremotewrite"), "{said}");
        assert!(said.contains("/api/v1/remote_write"), "{said}");
    }
}
