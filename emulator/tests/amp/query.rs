//! The query API in front of a real Prometheus on the PATH.

use emulator::amp::AmpConfig;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    forwarding::{Prometheus, free_port},
    world::{Answer, ROLE, Signing, World, series},
};

const FORM: &str = "application/x-www-form-urlencoded";

/// A world with two samples of `up` in a real Prometheus.
async fn world() -> (Prometheus, World) {
    let prometheus = Prometheus::start(free_port()).await;
    let world = World::with(AmpConfig {
        forward_to: Some(format!("http://127.0.0.1:{}/api/v1/write", prometheus.port)),
        query_roles: vec![ROLE.into()],
        ..AmpConfig::default()
    });
    let now = world.now_ms();
    world
        .send_v1(vec![series("up", &[(now - 10_000, 1.0), (now, 2.0)])])
        .await
        .assert_ok();
    (prometheus, world)
}

fn signing(world: &World, method: &'static str, target: &str) -> Signing {
    Signing {
        method,
        // Two segments up is the workspace.
        target: match target.strip_prefix("../../") {
            Some(target) => world.path().replace("api/v1/remote_write", target),
            None => world.path().replace("remote_write", target),
        },
        headers: vec![("content-type", FORM.into())],
        ..world.signing()
    }
}

async fn ask(world: &World, method: &'static str, target: &str, body: &str) -> Answer {
    let request = signing(world, method, target).sign(body.to_owned());
    world.handle(request).await
}

fn data(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(body["status"], "success");
    body["data"].clone()
}

#[tokio::test]
async fn each_question_gets_prometheus_own_answer() {
    let (_prometheus, world) = world().await;
    let second = world.now_ms() / 1000;
    let instant = format!("query=sum%28up%29&time={second}");
    let expected = json!([second, "2"]);
    let by_get = data(&ask(&world, "GET", &format!("query?{instant}"), "").await);
    assert_eq!(by_get["result"][0]["value"], expected);
    let by_post = data(&ask(&world, "POST", "query", &instant).await);
    assert_eq!(by_post, by_get);
    let range = format!("query=up&start={}&end={second}&step=10", second - 10);
    for (method, target, body) in [
        ("GET", format!("query_range?{range}"), String::new()),
        ("POST", "query_range".into(), range.clone()),
    ] {
        let answer = data(&ask(&world, method, &target, &body).await);
        let values = json!([[second - 10, "1"], [second, "2"]]);
        assert_eq!(answer["result"][0]["values"], values, "{method}");
    }
    let window = format!("match%5B%5D=up&start={}&end={second}", second - 60);
    let labels = json!({"__name__": "up", "job": "test"});
    let found = data(&ask(&world, "GET", &format!("series?{window}"), "").await);
    assert_eq!(found, json!([labels]));
    let found = data(&ask(&world, "POST", "series", &window).await);
    assert_eq!(found, json!([labels]));
    let found = data(&ask(&world, "GET", &format!("labels?{window}"), "").await);
    assert_eq!(found, json!(["__name__", "job"]));
    let found = data(&ask(&world, "GET", &format!("label/job/values?{window}"), "").await);
    assert_eq!(found, json!(["test"]));
    data(&ask(&world, "GET", "metadata", "").await);

    // What Prometheus refuses is relayed too.
    let wrong = ask(&world, "GET", "query?query=sum%28", "").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(
        wrong.text.contains("\"errorType\":\"bad_data\""),
        "{}",
        wrong.text
    );
    assert_eq!(wrong.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn query_string_and_body_are_signed() {
    let (_prometheus, world) = world().await;
    let mut request = signing(&world, "GET", "query?query=up").sign("");
    *request.uri_mut() = request
        .uri()
        .to_string()
        .replace("=up", "=down")
        .parse()
        .unwrap();
    let text = "The request signature we calculated does not match";
    world
        .handle(request)
        .await
        .assert_aws(403, "InvalidSignatureException", "message", text);
    let mut signing = signing(&world, "POST", "query");
    signing.checksum = false;
    let mut request = signing.sign("query=up");
    *request.body_mut() = "query=down".into();
    world
        .handle(request)
        .await
        .assert_aws(403, "InvalidSignatureException", "message", text);
}

#[tokio::test]
async fn writers_and_readers_are_distinguished() {
    let world = World::new();
    for (method, target, action) in [
        ("GET", "query?query=up", "aps:QueryMetrics"),
        ("POST", "query_range", "aps:QueryMetrics"),
        ("GET", "series", "aps:GetSeries"),
        ("GET", "label/job/values", "aps:GetLabels"),
        ("GET", "metadata", "aps:GetMetricMetadata"),
        ("GET", "rules", "aps:ListRules"),
        ("GET", "alerts", "aps:ListAlerts"),
        (
            "POST",
            "../../alertmanager/api/v2/silences",
            "aps:PutAlertManagerSilences",
        ),
        (
            "DELETE",
            "../../alertmanager/api/v2/silence/1",
            "aps:DeleteAlertManagerSilence",
        ),
    ] {
        let answer = ask(&world, method, target, "").await;
        answer.assert_aws(403, "AccessDeniedException", "Message", "User: ");
        assert!(
            answer.text.contains(&format!("perform: {action} on")),
            "{}",
            answer.text
        );
    }
    world.amp.allow_queries([ROLE.to_owned()]);
    world.amp.allow_roles([]);
    let target = "../../alertmanager/api/v2/status";
    let nobody = ask(&world, "GET", target, "").await;
    nobody.assert_aws(
        501,
        "NotImplementedException",
        "message",
        "this emulator has no Alertmanager",
    );
    let nobody = ask(&world, "GET", "query?query=up", "").await;
    nobody.assert_aws(
        501,
        "NotImplementedException",
        "message",
        "this emulator evaluates no PromQL",
    );
    let refused = world
        .send_v1(vec![series("up", &[(world.now_ms(), 1.0)])])
        .await;
    refused.assert_aws(403, "AccessDeniedException", "Message", "User: ");
    for (method, target) in [
        ("GET", "status/config"),
        ("GET", "query/"),
        ("DELETE", "series"),
        ("POST", "label/job/values"),
        ("GET", "remote_write"),
    ] {
        let answer = ask(&world, method, target, "").await;
        let kind = "MissingAuthenticationTokenException";
        answer.assert_aws(403, kind, "message", "Missing Authentication Token");
    }
}

#[tokio::test]
async fn a_prometheus_that_is_gone_or_unknown_is_named() {
    for (url, status, kind, text) in [
        (
            format!("http://127.0.0.1:{}/api/v1/write", free_port()),
            500,
            "InternalServerException",
            "cannot reach the real Prometheus: ",
        ),
        (
            "http://127.0.0.1:1/receive".into(),
            501,
            "NotImplementedException",
            "\"http://127.0.0.1:1/receive\" does not end in /api/v1/write",
        ),
    ] {
        let world = World::with(AmpConfig {
            forward_to: Some(url),
            query_roles: vec![ROLE.into()],
            ..AmpConfig::default()
        });
        let answer = ask(&world, "GET", "query?query=up", "").await;
        answer.assert_aws(status, kind, "message", text);
    }
}
