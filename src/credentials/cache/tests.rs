use super::*;
use crate::telemetry::Telemetry;
use crate::telemetry::incidents::tests::Lines;
use crate::telemetry::incidents::{CREDENTIALS, RecentIncidents};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_credential_types::Credentials;

/// Gives the configured answers in order and repeats the last one; counts calls, and takes its time.
struct Scripted {
    clock: Clock,
    /// `None` of a watched source.
    life: Option<Duration>,
    takes: Duration,
    answers: Mutex<VecDeque<Result<(), RejectionCause>>>,
    calls: Arc<AtomicUsize>,
    in_flight: Arc<AtomicUsize>,
    changed: Arc<AtomicBool>,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("scripted {0:?}")]
struct RejectionCause(Pace);

impl Failure for RejectionCause {
    fn name(&self) -> &'static str {
        "scripted"
    }
    fn pace(&self) -> Pace {
        self.0
    }
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis {
            reason: self.to_string(),
            remedy: Some("fix the script".to_owned()),
            credentials_left: None,
            subject: None,
        }
    }
}

impl CredentialSource for Scripted {
    type Error = RejectionCause;
    async fn obtain(&self) -> Result<SessionCredentials, RejectionCause> {
        assert_eq!(
            self.in_flight.fetch_add(1, Ordering::SeqCst),
            0,
            "two exchanges at once"
        );
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front().unwrap()
        } else {
            answers.front().cloned().unwrap_or(Ok(()))
        };
        let expires = self.life.map(|life| self.clock.now() + life);
        answer.map(|()| SessionCredentials {
            credentials: Credentials::new("ASIA", "s", Some("t".into()), expires, "test"),
            expires,
            arn: None,
        })
    }
    async fn changed(&self) -> bool {
        self.changed.load(Ordering::SeqCst)
    }
    fn is_watched(&self) -> bool {
        self.life.is_none()
    }
    fn session(&self) -> Option<&RoleSession> {
        None
    }
}

struct Life {
    cache: Cache,
    clock: Clock,
    calls: Arc<AtomicUsize>,
    changed: Arc<AtomicBool>,
}

fn live(
    life: impl Into<Option<Duration>>,
    takes: Duration,
    answers: Vec<Result<(), RejectionCause>>,
) -> Life {
    let clock = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let calls = Arc::new(AtomicUsize::new(0));
    let changed = Arc::new(AtomicBool::new(false));
    let source = Scripted {
        clock: clock.clone(),
        life: life.into(),
        takes,
        answers: Mutex::new(answers.into()),
        calls: Arc::clone(&calls),
        in_flight: Arc::default(),
        changed: Arc::clone(&changed),
    };
    let (cache, refresher) = cache(
        source,
        clock.clone(),
        Arc::new(Telemetry::new().metrics("ws-1")),
        IncidentTracker::over(
            &CREDENTIALS,
            Some("ws-1"),
            &RecentIncidents::default(),
            &clock,
        ),
    );
    tokio::spawn(refresher.run());
    Life {
        cache,
        clock,
        calls,
        changed,
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Result<(), RejectionCause> = Err(RejectionCause(Pace::Soon));
const SLOWLY: Result<(), RejectionCause> = Err(RejectionCause(Pace::Slowly));

/// No batch's own deadline comes before the longest wait.
fn far() -> Instant {
    Instant::now() + HOUR
}

#[tokio::test(start_paused = true)]
async fn credentials_are_renewed_at_half_of_their_life() {
    let Life { cache, calls, .. } = live(HOUR, Duration::ZERO, vec![Ok(())]);
    cache.get(far()).await.unwrap();
    tokio::time::sleep(HOUR.mul_f64(0.44)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    tokio::time::sleep(HOUR.mul_f64(0.12)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    tokio::time::sleep(HOUR * 10).await;
    let calls = calls.load(Ordering::SeqCst);
    assert!(
        (18..=25).contains(&calls),
        "{calls} exchanges in ten and a half hours"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_good_ones_stay_until_they_expire_and_not_longer() {
    let Life { cache, clock, .. } = live(HOUR, Duration::ZERO, vec![Ok(()), SOON]);
    let first = cache.get(far()).await.unwrap();
    tokio::time::sleep(HOUR - Duration::from_secs(1)).await;
    assert!(Arc::ptr_eq(&first, &cache.get(far()).await.unwrap()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(first.expires.unwrap() <= clock.now());
    assert!(matches!(
        cache.get(far()).await,
        Err(Unavailable::Expired(_) | Unavailable::Waiting)
    ));
    assert!(cache.ready().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_an_exchange_under_way_but_never_longer_than_its_bound() {
    let Life { cache, .. } = live(HOUR, Duration::from_secs(1), vec![Ok(())]);
    let started = Instant::now();
    cache.get(far()).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(1));

    let Life { cache, .. } = live(HOUR, Duration::from_secs(4), vec![Ok(())]);
    let started = Instant::now();
    assert!(matches!(cache.get(far()).await, Err(Unavailable::Waiting)));
    assert_eq!(started.elapsed(), LONGEST_WAIT);
}

#[tokio::test(start_paused = true)]
async fn neither_the_first_wait_nor_that_for_a_renewal_outlasts_the_batch() {
    let takes = Duration::from_secs(1);
    let Life { cache, .. } = live(HOUR, takes, vec![Ok(())]);
    let left = Duration::from_millis(300);
    let started = Instant::now();
    let waited = cache.get(started + left).await;
    assert!(matches!(waited, Err(Unavailable::Waiting)));
    assert_eq!(started.elapsed(), left);
    let active = cache.get(far()).await.unwrap();
    let started = Instant::now();
    let refusal = super::RejectionCause::Credentials;
    let again = cache.again(Arc::clone(&active), refusal, started + left);
    assert!(again.await.is_none());
    assert_eq!(started.elapsed(), left);
    // What comes later is for the next one.
    let again = cache.again(active, refusal, far()).await;
    assert!(again.is_some());
    assert_eq!(started.elapsed(), takes);
}

#[tokio::test(start_paused = true)]
async fn a_batch_hears_at_once_where_no_exchange_is_under_way() {
    let Life { cache, .. } = live(HOUR, Duration::ZERO, vec![SLOWLY]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let started = Instant::now();
    let why = cache.get(far()).await.unwrap_err();
    assert_eq!(why.to_string(), "no AWS credentials yet: scripted Slowly");
    assert_eq!(why.remedy(), Some("fix the script"));
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_refused_batches_cause_one_exchange() {
    let Life { cache, calls, .. } = live(HOUR, Duration::from_millis(200), vec![Ok(())]);
    let refused = cache.get(far()).await.unwrap();
    let batches: Vec<_> = (0..1000)
        .map(|_| {
            let (cache, refused) = (cache.clone(), Arc::clone(&refused));
            tokio::spawn(async move {
                cache
                    .refreshed(&refused, DENIAL_GAP, far())
                    .await
                    .unwrap()
                    .generation
            })
        })
        .collect();
    for batch in batches {
        assert_eq!(batch.await.unwrap(), 2);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);

    // The result is rejected too: no further exchange within the gap, and one after it.
    let refused = cache.get(far()).await.unwrap();
    assert!(matches!(
        cache.refreshed(&refused, DENIAL_GAP, far()).await,
        Err(Unavailable::JustRenewed)
    ));
    tokio::time::sleep(DENIAL_GAP).await;
    assert_eq!(
        cache
            .refreshed(&refused, DENIAL_GAP, far())
            .await
            .unwrap()
            .generation,
        3
    );
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_forced_exchange_that_fails_leaves_the_credentials() {
    let Life { cache, .. } = live(HOUR, Duration::from_millis(10), vec![Ok(()), SOON]);
    let active = cache.get(far()).await.unwrap();
    assert!(matches!(
        cache.refreshed(&active, DENIAL_GAP, far()).await,
        Err(Unavailable::Expired(_))
    ));
    assert!(Arc::ptr_eq(&active, &cache.get(far()).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_their_end_is_noticed_soon() {
    let outage = |pace: Result<(), RejectionCause>, n: usize| {
        let mut answers = vec![pace; n];
        answers.push(Ok(()));
        live(HOUR, Duration::ZERO, answers)
    };
    for (pace, tries, within) in [(SOON, 20, 15 * 16 + 15), (SLOWLY, 20, 60 * 17 + 75)] {
        let Life { cache, calls, .. } = outage(pace, tries);
        let started = Instant::now();
        while cache.get(far()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let took = started.elapsed();
        assert!(took < Duration::from_secs(within), "{took:?}");
        assert!(
            took > Duration::from_secs(within / 3),
            "{took:?}: no backoff"
        );
        assert_eq!(calls.load(Ordering::SeqCst), tries + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_forward_brings_the_exchange_forward() {
    let Life {
        cache,
        clock,
        calls,
        ..
    } = live(HOUR, Duration::ZERO, vec![Ok(())]);
    cache.get(far()).await.unwrap();
    clock.learn(clock.now() + HOUR.mul_f64(0.6));
    tokio::time::sleep(LOOK + Duration::from_secs(1)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_back_puts_nothing_off() {
    for (answers, within) in [(vec![SLOWLY, Ok(())], 6), (vec![Ok(())], 60 * 33 + 31)] {
        let Life { clock, calls, .. } = live(HOUR, Duration::ZERO, answers);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        clock.set_by_millis(-3_600_000);
        tokio::time::sleep(Duration::from_secs(within)).await;
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_over_by_the_time_that_was_learned_is_not_signed_with_again() {
    let Life { cache, clock, .. } = live(HOUR, Duration::ZERO, vec![Ok(())]);
    let active = cache.get(far()).await.unwrap();
    clock.learn(clock.now() + HOUR / 4);
    let again = cache
        .again(Arc::clone(&active), super::RejectionCause::Clock, far())
        .await;
    assert!(Arc::ptr_eq(&again.unwrap(), &active));

    // Only AMP's rejection shows that the machine has slept.
    clock.learn(active.expires.unwrap() + Duration::from_secs(60));
    let again = cache
        .again(Arc::clone(&active), super::RejectionCause::Clock, far())
        .await;
    assert!(again.unwrap().expires.unwrap() > clock.now());
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_asked_for_as_it_falls_due_is_made_once() {
    let Life {
        cache,
        clock,
        calls,
        ..
    } = live(HOUR, Duration::from_millis(10), vec![Ok(())]);
    let active = cache.get(far()).await.unwrap();
    // At the refresher's next look, to the millisecond, it is due and asked for.
    clock.learn(clock.now() + HOUR.mul_f64(0.6));
    tokio::time::sleep(LOOK - Duration::from_millis(1)).await;
    let asked = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        cache.refreshed(&active, REFUSAL_GAP, far()).await.map(drop)
    });
    tokio::time::sleep(LEAST_GAP - Duration::from_millis(100)).await;
    asked.await.unwrap().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn however_short_the_life_exchanges_stay_apart() {
    let Life { calls, .. } = live(Duration::from_millis(500), Duration::ZERO, vec![Ok(())]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let calls = calls.load(Ordering::SeqCst);
    assert!((29..=31).contains(&calls), "{calls} exchanges in a minute");
}

#[tokio::test(start_paused = true)]
async fn another_token_is_tried_soon_and_one_that_changes_all_the_time_makes_no_storm() {
    let Life { calls, changed, .. } = live(HOUR, Duration::ZERO, vec![SLOWLY]);
    let minute = Duration::from_secs(60);
    tokio::time::sleep(minute * 10).await;
    let before = calls.load(Ordering::SeqCst);
    changed.store(true, Ordering::SeqCst);
    tokio::time::sleep(TOKEN_GAP + TOKEN_LOOK).await;
    assert!(calls.load(Ordering::SeqCst) > before, "not tried soon");

    let before = calls.load(Ordering::SeqCst);
    tokio::time::sleep(minute).await;
    let tried = calls.load(Ordering::SeqCst) - before;
    assert!((11..=12).contains(&tried), "{tried} exchanges in a minute");
    changed.store(false, Ordering::SeqCst);
    tokio::time::sleep(minute).await;
    let before = calls.load(Ordering::SeqCst);
    tokio::time::sleep(minute).await;
    assert!(calls.load(Ordering::SeqCst) - before <= 2, "no backoff");
}

#[tokio::test(start_paused = true)]
async fn renewals_that_amp_asks_for_all_day_are_a_line_in_five_minutes() {
    let (lines, _guard) = Lines::caught();
    let Life { cache, calls, .. } = live(HOUR * 10, Duration::ZERO, vec![Ok(())]);
    for _ in 0..120 {
        let refused = cache.get(far()).await.unwrap();
        cache.refreshed(&refused, DENIAL_GAP, far()).await.unwrap();
        tokio::time::sleep(DENIAL_GAP).await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 121);
    let lines = lines.take();
    assert_eq!(lines.len(), 12, "{lines:#?}");
    assert_eq!(
        lines[0],
        r#"INFO credentials refreshed workspace="ws-1" access_key_id="ASIA" valid_for_seconds=36000"#
    );
    assert!(lines[1].ends_with("suppressed=10"), "{}", lines[1]);
}

/// Level and message of each line.
fn messages(lines: &[String]) -> Vec<&str> {
    let of = |line| str::split(line, " workspace").next().unwrap();
    lines.iter().map(|line| of(line.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_sts_is_a_line_at_each_end() {
    let (lines, _guard) = Lines::caught();
    let mut answers = vec![Ok(())];
    answers.extend(std::iter::repeat_n(SOON, 40));
    answers.push(Ok(()));
    let Life { cache, .. } = live(HOUR, Duration::ZERO, answers);
    cache.get(far()).await.unwrap();
    tokio::time::sleep(HOUR).await;
    let lines = lines.take();
    assert_eq!(
        messages(&lines),
        [
            "INFO credentials refreshed",
            "WARN credentials not refreshed",
            "INFO credentials refreshed",
            "INFO credentials refreshed again",
        ],
        "{lines:#?}"
    );
    assert!(lines[3].ends_with("count=40"), "{}", lines[3]);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_there_is_not_said_to_be_not_refreshed() {
    let (lines, _guard) = Lines::caught();
    let Life { cache, .. } = live(HOUR, Duration::ZERO, vec![SOON, SOON, Ok(())]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    cache.get(far()).await.unwrap();
    let lines = lines.take();
    assert_eq!(
        messages(&lines),
        [
            "WARN no AWS credentials yet",
            "INFO credentials refreshed",
            "INFO AWS credentials obtained",
        ],
        "{lines:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_in_vain_has_the_reason_of_the_last_exchange() {
    let Life { cache, .. } = live(HOUR, Duration::from_secs(5), vec![SOON]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    while !cache.status().exchanging || cache.status().error.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let waited = cache.get(far()).await.unwrap_err();
    assert_eq!(waited.remedy(), Some("fix the script"), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn credentials_without_expiry_stay_until_their_source_changes() {
    let Life {
        cache,
        calls,
        changed,
        ..
    } = live(None, Duration::ZERO, vec![Ok(()), Ok(()), SOON]);
    let first = cache.get(far()).await.unwrap();
    tokio::time::sleep(NO_EXPIRY / 2).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(Arc::ptr_eq(&first, &cache.get(far()).await.unwrap()));

    changed.store(true, Ordering::SeqCst);
    tokio::time::sleep(TOKEN_LOOK).await;
    changed.store(false, Ordering::SeqCst);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let second = cache.get(far()).await.unwrap();
    assert!(second.generation > first.generation);

    // A change that gives no credentials is reported, and the last ones are used on.
    changed.store(true, Ordering::SeqCst);
    tokio::time::sleep(TOKEN_LOOK).await;
    assert!(calls.load(Ordering::SeqCst) >= 3);
    assert!(cache.status().error.is_some());
    assert!(Arc::ptr_eq(&second, &cache.get(far()).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn credentials_with_expiry_are_not_replaced_at_a_change() {
    let Life {
        cache,
        calls,
        changed,
        ..
    } = live(HOUR, Duration::ZERO, vec![Ok(())]);
    cache.get(far()).await.unwrap();
    changed.store(true, Ordering::SeqCst);
    tokio::time::sleep(HOUR / 3).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}
