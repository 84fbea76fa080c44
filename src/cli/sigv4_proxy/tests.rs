use super::flags::FLAGS;
use super::*;
use crate::cli::arguments::command;
use crate::config::ALL;

const OURS: &str = "arn:aws:iam::111122223333:role/amp-sidecar";
const OTHER: &str = "arn:aws:iam::444455556666:role/writer";

/// What the webhook of EKS sets in a pod of an annotated service account.
const WEBHOOK: [(&str, &str); 5] = [
    ("AWS_DEFAULT_REGION", "eu-central-1"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ROLE_ARN", OURS),
    (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
    ),
    ("AWS_STS_REGIONAL_ENDPOINTS", "regional"),
];

fn run(line: &str, variables: &[(&str, &str)]) -> (String, ForeignArguments) {
    let line = format!("amp-sidecar {line}");
    let arguments = line.split_whitespace().map(OsString::from).collect();
    let env = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let (arguments, foreign) = translate(arguments, &env);
    let words: Vec<&str> = arguments
        .iter()
        .skip(1)
        .map(|word| word.to_str().unwrap())
        .collect();
    (words.join(" "), foreign)
}

/// Each with the webhook's variables: what is written, and what it becomes.
#[test]
fn a_command_line_becomes_ours() {
    const HOST: &str = "--name aps --host aps-workspaces.eu-central-1.amazonaws.com";
    for (theirs, ours) in [
        // AWS' recipe for the Prometheus chart, and the form in prometheusSpec.containers.
        (
            format!("{HOST} --region eu-central-1 --port :8005"),
            "--region eu-central-1 --listen 127.0.0.1:8005".to_owned(),
        ),
        (
            "--name=aps --region=eu-central-1 --host=aps-workspaces.eu-central-1.amazonaws.com --port=:8005".to_owned(),
            "--region=eu-central-1 --listen 127.0.0.1:8005".to_owned(),
        ),
        (
            format!("{HOST} -v --log-failed-requests --log-signing-process"),
            "--listen 127.0.0.1:8080 --log-level debug".to_owned(),
        ),
        (
            format!("run {HOST} --verbose --log-level info --port 127.0.0.1:9090"),
            "run --log-level info --listen 127.0.0.1:9090".to_owned(),
        ),
        (
            format!("{HOST} --port localhost:8005 -s Authorization -sCookie --strip X-Scope-OrgID"),
            "--listen 127.0.0.1:8005".to_owned(),
        ),
        (
            format!("{HOST} --port 0.0.0.0:8005 --transport.idle-conn-timeout 60s"),
            "--listen 0.0.0.0:8005".to_owned(),
        ),
        (
            format!("{HOST} --listen 127.0.0.1:1 --port :2 --upstream-url-scheme https"),
            "--listen 127.0.0.1:1".to_owned(),
        ),
        (
            "--name aps --host aps-workspaces.us-west-2.amazonaws.com --port :8005".to_owned(),
            "--amp-endpoint https://aps-workspaces.us-west-2.amazonaws.com --listen 127.0.0.1:8005".to_owned(),
        ),
        (
            "--host localhost:1 --upstream-url-scheme http --port :8005".to_owned(),
            "--amp-endpoint http://localhost:1 --listen 127.0.0.1:8005".to_owned(),
        ),
        (
            "--host vpce-1-a.aps-workspaces.eu-central-1.vpce.amazonaws.com --sign-host aps-workspaces.eu-central-1.amazonaws.com --port :8005".to_owned(),
            "--amp-endpoint https://vpce-1-a.aps-workspaces.eu-central-1.vpce.amazonaws.com --listen 127.0.0.1:8005".to_owned(),
        ),
        // A role there is assumed second; one that is the pod's own already is not assumed again.
        (
            format!("{HOST} --port :8005 --role-arn {OTHER} --workspace-id ws-1"),
            format!("--workspace-id ws-1 --listen 127.0.0.1:8005 --assume-role {OTHER}"),
        ),
        (
            format!("{HOST} --port :8005 --role-arn={OURS} --workspace-id ws-1"),
            "--workspace-id ws-1 --listen 127.0.0.1:8005".to_owned(),
        ),
        (
            format!("-v --role-arn {OTHER}"),
            format!("--role-arn {OTHER} --log-level debug"),
        ),
    ] {
        let (arguments, foreign) = run(&theirs, &WEBHOOK);
        assert_eq!(arguments, ours, "{theirs}");
        assert_eq!(foreign.errors, [], "{theirs}");
        let warning = foreign.warning.unwrap();
        assert!(warning.starts_with("arguments of aws-sigv4-proxy are accepted; write "));
        let line = std::iter::once("amp-sidecar").chain(arguments.split(' '));
        command().try_get_matches_from(line).unwrap();
    }
}

#[test]
fn without_a_role_of_the_pod_theirs_is_the_one_to_assume_with_the_token() {
    let (arguments, _) = run(&format!("--name aps --port :1 --role-arn {OTHER}"), &[]);
    assert_eq!(
        arguments,
        format!("--role-arn {OTHER} --listen 127.0.0.1:1")
    );
}

#[test]
fn the_warning_names_todays_form_and_no_value_of_theirs() {
    let line = format!(
        "--name aps --host h --port :8005 -v --role-arn {OTHER} --custom-headers X-Key=secret --strip Cookie"
    );
    let (_, foreign) = run(&line, &WEBHOOK);
    assert_eq!(
        foreign.warning.unwrap(),
        format!(
            "arguments of aws-sigv4-proxy are accepted; write --amp-endpoint https://h --listen 127.0.0.1:8005 \
             --log-level debug --assume-role {OTHER} instead of --host, --port, --verbose, --role-arn, and nothing instead \
             of --name, --custom-headers, --strip; only this pod reaches it now: it listens on loopback; \
             see docs/from-aws-sigv4-proxy.md"
        )
    );
}

#[test]
fn what_cannot_be_honoured_is_an_error_with_its_reason() {
    for (line, setting, words) in [
        ("--name s3", "--name", "alone"),
        (
            "--name aps --unsigned-payload",
            "--unsigned-payload",
            "covers the body",
        ),
        (
            "--name aps --no-verify-ssl",
            "--no-verify-ssl",
            "--ca-bundle",
        ),
        (
            "--host 127.0.0.1:9 --sign-host aps-workspaces.eu-central-1.amazonaws.com",
            "--sign-host",
            "--https-proxy",
        ),
    ] {
        let (_, foreign) = run(line, &WEBHOOK);
        let [error] = &foreign.errors[..] else {
            panic!("{line}: {:?}", foreign.errors)
        };
        assert_eq!(error.setting, setting);
        assert!(error.expected.contains(words), "{error}");
    }
    let (_, foreign) = run("--name aps --no-verify-ssl=false", &WEBHOOK);
    assert_eq!(foreign.errors, []);
}

#[test]
fn a_line_without_such_arguments_stays_as_it_is() {
    for line in [
        "",
        "--region eu-central-1 --role-arn x",
        "--role-session-name --host --workspace-id -v",
        "setup kubernetes --name x",
        "-h",
        "-V",
        "--listn x",
    ] {
        let (arguments, foreign) = run(line, &WEBHOOK);
        assert_eq!(arguments, line);
        assert_eq!(foreign.warning, None, "{line}");
        assert!(!foreign.names_host);
    }
}

#[test]
fn the_page_has_a_row_for_each_argument_and_none_has_a_name_of_ours() {
    let page = include_str!("../../../docs/from-aws-sigv4-proxy.md");
    for argument in &FLAGS {
        let row = |end| format!("| `--{}{end}", argument.flag);
        let has = |end| page.contains(&row(end));
        assert!(has('`') || has(' '), "{}", row('`'));
        assert!(ALL.iter().all(|setting| setting.flag != argument.flag));
    }
}
