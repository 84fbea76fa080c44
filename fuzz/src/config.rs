//! Whatever flags, variables and file say: a configuration that sends only where it may, or faults that show no secret.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;

use amp_sidecar::config::{Config, Environment, InvalidConfig, SourceConfig, TokenConfig};
use amp_sidecar::tls_files::ServerAuthFiles;
use hyper::Uri;

/// Enough for a valid configuration; the input may say otherwise.
const MINIMAL: [(&str, &str); 4] = [
    ("AWS_REGION", "eu-central-1"),
    ("AMP_SIDECAR_WORKSPACE_ID", "ws-1"),
    ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/amp"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/token"),
];

thread_local! {
    static FILE: OnceCell<File> = const { OnceCell::new() };
}

/// Lines of `NAME=value` (variables) and `--name=value` (flags), and behind a line `---` the YAML of a file.
pub fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (settings, yaml) = match text.split_once("---\n") {
        Some((settings, yaml)) => (settings, Some(yaml)),
        None => (text, None),
    };
    let mut env: HashMap<&str, &str> = MINIMAL.into_iter().collect();
    let mut flags = HashMap::new();
    for line in settings.lines() {
        match line.split_once('=') {
            Some((name, value)) if name.starts_with("--") => flags.insert(&name[2..], value),
            Some((name, value)) => env.insert(name, value),
            None => continue,
        };
    }
    let path = yaml.map(write);
    match &path {
        Some(path) => flags.insert("config", path),
        None => flags.remove("config"),
    };
    match read(&flags, &env) {
        Ok(config) => {
            sends_only_where_it_may(&config, text);
            let shown = config.to_string();
            withholds_passwords(&shown, &flags, &env);
            withholds_passwords(&config.warnings.join("\n"), &flags, &env);
            one_line_each(&config.warnings);
            assert_eq!(read(&flags, &env).unwrap().to_string(), shown);
        }
        Err(rejected) => {
            assert!(!rejected.errors.is_empty());
            let faults: Vec<String> = rejected.errors.iter().map(ToString::to_string).collect();
            one_line_each(&faults);
            one_line_each(&rejected.warnings);
            withholds_passwords(&rejected.to_string(), &flags, &env);
        }
    }
}

fn one_line_each(shown: &[String]) {
    for shown in shown {
        assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
    }
}

/// One file for all inputs, which only this process can see.
fn write(yaml: &str) -> String {
    FILE.with(|file| {
        let mut file = file.get_or_init(|| tempfile::tempfile().unwrap());
        file.set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(yaml.as_bytes()).unwrap();
        format!("/proc/self/fd/{}", file.as_raw_fd())
    })
}

fn read(flags: &HashMap<&str, &str>, env: &HashMap<&str, &str>) -> Result<Config, InvalidConfig> {
    let around = Environment {
        env: &|name| env.get(name).map(|value| (*value).to_owned()),
        variables: env.keys().map(|name| (*name).to_owned()).collect(),
        memory_limit: Some(128 << 20),
        pod_namespace: Some("monitoring".to_owned()),
        stdout_is_terminal: false,
    };
    Config::read(
        &|setting| flags.get(setting.flag).map(|value| (*value).to_owned()),
        &around,
    )
}

fn sends_only_where_it_may(config: &Config, text: &str) {
    let open =
        !config.listen.ip().is_loopback() && config.server_auth == ServerAuthFiles::default();
    assert!(!open || text.to_ascii_lowercase().contains("allow"));
    let mut keys = HashSet::new();
    assert!(!config.workspaces.is_empty());
    for (n, workspace) in config.workspaces.iter().enumerate() {
        for key in HashSet::from([&workspace.id, &workspace.name]) {
            assert!(keys.insert(key.clone()), "{key} names two workspaces");
            assert!(!key.is_empty() && !key.contains('/'), "{n}: {key:?}");
        }
        let path = format!("/workspaces/{}/api/v1/remote_write", workspace.id);
        assert!(workspace.remote_write_url.path().ends_with(&path));
        assert!(workspace.remote_write_url.query().is_none());
        let identity = &workspace.identity;
        let (role, endpoint) = match &identity.source {
            SourceConfig::WebIdentity(source) => {
                let entra = source.token.entra().map(|entra| &entra.authority_host);
                (Some(&source.role), entra)
            }
            SourceConfig::RolesAnywhere(source) => (Some(&source.role), Some(&source.endpoint)),
            SourceConfig::Container(source) => {
                asks_no_agent_elsewhere(&source.endpoint);
                (None, None)
            }
            SourceConfig::File(_) | SourceConfig::StaticKeys(_) => (None, None),
        };
        let urls = [
            Some(&workspace.remote_write_url),
            Some(&identity.sts_endpoint),
            endpoint,
        ];
        for url in urls.into_iter().flatten() {
            assert!(is_encrypted_or_local(url), "{url}");
        }
        if let SourceConfig::WebIdentity(source) = &identity.source {
            asks_no_metadata_server_elsewhere(&source.token);
        }
        for role in role.into_iter().chain(&identity.hops) {
            assert!(role.role_arn.starts_with("arn:"));
            assert!((900..=43_200).contains(&role.duration.as_secs()));
            let mut names = role.name.iter();
            assert!(names.all(|name| (2..=64).contains(&name.len())));
        }
        let limits = &workspace.limits;
        assert!(limits.max_upstream_bytes > 0 && limits.max_inflight_bytes > 0);
        assert!(!limits.upstream_timeout.is_zero());
    }
}

/// Keys come over plain http, so from the agents' own addresses alone.
fn asks_no_agent_elsewhere(url: &Uri) {
    let own = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
    let host = url.host().unwrap().trim_matches(['[', ']']);
    let address = |text: &str| text.parse::<std::net::IpAddr>().ok();
    let is_own = own
        .iter()
        .any(|agent| address(agent).is_some() && address(agent) == address(host));
    assert!(is_own || is_encrypted_or_local(url), "{url}");
}

/// Tokens come over plain http, so from the clouds' own addresses alone.
fn asks_no_metadata_server_elsewhere(token: &TokenConfig) {
    let url: Uri = match token {
        TokenConfig::AzureImds(config) => config.endpoint.clone(),
        TokenConfig::GceMetadata(config) => format!("http://{}/", config.host).parse().unwrap(),
        TokenConfig::File(_) | TokenConfig::Entra(_) => return,
    };
    let own = [
        "169.254.169.254",
        "[fd20:ce::254]",
        "metadata.google.internal",
    ];
    assert!(
        own.contains(&url.host().unwrap()) || is_encrypted_or_local(&url),
        "{url}"
    );
}

fn is_encrypted_or_local(url: &Uri) -> bool {
    let host = url.host().unwrap().trim_matches(['[', ']']);
    let local = host == "localhost"
        || host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback());
    url.scheme_str() == Some("https") || (url.scheme_str() == Some("http") && local)
}

/// The password of a proxy's URL, where nothing else says the same.
fn withholds_passwords(shown: &str, flags: &HashMap<&str, &str>, env: &HashMap<&str, &str>) {
    let proxy = flags.get("https-proxy").or_else(|| env.get("HTTPS_PROXY"));
    let Some((before, after)) = proxy.and_then(|proxy| proxy.rsplit_once('@')) else {
        return;
    };
    let Some((_, password)) = before.rsplit_once(':') else {
        return;
    };
    let elsewhere = flags
        .values()
        .chain(env.values())
        .filter(|text| text.contains(password));
    if password.len() >= 6 && !after.contains(password) && elsewhere.count() == 1 {
        assert!(!shown.contains(password), "{shown}");
    }
}
