//! What Grafana's Prometheus data source calls, and what its callers read from the answers.

use serde_json::{Value, json};

use super::storage::Storage;
use super::{data, error, eventually, get, post, start, with_reading, world_before};
use crate::rig::Rig;

/// The calls of Grafana's data source and of its alerting pages, from its source code, with the statuses they get.
const CALLS: [(&str, &str, &str, u16); 15] = [
    // "Save & test", and a panel.
    ("POST", "query", "query=1%2B1&time=1700000000.123", 200),
    ("GET", "query?query=1%2B1&time=1700000000.123", "", 200),
    (
        "POST",
        "query_range",
        "query=up&start=1700000000&end=1700000060&step=15",
        200,
    ),
    // The query editor.
    ("POST", "labels", "start=1700000000&end=1700000060", 200),
    (
        "POST",
        "series",
        "match%5B%5D=up&start=1700000000&end=1700000060",
        200,
    ),
    (
        "GET",
        "label/__name__/values?start=1700000000&end=1700000060&match%5B%5D=up",
        "",
        200,
    ),
    ("GET", "metadata?limit=100", "", 200),
    // Expanding recording rules, and the alerting pages.
    ("GET", "rules", "", 200),
    ("GET", "rules?type=record", "", 200),
    ("GET", "alerts", "", 200),
    // Whom it talks to. Thanos alone has flags and Cortex alone has this group.
    ("GET", "status/buildinfo", "", 200),
    ("GET", "status/flags", "", 404),
    ("GET", "rules/test/test", "", 404),
    // Whether there are exemplars.
    (
        "GET",
        "query_exemplars?query=test&start=1700000000&end=1700000060",
        "",
        404,
    ),
    ("POST", "format_query", "query=up", 404),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_grafana_gets_an_answer_that_it_expects() {
    let (_storage, rig) = start(&[]).await;
    for (method, path, form, status) in CALLS {
        let path = format!("/api/v1/{path}");
        let answer = match method {
            "GET" => get(&rig, &path).await,
            _ => post(&rig, &path, form).await,
        };
        assert_eq!(answer.status(), status, "{method} {path}");
    }
    // From this Grafana learns that rules cannot be edited, and no version.
    let info = data(get(&rig, "/api/v1/status/buildinfo").await).await;
    assert_eq!(
        (info.get("features"), &info["version"]),
        (None, &json!("")),
        "{info}"
    );
    for api in ["query_exemplars", "format_query"] {
        let answer = error(get(&rig, &format!("/api/v1/{api}?query=up")).await).await;
        let expected = (404, "not_found".to_owned(), format!("AMP has no API {api}"));
        assert_eq!(answer, expected);
        let counted = format!("amp_sidecar_queries_total{{api=\"{api}\",code=\"404\"}}");
        assert_eq!(rig.count(&counted).await, 2);
    }
    let counted = rig.count(r#"amp_sidecar_queries_total{api="buildinfo",code="200"}"#);
    assert_eq!(counted.await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_alerts_are_the_stores_own() {
    let rules = "groups:\n- name: shop\n  rules:\n  - {record: 'job:up:sum', expr: sum(up)}\n  - {alert: Watchdog, expr: vector(1), labels: {severity: none}}\n";
    let storage = Storage::start_with_rules(rules).await;
    let rig = Rig::start_in(world_before(&storage), &with_reading(&[])).await;
    rig.until_ready().await;
    eventually("the alert fires", async || {
        let alerts = data(get(&rig, "/api/v1/alerts").await).await;
        alerts["alerts"][0]["state"] == "firing"
    })
    .await;
    let alerts = data(get(&rig, "/api/v1/alerts").await).await;
    assert_eq!(alerts["alerts"][0]["labels"]["alertname"], "Watchdog");
    let names = async |query: &str| {
        let found = data(get(&rig, &format!("/api/v1/rules{query}")).await).await;
        let rules = found["groups"][0]["rules"].as_array().unwrap().clone();
        let name = |rule: &Value| (rule["name"].clone(), rule["type"].clone());
        rules.iter().map(name).collect::<Vec<_>>()
    };
    let recording = (json!("job:up:sum"), json!("recording"));
    let alerting = (json!("Watchdog"), json!("alerting"));
    assert_eq!(names("").await, [recording.clone(), alerting.clone()]);
    // Parameters are forwarded.
    assert_eq!(names("?type=record").await, [recording]);
    assert_eq!(names("?type=alert").await, [alerting]);
}
