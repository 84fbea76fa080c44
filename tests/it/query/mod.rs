//! Queries through the sidecar: a real Prometheus is the store behind the emulator's AMP.

mod alertmanager;
mod answers;
mod bounds;
mod closed_list;
mod grafana;
mod promtool;
mod refusals;
mod storage;

use std::collections::HashMap;
use std::time::Duration;

use emulator::amp::AmpConfig;
use emulator::world::WorldConfig;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::rig::{Rig, client, text};
use storage::Storage;

const FORM: &str = "application/x-www-form-urlencoded";

/// A world whose AMP answers from `storage`, to a role that may query.
fn world_before(storage: &Storage) -> WorldConfig {
    WorldConfig {
        role_may_query: true,
        amp: AmpConfig {
            forward_to: Some(storage.write_url()),
            ..AmpConfig::default()
        },
        ..WorldConfig::default()
    }
}

/// A sidecar with queries on, and its store.
async fn start(more: &[(&str, &str)]) -> (Storage, Rig) {
    let storage = Storage::start().await;
    let rig = Rig::start_in(world_before(&storage), &with_reading(more)).await;
    rig.until_ready().await;
    (storage, rig)
}

fn with_reading<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut settings = vec![("allow-query", "true")];
    settings.extend(more);
    settings
}

async fn get(rig: &Rig, path: &str) -> Response {
    let url = format!("http://{}{path}", rig.host);
    client().get(url).send().await.unwrap()
}

async fn post(rig: &Rig, path: &str, form: &str) -> Response {
    let request = client().post(format!("http://{}{path}", rig.host));
    let request = request.header("content-type", FORM).body(form.to_owned());
    request.send().await.unwrap()
}

/// The `data` of a successful response.
async fn data(response: Response) -> Value {
    assert_eq!(response.headers()["content-type"], "application/json");
    let status = response.status();
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(
        (status.as_u16(), &body["status"]),
        (200, &"success".into()),
        "{body}"
    );
    body["data"].clone()
}

/// Status, `errorType` and `error` of a failed one.
async fn error(response: Response) -> (u16, String, String) {
    assert_eq!(response.headers()["content-type"], "application/json");
    let status = response.status().as_u16();
    let body: HashMap<String, String> = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["status"], "error", "{body:?}");
    (status, body["errorType"].clone(), body["error"].clone())
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not within 10 s: {what}");
}

const METHODS: [Method; 2] = [Method::GET, Method::POST];
