//! What was written can be queried, by every API.

use emulator::world::Target;
use serde_json::json;

use super::{METHODS, data, error, get, post, start};
use crate::bodies;
use crate::rig::client;

#[tokio::test(flavor = "multi_thread")]
async fn each_api_gives_the_stores_own_answer() {
    let (_storage, rig) = start(&[]).await;
    assert_eq!(rig.write(&bodies::v1("up", 3)).await, 200);
    let id = rig.world.workspace_id().to_owned();
    for base in ["/api/v1".to_owned(), format!("/workspaces/{id}/api/v1")] {
        let ask = async |path: &str| data(get(&rig, &format!("{base}/{path}")).await).await;
        let counted = ask("query?query=count(up)").await;
        assert_eq!(counted["result"][0]["value"][1], "3", "{counted}");
        let now = bodies::now_ms() / 1000;
        let range = format!("query=count(up)&start={}&end={now}&step=1", now - 5);
        let ranged = ask(&format!("query_range?{range}")).await;
        assert_eq!(ranged["resultType"], "matrix");
        let ranged = data(post(&rig, &format!("{base}/query_range"), &range).await).await;
        assert_eq!(ranged["resultType"], "matrix");
        let series = ask("series?match[]=up&match%5B%5D=none").await;
        assert_eq!(series.as_array().unwrap().len(), 3, "{series}");
        let posted = data(post(&rig, &format!("{base}/series"), "match[]=up").await).await;
        assert_eq!(posted, series);
        let labels = ask("labels").await;
        assert!(labels.as_array().unwrap().contains(&json!("__name__")));
        assert_eq!(
            data(post(&rig, &format!("{base}/labels"), "").await).await,
            labels
        );
        assert_eq!(ask("label/__name__/values").await, json!(["up"]));
        ask("metadata?limit=1").await;
    }
    let count = async |labels: &str| {
        rig.count(&format!("amp_sidecar_queries_total{{{labels}}}"))
            .await
    };
    assert_eq!(count(r#"api="series",code="200""#).await, 4);
    assert_eq!(count(r#"api="label_values",code="200""#).await, 2);
    let bytes = rig.count(r#"amp_sidecar_query_response_bytes_total{api="series"}"#);
    assert!(bytes.await > 400);
    // Ten and more of them one after the other, over one connection.
    let requests = rig.world.journal(Target::Amp).requests();
    let mut peers: Vec<_> = requests
        .iter()
        .filter(|seen| !seen.path.contains("remote_write"))
        .map(|seen| seen.peer)
        .collect();
    peers.dedup();
    assert_eq!(peers.len(), 1);
}

/// The emulator verifies each signature, and the expression's value proves that it arrived unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn any_expression_arrives_as_it_was_meant() {
    let (_storage, rig) = start(&[]).await;
    for text in [
        "a+b c%20d%2Bf",
        "{}[]()<>|^`~!@#$&*=,;:/?.'-_",
        "größer\u{a0}als €\u{1f600}",
        "\\\"quoted\\\" and \\n",
        "100%",
        "&query=other&time=0",
    ] {
        let expression = format!(
            "label_replace(vector(1),\"text\",\"{}\",\"\",\"\")",
            text.replace('$', "$$")
        );
        let expected = text.replace("\\\"", "\"").replace("\\n", "\n");
        let spelled = |parameter: &str| {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("empty", "")
                .append_pair("query", parameter);
            form.finish()
        };
        let plain = spelled(&expression);
        let spaced = plain.replace('+', "%20");
        for (method, query) in METHODS.iter().flat_map(|m| [(m, &plain), (m, &spaced)]) {
            let answer = match method.as_str() {
                "GET" => get(&rig, &format!("/api/v1/query?{query}")).await,
                _ => post(&rig, "/api/v1/query", query).await,
            };
            let answer = data(answer).await;
            assert_eq!(
                answer["result"][0]["metric"]["text"], expected,
                "{method} {query}"
            );
        }
    }
    // Parameters in URL and form together, the form's first, like Go's servers.
    let both = post(&rig, "/api/v1/query?query=a%2Bb(&time=1", "query=1%2B1").await;
    assert_eq!(data(both).await["result"], json!([1, "2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_errors_are_passed_on_as_they_are() {
    let (storage, rig) = start(&[]).await;
    for path in [
        "/api/v1/query?query=sum(",
        // Messages that AMP's front door uses for signatures, sent by the store.
        "/api/v1/query?query=sum(%22signature+expired:+missing+authentication+token%22",
        "/api/v1/query?query=up&time=never",
        "/api/v1/query_range?query=up&start=0&end=1700000000&step=1",
        "/api/v1/series",
    ] {
        let direct = client().get(storage.url(path)).send().await.unwrap();
        let through = error(get(&rig, path).await).await;
        assert_eq!(through, error(direct).await, "{path}");
        assert!(through.0 == 400 || through.0 == 422, "{through:?}");
        let packed = client().get(format!("http://{}{path}", rig.host));
        let packed = packed.header("accept-encoding", "gzip").send().await;
        assert_eq!(error(packed.unwrap()).await, through, "{path}");
    }
    assert_eq!(
        rig.find_count("amp_sidecar_upstream_retries_total").await,
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_compressed_where_the_reader_takes_it() {
    let (_storage, rig) = start(&[]).await;
    assert_eq!(rig.write(&bodies::v1("up", 200)).await, 200);
    let url = format!("http://{}/api/v1/series?match[]=up", rig.host);
    let plain = client().get(&url).send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = plain.bytes().await.unwrap();
    let packed = client().get(&url).header("accept-encoding", "br, gzip");
    let packed = packed.send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() < plain.len() / 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_reader_do_not_reach_amp_and_few_of_amps_reach_the_reader() {
    let (_storage, rig) = start(&[]).await;
    let request = client().post(format!("http://{}/api/v1/query", rig.host));
    let answer = request
        .header(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )
        .header("authorization", "Bearer of-the-reader")
        .header("cookie", "a=b")
        .header("x-scope-orgid", "tenant")
        .header("x-amz-security-token", "of-the-reader")
        .header("x-forwarded-host", "elsewhere")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .body("query=1")
        .send()
        .await
        .unwrap();
    let mut names: Vec<_> = answer.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-type",
            "date",
            "transfer-encoding",
            "x-content-type-options"
        ]
    );
    data(answer).await;
    let seen = rig.world.journal(Target::Amp).requests().pop().unwrap();
    let mut names: Vec<_> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-amz-date",
            "x-amz-security-token"
        ]
    );
    assert_eq!(seen.headers["content-type"], super::FORM);
}
