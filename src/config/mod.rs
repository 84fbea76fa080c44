//! Strings in, valid values out: everything that the program can be told.
//!
//! In: the command line's flags, the [`Surroundings`] (environment variables, the cgroup's memory limit, whether stdout is a
//! terminal) and the YAML file that they may name. Out: a [`Config`] in which nothing is left to check, or a [`Rejected`]
//! that names *all* faults at once. Either holds the warnings: what is no fault and yet probably not meant. A flag beats its environment variables, they beat the file's top, that beats the
//! default; an empty variable counts as not set, as in AWS' SDKs. What lies outside the process and may still come (the
//! token file, STS, DNS) is no configuration and is not looked at here: a valid configuration always starts.

mod certificates;
mod effective;
mod endpoints;
mod file;
mod identity;
mod loader;
mod network;
mod render;
mod schema;
mod server_auth;
mod settings;
mod sources;
mod target;
mod traces;
mod values;
mod variables;
mod workspace;
pub(crate) mod yaml;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use rustls::pki_types::CertificateDer;

pub use certificates::{Bundle, CaFile, Unreadable};
pub use effective::{Effective, Origins, Section, Value};
pub use identity::{Entra, Identity, RoleSession};
use loader::Reader;
pub use network::{Network, Proxy};
pub use schema::schema;
pub use server_auth::{DoorFiles, Keys, Readable};
pub use settings::{ALL, Setting};
pub use traces::{Sampling, Tracing, Waiting};
pub(crate) use values::{Expected, duration, region, workspace_id};

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from in part.
    pub file: Option<PathBuf>,
    /// Where senders write to.
    pub listen: SocketAddr,
    /// What is asked of those who write from elsewhere.
    pub door: DoorFiles,
    /// By which names browsers and readers may call, beside addresses and localhost.
    pub allow_host: Vec<String>,
    /// Where probes and metrics are served.
    pub admin_listen: SocketAddr,
    /// At least one; their names and ids are distinct.
    pub workspaces: Vec<Workspace>,
    /// Where the extra roots stand.
    pub ca_bundle: Option<PathBuf>,
    /// Certificates that are trusted beside the built-in roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// The way to every endpoint.
    pub network: Network,
    /// How the program leaves.
    pub drain: Drain,
    /// How the program logs.
    pub log: Log,
    /// Whether it gives up what it never needs.
    pub sandbox: bool,
    /// Where spans go, if anywhere.
    pub tracing: Option<Tracing>,
    /// What is no fault and worth a word, one line each; nothing in them is secret.
    pub warnings: Vec<String>,
    /// Where each value was given.
    pub origins: Origins,
}

/// A workspace that is written to, and may be read, with all that is its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    /// How paths, metrics and log call it: its id unless it was given a name.
    pub name: String,
    /// `ws-…`
    pub id: String,
    /// The region that is signed for.
    pub region: String,
    /// The whole remote-write URL, `…/workspaces/<id>/api/v1/remote_write`.
    pub remote_write_url: Uri,
    /// How credentials are got.
    pub identity: Identity,
    /// What bounds a batch.
    pub limits: Limits,
    /// Whether it may be read too.
    pub reading: Option<Reading>,
}

/// What bounds a batch in time and space.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// From a batch's last byte to AMP's answer.
    pub upstream_timeout: Duration,
    /// The largest body that is read.
    pub max_body_bytes: usize,
    /// Whether bodies are read, counted and judged.
    pub inspect: bool,
    /// The largest body that is sent to AMP in one request.
    pub max_upstream_bytes: usize,
    /// All bodies held at once.
    pub max_inflight_bytes: usize,
    /// What one client from elsewhere may hold of it.
    pub client_share_percent: u8,
}

/// What bounds a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// From its request to the last byte of the answer.
    pub timeout: Duration,
}

/// When to leave after the signal to.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// Once no request has come for this long.
    pub idle: Duration,
    /// By then in any case.
    pub timeout: Duration,
}

/// How the program logs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Log {
    /// JSON or readable.
    pub format: LogFormat,
    /// The least level that is logged.
    pub level: tracing::Level,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What a configuration is read from beside the command line.
pub struct Surroundings<'a> {
    /// An environment variable's value.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The names of all environment variables that are ours by their form.
    pub variables: Vec<String>,
    /// The memory limit of the process' cgroup.
    pub memory_limit: Option<u64>,
    /// The pod's namespace as Kubernetes mounts it beside the default token.
    pub pod_namespace: Option<String>,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("memory_limit", &self.memory_limit)
            .finish_non_exhaustive()
    }
}

/// An invalid configuration, with every fault in it.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.lines().join("\n"))]
pub struct Rejected {
    /// At least one.
    pub faults: Vec<Fault>,
    /// What is no fault, and may be what is behind one.
    pub warnings: Vec<String>,
}

/// One fault of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Flag and environment variables, `--region (AWS_REGION, AWS_DEFAULT_REGION)`.
    pub setting: String,
    /// What was given, secrets withheld; empty where nothing was.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl Rejected {
    fn lines(&self) -> Vec<String> {
        let faults = self.faults.iter().map(ToString::to_string);
        let warnings = self.warnings.iter();
        let warnings = warnings.map(|warning| format!("warning: {warning}"));
        faults.chain(warnings).collect()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.value.is_empty() {
            "not set".to_owned()
        } else {
            format!("is {:?}", self.value)
        };
        write!(f, "{} {value}: expected {}", self.setting, self.expected)
    }
}

// === impl Workspace ===

impl Workspace {
    /// As IAM names it, in the role's account unless AMP says otherwise.
    #[must_use]
    pub fn arn(&self) -> String {
        let mut parts = self.identity.signing().role_arn.split(':');
        let partition = parts.nth(1).unwrap_or("aws");
        let account = parts.nth(2).unwrap_or("<account>");
        format!(
            "arn:{partition}:aps:{}:{account}:workspace/{}",
            self.region, self.id
        )
    }
}

// === impl Config ===

impl Config {
    /// Reads and checks everything; `flag` gives what the command line says of a setting.
    ///
    /// # Errors
    /// [`Rejected`] with every fault that was found.
    pub fn read(
        flag: &dyn Fn(&Setting) -> Option<String>,
        around: &Surroundings<'_>,
    ) -> Result<Self, Rejected> {
        Reader::new(flag, around).read()
    }

    /// One line for each warning.
    pub fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!(reason = warning, "configuration warning");
        }
    }

    /// What endpoints are trusted by beside the built-in roots.
    #[must_use]
    pub fn ca_files(&self) -> Vec<CaFile> {
        let bundle = self.ca_bundle.clone();
        let bundle = bundle.map(|path| CaFile::new(&settings::CA_BUNDLE, path));
        bundle.into_iter().collect()
    }

    /// What the collector of traces is trusted by.
    #[must_use]
    pub fn ca_files_of_collector(&self) -> Vec<CaFile> {
        let mut files = self.ca_files();
        let tracing = self.tracing.as_ref();
        let own = tracing.and_then(|tracing| tracing.certificate.clone());
        files.extend(own.map(|path| CaFile::new(&settings::OTLP_CERTIFICATE, path)));
        files
    }

    /// The settings that a running program cannot change and that differ from those of `other`.
    #[must_use]
    pub fn fixed_that_differ(&self, other: &Self) -> Vec<&'static str> {
        [
            ("--listen", self.listen == other.listen),
            ("what --listen asks of senders", self.door == other.door),
            ("--allow-host", self.allow_host == other.allow_host),
            ("--admin-listen", self.admin_listen == other.admin_listen),
            (
                "--drain-idle and --drain-timeout",
                self.drain == other.drain,
            ),
            ("--log-format and --log-level", self.log == other.log),
            ("--sandbox", self.sandbox == other.sandbox),
            (
                "what is said of traces",
                self.tracing.as_ref().map(Tracing::without_roots)
                    == other.tracing.as_ref().map(Tracing::without_roots),
            ),
        ]
        .into_iter()
        .filter_map(|(name, same)| (!same).then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod readme;
#[cfg(test)]
mod tests;
