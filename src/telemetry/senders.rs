//! Who writes to a workspace.
//!
//! In: each request to a write path. Out: the [`KnownSender`]s, at most [`MOST`], for the status page. A sender is known by address,
//! `User-Agent`, path and version: several in one pod, or behind one NAT, have the same address.
//!
//! A batch of a known sender costs a search through the list and two stores: no lock, no allocation. A new one replaces the list, and
//! the sender that was silent longest if it is full; then at most one a second is let in, so that a thousand senders cost no more.
//! A map with a lock per batch was rejected for that.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::clock::{Clock, Stamp};
use crate::remote_write::inspect::Version;
use crate::sanitize::sanitize;

/// How many senders are remembered.
const MOST: usize = 32;
/// How much of a sender's `User-Agent` and path, in bytes.
const LONGEST: usize = 128;
/// How seldom a full list changes.
const TURN: Duration = Duration::from_secs(1);

/// The senders of one workspace.
#[derive(Debug)]
pub struct Senders {
    known: ArcSwap<Vec<Arc<Entry>>>,
    began: Instant,
    clock: Clock,
    /// When the list was last changed.
    changed: Mutex<Option<Instant>>,
}

/// What a request says of its sender.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    pub peer: IpAddr,
    /// Its `User-Agent`; empty if it sends none.
    pub agent: &'a [u8],
    pub path: &'a str,
    pub version: Version,
}

/// One sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSender {
    pub peer: IpAddr,
    /// Its `User-Agent`, sanitized.
    pub agent: String,
    /// The path it writes to.
    pub path: String,
    pub version: Version,
    /// Requests received.
    pub requests: u64,
    /// The latest one.
    pub last: Stamp,
}

#[derive(Debug)]
struct Entry {
    peer: IpAddr,
    agent: Box<[u8]>,
    path: Box<[u8]>,
    version: Version,
    requests: AtomicU64,
    /// In milliseconds after the beginning.
    last: AtomicU64,
}

// === impl Senders ===

impl Senders {
    /// Nobody yet.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self {
            known: ArcSwap::default(),
            began: Instant::now(),
            clock: clock.clone(),
            changed: Mutex::default(),
        }
    }

    /// A request came from this sender.
    pub fn note(&self, sender: Sender<'_>) {
        let sender = Sender {
            peer: sender.peer.to_canonical(),
            agent: cut(sender.agent),
            ..sender
        };
        let now = Instant::now();
        let known = self.known.load();
        match known.iter().find(|entry| entry.is(&sender)) {
            Some(entry) => entry.note(self.millis(now)),
            None => self.add(&sender, now),
        }
    }

    /// The senders, the latest first.
    #[must_use]
    pub fn recent(&self) -> Vec<KnownSender> {
        let known = self.known.load();
        let mut entries: Vec<_> = known
            .iter()
            .map(|entry| (entry.last.load(Ordering::Relaxed), entry))
            .collect();
        entries.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
        let shown = |text: &[u8]| sanitize(&String::from_utf8_lossy(text));
        let of = |(last, entry): (u64, &Arc<Entry>)| KnownSender {
            peer: entry.peer,
            agent: shown(&entry.agent),
            path: shown(&entry.path),
            version: entry.version,
            requests: entry.requests.load(Ordering::Relaxed),
            last: self
                .clock
                .stamp_of(self.began + Duration::from_millis(last)),
        };
        entries.into_iter().map(of).collect()
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.duration_since(self.began).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    fn add(&self, sender: &Sender<'_>, now: Instant) {
        // While another one is added, this one waits for its next request.
        let Ok(mut changed) = self.changed.try_lock() else {
            return;
        };
        let known = self.known.load();
        if known.iter().any(|entry| entry.is(sender)) {
            return;
        }
        let mut entries: Vec<_> = known.iter().cloned().collect();
        if entries.len() >= MOST {
            if changed.is_some_and(|changed| now.duration_since(changed) < TURN) {
                return;
            }
            let last = |(_, entry): &(usize, &Arc<Entry>)| entry.last.load(Ordering::Relaxed);
            let oldest = entries.iter().enumerate().min_by_key(last);
            if let Some((oldest, _)) = oldest {
                entries.swap_remove(oldest);
            }
        }
        entries.push(Arc::new(Entry {
            peer: sender.peer,
            agent: sender.agent.into(),
            path: cut(sender.path.as_bytes()).into(),
            version: sender.version,
            requests: AtomicU64::new(1),
            last: AtomicU64::new(self.millis(now)),
        }));
        self.known.store(Arc::new(entries));
        *changed = Some(now);
    }
}

// === impl Entry ===

impl Entry {
    fn is(&self, sender: &Sender<'_>) -> bool {
        (self.peer, self.version) == (sender.peer, sender.version)
            && *self.path == *cut(sender.path.as_bytes())
            && *self.agent == *sender.agent
    }

    fn note(&self, millis: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.last.store(millis, Ordering::Relaxed);
    }
}

fn cut(text: &[u8]) -> &[u8] {
    text.get(..LONGEST).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::SystemTime;

    const SECOND: Duration = Duration::from_secs(1);

    fn senders() -> Senders {
        Senders::new(&Clock::simulated(SystemTime::UNIX_EPOCH))
    }

    fn sender(peer: u32, agent: &str) -> Sender<'_> {
        Sender {
            peer: IpAddr::V4(Ipv4Addr::from_bits(peer)),
            agent: agent.as_bytes(),
            path: "/api/v1/write",
            version: Version::V1,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_sender_is_told_from_the_others_and_the_latest_is_first() {
        let senders = senders();
        let v2 = Sender {
            version: Version::V2,
            ..sender(1, "Prometheus/3")
        };
        let mapped = Sender {
            peer: IpAddr::V6(Ipv4Addr::from_bits(1).to_ipv6_mapped()),
            ..v2
        };
        for request in [sender(1, "vmagent"), v2, mapped, sender(1, "vmagent")] {
            tokio::time::advance(SECOND).await;
            senders.note(request);
        }
        tokio::time::advance(SECOND).await;
        let recent = senders.recent();
        let shown: Vec<_> = recent
            .iter()
            .map(|sender| (sender.agent.as_str(), sender.version, sender.requests))
            .collect();
        let expected = [
            ("vmagent", Version::V1, 2),
            ("Prometheus/3", Version::V2, 2),
        ];
        assert_eq!(shown, expected);
        let ago = recent.iter().map(|sender| sender.last.instant.elapsed());
        assert_eq!(ago.collect::<Vec<_>>(), [SECOND, SECOND * 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_thousand_senders_as_many_as_fit_are_kept_and_the_silent_one_goes() {
        let senders = senders();
        let long = "x".repeat(5000) + "\u{1b}[31m";
        for peer in 0..1000 {
            senders.note(sender(peer, &long));
        }
        let recent = senders.recent();
        assert_eq!(recent.len(), MOST);
        assert!(recent.iter().all(|sender| sender.agent.len() == LONGEST));
        // The first one goes on, the second one is silent longest.
        tokio::time::advance(SECOND).await;
        for peer in [0].into_iter().chain(2..32).chain([5000, 5001]) {
            senders.note(sender(peer, &long));
        }
        let peers: Vec<_> = senders.recent().iter().map(|sender| sender.peer).collect();
        let has = |peer| peers.contains(&IpAddr::V4(Ipv4Addr::from_bits(peer)));
        assert!(has(0) && !has(1) && has(5000) && !has(5001), "{peers:?}");
        let known = senders.recent();
        let first = known.iter().find(|sender| sender.requests == 2);
        assert!(first.is_some());
    }
}
