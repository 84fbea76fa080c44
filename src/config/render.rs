//! A configuration as the YAML file that would give it, secrets withheld.
//!
//! In: a valid [`Config`]. Out: every setting with the value that counts, defaults and what was derived included, each workspace
//! under `workspaces`. What is printed can be read again and gives the same (a test says so), but for a proxy's
//! password and the headers of a collector.

use std::fmt::{self, Display};

use super::{Config, Effective, Section, Value, file};

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Section { settings, .. } = self.of_the_process();
        write(f, "", &settings)?;
        f.write_str("workspaces:\n")?;
        for Section { name, settings } in self.of_each_workspace() {
            writeln!(f, "  - {}: {}", file::NAME, scalar(name))?;
            write(f, "    ", &settings)?;
        }
        Ok(())
    }
}

fn write(f: &mut fmt::Formatter<'_>, indent: &str, settings: &[Effective]) -> fmt::Result {
    for Effective { setting, value, .. } in settings {
        let value = match value {
            Value::One(text) => scalar(text),
            // A list in JSON is one in YAML.
            Value::Many(texts) => serde_json::Value::from(texts.clone()).to_string(),
        };
        writeln!(f, "{indent}{}: {value}", file::key(setting))?;
    }
    Ok(())
}

/// Plain where that is beyond doubt, else in double quotes, in which JSON's escapes are YAML's.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let url = text.starts_with("https://") || text.starts_with("http://");
    let safe = |c: char| plain(c) || (url && ":[]?=&%~".contains(c));
    if text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && text.chars().all(safe) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{self, MINIMAL};
    use crate::config::{ALL, settings};

    #[test]
    fn what_is_shown_can_be_read_again_and_is_the_same() {
        let settings = [
            ("session-duration", "1h30m"),
            ("role-session-name", "a@b,c=d"),
            ("upstream-timeout", "1500ms"),
            ("allow-query", "true"),
            ("query-timeout", "90s"),
            ("max-inflight-bytes", "20MB"),
            ("drain-timeout", "2m"),
            ("log-level", "debug"),
        ];
        for more in [&[][..], &CHAINED, &ENTRA, &TRACED] {
            let settings: Vec<_> = settings.iter().chain(more).copied().collect();
            round_trip(&settings);
        }
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
    const ENTRA: [(&str, &str); 5] = [
        ("token-source", "entra"),
        ("azure-federated-token-file", "/azure/token"),
        ("azure-client-id", "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a"),
        ("azure-tenant-id", "contoso.onmicrosoft.com"),
        ("entra-scope", "api://amp/.default"),
    ];

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
        for more in [&CHAINED[..], &ENTRA, &traced] {
            shown.push_str(&tests::read(more, MINIMAL).unwrap().to_string());
        }
        assert!(!shown.contains("hunter2"), "{shown}");
        let elsewhere = [
            // A file inside a file is none, and these need a file.
            &settings::CONFIG,
            &settings::CA_BUNDLE,
            &settings::LISTEN_TLS_CERT,
            &settings::LISTEN_TLS_KEY,
            &settings::LISTEN_CLIENT_CA,
            &settings::LISTEN_BEARER_TOKEN_FILE,
            &settings::OTLP_CERTIFICATE,
            &settings::OTLP_ENDPOINT,
            // They lead to the two URLs, which are shown.
            &settings::AMP_ENDPOINT,
            &settings::ENDPOINT_URL,
            &settings::IGNORE_CONFIGURED_ENDPOINT_URLS,
            &settings::USE_FIPS_ENDPOINT,
            &settings::USE_DUALSTACK_ENDPOINT,
        ];
        for setting in ALL.iter().filter(|setting| !elsewhere.contains(setting)) {
            assert!(
                shown.contains(&format!("{}: ", file::key(setting))),
                "{}: {shown}",
                setting.flag
            );
        }
    }
}
