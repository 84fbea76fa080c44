//! A configuration as the YAML file that would give it, secrets withheld.
//!
//! In: a valid [`Config`]. Out: every setting with the value that counts, defaults and what was derived included, each workspace
//! under `workspaces`. What is printed can be read again and gives the same (a test says so), but for a proxy's password.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use super::{Config, DoorFiles, LogFormat, Setting, Workspace, file, settings};

/// Lines of YAML at one depth.
struct Lines {
    text: String,
    indent: &'static str,
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut top = Lines::new("");
        top.put(&settings::LISTEN, self.listen);
        top.put(
            &settings::ALLOW_NON_LOOPBACK,
            !self.listen.ip().is_loopback() && self.door == DoorFiles::default(),
        );
        for (setting, path) in [
            (&settings::LISTEN_TLS_CERT, &self.door.chain),
            (&settings::LISTEN_TLS_KEY, &self.door.key),
            (&settings::LISTEN_CLIENT_CA, &self.door.client_ca),
            (&settings::LISTEN_BEARER_TOKEN_FILE, &self.door.tokens),
        ] {
            if let Some(path) = path {
                top.put(setting, path.display());
            }
        }
        top.put(&settings::ADMIN_LISTEN, self.admin_listen);
        if let Some(path) = &self.ca_bundle {
            top.put(&settings::CA_BUNDLE, path.display());
        }
        if let Some(proxy) = self.network.proxy() {
            top.put(&settings::HTTPS_PROXY, proxy);
            top.put(&settings::NO_PROXY, self.network.exceptions());
        }
        top.put(&settings::DRAIN_IDLE, duration(self.drain.idle));
        top.put(&settings::DRAIN_TIMEOUT, duration(self.drain.timeout));
        let format = match self.log.format {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        top.put(&settings::LOG_FORMAT, format);
        let level = self.log.level.to_string().to_ascii_lowercase();
        top.put(&settings::LOG_LEVEL, level);
        f.write_str(&top.text)?;
        f.write_str("workspaces:\n")?;
        for workspace in &self.workspaces {
            f.write_str(&entry(workspace))?;
        }
        Ok(())
    }
}

fn entry(workspace: &Workspace) -> String {
    let Workspace {
        name,
        id,
        region,
        remote_write_url,
        identity,
        limits,
        reading,
    } = workspace;
    let mut entry = Lines::new("    ");
    entry.put(&settings::WORKSPACE_ID, id);
    entry.put(&settings::REGION, region);
    entry.put(&settings::REMOTE_WRITE_URL, remote_write_url);
    entry.put(&settings::ROLE_ARN, &identity.role_arn);
    entry.put(
        &settings::WEB_IDENTITY_TOKEN_FILE,
        identity.token_file.display(),
    );
    entry.put(&settings::ROLE_SESSION_NAME, &identity.session_name);
    entry.put(
        &settings::SESSION_DURATION,
        duration(identity.session_duration),
    );
    entry.put(&settings::STS_ENDPOINT, &identity.sts_endpoint);
    entry.put(
        &settings::UPSTREAM_TIMEOUT,
        duration(limits.upstream_timeout),
    );
    entry.put(&settings::MAX_BODY_BYTES, limits.max_body_bytes);
    entry.put(
        &settings::INSPECT,
        if limits.inspect { "on" } else { "off" },
    );
    entry.put(&settings::MAX_UPSTREAM_BYTES, limits.max_upstream_bytes);
    entry.put(&settings::MAX_INFLIGHT_BYTES, limits.max_inflight_bytes);
    entry.put(&settings::ALLOW_QUERY, reading.is_some());
    if let Some(reading) = reading {
        entry.put(&settings::QUERY_TIMEOUT, duration(reading.timeout));
    }
    entry.put(
        &settings::CLIENT_SHARE,
        format!("{}%", limits.client_share_percent),
    );
    format!("  - {}: {}\n{}", file::NAME, scalar(name), entry.text)
}

// === impl Lines ===

impl Lines {
    fn new(indent: &'static str) -> Self {
        Self {
            text: String::new(),
            indent,
        }
    }

    fn put(&mut self, setting: &Setting, value: impl Display) {
        let (key, value) = (file::key(setting), scalar(&value.to_string()));
        let indent = self.indent;
        // Writing to a string cannot fail.
        let _written = writeln!(self.text, "{indent}{key}: {value}");
    }
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

/// In the largest units that fit: `1h30m`.
fn duration(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (unit, millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if left >= millis {
            let _written = write!(text, "{}{unit}", left / millis);
            left %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ALL;
    use crate::config::tests::{self, MINIMAL};

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
        let config = tests::read(&settings, MINIMAL).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shown.yaml");
        std::fs::write(&path, config.to_string()).unwrap();
        let path = path.display().to_string();
        let again = tests::read(&[("config", &path)], &[]).unwrap();
        assert_eq!(config.to_string(), again.to_string());
        assert_eq!(config.workspaces, again.workspaces);
        assert!(config.fixed_that_differ(&again).is_empty());
    }

    #[test]
    fn every_setting_is_shown() {
        let settings = [
            ("https-proxy", "http://me:hunter2@proxy.example:3128"),
            ("allow-query", "true"),
        ];
        let shown = tests::read(&settings, MINIMAL).unwrap().to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        let elsewhere = [
            // A file inside a file is none, and these need a file.
            &settings::CONFIG,
            &settings::CA_BUNDLE,
            &settings::LISTEN_TLS_CERT,
            &settings::LISTEN_TLS_KEY,
            &settings::LISTEN_CLIENT_CA,
            &settings::LISTEN_BEARER_TOKEN_FILE,
            // They lead to the two URLs, which are shown.
            &settings::AMP_ENDPOINT,
            &settings::ENDPOINT_URL,
            &settings::IGNORE_CONFIGURED_ENDPOINT_URLS,
            &settings::USE_FIPS_ENDPOINT,
            &settings::USE_DUALSTACK_ENDPOINT,
            &settings::STS_REGION,
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
