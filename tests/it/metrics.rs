//! `/metrics` in each format, compared with its page in the docs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use amp_sidecar::telemetry::{MetricEntry, Telemetry};
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use testbench::peers::metrics::Metrics;

use crate::bodies;
use crate::leak_check;
use crate::rig::Rig;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const BEGIN: &str = "<!-- metrics: checked against the code by a test -->\n";
const END: &str = "<!-- end of metrics -->";

async fn scrape(rig: &Rig, accept: &str) -> (String, Vec<u8>) {
    let request = crate::rig::client()
        .get(format!("http://{}/metrics", rig.admin_host))
        .header(ACCEPT, accept);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers()[CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    let text = response.bytes().await.unwrap().to_vec();
    leak_check::show(&String::from_utf8_lossy(&text));
    (kind, text)
}

/// A rig with some of every event.
async fn eventful() -> Rig {
    let mut world = WorldConfig::default();
    world.amp.max_series = 1_000;
    let rig = Rig::start_in(world, &[]).await;
    rig.until_ready().await;
    for n in 0..5 {
        assert_eq!(
            rig.write(&bodies::v1(&format!("up_{n}"), 50)).await,
            StatusCode::OK
        );
    }
    let old = bodies::v1_at("old", 7, bodies::now_ms() - 2 * 60 * 60 * 1000);
    assert_eq!(rig.write(&old).await, StatusCode::BAD_REQUEST);
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::answer(429, "{\"message\":\"Rate exceeded\"}")).times(1)]);
    assert_eq!(
        rig.write(&bodies::v1("up", 3)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let nowhere = rig.post("/nowhere", crate::rig::V1, Vec::new()).await;
    assert_eq!(nowhere.status(), StatusCode::SERVICE_UNAVAILABLE);
    rig
}

/// The output of `promtool` about an exposition; empty if it is clean.
fn checked_by_promtool(text: &[u8]) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is not on the PATH: scripts/test brings it");
    promtool.stdin.take().unwrap().write_all(text).unwrap();
    let output = promtool.wait_with_output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
        + if output.status.success() {
            ""
        } else {
            "it failed"
        }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_own_checker_finds_nothing_to_better() {
    let rig = eventful().await;
    let (kind, text) = scrape(&rig, "text/plain;version=0.0.4").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(checked_by_promtool(&text), "");
    assert!(
        !checked_by_promtool(b"# TYPE badCounter counter\nbadCounter 1\n").is_empty(),
        "the checker checks"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_format_says_the_same() {
    let rig = eventful().await;
    let (_, text) = scrape(&rig, "*/*").await;
    let (kind, open_metrics) = scrape(&rig, "application/openmetrics-text;version=1.0.0").await;
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let (text, open_metrics) = (
        String::from_utf8(text).unwrap(),
        String::from_utf8(open_metrics).unwrap(),
    );
    assert!(open_metrics.ends_with("# EOF\n") && !text.contains("# EOF"));
    assert!(open_metrics.contains("# TYPE amp_sidecar_batches counter\n"));
    assert!(text.contains("# TYPE amp_sidecar_batches_total counter\n"));
    let build = format!(
        "amp_sidecar_build_info{{version=\"{}\",revision=\"{}\"}} 1\n",
        env!("CARGO_PKG_VERSION"),
        amp_sidecar::REVISION
    );
    assert!(text.contains(&build), "{build}");
    let values = |text: &str| {
        // Each scrape has its own connection and task.
        let moving = ["process_", "connections", "amp_sidecar_tasks"];
        let settled = |line: &&str| !moving.iter().any(|name| line.contains(name));
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter(settled)
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(values(&text), values(&open_metrics));

    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;version=0.0.4;q=0.5";
    let (kind, protobuf) = scrape(&rig, accept).await;
    assert!(
        kind.starts_with(
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily"
        )
    );
    // Each family is prefixed with its length, up to the last byte.
    let mut rest = protobuf.as_slice();
    let mut families = 0;
    while !rest.is_empty() {
        let len = prost::decode_length_delimiter(&mut rest).unwrap();
        rest = &rest[len..];
        families += 1;
    }
    assert_eq!(
        families,
        text.lines()
            .filter(|line| line.starts_with("# TYPE "))
            .count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requests_time_is_told_by_phase() {
    let rig = eventful().await;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::Delay(std::time::Duration::from_millis(300))).times(1)]);
    assert_eq!(rig.write(&bodies::v1("slow", 3)).await, StatusCode::OK);
    let (_, text) = scrape(&rig, "").await;
    let metrics = Metrics::parse(&String::from_utf8(text).unwrap());
    let name = "amp_sidecar_request_phase_duration_seconds";
    let sum = |phase| {
        metrics
            .value(&format!("{name}_sum"), &[("phase", phase)])
            .unwrap()
    };
    for phase in ["receive", "admission", "credentials", "sign", "upstream"] {
        let count = metrics.count(&format!("{name}_count"), &[("phase", phase)]);
        assert_eq!(count, Ok(8), "{phase}");
    }
    assert!((0.3..5.0).contains(&sum("upstream")));
    assert!(sum("sign") > 0.0 && sum("sign") < 0.3);
    let workspace = rig.world.workspace_id();
    let all = metrics
        .value(
            "amp_sidecar_request_duration_seconds_sum",
            &[("workspace", workspace)],
        )
        .unwrap();
    let phases = metrics
        .value(&format!("{name}_sum"), &[("workspace", workspace)])
        .unwrap();
    assert!(phases <= all, "{phases} of {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_and_open_is_shown() {
    let rig = eventful().await;
    let (_, text) = scrape(&rig, "").await;
    let text = String::from_utf8(text).unwrap();
    let metrics = Metrics::parse(&text);
    let value = |name: &str, labels: &[(&str, &str)]| {
        let value = metrics.value(&format!("amp_sidecar_{name}"), labels);
        value.unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let count = |name: &str, labels: &[(&str, &str)]| {
        let count = metrics.count(&format!("amp_sidecar_{name}"), labels);
        count.unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let one = |name: &str, labels: &[(&str, &str)]| assert_eq!(count(name, labels), 1, "{name}");
    one("ready", &[]);
    one("upstream_open_connections", &[]);
    one("upstream_idle_connections", &[]);
    one("upstream_connections_total", &[]);
    let open = count("open_connections", &[("listener", "senders")]);
    let opened = count("connections_total", &[("listener", "senders")]);
    assert!((1..=opened).contains(&open), "{open} of {opened}");
    // Those connections', that to AMP, the scraper's own, and what is always there.
    let tasks = count("tasks", &[]);
    assert!(tasks >= open + 4, "{tasks} tasks, {open} connections");
    one(
        "identity_calls_total",
        &[("call", "AssumeRoleWithWebIdentity"), ("result", "ok")],
    );
    assert!(
        count("inflight_limit_bytes", &[]) > 1_000_000
            && count("inflight_requests_limit", &[]) >= 16
    );
    // The emulator's tokens and sessions have a lifetime of an hour.
    let now = bodies::now_ms() as f64 / 1000.0;
    for expires in [
        "token_expire_timestamp_seconds",
        "credentials_expire_timestamp_seconds",
    ] {
        let left = value(expires, &[]) - now;
        assert!((3000.0..3700.0).contains(&left), "{expires}: {left}");
    }
    assert!((value("credentials_obtained_timestamp_seconds", &[]) - now).abs() < 60.0);
    // Bytes out are bytes in, and those of the batch that was refused and tried again by nobody.
    assert_eq!(
        count("upstream_request_bytes_sum", &[]),
        count("received_bytes_total", &[])
    );
    // A request without a workspace adds no workspace that is not ready.
    assert!(!text.contains("amp_sidecar_ready{workspace=\"\"}"));
    assert_eq!(
        metrics.count(
            "amp_sidecar_batches_total",
            &[("workspace", ""), ("outcome", "misdirected")]
        ),
        Ok(1)
    );
}

#[test]
fn the_page_is_what_the_code_says() {
    let telemetry = Telemetry::new();
    let row = |entry: &MetricEntry| {
        let labels: Vec<String> = entry
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let cell = |text: &str| text.replace('|', "\\|");
        format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            entry.name,
            entry.kind,
            entry.unit(),
            labels.join(", "),
            cell(&entry.help),
            cell(entry.advice),
        )
    };
    let table: String = telemetry.entries().iter().map(row).collect();
    let table = format!(
        "| name | type | unit | labels | what it is | what to do with it |\n|---|---|---|---|---|---|\n{table}"
    );
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if written != table {
        let right = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.md");
        std::fs::write(&right, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        panic!(
            "docs/metrics.md is not what the code says: cp {} {PAGE}",
            right.display()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_that_is_not_in_the_page() {
    let rig = eventful().await;
    let (_, text) = scrape(&rig, "").await;
    let page = std::fs::read_to_string(PAGE).unwrap();
    let text = String::from_utf8(text).unwrap();
    for typed in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = typed.split_once(' ').unwrap();
        assert!(
            page.contains(&format!("| `{name}` | {kind} |")),
            "{name} {kind}"
        );
    }
}
