//! Common mistakes: some are accepted as they were meant, the others are reported.

use super::*;
use crate::tls_files::root;

const URL: &str =
    "https://aps-workspaces.us-west-2.amazonaws.com/workspaces/ws-7/api/v1/remote_write";

#[test]
fn line_ends_and_spaces_around_a_value_are_left_out() {
    let env: Vec<(&str, String)> = MINIMAL
        .iter()
        .map(|(name, value)| (*name, format!(" {value}\r\n")))
        .chain([
            (
                "AWS_ENDPOINT_URL_STS",
                "https://sts.example.com/\n".to_owned(),
            ),
            ("AMP_SIDECAR_SESSION_DURATION", "2h\n".to_owned()),
            ("AMP_SIDECAR_LISTEN", "\n".to_owned()),
            ("POD_NAME", "prometheus-0\n".to_owned()),
        ])
        .collect();
    let env: Vec<_> = env
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let found = read(&[("upstream-timeout", "7s\n")], &env).unwrap();
    let plain = with(&[
        ("AWS_ENDPOINT_URL_STS", "https://sts.example.com/"),
        ("AMP_SIDECAR_SESSION_DURATION", "2h"),
        ("POD_NAME", "prometheus-0"),
    ]);
    let plain = read(&[("upstream-timeout", "7s")], &plain).unwrap();
    assert_eq!(found.workspaces, plain.workspaces);
    assert_eq!(found.listen, plain.listen);
    let file = "region: \"eu-west-1 \\n\"\nlisten: \" \\n\"\n";
    let of_file = read_file(file, &MINIMAL[1..]).unwrap();
    assert_eq!(of_file.workspaces[0].region, "eu-west-1");
}

#[test]
fn a_value_in_quotes_is_named() {
    for (name, value) in [
        ("AWS_REGION", "\"eu-central-1\""),
        ("AMP_SIDECAR_WORKSPACE_ID", "'ws-1'"),
        ("AWS_ROLE_ARN", "\"arn:aws:iam::111122223333:role/amp\""),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "\"/var/run/secrets/token\""),
        ("AMP_SIDECAR_REMOTE_WRITE_URL", "\"https://a.example/\""),
        ("HTTPS_PROXY", "\"http://me:hunter2@proxy:3128\""),
        (
            "AMP_SIDECAR_ASSUME_ROLE",
            "\"arn:aws:iam::111122223333:role/b\"",
        ),
    ] {
        let env: Vec<_> = with(&[])
            .into_iter()
            .filter(|(other, _)| *other != name)
            .collect();
        let env = [env, vec![(name, value)]].concat();
        let error = read(&[], &env).unwrap_err();
        let [fault] = error.errors.as_slice() else {
            panic!("{error}");
        };
        let words = fault.to_string();
        assert!(
            words.contains(name) && words.ends_with("without quotes"),
            "{words}"
        );
        assert!(!words.contains("hunter2"), "{words}");
    }
    let pasted = "\"eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2ln\"";
    let error = read(&[("web-identity-token-file", pasted)], MINIMAL).unwrap_err();
    assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
}

#[test]
fn a_region_that_a_platform_injects_yields_to_that_of_the_url_with_a_warning() {
    let env = &with(&[])[..];
    let env: Vec<_> = env
        .iter()
        .filter(|(name, _)| !name.contains("WORKSPACE"))
        .copied()
        .collect();
    let private = "https://vpce-1.aps-workspaces.us-west-2.vpce.amazonaws.com/workspaces/ws-7/api/v1/remote_write";
    for url in [URL, private] {
        let config = read(&[("remote-write-url", url)], &env).unwrap();
        assert_eq!(config.workspaces[0].region, "us-west-2");
        assert_eq!(config.workspaces[0].identity.sts_region, "us-west-2");
        assert_eq!(
            config.warnings,
            [
                "AWS_REGION: eu-central-1 is not the region in the host of --remote-write-url, us-west-2, which is used; set it to us-west-2, or pass --region us-west-2"
            ]
        );
        let sections: Vec<_> = config.workspace_sections().collect();
        let region = sections[0]
            .settings
            .iter()
            .find(|row| row.setting.flag == "region");
        assert_eq!(region.unwrap().from, "from the host of --remote-write-url");
    }
    // Set explicitly it is a mistake.
    let said = [("remote-write-url", URL), ("region", "eu-central-1")];
    let error = read(&said, &env).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the region in the host of --remote-write-url, us-west-2, or no value"),
        "{error}"
    );
    let file = format!("workspaces:\n  - remote_write_url: {URL}\n    region: eu-central-1\n");
    assert!(read_file(&file, &MINIMAL[2..]).is_err());
    // The file's URL beside the injected variable, for one of two workspaces.
    let file = format!("workspaces:\n  - remote_write_url: {URL}\n  - workspace_id: ws-2\n");
    let config = read_file(&file, &env).unwrap();
    let regions: Vec<_> = config
        .workspaces
        .iter()
        .map(|one| one.region.as_str())
        .collect();
    assert_eq!(regions, ["us-west-2", "eu-central-1"]);
    assert_eq!(config.warnings.len(), 1);
    // Agreement, and hosts without a region, cause no warning.
    let agrees = [("remote-write-url", URL), ("region", "us-west-2")];
    assert!(read(&agrees, &env).unwrap().warnings.is_empty());
    let elsewhere = "https://amp.example.com/workspaces/ws-7/api/v1/remote_write";
    let config = read(&[("remote-write-url", elsewhere)], &env).unwrap();
    assert_eq!(
        (config.workspaces[0].region.as_str(), config.warnings.len()),
        ("eu-central-1", 0)
    );
}

#[test]
fn terraforms_endpoint_is_refused_with_what_to_set() {
    let endpoint = "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/";
    let whole =
        "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write";
    for (flag, words) in [
        (
            "amp-endpoint",
            format!(
                "expected the base URL alone, https://aps-workspaces.eu-central-1.amazonaws.com; or the workspace's whole URL as --remote-write-url: {whole}"
            ),
        ),
        ("endpoint-url", format!("as --remote-write-url: {whole}")),
        (
            "remote-write-url",
            format!("expected the workspace's remote-write URL: {whole}"),
        ),
    ] {
        let error = message(read(&[(flag, endpoint)], MINIMAL));
        assert!(error.contains(&words), "{error}");
        assert!(error.contains(&format!("--{flag} ")), "{error}");
    }
    // A base path of a custom endpoint stays.
    let base = [("amp-endpoint", "https://gateway.example.com/amp")];
    let config = read(&base, MINIMAL).unwrap();
    assert_eq!(
        config.workspaces[0].remote_write_url,
        "https://gateway.example.com/amp/workspaces/ws-1/api/v1/remote_write"
    );
}

#[test]
fn exceptions_that_mean_nothing_are_warned_of_where_there_is_a_proxy() {
    let env = with(&[("no_proxy", "fine.example,a.com;b.com")]);
    assert!(read(&[], &env).unwrap().warnings.is_empty());
    let config = read(&[("https-proxy", "HTTP://proxy:3128")], &env).unwrap();
    assert_eq!(
        config.warnings,
        [
            "no_proxy: the entry \"a.com;b.com\" is not valid and is ignored: separate entries with commas: a.com,b.com"
        ]
    );
    assert_eq!(
        config.network.proxy().unwrap().to_string(),
        "http://proxy:3128"
    );
    assert_eq!(
        config.network.no_proxy().unwrap().to_string(),
        "fine.example"
    );
}

#[test]
fn a_bundle_with_one_bad_certificate_is_used_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let bad = "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n";
    std::fs::write(&path, format!("{}{bad}{}", root(), root())).unwrap();
    let path = path.display().to_string();
    let collector = [
        ("otlp-endpoint", "https://c:4318"),
        ("otlp-certificate", path.as_str()),
    ];
    let config = read(&collector, &with(&[("AWS_CA_BUNDLE", &path)])).unwrap();
    assert_eq!(config.extra_roots.len(), 2);
    assert_eq!(config.tracing.as_ref().unwrap().roots.len(), 2);
    let [bundle, certificate] = config.warnings.as_slice() else {
        panic!("{:?}", config.warnings);
    };
    assert!(
        bundle.starts_with(&format!("AWS_CA_BUNDLE: certificate 2 of 3 in {path}: ")),
        "{bundle}"
    );
    assert!(
        certificate.starts_with("--otlp-certificate: certificate 2 of 3"),
        "{certificate}"
    );

    std::fs::write(&path, bad).unwrap();
    let error = message(read(&[("ca-bundle", &path)], MINIMAL));
    assert!(
        error.contains("--ca-bundle") && error.contains("it holds 1, none of which can"),
        "{error}"
    );
}

#[test]
fn a_variable_that_is_misspelt_is_named_beside_what_is_missing() {
    let env = [
        MINIMAL[0],
        ("AMP_SIDECAR_WORKSPACE", "ws-1"),
        MINIMAL[2],
        MINIMAL[3],
    ];
    let error = message(read(&[], &env));
    assert!(
        error.contains("--workspace-id (AMP_SIDECAR_WORKSPACE_ID) not set"),
        "{error}"
    );
    let hint = "AMP_SIDECAR_WORKSPACE is not a setting and is ignored: did you mean AMP_SIDECAR_WORKSPACE_ID?";
    assert!(error.ends_with(&format!("warning: {hint}")), "{error}");
    let env = with(&[
        ("AMP_SIDECAR_WORKSPACE", ""),
        ("AMP_SIDECAR_PORT", "tcp://10.0.0.1:8005"),
    ]);
    assert_eq!(read(&[], &env).unwrap().warnings, [hint]);
}

#[test]
fn credentials_that_are_set_and_not_used_are_named_without_their_values() {
    let others = [
        ("AWS_ACCESS_KEY_ID", "AKIASECRETSECRET"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_PROFILE", "hunter2"),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://hunter2/v1/credentials",
        ),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://hunter2:9911/"),
        ("AWS_CONFIG_FILE", ""),
    ];
    let file = "workspaces:\n  - workspace_id: ws-1\n  - workspace_id: ws-2\n";
    for config in [read(&[], &with(&others)), read_file(file, &with(&others))] {
        assert_eq!(
            config.unwrap().warnings,
            [
                "AWS_ACCESS_KEY_ID: static keys are not used: the role of --role-arn signs",
                "AWS_PROFILE: the credentials of a profile are not used: the role of --role-arn signs",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI: the credentials of EKS Pod Identity or ECS are not used: the role of --role-arn signs",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT: the credentials of instance metadata or Roles Anywhere are not used: the role of --role-arn signs",
            ]
        );
    }
    let without_role = [&MINIMAL[..2], &MINIMAL[3..], &others].concat();
    let error = message(read(&[], &without_role));
    let expected = "expected the ARN of the role to assume with the pod's projected token (`amp-sidecar setup aws` prints how to create it); \
        set but not used: static keys (AWS_ACCESS_KEY_ID, with --credentials file --allow-static-keys), \
        the credentials of a profile (AWS_PROFILE, with --credentials file), \
        the credentials of EKS Pod Identity or ECS (AWS_CONTAINER_CREDENTIALS_FULL_URI, with --credentials container), \
        the credentials of instance metadata or Roles Anywhere (AWS_EC2_METADATA_SERVICE_ENDPOINT, not supported)";
    assert_eq!(
        error,
        format!("--role-arn (AWS_ROLE_ARN) not set: {expected}")
    );
    assert!(!error.contains("hunter2") && !error.contains("AKIA"));
    let none = message(read(&[], &[&MINIMAL[..2], &MINIMAL[3..]].concat()));
    assert!(
        none.ends_with("expected the ARN of the role to assume"),
        "{none}"
    );
}

#[test]
fn the_url_of_queries_is_refused_with_the_one_of_remote_write() {
    for wrong in ["/api/v1/query", "/api/v1/remote_write/", "/api/v1/write"] {
        let url = URL.replace("/api/v1/remote_write", wrong);
        let error = message(read(&[("remote-write-url", &url)], &MINIMAL[1..]));
        let words = format!("expected the workspace's remote-write URL: {URL}");
        assert!(error.contains(&words), "{error}");
    }
}

#[test]
fn a_variable_with_nearly_the_name_of_a_missing_one_is_named_without_its_value() {
    for (set, meant) in [
        ("AWS_ROLEARN", "AWS_ROLE_ARN"),
        ("AWS_REGOIN", "AWS_REGION"),
        ("aws_region", "AWS_REGION"),
        ("AMPSIDECAR_WORKSPACE_ID", "AMP_SIDECAR_WORKSPACE_ID"),
    ] {
        let env = MINIMAL.iter().filter(|(name, _)| *name != meant);
        let env: Vec<_> = env.copied().chain([(set, "hunter2")]).collect();
        let error = message(read(&[], &env));
        let words = format!("; {set} is set: is {meant} meant?");
        assert!(
            error.contains(&words) && !error.contains("hunter2"),
            "{error}"
        );
    }
    let env = MINIMAL.iter().filter(|(name, _)| *name != "AWS_ROLE_ARN");
    let env: Vec<_> = env.copied().chain([("AWS_PROFILE", "x")]).collect();
    let error = message(read(&[], &env));
    assert!(!error.contains("is set: is "), "{error}");
}

#[test]
fn a_placeholder_that_was_not_filled_in_is_named() {
    for (name, value) in [
        ("AMP_SIDECAR_WORKSPACE_ID", "${WORKSPACE_ID}"),
        ("AWS_REGION", "$(REGION)"),
        ("AWS_ROLE_ARN", "arn:aws:iam::<ACCOUNT>:role/amp"),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/${NAME}"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/{{ .Values.token }}"),
        (
            "AMP_SIDECAR_REMOTE_WRITE_URL",
            "https://a.example/workspaces/<id>/api/v1/remote_write",
        ),
    ] {
        let env = MINIMAL.iter().filter(|(other, _)| *other != name);
        let env: Vec<_> = env.copied().chain([(name, value)]).collect();
        let error = message(read(&[], &env));
        assert!(
            error.contains("a placeholder that was not filled in"),
            "{error}"
        );
    }
}

#[test]
fn an_empty_file_is_warned_of() {
    for text in ["", "# nothing\n", "region:\n"] {
        let warnings = read_file(text, MINIMAL).unwrap().warnings;
        let warned = warnings
            .iter()
            .any(|words| words.ends_with("the file is empty"));
        assert_eq!(warned, !text.contains("region"), "{text:?}: {warnings:?}");
    }
}

#[test]
fn a_proxy_for_http_alone_is_warned_of() {
    for name in ["HTTP_PROXY", "http_proxy"] {
        let env = with(&[(name, "http://me:hunter2@proxy:3128")]);
        let words = format!(
            "{name}: AWS is called over https: only HTTPS_PROXY (or --https-proxy) is used, not this one"
        );
        assert_eq!(read(&[], &env).unwrap().warnings, [words]);
        let both = [env, vec![("HTTPS_PROXY", "http://proxy:3128")]].concat();
        assert!(read(&[], &both).unwrap().warnings.is_empty());
    }
}
