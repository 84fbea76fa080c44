//! Where one request ends and the next begins: ours compared with HAProxy and Envoy, byte for byte.
//!
//! Plays every case at a proxy in front of the emulator's AMP, and compares the result with `docs/http-framing.md`. The rule: an ambiguous request never
//! lets a second one through that another proxy would stop, and what real senders write is accepted. `benches/framing` plays them at all
//! three; every test run plays them at ours.

mod cases;
mod peers;
mod wire;

use std::fmt::{self, Display};
use std::sync::Arc;

use emulator::world::Target;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::rig::Rig;
use cases::{Case, Pair};
use peers::Peer;
use wire::{Reply, speak};

const PAGE: &str = include_str!("../../../docs/http-framing.md");

/// Where ours forwards a second request that another proxy stops, and it cannot be used for smuggling; the page explains why.
const HARMLESS: [(&str, &str); 7] = [
    ("as senders write", "HTTP/1.0 and `keep-alive`"),
    ("`Content-Length`", "twice, equal"),
    ("request lines", "other than ASCII in the target"),
    ("request lines", "a fragment"),
    ("sizes", "a header of 40 kB"),
    ("sizes", "a name of 40 kB"),
    ("sizes", "a method of 40 kB"),
];

/// A proxy's result of a case.
#[derive(Debug, Clone)]
struct Said {
    first: bool,
    second: bool,
    heard: Reply,
}

/// Which requests reached AMP, the statuses of rejections, and whether the connection was closed.
impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses = self.heard.statuses();
        let mut refused = statuses.iter().map(u16::to_string);
        let mut words = Vec::new();
        match (self.first, self.second) {
            (true, true) => words.push("both".to_owned()),
            (true, false) => words.push("first".to_owned()),
            (false, true) => words.extend([refused.next().unwrap_or_default(), "second".into()]),
            (false, false) => {}
        }
        let answered = usize::from(self.first) + usize::from(self.second);
        words.extend(refused.skip(answered));
        let ending = if self.heard.closed { "closed" } else { "waits" };
        words.push(ending.to_owned());
        f.write_str(&words.join(", "))
    }
}

/// A row of the page: the place, the case, and the three results.
type Row = [String; 5];

fn rows() -> Vec<Row> {
    let (_, table) = PAGE.split_once("<!-- cases -->\n").unwrap();
    let (table, _) = table.split_once("<!-- end of cases -->").unwrap();
    let cells = |line: &str| -> Row {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        cells[1..6].to_vec().try_into().unwrap()
    };
    table.lines().skip(2).map(cells).collect()
}

/// Plays every case at `host`, several at once.
async fn play(host: &str, cases: &Arc<Vec<(Case, Pair)>>) -> Vec<Reply> {
    let room = Arc::new(Semaphore::new(24));
    let mut playing = JoinSet::new();
    for n in 0..cases.len() {
        let (cases, host, room) = (Arc::clone(cases), host.to_owned(), Arc::clone(&room));
        playing.spawn(async move {
            let _place = room.acquire_owned().await.unwrap();
            let (case, _) = &cases[n];
            (n, speak(&host, &case.bytes, case.ends).await)
        });
    }
    let mut heard = vec![Reply::default(); cases.len()];
    while let Some(played) = playing.join_next().await {
        let (n, one) = played.unwrap();
        heard[n] = one;
    }
    heard
}

async fn ours(rig: &Rig, cases: &Arc<Vec<(Case, Pair)>>) -> Vec<Said> {
    let heard = play(&rig.host, cases).await;
    let said = |((_, pair), heard): (&(Case, Pair), Reply)| Said {
        first: rig.has_stored(&pair.first),
        second: rig.has_stored(&pair.second),
        heard,
    };
    cases.iter().zip(heard).map(said).collect()
}

/// They sign nothing, so AMP stores nothing: the path identifies what reached it.
async fn theirs(rig: &Rig, peer: &Peer, cases: &Arc<Vec<(Case, Pair)>>) -> Vec<Said> {
    let journal = rig.world.journal(Target::Amp);
    let before = journal.requests().len();
    let heard = play(&peer.host, cases).await;
    let seen = &journal.requests()[before..];
    let said = |((_, pair), heard): (&(Case, Pair), Reply)| {
        let took = |which: &str| {
            let path = pair.path(which);
            seen.iter().any(|seen| seen.path.starts_with(&path))
        };
        Said {
            first: took("first"),
            second: took("other"),
            heard,
        }
    };
    cases.iter().zip(heard).map(said).collect()
}

#[test]
fn ours_is_never_laxer_than_the_stricter_of_the_others() {
    let lets = |cell: &str, which: &str| cell.contains(which) || cell.contains("both");
    let mut harmless = Vec::new();
    for [group, name, ours, haproxy, envoy] in rows() {
        let both = |which: &str| lets(&haproxy, which) && lets(&envoy, which);
        if lets(&ours, "second") && !both("second") {
            harmless.push((group.clone(), name.clone()));
        }
        if group == "as senders write" {
            assert!(lets(&ours, "first"), "{name}: {ours}");
        }
    }
    let known = HARMLESS.map(|(group, name)| (group.to_owned(), name.to_owned()));
    assert_eq!(harmless, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_does_what_the_page_says() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let cases = Arc::new(cases::all());
    let said = ours(&rig, &cases).await;
    let rows = rows();
    assert_eq!(rows.len(), cases.len(), "benches/framing writes it anew");
    for (((case, _), said), [group, name, written, ..]) in cases.iter().zip(said).zip(&rows) {
        assert_eq!((case.group, case.name), (group.as_str(), name.as_str()));
        assert_eq!(said.to_string(), *written, "{group}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "benches/framing runs it, with HAProxy and Envoy"]
async fn the_page_written_anew() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let cases = Arc::new(cases::all());
    let (haproxy, envoy) = (
        Peer::haproxy(&rig.world).await,
        Peer::envoy(&rig.world).await,
    );
    let ours = ours(&rig, &cases).await;
    let haproxy = theirs(&rig, &haproxy, &cases).await;
    let envoy = theirs(&rig, &envoy, &cases).await;
    println!("| where | what | amp-sidecar | HAProxy | Envoy |\n|---|---|---|---|---|");
    for (n, (case, _)) in cases.iter().enumerate() {
        let (ours, haproxy, envoy) = (&ours[n], &haproxy[n], &envoy[n]);
        println!(
            "| {} | {} | {ours} | {haproxy} | {envoy} |",
            case.group, case.name
        );
    }
}
