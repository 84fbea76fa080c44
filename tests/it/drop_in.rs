//! In the place of aws-sigv4-proxy: its recipe starts with another image alone, and a path selects a workspace only where that is allowed.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amp_sidecar::config::{Config, Environment, ForeignArguments, WorkspacesByPath};
use emulator::amp::AmpConfig;
use emulator::world::{Target, WorldConfig};
use reqwest::{Method, StatusCode};
use testbench::peers::compare::arrived;
use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::source::Source;

use crate::bodies;
use crate::leak_check::{self, World};
use crate::rig::{self, Rig, V1, text};

const ID: &str = "ws-0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";

fn world() -> WorldConfig {
    WorldConfig {
        amp: AmpConfig {
            region: "eu-central-1".to_owned(),
            workspace_id: ID.to_owned(),
            ..AmpConfig::default()
        },
        ..WorldConfig::default()
    }
}

fn endpoint(world: &World) -> String {
    world
        .amp_url()
        .split("/workspaces/")
        .next()
        .unwrap()
        .to_owned()
}

/// What a pod of an annotated service account on EKS has, and where the emulator is.
fn environment(world: &World) -> HashMap<&'static str, String> {
    let region = world.region().to_owned();
    HashMap::from([
        ("AWS_DEFAULT_REGION", region.clone()),
        ("AWS_REGION", region),
        ("AWS_ROLE_ARN", world.role_arn().to_owned()),
        (
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            world.token_file().display().to_string(),
        ),
        ("AWS_STS_REGIONAL_ENDPOINTS", "regional".to_owned()),
        ("AWS_ENDPOINT_URL_STS", world.sts_url().to_owned()),
        ("AWS_ENDPOINT_URL_AMP", endpoint(world)),
        ("AWS_CA_BUNDLE", world.ca_file().display().to_string()),
    ])
}

/// A port that is free now.
fn port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// The program, ended with this.
struct Container {
    process: Child,
    port: u16,
    admin: u16,
}

impl Container {
    /// With the arguments of AWS' recipe: <https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-onboard-ingest-metrics-new-Prometheus.html>.
    async fn start(world: &World, port: u16, more: &[(&str, &str)]) -> Self {
        let admin = self::port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_amp-sidecar"));
        command
            .env_clear()
            .envs(environment(world))
            .envs(more.iter().copied())
            .env("AMP_SIDECAR_ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            .args(["--name", "aps", "--region", "eu-central-1"])
            .args(["--host", "aps-workspaces.eu-central-1.amazonaws.com"])
            .args(["--port", &format!(":{port}")])
            .stdout(Stdio::null());
        let process = command.spawn().unwrap();
        let container = Self {
            process,
            port,
            admin,
        };
        for _ in 0..200 {
            if rig::client()
                .get(container.admin("/livez"))
                .send()
                .await
                .is_ok()
            {
                return container;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not start");
    }

    fn admin(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }

    /// As in the recipe's `remoteWrite`.
    fn url(&self) -> String {
        format!(
            "http://localhost:{}/workspaces/{ID}/api/v1/remote_write",
            self.port
        )
    }

    async fn readiness(&self) -> (StatusCode, String) {
        let response = rig::client().get(self.admin("/readyz")).send().await;
        let response = response.unwrap();
        (response.status(), text(response).await)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// With the image alone nothing is stored and nothing lost; with one more variable all of it is stored.
#[tokio::test(flavor = "multi_thread")]
async fn aws_recipe_starts_with_another_image_alone() {
    let prometheus = Installed::find(None).await.unwrap();
    let prometheus = prometheus.expect("prometheus is not on the PATH: scripts/test brings it");
    for more in [
        ("AMP_SIDECAR_WORKSPACE_ID", ID),
        ("AMP_SIDECAR_ANY_WORKSPACE", "true"),
    ] {
        let world = World::start(world()).await.unwrap();
        let port = port();
        let container = Container::start(&world, port, &[]).await;
        let source = Source::start(20).await.unwrap();
        let setup = Setup::new(&prometheus.program, source.address(), container.url());
        let prometheus = Prometheus::start(setup).await.unwrap();
        tokio::time::sleep(Duration::from_secs(8)).await;
        let (status, words) = container.readiness().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            words
                .starts_with("not ready: no workspace is configured; set AMP_SIDECAR_WORKSPACE_ID"),
            "{words}"
        );
        let batch = bodies::v1("up", 1);
        let answer = rig::client().post(container.url()).body(batch.body).send();
        let words = text(answer.await.unwrap()).await;
        let expected = format!(
            "no workspace is configured, and the sender names {ID}; set AMP_SIDECAR_WORKSPACE_ID={ID} in"
        );
        assert!(words.starts_with(&expected), "{words}");
        assert_eq!(world.journal(Target::Amp).total(), 0);
        assert_eq!(world.sts_calls().len(), 0);

        drop(container);
        let container = Container::start(&world, port, &[more]).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        prometheus.stop_scraping().await.unwrap();
        let sent = prometheus.sent().await.unwrap();
        let found = arrived(&sent, world.store(), Duration::from_secs(30)).await;
        assert_eq!(found.missing, 0, "{found:?}");
        assert!(found.total > 20 * 8, "only {} samples", found.total);
        assert_eq!(container.readiness().await.1, "ok\n");
    }
}

/// The values that people post for `prometheusSpec.containers` and `server.sidecarContainers`, as one argument each: `config` accepts them.
#[tokio::test]
async fn posted_arguments_are_accepted_and_shown_in_todays_form() {
    const HOST: &str = "aps-workspaces.eu-central-1.amazonaws.com";
    let world = World::start(world()).await.unwrap();
    let config = |arguments: &[&str], more: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amp-sidecar"));
        let command = command.env_clear().envs(environment(&world));
        let command = command.env_remove("AWS_ENDPOINT_URL_AMP");
        let command = command.envs(more.iter().copied());
        let output = command.arg("config").args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let id = [("AMP_SIDECAR_WORKSPACE_ID", ID)];
    let role = "arn:aws:iam::111122223333:role/central";
    for (arguments, shown) in [
        (
            vec![
                "--name",
                "aps",
                "--region",
                "eu-central-1",
                "--host",
                HOST,
                "--port",
                ":8005",
            ],
            "listen: \"127.0.0.1:8005\"",
        ),
        (
            vec![
                "--verbose",
                "--log-failed-requests",
                "--name=aps",
                "--host",
                HOST,
                "--region=eu-central-1",
                "--port=:8005",
            ],
            "log_level: debug",
        ),
        (
            vec![
                "--name",
                "aps",
                "--host",
                HOST,
                "--port",
                ":8005",
                "--role-arn",
                role,
            ],
            "assume_role: [\"arn:aws:iam::111122223333:role/central\"]",
        ),
        (
            vec![
                "-v",
                "--name",
                "aps",
                "--host",
                HOST,
                "--upstream-url-scheme",
                "https",
                "--transport.idle-conn-timeout",
                "60s",
                "-s",
                "Authorization",
            ],
            "listen: \"127.0.0.1:8080\"",
        ),
    ] {
        let (code, stdout, stderr) = config(&arguments, &id);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        assert!(stdout.contains(shown), "{stdout}");
        assert!(
            stdout.contains(&format!(
                "remote_write_url: https://{HOST}/workspaces/{ID}/"
            )),
            "{stdout}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.contains("arguments of aws-sigv4-proxy are accepted"),
            "{stderr}"
        );
    }
    for (refused, words) in [
        (
            vec!["--name", "s3", "--host", "s3.amazonaws.com"],
            "--name is \"s3\": expected aps",
        ),
        (vec!["--host", HOST, "--no-verify-ssl"], "--ca-bundle"),
        (
            vec!["--host", HOST, "--unsigned-payload"],
            "covers the body",
        ),
        (vec!["--host", HOST, "--port", "0.0.0.0:8005"], "--listen"),
        (
            vec!["--host", "amp.example", "--upstream-url-scheme", "http"],
            "plain http",
        ),
        (
            vec![
                "--host",
                "aps-workspaces.us-east-1.amazonaws.com",
                "--region",
                "eu-central-1",
            ],
            "us-east-1",
        ),
    ] {
        let (code, _, stderr) = config(&refused, &id);
        assert_eq!(code, Some(64), "{refused:?}: {stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
    // The page's own example.
    let page = include_str!("../../docs/from-aws-sigv4-proxy.md");
    let list = page.split_once("  args: [").unwrap().1;
    let list = list.split_once(']').unwrap().0;
    let arguments: Vec<&str> = list.split(", ").map(|one| one.trim_matches('"')).collect();
    let (code, stdout, stderr) = config(&arguments, &id);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("listen: \"127.0.0.1:8005\""), "{stdout}");
    // Without a workspace it starts, and says so.
    let (code, stdout, stderr) = config(&["--name", "aps", "--host", HOST], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("any_workspace: false") && !stdout.contains("workspaces:"),
        "{stdout}"
    );
    assert!(
        stderr.contains("warning: --workspace-id (AMP_SIDECAR_WORKSPACE_ID): not set: "),
        "{stderr}"
    );
    // Our own arguments alone must name one.
    let (code, _, stderr) = config(&["--region", "eu-central-1"], &[]);
    assert_eq!(code, Some(64));
    assert!(stderr.contains("--workspace-id"), "{stderr}");
}

/// The configuration without a workspace; `any` is `--any-workspace`, without it only foreign arguments allow that.
fn by_path(world: &World, any: bool) -> Config {
    let env = environment(world);
    let variable = |name: &str| env.get(name).cloned();
    let around = Environment::of(&variable);
    let flag = |flag: &str| match flag {
        "listen" | "admin-listen" => Some("127.0.0.1:0".to_owned()),
        "any-workspace" => any.then(|| "true".to_owned()),
        _ => None,
    };
    let foreign = ForeignArguments {
        names_host: !any,
        ..ForeignArguments::default()
    };
    let config = Config::read_beside(&|setting| flag(setting.flag), &around, &foreign).unwrap();
    leak_check::show(&format!("{config}\n{config:?}"));
    config
}

/// A sidecar that starts without a workspace.
pub async fn start(world: WorldConfig, any: bool) -> Rig {
    let world = World::start(world).await.unwrap();
    let config = by_path(&world, any);
    Rig::serve(world, config).await
}

fn path(id: &str) -> String {
    format!("/workspaces/{id}/api/v1/remote_write")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_workspace_is_served_and_started_once() {
    let rig = start(world(), true).await;
    let (status, words) = rig.admin("/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(words, "ok, but no sender has named a workspace yet\n");
    let status = rig.admin("/status.json").await.1;
    assert!(
        status.contains("Ready: no sender has named a workspace yet"),
        "{status}"
    );

    let batches: Vec<_> = (0..20).map(|n| bodies::v1(&format!("up_{n}"), 3)).collect();
    let path = path(ID);
    let all = batches
        .iter()
        .map(|batch| rig.post(&path, V1, batch.body.clone()));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert!(batches.iter().all(|batch| rig.has_stored(batch)));
    assert_eq!(rig.world.sts_calls().len(), 1);
    assert_eq!(rig.admin("/readyz").await.1, "ok\n");
    let selector = format!("amp_sidecar_batches_total{{outcome=\"stored\",workspace=\"{ID}\"}}");
    assert_eq!(rig.count(&selector).await, 20);

    // What it learned outlasts a reload.
    rig.reload(by_path(&rig.world, true)).unwrap();
    let batch = bodies::v1("after", 3);
    assert_eq!(
        rig.post(&path, V1, batch.body.clone()).await.status(),
        StatusCode::OK
    );
    assert_eq!(rig.world.sts_calls().len(), 1);
    // And ends with the permission.
    rig.reload(by_path(&rig.world, false)).unwrap();
    let answer = rig.post(&path, V1, batch.body).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rig.world.journal(Target::Amp).total(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_batch_to_exactly_that_path_starts_one() {
    let rig = start(world(), true).await;
    let batch = bodies::v1("up", 3);
    for wrong in [
        "/api/v1/remote_write".to_owned(),
        "/api/v1/write".to_owned(),
        format!("/workspaces/{ID}/api/v1/remote_write/"),
        format!("//workspaces/{ID}/api/v1/remote_write"),
        format!("/workspaces/{ID}/api/v1/write"),
        format!("/workspaces/{ID}/x/api/v1/remote_write"),
        format!("/workspaces/{ID}%2f..%2fws-1/api/v1/remote_write"),
        "/workspaces/ws-1%00/api/v1/remote_write".to_owned(),
        "/workspaces/ws-/api/v1/remote_write".to_owned(),
        "/workspaces/other/api/v1/remote_write".to_owned(),
        "/workspaces/ws-1@example.com/api/v1/remote_write".to_owned(),
        format!("/workspaces/ws-{}/api/v1/remote_write", "1".repeat(65)),
    ] {
        let answer = rig.post(&wrong, V1, batch.body.clone()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{wrong}");
        let words = text(answer).await;
        assert!(
            words.contains("/workspaces/<id>/api/v1/remote_write"),
            "{wrong}: {words}"
        );
    }
    let url = format!("http://{}{}", rig.host, path(ID));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = rig::client().request(method, &url).body(batch.body.clone());
        assert!(!request.send().await.unwrap().status().is_success());
    }
    let foreign = rig::client()
        .post(&url)
        .header("origin", "https://example.com");
    let foreign = foreign.body(batch.body.clone()).send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::SERVICE_UNAVAILABLE);
    let query = format!("http://{}/workspaces/{ID}/api/v1/query?query=up", rig.host);
    let query = rig::client().get(query).send().await.unwrap();
    assert_eq!(query.status(), StatusCode::NOT_FOUND);
    assert_eq!(rig.world.sts_calls().len(), 0);
    assert_eq!(rig.world.journal(Target::Amp).total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_ids_cannot_start_workspaces_without_end() {
    let rig = start(world(), true).await;
    let batch = bodies::v1("up", 3);
    assert_eq!(
        rig.post(&path(ID), V1, batch.body.clone()).await.status(),
        StatusCode::OK
    );
    let mut kept_out = 0;
    for n in 0..30 {
        let answer = rig
            .post(&path(&format!("ws-{n}")), V1, batch.body.clone())
            .await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let words = text(answer).await;
        kept_out += usize::from(words.starts_with("8 workspaces that senders named"));
    }
    assert_eq!(kept_out, 30 - (WorkspacesByPath::MOST - 1));
    assert!(rig.world.sts_calls().len() <= WorkspacesByPath::MOST);
    let outcome = "amp_sidecar_batches_total{outcome=\"workspace_not_configured\"}";
    assert_eq!(rig.count(outcome).await, kept_out as u64);
    // The one that was there is served as before.
    let batch = bodies::v1("later", 3);
    assert_eq!(
        rig.post(&path(ID), V1, batch.body.clone()).await.status(),
        StatusCode::OK
    );
    assert!(rig.has_stored(&batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tests_the_workspaces_that_prometheus_names() {
    let world = World::start(world()).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = by_path(&world, true);
    let url = format!("http://127.0.0.1:8005{}", path(ID));
    std::fs::write(file.path(), format!("remote_write:\n  - url: {url}\n")).unwrap();
    let clock = amp_sidecar::clock::Clock::system();
    let mut config = config;
    config.listen = "127.0.0.1:8005".parse().unwrap();
    let check = async |config: &Config, file: Option<&Path>| {
        let report = amp_sidecar::check::run(config, &clock, file).await;
        let words = report.text(false);
        leak_check::show(&words);
        (report.is_whole(), words)
    };
    let (whole, words) = check(&config, Some(file.path())).await;
    assert!(whole, "{words}");
    assert!(
        words.contains("empty write") && words.contains(ID),
        "{words}"
    );
    let (_, words) = check(&config, None).await;
    assert!(words.contains("senders name the workspaces"), "{words}");
    let (whole, words) = check(&by_path(&world, false), Some(file.path())).await;
    assert!(
        !whole && words.contains("AMP_SIDECAR_WORKSPACE_ID"),
        "{words}"
    );
}
