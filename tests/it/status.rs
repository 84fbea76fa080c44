//! `/status.json` of a real sidecar, and that `docs/status.md` documents all of it.

use std::collections::BTreeSet;
use std::time::Duration;

use emulator::anywhere::AnywhereConfig;
use emulator::entra::{EntraConfig, TokenVersion};
use emulator::fault::{Fault, FaultKind};
use emulator::issuer::BrokenToken;
use emulator::world::{Target, WorldConfig};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bodies;
use crate::rig::Rig;

const DOCUMENT: &str = include_str!("../../docs/status.md");
const PAGE: &str = concat!(
    include_str!("../../src/admin/page/status.html"),
    include_str!("../../src/admin/page/status.css"),
    include_str!("../../src/admin/page/status.js"),
);

/// Objects that occur in several places, by fields that only they have.
const SHAPES: [(&str, &[&str]); 4] = [
    ("moment", &["at", "in_seconds"]),
    ("state", &["level", "headline"]),
    ("claims", &["issuer", "audiences"]),
    ("outcome", &["outcome", "fate"]),
];

async fn status(rig: &Rig) -> Value {
    let (code, text) = rig.admin("/status.json").await;
    assert_eq!(code, StatusCode::OK);
    serde_json::from_str(&text).unwrap()
}

/// Waits until the only workspace's state has this level.
async fn until_level(rig: &Rig, level: &str) -> Value {
    for _ in 0..300 {
        let seen = status(rig).await;
        if seen["state"]["level"] == level {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not {level} within 15 s: {}", status(rig).await["state"]);
}

/// The path of every field; those of shapes under the shape's name.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let is = |marks: &&[&str]| marks.iter().all(|mark| object.contains_key(*mark));
            let shape = SHAPES.iter().find(|(_, marks)| is(marks));
            if shape.is_some() {
                found.insert(path.to_owned());
            }
            let path = shape.map_or(path.to_owned(), |(name, _)| format!("<{name}>"));
            for (key, value) in object {
                let below = [path.as_str(), key].join(".");
                fields(value, below.trim_start_matches('.'), found);
            }
        }
        Value::Array(values) => {
            let path = format!("{path}[]");
            found.insert(path.clone());
            for value in values.iter().filter(|value| !value.is_null()) {
                if value.is_object() {
                    found.remove(&path);
                }
                fields(value, &path, found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

fn documented() -> BTreeSet<String> {
    let rows = DOCUMENT.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("| `")?.split_once('`')?;
        Some(name.to_owned())
    });
    rows.collect()
}

/// A sidecar through Entra ID and one with two roles, each of which has stored, was refused and is failing.
async fn eventful() -> [Rig; 2] {
    let entra = WorldConfig::through_entra(EntraConfig::new(TokenVersion::V2));
    let chain = WorldConfig::default().two_hops("an-external-id");
    let (entra, chain) = tokio::join!(Rig::start_in(entra, &[]), Rig::start_in(chain, &[]));
    for rig in [&entra, &chain] {
        rig.until_ready().await;
        assert_eq!(rig.write(&bodies::v1("up", 5)).await, StatusCode::OK);
        let old = bodies::v1_at("old", 3, bodies::now_ms() - 2 * 60 * 60 * 1000);
        assert_eq!(rig.write(&old).await, StatusCode::BAD_REQUEST);
        let refused = &status(rig).await["workspaces"][0]["refused_series"];
        assert_eq!(
            (&refused[0]["name"], &refused[0]["count"]),
            (&json!("old"), &json!(1))
        );
        rig.post("/nowhere", crate::rig::V1, Vec::new()).await;
        rig.world
            .faults(Target::Amp)
            .set([Fault::new(FaultKind::answer(429, "{\"message\":\"Rate exceeded\"}")).times(1)]);
        rig.write(&bodies::v1("up", 3)).await;
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    [entra, chain]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_is_documented_and_every_documented_one_is_there() {
    let rigs = eventful().await;
    let mut found = BTreeSet::new();
    // What is null as long as all is well.
    let well = Rig::start().await;
    fields(&status(&well).await["state"], "state", &mut found);
    let certified = WorldConfig::through_roles_anywhere(AnywhereConfig::default());
    let certified = Rig::start_in(certified, &[]).await;
    certified.until_ready().await;
    for rig in &rigs {
        fields(&status(rig).await, "", &mut found);
    }
    let identity = &status(&certified).await["workspaces"][0]["identity"];
    fields(identity, "workspaces[].identity", &mut found);
    // A null in one response is an object in another, so a shape's place is not a plain field.
    assert_eq!(found, documented());
    let text = status(&rigs[1]).await.to_string();
    assert!(text.contains("external-id=[withheld]") && !text.contains("an-external-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_who_this_is_and_how_much_flows() {
    let rig = Rig::start_in(Default::default(), &[("role-session-name", "pod.ns")]).await;
    rig.until_ready().await;
    assert_eq!(status(&rig).await["state"]["level"], "idle");
    for n in 0..4 {
        rig.write(&bodies::v1(&format!("up_{n}"), 25)).await;
    }
    let seen = until_level(&rig, "flowing").await;
    let workspace = &seen["workspaces"][0];
    let identity = &workspace["identity"];
    assert_eq!(identity["token"]["issuer"], rig.world.issuer_url());
    assert_eq!(identity["token"]["audiences"], json!(["sts.amazonaws.com"]));
    assert_eq!(identity["roles"][0]["role_arn"], rig.world.role_arn());
    let arn = rig.world.role_arn().replace(":iam:", ":sts:");
    let arn = arn.replace(":role/", ":assumed-role/");
    let assumed = &identity["roles"][0]["assumed_role_arn"];
    assert_eq!(*assumed, format!("{arn}/pod.ns"));

    let credentials = &identity["credentials"];
    let seconds = |moment: &Value| moment["in_seconds"].as_i64().unwrap();
    let left = seconds(&credentials["expires"]);
    assert!((3500..=3600).contains(&left), "{credentials}");
    let due = seconds(&credentials["refresh"]["due"]);
    assert!(
        (left / 2 - 300..left / 2 + 300).contains(&due),
        "{credentials}"
    );

    assert_eq!(workspace["flow"]["stored_samples"], 100);
    let outcomes = json!([{
        "outcome": "stored", "batches": 4, "fate": "stored", "meaning": "AMP accepted it",
        "response": "AMP's 2xx, with what AMP says it wrote",
    }]);
    assert_eq!(workspace["outcomes"], outcomes);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let steps = &status(&rig).await["workspaces"][0]["flow"];
    let of = |name: &str| {
        let steps = steps[name].as_array().unwrap();
        steps.iter().filter_map(Value::as_f64).sum::<f64>()
    };
    assert!(of("stored_samples_per_second") > 1.0, "{steps}");
    assert!(of("sent_bytes_per_second") > 1.0 && of("mean_seconds") > 0.0);
    assert!(of("p99_seconds") >= of("p50_seconds") && of("p50_seconds") > 0.0);
    let senders = workspace["senders"].as_array().unwrap();
    let of = |field: &str| &senders[0][field];
    assert_eq!((senders.len(), of("requests")), (1, &json!(4)));
    assert_eq!(
        (of("peer"), of("remote_write_version")),
        (&json!("127.0.0.1"), &json!("1.0"))
    );
    assert_eq!(workspace["refused_series"], json!([]));

    let settings = seen["configuration"][1]["settings"].as_array().unwrap();
    let setting = |flag: &str| settings.iter().find(|row| row["flag"] == flag).unwrap();
    assert_eq!(setting("role-session-name")["from"], "--role-session-name");
    assert_eq!(setting("role-arn")["from"], "AWS_ROLE_ARN");
    assert_eq!(setting("inspect")["from"], "default");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_the_headline_with_its_remedy_and_then_ends() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    rig.write(&bodies::v1("up", 5)).await;
    let denied = r#"{"Message":"User: arn:aws:sts::1:assumed-role/a/s is not authorized to perform: aps:RemoteWrite on resource: arn"}"#;
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::answer(403, denied)).times(40)]);
    for n in 0..8 {
        rig.write(&bodies::v1(&format!("down_{n}"), 5)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seen = status(&rig).await;
    assert_ne!(seen["state"]["level"], "flowing");
    let remedy = seen["state"]["remedy"].as_str().unwrap();
    assert!(remedy.contains("policy"), "{}", seen["state"]);
    let fault = &seen["incidents"][0];
    assert_eq!(
        (&fault["kind"], &fault["ended"]),
        (&json!("access_denied"), &Value::Null)
    );
    assert_eq!(fault["remedy"], remedy);
    assert_eq!(fault["about"], "batches");
    let not_stored = &seen["state"]["not_stored"];
    assert_eq!(not_stored["outcome"], "access_denied");
    assert_eq!(not_stored["refused_by_amp"], true);
    let since = not_stored["since"]["at"].as_str().unwrap();
    assert_eq!(since, fault["began"]["at"]);
    let time = &since[11..19];
    let why = seen["state"]["why"].as_str().unwrap();
    let line = format!(
        "ok, but AMP refuses: access_denied since {time}\nreason: {why}\nwhat to do: {remedy}\n"
    );
    assert_eq!(rig.admin("/readyz").await, (StatusCode::OK, line));
    assert!(fault["count"].as_u64().unwrap() >= 8, "{fault}");

    rig.world.faults(Target::Amp).clear();
    tokio::time::sleep(Duration::from_millis(5500)).await;
    rig.write(&bodies::v1("again", 5)).await;
    let over = status(&rig).await["incidents"][0].clone();
    assert!(!over["ended"].is_null());
    let lasted = over["duration_seconds"].as_f64().unwrap();
    assert!((0.7..30.0).contains(&lasted), "{over}");
    assert_eq!(rig.admin("/readyz").await.1, "ok\n");
    let state = status(&rig).await["state"].clone();
    assert_eq!(state["level"], "flowing", "{state}");
    assert_eq!(state["not_stored"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_token_is_why_nothing_flows() {
    let world = crate::leak_check::World::start(WorldConfig::default())
        .await
        .unwrap();
    world.break_token(BrokenToken::WrongAudience).unwrap();
    let rig = Rig::start_beside(world, &[]).await;
    let seen = until_level(&rig, "stopped").await;
    let state = &seen["state"];
    let (why, remedy) = (
        state["why"].as_str().unwrap(),
        state["remedy"].as_str().unwrap(),
    );
    assert!(why.contains("InvalidIdentityToken"), "{state}");
    assert!(remedy.contains("OIDC provider"), "{state}");
    let identity = &seen["workspaces"][0]["identity"];
    assert!(identity["token"]["audiences"][0] != "sts.amazonaws.com");
    assert_eq!(identity["roles"][0]["assumed_role_arn"], Value::Null);
    assert_eq!(identity["credentials"]["usable"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_port_changes_nothing_and_is_for_no_other_page() {
    let rig = Rig::start().await;
    let client = crate::rig::client();
    let url = |path: &str| format!("http://{}{path}", rig.admin_host);
    let paths = [
        "/",
        "/status.css",
        "/status.js",
        "/icon.svg",
        "/docs/status.md",
        "/docs/runbooks.md",
        "/status.json",
        "/metrics",
        "/livez",
    ];
    for path in paths {
        let response = client.get(url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "connect-src 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let response = client.request(method, url(path)).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(response.headers()["allow"], "GET, HEAD");
        }
        let head = client.head(url(path)).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(rig.admin("/status.html").await.0, StatusCode::NOT_FOUND);
}

/// The page requests only its own files, and text from outside cannot become markup.
#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let outside = PAGE.replace("http://www.w3.org/2000/svg", "");
    for word in [
        "http://",
        "https://",
        "//cdn",
        "@import",
        "url(",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        " style=",
    ] {
        assert!(!outside.contains(word), "{word}");
    }
    assert!(PAGE.contains("<noscript>") && PAGE.contains("href=\"status.json\""));
    assert!(PAGE.len() < 40_000, "{} bytes", PAGE.len());
}
