//! How far behind a workspace is, and `/caught-up`, which a hook of Prometheus' container waits for.

use std::time::{Duration, Instant};

use amp_sidecar::app::Stage;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;
use reqwest::{Method, StatusCode};

use crate::bodies;
use crate::rig::Rig;

const NEWEST: &str = "amp_sidecar_newest_stored_sample_timestamp_seconds";
const HELD: &str = "amp_sidecar_oldest_held_sample_timestamp_seconds";
const SUCCESS: &str = "amp_sidecar_last_success_timestamp_seconds";

async fn started(settings: &[(&str, &str)]) -> Rig {
    let rig = Rig::start_in(Default::default(), settings).await;
    rig.until_ready().await;
    rig
}

fn failing(rig: &Rig) {
    let fault = Fault::new(FaultKind::answer(500, ""));
    rig.world.faults(Target::Amp).set([fault]);
}

fn well(rig: &Rig) {
    rig.world.faults(Target::Amp).set([]);
}

async fn asked(rig: &Rig, within: &str) -> (StatusCode, String, Duration) {
    let began = Instant::now();
    let (status, words) = rig.admin(&format!("/caught-up?within={within}")).await;
    (status, words, began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_at_once_while_data_flows() {
    let rig = started(&[]).await;
    assert_eq!(rig.write(&bodies::v1("up", 3)).await, StatusCode::OK);
    let (status, words, took) = asked(&rig, "30s").await;
    assert_eq!(
        (status, words.as_str()),
        (StatusCode::OK, "caught up: nothing is held back\n")
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_until_what_was_held_back_is_stored_and_samples_are_fresh_again() {
    let rig = started(&[]).await;
    failing(&rig);
    let held = bodies::v1_at("held", 3, bodies::now_ms() - 60_000);
    assert_eq!(rig.write(&held).await, StatusCode::INTERNAL_SERVER_ERROR);
    let (status, words, took) = asked(&rig, "1s").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let why = "1 batch is held back (amp_failing), the oldest sample is 6";
    assert!(
        words.contains(why) && words.contains(rig.world.workspace_id()),
        "{words}"
    );

    let recovery = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        well(&rig);
        let recovered = Instant::now();
        assert_eq!(rig.write(&held).await, StatusCode::OK);
        // Requests never cease, as in a pod whose Prometheus scrapes on.
        for n in 0..60 {
            rig.write(&bodies::v1(&format!("fresh_{n}"), 1)).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        recovered
    };
    let answer = async {
        let (status, words, _) = asked(&rig, "60s").await;
        (status, words, Instant::now())
    };
    let ((status, words, answered), recovered) = tokio::join!(answer, recovery);
    assert_eq!(status, StatusCode::OK, "{words}");
    assert!(answered > recovered + Duration::from_secs(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_cannot_serve_is_said() {
    let rig = started(&[]).await;
    for bad in [
        "?within=60",
        "?within=",
        "?within=-1s",
        "?until=60s",
        "?within=1s&x",
    ] {
        let (status, words) = rig.admin(&format!("/caught-up{bad}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(words.contains("write /caught-up?within=60s"), "{words}");
    }
    for method in [Method::HEAD, Method::DELETE] {
        let url = format!("http://{}/caught-up", rig.admin_host);
        let response = crate::rig::client()
            .request(method, url)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_wait() {
    let rig = started(&[]).await;
    failing(&rig);
    rig.write(&bodies::v1("up", 1)).await;
    let url = format!("http://{}/caught-up?within=5s", rig.admin_host);
    let client = crate::rig::client();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        waiting.spawn(client.get(&url).send());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.admin("/livez").await.0, StatusCode::OK);
    let mut refused = 0;
    while let Some(answer) = waiting.join_next().await {
        let answer = answer.unwrap().unwrap();
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            let words = crate::rig::text(answer).await;
            assert_eq!(words, "16 requests wait here already\n");
            refused += 1;
        } else {
            assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        }
    }
    assert_eq!(refused, 4);
    assert_eq!(asked(&rig, "1ms").await.0, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_drains_while_somebody_waits() {
    let mut rig = started(&[("drain-idle", "200ms")]).await;
    failing(&rig);
    let held = bodies::v1("held", 3);
    rig.write(&held).await;
    rig.stage.send_replace(Stage::Draining);
    let recovery = async {
        // Far longer than it would drain otherwise.
        tokio::time::sleep(Duration::from_secs(3)).await;
        well(&rig);
        rig.write(&held).await
    };
    let ((status, words, _), written) = tokio::join!(asked(&rig, "60s"), recovery);
    assert_eq!(
        (status, written),
        (StatusCode::OK, StatusCode::OK),
        "{words}"
    );
    let answered = Instant::now();
    (&mut rig.sidecar).await.unwrap();
    assert!(answered.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_past_the_end_of_draining() {
    let mut rig = started(&[("drain-timeout", "2s")]).await;
    failing(&rig);
    rig.write(&bodies::v1("held", 3)).await;
    rig.stage.send_replace(Stage::Draining);
    let (status, words, took) = asked(&rig, "60s").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert!(
        words.starts_with("not caught up and the sidecar stops: "),
        "{words}"
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    (&mut rig.sidecar).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_inspection_silence_is_the_sign() {
    let rig = started(&[("inspect", "off")]).await;
    assert_eq!(rig.write(&bodies::v1("up", 3)).await, StatusCode::OK);
    let (status, words, _) = asked(&rig, "1s").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert!(
        words.contains("the age of their samples is not known"),
        "{words}"
    );
    assert_eq!(asked(&rig, "60s").await.0, StatusCode::OK);
    let (_, metrics) = rig.admin("/metrics").await;
    for absent in [NEWEST, HELD] {
        assert!(!metrics.contains(&format!("{absent}{{")), "{absent}");
    }
    assert!(rig.gauge(SUCCESS).await > 1e9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_at_the_wrong_address_has_not_caught_up() {
    let rig = started(&[]).await;
    assert_eq!(rig.write(&bodies::v1("up", 3)).await, StatusCode::OK);
    let lost = bodies::v1("lost", 3).body;
    rig.post("/api/v1/wrong", crate::rig::V1, lost).await;
    let (status, words, _) = asked(&rig, "1s").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert!(words.contains("/api/v1/wrong"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_status_say_how_far_behind() {
    let rig = started(&[]).await;
    let (_, metrics) = rig.admin("/metrics").await;
    assert!(
        !metrics.contains(&format!("{NEWEST}{{")) && !metrics.contains(&format!("{SUCCESS}{{"))
    );
    assert_eq!(rig.gauge(HELD).await, 0.0);

    let now = bodies::now_ms();
    let seconds = |millis: i64| millis as f64 / 1000.0;
    let (stored, held) = (
        bodies::v1_at("a", 3, now - 1500),
        bodies::v1_at("b", 3, now - 50 * 60_000),
    );
    assert_eq!(rig.write(&stored).await, StatusCode::OK);
    failing(&rig);
    rig.write(&held).await;
    assert!((rig.gauge(NEWEST).await - seconds(now - 1500)).abs() < 0.01);
    assert!((rig.gauge(HELD).await - seconds(now - 50 * 60_000)).abs() < 0.01);
    assert!((rig.gauge(SUCCESS).await - seconds(now)).abs() < 30.0);
    assert_eq!(
        rig.count("amp_sidecar_stored_sample_age_seconds_count")
            .await,
        1
    );

    let (_, status) = rig.admin("/status.json").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let lag = &status["workspaces"][0]["lag"];
    assert_eq!(lag["held_batches"], 1);
    let behind = lag["behind_seconds"].as_u64().unwrap();
    assert!((3000..3030).contains(&behind), "{lag}");
    let left = lag["lost_from"]["in_seconds"].as_i64().unwrap();
    assert!((570..=600).contains(&left), "{lag}");
    let words = lag["words"].as_str().unwrap();
    assert!(
        words.starts_with("current data is stored, but samples that are 50 min old are held back; samples older than 1 h are lost from "),
        "{words}"
    );
    let incident = &status["incidents"][0];
    let named = status["incidents"].as_array().unwrap().iter();
    assert!(
        named.clone().any(|one| one["kind"] == "near_loss"),
        "{incident}"
    );
    let (ready, why) = rig.admin("/readyz").await;
    assert_eq!(ready, StatusCode::OK);
    assert!(why.starts_with("ok") && why.contains(words), "{why}");

    well(&rig);
    assert_eq!(rig.write(&held).await, StatusCode::OK);
    assert_eq!(rig.gauge(HELD).await, 0.0);
    assert!(
        (rig.gauge(NEWEST).await - seconds(now - 1500)).abs() < 0.01,
        "the newest one"
    );
}
