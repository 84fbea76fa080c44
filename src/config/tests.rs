use super::*;
use std::collections::HashMap;
use std::time::Duration;

mod mistakes;
mod tracing;

pub(super) fn read(flags: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
    read_with(flags, env, None)
}

fn read_with(
    flags: &[(&str, &str)],
    env: &[(&str, &str)],
    memory_limit: Option<u64>,
) -> Result<Config, InvalidConfig> {
    let map = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let (flags, env) = (map(flags), map(env));
    let around = Environment {
        env: &|name| env.get(name).cloned(),
        variables: env.keys().cloned().collect(),
        memory_limit,
        pod_namespace: Some("monitoring".to_owned()),
        stdout_is_terminal: false,
    };
    Config::read(&|setting| flags.get(setting.flag).cloned(), &around)
}

pub(super) const MINIMAL: &[(&str, &str)] = &[
    ("AWS_REGION", "eu-central-1"),
    ("AMP_SIDECAR_WORKSPACE_ID", "ws-1"),
    ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/amp"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/token"),
];

/// The flags or keys of the settings with errors.
fn named(invalid: &InvalidConfig) -> Vec<&str> {
    let names = invalid.errors.iter().map(|error| error.setting.split(' '));
    names.filter_map(|mut words| words.next()).collect()
}

fn message(read: Result<Config, InvalidConfig>) -> String {
    read.unwrap_err().to_string()
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [MINIMAL, more].concat()
}

#[test]
fn the_four_variables_are_enough() {
    let config = read(&[], &with(&[("HOSTNAME", "prometheus-0")])).unwrap();
    let Workspace {
        remote_write_url,
        identity,
        limits,
        ..
    } = &config.workspaces[0];
    assert_eq!(config.listen.to_string(), "127.0.0.1:8005");
    assert_eq!(config.admin_listen.to_string(), "[::]:8006");
    assert_eq!(
        remote_write_url.to_string(),
        "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"
    );
    assert_eq!(
        identity.sts_endpoint.to_string(),
        "https://sts.eu-central-1.amazonaws.com/"
    );
    assert_eq!(
        identity.signing().unwrap().name.as_deref(),
        Some("prometheus-0.monitoring")
    );
    assert_eq!(
        identity.signing().unwrap().duration,
        Duration::from_secs(3600)
    );
    assert_eq!(limits.upstream_timeout, Duration::from_secs(25));
    assert_eq!(limits.max_body_bytes, 32 << 20);
    assert_eq!(limits.max_inflight_bytes, 64 << 20);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn a_flag_beats_the_environment_and_an_empty_variable_is_none() {
    let env = with(&[
        ("AWS_DEFAULT_REGION", "us-west-2"),
        ("AMP_SIDECAR_LISTEN", ""),
    ]);
    let region = |flags: &[(&str, &str)]| read(flags, &env).unwrap().workspaces[0].region.clone();
    assert_eq!(region(&[]), "eu-central-1");
    assert_eq!(region(&[("region", "us-east-1")]), "us-east-1");
}

#[test]
fn region_and_workspace_are_taken_from_a_regional_url() {
    let env = &MINIMAL[2..];
    let url = "https://aps-workspaces.us-west-2.amazonaws.com/workspaces/ws-7/api/v1/remote_write";
    let config = read(&[("remote-write-url", url)], env).unwrap();
    assert_eq!(
        (
            config.workspaces[0].region.as_str(),
            config.workspaces[0].id.as_str()
        ),
        ("us-west-2", "ws-7")
    );

    let private = "https://vpce-1.aps-workspaces.us-west-2.vpce.amazonaws.com/workspaces/ws-7/api/v1/remote_write";
    let error = message(read(&[("remote-write-url", private)], env));
    assert!(
        error.contains("--region") && error.contains("is not in the host"),
        "{error}"
    );
    assert!(
        read(
            &[("remote-write-url", private), ("region", "us-west-2")],
            env
        )
        .is_ok()
    );
}

#[test]
fn contradictions_are_named() {
    let url = "https://aps-workspaces.us-west-2.amazonaws.com/workspaces/ws-7/api/v1/remote_write";
    let flags = [("remote-write-url", url), ("region", "eu-central-1")];
    let error = read(&flags, MINIMAL).unwrap_err();
    let settings = named(&error);
    assert_eq!(settings, ["--workspace-id", "--region"]);

    let slash = format!("{url}/");
    let error = message(read(&[("remote-write-url", &slash)], &MINIMAL[2..]));
    let words = format!("expected the workspace's remote-write URL: {url}");
    assert!(
        error.contains(&words) && !error.contains(&format!("URL: {slash}")),
        "{error}"
    );
}

#[test]
fn all_errors_are_named_at_once_each_with_setting_value_and_remedy() {
    let env = [
        ("AMP_SIDECAR_LISTEN", "0.0.0.0:8005"),
        ("AMP_SIDECAR_ADMIN_LISTEN", "8006"),
        ("AWS_REGION", "Frankfurt"),
        (
            "AMP_SIDECAR_WORKSPACE_ID",
            "arn:aws:aps:eu-central-1:111122223333:workspace/ws-1",
        ),
        ("AWS_ROLE_ARN", "amp"),
        ("AMP_SIDECAR_SESSION_DURATION", "5m"),
        ("AWS_ENDPOINT_URL_STS", "http://sts.example.com"),
        ("AWS_CA_BUNDLE", "/does/not/exist"),
        ("AMP_SIDECAR_UPSTREAM_TIMEOUT", "25"),
        ("AMP_SIDECAR_MAX_BODY_BYTES", "lots"),
        ("AMP_SIDECAR_LOG", "loud"),
        ("AMP_SIDECAR_LOG_FORMAT", "xml"),
    ];
    let error = read(&[], &env).unwrap_err();
    // Each of the twelve, and the token file that is not there.
    assert_eq!(error.errors.len(), 13, "{error}");
    for (name, value) in env {
        let line = error
            .errors
            .iter()
            .find(|fault| {
                fault
                    .setting
                    .split(['(', ')', ',', ' '])
                    .any(|word| word == name)
            })
            .unwrap_or_else(|| panic!("{name}: {error}"));
        assert_eq!(line.value, value);
        assert!(!line.expected.is_empty());
    }
    let missing = error
        .errors
        .iter()
        .find(|fault| fault.setting.contains("AWS_WEB_IDENTITY_TOKEN_FILE"))
        .unwrap();
    assert_eq!(
        missing.to_string(),
        "--web-identity-token-file (AWS_WEB_IDENTITY_TOKEN_FILE) not set: expected the path of the projected service-account token"
    );
}

#[test]
fn one_error_does_not_hide_another() {
    let error = read(&[("region", "x")], &[]).unwrap_err();
    let named = named(&error);
    assert_eq!(
        named,
        [
            "--region",
            "--workspace-id",
            "--role-arn",
            "--web-identity-token-file"
        ]
    );
}

#[test]
fn secrets_are_redacted() {
    let token = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2ln";
    let error = message(read(
        &[
            ("remote-write-url", "https://me:hunter2@example.com/x"),
            ("web-identity-token-file", token),
        ],
        MINIMAL,
    ));
    assert!(
        !error.contains("hunter2") && !error.contains("c2VjcmV0"),
        "{error}"
    );
    assert!(
        error.contains("https://[withheld]@example.com/x")
            && error.contains("not the token itself"),
        "{error}"
    );
}

#[test]
fn a_proxys_password_is_redacted_with_and_without_a_scheme() {
    for proxy in [
        "socks5://me:hunter2@proxy:1",
        "me:hunter2://x@proxy:port",
        "me:hunter2@proxy:port",
        "http://me:hunter2@proxy/path",
    ] {
        let error = read(&[], &with(&[("HTTPS_PROXY", proxy)]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("[withheld]@proxy") && !error.contains("hunter2"),
            "{error}"
        );
    }
    let config = read(
        &[("no-proxy", "*")],
        &with(&[("https_proxy", "http://me:hunter2@proxy:3128")]),
    )
    .unwrap();
    assert!(
        config
            .network
            .proxy_for(&config.workspaces[0].remote_write_url)
            .is_none()
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn the_budget_follows_the_memory_limit() {
    let budget = |limit| {
        read_with(&[], MINIMAL, Some(limit)).unwrap().workspaces[0]
            .limits
            .clone()
    };
    assert_eq!(budget(64 << 20).max_inflight_bytes, 16 << 20);
    assert_eq!(budget(1 << 40).max_inflight_bytes, 64 << 20);
    let small = budget(32 << 20);
    assert_eq!(
        (small.max_inflight_bytes, small.max_body_bytes),
        (8 << 20, 8 << 20)
    );
    let error = message(read_with(
        &[("max-body-bytes", "9MiB")],
        MINIMAL,
        Some(32 << 20),
    ));
    assert!(error.contains("at most --max-inflight-bytes"), "{error}");
}

#[test]
fn accepting_unauthenticated_clients_takes_two_settings() {
    let open = [("listen", "0.0.0.0:8005")];
    assert!(read(&open, MINIMAL).is_err());
    assert!(
        read(
            &[("listen", "0.0.0.0:8005"), ("allow-non-loopback", "true")],
            MINIMAL
        )
        .is_ok()
    );
    assert!(read(&[("listen", "[::1]:8005")], MINIMAL).is_ok());
    assert!(read(&[("admin-listen", "127.0.0.1:8005")], MINIMAL).is_err());
}

pub(super) fn read_file(text: &str, env: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    read(&[("config", &path)], env).map_err(|rejected| {
        // Tests should not depend on the file's location.
        let faults = rejected.errors.into_iter().map(|fault| SettingError {
            setting: fault.setting.replace(&path, "config.yaml"),
            ..fault
        });
        InvalidConfig {
            errors: faults.collect(),
            warnings: rejected.warnings,
        }
    })
}

const TWO: &str = "
listen: 127.0.0.1:9005
role_arn: arn:aws:iam::111122223333:role/amp
web_identity_token_file: /var/run/secrets/token
workspaces:
  - name: frankfurt
    workspace_id: ws-1
    region: eu-central-1
    session_duration: 2h
  - workspace_id: ws-2
    region: us-west-2   # of another company
    role_arn: arn:aws:iam::444455556666:role/amp
";

#[test]
fn an_entry_beats_the_environment_which_beats_the_top_of_the_file() {
    let env = [
        ("AWS_REGION", "ap-south-1"),
        ("AMP_SIDECAR_SESSION_DURATION", "3h"),
        ("AMP_SIDECAR_LISTEN", "127.0.0.1:7005"),
        ("AWS_ROLE_ARN", "arn:aws:iam::777788889999:role/injected"),
    ];
    let config = read_file(TWO, &env).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7005");
    let [first, second] = config.workspaces.as_slice() else {
        panic!("two workspaces")
    };
    assert_eq!(
        (first.name.as_str(), second.name.as_str()),
        ("frankfurt", "ws-2")
    );
    assert_eq!(
        (first.region.as_str(), second.region.as_str()),
        ("eu-central-1", "us-west-2")
    );
    let hours =
        |workspace: &Workspace| workspace.identity.signing().unwrap().duration.as_secs() / 3600;
    assert_eq!((hours(first), hours(second)), (2, 3));
    assert_eq!(
        first.identity.signing().unwrap().role_arn,
        "arn:aws:iam::777788889999:role/injected"
    );
    assert_eq!(
        second.identity.signing().unwrap().role_arn,
        "arn:aws:iam::444455556666:role/amp"
    );
    assert_eq!(
        first.limits.max_inflight_bytes,
        32 << 20,
        "the budget is shared out"
    );
}

#[test]
fn every_error_of_a_file_is_named_with_its_path_and_line() {
    let error = read_file(
        "listen: 0.0.0.0:1\nworkspaces:\n  - workspace_id: ws-1\n    region: Frankfurt\n  - region: us-west-2\n",
        &MINIMAL[2..],
    )
    .unwrap_err();
    let named: Vec<&str> = error
        .errors
        .iter()
        .map(|fault| fault.setting.as_str())
        .collect();
    assert_eq!(
        named,
        [
            "listen (config.yaml, line 1)",
            "workspaces[0].region (config.yaml, line 4)",
            "workspaces[1].workspace_id (config.yaml)",
        ],
        "{error}"
    );
}

#[test]
fn the_form_of_a_file_is_checked_before_its_values() {
    let cases = [
        (
            "role_arm: x",
            "role_arm (config.yaml, line 1) is \"[withheld]\": expected a setting; did you mean role_arn?",
        ),
        ("xyzzy: x", "expected a setting: a flag of --help"),
        (
            "workspaces: [{workspace: ws-1}]",
            "expected a setting; did you mean workspace_id?",
        ),
        ("workspace: [ws-1]", "did you mean workspaces?"),
        ("region: {{ .Values.region }}", "placeholder"),
        (
            "workspaces: [{listen: x}]",
            "workspaces[0].listen (config.yaml, line 1) is \"x\": expected this setting at the top",
        ),
        ("workspaces: ws-1", "a list of workspaces"),
        ("workspaces: [ws-1]", "the settings of a workspace"),
        ("region: {a: b}", "expected one value or a list of values"),
        ("region: a\nregion: b", "each setting only once"),
        ("- a", "settings as `key: value`"),
        (
            "region: [",
            "(config.yaml, line 2) is \"the end\": expected YAML: ",
        ),
        ("region: &x b\n<<: *x", "<< needs a mapping"),
        (
            "config: x",
            "`config` is not allowed inside a configuration file",
        ),
        (
            "aws_secret_access_key: planted",
            "aws_secret_access_key (config.yaml, line 1) is \"[withheld]\": expected a setting",
        ),
        ("---\na: b\n---\na: b", "a second document"),
        (
            "\"regi\\non\\e[31m\": 1",
            "regi on [31m (config.yaml, line 1) is \"[withheld]\": expected a setting; did you mean region?",
        ),
    ];
    for (text, expected) in cases {
        let error = read_file(text, MINIMAL).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let deep = "a: ".to_owned() + &"[".repeat(10_000);
    assert!(read_file(&deep, MINIMAL).is_err());
    for nothing in [
        "",
        "# nothing\n",
        "---\n",
        "region:\n",
        "region: ~\n",
        "workspaces: []\n",
    ] {
        assert!(read_file(nothing, MINIMAL).is_ok(), "{nothing:?}");
    }
}

#[test]
fn two_workspaces_may_share_neither_name_nor_id() {
    for second in ["workspace_id: ws-1", "workspace_id: ws-2\n    name: ws-1"] {
        let text = format!("workspaces:\n  - workspace_id: ws-1\n  - {second}\n");
        let error = read_file(&text, MINIMAL).unwrap_err().to_string();
        assert!(
            error.contains("workspaces[1].name") && error.contains("workspaces[0]"),
            "{error}"
        );
    }
}

/// The result of flags and variables: the two URLs, or the invalid settings.
fn endpoints(
    flags: &[(&str, &str)],
    env: &[(&str, &str)],
) -> Result<(String, String), Vec<String>> {
    match read(flags, env) {
        Ok(config) => {
            let [workspace] = config.workspaces.as_slice() else {
                panic!("one workspace");
            };
            let sts = workspace.identity.sts_endpoint.to_string();
            Ok((workspace.remote_write_url.to_string(), sts))
        }
        Err(invalid) => Err(named(&invalid).into_iter().map(str::to_owned).collect()),
    }
}

#[test]
fn endpoints_follow_awss_variables_in_their_order() {
    const PATH: &str = "/workspaces/ws-1/api/v1/remote_write";
    let found = |env: &[(&str, &str)]| endpoints(&[], &with(env)).unwrap();
    let (amp, sts) = found(&[("AWS_ENDPOINT_URL", "https://aws.example.com/base/")]);
    assert_eq!(amp, format!("https://aws.example.com/base{PATH}"));
    assert_eq!(sts, "https://aws.example.com/base/");
    let each = [
        ("AWS_ENDPOINT_URL", "https://aws.example.com"),
        ("AWS_ENDPOINT_URL_STS", "https://sts.example.com"),
        (
            "AWS_ENDPOINT_URL_AMP",
            "https://vpce-1.aps-workspaces.eu-central-1.vpce.amazonaws.com",
        ),
    ];
    let (amp, sts) = found(&each);
    assert_eq!(
        amp,
        format!("https://vpce-1.aps-workspaces.eu-central-1.vpce.amazonaws.com{PATH}")
    );
    assert_eq!(sts, "https://sts.example.com/");
    let whole = (
        "AMP_SIDECAR_REMOTE_WRITE_URL",
        "https://amp.example.com/workspaces/ws-1/api/v1/remote_write",
    );
    assert_eq!(
        found(&[whole, each[2]]).0,
        format!("https://amp.example.com{PATH}")
    );

    let ignored = [
        &each[..],
        &[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")],
    ]
    .concat();
    let (amp, sts) = found(&ignored);
    assert_eq!(
        amp,
        format!("https://aps-workspaces.eu-central-1.amazonaws.com{PATH}")
    );
    assert_eq!(sts, "https://sts.eu-central-1.amazonaws.com/");
    // A flag is no configured URL.
    let sts = endpoints(
        &[("sts-endpoint", "https://sts.example.com")],
        &with(&ignored),
    )
    .unwrap()
    .1;
    assert_eq!(sts, "https://sts.example.com/");
}

#[test]
fn fips_dual_stack_and_sts_region_choose_among_awss_hosts() {
    let env = with(&[
        ("AWS_USE_DUALSTACK_ENDPOINT", "TRUE"),
        ("AMP_SIDECAR_STS_REGION", "us-east-1"),
    ]);
    let (amp, sts) = endpoints(
        &[("region", "ca-central-1"), ("use-fips-endpoint", "true")],
        &env,
    )
    .unwrap();
    assert!(
        amp.starts_with("https://aps-workspaces-fips.ca-central-1.api.aws/workspaces/"),
        "{amp}"
    );
    assert_eq!(sts, "https://sts-fips.us-east-1.api.aws/");
}

#[test]
fn contradicting_endpoints_are_all_named() {
    let private = "https://vpce-1.aps-workspaces.us-west-2.vpce.amazonaws.com";
    for (flags, named) in [
        (
            &[("use-fips-endpoint", "true")][..],
            &["--use-fips-endpoint", "--use-fips-endpoint"][..],
        ),
        (
            &[("amp-endpoint", private), ("region", "eu-central-1")],
            &["--region"],
        ),
        (&[("region", "cn-north-1")], &["--region", "--role-arn"]),
        (&[("region", "us-gov-west-1")], &["--role-arn"]),
        (&[("sts-region", "us-gov-west-1")], &["--sts-region"]),
        (
            &[("sts-region", "Ohio"), ("sts-endpoint", "nowhere")],
            &["--sts-region", "--sts-endpoint"],
        ),
        (
            &[
                ("use-dualstack-endpoint", "true"),
                ("endpoint-url", "https://aws.example.com"),
            ],
            &["--use-dualstack-endpoint"],
        ),
        (&[("use-fips-endpoint", "maybe")], &["--use-fips-endpoint"]),
    ] {
        assert_eq!(endpoints(flags, MINIMAL).unwrap_err(), named, "{flags:?}");
    }
    let china = [
        ("region", "cn-north-1"),
        ("role-arn", "arn:aws-cn:iam::111122223333:role/amp"),
        ("amp-endpoint", "https://amp.example.com"),
    ];
    assert_eq!(
        endpoints(&china, MINIMAL).unwrap().1,
        "https://sts.cn-north-1.amazonaws.com.cn/"
    );
}

#[test]
fn queries_are_off_unless_they_are_allowed() {
    let query = |more: &[(&str, &str)]| {
        let config = read(&[], &with(more));
        config.map(|config| config.workspaces[0].query.clone())
    };
    let switch = "AMP_SIDECAR_ALLOW_QUERY";
    let timeout = "AMP_SIDECAR_QUERY_TIMEOUT";
    let allowed = |seconds| {
        let timeout = Duration::from_secs(seconds);
        Some(QueryConfig {
            prometheus: true,
            alertmanager: Alertmanager::Off,
            timeout,
        })
    };
    assert_eq!(query(&[]).unwrap(), None);
    assert_eq!(query(&[(switch, "false")]).unwrap(), None);
    assert_eq!(query(&[(switch, "true")]).unwrap(), allowed(120));
    let short = [(switch, "1"), (timeout, "10s")];
    assert_eq!(query(&short).unwrap(), allowed(10));
    let alertmanager = "AMP_SIDECAR_ALLOW_ALERTMANAGER";
    assert_eq!(query(&[(alertmanager, "off")]).unwrap(), None);
    for (text, expected) in [
        ("read", Alertmanager::Read),
        ("silence", Alertmanager::Silence),
    ] {
        let query = query(&[(alertmanager, text)]).unwrap().unwrap();
        assert_eq!((query.prometheus, query.alertmanager), (false, expected));
    }
    assert!(query(&[(alertmanager, "true")]).is_err());
    assert!(query(&[(switch, "perhaps")]).is_err());
    assert!(query(&[(timeout, "11m")]).is_err());
}
