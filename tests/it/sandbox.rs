//! The sandbox, tried from within by a thread that has entered it, and seen from outside on the running program.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;

use amp_sidecar::config::Config;
use amp_sidecar::sandbox;

use crate::rig::config_of;

fn configured(token: &Path, more: &[(&str, &str)]) -> Config {
    let env = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AMP_SIDECAR_WORKSPACE_ID", "ws-1".to_owned()),
        (
            "AWS_ROLE_ARN",
            "arn:aws:iam::111122223333:role/amp".to_owned(),
        ),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
    ];
    config_of(&env.into_iter().collect(), more)
}

fn denied<T: std::fmt::Debug>(result: std::io::Result<T>, what: &str) {
    let kind = result.expect_err(what).kind();
    assert_eq!(kind, ErrorKind::PermissionDenied, "{what}");
}

/// A folder of a token as kubelet lays it, and one that is nobody's business.
fn mounted(root: &Path) {
    for (data, token) in [("..1", "first"), ("..2", "second")] {
        fs::create_dir_all(root.join("mounted").join(data)).unwrap();
        fs::write(root.join("mounted").join(data).join("token"), token).unwrap();
    }
    symlink("..1", root.join("mounted/..data")).unwrap();
    symlink("..data/token", root.join("mounted/token")).unwrap();
    fs::create_dir(root.join("elsewhere")).unwrap();
    fs::write(root.join("elsewhere/other"), "a secret of others").unwrap();
}

/// The fences hold for the thread that enters, so that a test can stay outside.
#[test]
fn within_nothing_is_written_executed_or_read_but_what_is_needed_and_tokens_rotate() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    mounted(root);
    let token = root.join("mounted/token");
    let config = configured(&token, &[]);
    let (read, was_read) = sync_channel(0);
    let (rotated, was_rotated) = sync_channel(0);
    std::thread::scope(|threads| {
        let (config, token) = (&config, &token);
        threads.spawn(move || {
            let held = sandbox::enter(config);
            assert!(held.is_whole() && held.reads, "{held:?}");
            denied(fs::write(root.join("mounted/new"), "x"), "a new file");
            denied(fs::write(token, "x"), "a file that is there");
            denied(fs::remove_file(token), "removing");
            denied(fs::rename(token, root.join("mounted/old")), "renaming");
            denied(fs::create_dir(root.join("new")), "a folder");
            denied(fs::read(root.join("elsewhere/other")), "reading elsewhere");
            denied(fs::read_dir(root.join("elsewhere")), "listing elsewhere");
            denied(Command::new("/bin/true").spawn(), "a program");
            let parent = std::os::unix::process::parent_id();
            denied(
                fs::read_link(format!("/proc/{parent}/exe")),
                "another process",
            );
            assert!(!fs::read("/etc/passwd").unwrap().is_empty());
            assert!(!fs::read("/proc/self/stat").unwrap().is_empty());
            assert_eq!(fs::read_to_string(token).unwrap(), "first");
            read.send(()).unwrap();
            was_rotated.recv().unwrap();
            assert_eq!(fs::read_to_string(token).unwrap(), "second");
        });
        was_read.recv().unwrap();
        symlink("..2", root.join("mounted/..data_tmp")).unwrap();
        fs::rename(root.join("mounted/..data_tmp"), root.join("mounted/..data")).unwrap();
        fs::remove_dir_all(root.join("mounted/..1")).unwrap();
        rotated.send(()).unwrap();
    });
}

/// A new configuration may name files that nobody has heard of yet.
#[test]
fn with_a_file_of_settings_all_may_be_read_and_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    mounted(folder.path());
    let settings = folder.path().join("config.yaml");
    fs::write(&settings, "drain_idle: 4s\n").unwrap();
    let token = folder.path().join("mounted/token");
    let config = configured(&token, &[("config", settings.to_str().unwrap())]);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let held = sandbox::enter(&config);
            assert!(held.is_whole() && !held.reads, "{held:?}");
            assert!(fs::read(folder.path().join("elsewhere/other")).is_ok());
            denied(fs::write(&settings, "x"), "writing");
            denied(Command::new("/bin/true").spawn(), "a program");
        });
    });
}

/// A mount that is not there yet is no reason to lock oneself out of it.
#[test]
fn a_token_that_comes_later_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("later/token");
    let config = configured(&token, &[]);
    let (written, was_written) = sync_channel(0);
    std::thread::scope(|threads| {
        let (config, token) = (&config, &token);
        threads.spawn(move || {
            assert!(sandbox::enter(config).is_whole());
            was_written.recv().unwrap();
            assert!(fs::read(token).is_ok());
        });
        fs::create_dir(folder.path().join("later")).unwrap();
        fs::write(token, "token").unwrap();
        written.send(()).unwrap();
    });
}

/// The kernel's word on the program, whose sandbox is on unless it is told otherwise.
#[test]
fn the_program_is_sandboxed_and_says_so() {
    for (argument, seccomp, words) in [
        ("--log-level=info", "2", "sandboxed"),
        ("--sandbox=off", "0", "not sandboxed, as --sandbox off says"),
    ] {
        let mut sidecar = Command::new(env!("CARGO_BIN_EXE_amp-sidecar"))
            .env_clear()
            .envs([
                ("AWS_REGION", "eu-central-1"),
                ("AMP_SIDECAR_WORKSPACE_ID", "ws-1"),
                ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/amp"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/etc/no-such-token"),
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ])
            .args([
                "--listen=127.0.0.1:0",
                "--admin-listen=127.0.0.1:0",
                argument,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(sidecar.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", sidecar.id())).unwrap();
        sidecar.kill().unwrap();
        sidecar.wait().unwrap();
        assert!(first.contains(words), "{first}");
        let line = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .trim()
        };
        assert_eq!(line("Seccomp:"), seccomp);
        assert_eq!(line("NoNewPrivs:"), if seccomp == "2" { "1" } else { "0" });
    }
}
