//! The binary: exit codes, messages, signals.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn sidecar() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amp-sidecar"));
    command.env_clear();
    command
}

const MINIMAL: [(&str, &str); 6] = [
    ("AWS_REGION", "eu-central-1"),
    ("AMP_SIDECAR_WORKSPACE_ID", "ws-1"),
    ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/amp"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "/does/not/exist"),
    // Nobody listens there: the test must not use the network.
    ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9"),
    (
        "AMP_SIDECAR_REMOTE_WRITE_URL",
        "http://127.0.0.1:9/workspaces/ws-1/api/v1/remote_write",
    ),
];

/// A command that fails with this code, with what it wrote to stdout and stderr.
fn failed(command: &mut Command, code: i32) -> [String; 2] {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
}

const FAULTY: [&str; 5] = [
    "--region",
    "--workspace-id",
    "--role-arn",
    "--web-identity-token-file",
    "--session-duration",
];

fn faulty() -> Command {
    let mut command = sidecar();
    command
        .env("AWS_REGION", "Frankfurt")
        .env("AMP_SIDECAR_WORKSPACE", "ws-1")
        .args(["--session-duration", "5m"]);
    command
}

#[test]
fn an_invalid_configuration_names_every_fault_and_exits_with_64() {
    let [log, words] = failed(faulty().args(["--log-format", "text"]), 64);
    assert_eq!(log, "");
    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(lines[0], "amp-sidecar: the configuration is invalid");
    for setting in FAULTY {
        let names = |line: &str| line.starts_with(setting) && line.contains("expected ");
        assert!(lines.iter().any(|line| names(line)), "{setting}: {words}");
    }
    // What people run shows people's text, wherever it goes.
    let [_, shown] = failed(faulty().arg("config"), 64);
    assert_eq!(shown, words);
}

/// With `FallbackToLogsOnError` it shows the last 2048 bytes and 80 lines of the log.
#[test]
fn kubectl_describe_shows_every_fault_of_an_invalid_configuration() {
    let [log, _] = failed(&mut faulty(), 64);
    assert!(log.len() <= 2048 && log.lines().count() <= 80, "{log}");
    for setting in FAULTY {
        assert!(log.contains(setting), "{setting}: {log}");
    }
}

#[test]
fn a_fault_at_the_start_is_a_line_in_the_logs_format() {
    let json = |text: &str| -> Vec<serde_json::Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    // JSON is the default where stdout is no terminal, and what remains if the format itself is wrong.
    for format in [&[][..], &["--log-format", "xml"]] {
        let [log, stderr] = failed(faulty().args(format), 64);
        assert_eq!(stderr, "");
        let lines = json(&log);
        let (warnings, errors): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| line["level"] == "WARN");
        assert_eq!(errors.len(), FAULTY.len() + format.len() / 2, "{log}");
        for setting in FAULTY {
            let names = |line: &&&serde_json::Value| {
                line["setting"].as_str().unwrap().starts_with(setting)
                    && line["message"] == "invalid configuration"
                    && line["level"] == "ERROR"
                    && !line["expected"].as_str().unwrap().is_empty()
            };
            assert!(errors.iter().any(|line| names(&line)), "{setting}: {log}");
        }
        let region = errors.iter().find(|line| line["value"] == "Frankfurt");
        assert_eq!(
            region.unwrap()["expected"],
            "an AWS region, for example eu-central-1"
        );
        assert_eq!(warnings.len(), 1, "{log}");
    }

    let logfmt = |command: &mut Command| {
        let [log, stderr] = failed(command.env("AMP_SIDECAR_LOG_FORMAT", "logfmt"), 64);
        assert_eq!(stderr, "");
        assert!(
            log.lines().all(|line| line.starts_with("timestamp=")),
            "{log}"
        );
        log
    };
    let log = logfmt(&mut faulty());
    assert!(
        log.contains("message=\"invalid configuration\" setting=\"--region (AWS_REGION,"),
        "{log}"
    );
    // A file that is no YAML cannot say how to log; the variable still can.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "log_format: [\n").unwrap();
    let log = logfmt(sidecar().env("AMP_SIDECAR_CONFIG", &file));
    assert_eq!(log.lines().count(), 1, "{log}");
    std::fs::write(&file, "log_format: logfmt\nregion: x\n").unwrap();
    let [log, _] = failed(sidecar().env("AMP_SIDECAR_CONFIG", &file), 64);
    assert!(log.starts_with("timestamp="), "{log}");

    // Arguments that cannot be parsed.
    let [log, _] = failed(sidecar().args(["run", "--listn", "x"]), 64);
    let [line] = &json(&log)[..] else {
        panic!("{log}")
    };
    let reason = "unexpected argument '--listn' found; tip: a similar argument exists: '--listen'";
    assert_eq!(
        (&line["message"], &line["reason"]),
        (&"invalid arguments".into(), &reason.into())
    );
    let log = logfmt(sidecar().args(["--nonsense"]));
    assert!(
        log.contains("reason=\"unexpected argument '--nonsense' found\""),
        "{log}"
    );
    for people in [
        &["check", "--nonsense"][..],
        &["setup", "aws", "--nonsense"],
    ] {
        let [log, stderr] = failed(sidecar().args(people), 64);
        assert!(
            log.is_empty() && stderr.starts_with("error: unexpected argument"),
            "{stderr}"
        );
    }
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_short_help_is_the_essentials_and_the_long_one_every_setting_in_its_group() {
    let short = stdout(sidecar().arg("-h"));
    assert!(short.lines().count() <= 12, "{short}");
    assert_eq!(stdout(sidecar().args(["run", "-h"])), short);
    for words in ["--role-arn", "AWS_ROLE_ARN", "check", "amp-sidecar --help"] {
        assert!(short.contains(words), "{words}: {short}");
    }

    let long = stdout(sidecar().arg("--help"));
    assert!(long.starts_with("Signs"), "{long}");
    let headings = long
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '));
    let headings: Vec<&str> = headings.collect();
    let groups = "AWS identity: Azure: IAM Roles Anywhere: Endpoints and network: Listening: Limits: Queries: Tracing: Logging: Process:";
    assert_eq!(
        headings.join(" "),
        format!("Commands: Options: {groups} Exit codes:")
    );
    assert!(stdout(sidecar().arg("--version")).starts_with("amp-sidecar "));
}

#[test]
fn a_command_shows_its_own_options_first_and_help_knows_every_command() {
    for (command, own) in [("check", "--prometheus-config"), ("config", "--schema")] {
        let whole = stdout(sidecar().args([command, "--help"]));
        assert!(
            whole.find(own).unwrap() < whole.find("--region").unwrap(),
            "{whole}"
        );
        assert_eq!(stdout(sidecar().args(["help", command])), whole);
        let short = stdout(sidecar().args([command, "-h"]));
        assert!(
            short.contains(own) && !short.contains("--region"),
            "{short}"
        );
    }
    let setup = stdout(sidecar().args(["setup", "--help"]));
    assert!(
        setup.contains("Topics:") && !setup.contains("--listen"),
        "{setup}"
    );
    assert_eq!(stdout(sidecar().args(["help", "setup"])), setup);
    assert!(stdout(sidecar().args(["help", "setup", "aws"])).contains("--issuer"));
}

#[test]
fn help_is_wrapped_and_coloured_for_a_terminal_only() {
    let narrow = stdout(sidecar().args(["check", "--help"]).env("COLUMNS", "60"));
    let too_long = |line: &&str| line.contains(' ') && line.trim().len() > 60;
    assert_eq!(narrow.lines().find(too_long), None);
    for help in ["-h", "--help"] {
        let plain = stdout(sidecar().arg(help));
        assert!(!plain.contains('\u{1b}'), "{plain}");
        let forced = || {
            let mut command = sidecar();
            command.arg(help).env("CLICOLOR_FORCE", "1");
            command
        };
        assert!(stdout(&mut forced()).contains("\u{1b}["));
    }
    let terminal = |variables: &str| {
        let line = format!(
            "env -i TERM=xterm {variables} {} -h",
            env!("CARGO_BIN_EXE_amp-sidecar")
        );
        let mut script = Command::new("script");
        script.args(["--quiet", "--command", &line, "/dev/null"]);
        stdout(script.stdin(Stdio::null()))
    };
    assert!(terminal("").contains("\u{1b}["));
    assert!(!terminal("NO_COLOR=1").contains("\u{1b}["));
}

/// The image's own is tested by `scripts/image-test`.
#[test]
fn the_version_names_the_commit() {
    let output = sidecar().arg("--version").output().unwrap();
    let revision = option_env!("REVISION").unwrap_or("unknown");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("amp-sidecar {} ({revision})\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_port_in_use_is_named_and_exits_with_69() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (format, level) in [
        ("json", "\"level\":\"ERROR\",\"message\":\"cannot start\""),
        ("logfmt", "level=ERROR message=\"cannot start\""),
        ("text", "ERROR"),
    ] {
        let mut command = sidecar();
        command
            .envs(MINIMAL)
            .args(["--listen", &address, "--admin-listen", "127.0.0.1:0"]);
        let [log, _] = failed(command.args(["--log-format", format]), 69);
        let last = log.lines().last().unwrap();
        for words in [level, &address, "--listen"] {
            assert!(last.contains(words), "{words}: {log}");
        }
    }
}

#[test]
fn a_valid_configuration_starts_whatever_the_token_and_sts_say_and_a_signal_ends_it() {
    for signal in ["-TERM", "-INT"] {
        let arguments = [
            "run",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--drain-idle",
            "100ms",
        ];
        let mut process = sidecar()
            .envs(MINIMAL)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(700));
        assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
        let kill = Command::new("kill")
            .args([signal, &process.id().to_string()])
            .status()
            .unwrap();
        assert!(kill.success());
        let started = Instant::now();
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(started.elapsed() < Duration::from_secs(3));
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            assert!(
                serde_json::from_str::<serde_json::Value>(line).is_ok(),
                "no JSON: {line}"
            );
        }
    }
}

#[test]
fn config_shows_what_counts_and_a_schema_and_does_nothing() {
    let shown = sidecar()
        .envs(MINIMAL)
        .args(["config", "--session-duration", "2h"])
        .output()
        .unwrap();
    assert!(shown.status.success());
    let words = String::from_utf8(shown.stdout).unwrap();
    assert!(
        words.contains("session_duration: 2h\n") && words.contains("workspace_id: ws-1\n"),
        "{words}"
    );

    let schema = sidecar().args(["config", "--schema"]).output().unwrap();
    assert!(schema.status.success());
    assert!(serde_json::from_slice::<serde_json::Value>(&schema.stdout).is_ok());
}

/// A likely mistake is the same warning in `config`, `check` and at the start, and fails none of them.
#[test]
fn warnings_are_shown_by_config_check_and_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.pem");
    let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let root = params.self_signed(&rcgen::KeyPair::generate().unwrap());
    let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&bundle, format!("{not_der}{}", root.unwrap().pem())).unwrap();
    let with_both = || {
        let mut command = sidecar();
        command
            .envs(MINIMAL)
            .env("AWS_CA_BUNDLE", &bundle)
            .env("AMP_SIDECAR_WORKSPACE", "ws-1")
            .env("AMP_SIDECAR_SERVICE_HOST", "10.0.0.1");
        command
    };
    let words = [
        "AMP_SIDECAR_WORKSPACE is not a setting and is ignored: did you mean AMP_SIDECAR_WORKSPACE_ID?"
            .to_owned(),
        format!(
            "AWS_CA_BUNDLE: certificate 1 of 2 in {}: it is not an X.509 certificate",
            bundle.display()
        ),
    ];

    let shown = with_both().arg("config").output().unwrap();
    assert!(shown.status.success());
    let stderr = String::from_utf8(shown.stderr).unwrap();
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), words.len(), "{stderr}");
    for (line, words) in lines.iter().zip(&words) {
        assert!(
            line.starts_with(&format!("amp-sidecar: warning: {words}")),
            "{line}"
        );
    }
    assert!(!String::from_utf8(shown.stdout).unwrap().contains("meant?"));

    let checked = with_both().args(["check", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let steps = report["steps"].as_array().unwrap();
    for words in &words {
        let warns = |step: &&serde_json::Value| {
            let evidence = step["evidence"].as_str().unwrap();
            step["step"] == "settings" && evidence.starts_with(words)
        };
        let step = steps
            .iter()
            .find(warns)
            .unwrap_or_else(|| panic!("{words}: {report}"));
        assert_eq!(step["state"], "warning");
    }

    let mut process = with_both()
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(["--drain-idle", "100ms"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
    let pid = process.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let log = String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap();
    for words in &words {
        let line = log.lines().find(|line| line.contains(words.as_str()));
        let line = line.unwrap_or_else(|| panic!("{words}: {log}"));
        assert!(
            line.contains("configuration warning") && line.contains("WARN"),
            "{line}"
        );
    }
}

#[test]
fn a_hangup_reads_the_configuration_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "session_duration: 1h\n").unwrap();
    let mut process = sidecar()
        .envs(MINIMAL)
        .env("AMP_SIDECAR_CONFIG", &file)
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(["--drain-idle", "100ms"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let kill = |signal: &str, id: u32| {
        let sent = Command::new("kill")
            .args([signal, &id.to_string()])
            .status();
        assert!(sent.unwrap().success());
    };
    std::thread::sleep(Duration::from_millis(700));
    kill("-HUP", process.id());
    std::thread::sleep(Duration::from_millis(300));
    assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
    kill("-TERM", process.id());
    let output = process.wait_with_output().unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && log.contains("configuration reloaded"),
        "{log}"
    );
}

#[test]
fn a_second_signal_ends_it_however_long_it_was_to_wait() {
    let arguments = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let mut process = sidecar()
        .envs(MINIMAL)
        .args(arguments)
        .args(["--drain-idle", "60s", "--drain-timeout", "90s"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let mut kill = Command::new("kill");
    kill.args(["-TERM", &process.id().to_string()]);
    assert!(kill.status().unwrap().success());
    std::thread::sleep(Duration::from_millis(700));
    assert!(
        process.try_wait().unwrap().is_none(),
        "the first one drains"
    );
    let started = Instant::now();
    assert!(kill.status().unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Anonymous pages alone: how many of the file's are resident depends on the build and on the page cache. `benches/footprint` measures both
/// of a release build.
#[test]
fn an_idle_sidecar_is_small() {
    let mut process = sidecar()
        .envs(MINIMAL)
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    let anonymous = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    let anonymous: u64 = anonymous.unwrap().parse().unwrap();
    assert!(anonymous < 4 * 1024, "{anonymous} KiB");
}

#[test]
fn a_misspelt_variable_of_a_missing_setting_is_named() {
    let others = MINIMAL.iter().filter(|(name, _)| *name != "AWS_ROLE_ARN");
    let printed = sidecar()
        .envs(others.copied())
        .env("AWS_ROLEARN", "arn:aws:iam::111122223333:role/amp-sidecar")
        .arg("config")
        .output()
        .unwrap();
    assert_eq!(printed.status.code(), Some(64));
    let said = String::from_utf8_lossy(&printed.stderr);
    assert!(
        said.contains("AWS_ROLEARN is set: is AWS_ROLE_ARN meant?"),
        "{said}"
    );
}
