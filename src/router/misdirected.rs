//! Detects remote write to a wrong path, method or port.
//!
//! In: a request that would get 404 or 405. Out: whether it is remote write nevertheless, by its headers or, if they do not
//! tell, by the start of its body; and [`UnroutedRequests`], which reports these senders in log, metrics and on the status
//! page. A Prometheus that gets 404 drops the batch for good; with 503 it keeps the batch until its URL is fixed.
//!
//! Everything that a sender says about itself is sanitized and bounded, and so is the number of remembered senders. A client
//! known only by its `User-Agent` counts as a sender unless its content type says otherwise, because Prometheus sends the same
//! `User-Agent` to an Alertmanager.

mod body;

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Stamp};
use crate::config::Workspace;
use crate::outcome::remedy;
use crate::outcome::response::SenderResponse;
use crate::outcome::verdict::Verdict;
use crate::remedies::running::HUNG_UP;
use crate::remote_write::content_type::{VICTORIA_VERSION, WRITE_VERSION, said};
use crate::sanitize::sanitize_within;
use crate::telemetry::UnroutedMetrics;
use crate::telemetry::incidents::{Diagnosis, HANG_UPS, IncidentTracker};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Uri};

pub use body::{discard, is_batch};

/// Maximum number of remembered senders.
const MAX_SENDERS: usize = 8;
/// Maximum length of a sender's text, in bytes.
const MAX_TEXT_LEN: usize = 128;
/// How long a sender is listed after its last request.
const RECENT: Duration = Duration::from_secs(300);
/// A sender retries after at most a minute; one that is silent for longer has stopped writing here.
const RETRIED: Duration = Duration::from_secs(90);
const READ_VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-read-version");
/// How known senders begin their `User-Agent`.
const AGENTS: [&[u8]; 10] = [
    b"Prometheus/",
    b"vmagent",
    b"vmalert",
    b"GrafanaAgent/",
    b"Alloy/",
    b"OpenTelemetry",
    b"opentelemetry",
    b"Telegraf/",
    b"Fluent-Bit",
    b"Vector/",
];

/// A sender whose batches are rejected because of path, method or port.
#[derive(Debug, Clone)]
pub struct MisdirectedSender {
    /// The sender's address.
    pub peer: IpAddr,
    /// Its `User-Agent`; empty if it sends none.
    pub agent: String,
    /// The port it writes to.
    pub port: u16,
    /// The path it writes to, or whatever else it asks for.
    pub path: String,
    /// What it takes the port for, if that is the mistake; continues a sentence.
    pub mistaken_for: &'static str,
    /// The verdict's name.
    pub outcome: &'static str,
    /// What to do, as the log has it.
    pub remedy: String,
    /// Number of its batches.
    pub count: u64,
    pub last: Stamp,
}

/// The senders of both ports; clones share one list.
#[derive(Debug, Clone, Default)]
pub struct MisdirectedSenders(Arc<Mutex<VecDeque<MisdirectedSender>>>);

/// Reports the requests to one port that are for no workspace.
#[derive(Debug)]
pub struct UnroutedRequests {
    incidents: IncidentTracker,
    metrics: UnroutedMetrics,
    senders: MisdirectedSenders,
    clock: Clock,
}

/// Whether a request with this method can carry a batch.
#[must_use]
pub fn may_write(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT
}

/// Whether method and headers are those of remote write.
#[must_use]
pub fn by_head(head: &Parts) -> bool {
    may_write(&head.method) && by_headers(&head.headers)
}

/// Whether the headers are those of remote write.
#[must_use]
pub fn by_headers(headers: &HeaderMap) -> bool {
    if headers.contains_key(READ_VERSION) {
        return false;
    }
    let is = |name, wanted: &[u8]| {
        said(headers, &name).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    let kind = said(headers, &CONTENT_TYPE);
    let is_protobuf = kind.is_some_and(|kind| {
        let essence = kind.split(|b| *b == b';').next().unwrap_or_default();
        [
            &b"application/x-protobuf"[..],
            b"application/vnd.google.protobuf",
        ]
        .iter()
        .any(|known| essence.trim_ascii().eq_ignore_ascii_case(known))
    });
    let agent = said(headers, &USER_AGENT).unwrap_or_default();
    is(CONTENT_ENCODING, b"snappy")
        || headers.contains_key(WRITE_VERSION)
        || headers.contains_key(VICTORIA_VERSION)
        || is_protobuf
        || kind.is_none() && AGENTS.iter().any(|known| agent.starts_with(known))
}

/// What a request asks for: the path, after the host if it names one; never a query or a password.
#[must_use]
pub fn target(uri: &Uri) -> String {
    let (host, path) = (uri.host().unwrap_or_default(), uri.path());
    match uri.port_u16() {
        Some(port) => format!("{host}:{port}{path}"),
        None => format!("{host}{path}"),
    }
}

/// What the sender takes this port for, if it is no writer of remote write to a wrong path; continues a sentence.
#[must_use]
pub fn mistaken_for(head: &Parts) -> Option<&'static str> {
    if head.uri.host().is_some() {
        return Some(", which is no HTTP proxy (proxy_url or HTTP_PROXY of the sender)");
    }
    // The path of OTLP over HTTP in OpenTelemetry's specification, also below Prometheus' own.
    head.uri.path().ends_with("/v1/metrics").then_some(
        ", which takes no OTLP (let the collector's exporter prometheusremotewrite write instead of otlphttp)",
    )
}

// === impl MisdirectedSender ===

impl MisdirectedSender {
    /// The sender of a request with this head to `port`.
    fn of(head: &Parts, peer: IpAddr, port: u16, verdict: &Verdict, clock: &Clock) -> Self {
        let agent = said(&head.headers, &USER_AGENT).unwrap_or_default();
        Self {
            peer: peer.to_canonical(),
            agent: sanitize_within(&String::from_utf8_lossy(agent), MAX_TEXT_LEN),
            port,
            path: sanitize_within(&target(&head.uri), MAX_TEXT_LEN),
            mistaken_for: mistaken_for(head).unwrap_or_default(),
            outcome: verdict.name(),
            remedy: remedy::of_verdict(verdict)
                .map_or_else(String::new, |advice| advice.to_string()),
            count: 1,
            last: clock.stamp(),
        }
    }

    /// Whether it still writes there.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.last.instant.elapsed() < RETRIED
    }

    /// Whether its path names this workspace, by name or id.
    #[must_use]
    pub fn names(&self, workspace: &Workspace) -> bool {
        let is = |part: &str| part == workspace.name || part == workspace.id;
        self.path.split('/').any(is)
    }

    fn is(&self, other: &Self) -> bool {
        (self.peer, self.port, self.outcome) == (other.peer, other.port, other.outcome)
            && self.agent == other.agent
            && self.path == other.path
    }
}

/// For the log and the status page.
impl fmt::Display for MisdirectedSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peer,
            port,
            path,
            mistaken_for,
            ..
        } = self;
        match self.agent.as_str() {
            "" => write!(f, "a sender ({peer})"),
            agent => write!(f, "a sender ({agent}, {peer})"),
        }?;
        write!(
            f,
            " writes to port {port} path {path}{mistaken_for}; nothing of it is stored"
        )
    }
}

// === impl MisdirectedSenders ===

impl MisdirectedSenders {
    /// Senders of the last five minutes, latest first.
    #[must_use]
    pub fn recent(&self) -> Vec<MisdirectedSender> {
        let senders = self.lock();
        let recent = senders
            .iter()
            .filter(|sender| sender.last.instant.elapsed() < RECENT);
        recent.rev().cloned().collect()
    }

    /// Adds a batch of a sender; if the list is full, the sender that was silent longest is removed.
    fn note(&self, mut sender: MisdirectedSender) {
        let mut senders = self.lock();
        if let Some(known) = senders.iter().position(|known| known.is(&sender)) {
            let known = senders.remove(known);
            sender.count = known.map_or(0, |known| known.count).saturating_add(1);
        } else if senders.len() >= MAX_SENDERS {
            senders.pop_front();
        }
        senders.push_back(sender);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<MisdirectedSender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl UnroutedRequests ===

impl UnroutedRequests {
    /// Reports to `incidents` and `metrics`; senders go into the list shared by both ports.
    #[must_use]
    pub fn new(
        incidents: IncidentTracker,
        metrics: UnroutedMetrics,
        senders: MisdirectedSenders,
        clock: Clock,
    ) -> Self {
        Self {
            incidents,
            metrics,
            senders,
            clock,
        }
    }

    /// The senders of both ports.
    #[must_use]
    pub fn senders(&self) -> &MisdirectedSenders {
        &self.senders
    }

    /// A request had a workspace.
    pub fn recover(&self) {
        self.incidents.recover();
    }

    /// A sender closed its connection before it got its response, and sends the same batch again.
    pub fn hung_up(&self, peer: IpAddr) {
        self.metrics.hung_up();
        self.incidents.fail("hung_up", || {
            let peer = peer.to_canonical();
            let what = format!("{peer} closed its connection before it got its response");
            Diagnosis {
                subject: Some(&HANG_UPS),
                ..Diagnosis::new(&what, HUNG_UP)
            }
        });
    }

    /// Only counts a probe that loses no sample.
    pub fn count(&self, verdict: &Verdict, took: Duration) -> SenderResponse {
        self.metrics.answered(verdict, took);
        verdict.answer()
    }

    /// Counts and logs a request for no workspace. `sender` is its head, peer and local port if it is remote write.
    pub fn answer(
        &self,
        verdict: &Verdict,
        sender: Option<(&Parts, IpAddr, u16)>,
        took: Duration,
    ) -> SenderResponse {
        let sender = sender.map(|(head, peer, port)| {
            MisdirectedSender::of(head, peer, port, verdict, &self.clock)
        });
        self.incidents
            .fail(verdict.name(), || match (&sender, verdict) {
                (Some(sender), Verdict::Misdirected { .. }) => {
                    Diagnosis::maybe(sender, remedy::of_verdict(verdict))
                }
                _ => Diagnosis::of_verdict(verdict),
            });
        if let Some(sender) = sender {
            self.senders.note(sender);
        }
        self.metrics.answered(verdict, took);
        verdict.answer()
    }
}

#[cfg(test)]
mod tests;
