//! The pictures of `docs/status.md`: light and dark, on a desktop and on a phone, healthy, failing, and with several workspaces.
//!
//! The same scenes are drawn twice: in each run of the tests quickly, to see that they can be, and by hand for the docs, with five
//! minutes of traffic in the plots:
//!
//! `cargo nextest run -p amp-sidecar --test it --run-ignored only pictures_of_the_page`
//!
//! Debian's `fonts-inter` makes them look as they do.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;
use serde_json::{Value, json};

use crate::bodies;
use crate::chromium::Browser;
use crate::multi_workspace::{FIRST, Pair, SECOND};
use crate::rig::Rig;
use crate::status_page::{LEVEL, SOON, Sending};

/// Name, width, height, scale, and whether it is dark.
type Screen = (&'static str, u32, u32, f64, bool);

const HEALTHY: [Screen; 2] = [
    ("desktop-light", 1200, 1010, 1.0, false),
    ("phone-dark", 390, 844, 2.0, true),
];
const FAILING: [Screen; 2] = [
    ("desktop-dark-fault", 1200, 1010, 1.0, true),
    ("phone-light-fault", 390, 844, 2.0, false),
];
const SEVERAL: [Screen; 2] = [
    ("desktop-light-several", 1200, 1010, 1.0, false),
    ("phone-dark-several", 390, 844, 2.0, true),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it draws the pictures of the docs, which takes six minutes"]
async fn pictures_of_the_page() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status");
    draw(Path::new(folder), Duration::from_secs(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_picture_can_be_drawn() {
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/pictures"));
    // Of an earlier run.
    let _gone = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).unwrap();
    draw(folder, Duration::from_secs(5)).await;
    let drawn = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(drawn, HEALTHY.len() + FAILING.len() + SEVERAL.len());
}

/// Draws all of them after this much traffic.
async fn draw(folder: &Path, traffic: Duration) {
    let (healthy, failing, pair, browser) =
        tokio::join!(Rig::start(), Rig::start(), Pair::start(), Browser::start());
    healthy.until_ready().await;
    failing.until_ready().await;
    let _sending = [
        Sending::to(&format!("http://{}/api/v1/write", healthy.host)),
        Sending::to(&format!("http://{}/api/v1/write", failing.host)),
        Sending::to(&format!("http://{}{FIRST}", pair.host)),
        Sending::to(&format!("http://{}{SECOND}", pair.host)),
    ];
    let throttled = FaultKind::answer(429, r#"{"message":"Rate exceeded"}"#);
    let mut throttled = Fault::new(throttled).lasting(traffic / 10);
    throttled.after = traffic / 2;
    healthy.world.faults(Target::Amp).set([throttled]);
    tokio::time::sleep(traffic).await;

    let hours = 2 * 60 * 60 * 1000;
    let old = bodies::v1_at("node_cpu_seconds_total", 3, bodies::now_ms() - hours);
    failing.write(&old).await;
    let ours = "us-east-1:123456789012:workspace/ws-12345678-abcd-1234-abcd-123456789012";
    failing.world.faults(Target::Amp).set([denied(ours)]);
    let second = "us-west-2:123456789012:workspace/ws-second";
    pair.second.faults(Target::Amp).set([denied(second)]);
    // Until the plots show it, too.
    tokio::time::sleep(traffic / 7).await;

    for (admin, level, screens) in [
        (&healthy.admin_host, "flowing", HEALTHY),
        (&failing.admin_host, "stopped", FAILING),
        (&pair.admin, "stopped", SEVERAL),
    ] {
        for screen in screens {
            let page = format!("http://{admin}/");
            let picture = picture(&browser, &page, level, screen).await;
            std::fs::write(folder.join(format!("{}.webp", screen.0)), picture).unwrap();
        }
    }
}

fn denied(workspace: &str) -> Fault {
    let message = format!(
        "User: arn:aws:sts::123456789012:assumed-role/amp-sidecar-writer/amp-sidecar is not authorized to perform: aps:RemoteWrite on resource: arn:aws:aps:{workspace}"
    );
    let body = json!({ "Message": message }).to_string();
    Fault::new(FaultKind::answer(403, body))
}

async fn picture(browser: &Browser, page: &str, level: &str, screen: Screen) -> Vec<u8> {
    let (name, width, height, scale, dark) = screen;
    browser.look(width, height, scale, dark).await;
    browser.open(page).await;
    let shows = format!("{LEVEL} === '{level}' && !!document.querySelector('.plots')");
    browser.until(&shows, SOON).await;
    let picture = json!({ "format": "webp", "quality": 82 });
    let picture: Value = browser.devtools("Page.captureScreenshot", picture).await;
    let engine = base64::engine::general_purpose::STANDARD;
    let bytes = engine.decode(picture["data"].as_str().unwrap()).unwrap();
    // One colour, or an empty page, is a tenth of it.
    let size = bytes.len();
    assert!((20_000..200_000).contains(&size), "{name}: {size} bytes");
    bytes
}
