//! Runs the output of `setup` through its consumers: the aws CLI and moto, cfn-lint, kubectl, promtool, bash and shellcheck; and the trust policy
//! through an STS that evaluates it. `scripts/peers` installs all of them.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use emulator::issuer::TokenSpec;
use emulator::world::WorldConfig;

use crate::leak_check::World;
mod aws;
mod manifests;
mod trust;

const AKS: &str = "https://eastus.oic.prod-aks.azure.com/5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40/";
const TENANT: &str = "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a";
const OBJECT: &str = "7d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c41";
const PLACE: [&str; 6] = [
    "--account",
    "123456789012",
    "--region",
    "eu-central-1",
    "--workspace-id",
    "ws-0a1b",
];
const GOOGLE: [&str; 4] = [
    "--via",
    "gce-metadata",
    "--unique-id",
    "107517467455664443765",
];
const EKS: [&str; 6] = [
    "--via",
    "pod-identity",
    "--cluster",
    "emulated",
    "--cluster-region",
    "us-east-1",
];
const ANYWHERE: [&str; 4] = [
    "--via",
    "roles-anywhere",
    "--ca-certificate",
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/roles-anywhere/ca.pem"
    ),
];
const AZURE_VM: [&str; 7] = [
    "azure",
    "--via",
    "azure-imds",
    "--resource-group",
    "rg",
    "--tenant-id",
    TENANT,
];
const IMAGE: [&str; 2] = ["--image", "registry.example/amp-sidecar:0.1.0"];

fn run(arguments: &[&[&str]]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_amp-sidecar"))
        .arg("setup")
        .args(arguments.concat())
        .env_clear()
        .output()
        .unwrap()
}

fn printed(arguments: &[&[&str]]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a peer, which must succeed, and returns its output.
fn peer(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: scripts/test brings it"));
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {words}{complaint}");
    words
}

/// A folder for one test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn entra(with: &'static str) -> [&'static str; 6] {
    ["--via", "entra", "--tenant-id", TENANT, with, OBJECT]
}

/// The policy in the aws script, as the shell would pass it.
fn trust_policy(script: &str) -> String {
    let (_, rest) = script.split_once("trust_policy='").unwrap();
    rest.split_once('\'').unwrap().0.to_owned()
}

// --- arguments ---

#[test]
fn every_fault_of_the_arguments_is_named_at_once_and_exits_with_64() {
    let output = run(&[&[
        "aws",
        "--issuer",
        "https://eastus.oic.prod-aks.azure.com/t/u",
        "--account",
        "1111-2222-3333",
        "--workspace-id",
        "arn:aws:aps:eu-central-1:111122223333:workspace/ws-1",
        "--role-name",
        "a b",
        "--format",
        "pulumi",
    ]]);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    let words = String::from_utf8(output.stderr).unwrap();
    for (argument, fix) in [
        (
            "--issuer",
            "https://eastus.oic.prod-aks.azure.com/t/u/ with a trailing slash",
        ),
        ("--account", "12 digits"),
        ("--workspace-id", "not its ARN: ws-1"),
        ("--role-name", "letters, digits"),
        ("--format", "cli, cloudformation or terraform"),
        ("--region", "the workspace's region"),
    ] {
        assert!(
            words
                .lines()
                .any(|line| line.starts_with(argument) && line.contains(fix)),
            "{argument}: {words}"
        );
    }
    assert_eq!(run(&[&[]]).status.code(), Some(64));
    assert_eq!(run(&[&["aws", "--listen", "x"]]).status.code(), Some(64));
}

#[test]
fn a_machines_arguments_are_its_own() {
    for (arguments, fix) in [
        (
            &["kubernetes", "--via", "azure-imds"][..],
            "direct, entra or pod-identity: a pod has a token of its own",
        ),
        (
            &["azure", "--via", "gce-metadata"],
            "direct, entra or azure-imds",
        ),
        (
            &["azure", "--via", "azure-imds"],
            "--vm not set: expected the virtual machine",
        ),
        (
            &["azure", "--via", "azure-imds", "--vm", "a", "--vmss", "b"],
            "no value with --vm",
        ),
        (
            &["aws", "--via", "gce-metadata"],
            "--unique-id not set: expected unique id",
        ),
        (
            &["aws", "--via", "gce-metadata", "--unique-id", "a@b.c"],
            "not its email address",
        ),
        (
            &["aws", "--via", "gce-metadata", "--issuer", AKS],
            "AWS trusts Google by itself",
        ),
        (
            &["aws", "--via", "azure-imds"],
            "--object-id not set: expected object id",
        ),
    ] {
        let output = run(&[arguments]);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains(fix), "{fix}: {words}");
    }
}

#[test]
fn a_setting_of_the_sidecar_before_setup_is_not_silently_ignored() {
    let output = Command::new(env!("CARGO_BIN_EXE_amp-sidecar"))
        .args(["--region", "eu-central-1", "setup", "prometheus"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("--region"), "{words}");
}

#[tokio::test]
async fn a_token_gives_its_claims_and_is_not_shown() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let spec = TokenSpec {
        namespace: "observe".into(),
        service_account: "prom-server".into(),
        pod: "p".into(),
        audience: vec!["sts.amazonaws.com".into()],
        life: Duration::from_secs(600),
    };
    let issuer = emulator::issuer::Issuer::new(
        "https://oidc.example.com",
        "/t/u/",
        emulator::clock::Clock::new(),
    )
    .unwrap();
    let folder = Folder::new();
    let token = issuer.mint(&spec);
    let path = folder.write("token", &token);
    let path = path.to_str().unwrap();
    let text = printed(&[&["aws", "--token", path], &PLACE]);
    for claim in [
        "issuer='https://oidc.example.com/t/u/'",
        "\"oidc.example.com/t/u/:sub\": \"system:serviceaccount:observe:prom-server\"",
        "\"oidc.example.com/t/u/:aud\": \"sts.amazonaws.com\"",
    ] {
        assert!(text.contains(claim), "{claim}: {text}");
    }
    let text = printed(&[&["kubernetes", "--token", path], &PLACE, &IMAGE]);
    assert!(
        text.contains("The service account must be \"prom-server\""),
        "{text}"
    );

    // One for the API server alone, one over plain http, one that contradicts, one instead of its path.
    let api = issuer.mint(&TokenSpec {
        audience: vec!["https://oidc.example.com/t/u/".into()],
        ..spec.clone()
    });
    let api = folder.write("api", &api);
    let http = world.token_file();
    let cases: [(&[&str], &str); 5] = [
        (
            &["--token", api.to_str().unwrap()],
            "--audience sts.amazonaws.com",
        ),
        (&["--token", http.to_str().unwrap()], "iss of --token"),
        (
            &["--token", path, "--namespace", "else"],
            "the token's value, observe",
        ),
        (&["--token", path, "--issuer", AKS], "no value with --token"),
        (&["--token", &token], "not the token itself"),
    ];
    for (arguments, fix) in cases {
        let output = run(&[&["aws"], &PLACE, arguments]);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains(fix), "{fix}: {words}");
        let secret = token.rsplit('.').next().unwrap();
        assert!(!words.contains(secret) && !words.contains("eyJ"), "{words}");
    }
}

// --- shell ---

#[test]
fn scripts_are_clean_to_bash_and_shellcheck() {
    let folder = Folder::new();
    let azure = ["azure", "--cluster", "aks", "--resource-group", "rg"];
    let reader = printed(&[
        &["aws", "--issuer", AKS, "--alertmanager-too", "read"],
        &PLACE,
    ]);
    let silencer = printed(&[
        &["aws", "--issuer", AKS, "--alertmanager-too", "silence"],
        &PLACE,
    ]);
    let (reads, silences) = (
        "aps:ListAlertManagerSilences",
        "aps:PutAlertManagerSilences",
    );
    assert!(reader.contains(reads) && !reader.contains(silences));
    assert!(silencer.contains(reads) && silencer.contains(silences));
    let scripts = [
        printed(&[&["aws", "--issuer", AKS, "--query-too"], &PLACE]),
        silencer,
        printed(&[&["aws"], &entra("--object-id"), &PLACE]),
        printed(&[&azure]),
        printed(&[&azure, &["--via", "entra", "--tenant-id", TENANT]]),
        printed(&[
            &azure,
            &[
                "--via",
                "entra",
                "--tenant-id",
                TENANT,
                "--access-token-version",
                "2",
            ],
        ]),
        printed(&[&["aws"], &GOOGLE, &PLACE]),
        printed(&[&["aws"], &EKS, &PLACE]),
        printed(&[&AZURE_VM, &["--vm", "prometheus"]]),
        printed(&[
            &AZURE_VM,
            &["--vmss", "prometheus", "--access-token-version", "2"],
        ]),
    ];
    for script in scripts {
        let path = folder.write("script", &script);
        peer(Command::new("bash").arg("-n").arg(&path));
        peer(Command::new("shellcheck").arg(&path));
    }
}

// --- completions and man pages ---

#[test]
fn bash_completes_flags_and_a_man_page_lists_them() {
    let sidecar = || Command::new(env!("CARGO_BIN_EXE_amp-sidecar"));
    let folder = Folder::new();
    let script = folder.write(
        "completions",
        &peer(sidecar().args(["completions", "bash"])),
    );
    let complete = r#"source "$0"
        COMP_WORDS=(amp-sidecar setup aws --iss) COMP_CWORD=3
        _amp__sidecar amp-sidecar --iss aws
        printf '%s\n' "${COMPREPLY[@]}""#;
    let replies = peer(Command::new("bash").args(["-c", complete]).arg(&script));
    assert_eq!(replies, "--issuer\n");

    let pages = folder.0.path();
    peer(sidecar().arg("man").arg(pages));
    for (page, flag) in [
        ("amp-sidecar.1", "drain\\-idle"),
        ("amp-sidecar.1", "AMP_SIDECAR_DRAIN_IDLE"),
        ("amp-sidecar-check.1", "AMP_SIDECAR_DRAIN_IDLE"),
        ("amp-sidecar-setup-aws.1", "issuer"),
    ] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(
            text.contains(".TH") && text.contains(flag),
            "{page}: {text}"
        );
    }
    assert_eq!(
        sidecar()
            .args(["completions", "dos"])
            .output()
            .unwrap()
            .status
            .code(),
        Some(64)
    );
}
