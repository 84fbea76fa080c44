use super::*;
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use tokio::time::Instant;

use crate::admin::status::moment::seconds_until;
use crate::clock::{Clock, Stamp};
use crate::outcome::verdict::OUTCOMES;
use crate::remedies::first_hour::STS_TROUBLE;
use crate::remedies::running::CROSS_ORIGIN;
use crate::telemetry::incidents::{CREDENTIALS, Diagnosis};
use crate::telemetry::{ByOutcome, Totals};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const PAST: Duration = Duration::from_secs(1000);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Credentials {
    Awaited,
    Missing,
    Held,
    NotRefreshed,
}

/// What AMP says of all batches, or of some.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Amp {
    NoBatch,
    Stores,
    Denies,
    DeniesSome,
    RefusesForGood,
    RefusesSomeForGood,
    /// One batch for good, before it denied all others.
    DeniesAfterOneForGood,
    RefusedUntilNow,
}

const ALL_CREDENTIALS: [Credentials; 4] = [
    Credentials::Awaited,
    Credentials::Missing,
    Credentials::Held,
    Credentials::NotRefreshed,
];
const ALL_AMP: [Amp; 8] = [
    Amp::NoBatch,
    Amp::Stores,
    Amp::Denies,
    Amp::DeniesSome,
    Amp::RefusesForGood,
    Amp::RefusesSomeForGood,
    Amp::DeniesAfterOneForGood,
    Amp::RefusedUntilNow,
];

/// So many seconds ago; the present is 01:23:20.
fn stamp(ago: u64) -> Stamp {
    let ago = Duration::from_secs(ago);
    Stamp {
        wall: NOW + Duration::from_secs(5000) - ago,
        instant: Instant::now() - ago,
    }
}

fn incident(about: &'static str, kind: &'static str, ended: bool) -> Incident {
    Incident {
        about,
        workspace: (about != CONNECTIONS.name).then(|| "ws".into()),
        kind,
        reason: format!("why {kind}"),
        remedy: Some(format!("fix {kind}")),
        began: stamp(17),
        last: stamp(3),
        count: 9,
        ended: ended.then(|| stamp(1)),
    }
}

fn sender(ago: u64) -> MisdirectedSender {
    MisdirectedSender {
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        agent: "Prometheus/3".to_owned(),
        port: 8005,
        mistaken_for: "",
        path: "/api/v1/rite".to_owned(),
        outcome: "misdirected",
        remedy: "set the url".to_owned(),
        count: 2,
        last: stamp(ago),
    }
}

fn status(credentials: Credentials) -> CredentialStatus {
    let held = matches!(credentials, Credentials::Held | Credentials::NotRefreshed);
    let fails = matches!(
        credentials,
        Credentials::Missing | Credentials::NotRefreshed
    );
    CredentialStatus {
        now: NOW,
        active: held.then(|| (NOW, Some(NOW + Duration::from_secs(600)))),
        exchanging: false,
        due: None,
        error: fails.then(|| Diagnosis::new(&"STS said no", STS_TROUBLE)),
    }
}

fn counts(of: &[(&str, u64)]) -> Option<(ByOutcome, Duration)> {
    let count = |name| of.iter().find(|(known, _)| *known == name);
    let counts = OUTCOMES.map(|name| count(name).map_or(0, |(_, count)| *count));
    (!of.is_empty()).then_some((counts, Duration::ZERO))
}

/// The latest outcomes, and the incidents.
fn batches(amp: Amp) -> (Option<(ByOutcome, Duration)>, Vec<Incident>) {
    let open = |kind| vec![incident(BATCHES.name, kind, false)];
    match amp {
        Amp::NoBatch => (None, vec![]),
        Amp::Stores => (counts(&[("stored", 7)]), vec![]),
        Amp::Denies => (counts(&[("access_denied", 7)]), open("access_denied")),
        // The latest counts are those of the other senders.
        Amp::DeniesSome => (counts(&[("stored", 7)]), open("access_denied")),
        Amp::RefusesForGood => (counts(&[("refused", 7)]), open("refused")),
        Amp::RefusesSomeForGood => (counts(&[("stored", 7), ("refused", 1)]), open("refused")),
        Amp::DeniesAfterOneForGood => (
            counts(&[("access_denied", 7)]),
            [open("refused"), open("access_denied")].concat(),
        ),
        Amp::RefusedUntilNow => (
            counts(&[("stored", 7), ("throttled", 40)]),
            vec![incident(BATCHES.name, "throttled", true)],
        ),
    }
}

fn health(credentials: Credentials, amp: Amp, misdirected: bool, tls: bool) -> Health {
    let (last, mut incidents) = batches(amp);
    if tls {
        incidents.push(incident(CONNECTIONS.name, "handshake", false));
    }
    if status(credentials).error.is_some() {
        // An outcome of batches has the same name.
        incidents.push(incident(CREDENTIALS.name, "unreachable", false));
    }
    let writes = [sender(10), sender(200)].map(|sender| (sender, "http://right".to_owned()));
    let [now, before] = writes.each_ref().map(|(sender, url)| (sender, url.clone()));
    let elsewhere = if misdirected {
        vec![now, before]
    } else {
        vec![before]
    };
    Observed {
        workspace: "ws",
        credentials: &status(credentials),
        view: &HistoryView {
            totals: Totals::default(),
            steps: Vec::new(),
            last,
        },
        incidents: &incidents,
        elsewhere: &elsewhere,
        write_url: "http://here",
    }
    .health()
}

/// Every combination.
#[tokio::test(start_paused = true)]
async fn nothing_is_well_while_anything_is_refused() {
    tokio::time::advance(PAST).await;
    for credentials in ALL_CREDENTIALS {
        for amp in ALL_AMP {
            for (misdirected, tls) in [(false, false), (true, false), (false, true), (true, true)] {
                let seen = health(credentials, amp, misdirected, tls);
                let case = format!("{credentials:?} {amp:?} {misdirected} {tls}: {seen:?}");
                check(&seen, credentials, amp, (misdirected, tls), &case);
            }
        }
    }
}

fn check(
    seen: &Health,
    credentials: Credentials,
    amp: Amp,
    (misdirected, tls): (bool, bool),
    case: &str,
) {
    let (flows, refuses) = match amp {
        Amp::NoBatch => (false, false),
        Amp::Stores | Amp::RefusedUntilNow => (true, false),
        Amp::Denies | Amp::RefusesForGood | Amp::DeniesAfterOneForGood => (false, true),
        Amp::DeniesSome | Amp::RefusesSomeForGood => (true, true),
    };
    let is_refreshed = credentials == Credentials::Held;
    let is_refused = refuses || misdirected || tls;
    let (level, headline) = match (credentials, is_refused, flows) {
        (Credentials::Awaited, ..) => (
            HealthLevel::Starting,
            "Starting: requesting the first AWS credentials",
        ),
        (Credentials::Missing, ..) => (
            HealthLevel::Stopped,
            "Nothing flows: there are no AWS credentials",
        ),
        (_, true, true) => (HealthLevel::Degraded, "Data flows in part: "),
        (_, true, false) => (HealthLevel::Stopped, "Nothing flows: "),
        (_, false, true) if is_refreshed => (HealthLevel::Flowing, "Data flows"),
        (_, false, true) => (
            HealthLevel::Degraded,
            "Data flows for 10 min more: the credentials cannot be refreshed",
        ),
        (_, false, false) if is_refreshed => (HealthLevel::Idle, "Ready, but no sender writes"),
        (_, false, false) => (
            HealthLevel::Degraded,
            "Ready for 10 min more: the credentials cannot be refreshed",
        ),
    };
    assert_eq!(seen.level, level, "{case}");
    assert!(seen.headline.starts_with(headline), "{case}");
    assert!(
        headline.ends_with(": ") || seen.headline == headline,
        "{case}"
    );
    let held = is_refreshed || credentials == Credentials::NotRefreshed;
    assert_eq!(seen.not_stored.is_some(), held && refuses, "{case}");
    if !held {
        return;
    }
    // Everything that is wrong is named, the refusal first.
    let all = format!("{} {}", seen.headline, seen.why);
    for (words, is_wrong) in [
        ("a sender writes to the wrong address", misdirected),
        ("connections of a sender fail", tls),
        (
            "refused for good",
            matches!(
                amp,
                Amp::RefusesForGood | Amp::RefusesSomeForGood | Amp::DeniesAfterOneForGood
            ),
        ),
        ("cannot be refreshed", !is_refreshed),
    ] {
        assert_eq!(all.contains(words), is_wrong, "{case}");
    }
    let is_well = level == HealthLevel::Flowing;
    assert_eq!(seen.remedy.is_empty(), is_well, "{case}");
    if let Some(not_stored) = &seen.not_stored {
        let outcome = not_stored.outcome;
        let is_denied = matches!(
            amp,
            Amp::Denies | Amp::DeniesSome | Amp::DeniesAfterOneForGood
        );
        assert_eq!(outcome == "access_denied", is_denied, "{case}");
        assert_eq!(seen.remedy, format!("fix {outcome}"), "{case}");
        let text = format!("AMP refuses: {outcome} since 01:23:03");
        assert_eq!(not_stored.to_string(), text);
    } else if misdirected {
        let url = "set the url of its remote_write to http://right";
        assert_eq!(seen.remedy, url, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_a_record_counts_too() {
    let view = HistoryView {
        totals: Totals::default(),
        steps: Vec::new(),
        last: counts(&[("unreachable", 3)]),
    };
    let seen = Observed {
        workspace: "ws",
        credentials: &status(Credentials::Held),
        view: &view,
        incidents: &[],
        elsewhere: &[],
        write_url: "",
    }
    .health();
    assert_eq!(seen.level, HealthLevel::Stopped);
    let text = seen.not_stored.unwrap().to_string();
    assert_eq!(text, "batches are not stored: unreachable");
}

/// A sender that is restarted does this; one that does it again is reported.
#[tokio::test(start_paused = true)]
async fn one_body_that_broke_off_stops_nothing() {
    tokio::time::advance(PAST).await;
    let seen = |count| {
        let cut = Incident {
            count,
            ..incident(BATCHES.name, "sender_gone", false)
        };
        Observed {
            workspace: "ws",
            credentials: &status(Credentials::Held),
            view: &HistoryView {
                totals: Totals::default(),
                steps: Vec::new(),
                last: counts(&[("sender_gone", count)]),
            },
            incidents: &[cut],
            elsewhere: &[],
            write_url: "",
        }
        .health()
    };
    assert_eq!(seen(1).level, HealthLevel::Idle);
    assert_eq!(seen(2).level, HealthLevel::Stopped);
}

#[tokio::test(start_paused = true)]
async fn how_long_ago_does_not_depend_on_the_clock_and_another_day_has_its_date() {
    let clock = Clock::simulated(NOW + Duration::from_secs(3600));
    let stamp = clock.stamp();
    tokio::time::advance(Duration::from_secs(86_399)).await;
    clock.set_by_millis(-600_000);
    assert_eq!(Moment::past(stamp).time(), "01:00:00");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(Moment::past(stamp).time(), "1970-01-01T01:00:00Z");
}

#[test]
fn a_time_that_is_past_is_below_zero() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(seconds_until(at(70), at(10)), 60);
    assert_eq!(seconds_until(at(10), at(70)), -60);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_sender_has_the_remedy_of_its_log_line() {
    tokio::time::advance(PAST).await;
    let rejected = MisdirectedSender {
        outcome: "cross_origin",
        remedy: CROSS_ORIGIN.remedy.to_owned(),
        ..sender(10)
    };
    let seen = Observed {
        workspace: "ws",
        credentials: &status(Credentials::Held),
        view: &HistoryView {
            totals: Totals::default(),
            steps: Vec::new(),
            last: None,
        },
        incidents: &[],
        elsewhere: &[(&rejected, "http://right".to_owned())],
        write_url: "",
    }
    .health();
    assert_eq!(seen.remedy, CROSS_ORIGIN.remedy);
}
