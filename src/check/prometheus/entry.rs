//! One `remote_write` entry that writes to a workspace: whether its other settings fit the sidecar's.
//!
//! In: the entry, its URL, its workspace and the configuration. Out: one outcome for each finding, or one that is ok. A finding is broken if samples
//! would never arrive or be lost, otherwise a warning. Headers are given to the listener's own check, so both agree.

use std::time::Duration;

use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};

use super::super::step::StepOutcome;
use crate::batch::admission::Admission;
use crate::batch::lag::LOST_AFTER;
use crate::config::yaml::{Node, NodeKind};
use crate::config::{Config, Workspace, duration, needs_no_proxy};
use crate::http::browser::{AllowedHosts, Purpose};
use crate::remedies::first_hour::{
    PROMETHEUS_AGE, PROMETHEUS_HEADERS, PROMETHEUS_NEEDLESS, PROMETHEUS_PROXY, PROMETHEUS_QUEUE,
    PROMETHEUS_SIGV4, PROMETHEUS_TIMEOUT,
};
use crate::remedies::running::{CLIENT_TOKEN, HANDSHAKE, OVERLOADED, TOO_LARGE};
use crate::sanitize::sanitize;

/// Authentication that needs credentials of a cloud or an identity provider.
const SIGNERS: &[&str] = &["sigv4", "azuread", "google_iam", "oauth2"];
const AUTHORIZATION: &[&str] = &[
    "authorization",
    "basic_auth",
    "bearer_token",
    "bearer_token_file",
];
const REMOTE_TIMEOUT: Duration = Duration::from_secs(30);
/// Of the defaults of all Prometheus versions, the largest queue of a shard, and the fewest shards and samples in a batch.
const CAPACITY: u64 = 10_000;
const MAX_SHARDS: u64 = 50;
const SAMPLES_PER_SEND: u64 = 500;
/// In a real batch, compressed (docs/performance-lab.md).
const BYTES_A_SAMPLE: u64 = 24;

/// An entry of `remote_write`.
pub(super) struct RemoteWriteEntry<'a> {
    node: &'a Node,
    pub(super) url: String,
    pub(super) line: usize,
    pub(super) url_line: usize,
    /// How messages name it.
    label: String,
}

// === impl RemoteWriteEntry ===

impl<'a> RemoteWriteEntry<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        let url = node.get("url");
        let url_line = url.map_or(node.line, |url| url.line);
        let url = url.and_then(Node::text).unwrap_or_default();
        let shown = without_user(&url);
        let name = node.get("name").and_then(Node::text);
        let label = match name.filter(|name| !name.is_empty()) {
            Some(name) if shown.is_empty() => format!("{:?}", sanitize(&name)),
            Some(name) => format!("{:?} ({shown})", sanitize(&name)),
            None => shown,
        };
        Self {
            node,
            url,
            line: node.line,
            url_line,
            label,
        }
    }

    /// Evidence about it.
    pub(super) fn says(&self, line: usize, what: &str) -> String {
        let space = if self.label.is_empty() { "" } else { ", " };
        format!("line {line}{space}{}: {what}", self.label)
    }

    pub(super) fn relabels(&self) -> bool {
        self.node.get("write_relabel_configs").is_some()
    }

    /// Its findings, or that it has none.
    pub(super) fn judged(
        &self,
        url: &Uri,
        workspace: &Workspace,
        config: &Config,
    ) -> Vec<StepOutcome> {
        let mut found = Vec::new();
        found.extend(self.authentication(config));
        found.extend(self.proxy(url));
        let (refused, dropped) = self.headers(url, config);
        found.extend(refused);
        found.extend(self.timeout(workspace));
        found.extend(self.queue(workspace));
        found.extend(self.age());
        found.extend(self.needless(url, config, dropped));
        if found.is_empty() {
            let timeout = self.remote_timeout().as_secs();
            let what = format!(
                "writes to workspace {}, remote_timeout {timeout} s",
                workspace.name
            );
            found.push(StepOutcome::ok(self.says(self.url_line, &what)));
        }
        found
    }

    fn authentication(&self, config: &Config) -> Option<StepOutcome> {
        let signer = SIGNERS
            .iter()
            .find_map(|key| Some((key, self.node.get(key)?)));
        if let Some((key, node)) = signer {
            let what = format!("{key} is set besides the sidecar's url");
            let broken = StepOutcome::broken(self.says(node.line, &what));
            return Some(broken.remedy(PROMETHEUS_SIGV4));
        }
        let auth = &config.server_auth;
        if auth.bearer_tokens.is_some() && !self.sends_bearer() {
            let what = "no bearer token is sent (authorization), and the sidecar requires one";
            return Some(StepOutcome::broken(self.says(self.line, what)).remedy(CLIENT_TOKEN));
        }
        let certificate = ["cert", "cert_file"]
            .iter()
            .find_map(|key| self.node.get("tls_config")?.get(key));
        if auth.client_ca.is_some() && certificate.is_none() {
            let what = "no client certificate is sent (tls_config.cert_file), and the sidecar requires one";
            return Some(StepOutcome::broken(self.says(self.line, what)).remedy(HANDSHAKE));
        }
        None
    }

    fn sends_bearer(&self) -> bool {
        let has = |key: &str| self.node.get(key).is_some();
        let scheme = self.node.get("authorization").map(|node| node.get("type"));
        let scheme = scheme.map(|kind| kind.and_then(Node::text).unwrap_or_default());
        has("bearer_token")
            || has("bearer_token_file")
            || scheme.is_some_and(|kind| kind.is_empty() || kind.eq_ignore_ascii_case("bearer"))
    }

    /// As Go's proxy rules have it: `proxy_url` alone is for every host; with `no_proxy`, and from the environment, loopback is never proxied.
    fn proxy(&self, url: &Uri) -> Option<StepOutcome> {
        let set = |key: &str| {
            let node = self.node.get(key)?;
            let text = node
                .text()
                .filter(|text| !text.is_empty() && text != "false")?;
            Some((node, text))
        };
        let spared = |exceptions: &str| needs_no_proxy(exceptions, url);
        let outcome = if let Some((node, _)) = set("proxy_url") {
            if set("no_proxy").is_some_and(|(_, exceptions)| spared(&exceptions)) {
                return None;
            }
            let what = "proxy_url: batches go to that proxy instead of the sidecar";
            StepOutcome::broken(self.says(node.line, what))
        } else {
            let (node, _) = set("proxy_from_environment").filter(|_| !spared(""))?;
            let what = "proxy_from_environment: batches go to HTTP_PROXY of Prometheus' environment instead of the sidecar, \
                        unless its NO_PROXY lists the host";
            StepOutcome::warning(self.says(node.line, what))
        };
        Some(outcome.remedy_with(PROMETHEUS_PROXY, url.host().unwrap_or_default()))
    }

    /// What the listener refuses, and the other headers with their lines.
    fn headers(&self, url: &Uri, config: &Config) -> (Option<StepOutcome>, Vec<(String, usize)>) {
        let entries = |key: &str| match self.node.get(key).map(|node| &node.kind) {
            Some(NodeKind::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        // Prometheus 3 also has the latter, with a list of values for each.
        let all = entries("headers").iter().chain(entries("http_headers"));
        let (refused, dropped): (Vec<_>, Vec<_>) = all.partition(|(name, value)| {
            let value = value.get("values").unwrap_or(value).text();
            is_refused(&name.text, &value.unwrap_or_default(), url, config)
        });
        let refusal = refused.first().map(|(first, _)| {
            let names: Vec<String> = refused
                .iter()
                .map(|(name, _)| sanitize(&name.text))
                .collect();
            let what = format!("headers: {} is refused as a browser's", names.join(", "));
            StepOutcome::broken(self.says(first.line, &what)).remedy(PROMETHEUS_HEADERS)
        });
        let dropped = dropped
            .iter()
            .map(|(name, _)| (format!("headers.{}", sanitize(&name.text)), name.line));
        (refusal, dropped.collect())
    }

    fn remote_timeout(&self) -> Duration {
        let text = self.node.get("remote_timeout").and_then(Node::text);
        let timeout = text.and_then(|text| duration(&text).ok());
        timeout.unwrap_or(REMOTE_TIMEOUT)
    }

    fn timeout(&self, workspace: &Workspace) -> Option<StepOutcome> {
        let timeout = self.remote_timeout();
        let ours = workspace.limits.upstream_timeout;
        if timeout > ours {
            return None;
        }
        let what = format!(
            "remote_timeout of {} s is not above --upstream-timeout of {} s",
            timeout.as_secs(),
            ours.as_secs()
        );
        let node = self.node.get("remote_timeout");
        let line = node.map_or(self.line, |node| node.line);
        Some(StepOutcome::warning(self.says(line, &what)).remedy(PROMETHEUS_TIMEOUT))
    }

    fn queue(&self, workspace: &Workspace) -> Option<StepOutcome> {
        let queue = self.node.get("queue_config")?;
        let number = |key: &str| queue.get(key)?.text()?.parse::<u64>().ok();
        let (per_send, shards) = (number("max_samples_per_send"), number("max_shards"));
        let capacity = number("capacity").unwrap_or(CAPACITY);
        let samples = per_send.unwrap_or(SAMPLES_PER_SEND);
        let says = |what: &str| self.says(queue.line, what);
        if capacity < samples {
            let what = format!(
                "capacity {capacity} of a shard is less than max_samples_per_send, {samples}"
            );
            return Some(StepOutcome::warning(says(&what)).remedy(PROMETHEUS_QUEUE));
        }
        let limits = &workspace.limits;
        let body = samples.saturating_mul(BYTES_A_SAMPLE);
        let largest = limits.max_body_bytes.min(limits.max_inflight_bytes) as u64;
        if body > largest {
            let what = format!(
                "a batch of max_samples_per_send, {samples}, is about {body} B, and the sidecar accepts {largest} B"
            );
            return Some(StepOutcome::broken(says(&what)).remedy(TOO_LARGE));
        }
        let admission = Admission::new(limits.max_inflight_bytes, limits.client_share_percent);
        let (slots, budget) = (admission.slots() as u64, limits.max_inflight_bytes as u64);
        let requests = shards.unwrap_or(MAX_SHARDS);
        let bytes = requests.saturating_mul(body);
        let chosen = per_send.is_some() || shards.is_some();
        if !chosen || (requests <= slots && bytes <= budget) {
            return None;
        }
        let what = format!(
            "{requests} shards send {requests} batches of about {body} B at once, and the sidecar has room for {slots} and {budget} B"
        );
        Some(StepOutcome::warning(says(&what)).remedy(OVERLOADED))
    }

    fn age(&self) -> Option<StepOutcome> {
        let node = self.node.get("queue_config")?.get("sample_age_limit")?;
        let limit = duration(&node.text()?).ok()?;
        let what = format!(
            "sample_age_limit of {} s: after a longer outage Prometheus drops samples that AMP accepts",
            limit.as_secs()
        );
        let warning = StepOutcome::warning(self.says(node.line, &what));
        (limit < LOST_AFTER).then(|| warning.remedy(PROMETHEUS_AGE))
    }

    fn needless(
        &self,
        url: &Uri,
        config: &Config,
        mut needless: Vec<(String, usize)>,
    ) -> Option<StepOutcome> {
        if config.server_auth.bearer_tokens.is_none() {
            needless.extend(AUTHORIZATION.iter().filter_map(|key| self.key(key)));
        }
        if url.scheme_str() == Some("http") {
            needless.extend(self.key("tls_config"));
        }
        let retry = self
            .node
            .get("queue_config")
            .and_then(|queue| queue.get("retry_on_http_429"));
        let retry = retry.filter(|node| node.text().as_deref() == Some("true"));
        needless.extend(retry.map(|node| ("retry_on_http_429".to_owned(), node.line)));
        let line = needless.iter().map(|(_, line)| *line).min()?;
        let names: Vec<String> = needless.into_iter().map(|(name, _)| name).collect();
        let verb = if names.len() == 1 { "has" } else { "have" };
        let what = format!("{} {verb} no effect here", names.join(", "));
        Some(StepOutcome::warning(self.says(line, &what)).remedy(PROMETHEUS_NEEDLESS))
    }

    fn key(&self, key: &str) -> Option<(String, usize)> {
        Some((key.to_owned(), self.node.get(key)?.line))
    }
}

/// Whether the listener refuses a batch because of this header.
fn is_refused(name: &str, value: &str, url: &Uri, config: &Config) -> bool {
    let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) else {
        return false;
    };
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    let host = url.authority();
    let headers = request.headers_mut();
    headers.extend(
        host.and_then(|host| HeaderValue::from_str(host.as_str()).ok())
            .map(|host| (HOST, host)),
    );
    headers.insert(name, value);
    let names = AllowedHosts {
        allowed: config.allow_host.clone(),
        certified: config.server_auth.certificate.is_some(),
    };
    names.admit(&request, host, Purpose::Batch).is_err()
}

/// Without user and password.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    sanitize(&format!("{scheme}{separator}{host}{path}"))
}
