//! A malicious page in a real Chromium beside the sidecar: it makes AMP store nothing and reads nothing.
//!
//! The page tries all that a page can. It is opened from another origin; from a host name that is rebound to the sidecar, so that Chromium
//! considers both one origin (DNS rebinding); and, to prove that it works where nothing stops it, from `localhost`.

mod site;

use std::collections::HashMap;
use std::time::Duration;

use emulator::world::{Target, WorldConfig};
use serde_json::{Value, json};
use testbench::peers::process::Process;
use tokio::process::Command;
use tokio::time::timeout;

use crate::bodies::{self, Batch};
use crate::rig::Rig;
use site::{Led, Site};

/// Opens a page with these in frames; dropping it closes the page.
fn chromium(rig: &Rig, url: &str) -> Process {
    let home = rig.world.folder().join("chromium");
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args(["--disable-dev-shm-usage", "--disable-background-networking"])
        .arg("--host-resolver-rules=MAP *.example 127.0.0.1")
        .arg(format!("--user-data-dir={}", home.display()))
        .arg(url);
    let home = ("HOME".to_owned(), home.display().to_string());
    let started = Process::start("chromium", command, &[home]);
    started.expect("chromium is not on the PATH: scripts/test brings it")
}

/// Each page's report, by its name.
async fn reports(site: &mut Site, chromium: &Process, count: usize) -> HashMap<String, Vec<Value>> {
    let mut reports = HashMap::new();
    while reports.len() < count {
        let report = timeout(Duration::from_secs(90), site.reports.recv()).await;
        let Ok(Some(report)) = report else {
            panic!(
                "only {:?} reported: {}",
                reports.keys(),
                chromium.log().last_words()
            );
        };
        let name = report["name"].as_str().unwrap().to_owned();
        reports.insert(name, report["results"].as_array().unwrap().clone());
    }
    reports
}

/// The page read nothing that only the sidecar knows: no metric, no state, no query response.
fn assert_read_nothing(page: &str, results: &[Value]) {
    for result in results {
        let refused = matches!(
            result["status"].as_u64(),
            Some(0 | 400 | 403 | 404 | 415 | 503)
        );
        assert!(refused, "{page}: {result}");
        let text = result["text"].as_str().unwrap();
        for word in ["HELP", "\"status\":\"success\"", "workspace", "ok\n"] {
            assert!(!text.contains(word), "{page}: {result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_somebody_else_writes_and_reads_nothing() {
    let world = WorldConfig {
        role_may_query: true,
        ..WorldConfig::default()
    };
    let rig = Rig::start_in(world, &[("allow-query", "true")]).await;
    rig.until_ready().await;
    let mut site = Site::start().await;
    let (senders, admin) = (Led::to(&rig.host).await, Led::to(&rig.admin_host).await);
    let names = [
        "stranger",
        "rebound-senders",
        "rebound-admin",
        "own-senders",
        "own-admin",
    ];
    let batches: HashMap<&str, Batch> = names
        .into_iter()
        .map(|name| (name, bodies::v1(&name.replace('-', "_"), 1)))
        .collect();
    let page = |name: &str, targets: Value| site.page(name, targets, &batches[name].body);
    let (by_address, by_name) = (rig.host.clone(), rig.host.replace("127.0.0.1", "localhost"));
    let across = json!([
        {"senders": format!("http://{by_address}"), "admin": format!("http://{}", rig.admin_host)},
        {"senders": format!("http://{by_name}")},
    ]);
    site.puts("/stranger", page("stranger", across));
    let same = |what: &str| json!([{what: ""}]);
    senders.puts("/rebound", page("rebound-senders", same("senders")));
    senders.puts("/own", page("own-senders", same("senders")));
    admin.puts("/rebound", page("rebound-admin", same("admin")));
    admin.puts("/own", page("own-admin", same("admin")));
    let frames = [
        format!("http://evil.example:{}/stranger", site.port),
        format!("http://rebound.example:{}/rebound", senders.port),
        format!("http://rebound.example:{}/rebound", admin.port),
        format!("http://localhost:{}/own", senders.port),
        format!("http://localhost:{}/own", admin.port),
    ];
    let frames = frames.map(|url| format!("<iframe src=\"{url}\"></iframe>"));
    site.puts(
        "/start",
        format!("<!doctype html><body>{}", frames.concat()),
    );

    let chromium = chromium(&rig, &format!("http://evil.example:{}/start", site.port));
    let reports = reports(&mut site, &chromium, names.len()).await;

    for name in ["stranger", "rebound-senders"] {
        assert!(!rig.has_stored(&batches[name]), "{name} wrote");
    }
    let seen = rig.world.journal(Target::Amp).requests();
    let asked = |name: &str| seen.iter().any(|seen| seen.path.contains(name));
    assert!(!asked("stranger") && !asked("rebound"), "{seen:?}");
    assert_read_nothing("stranger", &reports["stranger"]);
    assert_read_nothing("rebound-senders", &reports["rebound-senders"]);
    assert_read_nothing("rebound-admin", &reports["rebound-admin"]);
    let refused = rig
        .count(r#"amp_sidecar_batches_total{outcome="cross_origin"}"#)
        .await;
    assert!(refused >= 8, "only {refused} came as far as to be refused");

    // The same page on our own origin works: so it was not a fault of the page that stopped the others.
    assert!(rig.has_stored(&batches["own-senders"]));
    assert!(asked("own-senders"), "{seen:?}");
    let own = &reports["own-admin"];
    let read = |result: &Value| result["text"].as_str().unwrap().contains("# HELP");
    assert!(own.iter().any(read), "{own:?}");
}
