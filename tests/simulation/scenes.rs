//! Scenes: one cause that holds up a batch, simulated to its end.
//!
//! A seed's story has many faults for minutes. A scene has one, for up to an hour, with one sender of one shard, so that a held
//! batch holds up all behind it. The invariants of a story hold in a scene too; in addition, each scene checks the responses to
//! its sender and the sidecar's metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use emulator::amp::Rate;

use crate::faults::{AmpFault, Reply};
use crate::metrics::Metrics;
use crate::plan::{BatchPlan, Plan, Playing, Script, SenderPlan, Shape, Window};
use crate::story::{self, StoryReport};
use crate::watch::{ALONE, Sent};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// From the first failed try of a batch with a poison series to its end: five tries over a minute, and a few more.
const CONDEMNED_WITHIN: Duration = Duration::from_secs(100);
/// Credentials are available by then.
const START: Duration = Duration::from_secs(10);

/// Responses of a proxy to a request that it blocks.
const BLOCKING: [Reply; 5] = [
    Reply::plain(451),
    Reply::plain(499),
    Reply::plain(403),
    Reply::html(200),
    Reply::html(403),
];

// === impl Plan ===

impl Plan {
    /// Adds a sender with these batches, one after the other.
    fn sending(mut self, batches: Vec<BatchPlan>) -> Self {
        let elsewhere = None;
        self.senders.push(SenderPlan { elsewhere, batches });
        self
    }

    /// Adds a fault for the whole story.
    fn with(mut self, fault: AmpFault) -> Self {
        let (from, to) = (Duration::ZERO, self.chaos);
        self.amp.push(Window { from, to, fault });
        self
    }

    fn by(mut self, script: impl Playing + 'static) -> Self {
        self.script = Some(Script(Arc::new(script)));
        self
    }
}

// === impl StoryReport ===

impl StoryReport {
    /// The batches of this sender in order.
    fn of(&self, sender: usize) -> Vec<&Sent> {
        let sent = self.batches.values();
        sent.filter(|sent| sent.sender == sender).collect()
    }

    fn metrics(&self) -> &Metrics {
        self.metrics.as_ref().unwrap()
    }
}

// === impl Sent ===

impl Sent {
    fn last_status(&self) -> u16 {
        self.responses.last().unwrap().0
    }

    fn took(&self) -> Duration {
        self.ended.unwrap() - self.began
    }
}

/// Runs a scene and checks the invariants.
fn play(plan: Plan) -> StoryReport {
    story::record_panics();
    let report = story::play_plan(plan);
    let shown = &report.trace[report.trace.len().saturating_sub(80)..];
    let shown = shown.join("\n");
    assert!(
        report.violations.is_empty(),
        "{:?}\n{shown}",
        report.violations
    );
    report
}

/// Several batches, 15 seconds apart.
fn some(series: &[usize]) -> Vec<BatchPlan> {
    let at = |n: usize| START + Duration::from_secs(15) * n as u32;
    let batches = series.iter().enumerate();
    batches
        .map(|(n, series)| BatchPlan::at(at(n), *series))
        .collect()
}

/// Checks that everything is stored in the end and that senders got only 5xx before.
fn nothing_was_dropped(report: &StoryReport) {
    let all: u64 = report.batches.values().map(|sent| sent.samples).sum();
    for sent in report.batches.values() {
        assert_eq!(sent.last_status(), 200, "{sent:?}");
        let before = &sent.responses[..sent.responses.len() - 1];
        let again = |status| (500..=504).contains(&status);
        assert!(before.iter().all(|(status, _)| again(*status)), "{sent:?}");
    }
    assert_eq!(report.metrics().forwarded(), all);
    assert_eq!(report.metrics().refused(""), 0);
}

#[test]
fn an_hour_of_front_door_refusals_drops_nothing() {
    let answers = [
        AmpFault::Says(Reply::front_door(429, "Rate exceeded")),
        AmpFault::Status(429, None),
        AmpFault::Denied,
        AmpFault::Status(404, None),
        AmpFault::Status(401, None),
        AmpFault::Says(Reply::front_door(404, "Workspace not found")),
        AmpFault::Says(Reply::plain(451)),
        AmpFault::Says(Reply::html(200)),
        AmpFault::Says(Reply::html(413)),
    ];
    for fault in answers {
        let report = play(
            Plan::quiet(HOUR)
                .with(fault.clone())
                .sending(some(&[1, 40, 7])),
        );
        nothing_was_dropped(&report);
        let sent = report.of(0)[0];
        assert!(sent.took() >= HOUR - START, "{fault:?}: {sent:?}");
        let canaries = |result| {
            report
                .metrics()
                .sum("amp_sidecar_canary_writes_total", result)
        };
        assert_eq!(canaries("taken"), 0, "{fault:?}");
        // At least five seconds apart.
        assert!((10..=720).contains(&canaries("refused")), "{fault:?}");
    }
}

#[test]
fn an_hour_of_the_engines_rate_limit_drops_nothing() {
    // A sample now and then, and no batch of several at once.
    let slow = Plan::quiet(HOUR)
        .with(AmpFault::Rate(0, 0))
        .sending(some(&[1, 40, 7]));
    let report = play(slow);
    nothing_was_dropped(&report);
    assert!(report.of(0)[0].took() >= HOUR - START);
    // Sending small payloads gains nothing, so it happens rarely.
    assert!(report.attempts < 4000, "{}", report.attempts);
}

#[test]
fn a_batch_over_the_burst_gets_through_in_pieces() {
    let mut plan = Plan::quiet(HOUR).sending(some(&[150, 20, 20]));
    plan.limits.ingestion_rate = Some(Rate::new(5.0, 40));
    let report = play(plan);
    nothing_was_dropped(&report);
    let sent = report.of(0);
    // Detected after a minute, then sent as fast as the rate allows.
    assert!(
        sent[0].took() < 2 * MINUTE + Duration::from_secs(150 / 5),
        "{:?}",
        sent[0]
    );
    let words = &sent[0].responses;
    assert!(
        words
            .iter()
            .any(|(_, said)| said.contains(" parts are settled")),
        "{words:?}"
    );
}

#[test]
fn a_poison_series_is_the_only_one_that_is_lost() {
    for reply in BLOCKING {
        let mut batches = some(&[40, 40, 40, 1, 3]);
        batches[1].poison = 17..18;
        // Both in one half, and in different halves.
        batches[2].poison = 19..21;
        batches[3].poison = 0..1;
        let report = play(
            Plan::quiet(HOUR)
                .with(AmpFault::Poison(reply, reply))
                .sending(batches),
        );
        let sent = report.of(0);
        let statuses: Vec<_> = sent.iter().map(|sent| sent.last_status()).collect();
        assert_eq!(statuses, [200, 400, 400, 400, 200], "{reply:?}");
        for (n, (sent, poisons)) in sent.iter().zip([0, 1, 2, 1, 0]).enumerate() {
            // All of the fourth is poison, and nothing shows meanwhile that AMP accepts anything else.
            let alone = if n == 3 { ALONE } else { Duration::ZERO };
            assert!(
                sent.took() <= CONDEMNED_WITHIN * poisons.max(1) + alone,
                "{reply:?}: {sent:?}"
            );
            let (_, said) = sent.responses.last().unwrap();
            assert!(poisons == 0 || said.starts_with("series batch_"), "{said}");
        }
        assert_eq!(report.metrics().refused("poison"), 4, "{reply:?}");
        assert_eq!(report.metrics().refused(""), 4, "{reply:?}");
        let all: u64 = report.batches.values().map(|sent| sent.samples).sum();
        assert_eq!(report.metrics().forwarded(), all - 4, "{reply:?}");
    }
}

#[test]
fn a_poison_series_in_one_part_of_many_is_the_only_one_that_is_lost() {
    let mut batches = some(&[150, 40]);
    batches[0].poison = 70..71;
    batches[0].samples = 2;
    let mut plan = Plan::quiet(HOUR).with(AmpFault::Poison(BLOCKING[0], BLOCKING[0]));
    plan.max_upstream_bytes = 20_000;
    let report = play(plan.sending(batches));
    let sent = report.of(0);
    assert_eq!((sent[0].last_status(), sent[1].last_status()), (400, 200));
    assert!(sent[0].took() <= 2 * CONDEMNED_WITHIN, "{:?}", sent[0]);
    // Two samples, each in a part of its own.
    assert_eq!(report.metrics().refused("poison"), 2);
}

#[test]
fn a_store_that_needs_longer_than_the_deadline_stores_the_batch() {
    let mut batches = some(&[150]);
    batches[0].samples = 2;
    let mut plan = Plan::quiet(HOUR).with(AmpFault::Slow(Duration::from_secs(7)));
    plan.max_upstream_bytes = 10_000;
    let report = play(plan.sending(batches));
    nothing_was_dropped(&report);
    let sent = report.of(0)[0];
    // Four at once, three times within a deadline of 25 s; 300 samples of 850 bytes are 26 parts or more.
    assert!((2..8).contains(&sent.tries), "{sent:?}");
    let (_, said) = &sent.responses[0];
    assert!(
        said.contains(" parts are settled and will not be sent again"),
        "{said}"
    );
}

#[test]
fn a_rate_that_accepts_parts_one_by_one_stores_the_batch() {
    let mut plan = Plan::quiet(HOUR).sending(some(&[150]));
    plan.max_upstream_bytes = 20_000;
    plan.limits.ingestion_rate = Some(Rate::new(10.0, 30));
    let report = play(plan);
    nothing_was_dropped(&report);
    let sent = report.of(0)[0];
    assert!(sent.took() < MINUTE && sent.tries < 20, "{sent:?}");
}

#[test]
fn samples_of_one_series_keep_their_order_whatever_happens_to_the_parts() {
    let mut batches = some(&[40, 40]);
    batches.iter_mut().for_each(|batch| batch.samples = 8);
    let mut plan = Plan::quiet(HOUR).sending(batches);
    plan.max_upstream_bytes = 20_000;
    let count = AtomicUsize::new(0);
    // Every third part fails, and every fifth is stored but its response is lost.
    let report = play(plan.by(move |amp_request| {
        if amp_request.is_canary() {
            return None;
        }
        match count.fetch_add(1, Ordering::Relaxed) {
            n if n.is_multiple_of(3) => Some(AmpFault::Status(503, None)),
            n if n.is_multiple_of(5) => Some(AmpFault::BreaksOnceStored),
            n if n.is_multiple_of(7) => Some(AmpFault::Slow(Duration::from_secs(9))),
            _ => None,
        }
    }));
    nothing_was_dropped(&report);
}

#[test]
fn an_outage_that_begins_while_a_batch_is_halved_drops_nothing() {
    let outages = [
        AmpFault::Says(Reply::plain(451)),
        AmpFault::Denied,
        AmpFault::Hang,
        AmpFault::Status(503, None),
    ];
    for outage in outages {
        let mut batches = some(&[40, 3]);
        batches[0].poison = 17..18;
        let outage_begun = AtomicBool::new(false);
        let shown = format!("{outage:?}");
        // AMP accepts nothing older than an hour.
        let plan = Plan::quiet(HOUR / 2).with(AmpFault::Poison(BLOCKING[0], BLOCKING[0]));
        let report = play(plan.sending(batches).by(move |amp_request| {
            // The fault changes after the first quarter is stored.
            if !amp_request.is_canary()
                && amp_request.batch.is_some()
                && amp_request.series.len() == 10
            {
                outage_begun.store(true, Ordering::Relaxed);
            }
            let begun = outage_begun.load(Ordering::Relaxed);
            begun.then(|| outage.clone())
        }));
        let sent = report.of(0);
        assert_eq!(
            sent[0].last_status(),
            200,
            "{shown}: {:?}",
            sent[0].responses
        );
        nothing_was_dropped(&report);
    }
}

#[test]
fn an_outage_that_ends_between_a_refusal_and_the_canary_drops_nothing() {
    for series in [1, 2] {
        for reply in [BLOCKING[0], Reply::plain(403)] {
            let over = AtomicBool::new(false);
            let plan = Plan::quiet(HOUR).sending(some(&[series, 3]));
            let tries = AtomicUsize::new(0);
            let report = play(plan.by(move |amp_request| {
                // Any request for a canary finds the outage over; all requests before were refused.
                if amp_request.is_canary() && tries.load(Ordering::Relaxed) > 2 {
                    over.store(true, Ordering::Relaxed);
                }
                tries.fetch_add(1, Ordering::Relaxed);
                (!over.load(Ordering::Relaxed)).then_some(AmpFault::Says(reply))
            }));
            nothing_was_dropped(&report);
        }
    }
}

#[test]
fn a_poison_series_with_two_answers_is_not_held_for_ever() {
    let pairs = [(BLOCKING[0], BLOCKING[1]), (BLOCKING[2], BLOCKING[3])];
    for (one, other) in pairs {
        for series in [1, 40] {
            let mut batches = some(&[series, 3]);
            batches[0].poison = 0..1;
            let plan = Plan::quiet(HOUR).with(AmpFault::Poison(one, other));
            let report = play(plan.sending(batches));
            let sent = report.of(0);
            assert_eq!(sent[0].last_status(), 400, "{:?}", sent[0]);
            let alone = if series == 1 { ALONE } else { Duration::ZERO };
            assert!(sent[0].took() <= CONDEMNED_WITHIN + alone, "{:?}", sent[0]);
            assert_eq!(report.metrics().refused(""), 1);
        }
    }
}

#[test]
fn a_refused_part_beside_one_that_fails_for_long_is_counted_once() {
    let mut plan = Plan::quiet(HOUR / 4);
    plan.max_upstream_bytes = 20_000;
    let report = play(plan.sending(some(&[60, 3])).by(|amp_request| {
        let holds = |number| {
            amp_request
                .series
                .iter()
                .any(|(series, _)| *series == number)
        };
        if amp_request.series.len() < 2 {
            None
        } else if holds(0) {
            Some(AmpFault::BadData)
        } else if holds(59) {
            Some(AmpFault::Status(503, None))
        } else {
            None
        }
    }));
    let sent = report.of(0)[0];
    assert!(sent.tries > 100, "{sent:?}");
    assert_eq!(sent.last_status(), 400);
    let refused = report.metrics().refused("out_of_order");
    assert!((2..30).contains(&refused), "{refused}");
    let all: u64 = report.batches.values().map(|sent| sent.samples).sum();
    assert_eq!(report.metrics().forwarded() + refused, all);
}

#[test]
fn limits_that_change_between_tries_cost_nothing() {
    let mut batches = some(&[150, 40, 1]);
    batches[0].samples = 2;
    let tries = AtomicUsize::new(0);
    // Limits fall, rise again, compressed and uncompressed, and every other part fails.
    let report = play(Plan::quiet(HOUR).sending(batches).by(move |amp_request| {
        if amp_request.is_canary() {
            return None;
        }
        let n = tries.fetch_add(1, Ordering::Relaxed);
        Some(match n % 6 {
            0 => AmpFault::Message(60_000),
            1 => AmpFault::MessageInside(20_000),
            2 => AmpFault::TooLarge(30_000),
            3 => AmpFault::Status(500, None),
            4 => AmpFault::Message(9_000),
            _ => AmpFault::Takes,
        })
    }));
    nothing_was_dropped(&report);
}

#[test]
fn a_slow_canary_of_one_batch_makes_no_other_late() {
    // Canaries hang, and one sender's requests are refused late. Every story checks that responses are in time.
    let mut plan = Plan::quiet(HOUR / 4);
    for n in 0..6 {
        let at = START + Duration::from_secs(4 * n);
        plan = plan.sending(vec![BatchPlan::at(at, 1 + n as usize)]);
    }
    let report = play(plan.by(|amp_request| {
        let after = match amp_request.series.len() {
            0 => return Some(AmpFault::Hang),
            1 => Duration::from_secs(20),
            _ => Duration::from_millis(20),
        };
        Some(AmpFault::SaysLate(after, BLOCKING[0]))
    }));
    nothing_was_dropped(&report);
}

#[test]
fn a_body_too_large_for_a_proxy_is_not_held_for_ever() {
    for poison in [0..1, 1..2] {
        let mut batches = some(&[poison.end, 40]);
        batches[0].poison = poison;
        let too_large = Reply::plain(413);
        let report = play(
            Plan::quiet(HOUR)
                .with(AmpFault::Poison(too_large, too_large))
                .sending(batches),
        );
        let sent = report.of(0);
        assert!(
            sent[0].last_status() >= 400 && sent[0].took() <= CONDEMNED_WITHIN + ALONE,
            "{:?}",
            sent[0]
        );
        assert_eq!(sent[1].last_status(), 200);
        assert_eq!(report.metrics().refused(""), 1);
    }
}

#[test]
fn a_batch_without_budget_keeps_the_results_of_its_parts() {
    let mut plan = Plan::quiet(HOUR / 4).sending(some(&[120]));
    plan.budget = 1 << 20;
    let (from, to) = (Duration::ZERO, Duration::from_secs(130));
    plan.amp.push(Window {
        from,
        to,
        fault: AmpFault::Rate(1, 30),
    });
    // While it is sent in pieces, two slow senders take the budget.
    for host in [1, 2] {
        let mut hog = BatchPlan::at(Duration::from_secs(110), 270);
        hog.shape = Shape::NeverEnds;
        plan.senders.push(SenderPlan {
            elsewhere: Some(host),
            batches: vec![hog],
        });
    }
    let report = play(plan);
    let sent = report.of(0)[0];
    assert!(
        sent.responses
            .iter()
            .any(|(_, said)| said.contains("--max-inflight-bytes")),
        "{sent:?}"
    );
    nothing_was_dropped(&report);
}

#[test]
fn a_burst_below_a_batch_costs_one_batch_its_minute() {
    let mut plan = Plan::quiet(HOUR).sending(some(&[50; 20]));
    plan.limits.ingestion_rate = Some(Rate::new(10.0, 40));
    let report = play(plan);
    nothing_was_dropped(&report);
    let sent = report.of(0);
    assert!(sent[0].took() < 2 * MINUTE, "{:?}", sent[0]);
    // The batches behind it have caught up by then.
    for sent in &sent[15..] {
        assert!(sent.took() < Duration::from_secs(15), "{sent:?}");
    }
}

#[test]
fn a_proxy_that_blocks_nonempty_writes_loses_nothing_for_ten_minutes() {
    for reply in BLOCKING {
        let plan = Plan::quiet(ALONE).sending(some(&[1, 40, 7]));
        let report =
            play(plan.by(move |amp_request| {
                (!amp_request.is_canary()).then_some(AmpFault::Says(reply))
            }));
        nothing_was_dropped(&report);
    }
}
