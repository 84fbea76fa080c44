//! The schedule of a story, drawn from a seed before anything runs.
//!
//! In: a seed. Out: a [`Plan`]: the settings, every fault with its start and end, every batch with its sender and time. Nothing
//! that happens later uses this generator, so a fix in the program does not turn one seed into another story.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use emulator::amp::Limits;
use fastrand::Rng;

use crate::answers::AmpRequest;
use crate::faults::{AmpFault, StsFault, amp_fault, millis, off_by, pick, seconds, sts_fault};

/// The last budget is spent after a few batches.
const INSPECTIONS: [(&str, &str); 4] = [
    ("off", "0.2%"),
    ("on", "0.2%"),
    ("auto", "0.2%"),
    ("auto", "0.001%"),
];

/// One story.
#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    /// When the faults end.
    pub chaos: Duration,
    pub upstream_timeout: Duration,
    pub budget: usize,
    /// `--inspect` and `--inspect-budget`.
    pub inspect: (&'static str, &'static str),
    /// A larger batch is split.
    pub max_upstream_bytes: usize,
    /// Roles assumed after the first one.
    pub hops: usize,
    pub session: Duration,
    pub drain_idle: Duration,
    pub drain_timeout: Duration,
    /// The signal to stop arrives during the faults, and a second one after it.
    pub leaves_early: bool,
    pub sts: Vec<Window<StsFault>>,
    pub amp: Vec<Window<AmpFault>>,
    pub events: Vec<(Duration, Event)>,
    pub senders: Vec<SenderPlan>,
    /// Maximum pause of a sender between two tries.
    pub longest_pause: Duration,
    /// AMP's own limit, unless a fault changes it.
    pub limits: Limits,
    /// Decides before everything else how AMP handles a request.
    pub script: Option<Script>,
}

/// Decides how AMP handles a request, by its contents.
#[derive(Clone)]
pub struct Script(pub Arc<dyn Playing>);

/// Decides how AMP handles a request.
pub trait Playing: Fn(&AmpRequest) -> Option<AmpFault> + Send + Sync {}

impl<F: Fn(&AmpRequest) -> Option<AmpFault> + Send + Sync> Playing for F {}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

/// A fault and its period.
#[derive(Debug)]
pub struct Window<F> {
    pub from: Duration,
    pub to: Duration,
    pub fault: F,
}

/// An event at one moment.
#[derive(Debug, Clone)]
pub enum Event {
    Token(TokenChange),
    /// The issuer signs with another key: tokens of the old one are rejected from now on.
    NewKey,
    /// The machine's clock is this far off from now on.
    Clock(i64),
    /// AMP and STS forget all sessions.
    Revoke,
    Reload(Reload),
    Drain,
    Leave,
}

/// A change of the token file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenChange {
    Rotated,
    Missing,
    Empty,
    Torn,
    Garbage,
    TooLong,
    /// An expired token.
    Stale,
}

/// The new configuration.
#[derive(Debug, Clone, Copy)]
pub enum Reload {
    Same,
    OtherName(u8),
    Rejected,
}

/// A sender and its batches in order.
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
    /// Samples per series; each is a separate entry of the message.
    pub samples: usize,
    /// The poison series, which [`AmpFault::Poison`] refuses.
    pub poison: std::ops::Range<usize>,
    pub shape: Shape,
    /// The sender disconnects this long after its first try began.
    pub goes_away: Option<Duration>,
}

/// How the first try sends its body; retries send it whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Whole,
    Chunks { declared: bool, pause: Duration },
    NeverEnds,
}

/// The largest body of a sender.
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
            inspect: *pick(rng, &INSPECTIONS),
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

    /// No faults and no senders for this long.
    pub fn quiet(chaos: Duration) -> Self {
        Self {
            seed: 0,
            chaos,
            upstream_timeout: Duration::from_secs(25),
            budget: 8 << 20,
            inspect: ("on", "0.2%"),
            max_upstream_bytes: 1_000_000,
            hops: 0,
            session: Duration::from_secs(3600),
            drain_idle: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            leaves_early: false,
            sts: Vec::new(),
            amp: Vec::new(),
            // Like the kubelet's.
            events: (1..)
                .map(|n| Duration::from_secs(2900) * n)
                .take_while(|at| *at < chaos)
                .map(|at| (at, Event::Token(TokenChange::Rotated)))
                .collect(),
            senders: Vec::new(),
            // Like Prometheus'.
            longest_pause: Duration::from_secs(5),
            limits: Limits::default(),
            script: None,
        }
    }

    /// Whether batches may be split or halved, which happens on a separate thread.
    pub fn may_split(&self) -> bool {
        let opens = |window: &Window<AmpFault>| window.fault.may_open_a_batch();
        self.max_upstream_bytes < LARGEST_BODY || self.amp.iter().any(opens)
    }

    /// Whether a clock was wrong before `now`, the machine's or a peer's.
    pub fn time_was_wrong(&self, now: Duration) -> bool {
        let set = |(at, event): &(Duration, Event)| *at <= now && matches!(event, Event::Clock(_));
        let report = |window: &Window<StsFault>| {
            window.from <= now && matches!(window.fault, StsFault::WrongDate(_))
        };
        let seen = |window: &Window<AmpFault>| {
            window.from <= now && matches!(window.fault, AmpFault::WrongClock(_))
        };
        self.events.iter().any(set) || self.sts.iter().any(report) || self.amp.iter().any(seen)
    }
}

// === impl BatchPlan ===

impl BatchPlan {
    /// One series with one sample.
    pub fn small() -> Self {
        Self::at(Duration::ZERO, 1)
    }

    /// This many series, sent whole by a sender that waits.
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

/// The fault at this moment; of several, the one that began last.
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
            // Usually short, sometimes up to a bad hour.
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
    // Like the kubelet's, and sometimes bad.
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
        // What a reader can see during a rotation, or a broken volume.
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
    // A few senders for a long time, or many at once.
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
                        // Splitting a larger batch may not find enough budget.
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
