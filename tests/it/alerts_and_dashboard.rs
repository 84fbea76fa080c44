//! Checks the dashboard, the alerts and the runbooks against the metrics and a real Prometheus. That each alert fires when it should, and
//! has its runbook, is for `scripts/check-deploy`.

use std::time::Duration;

use amp_sidecar::telemetry::Telemetry;
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;
use serde_json::Value;
use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::source::Source;

use crate::bodies;
use crate::rig::{Rig, V1, V2};

const ALERTS: &str = include_str!("../../deploy/mixin/alerts.yaml");
const ALERT_TESTS: &str = include_str!("../../deploy/mixin/tests.yaml");
const DASHBOARD: &str = include_str!("../../deploy/mixin/dashboards/amp-sidecar.json");
const RUNBOOKS: &str = include_str!("../../docs/runbooks.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const OUTCOMES: &str = include_str!("../../docs/outcomes.md");

/// One query of a panel.
struct Query {
    panel: String,
    expression: String,
}

fn queries() -> Vec<Query> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(Query {
                panel: panel["title"].as_str().unwrap().to_owned(),
                expression: target["expr"].as_str().unwrap().to_owned(),
            });
        }
    }
    assert!(queries.len() > 40, "only {} queries", queries.len());
    queries
}

/// A renamed metric must not leave an alert that never fires.
#[test]
fn only_metrics_that_there_are_are_asked_for() {
    let telemetry = Telemetry::new();
    let known: Vec<&str> = telemetry
        .entries()
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    let documents = [
        ALERTS,
        ALERT_TESTS,
        DASHBOARD,
        RUNBOOKS,
        OPERATIONS,
        OUTCOMES,
    ];
    let mut named = 0;
    for word in documents
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
    {
        if word.starts_with("amp_sidecar_") || word.starts_with("process_") {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| word.strip_suffix(part));
            assert!(
                known.contains(&word) || family.is_some_and(|family| known.contains(&family)),
                "{word}"
            );
            named += 1;
        }
    }
    assert!(named > 80, "only {named}");
}

/// A dozen seconds of a workspace with every event that a panel shows.
async fn a_bad_day(rig: &Rig) {
    let amp = |kind: FaultKind, times| {
        rig.world
            .faults(Target::Amp)
            .set([Fault::new(kind).times(times)])
    };
    let denied = r#"{"Message":"User: arn:aws:sts::111122223333:assumed-role/amp/s is not authorized to perform: aps:RemoteWrite on resource: arn"}"#;
    let expired = r#"{"message":"The security token included in the request is expired"}"#;
    for second in 0..12 {
        match second {
            2 => amp(FaultKind::answer(429, r#"{"message":"Rate exceeded"}"#), 3),
            3 => amp(FaultKind::answer(503, ""), 3),
            4 => amp(FaultKind::Reset, 3),
            5 => amp(FaultKind::answer(403, expired), 1),
            6 => amp(FaultKind::answer(403, denied), 2),
            7 => rig
                .world
                .faults(Target::Sts)
                .set([Fault::new(FaultKind::answer(503, "")).lasting(Duration::from_secs(2))]),
            8 => assert_eq!(
                rig.write(&bodies::incompressible("large", 400, 6_000))
                    .await,
                StatusCode::OK
            ),
            _ => {}
        }
        let old = bodies::v1_at("old", 5, bodies::now_ms() - 2 * 60 * 60 * 1000);
        let broken = rig.post("/api/v1/write", V1, b"no snappy".to_vec()).await;
        assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
        rig.write(&old).await;
        rig.post(
            "/api/v1/write",
            V2,
            bodies::v2(&format!("new_{second}"), 20).body,
        )
        .await;
        for n in 0..5 {
            rig.write(&bodies::v1(&format!("up_{second}_{n}"), 100))
                .await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Labels of targets in Kubernetes; elsewhere they are absent.
const PLACE: [(&str, &str); 3] = [
    ("cluster", "one"),
    ("namespace", "monitoring"),
    ("pod", "prometheus-0"),
];

/// The panel's query as Grafana sends it: for one pod, or with every variable at *All*.
fn filled_in(expression: &str, place: &[(&str, &str)]) -> String {
    let mut filled = expression
        .replace("$__rate_interval", "15s")
        .replace("$__range", "15s");
    for (label, value) in place {
        filled = filled.replace(&format!("${label}\""), &format!("{value}\""));
    }
    for name in variables().iter().map(|variable| &variable.name) {
        filled = filled.replace(&format!("${name}\""), ".*\"");
    }
    assert!(!filled.contains('$'), "{filled}");
    filled
}

/// One Prometheus scrapes text, the default; another protobuf with native histograms, which replace the classic ones. Every panel must work in both.
#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_what_a_real_prometheus_scraped() {
    let installed = Installed::find(None).await.unwrap();
    let installed = installed.expect("prometheus is not on the PATH: scripts/test brings it");
    let world = WorldConfig {
        session_life: Some(Duration::from_secs(6)),
        ..WorldConfig::default()
    };
    let rig = Rig::start_in(world, &[]).await;
    rig.until_ready().await;
    let source = Source::start(50).await.unwrap();
    let admin = rig.admin_host.parse().unwrap();
    let setup = |cluster: &str, flags: &[&str], place: &[(&str, &str)]| {
        let write_url = format!("http://{}/api/v1/write", rig.host);
        let mut setup = Setup::new(&installed.program, admin, write_url);
        setup.targets.push(source.address());
        setup.itself = true;
        let place = place.iter();
        setup.target_labels = place
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        setup.external_labels = vec![("cluster".to_owned(), cluster.to_owned())];
        setup.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        setup
    };
    let (classic, native) = tokio::join!(
        Prometheus::start(setup("classic", &[], &[])),
        Prometheus::start(setup(
            "native",
            &["--enable-feature=native-histograms"],
            &PLACE
        )),
    );
    let (classic, native) = (classic.unwrap(), native.unwrap());
    a_bad_day(&rig).await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let mut empty = Vec::new();
    for (name, prometheus, place) in [
        ("text", &classic, &[][..]),
        ("protobuf", &native, &PLACE[..]),
    ] {
        for query in queries() {
            let expression = filled_in(&query.expression, place);
            let readings = prometheus.query(&expression).await.unwrap();
            if !readings.iter().any(|reading| reading.value.is_finite()) {
                empty.push(format!(
                    "{name}, {}: {expression}: {readings:?}",
                    query.panel
                ));
            }
        }
    }
    assert!(empty.is_empty(), "{}", empty.join("\n"));
    for variable in variables() {
        let query = filled_in(&variable.metric, &PLACE);
        let readings = native.query(&query).await.unwrap();
        let mut labels = readings.iter().map(|reading| &reading.labels);
        let found = labels.any(|labels| labels.contains_key(&variable.label));
        assert!(found, "{query} has no {}", variable.label);
    }

    // Histograms from protobuf are native, with the same values.
    let one = async |prometheus: &Prometheus, expression: &str| {
        let readings = prometheus.query(expression).await.unwrap();
        assert_eq!(readings.len(), 1, "{expression}: {readings:?}");
        readings[0].value
    };
    let name = "amp_sidecar_request_duration_seconds";
    assert_eq!(native.query(&format!("{name}_bucket")).await.unwrap(), []);
    let of_native = one(&native, &format!("histogram_quantile(0.5, sum({name}))")).await;
    let of_classic = one(
        &classic,
        &format!("histogram_quantile(0.5, sum by (le) ({name}_bucket))"),
    )
    .await;
    assert!(
        of_native > 0.0 && of_native < 4.0 * of_classic && of_classic < 4.0 * of_native,
        "{of_native} and {of_classic}"
    );
    let count = one(&native, &format!("histogram_count(sum({name}))")).await;
    let now = rig.count(&format!("{name}_count")).await as f64;
    assert!(count > 60.0 && count <= now, "{count} of {now}");
}

/// A variable of the dashboard, which offers the values of a label of a metric.
struct Variable {
    name: String,
    metric: String,
    label: String,
}

fn variables() -> Vec<Variable> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let list = dashboard["templating"]["list"].as_array().unwrap();
    let read = |variable: &Value| {
        let definition = variable["definition"].as_str()?;
        let inner = definition.strip_prefix("label_values(").unwrap();
        let (metric, label) = inner.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        // All has to match where the label is absent.
        assert_eq!(variable["allValue"], ".*", "{definition}");
        Some(Variable {
            name: variable["name"].as_str().unwrap().to_owned(),
            metric: metric.to_owned(),
            label: label.to_owned(),
        })
    };
    list.iter().filter_map(read).collect()
}

#[test]
fn panels_do_not_lie_over_each_other_and_say_what_they_show() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut taken = std::collections::HashSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24);
        for (x, y) in (at("x")..at("x") + at("w"))
            .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert((x, y)), "{}", panel["title"]);
        }
        if panel["type"] != "row" {
            assert!(
                panel["description"]
                    .as_str()
                    .is_some_and(|words| words.len() > 15),
                "{}",
                panel["title"]
            );
        }
    }
}
