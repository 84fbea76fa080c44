//! A token file or a private key that the process may not read: checks the error against real owners, modes and processes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig;

/// The user of most images.
const NOBODY: u32 = 65532;

/// The text of `/readyz` of the program as `user`, or as our own user if we may not change it.
async fn complaint(folder: &Path, token: &Path, user: Option<u32>) -> String {
    let role = "arn:aws:iam::111122223333:role/amp";
    let settings = [
        ("--role-arn", role),
        ("--web-identity-token-file", token.to_str().unwrap()),
    ];
    complaint_of(folder, &settings, user).await
}

async fn complaint_of(folder: &Path, settings: &[(&str, &str)], user: Option<u32>) -> String {
    // Other users may not be able to enter the build folder.
    let program = folder.join("amp-sidecar");
    fs::copy(env!("CARGO_BIN_EXE_amp-sidecar"), &program).unwrap();
    let admin = free_address();
    let mut command = match user {
        Some(user) => {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", &user.to_string(), "--regid", &user.to_string()])
                .args(["--clear-groups", "--"])
                .arg(&program);
            command
        }
        None => Command::new(&program),
    };
    let mut process = command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .args(["--listen", "127.0.0.1:0", "--admin-listen", &admin])
        .args(["--region", "eu-central-1"])
        // Nobody listens there: the test must not use the network.
        .args(["--sts-endpoint", "http://127.0.0.1:9"])
        .args([
            "--remote-write-url",
            "http://127.0.0.1:9/workspaces/ws-1/api/v1/remote_write",
        ])
        .args(settings.iter().flat_map(|(flag, value)| [flag, value]))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let client = rig::client();
    let started = Instant::now();
    let said = loop {
        let answer = client.get(format!("http://{admin}/readyz")).send().await;
        if let Ok(answer) = answer {
            let words = rig::text(answer).await;
            if words.contains(" file /") {
                break words;
            }
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "nothing was said"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    process.kill().unwrap();
    process.wait().unwrap();
    said
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn token_in(folder: &Path) -> PathBuf {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let inner = folder.join("mounted");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("token"), "eyJh.eyJz.c2ln").unwrap();
    inner.join("token")
}

#[tokio::test]
async fn the_error_says_which_group_or_user_the_pod_needs() {
    let folder = tempfile::tempdir().unwrap();
    let token = token_in(folder.path());
    if !rustix::process::geteuid().is_root() {
        // If the user cannot change, the mode can still deny access.
        fs::set_permissions(&token, Permissions::from_mode(0o040)).unwrap();
        let said = complaint(folder.path(), &token, None).await;
        assert!(
            said.contains("with mode 0040") && said.contains("change the mode"),
            "{said}"
        );
        return;
    }
    for (owner, group, mode, words) in [
        (
            0,
            2000,
            0o640,
            "set securityContext.fsGroup of the pod to 2000; on a VM, let one of these groups read it\n",
        ),
        (
            1000,
            2000,
            0o640,
            "set securityContext.fsGroup of the pod to 2000, or runAsUser to 1000",
        ),
        (
            1000,
            1000,
            0o600,
            "set runAsUser to 1000, or securityContext.fsGroup of the pod to any group",
        ),
        (
            0,
            0,
            0o600,
            "set securityContext.fsGroup of the pod to any group",
        ),
    ] {
        chown(&token, Some(owner), Some(group)).unwrap();
        fs::set_permissions(&token, Permissions::from_mode(mode)).unwrap();
        let said = complaint(folder.path(), &token, Some(NOBODY)).await;
        let text = format!(
            "Permission denied (os error 13); it is owned by {owner}:{group} with mode {mode:04o}, and this process runs as {NOBODY} with the groups {NOBODY}: {words}"
        );
        assert!(said.contains(&text), "{text}\n{said}");
    }
    let mounted = token.parent().unwrap();
    fs::set_permissions(mounted, Permissions::from_mode(0o750)).unwrap();
    let said = complaint(folder.path(), &token, Some(NOBODY)).await;
    let text = format!(
        "the folder {} is owned by 0:0 with mode 0750",
        mounted.display()
    );
    assert!(said.contains(&text), "{text}\n{said}");
}

#[tokio::test]
async fn a_credentials_file_that_is_closed_is_named_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let file = token_in(folder.path());
    let root = rustix::process::geteuid().is_root();
    fs::write(&file, "[default]\n").unwrap();
    fs::set_permissions(
        &file,
        Permissions::from_mode(if root { 0o600 } else { 0o040 }),
    )
    .unwrap();
    let settings = [
        ("--credentials", "file"),
        ("--shared-credentials-file", file.to_str().unwrap()),
    ];
    let said = complaint_of(folder.path(), &settings, root.then_some(NOBODY)).await;
    let text = format!(
        "credentials file {}: Permission denied (os error 13); it is owned by",
        file.display()
    );
    assert!(said.contains(&text), "{said}");
}

#[tokio::test]
async fn a_private_key_is_named_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let key = token_in(folder.path());
    let user = rustix::process::geteuid().is_root().then_some(NOBODY);
    let mode = if user.is_some() { 0o600 } else { 0o040 };
    fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
    let certificate = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/roles-anywhere/ec.pem"
    );
    let copy = folder.path().join("tls.crt");
    fs::copy(certificate, &copy).unwrap();
    let id = "eu-central-1:111122223333";
    let guid = "00000000-1111-4222-8333-444444444444";
    let settings = [
        ("--credentials", "roles-anywhere"),
        ("--role-arn", "arn:aws:iam::111122223333:role/amp"),
        ("--roles-anywhere-certificate", copy.to_str().unwrap()),
        ("--roles-anywhere-private-key", key.to_str().unwrap()),
        (
            "--trust-anchor-arn",
            &format!("arn:aws:rolesanywhere:{id}:trust-anchor/{guid}"),
        ),
        (
            "--profile-arn",
            &format!("arn:aws:rolesanywhere:{id}:profile/{guid}"),
        ),
        ("--roles-anywhere-endpoint", "http://127.0.0.1:9"),
    ];
    let said = complaint_of(folder.path(), &settings, user).await;
    let text = format!("private key file {}: Permission denied", key.display());
    assert!(said.contains(&text), "{said}");
    assert!(said.contains(&format!("with mode {mode:04o}")), "{said}");
}

/// Nobody writes to the pipe, and reading it would wait for ever.
#[tokio::test]
async fn a_named_pipe_is_refused_by_name_in_each_place() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let path = pipe.to_str().unwrap();
    let role = ("--role-arn", "arn:aws:iam::111122223333:role/amp");
    for (what, settings) in [
        (
            "token file",
            &[role, ("--web-identity-token-file", path)][..],
        ),
        (
            "credentials file",
            &[
                ("--credentials", "file"),
                ("--shared-credentials-file", path),
            ],
        ),
        (
            "token file",
            &[
                ("--credentials", "container"),
                ("--container-credentials-full-uri", "http://127.0.0.1:9/"),
                ("--container-authorization-token-file", path),
            ],
        ),
    ] {
        let said = complaint_of(folder.path(), settings, None).await;
        for words in [
            &format!("{what} {path}: it is a FIFO (named pipe), not a regular file"),
            "let the writer put a regular file at the path",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}
