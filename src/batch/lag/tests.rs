use super::*;
use crate::outcome::verdict::RefusalReason;
use crate::remote_write::content_type::WriteProtocol;
use crate::remote_write::contents::Contents;
use crate::remote_write::written_stats::WrittenStats;
use crate::telemetry::Telemetry;
use crate::telemetry::incidents::{HELD_SAMPLES, RecentIncidents};
use bytes::Bytes;
use hyper::StatusCode;

const NOW: u64 = 1_800_000_000;

struct Scene {
    lag: Lag,
    telemetry: Telemetry,
    recent: RecentIncidents,
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A batch with samples of these seconds.
fn batch(name: &'static str, times: &[u64]) -> Payload {
    let mut contents = Contents::default();
    for second in times {
        contents.timestamps.add(*second as i64 * 1000);
    }
    Payload::new(
        WriteProtocol::v1(),
        Bytes::from_static(name.as_bytes()),
        contents,
    )
}

fn stored() -> Verdict {
    Verdict::Stored {
        status: StatusCode::OK,
        written: WrittenStats::default(),
    }
}

fn failing() -> Verdict {
    Verdict::AmpFailing {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        pause: None,
        said: String::new(),
    }
}

fn refused() -> Verdict {
    Verdict::SeriesLimit {
        said: String::new(),
        written: WrittenStats::default(),
    }
}

impl Scene {
    fn new() -> Self {
        let clock = Clock::simulated(at(NOW));
        let (telemetry, recent) = (Telemetry::new(), RecentIncidents::default());
        let incidents = IncidentTracker::over(&HELD_SAMPLES, Some("ws"), &recent, &clock);
        let metrics = Arc::new(telemetry.metrics("ws"));
        Self {
            lag: Lag::new(clock, metrics, incidents),
            telemetry,
            recent,
        }
    }

    fn gets(&self, payload: &Payload, verdict: &Verdict) -> LagView {
        let mut tracked = self.lag.begin();
        tracked.identify(payload);
        tracked.end(verdict);
        self.lag.view()
    }

    fn missing(&self) -> String {
        self.lag.view().missing().unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_held_from_a_retryable_answer_until_it_is_settled() {
    let scene = Scene::new();
    let (one, other) = (batch("1", &[NOW - 3, NOW - 1]), batch("2", &[NOW - 2]));
    let view = scene.gets(&one, &failing());
    assert_eq!((view.held, view.oldest_held), (1, Some(at(NOW - 3))));
    let view = scene.gets(&one, &failing());
    assert_eq!(view.held, 1, "the same again");
    let view = scene.gets(&other, &failing());
    assert_eq!((view.held, view.oldest_held), (2, Some(at(NOW - 3))));
    let view = scene.gets(&one, &stored());
    assert_eq!((view.held, view.oldest_held), (1, Some(at(NOW - 2))));
    assert_eq!(view.newest_stored, Some(at(NOW - 1)));
    let view = scene.gets(&other, &refused());
    assert_eq!((view.held, view.oldest_held), (0, None));
    assert_eq!(
        view.newest_stored,
        Some(at(NOW - 1)),
        "nothing of it was stored"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_retried_is_forgotten() {
    let scene = Scene::new();
    scene.gets(&batch("1", &[NOW]), &failing());
    tokio::time::advance(FORGOTTEN - seconds(1)).await;
    assert_eq!(scene.lag.view().held, 1);
    tokio::time::advance(seconds(1)).await;
    assert_eq!(scene.lag.view().held, 0);
    assert_eq!(scene.lag.view().missing(), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_read_counts_until_its_sender_had_time_to_retry() {
    let scene = Scene::new();
    scene.lag.begin().end(&Verdict::Overloaded);
    assert!(
        scene.missing().contains("overloaded"),
        "{}",
        scene.missing()
    );
    // Its sender left while it was read.
    tokio::time::advance(UNREAD - seconds(1)).await;
    drop(scene.lag.begin());
    tokio::time::advance(seconds(1)).await;
    assert!(
        scene.missing().contains("sender_gone"),
        "{}",
        scene.missing()
    );
    tokio::time::advance(UNREAD).await;
    assert_eq!(scene.lag.view().missing(), None);
}

#[tokio::test(start_paused = true)]
async fn held_batches_are_bounded_in_number() {
    let scene = Scene::new();
    for hash in 0..MOST_HELD as u64 + 10 {
        scene
            .lag
            .hold(Some((hash, Timestamps::default())), "throttled");
    }
    let view = scene.lag.view();
    assert_eq!((view.held, view.unread), (MOST_HELD, true));
    tokio::time::advance(FORGOTTEN).await;
    scene
        .lag
        .hold(Some((1 << 20, Timestamps::default())), "throttled");
    assert_eq!(scene.lag.view().held, 1);
}

#[tokio::test(start_paused = true)]
async fn times_that_cannot_be_do_not_count() {
    let scene = Scene::new();
    let view = scene.gets(&batch("ahead", &[NOW + 9]), &stored());
    assert_eq!(view.newest_stored, Some(at(NOW)), "no later than now");
    let view = scene.gets(&batch("old", &[NOW - 86_400 * 365, NOW - 1]), &failing());
    assert_eq!(view.oldest_held, Some(at(NOW - 1)), "lost in any case");
    let view = scene.gets(&batch("none", &[0]), &failing());
    assert_eq!((view.held, view.oldest_held), (2, Some(at(NOW - 1))));
    let view = scene.gets(&batch("old", &[NOW - 1]), &stored());
    assert_eq!(
        (view.held, view.oldest_held, view.lost_from()),
        (1, None, None)
    );
}

/// An exporter may set a time of its own: it must not hide that the others are behind.
#[tokio::test(start_paused = true)]
async fn one_future_sample_does_not_make_a_late_batch_look_fresh() {
    let future = 4_000_000_000;
    let scene = Scene::new();
    let view = scene.gets(&batch("1", &[NOW - 600, future]), &stored());
    assert_eq!(view.newest_stored, Some(at(NOW - 600)));
    assert_eq!(view.words(), "data is 10 min behind and catching up");
    assert_eq!(scene.missing(), "the newest stored sample is 10 min old");
    let view = scene.gets(&batch("2", &[NOW - 599, future]), &failing());
    assert_eq!(view.oldest_held, Some(at(NOW - 599)));
    scene.gets(&batch("2", &[NOW - 599, future]), &refused());

    // Neither end of this one tells how late the others are.
    let view = scene.gets(&batch("3", &[NOW - 7200, future]), &failing());
    assert_eq!((view.held, view.oldest_held), (1, None));
    let view = scene.gets(&batch("3", &[NOW - 7200, future]), &stored());
    assert_eq!(view.newest_stored, Some(at(NOW - 600)));

    // A live sender whose clock is ahead.
    for ahead in [60, 3600] {
        let view = scene.gets(&batch("4", &[NOW + ahead, NOW + ahead + 5]), &stored());
        assert_eq!(view.newest_stored, Some(at(NOW)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_words_say_how_far_behind_and_until_when_it_is_safe() {
    let scene = Scene::new();
    assert_eq!(scene.lag.view().words(), "no batch was stored yet");
    let words = scene.gets(&batch("1", &[NOW - 3]), &stored()).words();
    assert_eq!(words, "data is up to date");
    tokio::time::advance(seconds(720)).await;
    let words = scene.lag.view().words();
    assert_eq!(
        words,
        "nothing is held back; the newest stored sample is 12 min old"
    );
    // 08:00:00 UTC.
    let words = scene.gets(&batch("2", &[NOW]), &failing()).words();
    assert_eq!(
        words,
        "data is 12 min behind; samples older than 1 h are lost from 09:00 UTC on"
    );
    tokio::time::advance(seconds(3000)).await;
    let words = scene.gets(&batch("2", &[NOW]), &failing()).words();
    assert_eq!(
        words,
        "data is 62 min behind; samples older than 1 h have been lost since 09:00 UTC"
    );
    let words = scene.gets(&batch("2", &[NOW]), &stored()).words();
    assert_eq!(words, "data is 62 min behind and catching up");
}

#[tokio::test(start_paused = true)]
async fn what_amp_refuses_is_not_up_to_date() {
    let scene = Scene::new();
    let out_of_order = || Verdict::Refused {
        reason: RefusalReason::OutOfOrder,
        said: String::new(),
        written: WrittenStats::default(),
    };
    let words = scene.gets(&batch("1", &[NOW]), &out_of_order()).words();
    assert_eq!(
        words,
        "nothing is held back, but AMP stored no batch whole yet"
    );
    scene.gets(&batch("2", &[NOW]), &stored());
    tokio::time::advance(seconds(180)).await;
    let words = scene
        .gets(&batch("3", &[NOW + 180]), &out_of_order())
        .words();
    assert_eq!(
        words,
        "nothing is held back, but AMP stored no batch whole for 3 min"
    );
    let words = scene.gets(&batch("4", &[NOW + 180]), &stored()).words();
    assert_eq!(words, "data is up to date");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_is_held_back_does_not_put_current_data_behind() {
    let scene = Scene::new();
    scene.gets(&batch("now", &[NOW]), &stored());
    let words = scene.gets(&batch("old", &[NOW - 2400]), &failing()).words();
    assert_eq!(
        words,
        "current data is stored, but samples that are 40 min old are held back; samples older than 1 h are lost from 08:20 UTC on"
    );
}

#[tokio::test(start_paused = true)]
async fn the_log_warns_once_twenty_minutes_before_a_loss() {
    let scene = Scene::new();
    let (one, other) = (batch("1", &[NOW]), batch("2", &[NOW + 1]));
    scene.gets(&one, &failing());
    tokio::time::advance(seconds(2399)).await;
    scene.gets(&one, &failing());
    assert!(scene.recent.recent().is_empty());
    tokio::time::advance(seconds(2)).await;
    scene.gets(&one, &failing());
    scene.gets(&other, &failing());
    let [incident] = &scene.recent.recent()[..] else {
        panic!("{:?}", scene.recent.recent());
    };
    assert_eq!((incident.kind, incident.count), (NEAR_LOSS_INCIDENT, 2));
    assert_eq!(
        incident.reason,
        "data is 40 min behind; samples older than 1 h are lost from 09:00 UTC on"
    );
    scene.gets(&one, &stored());
    tokio::time::advance(seconds(61)).await;
    scene.gets(&other, &stored());
    assert!(scene.recent.recent()[0].ended.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_sender_has_caught_up_once_its_samples_are_fresh_for_a_while_or_it_is_quiet() {
    let scene = Scene::new();
    assert!(scene.missing().contains("not known"), "a request may come");
    scene.gets(&batch("1", &[NOW - 5]), &stored());
    assert_eq!(scene.missing(), "", "fresh, and nothing ever came late");
    tokio::time::advance(seconds(6)).await;
    let request = scene.lag.begin();
    assert!(scene.missing().contains("11 s old"), "{}", scene.missing());
    drop(request);
    tokio::time::advance(UNREAD).await;
    assert_eq!(scene.missing(), "", "quiet");

    // It catches up.
    scene.gets(&batch("2", &[NOW + 1]), &stored());
    let now = NOW + 6 + UNREAD.as_secs();
    scene.gets(&batch("3", &[now]), &stored());
    assert!(scene.missing().contains("came late"), "{}", scene.missing());
    tokio::time::advance(seconds(9)).await;
    scene.gets(&batch("4", &[now + 9]), &stored());
    assert!(scene.missing().contains("came late"), "{}", scene.missing());
    tokio::time::advance(seconds(1)).await;
    assert_eq!(scene.missing(), "");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_of_the_machine_does_not_make_its_senders_late() {
    let scene = Scene::new();
    assert!(scene.lag.clock.learn(at(NOW + 600)));
    let view = scene.gets(&batch("1", &[NOW - 2]), &stored());
    assert_eq!(view.missing(), None);
    assert_eq!(
        view.behind(),
        Some(seconds(602)),
        "AMP counts by its own clock"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fast_clock_of_the_machine_does_not_hide_that_its_senders_are_late() {
    let scene = Scene::new();
    assert!(scene.lag.clock.learn(at(NOW - 600)));
    let missing = |view: LagView| view.missing().unwrap_or_default();
    let view = scene.gets(&batch("1", &[NOW - 240]), &stored());
    assert_eq!(missing(view), "the newest stored sample is 4 min old");
    let view = scene.gets(&batch("2", &[NOW - 2]), &stored());
    assert!(missing(view).contains("came late"), "{view:?}");
    tokio::time::advance(seconds(10)).await;
    let view = scene.gets(&batch("3", &[NOW + 8]), &stored());
    assert_eq!(view.missing(), None);
}

#[tokio::test(start_paused = true)]
async fn metrics_are_absent_until_they_are_known() {
    let scene = Scene::new();
    let shown = || {
        let text = scene
            .telemetry
            .encode(crate::telemetry::Format::Text)
            .unwrap();
        String::from_utf8(text).unwrap()
    };
    let age = |bound| {
        format!("amp_sidecar_stored_sample_age_seconds_bucket{{le=\"{bound}\",workspace=\"ws\"}}")
    };
    assert!(!shown().contains("newest_stored_sample_timestamp_seconds{"));
    scene.gets(&batch("1", &[NOW - 15, NOW - 2]), &stored());
    let shown = shown();
    let line = |start: &str| {
        shown
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap()
            .to_owned()
    };
    assert!(line(&age("10.0")).ends_with(" 0"), "{shown}");
    assert!(line(&age("20.0")).ends_with(" 1"));
}
