//! A world, and a sidecar in it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use amp_sidecar::app::reload::{ReloadError, Reloader};
use amp_sidecar::app::{App, Stage};
use amp_sidecar::clock::Clock;
use amp_sidecar::config::{Config, Environment};
use emulator::world::WorldConfig;
use reqwest::{Response, StatusCode};
use testbench::peers::metrics::Metrics;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bodies::Batch;
use crate::leak_check::{self, World};

pub const V1: &str = "application/x-protobuf";
pub const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

pub struct Rig {
    pub world: World,
    pub host: String,
    pub admin_host: String,
    pub stage: watch::Sender<Stage>,
    pub sidecar: JoinHandle<()>,
    reloader: Reloader,
    client: reqwest::Client,
}

/// The configuration that points at `world`, with `more` settings by flag.
pub fn config(world: &World, more: &[(&str, &str)]) -> Config {
    config_of(&world.environment().into_iter().collect(), more)
}

/// The configuration of these variables, with `more` settings by flag.
pub fn config_of(env: &HashMap<&str, String>, more: &[(&str, &str)]) -> Config {
    let flags: HashMap<&str, &str> = [("listen", "127.0.0.1:0"), ("admin-listen", "127.0.0.1:0")]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let variable = |name: &str| env.get(name).cloned();
    let around = Environment::of(&variable);
    let config = Config::read(
        &|setting| flags.get(setting.flag).map(|value| (*value).to_owned()),
        &around,
    )
    .unwrap();
    leak_check::show(&format!("{config}\n{config:?}"));
    config
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_in(WorldConfig::default(), &[]).await
    }

    pub async fn start_in(world: WorldConfig, settings: &[(&str, &str)]) -> Self {
        let world = World::start(world).await.unwrap();
        Self::start_beside(world, settings).await
    }

    pub async fn start_beside(world: World, settings: &[(&str, &str)]) -> Self {
        let config = config(&world, settings);
        Self::serve(world, config).await
    }

    pub async fn serve(world: World, config: Config) -> Self {
        let app = App::start(config, Clock::system()).await.unwrap();
        let host = app.address().unwrap().to_string();
        let admin_host = app.admin_address().unwrap().to_string();
        let reloader = app.reloader();
        let (stage, wanted) = watch::channel(Stage::Serving);
        let sidecar = tokio::spawn(app.run(wanted));
        let client = client();
        Self {
            world,
            host,
            admin_host,
            stage,
            sidecar,
            reloader,
            client,
        }
    }

    pub fn reload(&self, config: Config) -> Result<(), ReloadError> {
        self.reloader.reload(Ok(config))
    }

    /// Sends a body like Prometheus.
    pub async fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> Response {
        self.try_post(path, content_type, body).await.unwrap()
    }

    pub async fn try_post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> reqwest::Result<Response> {
        let request = self
            .client
            .post(format!("http://{}{path}", self.host))
            .body(body);
        let request = request
            .header("content-encoding", "snappy")
            .header("content-type", content_type);
        let version = if content_type == V2 { "2.0.0" } else { "0.1.0" };
        request
            .header("x-prometheus-remote-write-version", version)
            .send()
            .await
            .inspect(|response| leak_check::show(&format!("{:?}", response.headers())))
            .inspect_err(|error| leak_check::show(&error.to_string()))
    }

    pub async fn write(&self, batch: &Batch) -> StatusCode {
        self.post("/api/v1/write", V1, batch.body.clone())
            .await
            .status()
    }

    /// Retries for as long as a sender would keep the batch.
    pub async fn write_until_stored(&self, batch: &Batch, patience: Duration) {
        let started = Instant::now();
        loop {
            match self.write(batch).await.as_u16() {
                200..=299 => return,
                500..=599 => assert!(
                    started.elapsed() < patience,
                    "not stored within {patience:?}"
                ),
                lost => panic!("a sender would have dropped the batch on {lost}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn has_stored(&self, batch: &Batch) -> bool {
        batch
            .samples
            .iter()
            .all(|(labels, at)| self.world.store().contains(labels, *at))
    }

    pub async fn admin(&self, path: &str) -> (StatusCode, String) {
        let response = self
            .client
            .get(format!("http://{}{path}", self.admin_host))
            .send()
            .await
            .unwrap();
        (response.status(), text(response).await)
    }

    /// The sum of a counter's series that have these labels, as `name{label="value"}`. There must be one.
    pub async fn count(&self, selector: &str) -> u64 {
        let (name, labels) = selected(selector);
        self.metrics().await.count(name, &labels).unwrap()
    }

    /// As [`Self::count`], for what is shown from its first event on: `None` where there is none yet.
    pub async fn find_count(&self, selector: &str) -> Option<u64> {
        let (name, labels) = selected(selector);
        self.metrics().await.find_count(name, &labels).unwrap()
    }

    /// The sum of a gauge's series that have these labels. There must be one.
    pub async fn gauge(&self, selector: &str) -> f64 {
        let (name, labels) = selected(selector);
        self.metrics().await.value(name, &labels).unwrap()
    }

    async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").await.1)
    }

    pub async fn until_ready(&self) {
        for _ in 0..400 {
            if self.admin("/readyz").await.0 == StatusCode::OK {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not ready within 10 s: {}", self.admin("/readyz").await.1);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.sidecar.abort();
        // All live objects, including credentials and connections.
        leak_check::show(&format!("{:?}", self.reloader));
    }
}

fn selected(selector: &str) -> (&str, Vec<(&str, &str)>) {
    let (name, labels) = selector.split_once('{').unwrap_or((selector, ""));
    let labels = labels
        .trim_end_matches('}')
        .split_terminator(',')
        .map(|label| label.split_once('=').unwrap())
        .map(|(label, value)| (label, value.trim_matches('"')));
    (name, labels.collect())
}

/// A client with a sender's minimal behaviour.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured(amp_sidecar::net::tls::client(&[]).unwrap())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// The text of a response.
pub async fn text(response: Response) -> String {
    let text = String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap();
    leak_check::show(&text);
    text
}
