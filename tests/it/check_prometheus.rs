//! `check --prometheus-config`: what it finds in `remote_write`, entry by entry and line by line.
//!
//! Debian's promtool reads the same samples, so that each is a file that a Prometheus would load; the newer settings, which it does not know, are
//! marked.

use std::collections::HashMap;
use std::process::Command;

use amp_sidecar::check::{self, Report, StepState};
use amp_sidecar::config::Config;
use serde_json::{Value, json};
use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::source::Source;

use crate::leak_check;
use crate::rig::{self, config_of};

const OK: StepState = StepState::Ok;
const WARNING: StepState = StepState::Warning;
const BROKEN: StepState = StepState::Broken;

/// What promtool 2.42 says of a sample.
#[derive(Clone, Copy, PartialEq)]
enum Promtool {
    Valid,
    /// It has a setting of a later version.
    Newer,
    Invalid,
}
use Promtool::{Invalid, Newer, Valid};

/// Steps as state, remedy and a piece of the evidence.
type Expected = &'static [(StepState, &'static str, &'static str)];

fn config(more: &[(&str, &str)]) -> Config {
    let env: HashMap<&str, String> = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/writer"),
        (
            "AMP_SIDECAR_WORKSPACE_ID",
            "ws-12345678-abcd-1234-abcd-123456789012",
        ),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .collect();
    let addresses = [("listen", "127.0.0.1:8005"), ("admin-listen", "[::]:8006")];
    let flags: Vec<_> = addresses.iter().chain(more).copied().collect();
    config_of(&env, &flags)
}

fn report(text: &str, config: &Config) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, text).unwrap();
    let report = check::prometheus_alone(&file, config);
    let shown = format!("{}{}", report.text(false), report.json());
    leak_check::show(&shown);
    assert!(!shown.contains("planted"), "a secret is shown: {shown}");
    report
}

fn assert_found(text: &str, report: &Report, expected: Expected) {
    let found: Vec<_> = report
        .steps
        .iter()
        .map(|step| {
            let outcome = &step.outcome;
            let id = outcome.remedies.first().map_or("", |remedy| remedy.id);
            (outcome.state, id, outcome.evidence.as_str())
        })
        .collect();
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            (found.0, found.1) == (expected.0, expected.1) && found.2.contains(expected.2)
        });
    assert!(same, "{text}\n{found:#?}\nexpected {expected:#?}");
}

/// On loopback, in plain http, with one workspace.
const SAMPLES: &[(Promtool, &str, Expected)] = &[
    // Where it leads.
    (
        Valid,
        "remote_write:\n  - url: http://localhost:8005/api/v1/write/\n",
        &[(
            OK,
            "",
            "line 2, http://localhost:8005/api/v1/write/: writes to workspace ws-",
        )],
    ),
    (
        Valid,
        "remote_write:\n  - name: amp\n    url: http://127.0.0.1:8005/workspaces/ws-12345678-abcd-1234-abcd-123456789012/api/v1/remote_write\n",
        &[(
            OK,
            "",
            "line 3, \"amp\" (http://127.0.0.1:8005/workspaces/ws-",
        )],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://user:planted@127.0.0.1:8005/api/v1/push?token=planted\n",
        &[(
            BROKEN,
            "prometheus-path",
            "line 2, http://127.0.0.1:8005/api/v1/push: the path /api/v1/push is not served",
        )],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://localhost:8005/workspaces/ws-typo/api/v1/remote_write\n",
        &[(
            BROKEN,
            "prometheus-path",
            "it names no configured workspace",
        )],
    ),
    (
        Valid,
        "remote_write: [{url: 'https://localhost:8005/api/v1/write'}]\n",
        &[(
            BROKEN,
            "prometheus-scheme",
            "line 1, https://localhost:8005/api/v1/write: the url is https, but the sidecar serves http",
        )],
    ),
    (
        Valid,
        "remote_write: [{url: 'http://127.0.0.1:8006/api/v1/write'}]\n",
        &[(
            BROKEN,
            "prometheus-port",
            "port 8006 is the admin port, which stores nothing",
        )],
    ),
    (
        Valid,
        "remote_write: [{url: 'http://127.0.0.1:9090/api/v1/write'}]\n",
        &[(
            BROKEN,
            "prometheus-port",
            "it is port 9090 of this pod, and the sidecar is on port 8005",
        )],
    ),
    (
        Valid,
        "remote_write: [{url: 'localhost:8005/api/v1/write'}]\n",
        &[(BROKEN, "prometheus-url", "url has no scheme")],
    ),
    (
        Invalid,
        "remote_write:\n  - name: a\n",
        &[(BROKEN, "prometheus-url", "line 2, \"a\": url is missing")],
    ),
    (
        Invalid,
        "remote_write: [{url: 'http://local host/'}]\n",
        &[(BROKEN, "prometheus-url", "url is not valid")],
    ),
    // Those of others are left alone, beside ours and beside AMP's other workspaces.
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n  - url: http://mimir:9009/api/v1/push\n    basic_auth: {username: a, password: planted}\n  - url: http://127.0.0.1:9090/api/v1/write\n  - url: https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-other/api/v1/remote_write\n",
        &[
            (OK, "", "line 2, "),
            (
                OK,
                "",
                "other remote_write entries are left alone (line 3, 5, 6)",
            ),
        ],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n  - url: https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-12345678-abcd-1234-abcd-123456789012/api/v1/remote_write\n",
        &[
            (OK, "", "line 2, "),
            (
                WARNING,
                "prometheus-direct",
                "line 3, https://aps-workspaces",
            ),
        ],
    ),
    (
        Valid,
        "remote_write: [{url: 'http://mimir:8005/api/v1/push'}]\n",
        &[(
            BROKEN,
            "prometheus-elsewhere",
            "no remote_write of 1 points to this sidecar at 127.0.0.1:8005",
        )],
    ),
    // What Prometheus adds to it.
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    sigv4: {region: eu-central-1, secret_key: planted, access_key: a}\n",
        &[(
            BROKEN,
            "prometheus-sigv4",
            "line 3, http://127.0.0.1:8005/api/v1/write: sigv4 is set",
        )],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    proxy_url: http://user:planted@proxy:3128\n",
        &[(
            BROKEN,
            "prometheus-proxy",
            "line 3, http://127.0.0.1:8005/api/v1/write: proxy_url: batches go to that proxy",
        )],
    ),
    (
        Newer,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    proxy_url: http://proxy:3128\n    no_proxy: example.com\n",
        &[(OK, "", "writes to workspace")],
    ),
    (
        Newer,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    proxy_from_environment: true\n",
        &[(OK, "", "writes to workspace")],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    headers:\n      Origin: https://planted\n      X-Scope-OrgID: planted\n",
        &[
            (
                BROKEN,
                "prometheus-headers",
                "line 4, http://127.0.0.1:8005/api/v1/write: headers: Origin is refused as a browser's",
            ),
            (
                WARNING,
                "prometheus-needless",
                "line 5, http://127.0.0.1:8005/api/v1/write: headers.X-Scope-OrgID has no effect here",
            ),
        ],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    remote_timeout: 25s\n    queue_config:\n      retry_on_http_429: true\n    tls_config: {insecure_skip_verify: true}\n    authorization: {credentials: planted}\n    send_exemplars: true\n    send_native_histograms: true\n",
        &[
            (WARNING, "prometheus-timeout", "line 3, "),
            (
                WARNING,
                "prometheus-needless",
                "line 5, http://127.0.0.1:8005/api/v1/write: authorization, tls_config, retry_on_http_429 have no effect here",
            ),
        ],
    ),
    (
        Newer,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    protobuf_message: io.prometheus.write.v2.Request\n    queue_config: {sample_age_limit: 59m}\n",
        &[(WARNING, "prometheus-age", "line 4, ")],
    ),
    (
        Newer,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    http_headers:\n      Sec-Fetch-Site: {values: [cross-site]}\n      X-Tenant: {secrets: [planted]}\n",
        &[
            (
                BROKEN,
                "prometheus-headers",
                "line 4, http://127.0.0.1:8005/api/v1/write: headers: Sec-Fetch-Site is refused",
            ),
            (
                WARNING,
                "prometheus-needless",
                "headers.X-Tenant has no effect here",
            ),
        ],
    ),
    // The queue.
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    queue_config: {capacity: 100, max_samples_per_send: 200}\n",
        &[(
            WARNING,
            "prometheus-queue",
            "capacity 100 of a shard is less",
        )],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    queue_config: {capacity: 9000000, max_samples_per_send: 3000000}\n",
        &[(
            BROKEN,
            "too-large",
            "is about 72000000 B, and the sidecar accepts 33554432 B",
        )],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    queue_config: {capacity: 100000, max_samples_per_send: 20000, max_shards: 1000}\n",
        &[(
            WARNING,
            "overloaded",
            "1000 shards send 1000 batches of about 480000 B at once",
        )],
    ),
    (
        Valid,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    queue_config: {capacity: 10000, max_samples_per_send: 2000, max_shards: 50}\n",
        &[(OK, "", "writes to workspace")],
    ),
    // Anchors, aliases and merge keys.
    (
        Valid,
        "remote_write:\n  - &ours\n    url: http://127.0.0.1:8005/api/v1/write\n    name: a\n    queue_config: &queue {capacity: 100}\n    write_relabel_configs: []\n  - <<: *ours\n    name: b\n    remote_timeout: 20s\n    queue_config: *queue\n",
        &[
            (WARNING, "prometheus-queue", "line 5, \"a\""),
            (WARNING, "prometheus-timeout", "line 9, \"b\""),
            (WARNING, "prometheus-queue", "line 5, \"b\""),
        ],
    ),
    (
        Valid,
        "remote_write:\n  - &a {url: 'http://127.0.0.1:8005/api/v1/write', name: a}\n  - <<: [*a, {remote_timeout: 20s}]\n    name: b\n",
        &[
            (OK, "", "line 2, \"a\""),
            (WARNING, "prometheus-timeout", "line 3, \"b\""),
            (
                WARNING,
                "prometheus-twice",
                "is sent twice to workspace ws-12345678-abcd-1234-abcd-123456789012 (lines 2, 3)",
            ),
        ],
    ),
    (
        Invalid,
        "remote_write: [*nowhere]\n",
        &[(BROKEN, "prometheus-file", "line 1: not valid YAML: ")],
    ),
    (
        Invalid,
        "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nspec: {remoteWrite: [{url: 'http://127.0.0.1:8005/api/v1/write'}]}\n",
        &[(BROKEN, "prometheus-file", "it is a Kubernetes object")],
    ),
    (
        Invalid,
        "exporters: {prometheusremotewrite: {endpoint: 'http://127.0.0.1:8005/api/v1/write'}}\nservice: {pipelines: {}}\n",
        &[(
            BROKEN,
            "prometheus-file",
            "of an OpenTelemetry collector, whose exporter prometheusremotewrite needs",
        )],
    ),
    (Valid, "", &[(BROKEN, "prometheus-file", "it is empty")]),
    (
        Valid,
        "remote_write: []\n",
        &[(BROKEN, "prometheus-file", "it has no remote_write")],
    ),
];

#[test]
fn each_finding_has_its_line_and_remedy() {
    let config = config(&[]);
    for (_, text, expected) in SAMPLES {
        assert_found(text, &report(text, &config), expected);
    }
}

#[test]
fn promtool_agrees_which_samples_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    for (n, (promtool, text, _)) in SAMPLES.iter().enumerate() {
        let file = folder.path().join(format!("{n}.yml"));
        std::fs::write(&file, text).unwrap();
        let output = Command::new("promtool")
            .args(["check", "config", "--syntax-only"])
            .arg(&file)
            .output()
            .expect("promtool is not on the PATH: scripts/test brings it");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = format!("{said}{}", String::from_utf8_lossy(&output.stdout));
        let newer = said.contains("not found in type");
        let seen = match (output.status.success(), newer) {
            (true, _) => Valid,
            // The Operator's object has unknown fields too.
            (false, true) if *promtool != Invalid => Newer,
            (false, _) => Invalid,
        };
        assert!(seen == *promtool, "{text}\n{said}");
    }
}

/// A Prometheus prints the configuration that it has loaded, with the defaults of its version and without secrets.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_prometheus_prints_of_itself_can_be_checked() {
    let prometheus = Installed::find(None).await.unwrap();
    let prometheus = prometheus.expect("prometheus is not on the PATH: scripts/test brings it");
    let config = config(&[]);
    let source = Source::start(1).await.unwrap();
    let url = "http://127.0.0.1:8005/api/v1/write".to_owned();
    let mut setup = Setup::new(&prometheus.program, source.address(), url);
    for (remote_write, expected) in [
        (json!({}), &[(OK, "", "writes to workspace")][..]),
        (
            json!({"headers": {"Origin": "planted"}, "proxy_url": "http://user:planted@127.0.0.1:9"}),
            &[
                (BROKEN, "prometheus-proxy", "proxy_url: "),
                (BROKEN, "prometheus-headers", "headers: Origin is refused"),
            ],
        ),
    ] {
        setup.remote_write = remote_write;
        let prometheus = Prometheus::start(setup.clone()).await.unwrap();
        let url = format!("http://{}/api/v1/status/config", prometheus.address());
        let loaded = rig::client().get(url).send().await.unwrap();
        let loaded: Value = serde_json::from_str(&rig::text(loaded).await).unwrap();
        let text = loaded["data"]["yaml"].as_str().unwrap();
        assert_found(text, &report(text, &config), expected);
    }
}

#[test]
fn several_workspaces_are_named_in_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    let text = "workspaces:\n  - &one {name: one, workspace_id: ws-12345678-abcd-1234-abcd-123456789012}\n  - {<<: *one, name: two, workspace_id: ws-22345678-abcd-1234-abcd-123456789012}\n";
    std::fs::write(&file, text).unwrap();
    let env: HashMap<&str, String> = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/writer"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .collect();
    let path = file.display().to_string();
    let config = config_of(&env, &[("config", &path), ("listen", "127.0.0.1:8005")]);
    let text = "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n  - url: http://127.0.0.1:8005/workspaces/two/api/v1/remote_write\n";
    let report = report(text, &config);
    assert_found(
        text,
        &report,
        &[
            (
                BROKEN,
                "prometheus-path",
                "several workspaces are configured, and it names none",
            ),
            (OK, "", "writes to workspace two"),
            (
                WARNING,
                "prometheus-elsewhere",
                "this sidecar's workspace one",
            ),
        ],
    );
    let right = "url: http://127.0.0.1:8005/workspaces/one/api/v1/remote_write or http://127.0.0.1:8005/workspaces/two/api/v1/remote_write";
    assert!(report.text(false).contains(right));
}

/// A gateway has any name, serves TLS and authenticates its clients.
#[test]
fn a_gateway_is_written_to_with_tls_a_token_and_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let key = rcgen::generate_simple_self_signed(vec!["sidecar".to_owned()]).unwrap();
    std::fs::write(path("crt"), key.cert.pem()).unwrap();
    std::fs::write(path("key"), key.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("tokens"), "a-token-of-some-length\n").unwrap();
    let (crt, key, tokens) = (path("crt"), path("key"), path("tokens"));
    let tls = [
        ("listen", "0.0.0.0:8005"),
        ("listen-tls-cert", crt.as_str()),
        ("listen-tls-key", key.as_str()),
    ];
    let token = config(&[&tls[..], &[("listen-bearer-token-file", tokens.as_str())]].concat());
    let mutual = config(&[&tls[..], &[("listen-client-ca", crt.as_str())]].concat());
    let url = "url: https://sidecar.monitoring:8005/api/v1/write";
    for (config, rest, expected) in [
        (
            &token,
            "authorization: {credentials: planted}",
            &[(OK, "", "writes to")][..],
        ),
        (&token, "bearer_token_file: /a", &[(OK, "", "writes to")]),
        (
            &token,
            "basic_auth: {username: a, password: planted}",
            &[(BROKEN, "client-token", "no bearer token is sent")],
        ),
        (
            &mutual,
            "tls_config: {cert_file: a, key_file: b}",
            &[(OK, "", "writes to")],
        ),
        (
            &mutual,
            "tls_config: {ca_file: a}",
            &[(BROKEN, "handshake", "no client certificate is sent")],
        ),
        (
            &mutual,
            "tls_config: {cert_file: a}\n    proxy_from_environment: true",
            &[(
                WARNING,
                "prometheus-proxy",
                "unless its NO_PROXY lists the host",
            )],
        ),
        (
            &mutual,
            "tls_config: {cert_file: a}\n    proxy_url: http://a\n    no_proxy: .monitoring",
            &[(OK, "", "writes to")],
        ),
        (
            &mutual,
            "tls_config: {cert_file: a}\n    proxy_url: http://a\n    no_proxy: localhost",
            &[(BROKEN, "prometheus-proxy", "proxy_url")],
        ),
    ] {
        let text = format!("remote_write:\n  - {url}\n    {rest}\n");
        assert_found(&text, &report(&text, config), expected);
    }
    let plain = "remote_write: [{url: 'http://sidecar:8005/api/v1/write'}]\n";
    assert_found(
        plain,
        &report(plain, &token),
        &[(
            BROKEN,
            "prometheus-scheme",
            "the url is http, but the sidecar serves https",
        )],
    );
}
