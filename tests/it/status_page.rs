//! The status page in a real browser, with a real sidecar.

use std::time::Duration;

use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;
use serde_json::json;

use crate::bodies;
use crate::chromium::Browser;
use crate::rig::{Rig, V1};

pub const SOON: Duration = Duration::from_secs(20);

pub const LEVEL: &str = "document.querySelector('.verdict')?.dataset.level";

/// As many as the page reports as stored.
async fn stored(browser: &Browser) -> u64 {
    let script = "[...document.querySelectorAll('.tally tr')].find(row => row.innerText.includes('AMP accepted it'))?.querySelector('.number').innerText.replaceAll(',', '') ?? '0'";
    let text = browser.eval(script).await;
    text.as_str().unwrap().parse().unwrap()
}

/// A sender that writes until it is dropped, and retries what was not stored.
pub struct Sending(tokio::task::JoinHandle<()>);

impl Sending {
    pub fn to(url: &str) -> Self {
        let url = url.to_owned();
        Self(tokio::spawn(async move {
            let client = crate::rig::client();
            for n in 0.. {
                let batch = bodies::v1(&format!("up_{n}"), 100);
                let request = client.post(&url).header("content-encoding", "snappy");
                let request = request.header("user-agent", "Prometheus/3.5.0");
                let request = request.header("content-type", V1).body(batch.body);
                let _sent = request.send().await;
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        }))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One browser for all, because its start takes long.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_what_flows_what_fails_and_what_to_do() {
    let (rig, browser) = tokio::join!(Rig::start(), Browser::start());
    rig.until_ready().await;
    browser.look(1200, 900, 1.0, false).await;
    let page = format!(
        "http://localhost:{}/",
        rig.admin_host.rsplit_once(':').unwrap().1
    );
    browser.open(&page).await;
    browser.until(&format!("{LEVEL} === 'idle'"), SOON).await;
    let idle = browser.text(".verdict").await;
    assert!(idle.contains("no sender writes"), "{idle}");
    assert!(idle.contains("/api/v1/remote_write"), "{idle}");

    // Data flows, and the counts increase.
    let sending = Sending::to(&format!("http://{}/api/v1/write", rig.host));
    browser.until(&format!("{LEVEL} === 'flowing'"), SOON).await;
    let before = stored(&browser).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(stored(&browser).await > before, "the counts stand still");
    let answers = browser.text(".answers").await;
    let arn = rig.world.role_arn().to_owned();
    let role = arn.rsplit('/').next().unwrap();
    for expected in [role, "account 123456789012", "samples/s", "none"] {
        assert!(answers.contains(expected), "{expected} is not in {answers}");
    }
    let chain = browser.text(".chain").await;
    let assumed = format!("assumed-role/{role}/");
    for expected in [
        rig.world.issuer_url(),
        "system:serviceaccount:",
        &arn,
        &assumed,
    ] {
        assert!(chain.contains(expected), "{expected} is not in {chain}");
    }
    let dots = "[...document.querySelectorAll('.chain > li')].map(dot => dot.className)";
    assert_eq!(browser.eval(dots).await, json!(["", "", "", ""]));
    countdown_runs(&browser).await;
    let senders = browser.text(".senders").await;
    for expected in ["127.0.0.1", "/api/v1/write", "1.0"] {
        assert!(senders.contains(expected), "{expected} is not in {senders}");
    }

    // A failure: the headline, the incident and its remedy.
    let failing = FaultKind::answer(503, r#"{"message":"planted trouble"}"#);
    rig.world.faults(Target::Amp).set([Fault::new(failing)]);
    browser.until(&format!("{LEVEL} === 'stopped'"), SOON).await;
    let headline = browser.text(".verdict").await;
    for expected in ["Nothing flows", "planted trouble", "What to do:"] {
        assert!(
            headline.contains(expected),
            "{expected} is not in {headline}"
        );
    }
    let fault = browser.text("[data-incident=amp_failing].open").await;
    assert!(
        fault.contains("What to do:") && fault.contains("planted"),
        "{fault}"
    );
    // The steps to the credentials work, AMP does not.
    assert_eq!(browser.eval(dots).await, json!(["", "", "", "broken"]));
    let workspace = browser.text(".chain > li:last-child").await;
    assert!(workspace.contains("amp failing since"), "{workspace}");
    every_width_fits(&browser).await;

    // The end of the failure.
    rig.world.faults(Target::Amp).clear();
    browser.until(&format!("{LEVEL} === 'flowing'"), SOON).await;
    browser
        .until(
            "!!document.querySelector('[data-incident=amp_failing]:not(.open)')",
            SOON,
        )
        .await;

    assert_eq!(browser.console().await, [""; 0], "the console has no line");
    markup_stays_text(&rig, &browser).await;
    the_policy_holds(&browser).await;

    // When the sidecar is gone, the page says so.
    drop(sending);
    drop(rig);
    browser
        .until(
            "document.getElementById('gone').innerText.includes('has not answered')",
            SOON,
        )
        .await;
}

async fn countdown_runs(browser: &Browser) {
    let left = "document.querySelector('.answers [data-left]').innerText";
    let first = browser.eval(left).await;
    browser
        .until(&format!("{left} !== {first}"), Duration::from_secs(3))
        .await;
}

/// No horizontal scrolling on any screen, and each colour scheme has its own colours.
async fn every_width_fits(browser: &Browser) {
    let mut papers = Vec::new();
    for (width, dark) in [(360, false), (360, true), (800, false), (1200, true)] {
        browser.look(width, 740, 1.0, dark).await;
        let wide = browser
            .eval("[document.documentElement.scrollWidth, innerWidth]")
            .await;
        assert_eq!(wide, json!([width, width]));
        papers.push(
            browser
                .eval("getComputedStyle(document.body).backgroundColor")
                .await,
        );
    }
    assert_eq!(papers[0], papers[2]);
    assert_eq!(papers[1], papers[3]);
    assert_ne!(papers[0], papers[1], "dark is as light");
}

/// AMP's message is shown unchanged.
async fn markup_stays_text(rig: &Rig, browser: &Browser) {
    let markup = "<img src=x onerror=alert(1)><b>bold</b>";
    let said = format!(r#"{{"message":"{markup}"}}"#);
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::answer(422, &said)).times(1)]);
    let shown = format!("document.body.innerText.includes({markup:?})");
    browser.until(&shown, SOON).await;
    assert_eq!(browser.eval("document.images.length").await, 0);
}

/// Proves that the console shows violations.
async fn the_policy_holds(browser: &Browser) {
    browser.eval("(document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' })), document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:1/x.png' })))").await;
    assert_eq!(browser.eval("window.ran === 1").await, false);
    let console = browser.console().await.concat();
    for forbidden in ["script-src", "img-src"] {
        assert!(console.contains(forbidden), "{console}");
    }
}
