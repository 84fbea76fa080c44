use super::EffectiveSection;
use crate::config::settings::{self, ALL};
use crate::config::tests::{self, MINIMAL};

#[test]
fn every_value_has_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.yaml");
    let text = "drain_idle: 3s\nregion: us-east-1\nworkspaces:\n  - workspace_id: ws-1\n    region: eu-west-1\n  - workspace_id: ws-2\n    amp_endpoint: https://vpce.example\n";
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let settings = [("config", path.as_str()), ("log-level", "debug")];
    let env: Vec<_> = MINIMAL
        .iter()
        .filter(|(name, _)| name.contains("ROLE") || name.contains("TOKEN"))
        .copied()
        .collect();
    let config = tests::read(&settings, &env).unwrap();
    let from = |section: &EffectiveSection<'_>, flag: &str| {
        let mut rows = section.settings.iter();
        rows.find(|row| row.setting.flag == flag)
            .unwrap()
            .from
            .clone()
    };
    let process = config.process_section();
    assert_eq!(from(&process, "log-level"), "--log-level");
    assert_eq!(from(&process, "drain-idle"), format!("{path}, line 1"));
    assert_eq!(from(&process, "listen"), "default");
    let [first, second] = config
        .workspace_sections()
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    assert_eq!((first.name, second.name), ("ws-1", "ws-2"));
    assert_eq!(from(&first, "region"), format!("{path}, line 5"));
    assert_eq!(from(&second, "region"), format!("{path}, line 2"));
    assert_eq!(from(&first, "role-arn"), "AWS_ROLE_ARN");
    assert_eq!(
        from(&first, "remote-write-url"),
        "from region and workspace"
    );
    assert_eq!(from(&second, "remote-write-url"), format!("{path}, line 7"));
    assert_eq!(from(&first, "sts-region"), "the workspace's");
}

#[test]
fn what_is_printed_can_be_read_again_and_is_the_same() {
    let settings = [
        ("session-duration", "1h30m"),
        ("role-session-name", "a@b,c=d"),
        ("upstream-timeout", "1500ms"),
        ("allow-query", "true"),
        ("allow-alertmanager", "silence"),
        ("query-timeout", "90s"),
        ("max-inflight-bytes", "20MB"),
        ("drain-timeout", "2m"),
        ("log-level", "debug"),
    ];
    for more in [
        &[][..],
        &CHAINED,
        &ENTRA,
        &AZURE_VM,
        &GOOGLE_VM,
        &ANYWHERE,
        &TRACED,
    ] {
        let settings: Vec<_> = settings.iter().chain(more).copied().collect();
        round_trip(&settings);
    }
    round_trip(&FILE);
}

const CHAINED: [(&str, &str); 6] = [
    (
        "assume-role",
        "arn:aws:iam::444455556666:role/hub arn:aws:iam::777788889999:role/w,external-id=a,b=c:d",
    ),
    ("session-policy", r#"{"Statement": ["a\"b"]}"#),
    (
        "session-policy-arn",
        "arn:aws:iam::aws:policy/A arn:aws:iam::aws:policy/B",
    ),
    ("source-identity", "aks@prod"),
    ("session-tag", "team=obs env=é"),
    ("sts-region", "eu-west-1"),
];
const TRACED: [(&str, &str); 5] = [
    ("otlp-endpoint", "https://collector.example/base"),
    (
        "otel-resource-attributes",
        "k8s.pod.name=a%2Cb,deployment.environment.name=é",
    ),
    ("traces-sampler", "parentbased_traceidratio"),
    ("traces-sampler-arg", "0.1"),
    ("bsp-max-queue-size", "4096"),
];
const AZURE_VM: [(&str, &str); 4] = [
    ("token-source", "azure-imds"),
    ("token-audience", "api://amp"),
    ("azure-client-id", "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a"),
    ("azure-imds-endpoint", "http://127.0.0.1:8080/"),
];
const GOOGLE_VM: [(&str, &str); 2] = [
    ("token-source", "gce-metadata"),
    ("gce-metadata-host", "[fd20:ce::254]"),
];
const ENTRA: [(&str, &str); 5] = [
    ("token-source", "entra"),
    ("azure-federated-token-file", "/azure/token"),
    ("azure-client-id", "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a"),
    ("azure-tenant-id", "contoso.onmicrosoft.com"),
    ("entra-scope", "api://amp/.default"),
];
const ANYWHERE: [(&str, &str); 6] = [
    ("credentials", "roles-anywhere"),
    ("roles-anywhere-certificate", "/certificate/tls.crt"),
    ("roles-anywhere-private-key", "/certificate/tls.key"),
    (
        "trust-anchor-arn",
        "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a",
    ),
    (
        "profile-arn",
        "arn:aws:rolesanywhere:eu-central-1:111122223333:profile/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40",
    ),
    (
        "roles-anywhere-endpoint",
        "https://rolesanywhere.eu-central-1.amazonaws.com/",
    ),
];

const CONTAINER: [(&str, &str); 3] = [
    ("credentials", "container"),
    ("container-credentials-relative-uri", "/v2/credentials/7"),
    ("container-authorization-token-file", "/eks-token"),
];
const FILE: [(&str, &str); 3] = [
    ("credentials", "file"),
    ("shared-credentials-file", "/aws/credentials"),
    ("profile", "amp writer"),
];

/// ECS' path is all that its agent asks for.
#[test]
fn the_path_of_a_containers_credentials_is_withheld() {
    let config = tests::read(&CONTAINER, MINIMAL).unwrap();
    assert!(!config.to_string().contains("credentials/7"), "{config}");
}

fn round_trip(settings: &[(&str, &str)]) {
    let config = tests::read(settings, MINIMAL).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shown.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    let path = path.display().to_string();
    let again = tests::read(&[("config", &path)], &[]).unwrap();
    assert_eq!(config.to_string(), again.to_string());
    assert_eq!(config.workspaces, again.workspaces);
    assert_eq!(config.tracing, again.tracing);
    assert!(config.fixed_that_differ(&again).is_empty());
}

#[test]
fn every_setting_is_shown() {
    let settings = [
        ("https-proxy", "http://me:hunter2@proxy.example:3128"),
        ("allow-query", "true"),
        ("allow-host", "sidecar.example"),
    ];
    let mut shown = tests::read(&settings, MINIMAL).unwrap().to_string();
    let key = ("otlp-headers", "api-key=hunter2");
    let traced: Vec<_> = TRACED.into_iter().chain([key]).collect();
    let sources = [&AZURE_VM[..], &GOOGLE_VM, &CONTAINER, &FILE, &ANYWHERE];
    for more in [&CHAINED[..], &ENTRA, &traced].into_iter().chain(sources) {
        shown.push_str(&tests::read(more, MINIMAL).unwrap().to_string());
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    let elsewhere = [
        // A file inside a file is none, and these need a file.
        settings::CONFIG.setting(),
        settings::CA_BUNDLE.setting(),
        settings::LISTEN_TLS_CERT.setting(),
        settings::LISTEN_TLS_KEY.setting(),
        settings::LISTEN_CLIENT_CA.setting(),
        settings::LISTEN_BEARER_TOKEN_FILE.setting(),
        settings::OTLP_CERTIFICATE.setting(),
        settings::OTLP_ENDPOINT.setting(),
        // It leads to the whole URI, which is shown.
        settings::CONTAINER_CREDENTIALS_RELATIVE_URI.setting(),
        // It needs keys in variables.
        settings::ALLOW_STATIC_KEYS.setting(),
        // They lead to the two URLs, which are shown.
        settings::AMP_ENDPOINT.setting(),
        settings::ENDPOINT_URL.setting(),
        settings::IGNORE_CONFIGURED_ENDPOINT_URLS.setting(),
        settings::USE_FIPS_ENDPOINT.setting(),
        settings::USE_DUALSTACK_ENDPOINT.setting(),
    ];
    for setting in ALL.iter().filter(|setting| !elsewhere.contains(setting)) {
        assert!(
            shown.contains(&format!("{}: ", setting.key())),
            "{}: {shown}",
            setting.flag
        );
    }
}
