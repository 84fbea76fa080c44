//! Batches and exchanges as spans, at a collector that decodes them with the official messages.

mod collector;
mod trouble;

use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;

use crate::bodies::{self, Batch};
use crate::leak_check;
use crate::rig::{Rig, V1};
use collector::{Collector, Mood, Seen, children, names, text};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const EXPIRED: &str = r#"{"message":"The security token included in the request is expired"}"#;

async fn traced(collector: &Collector, world: WorldConfig, more: &[(&str, &str)]) -> Rig {
    let url = collector.url();
    let mut settings = vec![
        ("otlp-endpoint", url.as_str()),
        ("bsp-schedule-delay", "20"),
    ];
    settings.extend(more);
    let rig = Rig::start_in(world, &settings).await;
    rig.until_ready().await;
    rig
}

/// A sender that traces.
async fn write_within(rig: &Rig, batch: &Batch, flags: &str) -> StatusCode {
    let client = crate::rig::client();
    let request = client
        .post(format!("http://{}/api/v1/write", rig.host))
        .header("content-encoding", "snappy")
        .header("content-type", V1)
        .header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"))
        .header("tracestate", "vendor=opaque");
    let response = request.body(batch.body.clone()).send().await.unwrap();
    let status = response.status();
    crate::rig::text(response).await;
    status
}

fn is_batch(seen: &Seen) -> bool {
    seen.span.name == "batch"
}

fn batch_of(spans: &[Seen]) -> &Seen {
    spans.iter().find(|seen| is_batch(seen)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_a_span_of_its_senders_trace_and_amp_never_hears_of_it() {
    let collector = Collector::start(Mood::Takes).await;
    let more = [
        ("otlp-headers", "api-key=of%20the%20collector"),
        ("otlp-compression", "gzip"),
        ("otel-service-name", "writer"),
        ("otel-resource-attributes", "k8s.pod.name=prometheus-0"),
    ];
    leak_check::mark("header for the collector", "of the collector");
    leak_check::mark("header for the collector", "of%20the%20collector");
    let rig = traced(&collector, WorldConfig::default(), &more).await;
    let batch = bodies::v1("up", 7);
    assert_eq!(write_within(&rig, &batch, "01").await, StatusCode::OK);

    let spans = collector.until(is_batch).await;
    let top = batch_of(&spans);
    assert_eq!(hex::encode(&top.span.trace_id), TRACE);
    assert_eq!(hex::encode(&top.span.parent_span_id), PARENT);
    assert_eq!(top.span.trace_state, "vendor=opaque");
    // `SPAN_KIND_SERVER`
    assert_eq!(top.span.kind, 2);
    assert_eq!(
        top.text("amp_sidecar.workspace").unwrap(),
        rig.world.workspace_id()
    );
    assert_eq!(top.text("amp_sidecar.outcome").unwrap(), "stored");
    assert_eq!(top.number("amp_sidecar.samples"), Some(7));
    assert_eq!(
        top.number("http.request.body.size"),
        Some(batch.body.len() as i64)
    );
    assert_eq!(top.number("http.response.status_code"), Some(200));
    assert_eq!(top.error(), None);
    assert_eq!(top.service, "writer");
    assert_eq!(text(&top.resource, "k8s.pod.name").unwrap(), "prometheus-0");

    let within = children(&spans, top);
    assert_eq!(names(&within), ["sign", "upstream", "inspect"]);
    let upstream = within[1];
    // `SPAN_KIND_CLIENT`
    assert_eq!(upstream.span.kind, 3);
    let amp: hyper::Uri = rig.world.amp_url().parse().unwrap();
    assert_eq!(
        upstream.text("server.address").unwrap(),
        amp.host().unwrap()
    );
    assert_eq!(
        upstream.number("server.port"),
        amp.port_u16().map(i64::from)
    );
    assert_eq!(upstream.text("http.request.method").unwrap(), "POST");
    assert_eq!(upstream.number("http.response.status_code"), Some(200));
    assert!(upstream.text("aws.request_id").is_some());
    for child in within {
        assert!(child.span.start_time_unix_nano >= top.span.start_time_unix_nano);
        assert!(child.span.end_time_unix_nano <= top.span.end_time_unix_nano);
    }

    let export = collector.exports().pop().unwrap();
    assert_eq!(export.headers["api-key"], "of the collector");
    for seen in rig.world.journal(Target::Amp).requests() {
        for name in ["traceparent", "tracestate", "api-key"] {
            assert!(!seen.headers.contains_key(name), "{name}");
        }
    }
    let exchange = spans
        .iter()
        .find(|seen| seen.span.name == "credentials")
        .unwrap();
    assert_eq!(
        names(&children(&spans, exchange)),
        ["AssumeRoleWithWebIdentity"]
    );
    let exported = r#"amp_sidecar_trace_spans_total{result="exported"}"#;
    assert!(rig.count(exported).await >= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_does_not_sample_is_followed_and_always_off_makes_none() {
    let collector = Collector::start(Mood::Takes).await;
    let rig = traced(&collector, WorldConfig::default(), &[]).await;
    assert_eq!(
        write_within(&rig, &bodies::v1("up", 1), "00").await,
        StatusCode::OK
    );
    assert_eq!(rig.write(&bodies::v1("up", 2)).await, StatusCode::OK);
    let spans = collector.until(is_batch).await;
    assert_eq!(spans.iter().filter(|seen| is_batch(seen)).count(), 1);
    assert_eq!(batch_of(&spans).number("amp_sidecar.samples"), Some(2));
    assert!(batch_of(&spans).span.parent_span_id.is_empty());

    let collector = Collector::start(Mood::Takes).await;
    let off = [("traces-sampler", "always_off")];
    let rig = traced(&collector, WorldConfig::default(), &off).await;
    assert_eq!(
        write_within(&rig, &bodies::v1("up", 1), "01").await,
        StatusCode::OK
    );
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(collector.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_that_leaves_is_a_span_and_a_failure_bears_its_verdicts_name() {
    let collector = Collector::start(Mood::Takes).await;
    let mut world = WorldConfig::default();
    world.amp.max_request_bytes = 20_000;
    let rig = traced(&collector, world, &[]).await;

    let batch = bodies::incompressible("up", 100, 1_000);
    assert_eq!(rig.write(&batch).await, StatusCode::OK);
    let spans = collector.until(is_batch).await;
    let top = batch_of(&spans);
    let within = children(&spans, top);
    let upstream: Vec<_> = within
        .iter()
        .filter(|seen| seen.span.name == "upstream")
        .collect();
    assert_eq!(
        upstream.len() as u64,
        rig.world.journal(Target::Amp).total()
    );
    assert_eq!(upstream[0].error().unwrap(), "413");
    assert_eq!(top.error(), None);

    let faults = rig.world.faults(Target::Amp);
    faults.set([Fault::new(FaultKind::answer(403, EXPIRED)).times(1)]);
    assert_eq!(rig.write(&bodies::v1("again", 1)).await, StatusCode::OK);
    let again = |seen: &Seen| is_batch(seen) && seen.number("amp_sidecar.series") == Some(1);
    let spans = collector.until(again).await;
    let top = spans.iter().find(|seen| again(seen)).unwrap();
    let within = children(&spans, top);
    assert_eq!(
        names(&within),
        ["sign", "upstream", "inspect", "sign", "upstream"]
    );
    assert_eq!(within[1].error().unwrap(), "403");

    faults.set([Fault::new(FaultKind::answer(500, "no"))]);
    assert_eq!(rig.write(&bodies::v1("up", 3)).await.as_u16(), 500);
    let failed = |seen: &Seen| is_batch(seen) && seen.error().is_some();
    let spans = collector.until(failed).await;
    let top = spans.iter().find(|seen| failed(seen)).unwrap();
    assert_eq!(top.error().unwrap(), "amp_failing");
    assert_eq!(top.text("error.type").unwrap(), "amp_failing");

    // None of this contains a secret.
    let shown: String = collector
        .exports()
        .iter()
        .map(|export| String::from_utf8_lossy(&export.body).into_owned())
        .collect();
    let mut searched = 0;
    for seen in rig.world.journal(Target::Amp).requests() {
        let authorization = seen.headers["authorization"].to_str().unwrap();
        let key = authorization
            .split("Credential=")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        let session = rig.world.sessions().find(key).unwrap();
        let signature = authorization.rsplit("Signature=").next().unwrap();
        for secret in [
            signature,
            &session.secret_access_key,
            &session.session_token,
            key,
        ] {
            assert!(!shown.contains(secret), "a secret is in a span");
            searched += 1;
        }
    }
    let token = std::fs::read_to_string(rig.world.token_file()).unwrap();
    assert!(!shown.contains(token.trim()));
    assert!(searched > 12 && shown.contains("amp_failing"));
}
