//! Remote write that comes to where none is taken: another path, another method, the admin port.
//!
//! In: a request that is answered 404 or 405 otherwise. Out: whether it is remote write all the same, by its headers or, where they
//! are silent, by the beginning of its body; and [`UnroutedRequests`], which says in log, metrics and on the status page who writes where. A
//! Prometheus that hears 404 drops the batch for good, and one that hears 503 keeps it until somebody has put its URL right.
//!
//! Whatever a sender says of itself is quoted and bounded, and so is the number of senders that are remembered. A client that only says
//! who it is, as Prometheus does to an Alertmanager too, is a sender where nothing that it says of the body contradicts.

mod body;

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::outcome::remedy;
use crate::outcome::response::SenderResponse;
use crate::outcome::verdict::Verdict;
use crate::remote_write::content_type::{VICTORIA_VERSION, WRITE_VERSION, said};
use crate::sanitize::sanitize_within;
use crate::telemetry::UnroutedMetrics;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};

pub use body::{discard, is_batch};

/// How many senders are remembered.
const MOST: usize = 8;
/// The longest words of one, in bytes.
const LONGEST: usize = 128;
/// A sender that was refused tries again within a minute at most.
const RECENT: Duration = Duration::from_secs(300);
const READ_VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-read-version");
/// How the senders that are known begin their `User-Agent`.
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

/// A sender whose batches are not taken.
#[derive(Debug, Clone)]
pub struct MisdirectedSender {
    /// Where it is.
    pub peer: IpAddr,
    /// What it calls itself; empty where it does not.
    pub agent: String,
    /// The port it writes to.
    pub port: u16,
    /// The path it writes to.
    pub path: String,
    /// What became of its batches.
    pub outcome: &'static str,
    /// How many came.
    pub count: u64,
    /// When the last one came.
    pub last: SystemTime,
    seen: Instant,
}

/// The senders of both ports; clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct MisdirectedSenders(Arc<Mutex<VecDeque<MisdirectedSender>>>);

/// Tells of the requests to one port that are for no workspace.
#[derive(Debug)]
pub struct UnroutedRequests {
    watch: IncidentTracker,
    counted: UnroutedMetrics,
    senders: MisdirectedSenders,
    clock: Clock,
}

/// Whether a request of this method may carry a batch at all.
#[must_use]
pub fn may_write(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT
}

/// Whether a request says of itself that it is remote write.
#[must_use]
pub fn by_head(head: &Parts) -> bool {
    may_write(&head.method) && by_headers(&head.headers)
}

/// The same by its headers alone.
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

// === impl MisdirectedSender ===

impl MisdirectedSender {
    /// Who sent a request with this head to `port`, which came to `outcome`.
    fn of(head: &Parts, peer: IpAddr, port: u16, outcome: &'static str, clock: &Clock) -> Self {
        let agent = said(&head.headers, &USER_AGENT).unwrap_or_default();
        Self {
            peer: peer.to_canonical(),
            agent: sanitize_within(&String::from_utf8_lossy(agent), LONGEST),
            port,
            path: sanitize_within(head.uri.path(), LONGEST),
            outcome,
            count: 1,
            last: clock.now(),
            seen: Instant::now(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        (self.peer, self.port, self.outcome) == (other.peer, other.port, other.outcome)
            && self.agent == other.agent
            && self.path == other.path
    }
}

/// In words, for log and page.
impl fmt::Display for MisdirectedSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peer, port, path, ..
        } = self;
        match self.agent.as_str() {
            "" => write!(f, "a sender ({peer})"),
            agent => write!(f, "a sender ({agent}, {peer})"),
        }?;
        write!(
            f,
            " writes to port {port} path {path}; nothing of it is stored"
        )
    }
}

// === impl MisdirectedSenders ===

impl MisdirectedSenders {
    /// Those that wrote lately, the last one first.
    #[must_use]
    pub fn recent(&self) -> Vec<MisdirectedSender> {
        let senders = self.lock();
        let recent = senders
            .iter()
            .filter(|sender| sender.seen.elapsed() < RECENT);
        recent.rev().cloned().collect()
    }

    /// One more batch of a sender; where there is no room for it, the one that was silent for longest goes.
    fn note(&self, mut sender: MisdirectedSender) {
        let mut senders = self.lock();
        if let Some(known) = senders.iter().position(|known| known.is(&sender)) {
            let known = senders.remove(known);
            sender.count = known.map_or(0, |known| known.count).saturating_add(1);
        } else if senders.len() >= MOST {
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
    /// Logs by `watch` and counts by `counted`; senders go into the list of both ports.
    #[must_use]
    pub fn new(
        watch: IncidentTracker,
        counted: UnroutedMetrics,
        senders: MisdirectedSenders,
        clock: Clock,
    ) -> Self {
        Self {
            watch,
            counted,
            senders,
            clock,
        }
    }

    /// The senders of both ports.
    #[must_use]
    pub fn senders(&self) -> &MisdirectedSenders {
        &self.senders
    }

    /// A request was none of these.
    pub fn recover(&self) {
        self.watch.recover();
    }

    /// A question that costs nobody anything is only counted.
    pub fn asked(&self, verdict: &Verdict, took: Duration) -> SenderResponse {
        self.counted.answered(verdict, took);
        verdict.answer()
    }

    /// A request was for no workspace; `sender` is its head where it is remote write, with its peer and our port.
    pub fn answer(
        &self,
        verdict: &Verdict,
        sender: Option<(&Parts, IpAddr, u16)>,
        took: Duration,
    ) -> SenderResponse {
        let sender = sender.map(|(head, peer, port)| {
            MisdirectedSender::of(head, peer, port, verdict.name(), &self.clock)
        });
        self.watch
            .fail(verdict.name(), || match (&sender, verdict) {
                (Some(sender), Verdict::Misdirected { .. }) => Diagnosis {
                    reason: sender.to_string(),
                    remedy: remedy::of_verdict(verdict),
                    credentials_left: None,
                },
                _ => Diagnosis::of_verdict(verdict),
            });
        if let Some(sender) = sender {
            self.senders.note(sender);
        }
        self.counted.answered(verdict, took);
        verdict.answer()
    }
}

#[cfg(test)]
mod tests;
