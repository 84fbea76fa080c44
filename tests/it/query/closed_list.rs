//! Only the closed list is ever signed, and nothing if queries are off.

use emulator::world::{Target, WorldConfig};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{error, get, post, with_reading};
use crate::bodies;
use crate::rig::{Rig, V1, text};

#[tokio::test(flavor = "multi_thread")]
async fn reading_is_off_by_default() {
    let world = WorldConfig {
        role_may_query: true,
        ..WorldConfig::default()
    };
    let rig = Rig::start_in(world, &[]).await;
    rig.until_ready().await;
    let named = format!("/workspaces/{}/api/v1/query", rig.world.workspace_id());
    for path in [
        "/api/v1/query?query=up",
        "/api/v1/label/job/values",
        "/api/v1/rules",
        "/api/v1/status/buildinfo",
        &named,
    ] {
        let (status, kind, why) = error(get(&rig, path).await).await;
        assert_eq!((status, kind.as_str()), (404, "not_found"));
        assert!(why.contains("--allow-query"), "{why}");
    }
    assert_eq!(post(&rig, "/api/v1/query", "query=up").await.status(), 404);
    assert_eq!(rig.world.journal(Target::Amp).total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_on_the_list_reaches_nobody() {
    let rig = Rig::start_in(WorldConfig::default(), &with_reading(&[])).await;
    rig.until_ready().await;
    for path in [
        "/api/v1/rules/test/test",
        "/api/v1/status/config",
        "/api/v1/query/",
        "/api/v1/query_exemplars",
        "/api/v1/format_query",
        "/api/v1/label/a-b/values",
        "/api/v1/label/a%2F..%2Fb/values",
        "/alertmanager/api/v2/silences",
        "/workspaces",
        "/",
    ] {
        assert_eq!(get(&rig, path).await.status(), 404, "{path}");
    }
    let other = get(&rig, "/workspaces/ws-other/api/v1/query?query=up").await;
    assert_eq!(error(other).await.0, 404);
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/series", "GET, POST"),
        ("POST", "/api/v1/label/job/values", "GET"),
        ("POST", "/api/v1/metadata", "GET"),
        ("POST", "/api/v1/rules", "GET"),
        ("DELETE", "/api/v1/alerts", "GET"),
        ("POST", "/api/v1/status/buildinfo", "GET"),
    ] {
        let url = format!("http://{}{path}", rig.host);
        let method = method.parse().unwrap();
        let answer = crate::rig::client().request(method, url).send().await;
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["allow"]),
            (405, &allowed.parse().unwrap())
        );
    }
    // Parameters of a signature, and invalid UTF-8.
    for query in ["X-Amz-Signature=0", "query=%ff"] {
        let answer = get(&rig, &format!("/api/v1/query?{query}")).await;
        assert_eq!(error(answer).await.0, 400);
    }
    let json = crate::rig::client().post(format!("http://{}/api/v1/query", rig.host));
    let json = json.header("content-type", "application/json").body("{}");
    assert_eq!(error(json.send().await.unwrap()).await.0, 415);
    let large = post(&rig, "/api/v1/query", &"a".repeat((1 << 20) + 1)).await;
    assert_eq!(error(large).await.0, 413);
    let long = get(&rig, &format!("/api/v1/query?query={}", "{".repeat(12_000))).await;
    assert_eq!(error(long).await.0, 414);
    assert_eq!(rig.world.journal(Target::Amp).total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_workspace_has_a_switch_of_its_own() {
    let world = WorldConfig::default().second_region("eu-west-2");
    let world = crate::leak_check::World::start(world).await.unwrap();
    let other = &world.others()[0];
    let file = world.folder().join("sidecar.yaml");
    let yaml = format!(
        "workspaces:\n  - name: open\n    workspace_id: {}\n    remote_write_url: {}\n    allow_query: true\n  - name: shut\n    workspace_id: {}\n    remote_write_url: {}\n    region: {}\n    role_arn: {}\n",
        world.workspace_id(),
        world.amp_url(),
        other.id(),
        other.url(),
        other.region(),
        other.role_arn(),
    );
    std::fs::write(&file, yaml).unwrap();
    let rig = Rig::start_beside(world, &[("config", file.to_str().unwrap())]).await;
    rig.until_ready().await;
    // The role may not query: only AMP's response shows that.
    assert_eq!(
        get(&rig, "/workspaces/open/api/v1/labels").await.status(),
        403
    );
    let (status, _, why) = error(get(&rig, "/workspaces/shut/api/v1/labels").await).await;
    assert!(status == 404 && why.contains("--allow-query"), "{why}");
    let (status, _, why) = error(get(&rig, "/api/v1/labels").await).await;
    assert!(status == 404 && why.contains("open, shut"), "{why}");
    assert_eq!(rig.world.others()[0].journal().total(), 0);
}

/// Pieces of paths that lead elsewhere.
fn pieces() -> impl Strategy<Value = String> {
    let known = [
        "api",
        "v1",
        "v2",
        "query",
        "query_range",
        "series",
        "labels",
        "label",
        "job",
        "__name__",
        "values",
        "metadata",
        "..",
        ".",
        "",
        "%2e%2e",
        "%2F",
        "..%2f",
        "workspaces",
        "ID",
        "ws-other",
        "remote_write",
        "write",
        "rules",
        "alertmanager",
        "status",
        "config",
        "query?query=up",
        "query#",
        "query;",
        "QUERY",
        "query%00",
        "query ",
        "@169.254.169.254",
        "a\\b",
        "label/job/values",
        "/workspaces/ID/api/v1/query",
        "/api/v1/series",
        "/api/v1/label/x/values",
        "/alertmanager/api/v2/silences",
        "silence",
        "d29d9df3-9125-4441-912c-70b05f86f973",
        "receivers",
    ];
    prop_oneof![
        6 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "[!-~]{0,8}",
    ]
}

fn targets() -> impl Strategy<Value = String> {
    let path = proptest::collection::vec(pieces(), 0..6).prop_map(|pieces| pieces.join("/"));
    let prefix = proptest::sample::select(vec![
        "/",
        "/api/v1/",
        "/workspaces/ID/api/v1/",
        "/workspaces/ID/api/v1/label/",
        "/workspaces/",
        "//",
        "http://169.254.169.254/api/v1/",
        "https://sts.amazonaws.com/workspaces/ID/api/v1/",
        "",
    ]);
    let listed = proptest::sample::select(vec![
        "query",
        "query_range",
        "series",
        "labels",
        "metadata",
        "rules",
        "alerts",
        "query_exemplars",
        "label/job/values",
        "label/__name__/values",
        "remote_write",
        "status",
        "alerts/groups",
        "silences",
        "silence/d29d9df3-9125-4441-912c-70b05f86f973",
    ]);
    let near = proptest::sample::select(vec![
        "/api/v1/",
        "/workspaces/ID/api/v1/",
        "http://169.254.169.254/api/v1/",
        "//api/v1/",
        "/alertmanager/api/v2/",
        "/workspaces/ID/alertmanager/api/v2/",
    ]);
    let more = prop_oneof![
        3 => Just(String::new()),
        1 => "[!-~]{1,2}",
        1 => "\\?[!-~]{0,12}",
    ];
    let strange = (prefix, path).prop_map(|(prefix, path)| format!("{prefix}{path}"));
    let nearly =
        (near, listed, more).prop_map(|(near, listed, more)| format!("{near}{listed}{more}"));
    prop_oneof![strange, nearly]
}

/// A raw request, not normalized by a client; its status, or 0 without a response.
async fn raw(host: &str, method: &str, target: &str) -> u16 {
    let mut tcp = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: 169.254.169.254\r\nconnection: close\r\ncontent-type: {}\r\ncontent-length: 8\r\n\r\nquery=up",
        super::FORM
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The peer may reset garbage.
    if tcp.read_to_end(&mut answer).await.is_err() {
        return 0;
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1);
    status.and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// What may reach AMP, and how: an independent copy of the list in the code.
fn may_be_sent(id: &str, method: &str, path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap();
    let Some(below) = path.strip_prefix(&format!("/workspaces/{id}/")) else {
        return false;
    };
    if let Some(below) = below.strip_prefix("alertmanager/api/v2/") {
        return match below {
            "status" | "receivers" | "alerts" | "alerts/groups" => method == "GET",
            "silences" => method == "GET" || method == "POST",
            "silence/d29d9df3-9125-4441-912c-70b05f86f973" => method == "GET" || method == "DELETE",
            _ => false,
        };
    }
    let Some(below) = below.strip_prefix("api/v1/") else {
        return false;
    };
    match below {
        "remote_write" => method == "POST",
        "query" | "query_range" | "series" | "labels" => method == "GET" || method == "POST",
        "metadata" | "rules" | "alerts" => method == "GET",
        _ => {
            let name = below
                .strip_prefix("label/")
                .and_then(|rest| rest.strip_suffix("/values"));
            method == "GET"
                && name.is_some_and(|name| {
                    !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
                })
        }
    }
}

#[test]
fn whatever_is_asked_only_the_list_is_signed() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let rig = runtime.block_on(async {
        let settings = with_reading(&[("allow-alertmanager", "silence")]);
        let rig = Rig::start_in(WorldConfig::default(), &settings).await;
        rig.until_ready().await;
        // Identifies the requests in the journal.
        let answer = rig
            .post("/api/v1/write", V1, bodies::v1("up", 1).body)
            .await;
        assert_eq!(
            (answer.status().as_u16(), text(answer).await),
            (200, String::new())
        );
        rig
    });
    let id = rig.world.workspace_id();
    let methods = proptest::sample::select(vec![
        "GET", "POST", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT",
        "get", "PROPFIND",
    ]);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 5000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let journal = rig.world.journal(Target::Amp);
    let result = runner.run(&(methods, targets()), |(method, target)| {
        let target = target.replace("ID", id);
        let before = journal.total();
        let status = runtime.block_on(raw(&rig.host, method, &target));
        let came = usize::try_from(journal.total() - before).unwrap();
        let seen: Vec<_> = journal.requests().into_iter().rev().take(came).collect();
        for seen in &seen {
            prop_assert!(
                may_be_sent(id, seen.method.as_str(), &seen.path),
                "{method} {target} was sent as {} {}",
                seen.method,
                seen.path
            );
            prop_assert_ne!(&seen.headers["host"], "169.254.169.254");
        }
        // Behind it may be a sender that takes this port for a proxy, which must keep its batch.
        let is_tunnel = method == "CONNECT" && status == 503;
        prop_assert!(
            came > 0 || (400..500).contains(&status) || status == 0 || is_tunnel,
            "{method} {target}: {status}"
        );
        Ok(())
    });
    result.unwrap();
    let total = journal.total();
    println!("{total} requests reached AMP");
    assert!(
        total > 120,
        "only {total} were on the list, which proves little"
    );
}
