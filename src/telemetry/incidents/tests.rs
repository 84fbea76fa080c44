use super::*;
use std::io;
use std::time::SystemTime;

use crate::clock::Stamp;

use hyper::StatusCode;
use tracing::subscriber::DefaultGuard;

/// The log of this thread at info and above.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub(crate) fn caught() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let into = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || into.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// The lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

const EPOCH: Duration = Duration::from_secs(1_800_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn watch(subject: &'static IncidentSubject, recent_incidents: &RecentIncidents) -> IncidentTracker {
    let clock = Clock::simulated(SystemTime::UNIX_EPOCH + EPOCH);
    IncidentTracker::over(subject, Some("ws-1"), recent_incidents, &clock)
}

fn diagnosis(reason: &str) -> impl FnOnce() -> Diagnosis {
    let reason = reason.to_owned();
    || Diagnosis {
        reason,
        remedy: Some("fix it".to_owned()),
        credentials_left: None,
        subject: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_an_hour_is_a_line_at_each_end_and_three_between() {
    let (lines, _guard) = Lines::caught();
    let recent_incidents = RecentIncidents::default();
    let watch = watch(&CREDENTIALS, &recent_incidents);
    watch.recover();
    assert_eq!(lines.take(), Vec::<String>::new());
    for minute in 0..60 {
        watch.fail("unreachable", || Diagnosis {
            credentials_left: Some(Duration::from_secs(1800)),
            ..diagnosis("nobody there")()
        });
        let lines = lines.take();
        match minute {
            0 => assert_eq!(
                lines,
                [
                    r#"WARN credentials not refreshed workspace="ws-1" incident="unreachable" reason="nobody there" remedy="fix it" credentials_left_seconds=1800"#
                ]
            ),
            10 | 20 | 40 => assert_eq!(
                lines,
                [format!(
                    r#"WARN credentials still not refreshed workspace="ws-1" incident="unreachable" reason="nobody there" remedy="fix it" credentials_left_seconds=1800 seconds={minute_seconds}.0 count={}"#,
                    minute + 1,
                    minute_seconds = minute * 60,
                )]
            ),
            _ => assert_eq!(lines, Vec::<String>::new(), "{minute}"),
        }
        tokio::time::advance(SECOND * 60).await;
    }
    watch.recover();
    assert_eq!(
        lines.take(),
        [
            r#"INFO credentials refreshed again workspace="ws-1" incident="unreachable" seconds=3600.0 count=60"#
        ]
    );
    let [incident] = recent_incidents.recent().try_into().unwrap();
    let began = incident.began;
    let after = |passed| Stamp {
        wall: began.wall + passed,
        instant: began.instant + passed,
    };
    assert_eq!(began.wall, SystemTime::UNIX_EPOCH + EPOCH);
    assert_eq!(
        incident,
        Incident {
            about: "credentials",
            workspace: Some("ws-1".into()),
            kind: "unreachable",
            reason: "nobody there".to_owned(),
            remedy: Some("fix it".to_owned()),
            began,
            last: after(SECOND * 59 * 60),
            count: 60,
            ended: Some(after(SECOND * 3600)),
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_does_not_make_an_incident_longer_or_shorter() {
    let recent_incidents = RecentIncidents::default();
    let clock = Clock::simulated(SystemTime::UNIX_EPOCH + EPOCH);
    let watch = IncidentTracker::over(&CREDENTIALS, None, &recent_incidents, &clock);
    let (lines, _guard) = Lines::caught();
    for jump in [600_000, -600_000] {
        watch.fail("unreachable", diagnosis("nobody there"));
        clock.set_by_millis(jump);
        tokio::time::advance(Duration::from_millis(3750)).await;
        let open = &recent_incidents.recent()[0];
        assert_eq!(open.duration(), Duration::from_millis(3750));
        // A kind that returns soon must stay away for longer.
        for _ in 0..3 {
            watch.recover();
            tokio::time::advance(SECOND * 5).await;
        }
        let over = &recent_incidents.recent()[0];
        assert_eq!(over.duration(), Duration::from_millis(3750));
        let log = lines.take().pop().unwrap();
        assert!(log.contains(" seconds=3.75 "), "{log}");
        clock.set_by_millis(0);
    }
}

#[tokio::test(start_paused = true)]
async fn good_and_bad_in_turn_is_one_fault_that_ends_when_nothing_but_good_came_for_a_while() {
    let (lines, _guard) = Lines::caught();
    let recent_incidents = RecentIncidents::default();
    let watch = watch(&BATCHES, &recent_incidents);
    for _ in 0..30 {
        watch.fail("throttled", diagnosis("slowly"));
        watch.recover();
        tokio::time::advance(SECOND).await;
        watch.recover();
    }
    watch.fail("malformed", diagnosis("another kind is another fault"));
    assert_eq!(lines.take().len(), 2);
    assert_eq!(
        recent_incidents
            .recent()
            .iter()
            .filter(|fault| fault.ended.is_none())
            .count(),
        2
    );
    watch.recover();
    tokio::time::advance(SECOND * 4).await;
    watch.recover();
    // Throttled was met last, and away, at 29 s; malformed a second later.
    assert_eq!(
        lines.take(),
        [
            r#"INFO batches are stored again workspace="ws-1" incident="throttled" seconds=29.0 count=30"#
        ]
    );
    tokio::time::advance(SECOND).await;
    watch.recover();
    watch.recover();
    assert_eq!(
        lines.take(),
        [
            r#"INFO batches are stored again workspace="ws-1" incident="malformed" seconds=0.0 count=1"#
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_all_day_fills_no_log() {
    let (lines, _guard) = Lines::caught();
    let watch = watch(&BATCHES, &RecentIncidents::default());
    // Failing for a second, well for half a minute, 2,880 times.
    for _ in 0..2880 {
        watch.fail("malformed", diagnosis("broken"));
        for _ in 0..30 {
            tokio::time::advance(SECOND).await;
            watch.recover();
        }
    }
    let lines = lines.take();
    let of = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    // Over after 5, 10 and 20 s; then it is one incident, with reminders after 10 min, 20 min, … 21 h.
    assert_eq!(of("was not stored"), 4, "{lines:#?}");
    assert_eq!(of("stored again"), 3, "{lines:#?}");
    assert_eq!(of("still not stored"), 8, "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_much_later_is_a_fault_like_the_first() {
    let (lines, _guard) = Lines::caught();
    let watch = watch(&BATCHES, &RecentIncidents::default());
    for _ in 0..3 {
        watch.fail("unreachable", diagnosis("nobody there"));
        tokio::time::advance(SECOND * 5).await;
        watch.recover();
        assert_eq!(lines.take().len(), 2);
        tokio::time::advance(RELAPSE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_words_are_made_for_what_is_not_logged() {
    let watch = watch(&BATCHES, &RecentIncidents::default());
    watch.fail("unreachable", diagnosis("nobody there"));
    for _ in 0..1000 {
        watch.fail("unreachable", || unreachable!("nobody asked for words"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_workspace_that_ends_leaves_no_open_fault() {
    let (lines, _guard) = Lines::caught();
    let recent_incidents = RecentIncidents::default();
    let watch = watch(&BATCHES, &recent_incidents);
    watch.fail("unreachable", diagnosis("nobody there"));
    drop(watch);
    assert!(recent_incidents.recent()[0].ended.is_some());
    assert!(lines.take()[1].contains("incident still open at the end"));
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_bounded_and_keeps_what_is_still_wrong() {
    let (_lines, _guard) = Lines::caught();
    let recent_incidents = RecentIncidents::default();
    let lasting = watch(&BATCHES, &recent_incidents);
    lasting.fail("unreachable", diagnosis(&"ü\n".repeat(100_000)));
    for _ in 0..50 {
        let other = watch(&CREDENTIALS, &recent_incidents);
        other.fail("Throttling", diagnosis("slowly"));
        other.recover();
    }
    let recent = recent_incidents.recent();
    assert_eq!(recent.len(), 20);
    let first = recent.last().unwrap();
    assert_eq!((first.kind, first.ended), ("unreachable", None));
    assert!(first.reason.len() < 2100 && !first.reason.contains('\n'));
    // More open incidents than there is room for: the newest are kept, and an end without a record is harmless.
    let many: Vec<IncidentTracker> = (0..50)
        .map(|_| watch(&CREDENTIALS, &recent_incidents))
        .collect();
    for watch in &many {
        watch.fail("unreachable", diagnosis("nobody there"));
    }
    assert_eq!(recent_incidents.recent().len(), 20);
    for watch in &many {
        watch.recover();
    }
    assert!(
        recent_incidents
            .recent()
            .iter()
            .all(|fault| fault.ended.is_some())
    );
}

#[test]
fn every_verdict_except_stored_has_a_remedy() {
    let stored = Verdict::Stored {
        status: StatusCode::OK,
        written: Default::default(),
    };
    assert_eq!(remedy::of_verdict(&stored), None);
    let said = "denied".to_owned();
    let denied = Verdict::AccessDenied {
        said,
        missing: "the role needs aps:RemoteWrite".to_owned(),
    };
    let remedy = remedy::of_verdict(&denied).unwrap().to_string();
    assert!(remedy.contains("amp-sidecar check"), "{remedy}");
}
