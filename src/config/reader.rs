//! Reads one setting after the other, and notes every fault on the way.
//!
//! In: what flags and environment say. Out: the valid [`Config`], or all faults: a method gives `None` where it noted one,
//! and no method stops for the `None` of another.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::values::{self, Expected};
use super::{
    Config, Drain, Fault, Identity, Limits, Log, LogFormat, Network, Rejected, Setting,
    Surroundings, Workspace, settings,
};

/// Collects faults while it reads; `None` from any of its methods means that a fault was noted.
pub(super) struct Reader<'a> {
    flag: &'a dyn Fn(&Setting) -> Option<String>,
    around: &'a Surroundings<'a>,
    faults: Vec<Fault>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(
        flag: &'a dyn Fn(&Setting) -> Option<String>,
        around: &'a Surroundings<'a>,
    ) -> Self {
        Self {
            flag,
            around,
            faults: Vec::new(),
        }
    }

    pub(super) fn read(mut self) -> Result<Config, Rejected> {
        match self.config() {
            Some(config) if self.faults.is_empty() => Ok(config),
            _ => Err(Rejected {
                faults: self.faults,
            }),
        }
    }

    /// Every part is read before the first missing one ends it, so that all faults are named.
    fn config(&mut self) -> Option<Config> {
        let listen = self.listen();
        let admin_listen = self.parse(&settings::ADMIN_LISTEN, values::socket_address);
        if listen.is_some_and(|listen| listen.port() != 0 && Some(listen) == admin_listen) {
            self.fault(&settings::ADMIN_LISTEN, "another address than --listen");
        }
        let workspace = self.workspace();
        let region = workspace
            .as_ref()
            .map(|workspace| workspace.region.as_str());
        let identity = self.identity(region);
        let extra_roots = self.extra_roots();
        let network = self.network();
        let limits = self.limits();
        let drain = self.drain();
        let log = self.log();
        Some(Config {
            listen: listen?,
            admin_listen: admin_listen?,
            workspace: workspace?,
            identity: identity?,
            extra_roots: extra_roots?,
            network: network?,
            limits: limits?,
            drain: drain?,
            log: log?,
        })
    }

    fn listen(&mut self) -> Option<SocketAddr> {
        let open = self.parse(&settings::ALLOW_NON_LOOPBACK, values::switch);
        let listen = self.parse(&settings::LISTEN, values::socket_address)?;
        if !open? && !listen.ip().is_loopback() {
            self.fault(
                &settings::LISTEN,
                "a loopback address, or --allow-non-loopback beside it",
            );
            return None;
        }
        Some(listen)
    }

    fn workspace(&mut self) -> Option<Workspace> {
        let url = self.parse_given(&settings::REMOTE_WRITE_URL, values::endpoint);
        let id = self.parse_given(&settings::WORKSPACE_ID, values::workspace_id);
        let region = self.parse_given(&settings::REGION, values::region);
        if self.given(&settings::REMOTE_WRITE_URL).is_some() {
            return self.workspace_of_url(url?, id, region);
        }
        for (setting, what) in [
            (
                &settings::WORKSPACE_ID,
                "the workspace's id, or --remote-write-url",
            ),
            (
                &settings::REGION,
                "the workspace's region, or --remote-write-url",
            ),
        ] {
            if self.given(setting).is_none() {
                self.fault(setting, what);
            }
        }
        let (id, region) = (id?, region?);
        let url = format!(
            "https://aps-workspaces.{region}.amazonaws.com/workspaces/{id}/api/v1/remote_write"
        );
        let remote_write_url = url.parse().ok()?;
        Some(Workspace {
            id,
            region,
            remote_write_url,
        })
    }

    /// What the URL shows must not contradict what else was given.
    fn workspace_of_url(
        &mut self,
        url: Uri,
        id: Option<String>,
        region: Option<String>,
    ) -> Option<Workspace> {
        let in_path = url
            .path()
            .strip_prefix("/workspaces/")
            .and_then(|rest| rest.strip_suffix("/api/v1/remote_write"));
        let Some(in_path) = in_path.and_then(|id| values::workspace_id(id).ok()) else {
            let expected =
                "a path /workspaces/<id>/api/v1/remote_write, without a slash at its end";
            self.fault(&settings::REMOTE_WRITE_URL, expected);
            return None;
        };
        if id.is_some_and(|id| id != in_path) {
            self.fault(
                &settings::WORKSPACE_ID,
                &format!("the workspace of --remote-write-url, {in_path}, or none"),
            );
        }
        let of_host = url.host().and_then(region_of_host);
        match (&region, &of_host) {
            (Some(region), Some(of_host)) if region != of_host => {
                self.fault(
                    &settings::REGION,
                    &format!("the region of --remote-write-url's host, {of_host}, or none"),
                );
            }
            (None, None) if self.given(&settings::REGION).is_none() => {
                self.fault(
                    &settings::REGION,
                    "the workspace's region, which this --remote-write-url does not show",
                );
            }
            _ => {}
        }
        Some(Workspace {
            id: in_path,
            region: region.or(of_host)?,
            remote_write_url: url,
        })
    }

    fn identity(&mut self, region: Option<&str>) -> Option<Identity> {
        let role_arn = self.parse_required(
            &settings::ROLE_ARN,
            "the ARN of the role to assume",
            values::role_arn,
        );
        let token_file = self.parse_required(
            &settings::WEB_IDENTITY_TOKEN_FILE,
            "the path of the projected service-account token",
            |text| {
                if text.starts_with("eyJ") {
                    Err(Expected("a path, not the token itself".into()))
                } else {
                    Ok(PathBuf::from(text))
                }
            },
        );
        let session_duration = self.parse(&settings::SESSION_DURATION, |text| {
            let (least, most) = (
                Duration::from_secs(15 * 60),
                Duration::from_secs(12 * 60 * 60),
            );
            values::duration_within(text, least, most, "15m to 12h")
        });
        let sts_endpoint = match self.given(&settings::STS_ENDPOINT) {
            Some(_) => self.parse_given(&settings::STS_ENDPOINT, values::endpoint),
            None => region.and_then(|region| {
                format!("https://sts.{region}.{}/", dns_suffix(region))
                    .parse()
                    .ok()
            }),
        };
        let session_name = self
            .given(&settings::ROLE_SESSION_NAME)
            .unwrap_or_else(|| self.name_from_pod());
        Some(Identity {
            role_arn: role_arn?,
            token_file: token_file?,
            session_name: values::session_name(&session_name),
            session_duration: session_duration?,
            sts_endpoint: sts_endpoint?,
        })
    }

    /// A pod's name is its host name unless the manifest says otherwise.
    fn name_from_pod(&self) -> String {
        let env = |name: &str| (self.around.env)(name).filter(|value| !value.is_empty());
        let pod = env("POD_NAME").or_else(|| env("HOSTNAME"));
        let namespace = env("POD_NAMESPACE").or_else(|| self.around.pod_namespace.clone());
        match (pod, namespace) {
            (Some(pod), Some(namespace)) => format!("{pod}.{namespace}"),
            (Some(pod), None) => pod,
            (None, _) => "amp-sidecar".to_owned(),
        }
    }

    fn extra_roots(&mut self) -> Option<Vec<CertificateDer<'static>>> {
        if self.given(&settings::CA_BUNDLE).is_none() {
            return Some(Vec::new());
        }
        self.parse_given(&settings::CA_BUNDLE, |path| {
            let pem = std::fs::read(path)
                .map_err(|error| Expected(format!("a readable PEM file ({error})")))?;
            let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let roots =
                roots.map_err(|error| Expected(format!("a PEM file of certificates ({error})")))?;
            if roots.is_empty() {
                Err(Expected("a PEM file with at least one certificate".into()))
            } else {
                Ok(roots)
            }
        })
    }

    fn network(&mut self) -> Option<Network> {
        if self.given(&settings::HTTPS_PROXY).is_none() {
            return Some(Network::default());
        }
        let exceptions = self.given(&settings::NO_PROXY).unwrap_or_default();
        self.parse_given(&settings::HTTPS_PROXY, |url| {
            Network::through(url, &exceptions)
        })
    }

    fn limits(&mut self) -> Option<Limits> {
        let upstream_timeout = self.parse(&settings::UPSTREAM_TIMEOUT, |text| {
            values::duration_within(
                text,
                Duration::from_secs(1),
                Duration::from_secs(300),
                "1s to 5m",
            )
        });
        let max_inflight_bytes = match self.given(&settings::MAX_INFLIGHT_BYTES) {
            Some(_) => self.parse_given(&settings::MAX_INFLIGHT_BYTES, values::bytes),
            None => Some(default_budget(self.around.memory_limit)),
        };
        let explicit = self.given(&settings::MAX_BODY_BYTES).is_some();
        let max_body_bytes = self.parse(&settings::MAX_BODY_BYTES, values::bytes);
        let max_upstream_bytes = self.parse(&settings::MAX_UPSTREAM_BYTES, values::bytes);
        let (budget, max_body) = (max_inflight_bytes?, max_body_bytes?);
        if explicit && max_body > budget {
            self.fault(
                &settings::MAX_BODY_BYTES,
                &format!("at most --max-inflight-bytes, {budget}"),
            );
        }
        Some(Limits {
            upstream_timeout: upstream_timeout?,
            max_body_bytes: max_body.min(budget),
            max_upstream_bytes: max_upstream_bytes?,
            max_inflight_bytes: budget,
        })
    }

    fn drain(&mut self) -> Option<Drain> {
        let idle = self.parse(&settings::DRAIN_IDLE, values::duration);
        let timeout = self.parse(&settings::DRAIN_TIMEOUT, values::duration);
        Some(Drain {
            idle: idle?,
            timeout: timeout?,
        })
    }

    fn log(&mut self) -> Option<Log> {
        let by_terminal = if self.around.stdout_is_terminal {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        let format = match self.given(&settings::LOG_FORMAT) {
            None => Some(by_terminal),
            Some(_) => self.parse_given(&settings::LOG_FORMAT, |text| match text {
                "json" => Ok(LogFormat::Json),
                "text" => Ok(LogFormat::Text),
                _ => Err(Expected("json or text".into())),
            }),
        };
        let level = self.parse(&settings::LOG_LEVEL, |text| {
            text.parse()
                .map_err(|_| Expected("error, warn, info, debug or trace".into()))
        });
        Some(Log {
            format: format?,
            level: level?,
        })
    }

    // --- one setting ---

    fn given(&self, setting: &Setting) -> Option<String> {
        let from_env = || {
            setting
                .env
                .iter()
                .find_map(|name| (self.around.env)(name).filter(|value| !value.is_empty()))
        };
        (self.flag)(setting).or_else(from_env)
    }

    /// The value that was given, or the fixed default.
    fn parse<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let text = self
            .given(setting)
            .or_else(|| setting.fixed_default().map(str::to_owned))?;
        self.checked(setting, parse(&text))
    }

    /// `None` without a fault where nothing was given.
    fn parse_given<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let text = self.given(setting)?;
        self.checked(setting, parse(&text))
    }

    fn parse_required<T>(
        &mut self,
        setting: &Setting,
        what: &str,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        if self.given(setting).is_none() {
            self.fault(setting, what);
        }
        self.parse_given(setting, parse)
    }

    fn checked<T>(&mut self, setting: &Setting, value: Result<T, Expected>) -> Option<T> {
        value
            .map_err(|expected| self.fault(setting, &expected.0))
            .ok()
    }

    fn fault(&mut self, setting: &Setting, expected: &str) {
        let value = self
            .given(setting)
            .or_else(|| setting.fixed_default().map(str::to_owned))
            .unwrap_or_default();
        let names = format!("--{} ({})", setting.flag, setting.env.join(", "));
        self.faults.push(Fault {
            setting: names,
            value: withhold(&value),
            expected: expected.to_owned(),
        });
    }
}

/// The value as it may be shown: no credentials of a URL, no token that was pasted where its path belongs.
fn withhold(value: &str) -> String {
    if value.starts_with("eyJ") {
        return "[a token, withheld]".to_owned();
    }
    let Some((before, after)) = value.rsplit_once('@') else {
        return value.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://[withheld]@{after}"),
        // A proxy's URL may lack its scheme.
        None if before.contains(':') => format!("[withheld]@{after}"),
        None => value.to_owned(),
    }
}

/// The region of AMP's regional hosts; a PrivateLink or private host shows none.
fn region_of_host(host: &str) -> Option<String> {
    let rest = host
        .strip_prefix("aps-workspaces.")
        .or_else(|| host.strip_prefix("aps-workspaces-fips."))?;
    let region = rest
        .strip_suffix(".amazonaws.com")
        .or_else(|| rest.strip_suffix(".api.aws"))?;
    values::region(region).ok()
}

fn dns_suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// A quarter of the memory limit: a thousand open connections take about 28 MiB, and the budget costs a little more than
/// its own size (measured; a test holds both to 64 MiB).
fn default_budget(memory_limit: Option<u64>) -> usize {
    const UNLIMITED: usize = 64 << 20;
    const LEAST: usize = 4 << 20;
    memory_limit
        .and_then(|limit| usize::try_from(limit / 4).ok())
        .map_or(UNLIMITED, |quarter| quarter.clamp(LEAST, UNLIMITED))
}
