//! The workspace's Alertmanager through the sidecar: a real one is behind the emulator's AMP, and amtool is the client.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use emulator::amp::AmpConfig;
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use testbench::peers::free_ports;
use testbench::peers::process::Process;
use tokio::process::Command;

use crate::rig::{Rig, client, text};

const SETTING: &str = "allow-alertmanager";
const ID: &str = "d29d9df3-9125-4441-912c-70b05f86f973";

/// Debian's build starts only with two files of templates in this folder; empty ones will do where nobody is notified.
const IN_ITS_PLACE: &str = r#"
    mount -t tmpfs tmpfs /usr/share && mkdir -p /usr/share/prometheus/alertmanager &&
    touch /usr/share/prometheus/alertmanager/default.tmpl /usr/share/prometheus/alertmanager/email.tmpl &&
    exec prometheus-alertmanager "$0" "$@""#;

/// Dropping it stops it and removes its folder.
struct RunningAlertmanager {
    base: String,
    folder: PathBuf,
    process: Process,
}

impl RunningAlertmanager {
    /// Starts one that notifies nobody, with one alert.
    async fn start() -> Self {
        let [address] = free_ports().unwrap();
        let tmp = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let folder = tmp.join(format!("alertmanager-{address}"));
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("alertmanager.yml");
        fs::write(
            &config,
            "route: {receiver: on-call}\nreceivers: [{name: on-call}]\n",
        )
        .unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", IN_ITS_PLACE])
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=");
        let process = Process::start("alertmanager", command, &[]);
        let process = process.expect("unshare, of util-linux");
        let alertmanager = Self {
            base: format!("http://{address}"),
            folder,
            process,
        };
        let alert = json!([{"labels": {"alertname": "DiskFull", "severity": "page"}}]);
        for _ in 0..400 {
            let url = format!("{}/api/v2/alerts", alertmanager.base);
            let sent = with_json(client().post(url), &alert).send().await;
            if sent.is_ok_and(|answer| answer.status().is_success()) {
                return alertmanager;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "not ready; scripts/test brings prometheus-alertmanager: {}",
            alertmanager.process.log().last_words()
        );
    }

    fn world(&self) -> WorldConfig {
        WorldConfig {
            role_may_query: true,
            amp: AmpConfig {
                alertmanager: Some(self.base.clone()),
                ..AmpConfig::default()
            },
            ..WorldConfig::default()
        }
    }

    /// With a sidecar that serves it this far.
    async fn behind(access: &str) -> (Self, Rig) {
        let alertmanager = Self::start().await;
        let rig = Rig::start_in(alertmanager.world(), &[(SETTING, access)]).await;
        rig.until_ready().await;
        (alertmanager, rig)
    }
}

impl Drop for RunningAlertmanager {
    fn drop(&mut self) {
        // Its files may change until the process has exited.
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            println!("{}: {error}", self.folder.display());
        }
    }
}

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    let request = request.header("content-type", "application/json");
    request.body(body.to_string())
}

async fn amtool(url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("amtool");
    command
        .arg(format!("--alertmanager.url={url}"))
        .arg("--output=json")
        .args(arguments);
    let output = command.output().await;
    let output = output.expect("amtool is not on the PATH: scripts/test brings it");
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {wrong}");
    String::from_utf8(output.stdout).unwrap()
}

async fn ask(rig: &Rig, method: Method, path: &str, body: Option<&Value>) -> Response {
    let url = format!("http://{}{path}", rig.host);
    let request = client().request(method, url);
    let request = match body {
        Some(body) => with_json(request, body),
        None => request,
    };
    request.send().await.unwrap()
}

/// Status and text of an error in Alertmanager's form.
async fn error(answer: Response) -> (u16, String) {
    assert_eq!(answer.headers()["content-type"], "application/json");
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(body["code"], status, "{body}");
    (status, body["message"].as_str().unwrap().to_owned())
}

fn silence() -> Value {
    json!({
        "matchers": [{"name": "alertname", "value": "DiskFull", "isRegex": false, "isEqual": true}],
        "startsAt": "2020-07-23T01:05:36Z",
        "endsAt": "2100-07-24T01:05:36Z",
        "createdBy": "sre",
        "comment": "known",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_reads_and_silences_through_the_sidecar() {
    let (alertmanager, rig) = RunningAlertmanager::behind("silence").await;
    let here = format!("http://{}/alertmanager", rig.host);
    let there = alertmanager.base.clone();
    for arguments in [
        &["alert", "query"][..],
        &["alert", "query", "severity=~\"pa.*\"", "alertname=DiskFull"],
        &["silence", "query"],
        &["config", "show"],
        &["config", "routes", "show"],
    ] {
        let through = amtool(&here, arguments).await;
        assert_eq!(through, amtool(&there, arguments).await, "{arguments:?}");
    }
    assert!(amtool(&here, &["alert"]).await.contains("DiskFull"));

    let add = [
        "silence",
        "add",
        "--author=sre",
        "--comment=disk is on order",
        "alertname=DiskFull",
    ];
    let id = amtool(&here, &add)
        .await
        .trim()
        .trim_matches('"')
        .to_owned();
    let silences = amtool(&there, &["silence", "query"]).await;
    assert!(
        silences.contains(&id) && silences.contains("disk is on order"),
        "{silences}"
    );
    assert_eq!(amtool(&here, &["silence", "query"]).await, silences);
    assert_eq!(amtool(&here, &["alert", "query"]).await.trim(), "[]");
    amtool(&here, &["silence", "expire", &id]).await;
    assert_eq!(amtool(&there, &["silence", "query"]).await.trim(), "[]");
    let ended = rig.count(r#"amp_sidecar_queries_total{api="alertmanager_silence",code="200"}"#);
    assert_eq!(ended.await, 1);
}

/// From the source code of Grafana's data source, of the implementation "Prometheus" with a URL that ends in `/alertmanager`.
#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_grafana_gets_an_answer_that_it_expects() {
    let (_alertmanager, rig) = RunningAlertmanager::behind("silence").await;
    for (path, status) in [
        // Where this is 404, it is no Mimir.
        ("alertmanager/api/v2/status", 404),
        ("api/v2/status", 200),
        ("api/v2/alerts", 200),
        ("api/v2/alerts/groups", 200),
        (
            "api/v2/alerts?silenced=true&active=true&filter=severity%3D%22page%22",
            200,
        ),
        ("api/v2/receivers", 200),
        ("api/v2/silences", 200),
        (&format!("api/v2/silence/{ID}"), 404),
        ("api/v1/alerts", 404),
    ] {
        for base in [
            "/alertmanager".to_owned(),
            format!("/workspaces/{}/alertmanager", rig.world.workspace_id()),
        ] {
            let answer = ask(&rig, Method::GET, &format!("{base}/{path}"), None).await;
            assert_eq!(answer.status(), status, "{path}");
        }
    }
    let silences = "/alertmanager/api/v2/silences";
    let created = ask(&rig, Method::POST, silences, Some(&silence())).await;
    let created: Value = serde_json::from_str(&text(created).await).unwrap();
    let id = created["silenceID"].as_str().unwrap();
    let path = format!("/alertmanager/api/v2/silence/{id}");
    let read = ask(&rig, Method::GET, &path, None).await;
    let read: Value = serde_json::from_str(&text(read).await).unwrap();
    assert_eq!(
        (&read["comment"], &read["status"]["state"]),
        (&json!("known"), &json!("active"))
    );
    let ended = ask(&rig, Method::DELETE, &path, None).await;
    assert_eq!(
        (ended.status().as_u16(), text(ended).await),
        (200, String::new())
    );
    // Alertmanager's own error.
    let wrong = json!({"matchers": [], "startsAt": "never"});
    let wrong = ask(&rig, Method::POST, silences, Some(&wrong)).await;
    assert_eq!(wrong.status(), 400);
    assert!(text(wrong).await.contains("never"));
}

#[tokio::test(flavor = "multi_thread")]
async fn read_changes_nothing_and_off_serves_nothing() {
    let (alertmanager, rig) = RunningAlertmanager::behind("read").await;
    let silences = "/alertmanager/api/v2/silences";
    let answer = ask(&rig, Method::GET, silences, None).await;
    assert_eq!(
        (answer.status().as_u16(), text(answer).await.trim()),
        (200, "[]")
    );
    let before = rig.world.journal(Target::Amp).total();
    for (method, path, body, status, why) in [
        (
            Method::POST,
            silences.to_owned(),
            Some(silence()),
            403,
            "--allow-alertmanager silence",
        ),
        (
            Method::DELETE,
            format!("/alertmanager/api/v2/silence/{ID}"),
            None,
            403,
            "--allow-alertmanager silence",
        ),
        (
            Method::POST,
            "/alertmanager/api/v2/alerts".to_owned(),
            Some(json!([])),
            405,
            "allowed methods: GET",
        ),
        (
            Method::PUT,
            silences.to_owned(),
            Some(silence()),
            405,
            "allowed methods: GET, POST",
        ),
    ] {
        let answer = error(ask(&rig, method, &path, body.as_ref()).await).await;
        assert!(answer.0 == status && answer.1.contains(why), "{answer:?}");
    }
    // Queries are another switch.
    let query = super::error(ask(&rig, Method::GET, "/api/v1/labels", None).await).await;
    assert!(
        query.0 == 404 && query.2.contains("--allow-query"),
        "{query:?}"
    );
    assert_eq!(rig.world.journal(Target::Amp).total(), before);

    for settings in [&[][..], &[("allow-query", "true")]] {
        let rig = Rig::start_in(alertmanager.world(), settings).await;
        rig.until_ready().await;
        let answer = error(ask(&rig, Method::GET, silences, None).await).await;
        assert!(
            answer.0 == 404 && answer.1.contains("--allow-alertmanager"),
            "{answer:?}"
        );
        assert_eq!(rig.world.journal(Target::Amp).total(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_the_action_is_told_which() {
    let rig = Rig::start_in(WorldConfig::default(), &[(SETTING, "silence")]).await;
    rig.until_ready().await;
    let one = format!("silence/{ID}");
    for (method, path, body, action) in [
        (Method::GET, "status", None, "aps:GetAlertManagerStatus"),
        (
            Method::GET,
            "receivers",
            None,
            "aps:ListAlertManagerReceivers",
        ),
        (Method::GET, "alerts", None, "aps:ListAlertManagerAlerts"),
        (
            Method::GET,
            "alerts/groups",
            None,
            "aps:ListAlertManagerAlertGroups",
        ),
        (
            Method::GET,
            "silences",
            None,
            "aps:ListAlertManagerSilences",
        ),
        (
            Method::GET,
            one.as_str(),
            None,
            "aps:GetAlertManagerSilence",
        ),
        (
            Method::POST,
            "silences",
            Some(silence()),
            "aps:PutAlertManagerSilences",
        ),
        (
            Method::DELETE,
            one.as_str(),
            None,
            "aps:DeleteAlertManagerSilence",
        ),
    ] {
        let path = format!("/alertmanager/api/v2/{path}");
        let answer = error(ask(&rig, method, &path, body.as_ref()).await).await;
        let expected = format!("the role needs {action} on arn:aws:aps:");
        assert!(
            answer.0 == 403 && answer.1.starts_with(&expected),
            "{answer:?}"
        );
        let denied = format!("amp_sidecar_access_denied_total{{action=\"{action}\"}}");
        assert_eq!(rig.count(&denied).await, 1);
    }
}

/// A query is sent again if its connection was closed meanwhile. A silence would then be there twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_never_sent_twice() {
    let (_alertmanager, rig) = RunningAlertmanager::behind("silence").await;
    let silences = "/alertmanager/api/v2/silences";
    let listed = async || {
        ask(&rig, Method::GET, silences, None)
            .await
            .status()
            .as_u16()
    };
    assert_eq!(listed().await, 200);
    let before = rig.world.journal(Target::Amp).total();
    rig.world
        .faults(Target::Amp)
        .set([Fault::new(FaultKind::Reset).times(1)]);
    let answer = error(ask(&rig, Method::POST, silences, Some(&silence())).await).await;
    assert_eq!(answer.0, 502, "{answer:?}");
    assert_eq!(rig.world.journal(Target::Amp).total() - before, 1);
    assert_eq!(listed().await, 200);
}
