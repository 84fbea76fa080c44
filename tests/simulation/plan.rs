//! What happens when, drawn from a seed before anything runs.
//!
//! In: a seed. Out: a [`Plan`]: the settings, every fault with its beginning and end, every batch with its sender and its moment.
//! Nothing that happens later draws from the same well, so that a mend of the product does not turn one seed into another story.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use emulator::amp::Limits;
use fastrand::Rng;

use crate::answers::Asked;
use crate::faults::{AmpFault, StsFault, amp_fault, millis, off_by, pick, seconds, sts_fault};

/// One story.
#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    /// Faults end here.
    pub chaos: Duration,
    pub upstream_timeout: Duration,
    pub budget: usize,
    pub inspect: bool,
    /// A batch over it is split.
    pub max_upstream_bytes: usize,
    /// Roles that are assumed after the first one.
    pub hops: usize,
    pub session: Duration,
    pub drain_idle: Duration,
    pub drain_timeout: Duration,
    /// The signal to leave comes in the middle of the faults, and a second one after it.
    pub leaves_early: bool,
    pub sts: Vec<Window<StsFault>>,
    pub amp: Vec<Window<AmpFault>>,
    pub events: Vec<(Duration, Event)>,
    pub senders: Vec<SenderPlan>,
    /// Senders pause no longer between two tries.
    pub longest_pause: Duration,
    /// AMP's own, where no fault changes them.
    pub limits: Limits,
    /// What AMP does with one request, before all else.
    pub script: Option<Script>,
}

/// What AMP does with a request instead, by what is in it.
#[derive(Clone)]
pub struct Script(pub Arc<dyn Playing>);

/// Chooses what AMP does with a request.
pub trait Playing: Fn(&Asked) -> Option<AmpFault> + Send + Sync {}

impl<F: Fn(&Asked) -> Option<AmpFault> + Send + Sync> Playing for F {}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

/// A fault and its time.
#[derive(Debug)]
pub struct Window<F> {
    pub from: Duration,
    pub to: Duration,
    pub fault: F,
}

/// What happens at one moment.
#[derive(Debug, Clone)]
pub enum Event {
    Token(TokenChange),
    /// The issuer signs by another key: tokens of the old one are refused from now on.
    NewKey,
    /// The machine's clock is so far off from now on.
    Clock(i64),
    /// AMP and STS forget all sessions.
    Revoke,
    Reload(Reload),
    Drain,
    Leave,
}

/// What becomes of the token file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenChange {
    Rotated,
    Missing,
    Empty,
    Torn,
    Garbage,
    TooLong,
    /// A token that is over already.
    Stale,
}

/// What the new configuration says.
#[derive(Debug, Clone, Copy)]
pub enum Reload {
    Same,
    OtherName(u8),
    Rejected,
}

/// A sender and its batches, in their order.
#[derive(Debug)]
pub struct SenderPlan {
    pub elsewhere: Option<u8>,
    pub batches: Vec<BatchPlan>,
}

/// One batch.
#[derive(Debug)]
pub struct BatchPlan {
    pub at: Duration,
    pub series: usize,
    /// Of each series, one entry of the message for each.
    pub samples: usize,
    /// Of so many series, from this one on, [`AmpFault::Poison`] does not take anything.
    pub poison: std::ops::Range<usize>,
    pub shape: Shape,
    /// The sender goes away so long after its first try began.
    pub goes_away: Option<Duration>,
}

/// How the first try sends its body; later ones send it whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Whole,
    Chunks { declared: bool, pause: Duration },
    NeverEnds,
}

/// No sender's is larger.
pub const LARGEST_BODY: usize = 512 * 1024;

// === impl Plan ===

impl Plan {
    pub fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let chaos = seconds(rng, 120, 4800);
        let leaves_early = rng.u8(..4) == 0;
        let mut plan = Self {
            seed,
            chaos,
            upstream_timeout: Duration::from_secs(*pick(rng, &[5, 25])),
            budget: *pick(rng, &[1 << 20, 1 << 20, 2 << 20, 8 << 20]),
            inspect: rng.u8(..4) > 0,
            max_upstream_bytes: *pick(rng, &[1_000_000, 1_000_000, 60_000, 20_000]),
            hops: *pick(rng, &[0, 0, 0, 1, 2]),
            session: seconds(rng, 900, 3600),
            drain_idle: seconds(rng, 1, 8),
            drain_timeout: seconds(rng, 3, 60),
            leaves_early,
            sts: windows(rng, chaos, sts_fault, |_| false),
            amp: windows(rng, chaos, amp_fault, AmpFault::lasts),
            events: events(rng, chaos),
            senders: Vec::new(),
            longest_pause: (chaos / 16).clamp(Duration::from_secs(5), Duration::from_secs(120)),
            limits: Limits::default(),
            script: None,
        };
        let until = if leaves_early {
            let at = chaos.mul_f64(0.3 + 0.6 * rng.f64());
            plan.events.push((at, Event::Drain));
            if rng.bool() {
                plan.events.push((at + seconds(rng, 1, 40), Event::Leave));
            }
            at + seconds(rng, 0, 20)
        } else {
            chaos
        };
        plan.events.sort_by_key(|(at, _)| *at);
        plan.senders = senders(rng, until);
        plan
    }

    /// Nothing fails for so long, and nobody sends.
    pub fn quiet(chaos: Duration) -> Self {
        Self {
            seed: 0,
            chaos,
            upstream_timeout: Duration::from_secs(25),
            budget: 8 << 20,
            inspect: true,
            max_upstream_bytes: 1_000_000,
            hops: 0,
            session: Duration::from_secs(3600),
            drain_idle: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            leaves_early: false,
            sts: Vec::new(),
            amp: Vec::new(),
            // As kubelet does.
            events: (1..)
                .map(|n| Duration::from_secs(2900) * n)
                .take_while(|at| *at < chaos)
                .map(|at| (at, Event::Token(TokenChange::Rotated)))
                .collect(),
            senders: Vec::new(),
            // As Prometheus'.
            longest_pause: Duration::from_secs(5),
            limits: Limits::default(),
            script: None,
        }
    }

    /// Whether batches may be cut or halved, which a thread of its own does.
    pub fn may_split(&self) -> bool {
        let opens = |window: &Window<AmpFault>| window.fault.may_open_a_batch();
        self.max_upstream_bytes < LARGEST_BODY || self.amp.iter().any(opens)
    }

    /// Whether somebody sets the clock, or tells a wrong time, before `now`.
    pub fn time_was_wrong(&self, now: Duration) -> bool {
        let set = |(at, event): &(Duration, Event)| *at <= now && matches!(event, Event::Clock(_));
        let told = |window: &Window<StsFault>| {
            window.from <= now && matches!(window.fault, StsFault::WrongDate(_))
        };
        let seen = |window: &Window<AmpFault>| {
            window.from <= now && matches!(window.fault, AmpFault::WrongClock(_))
        };
        self.events.iter().any(set) || self.sts.iter().any(told) || self.amp.iter().any(seen)
    }
}

// === impl BatchPlan ===

impl BatchPlan {
    /// One sample.
    pub fn small() -> Self {
        Self::at(Duration::ZERO, 1)
    }

    /// So many series, sent whole by one who waits.
    pub fn at(at: Duration, series: usize) -> Self {
        Self {
            at,
            series,
            samples: 1,
            poison: 0..0,
            shape: Shape::Whole,
            goes_away: None,
        }
    }
}

/// The fault of this moment; the one that began last counts.
pub fn at<F>(windows: &[Window<F>], now: Duration) -> Option<&F> {
    let active = |window: &&Window<F>| window.from <= now && now < window.to;
    let last = windows
        .iter()
        .filter(active)
        .max_by_key(|window| window.from);
    last.map(|window| &window.fault)
}

fn windows<F>(
    rng: &mut Rng,
    chaos: Duration,
    fault: fn(&mut Rng) -> F,
    lasts: fn(&F) -> bool,
) -> Vec<Window<F>> {
    let count = rng.usize(0..9);
    (0..count)
        .map(|_| {
            let from = chaos.mul_f64(rng.f64());
            let fault = fault(rng);
            // Mostly short, at times as long as a bad hour.
            let life = if lasts(&fault) || rng.u8(..6) == 0 {
                chaos.mul_f64(rng.f64())
            } else {
                millis(rng, 100, 150_000)
            };
            Window {
                from,
                to: (from + life).min(chaos),
                fault,
            }
        })
        .collect()
}

fn events(rng: &mut Rng, chaos: Duration) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    // As kubelet does, and now and then badly.
    let mut at = seconds(rng, 0, 2900);
    while at < chaos {
        events.push((at, Event::Token(TokenChange::Rotated)));
        at += seconds(rng, 60, 2900);
    }
    for _ in 0..rng.u8(..4) {
        let from = chaos.mul_f64(rng.f64());
        let change = *pick(
            rng,
            &[
                TokenChange::Missing,
                TokenChange::Empty,
                TokenChange::Torn,
                TokenChange::Garbage,
                TokenChange::TooLong,
                TokenChange::Stale,
            ],
        );
        // What a reader sees in the middle of a rotation, or a volume that is broken.
        let life = if rng.bool() {
            millis(rng, 1, 40)
        } else {
            seconds(rng, 1, 1200)
        };
        events.push((from, Event::Token(change)));
        events.push(((from + life).min(chaos), Event::Token(TokenChange::Rotated)));
    }
    if rng.u8(..4) == 0 {
        let at = chaos.mul_f64(rng.f64());
        events.push((at, Event::NewKey));
        events.push((
            (at + seconds(rng, 0, 900)).min(chaos),
            Event::Token(TokenChange::Rotated),
        ));
    }
    if rng.u8(..3) == 0 {
        for _ in 0..rng.u8(1..5) {
            let off = if rng.u8(..3) == 0 { 0 } else { off_by(rng) };
            events.push((chaos.mul_f64(rng.f64()), Event::Clock(off)));
        }
    }
    for _ in 0..rng.u8(..3) {
        events.push((chaos.mul_f64(rng.f64()), Event::Revoke));
    }
    for n in 0..rng.u8(..3) {
        let reload = match rng.u8(..4) {
            0 => Reload::Same,
            1 => Reload::Rejected,
            _ => Reload::OtherName(n),
        };
        events.push((chaos.mul_f64(rng.f64()), Event::Reload(reload)));
    }
    events
}

fn senders(rng: &mut Rng, until: Duration) -> Vec<SenderPlan> {
    // A few that send for long, or a crowd that comes at once.
    let crowd = rng.u8(..3) == 0;
    let (senders, batches) = if crowd { (24, 1) } else { (rng.usize(2..7), 6) };
    let together = until.mul_f64(rng.f64());
    (0..senders)
        .map(|_| {
            let mut plans: Vec<_> = (0..batches)
                .map(|_| {
                    let series = *pick(rng, &[1, 1, 1, 2, 3, 10, 40, 40, 150]);
                    BatchPlan {
                        at: if crowd {
                            together + millis(rng, 0, 1500)
                        } else {
                            until.mul_f64(rng.f64())
                        },
                        series,
                        // What is larger there is not always room to split.
                        samples: if series > 40 {
                            1
                        } else {
                            *pick(rng, &[1, 1, 1, 3])
                        },
                        poison: match rng.u8(..3) {
                            0 => {
                                let first = rng.usize(..series);
                                first..(first + rng.usize(1..3)).min(series)
                            }
                            _ => 0..0,
                        },
                        shape: match rng.u8(..10) {
                            0 => Shape::NeverEnds,
                            1..4 => Shape::Chunks {
                                declared: rng.bool(),
                                pause: millis(rng, 1, 4000),
                            },
                            _ => Shape::Whole,
                        },
                        goes_away: (rng.u8(..5) == 0).then(|| millis(rng, 0, 8000)),
                    }
                })
                .collect();
            plans.sort_by_key(|batch| batch.at);
            SenderPlan {
                elsewhere: rng.bool().then(|| rng.u8(1..4)),
                batches: plans,
            }
        })
        .collect()
}
