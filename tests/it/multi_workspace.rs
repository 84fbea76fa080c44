//! Several workspaces in one sidecar, and reloads of the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amp_sidecar::app::reload::{ReloadError, Reloader};
use amp_sidecar::app::{App, Stage};
use amp_sidecar::clock::Clock;
use amp_sidecar::config::{Config, Environment, InvalidConfig};
use emulator::amp::AmpConfig;
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;
use tempfile::TempDir;
use testbench::peers::metrics::Metrics;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::bodies::{self, Batch};
use crate::leak_check::World;
use crate::rig::{self, V1};

/// Two independent worlds, and one sidecar for both.
pub struct Pair {
    pub first: World,
    pub second: World,
    folder: TempDir,
    client: reqwest::Client,
    pub host: String,
    pub admin: String,
    reloader: Reloader,
    _stage: watch::Sender<Stage>,
    running: JoinHandle<()>,
}

async fn world(region: &str, id: &str) -> World {
    World::start(WorldConfig {
        amp: AmpConfig {
            region: region.to_owned(),
            workspace_id: id.to_owned(),
            ..AmpConfig::default()
        },
        ..WorldConfig::default()
    })
    .await
    .unwrap()
}

/// An entry of the file for one world.
fn entry(name: &str, world: &World) -> String {
    format!(
        "  - name: {name}\n    region: {}\n    remote_write_url: {}\n    role_arn: {}\n    sts_endpoint: {}\n    web_identity_token_file: {}\n",
        world.region(),
        world.amp_url(),
        world.role_arn(),
        world.sts_url(),
        world.token_file().display()
    )
}

fn read(file: &Path) -> Result<Config, InvalidConfig> {
    let variable = |_: &str| None;
    let around = Environment::of(&variable);
    let flag = |flag: &str| match flag {
        "listen" | "admin-listen" => Some("127.0.0.1:0".to_owned()),
        "config" => Some(file.display().to_string()),
        _ => None,
    };
    Config::read(&|setting| flag(setting.flag), &around)
}

fn file_of(folder: &TempDir) -> PathBuf {
    folder.path().join("config.yaml")
}

fn write(folder: &TempDir, entries: &[String]) {
    let text = format!(
        "# Both worlds have a certificate authority of their own.\nca_bundle: {}\nworkspaces:\n{}",
        folder.path().join("ca.pem").display(),
        entries.concat()
    );
    // Atomically, by a rename, like kubelet.
    let new = folder.path().join("new.yaml");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file_of(folder)).unwrap();
}

impl Pair {
    pub async fn start() -> Self {
        let first = world("eu-central-1", "ws-first").await;
        let second = world("us-west-2", "ws-second").await;
        let folder = tempfile::tempdir().unwrap();
        let roots =
            [&first, &second].map(|world| std::fs::read_to_string(world.ca_file()).unwrap());
        std::fs::write(folder.path().join("ca.pem"), roots.concat()).unwrap();
        write(&folder, &[entry("first", &first), entry("second", &second)]);

        let config = read(&file_of(&folder)).unwrap();
        let app = App::start(config, Clock::system()).await.unwrap();
        let (stage, wanted) = watch::channel(Stage::Serving);
        Self {
            first,
            second,
            folder,
            client: rig::client(),
            host: app.address().unwrap().to_string(),
            admin: app.admin_address().unwrap().to_string(),
            reloader: app.reloader(),
            _stage: stage,
            running: tokio::spawn(app.run(wanted)),
        }
    }

    fn write(&self, entries: &[String]) {
        write(&self.folder, entries);
    }

    fn reload(&self) -> Result<(), ReloadError> {
        self.reloader.reload(read(&file_of(&self.folder)))
    }

    async fn post(&self, path: &str, batch: &Batch) -> (StatusCode, String) {
        let response = self
            .client
            .post(format!("http://{}{path}", self.host))
            .header("content-encoding", "snappy")
            .header("content-type", V1)
            .body(batch.body.clone())
            .send()
            .await
            .unwrap();
        (response.status(), rig::text(response).await)
    }

    /// Retries for as long as a sender would keep the batch.
    async fn store(&self, path: &str, batch: &Batch) {
        for _ in 0..200 {
            match self.post(path, batch).await {
                (status, _) if status.is_success() => return,
                (status, why) => assert!(status.is_server_error(), "lost: {status} {why}"),
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not stored");
    }

    async fn admin(&self, path: &str) -> (StatusCode, String) {
        let url = format!("http://{}{path}", self.admin);
        let response = self.client.get(url).send().await.unwrap();
        (response.status(), rig::text(response).await)
    }

    async fn find_count(&self, name: &str, label: &str, value: &str) -> Option<u64> {
        let metrics = Metrics::parse(&self.admin("/metrics").await.1);
        metrics.find_count(name, &[(label, value)]).unwrap()
    }

    async fn reload_was_successful(&self) -> bool {
        let metrics = Metrics::parse(&self.admin("/metrics").await.1);
        metrics.count("amp_sidecar_config_last_reload_successful", &[]) == Ok(1)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn has(world: &World, batch: &Batch) -> bool {
    let mut samples = batch.samples.iter();
    samples.all(|(labels, at)| world.store().contains(labels, *at))
}

pub const FIRST: &str = "/workspaces/first/api/v1/remote_write";
pub const SECOND: &str = "/workspaces/ws-second/api/v1/remote_write";

#[tokio::test(flavor = "multi_thread")]
async fn a_path_names_the_workspace_by_name_or_id() {
    let pair = Pair::start().await;
    let (one, two) = (bodies::v1("one", 3), bodies::v1("two", 3));
    pair.store(FIRST, &one).await;
    pair.store(SECOND, &two).await;
    assert!(has(&pair.first, &one) && !has(&pair.first, &two));
    assert!(has(&pair.second, &two) && !has(&pair.second, &one));

    // The workspace is ambiguous: the sender keeps the batch and gets the possible URLs.
    let (status, why) = pair.post("/api/v1/write", &one).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(why.contains("first, second"), "{why}");
    let (status, why) = pair
        .post("/workspaces/ws-third/api/v1/remote_write", &one)
        .await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let right = "/workspaces/<name>/api/v1/remote_write with one of first, second";
    assert!(why.contains(right), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_workspace_does_not_hurt_the_other() {
    let pair = Pair::start().await;
    pair.store(SECOND, &bodies::v1("before", 3)).await;
    pair.second
        .faults(Target::Sts)
        .set([Fault::new(FaultKind::Hang)]);
    pair.second
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::Hang)]);
    // More requests than the slots of the broken one hang, and the other is not affected.
    let hanging: Vec<_> = (0..300)
        .map(|n| {
            let request = pair
                .client
                .post(format!("http://{}{SECOND}", pair.host))
                .header("content-encoding", "snappy")
                .header("content-type", V1)
                .body(bodies::v1(&format!("hangs_{n}"), 1).body);
            tokio::spawn(request.send())
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    for n in 0..20 {
        let batch = bodies::v1(&format!("flows_{n}"), 3);
        let (status, why) = pair.post(FIRST, &batch).await;
        assert_eq!(status, StatusCode::OK, "{why}");
        assert!(has(&pair.first, &batch));
    }
    let in_flight =
        |name: &'static str| pair.find_count("amp_sidecar_inflight_requests", "workspace", name);
    assert!(in_flight("second").await.unwrap() > 100);
    assert!(in_flight("first").await.unwrap() == 0);
    hanging.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_that_lacks_credentials_is_named_and_takes_nobody_away() {
    let pair = Pair::start().await;
    pair.store(FIRST, &bodies::v1("one", 3)).await;
    std::fs::remove_file(pair.second.token_file()).unwrap();
    // Rebuilt, so without its previous credentials.
    let changed = entry("second", &pair.second) + "    session_duration: 30m\n";
    pair.write(&[entry("first", &pair.first), changed]);
    pair.reload().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (status, words) = pair.admin("/readyz").await;
    assert_eq!(status, StatusCode::OK, "{words}");
    assert!(
        words.contains("workspace second is not ready") && words.contains("token file"),
        "{words}"
    );
    assert_eq!(
        pair.find_count("amp_sidecar_ready", "workspace", "second")
            .await,
        Some(0)
    );
    assert_eq!(
        pair.find_count("amp_sidecar_ready", "workspace", "first")
            .await,
        Some(1)
    );
}

/// Ten reloads under a steady stream of batches, each of which must be stored at once or get a retryable response.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_takes_over_without_a_request_lost() {
    let pair = Arc::new(Pair::start().await);
    pair.store(FIRST, &bodies::v1("ready", 1)).await;
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let pair = Arc::clone(&pair);
            tokio::spawn(async move {
                for n in 0..100 {
                    let batch = bodies::v1(&format!("stream_{sender}_{n}"), 2);
                    pair.store(FIRST, &batch).await;
                    assert!(has(&pair.first, &batch));
                }
            })
        })
        .collect();
    for n in 0..10 {
        let changed = entry("first", &pair.first) + &format!("    session_duration: {}m\n", 20 + n);
        pair.write(&[changed, entry("second", &pair.second)]);
        pair.reload().unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    // The second one never changed, so it kept its credentials; the first was rebuilt each time.
    assert_eq!(pair.second.sts_calls().len(), 1);
    assert!(pair.first.sts_calls().len() > 2);
    assert_eq!(
        pair.find_count("amp_sidecar_config_reloads_total", "result", "ok")
            .await,
        Some(10)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_configuration_is_refused_and_the_old_one_serves_on() {
    let pair = Pair::start().await;
    pair.store(FIRST, &bodies::v1("before", 3)).await;
    assert!(pair.reload_was_successful().await);

    pair.write(&[entry("first", &pair.first), entry("first", &pair.second)]);
    let why = pair.reload().unwrap_err().to_string();
    assert!(
        why.contains("workspaces[1].name") && why.contains("a name and ID other than"),
        "{why}"
    );
    assert!(!pair.reload_was_successful().await);
    pair.store(FIRST, &bodies::v1("after", 3)).await;

    // A reload cannot change a port.
    pair.write(&[entry("first", &pair.first)]);
    let mut config = read(&file_of(&pair.folder)).unwrap();
    config.listen = "127.0.0.1:1".parse().unwrap();
    let why = pair.reloader.reload(Ok(config)).unwrap_err().to_string();
    assert_eq!(
        why,
        "--listen cannot change while the program runs: restart to apply"
    );

    // A removed workspace leaves no state.
    pair.reload().unwrap();
    assert!(pair.reload_was_successful().await);
    assert_eq!(
        pair.find_count("amp_sidecar_ready", "workspace", "second")
            .await,
        None
    );
    let (status, _) = pair.post(SECOND, &bodies::v1("gone", 1)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    pair.store("/api/v1/write", &bodies::v1("the_only_one", 1))
        .await;
}

/// One more workspace leaves less of the default budget for each, and changes nothing else for those that are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_added_before_others_leaves_them_running() {
    let pair = Pair::start().await;
    pair.write(&[entry("second", &pair.second)]);
    pair.reload().unwrap();
    pair.store("/api/v1/write", &bodies::v1("alone", 1)).await;
    let metric = "amp_sidecar_inflight_limit_bytes";
    let whole = pair
        .find_count(metric, "workspace", "second")
        .await
        .unwrap();
    let calls = pair.second.sts_calls().len();

    pair.write(&[entry("first", &pair.first), entry("second", &pair.second)]);
    pair.reload().unwrap();
    pair.store(SECOND, &bodies::v1("beside", 1)).await;
    let half = pair
        .find_count(metric, "workspace", "second")
        .await
        .unwrap();
    assert_eq!(half * 2, whole);
    assert_eq!(pair.second.sts_calls().len(), calls);
}

/// Like a ConfigMap: the file's folder is swapped, without a signal.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_read_again_by_itself() {
    let pair = Pair::start().await;
    let file = file_of(&pair.folder);
    let hangup = Arc::new(Notify::new());
    let follower = tokio::spawn(pair.reloader.clone().follow(
        Some(file.clone()),
        Arc::clone(&hangup),
        move || read(&file),
    ));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let reloads = |result: &'static str| {
        pair.find_count("amp_sidecar_config_reloads_total", "result", result)
    };
    let seen = async |result: &'static str, count: u64| {
        for _ in 0..200 {
            if reloads(result).await.is_some_and(|seen| seen >= count) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{count} {result} were not seen within 5 s");
    };
    pair.write(&[entry("first", &pair.first)]);
    seen("ok", 1).await;
    pair.write(&["  - nonsense: true\n".to_owned()]);
    seen("refused", 1).await;
    // Logged once, not at every poll.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(reloads("refused").await, Some(1));
    hangup.notify_one();
    seen("refused", 2).await;
    pair.store(FIRST, &bodies::v1("still", 1)).await;
    follower.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_the_workspaces_apart() {
    let pair = Pair::start().await;
    pair.store(FIRST, &bodies::v1("up", 3)).await;
    pair.store(SECOND, &bodies::v1("up", 4)).await;
    let status = async || -> serde_json::Value {
        serde_json::from_str(&pair.admin("/status.json").await.1).unwrap()
    };
    let seen = status().await;
    let headline = &seen["state"]["headline"];
    assert_eq!(headline, "Data flows to all 2 workspaces");
    let of = |n: usize, what: &str| seen["workspaces"][n][what].clone();
    assert_eq!(
        (of(0, "name"), of(1, "name")),
        ("first".into(), "second".into())
    );
    assert_eq!(
        (of(0, "region"), of(1, "region")),
        ("eu-central-1".into(), "us-west-2".into())
    );
    let stored = |n: usize| of(n, "flow")["stored_samples"].clone();
    assert_eq!((stored(0), stored(1)), (3.into(), 4.into()));
    let write_url = of(1, "write_url");
    assert!(
        write_url
            .as_str()
            .unwrap()
            .ends_with("/workspaces/second/api/v1/remote_write")
    );
    let from = seen["configuration"][1]["settings"][1]["from"].as_str();
    assert!(from.unwrap().contains("config.yaml, line "), "{from:?}");

    let failing = FaultKind::answer(503, "");
    pair.second.faults(Target::Amp).set([Fault::new(failing)]);
    for n in 0..3 {
        pair.post(SECOND, &bodies::v1(&format!("down_{n}"), 1))
            .await;
    }
    let seen = status().await;
    let headline = seen["state"]["headline"].as_str().unwrap();
    assert!(
        headline.starts_with("Data flows to 1 of 2 workspaces; second: "),
        "{headline}"
    );
    assert_eq!(seen["incidents"][0]["workspace"], "second");
}
