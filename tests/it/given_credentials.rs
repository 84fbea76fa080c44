//! Credentials that are given and not exchanged for a token: by EKS Pod Identity and ECS, by a file that an agent rotates, by variables.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use amp_sidecar::clock::Clock;
use amp_sidecar::credentials::Exchange;
use amp_sidecar::credentials::cache::CredentialSource;
use amp_sidecar::credentials::sts::SessionCredentials;
use amp_sidecar::credentials::token::Disk;
use amp_sidecar::net::tls::Trust;
use amp_sidecar::net::transport::NetworkTransport;
use amp_sidecar::telemetry::Telemetry;
use emulator::container::Platform;
use emulator::credentials_file::GivenKeys;
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::bodies;
use crate::leak_check::{self, World};
use crate::namespace::{in_a_network_of_its_own, run};
use crate::rig::{self, Rig};

async fn world(config: WorldConfig) -> World {
    World::start(config).await.unwrap()
}

fn env_of(world: &World) -> HashMap<&'static str, String> {
    world.environment().into_iter().collect()
}

async fn write(rig: &Rig, name: &str) {
    let batch = bodies::v1(name, 3);
    rig.write_until_stored(&batch, Duration::from_secs(10))
        .await;
    assert!(rig.has_stored(&batch), "{name}");
}

/// Counts connections to an address that nobody should use.
async fn trap() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, count)
}

/// Every other source is there and would answer: a token, a role, keys, a profile, agents, metadata, a proxy.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_configured_source_is_asked() {
    for config in [
        WorldConfig::in_container(Platform::PodIdentity),
        WorldConfig::in_container(Platform::Ecs),
        WorldConfig::with_keys(GivenKeys::File),
        WorldConfig::with_keys(GivenKeys::Static),
    ] {
        let world = world(config.clone()).await;
        let mut env = env_of(&world);
        let ((other, asked), unread) = (trap().await, world.folder().join("unread"));
        let (place, unread_path) = (format!("http://{other}/"), unread.display().to_string());
        std::fs::write(
            &unread,
            "[default]\naws_access_key_id = AKIAUNREAD\naws_secret_access_key = s\n",
        )
        .unwrap();
        for (name, value) in [
            ("AWS_ROLE_ARN", world.role_arn()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &unread_path),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &place),
            ("AWS_SHARED_CREDENTIALS_FILE", &unread_path),
            ("AWS_ACCESS_KEY_ID", "AKIAUNUSED"),
            ("AWS_SECRET_ACCESS_KEY", "unused"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &place),
            ("AZURE_AUTHORITY_HOST", &place),
        ] {
            env.entry(name).or_insert_with(|| value.to_owned());
        }
        env.insert("AWS_ENDPOINT_URL_STS", place.clone());
        let rig = Rig::serve(world, rig::config_of(&env, &[])).await;
        rig.until_ready().await;
        write(&rig, "up").await;
        assert_eq!(asked.load(Ordering::SeqCst), 0, "{config:?}");
        let agents = rig.world.journal(Target::Container).counts().requests;
        assert_eq!(agents > 0, config.container.is_some());
        assert_eq!(rig.world.journal(Target::Sts).counts().requests, 0);
        assert!(!rig.admin("/status.json").await.1.contains("AKIAUN"));
    }
}

/// If the source fails, there is no other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_is_not_replaced_by_another() {
    let world = world(WorldConfig::in_container(Platform::PodIdentity)).await;
    let fault = Fault::new(FaultKind::answer(403, "Access Denied. no"));
    world.faults(Target::Container).set([fault]);
    let mut env = env_of(&world);
    let (other, asked) = trap().await;
    let token = world.token_file().display().to_string();
    env.extend([
        ("AWS_ROLE_ARN", world.role_arn().to_owned()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token),
        ("AWS_ENDPOINT_URL_STS", format!("http://{other}/")),
        ("AWS_ACCESS_KEY_ID", "AKIAUNUSED".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "unused".to_owned()),
    ]);
    let rig = Rig::serve(world, rig::config_of(&env, &[])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        rig.write(&bodies::v1("up", 1)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(rig.world.journal(Target::Amp).counts().requests, 0);
    let (_, ready) = rig.admin("/readyz").await;
    assert!(
        ready.contains("the credentials endpoint refused (403 Forbidden): Access Denied. no"),
        "{ready}"
    );
    rig.world.faults(Target::Container).clear();
    write(&rig, "up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chained_roles_follow_on_each_source() {
    for config in [
        WorldConfig::in_container(Platform::PodIdentity),
        WorldConfig::with_keys(GivenKeys::File),
    ] {
        let rig = Rig::start_in(config.two_hops("tenant-7"), &[("session-tag", "team=obs")]).await;
        write(&rig, "up").await;
        let calls = rig.world.sts_calls();
        let actions: Vec<&str> = calls.iter().map(|call| call.action.as_str()).collect();
        assert_eq!(actions, ["AssumeRole", "AssumeRole"]);
        let first = rig.world.role_arn().rsplit('/').next().unwrap().to_owned();
        assert!(calls[0].caller.as_deref().unwrap().contains(&first));
        let status: Value = serde_json::from_str(&rig.admin("/status.json").await.1).unwrap();
        let identity = &status["workspaces"][0]["identity"];
        assert_eq!(identity["roles"].as_array().unwrap().len(), 3, "{identity}");
        assert_eq!(identity["roles"][0]["role_arn"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_credentials_are_renewed_in_time_and_their_agents_outage_survived() {
    let config = WorldConfig {
        session_life: Some(Duration::from_secs(8)),
        ..WorldConfig::in_container(Platform::PodIdentity)
    };
    let rig = Rig::start_in(config, &[]).await;
    rig.until_ready().await;
    let outage = Fault::new(FaultKind::answer(500, "operation error EKS Auth"));
    rig.world
        .faults(Target::Container)
        .set([outage.lasting(Duration::from_secs(5))]);
    for n in 0..60 {
        let batch = bodies::v1(&format!("up_{n}"), 3);
        assert_eq!(rig.write(&batch).await, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let failed = r#"amp_sidecar_credential_exchanges_total{result="container_refused"}"#;
    assert!(rig.count(failed).await >= 1);
    let renewed = r#"amp_sidecar_credential_exchanges_total{result="ok"}"#;
    assert!(rig.count(renewed).await >= 2);
    assert_eq!(
        rig.world.journal(Target::Container).counts().max_in_flight,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_of_the_endpoint_is_not_followed_and_no_proxy_is_used() {
    let world = world(WorldConfig::in_container(Platform::PodIdentity)).await;
    let (other, asked) = trap().await;
    let away = FaultKind::Redirect {
        status: 307,
        location: format!("http://{other}/v1/credentials"),
    };
    world
        .faults(Target::Container)
        .set([Fault::new(away).times(1)]);
    let proxy = format!("http://{other}");
    let direct = [("https-proxy", proxy.as_str()), ("no-proxy", "127.0.0.1")];
    let rig = Rig::start_beside(world, &direct).await;
    write(&rig, "up").await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let failed = r#"amp_sidecar_credential_exchanges_total{result="container_unusable_answer"}"#;
    assert_eq!(rig.count(failed).await, 1);
}

/// The agent goes by the clock of the same machine, so no response of it can correct a clock that is ahead.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_of_the_credentials_life_is_named() {
    let world = world(WorldConfig::in_container(Platform::Ecs)).await;
    world.clock().set_offset_seconds(-24 * 3600);
    let rig = Rig::start_beside(world, &[]).await;
    let mut shown = String::new();
    for _ in 0..100 {
        shown = rig.admin("/readyz").await.1;
        if shown.contains("expired at") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for words in [
        "the credentials endpoint gave credentials that expired at ",
        "; this machine's clock says ",
        "correct the clock",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let failed = r#"amp_sidecar_credential_exchanges_total{result="container_expired"}"#;
    assert!(rig.count(failed).await >= 1);
    rig.world.clock().set_offset_seconds(0);
    rig.until_ready().await;
}

/// The addresses of AWS' agents, over IPv4 and IPv6, in a network that has nothing else.
#[test]
fn the_agents_are_reached_at_their_own_addresses() {
    in_a_network_of_its_own(
        "given_credentials::the_agents_are_reached_at_their_own_addresses",
        async {
            for (command, address) in [
                ("addr", "169.254.170.2/32"),
                ("addr", "169.254.170.23/32"),
                ("addr", "fd00:ec2::23/128"),
            ] {
                run("ip", &[command, "add", address, "dev", "lo"]);
            }
            for (name, uri, at) in [
                (
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    "http://169.254.170.23/v1/credentials",
                    "169.254.170.23:80",
                ),
                (
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    "http://[fd00:ec2::23]/v1/credentials",
                    "[fd00:ec2::23]:80",
                ),
                (
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                    "",
                    "169.254.170.2:80",
                ),
            ] {
                let platform = if uri.is_empty() {
                    Platform::Ecs
                } else {
                    Platform::PodIdentity
                };
                let world = world(WorldConfig::in_container(platform)).await;
                let mut env = env_of(&world);
                let given = env.remove("AWS_CONTAINER_CREDENTIALS_FULL_URI").unwrap();
                let path = given
                    .strip_prefix(world.container_url())
                    .unwrap()
                    .to_owned();
                env.insert(name, if uri.is_empty() { path } else { uri.to_owned() });
                let agent = world
                    .container_url()
                    .trim_start_matches("http://")
                    .to_owned();
                let listener = TcpListener::bind(at).await.unwrap();
                let relay = tokio::spawn(async move {
                    while let Ok((mut near, _)) = listener.accept().await {
                        let mut far = tokio::net::TcpStream::connect(&agent).await.unwrap();
                        drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                    }
                });
                let rig = Rig::serve(world, rig::config_of(&env, &[])).await;
                write(&rig, "up").await;
                let seen = rig.world.journal(Target::Container).requests();
                let host = seen[0].headers["host"].to_str().unwrap();
                assert_eq!(host, at.trim_end_matches(":80"));
                relay.abort();
            }
        },
    );
}

/// The old keys still work when the agent replaces them, so AMP rejects nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_read_before_its_old_keys_end() {
    let rig = Rig::start_in(WorldConfig::with_keys(GivenKeys::File), &[]).await;
    write(&rig, "before").await;
    rig.world.rotate_credentials_file().unwrap();
    let text = std::fs::read_to_string(rig.world.credentials_file()).unwrap();
    let key = text
        .lines()
        .find_map(|line| line.strip_prefix("aws_access_key_id = "));
    let key = key.unwrap().to_owned();
    let signed_with_it = || {
        let requests = rig.world.journal(Target::Amp).requests();
        let of = |name: &str| {
            requests.last().unwrap().headers[name]
                .to_str()
                .unwrap()
                .to_owned()
        };
        of("authorization").contains(&key)
    };
    for n in 0..100 {
        assert_eq!(
            rig.write(&bodies::v1(&format!("up_{n}"), 1)).await,
            StatusCode::OK
        );
        if signed_with_it() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(signed_with_it(), "not within 10 s");
    let rejected = rig
        .find_count("amp_sidecar_rejected_signatures_total")
        .await;
    assert_eq!(rejected.unwrap_or_default(), 0);
    let expires = rig
        .gauge("amp_sidecar_credentials_expire_timestamp_seconds")
        .await;
    assert_eq!(expires, f64::INFINITY);
    let age = |file: PathBuf| {
        let modified = file.metadata().unwrap().modified().unwrap();
        modified
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
    };
    let named = r#"amp_sidecar_credentials_file_modified_timestamp_seconds{keys="temporary"}"#;
    let modified = rig.gauge(named).await;
    let on_disk = age(rig.world.credentials_file().to_owned());
    assert!(
        (modified - on_disk).abs() < 0.01,
        "{modified}, not {on_disk}"
    );
}

/// Its age is all that tells when nobody rotates it.
#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_a_file_is_shown_by_the_kind_of_its_keys() {
    let rig = Rig::start_in(WorldConfig::with_keys(GivenKeys::File), &[]).await;
    rig.until_ready().await;
    let file = rig.world.credentials_file().to_owned();
    let text = std::fs::read_to_string(&file).unwrap();
    let lasting: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("aws_session_token"))
        .map(|line| line.replace("ASIA", "AKIA"))
        .collect();
    assert_ne!(lasting, text);
    std::fs::write(&file, lasting).unwrap();
    let name = "amp_sidecar_credentials_file_modified_timestamp_seconds";
    for _ in 0..100 {
        let (_, metrics) = rig.admin("/metrics").await;
        if metrics.contains(r#"keys="lasting""#) {
            assert!(!metrics.contains(r#"keys="temporary""#), "{metrics}");
            assert!(rig.gauge(name).await > 1.7e9);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within 10 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_amp_rejects_are_read_again_at_once_and_a_useless_file_is_reported() {
    let rig = Rig::start_in(WorldConfig::with_keys(GivenKeys::File), &[]).await;
    write(&rig, "before").await;
    rig.world.sessions().revoke_all();
    rig.world.rotate_credentials_file().unwrap();
    assert_eq!(rig.write(&bodies::v1("at_once", 1)).await, StatusCode::OK);

    std::fs::write(rig.world.credentials_file(), "[another]\n").unwrap();
    let mut words = String::new();
    for _ in 0..100 {
        let (_, json) = rig.admin("/status.json").await;
        let status: Value = serde_json::from_str(&json).unwrap();
        let error = &status["workspaces"][0]["identity"]["credentials"]["refresh"]["error"];
        words = error.as_str().unwrap_or_default().to_owned();
        if !words.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        words.contains("it has no profile \"amp-writer\", but \"another\""),
        "{words}"
    );
    assert_eq!(rig.write(&bodies::v1("still", 1)).await, StatusCode::OK);
    rig.world.rotate_credentials_file().unwrap();
    write(&rig, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warning_of_static_keys_stays_on_the_status_page() {
    let rig = Rig::start_in(WorldConfig::with_keys(GivenKeys::Static), &[]).await;
    write(&rig, "up").await;
    let (_, json) = rig.admin("/status.json").await;
    let status: Value = serde_json::from_str(&json).unwrap();
    let identity = &status["workspaces"][0]["identity"];
    let warning = identity["warning"].as_str().unwrap();
    assert!(warning.contains("nobody rotates"), "{warning}");
    assert_eq!(identity["credentials"]["expires"], Value::Null);
    assert_eq!(identity["credentials"]["usable"], json!(true));
    let last = rig.world.journal(Target::Amp).requests().pop().unwrap();
    assert!(!last.headers.contains_key("x-amz-security-token"));
}

// --- foreign judges ---

const BOTOCORE: &str = include_str!("botocore_credentials.py");

fn python() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join("peers-python"))
        .find(|program| program.exists())
        .expect("peers-python is not on the PATH: scripts/test, or PATH=\"$(scripts/peers):$PATH\", puts it there")
}

/// What botocore's provider gives for each of `cases`: keys, null for none, or the name of its error.
async fn botocore(provider: &str, cases: Value) -> Vec<Value> {
    let (provider, cases) = (provider.to_owned(), cases.to_string());
    let judging = tokio::task::spawn_blocking(move || {
        let output = Command::new(python())
            .args(["-c", BOTOCORE, &provider, &cases])
            .env_remove("HTTPS_PROXY")
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    });
    judging.await.unwrap()
}

/// What this program's source gives.
pub async fn ours(env: &HashMap<&'static str, String>) -> Result<SessionCredentials, String> {
    let config = rig::config_of(env, &[]);
    let transport = NetworkTransport {
        trust: Trust::new(&[]).unwrap(),
        network: amp_sidecar::config::Network::default(),
    };
    let metrics = Arc::new(Telemetry::new().metrics("ws-1"));
    let identity = &config.workspaces[0].identity;
    let exchange = Exchange::new(identity, &Disk, &transport, &Clock::system(), &metrics);
    exchange.obtain().await.map_err(|error| error.to_string())
}

fn keys_of(obtained: &SessionCredentials) -> Value {
    let keys = &obtained.credentials;
    json!([
        keys.access_key_id(),
        keys.secret_access_key(),
        keys.session_token()
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn botocore_takes_the_same_keys_from_the_same_files() {
    const KEYS: &str = "aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = s/+=\n";
    // The text, the profile, and whether botocore gives keys where we refuse.
    let cases = [
        (format!("[p]\n{KEYS}"), "p", false),
        (format!("[p]\r\n{}", KEYS.replace('\n', "\r\n")), "p", false),
        (
            format!("[p] # more\n; c\n{}", KEYS.replace(" = ", ":")),
            "p",
            false,
        ),
        (
            format!("[p]\n{}", KEYS.to_uppercase().replace("S/+=", "s/+=")),
            "p",
            false,
        ),
        (format!("[p]\n{KEYS}aws_session_token = t==\n"), "p", false),
        (
            format!("[p]\n{KEYS}aws_session_token = t\naws_security_token = older\n"),
            "p",
            false,
        ),
        (format!("[p]\ns3 =\n  max = 1\n{KEYS}"), "p", false),
        (
            format!("[p]\n\n\nregion = x # y\n  and = more\n{KEYS}"),
            "p",
            false,
        ),
        (format!("[a b]\n{KEYS}"), "a b", false),
        (format!("[DEFAULT]\n{KEYS}[p]\n"), "p", false),
        (format!("[DEFAULT]\n{KEYS}"), "DEFAULT", false),
        (format!("[default]\n{KEYS}"), "default", false),
        (format!("[profile p]\n{KEYS}"), "p", false),
        (format!("[p]\n{KEYS}[p]\n"), "p", false),
        (format!("[p]\n{KEYS}region = a\nREGION = b\n"), "p", false),
        (format!("{KEYS}[p]\n"), "p", false),
        (format!("[p]\n{KEYS}nonsense\n"), "p", false),
        (format!("\u{feff}[p]\n{KEYS}"), "p", false),
        (
            "[p]\naws_access_key_id = AKIAEXAMPLE\n".to_owned(),
            "p",
            false,
        ),
        ("[p]\naws_secret_access_key = s\n".to_owned(), "p", false),
        (String::new(), "p", false),
        // Keys that AWS would not take, or those of another identity than the profile is.
        (
            format!("[p]\n{}", KEYS.replace("s/+=", "s\n  more")),
            "p",
            true,
        ),
        (format!("[p]\n{}", KEYS.replace("AKIA", "ASIA")), "p", true),
        (
            format!("[p]\n{KEYS}role_arn = arn\nsource_profile = q\n"),
            "p",
            true,
        ),
        (
            format!("[p]\n{KEYS}credential_process = /bin/true\n"),
            "p",
            true,
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<String> = (0..cases.len())
        .map(|n| folder.path().join(n.to_string()).display().to_string())
        .collect();
    for (path, (text, ..)) in paths.iter().zip(&cases) {
        std::fs::write(path, text).unwrap();
    }
    let asked: Vec<Value> = paths
        .iter()
        .zip(&cases)
        .map(|(path, (_, profile, _))| json!([path, profile]))
        .collect();
    let theirs = botocore("file", asked.into()).await;
    for ((path, (text, profile, stricter)), theirs) in paths.iter().zip(&cases).zip(theirs) {
        let env = [
            ("AWS_REGION", "eu-central-1"),
            ("AMP_SIDECAR_WORKSPACE_ID", "ws-1"),
            ("AMP_SIDECAR_CREDENTIALS", "file"),
            ("AWS_SHARED_CREDENTIALS_FILE", path),
            ("AWS_PROFILE", profile),
        ];
        let env = env
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        let ours = ours(&env).await;
        let taken = theirs.is_array();
        assert_eq!(
            ours.is_ok(),
            taken && !stricter,
            "{text:?}: {ours:?}, botocore {theirs}"
        );
        assert!(taken || !stricter, "botocore is as strict: {text:?}");
        if let Ok(ours) = ours {
            assert_eq!(keys_of(&ours), theirs, "{text:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn botocore_takes_the_same_answers_of_the_same_endpoint() {
    let good = |expiration: &str| {
        json!({"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "s", "Token": "t", "Expiration": expiration}).to_string()
    };
    let world = world(WorldConfig::in_container(Platform::PodIdentity)).await;
    let token = world.folder().join("own-token");
    std::fs::copy(world.token_file(), &token).unwrap();
    let url = format!("{}/v1/credentials", world.container_url());
    let in_an_hour = (time::OffsetDateTime::from(SystemTime::now()) + time::Duration::HOUR)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    // The answer, or none for the agent's own; the URL; whether botocore takes more than we do.
    for (answer, uri, more) in [
        (None, url.as_str(), false),
        (Some((200, good(&in_an_hour))), &url, false),
        (
            Some((200, good("2099-01-01T00:00:00.123456789Z"))),
            &url,
            false,
        ),
        (Some((200, good("soon"))), &url, false),
        (Some((200, "{}".to_owned())), &url, false),
        (Some((200, "<html>".to_owned())), &url, false),
        (
            Some((400, "[x]: (AccessDeniedException): no".to_owned())),
            &url,
            false,
        ),
        (Some((500, String::new())), &url, false),
        // Keys that are over already.
        (Some((200, good("2001-01-01T00:00:00Z"))), &url, true),
        (None, "http://169.254.169.254/v1/credentials", false),
        (None, "http://10.0.0.1/v1/credentials", false),
    ] {
        let fault = answer
            .clone()
            .map(|(status, body)| Fault::new(FaultKind::answer(status, body)));
        world.faults(Target::Container).set(fault);
        let mut env = env_of(&world);
        env.insert("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.to_owned());
        let file = token.display().to_string();
        env.insert("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.clone());
        let asked = json!([{
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": uri,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file,
        }]);
        let theirs = botocore("container", asked).await.remove(0);
        let refused_here = amp_sidecar::config::Config::read(
            &|_| None,
            &amp_sidecar::config::Environment::of(&|name: &str| env.get(name).cloned()),
        )
        .is_err();
        let ours = if refused_here {
            Err("the setting".to_owned())
        } else {
            ours(&env).await
        };
        assert_eq!(
            ours.is_ok(),
            theirs.is_array() && !more,
            "{uri} {answer:?}: {ours:?}, botocore {theirs}"
        );
        assert!(
            !more || theirs.is_array(),
            "botocore is as strict: {answer:?} {theirs}"
        );
        if let (Ok(ours), Some(_)) = (ours, answer) {
            assert_eq!(keys_of(&ours), theirs);
        }
    }
    // Both send the token as it is, and neither one with a line break.
    world.faults(Target::Container).clear();
    let sent: Vec<String> = world
        .journal(Target::Container)
        .requests()
        .iter()
        .map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned())
        .collect();
    let whole = std::fs::read_to_string(&token).unwrap();
    leak_check::mark("token", &whole);
    assert!(sent.iter().all(|sent| *sent == whole));
    std::fs::write(&token, format!("{whole}\n")).unwrap();
    let mut env = env_of(&world);
    env.insert(
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        token.display().to_string(),
    );
    let error = ours(&env).await.unwrap_err();
    assert!(error.contains("contains a line break"), "{error}");
    let asked = json!([{"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token}]);
    assert_eq!(botocore("container", asked).await, [json!("ValueError")]);
}
