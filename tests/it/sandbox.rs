//! The sandbox, tested from within by a thread that has entered it, and observed from outside on the running program.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;

use amp_sidecar::app::sandbox::{self, Fence};
use amp_sidecar::config::Config;
use emulator::world::WorldConfig;
use reqwest::StatusCode;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::bodies;
use crate::leak_check::World;
use crate::logging::Program;
use crate::rig::{V1, client, config_of};

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

/// A token folder in kubelet's layout, and one that the process must not read.
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

/// The sandbox applies to the thread that enters, so a test can stay outside.
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

/// An agent replaces the file by a rename, in the only folder that the source needs.
#[test]
fn of_a_credentials_file_its_folder_is_read_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    mounted(root);
    let file = root.join("aws/credentials");
    fs::create_dir(root.join("aws")).unwrap();
    fs::write(&file, "first").unwrap();
    let env = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AMP_SIDECAR_WORKSPACE_ID", "ws-1".to_owned()),
        ("AMP_SIDECAR_CREDENTIALS", "file".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", file.display().to_string()),
        // Of another source, so not to be read.
        (
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            root.join("mounted/token").display().to_string(),
        ),
    ];
    let config = config_of(&env.into_iter().collect(), &[]);
    let (read, was_read) = sync_channel(0);
    let (rotated, was_rotated) = sync_channel(0);
    std::thread::scope(|threads| {
        let (config, file) = (&config, &file);
        threads.spawn(move || {
            let held = sandbox::enter(config);
            assert!(held.is_whole() && held.reads, "{held:?}");
            assert_eq!(fs::read_to_string(file).unwrap(), "first");
            denied(fs::write(file, "x"), "writing");
            denied(fs::read(root.join("elsewhere/other")), "reading elsewhere");
            denied(fs::read(root.join("mounted/token")), "another source's");
            read.send(()).unwrap();
            was_rotated.recv().unwrap();
            assert_eq!(fs::read_to_string(file).unwrap(), "second");
        });
        was_read.recv().unwrap();
        fs::write(root.join("aws/new"), "second").unwrap();
        fs::rename(root.join("aws/new"), file).unwrap();
        rotated.send(()).unwrap();
    });
}

/// A new configuration may name files that are unknown now.
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

/// A mount that does not exist yet must stay readable later.
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

/// The program, after its first log line.
struct Started {
    process: Child,
    first: String,
}

impl Started {
    fn of(mut command: Command, sandbox: &str) -> Self {
        let mut process = command
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("AWS_REGION", "eu-central-1"),
                ("AMP_SIDECAR_WORKSPACE_ID", "ws-1"),
                ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/amp"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/etc/no-such-token"),
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ])
            .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
            .args(["--sandbox", sandbox])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        Self { process, first }
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process.id())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// The kernel's status of a process.
fn line_of(status: &str, name: &str) -> u32 {
    let status = fs::read_to_string(status).unwrap();
    let found = status.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap().trim().parse().unwrap()
}

/// The kernel's view of the program, whose sandbox is on by default. If the tests already run below a seccomp filter, as in a container, ours is one more.
#[test]
fn the_program_is_sandboxed_and_says_so() {
    let before = "/proc/self/status";
    for (sandbox, words, more) in [
        ("on", "sandboxed", 1),
        ("off", "sandbox is off (--sandbox off)", 0),
    ] {
        let program = Command::new(env!("CARGO_BIN_EXE_amp-sidecar"));
        let started = Started::of(program, sandbox);
        assert!(started.first.contains(words), "{}", started.first);
        let status = started.file("status");
        let filters = line_of(before, "Seccomp_filters:");
        assert_eq!(line_of(&status, "Seccomp_filters:"), filters + more);
        let promised = line_of(before, "NoNewPrivs:").max(more);
        assert_eq!(line_of(&status, "NoNewPrivs:"), promised);
    }
}

/// As in a pod whose containers share processes and uid; root may read anyway. A process that may not open `mem` may not attach by `ptrace` either: the kernel
/// checks the same permission for both.
#[test]
fn no_other_process_of_the_same_user_reads_its_memory_or_environment() {
    const NOBODY: &str = "65532";
    let folder = tempfile::tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    fs::set_permissions(folder.path(), mode(0o755)).unwrap();
    // Other users may not be able to enter the build folder.
    let program = folder.path().join("amp-sidecar");
    fs::copy(env!("CARGO_BIN_EXE_amp-sidecar"), &program).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let as_nobody = |program: &Path| {
        if !is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
            .arg(program);
        command
    };
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let attaching_is_free = matches!(yama.trim(), "" | "0");
    for sandbox in ["off", "on"] {
        let started = Started::of(as_nobody(&program), sandbox);
        for name in ["environ", "maps", "mem"] {
            let mut opening = as_nobody(Path::new("/bin/dd"));
            opening.arg(format!("if={}", started.file(name)));
            let opened = opening.args(["count=0", "status=none"]).output().unwrap();
            let complained = String::from_utf8_lossy(&opened.stderr);
            if sandbox == "on" {
                assert!(
                    complained.contains("Permission denied"),
                    "{name}: {complained}"
                );
            } else if name != "mem" || attaching_is_free {
                assert!(opened.status.success(), "{name}: {complained}");
            }
        }
    }
}

/// Runs the thread, and what it starts, with these system calls missing or refused.
fn without(calls: &[i64], errno: i32) {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
}

/// An old kernel, one booted without Landlock, and container profiles that refuse the calls.
#[test]
fn a_fence_that_the_kernel_lacks_or_a_profile_refuses_leaves_the_others() {
    use libc::{SYS_landlock_create_ruleset, SYS_landlock_restrict_self, SYS_prctl, SYS_seccomp};
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "token").unwrap();
    let config = configured(&token, &[]);
    let (config, token) = (&config, &token);
    let landlock = "this kernel has no Landlock";
    for (call, errno, lacks, why) in [
        (SYS_landlock_create_ruleset, libc::ENOSYS, 0, landlock),
        (SYS_landlock_create_ruleset, libc::EOPNOTSUPP, 0, landlock),
        (SYS_landlock_create_ruleset, libc::EPERM, 0, landlock),
        (SYS_landlock_restrict_self, libc::EPERM, 0, "not permitted"),
        (SYS_seccomp, libc::ENOSYS, 1, "not implemented"),
        (SYS_seccomp, libc::EPERM, 1, "not permitted"),
        (SYS_prctl, libc::EPERM, 2, "not permitted"),
    ] {
        let what = format!("call {call} with {errno}");
        let tried = std::thread::scope(|threads| {
            let within = threads.spawn(|| {
                without(&[call], errno);
                let held = sandbox::enter(config);
                // What the missing layer covered works, and the rest still does not.
                let written = fs::write(token, "x").is_ok();
                let started = Command::new("/bin/true").spawn();
                if let Ok(mut started) = started {
                    started.wait().unwrap();
                    return (held, written, true);
                }
                (held, written, false)
            });
            within.join().unwrap()
        });
        let (held, written, started) = tried;
        let fences = [&held.landlock, &held.seccomp, &held.memory];
        let Fence::Lacking(said) = fences[lacks] else {
            panic!("{what}: {held:?}");
        };
        assert!(
            said.to_lowercase().contains(&why.to_lowercase()),
            "{what}: {said}"
        );
        assert!(!held.is_whole());
        let lacking = |n: usize| matches!(fences[n], Fence::Lacking(_));
        // Both depend on `prctl`: without it none of the three is in effect.
        if call != SYS_prctl {
            assert_eq!(
                (0..3).filter(|n| lacking(*n)).count(),
                1,
                "{what}: {held:?}"
            );
        }
        assert_eq!(written, lacking(0), "{what}");
        // Either layer alone stops programs from being started.
        assert_eq!(started, lacking(0) && lacking(1), "{what}");
    }
}

/// Without both layers: samples flow, and one line reports it.
#[tokio::test]
async fn the_program_runs_without_the_fences_and_says_which() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let mut program = std::thread::scope(|threads| {
        let below = threads.spawn(|| {
            let calls = [libc::SYS_landlock_create_ruleset, libc::SYS_seccomp];
            without(&calls, libc::EPERM);
            Program::start(&world, &[])
        });
        below.join().unwrap()
    });
    let message = "sandboxed as far as this kernel supports it; nothing else depends on it";
    let line = program.until_said(message, None).await;
    for fence in ["landlock", "seccomp"] {
        let word = line[fence].as_str().unwrap();
        assert!(word.starts_with("does not hold: "), "{fence}: {line}");
    }
    assert_eq!(line["memory"], "holds");
    let listening = program.until_said("listening", None).await;
    program.until_said("credentials refreshed", None).await;
    let host = listening["listen"].as_str().unwrap();
    let batch = bodies::v1("up", 3);
    let request = client().post(format!("http://{host}/api/v1/write"));
    let request = request.header("content-encoding", "snappy");
    let request = request.header("content-type", V1).body(batch.body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    program.leave();
}
