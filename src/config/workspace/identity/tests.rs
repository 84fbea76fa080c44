use std::collections::HashMap;
use std::time::Duration;

use crate::config::{
    AzureImdsConfig, Config, ContainerToken, Environment, GceMetadataConfig, IdentityConfig,
    InvalidConfig, RolesAnywhereConfig, SourceConfig, TokenConfig, WebIdentityConfig,
};

const ROLE: &str = "arn:aws:iam::111122223333:role/amp";
const SECOND: &str = "arn:aws:iam::444455556666:role/writer";
const THIRD: &str = "arn:aws:iam::777788889999:role/reader";
const TOKEN: (&str, &str) = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");

/// The variables that Azure's webhook injects into every labelled pod.
const WEBHOOK: [(&str, &str); 4] = [
    ("AZURE_CLIENT_ID", "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a"),
    ("AZURE_TENANT_ID", "9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40"),
    (
        "AZURE_FEDERATED_TOKEN_FILE",
        "/var/run/secrets/azure/tokens/azure-identity-token",
    ),
    ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
];

fn read(flags: &[(&str, &str)], env: &[(&str, &str)]) -> Result<IdentityConfig, InvalidConfig> {
    let env = [&[("AWS_ROLE_ARN", ROLE)], env].concat();
    config(flags, &env).map(|config| config.workspaces[0].identity.clone())
}

/// Of a workspace and these; of two variables of one name the last.
fn config(flags: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
    let flags: HashMap<&str, &str> = flags.iter().copied().collect();
    let env: HashMap<&str, &str> = [
        ("AWS_REGION", "eu-central-1"),
        ("AMP_SIDECAR_WORKSPACE_ID", "ws-1"),
    ]
    .into_iter()
    .chain(env.iter().copied())
    .collect();
    let owned = |value: Option<&&str>| value.map(|value| (*value).to_owned());
    let variable = |name: &str| owned(env.get(name));
    let around = Environment::of(&variable);
    Config::read(&|setting| owned(flags.get(setting.flag)), &around)
}

fn web_identity(identity: &IdentityConfig) -> &WebIdentityConfig {
    match &identity.source {
        SourceConfig::WebIdentity(web_identity) => web_identity,
        other => panic!("not a web identity: {other:?}"),
    }
}

fn faulty(flags: &[(&str, &str)], env: &[(&str, &str)]) -> Vec<String> {
    let rejected = read(flags, env).unwrap_err();
    rejected.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn the_webhooks_variables_are_no_contradiction_but_flags_are() {
    let env: Vec<_> = WEBHOOK.into_iter().chain([TOKEN]).collect();
    assert!(matches!(
        web_identity(&read(&[], &env).unwrap()).token,
        TokenConfig::File(_)
    ));

    let flags = [
        ("azure-client-id", WEBHOOK[0].1),
        ("azure-authority-host", WEBHOOK[3].1),
        ("entra-scope", "api://amp/.default"),
    ];
    let faults = faulty(&flags, &env);
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(
        faults
            .iter()
            .all(|fault| fault.contains("--token-source entra")),
        "{faults:?}"
    );
}

#[test]
fn entra_needs_the_webhooks_variables_and_a_scope_and_misses_all_at_once() {
    let source = ("AMP_SIDECAR_TOKEN_SOURCE", "entra");
    let scope = ("AMP_SIDECAR_ENTRA_SCOPE", "api://amp/.default");
    let env: Vec<_> = WEBHOOK.into_iter().chain([source, scope]).collect();
    let identity = read(&[], &env).unwrap();
    let entra = web_identity(&identity).token.entra().unwrap();
    assert_eq!(
        entra.authority_host.to_string(),
        "https://login.microsoftonline.us/"
    );
    assert_eq!(entra.scope, "api://amp/.default");
    assert!(entra.token_file.ends_with("azure-identity-token"));

    let faults = faulty(&[("web-identity-token-file", "/token")], &[source]);
    let named: Vec<&str> = faults
        .iter()
        .filter_map(|fault| fault.split(' ').next())
        .collect();
    assert_eq!(
        named,
        [
            "--web-identity-token-file",
            "--azure-federated-token-file",
            "--azure-client-id",
            "--azure-tenant-id",
            "--entra-scope"
        ]
    );

    let plain = [("AZURE_AUTHORITY_HOST", "http://login.example.com/")];
    let env: Vec<_> = env.into_iter().chain(plain).collect();
    let faults = faulty(&[], &env);
    assert!(
        faults.len() == 1 && faults[0].contains("loopback only"),
        "{faults:?}"
    );
}

#[test]
fn a_machines_settings_are_few_and_those_of_others_have_no_effect() {
    let source = |name| ("AMP_SIDECAR_TOKEN_SOURCE", name);
    let audience = ("AMP_SIDECAR_TOKEN_AUDIENCE", "api://amp");
    let identity = read(
        &[],
        &[
            source("azure-imds"),
            audience,
            WEBHOOK[1],
            WEBHOOK[2],
            TOKEN,
        ],
    );
    let azure = AzureImdsConfig {
        endpoint: "http://169.254.169.254/".parse().unwrap(),
        audience: "api://amp".to_owned(),
        client_id: None,
    };
    let token = |identity| web_identity(&identity).token.clone();
    assert_eq!(token(identity.unwrap()), TokenConfig::AzureImds(azure));
    let google = GceMetadataConfig {
        host: "169.254.169.254".to_owned(),
        audience: "sts.amazonaws.com".to_owned(),
    };
    let identity = read(&[], &[source("gce-metadata"), WEBHOOK[0]]).unwrap();
    assert_eq!(token(identity), TokenConfig::GceMetadata(google));

    let missing = faulty(&[], &[source("azure-imds")]);
    let [missing] = missing.as_slice() else {
        panic!("{missing:?}");
    };
    assert!(missing.starts_with("--token-audience ") && missing.contains("App ID URI"));
    for (source, flags) in [
        ("gce-metadata", ["azure-client-id", "entra-scope"]),
        ("azure-imds", ["entra-scope", "gce-metadata-host"]),
        ("file", ["token-audience", "azure-imds-endpoint"]),
    ] {
        let values = flags.map(|flag| match flag {
            "azure-client-id" => (flag, WEBHOOK[0].1),
            "entra-scope" => (flag, "api://amp/.default"),
            "azure-imds-endpoint" => (flag, "http://127.0.0.1:1/"),
            _ => (flag, "127.0.0.1"),
        });
        let mut env = vec![("AMP_SIDECAR_TOKEN_SOURCE", source), TOKEN];
        env.extend((source == "azure-imds").then_some(audience));
        let faults = faulty(&values, &env);
        let words = format!("no value with --token-source {source}, or --token-source ");
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults.iter().all(|fault| fault.contains(&words)),
            "{faults:?}"
        );
    }
}

#[test]
fn each_session_of_a_chain_gets_what_is_its_own() {
    let hops = format!("{SECOND},external-id=tenant-7 {THIRD}");
    let flags = [
        ("assume-role", hops.as_str()),
        ("session-duration", "2h"),
        ("session-policy", r#"{"Statement": []}"#),
        (
            "session-policy-arn",
            "arn:aws:iam::aws:policy/A arn:aws:iam::aws:policy/B",
        ),
        ("source-identity", "aks"),
        ("session-tag", "team=obs env=prod"),
    ];
    let identity = read(&flags, &[TOKEN]).unwrap();
    let (role, second, third) = (
        &web_identity(&identity).role,
        &identity.hops[0],
        &identity.hops[1],
    );
    let minutes = |n: u64| Duration::from_secs(60 * n);
    assert_eq!(
        (role.duration, second.duration, third.duration),
        (minutes(15), minutes(15), minutes(60)),
        "a chained session lives an hour at most"
    );
    assert_eq!(second.external_id.as_deref(), Some("tenant-7"));
    assert_eq!(third.external_id, None);
    assert_eq!(
        (
            second.source_identity.as_deref(),
            third.source_identity.as_deref()
        ),
        (Some("aks"), None),
        "STS carries it on"
    );
    for earlier in [role, second] {
        assert!(
            earlier.policy.is_none() && earlier.policy_arns.is_empty() && earlier.tags.is_empty()
        );
    }
    assert_eq!(third.policy.as_deref(), Some(r#"{"Statement":[]}"#));
    assert_eq!((third.policy_arns.len(), third.tags.len()), (2, 2));
    assert_eq!(identity.signing(), Some(third));

    let alone = read(&flags[1..3], &[TOKEN]).unwrap();
    let alone = &web_identity(&alone).role;
    assert_eq!(alone.duration, minutes(120));
    assert!(alone.policy.is_some());
}

#[test]
fn a_chain_that_cannot_work_is_refused_with_the_reason() {
    for (hops, words) in [
        (ROLE.to_owned(), "twice"),
        (format!("{SECOND} {THIRD} {SECOND}"), "twice"),
        (
            "arn:aws-cn:iam::444455556666:role/x".to_owned(),
            "partition",
        ),
        (format!("{SECOND} writer"), "a role ARN"),
    ] {
        let faults = faulty(&[("assume-role", &hops)], &[TOKEN]);
        assert!(faults.len() == 1 && faults[0].contains(words), "{faults:?}");
    }
    for lonely in [("source-identity", "aks"), ("session-tag", "team=obs")] {
        let faults = faulty(&[lonely], &[TOKEN]);
        assert!(
            faults.len() == 1 && faults[0].contains("--assume-role"),
            "{faults:?}"
        );
    }
}

#[test]
fn sts_is_signed_for_the_region_of_its_host() {
    let region = |flags: &[(&str, &str)]| read(flags, &[TOKEN]).unwrap().sts_region;
    assert_eq!(region(&[]), "eu-central-1");
    assert_eq!(
        region(&[("sts-endpoint", "https://sts.us-east-1.amazonaws.com")]),
        "us-east-1"
    );
    assert_eq!(
        region(&[("sts-endpoint", "https://sts.internal.example")]),
        "eu-central-1"
    );
}

/// Without the role of `read`.
fn read_source(
    flags: &[(&str, &str)],
    env: &[(&str, &str)],
) -> Result<(IdentityConfig, Vec<String>), Vec<String>> {
    match config(flags, env) {
        Ok(config) => {
            let shown = format!("{config}{config:?}");
            assert!(!shown.contains("planted"), "{shown}");
            Ok((config.workspaces[0].identity.clone(), config.warnings))
        }
        Err(rejected) => {
            let errors: Vec<String> = rejected.errors.iter().map(ToString::to_string).collect();
            assert!(!format!("{errors:?}").contains("planted"), "{errors:?}");
            Err(errors)
        }
    }
}

const CONTAINER: (&str, &str) = ("AMP_SIDECAR_CREDENTIALS", "container");
const FILE: (&str, &str) = ("AMP_SIDECAR_CREDENTIALS", "file");
const FULL: (&str, &str) = (
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "http://169.254.170.23/v1/credentials",
);
const RELATIVE: (&str, &str) = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "/v2/credentials/7",
);
const AUTHORIZATION: (&str, &str) = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic planted");
const AUTHORIZATION_FILE: (&str, &str) = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/eks-token");

#[test]
fn a_container_takes_what_its_platform_sets_and_says_what_it_ignores() {
    let of = |env: &[(&str, &str)]| {
        let env = [&[CONTAINER], env].concat();
        let (identity, warnings) = read_source(&[], &env).unwrap();
        let SourceConfig::Container(container) = identity.source else {
            panic!("no container");
        };
        (container, warnings)
    };
    let (eks, warnings) = of(&[FULL, AUTHORIZATION_FILE]);
    assert_eq!(eks.endpoint.to_string(), FULL.1);
    let file = Some(ContainerToken::File(AUTHORIZATION_FILE.1.into()));
    assert_eq!((eks.authorization, warnings), (file.clone(), Vec::new()));

    let (ecs, warnings) = of(&[RELATIVE]);
    assert_eq!(
        ecs.endpoint.to_string(),
        "http://169.254.170.2/v2/credentials/7"
    );
    assert_eq!((ecs.authorization, warnings), (None, Vec::new()));

    let all = [
        FULL,
        RELATIVE,
        AUTHORIZATION,
        AUTHORIZATION_FILE,
        TOKEN,
        ("AWS_PROFILE", "planted"),
    ];
    let (container, warnings) = of(&all);
    assert_eq!(
        (container.endpoint, container.authorization),
        (ecs.endpoint, file)
    );
    for words in [
        "AWS_CONTAINER_CREDENTIALS_FULL_URI: ignored",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN: ignored",
        "AWS_PROFILE: the credentials of a profile are not used: the endpoint of --credentials container",
        "AWS_WEB_IDENTITY_TOKEN_FILE: the credentials of a web identity are not used",
    ] {
        assert!(
            warnings.iter().any(|warning| warning.starts_with(words)),
            "{words}: {warnings:?}"
        );
    }
    let (container, _) = of(&[FULL, AUTHORIZATION]);
    assert!(matches!(
        container.authorization,
        Some(ContainerToken::Text(_))
    ));
}

#[test]
fn a_source_lacks_what_it_needs_and_refuses_what_it_cannot_use() {
    for (flags, env, words) in [
        (
            &[][..],
            &[CONTAINER][..],
            "--container-credentials-full-uri (AWS_CONTAINER_CREDENTIALS_FULL_URI) not set",
        ),
        (
            &[],
            &[
                CONTAINER,
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/"),
            ],
            "expected https://, or http:// to loopback or an agent's address",
        ),
        (
            &[],
            &[
                CONTAINER,
                FULL,
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "planted\nplanted"),
            ],
            "AWS_CONTAINER_AUTHORIZATION_TOKEN is \"[withheld]\": expected a token without line breaks",
        ),
        (&[("role-arn", ROLE)], &[CONTAINER, FULL], "--role-arn"),
        (
            &[("session-policy-arn", "arn:aws:iam::aws:policy/X")],
            &[CONTAINER, FULL],
            "expected --assume-role as well: this source gives credentials as they are",
        ),
        (
            &[("session-duration", "30m")],
            &[FILE, ("AWS_SHARED_CREDENTIALS_FILE", "/c")],
            "expected --assume-role as well",
        ),
        (
            &[("shared-credentials-file", "/c")],
            &[CONTAINER, FULL],
            "expected no value, or --credentials file as well",
        ),
        (
            &[],
            &[FILE],
            "--shared-credentials-file (AWS_SHARED_CREDENTIALS_FILE) not set",
        ),
        (
            &[("container-credentials-full-uri", FULL.1)],
            &[FILE, ("AWS_SHARED_CREDENTIALS_FILE", "/c")],
            "expected no value, or --credentials container as well",
        ),
        (
            &[("allow-static-keys", "true")],
            &[CONTAINER, FULL],
            "expected false, or --credentials file as well",
        ),
        (
            &[("allow-static-keys", "true")],
            &[FILE],
            "AWS_ACCESS_KEY_ID is empty",
        ),
        (
            &[("allow-static-keys", "true")],
            &[
                FILE,
                ("AWS_ACCESS_KEY_ID", "ASIA"),
                ("AWS_SECRET_ACCESS_KEY", "planted"),
            ],
            "AWS_SESSION_TOKEN is missing",
        ),
        (
            &[("allow-static-keys", "true"), ("profile", "p")],
            &[
                FILE,
                ("AWS_ACCESS_KEY_ID", "AKIA"),
                ("AWS_SECRET_ACCESS_KEY", "planted"),
            ],
            "takes the keys from the environment and reads no file",
        ),
    ] {
        let errors = read_source(flags, env).unwrap_err();
        assert!(
            matches!(errors.as_slice(), [one] if one.contains(words)),
            "{words}: {errors:?}"
        );
    }
}

#[test]
fn keys_are_taken_from_a_file_and_from_the_environment_only_if_that_is_allowed() {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "planted-secret"),
    ];
    let env = [&[FILE, ("AWS_SHARED_CREDENTIALS_FILE", "/c")], &keys[..]].concat();
    let (identity, warnings) = read_source(&[], &env).unwrap();
    let SourceConfig::File(file) = identity.source else {
        panic!("no file");
    };
    assert_eq!(
        (file.file.to_str(), file.profile.as_str()),
        (Some("/c"), "default")
    );
    assert_eq!(
        warnings,
        [
            "AWS_ACCESS_KEY_ID: static keys are not used: the credentials file of --credentials file holds the keys"
        ]
    );

    let env = [&env[..], &[("AMP_SIDECAR_ALLOW_STATIC_KEYS", "true")]].concat();
    let (identity, warnings) = read_source(&[], &env).unwrap();
    let SourceConfig::StaticKeys(keys) = identity.source else {
        panic!("no static keys");
    };
    assert_eq!(keys.access_key_id(), "AKIAEXAMPLE");
    assert!(
        warnings[0].starts_with("AWS_ACCESS_KEY_ID: static keys sign"),
        "{warnings:?}"
    );
    assert!(
        warnings[1]
            .starts_with("AWS_SHARED_CREDENTIALS_FILE: the credentials of a profile are not used"),
        "{warnings:?}"
    );
}

#[test]
fn a_role_may_follow_on_every_source() {
    for source in [
        vec![CONTAINER, FULL],
        vec![FILE, ("AWS_SHARED_CREDENTIALS_FILE", "/c")],
    ] {
        let flags = [
            ("assume-role", ROLE),
            ("session-duration", "30m"),
            ("session-tag", "a=b"),
        ];
        let (identity, _) = read_source(&flags, &source).unwrap();
        let [hop] = identity.hops.as_slice() else {
            panic!("{:?}", identity.hops);
        };
        assert_eq!(
            (hop.duration, hop.tags.len()),
            (Duration::from_secs(1800), 1)
        );
        assert_eq!(identity.signing(), Some(hop));
    }
}

const ANYWHERE: [(&str, &str); 5] = [
    ("AMP_SIDECAR_CREDENTIALS", "roles-anywhere"),
    ("AMP_SIDECAR_ROLES_ANYWHERE_CERTIFICATE", "/c/tls.crt"),
    ("AMP_SIDECAR_ROLES_ANYWHERE_PRIVATE_KEY", "/c/tls.key"),
    (
        "AMP_SIDECAR_TRUST_ANCHOR_ARN",
        "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a",
    ),
    (
        "AMP_SIDECAR_PROFILE_ARN",
        "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40",
    ),
];

fn anywhere(identity: &IdentityConfig) -> &RolesAnywhereConfig {
    match &identity.source {
        SourceConfig::RolesAnywhere(anywhere) => anywhere,
        other => panic!("not Roles Anywhere: {other:?}"),
    }
}

#[test]
fn a_certificate_is_for_the_region_of_its_trust_anchor_and_names_no_session() {
    let pod = [
        ("POD_NAME", "prometheus-0"),
        ("POD_NAMESPACE", "monitoring"),
    ];
    let env: Vec<_> = ANYWHERE.into_iter().chain(pod).collect();
    let identity = read(&[], &env).unwrap();
    let config = anywhere(&identity);
    assert_eq!(
        (config.endpoint.to_string().as_str(), config.region.as_str()),
        (
            "https://rolesanywhere.eu-west-1.amazonaws.com/sessions",
            "eu-west-1"
        )
    );
    assert_eq!(
        (&config.role.name, config.role.duration),
        (&None, Duration::from_secs(3600))
    );

    let flags = [
        ("assume-role", SECOND),
        ("role-session-name", "me"),
        ("session-policy", r#"{"Statement": []}"#),
        ("use-dualstack-endpoint", "true"),
    ];
    let identity = read(&flags, &env).unwrap();
    let config = anywhere(&identity);
    assert_eq!(
        config.endpoint.host(),
        Some("rolesanywhere.eu-west-1.api.aws")
    );
    assert_eq!(config.role.name.as_deref(), Some("me"));
    assert_eq!(config.role.duration, Duration::from_secs(900));
    assert!(config.role.policy.is_none() && identity.hops[0].policy.is_some());
    assert_eq!(identity.hops[0].name.as_deref(), Some("me"));
}

#[test]
fn what_roles_anywhere_cannot_take_is_refused_with_the_reason() {
    for (flag, value, words) in [
        (
            "session-policy",
            r#"{"Statement": []}"#,
            "--assume-role as well: CreateSession",
        ),
        (
            "session-policy-arn",
            "arn:aws:iam::aws:policy/A",
            "--assume-role as well",
        ),
        ("session-tag", "team=obs", "--assume-role as well"),
        (
            "source-identity",
            "aks",
            "sets the certificate's common name",
        ),
        (
            "web-identity-token-file",
            "/token",
            "--credentials web-identity as well",
        ),
        (
            "trust-anchor-arn",
            "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40",
            "a trust anchor's ARN",
        ),
        (
            "profile-arn",
            "arn:aws:rolesanywhere:eu-west-2:111122223333:profile/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40",
            "a profile in the region of --trust-anchor-arn, eu-west-1",
        ),
        (
            "profile-arn",
            "amp",
            "the ARN of a profile of Roles Anywhere",
        ),
        (
            "roles-anywhere-endpoint",
            "https://rolesanywhere.us-east-1.amazonaws.com",
            "us-east-1, in the ARN",
        ),
        (
            "roles-anywhere-endpoint",
            "http://rolesanywhere.example",
            "loopback only",
        ),
        (
            "role-arn",
            "arn:aws-cn:iam::111122223333:role/amp",
            "partition",
        ),
    ] {
        let faults = faulty(&[(flag, value)], &ANYWHERE);
        assert!(
            !faults.is_empty() && faults.iter().any(|fault| fault.contains(words)),
            "{words}: {faults:?}"
        );
    }
    let without: Vec<_> = ANYWHERE[..1].to_vec();
    let named = faulty(&[], &without);
    assert_eq!(named.len(), 4, "{named:?}");

    // Our own variables are for this program, so that they must have an effect.
    let env: Vec<_> = ANYWHERE[1..].iter().copied().chain([TOKEN]).collect();
    let faults = faulty(&[], &env);
    let all = faults
        .iter()
        .all(|fault| fault.contains("--credentials roles-anywhere as well"));
    assert!(faults.len() == 4 && all, "{faults:?}");
}
