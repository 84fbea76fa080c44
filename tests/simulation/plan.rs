//! What happens when, drawn from a seed before anything runs.
//!
//! In: a seed. Out: a [`Plan`]: the settings, every fault with its beginning and end, every batch with its sender and its moment.
//! Nothing that happens later draws from the same well, so that a mend of the product does not turn one seed into another story.

use std::time::Duration;

use fastrand::Rng;

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
}

/// A fault and its time.
#[derive(Debug)]
pub struct Window<F> {
    pub from: Duration,
    pub to: Duration,
    pub fault: F,
}

/// What STS, or the way to it, does instead.
#[derive(Debug, Clone)]
pub enum StsFault {
    Refuse(u16, &'static str),
    Slow(Duration),
    Hang,
    Unreachable,
    Html(u16),
    Cut,
    NotUtf8,
    Huge,
    EmptyKey,
    NoTime,
    Over,
    Lives(u64),
    LivesUntilTheEnd,
    BodyStalls,
    BodyBreaks,
    WrongDate(i64),
}

/// What AMP, or the way to it, does instead.
#[derive(Debug, Clone)]
pub enum AmpFault {
    Status(u16, Option<u64>),
    BadData,
    /// 413 to all that is longer.
    TooLarge(usize),
    Denied,
    /// Credentials are refused, so long after the request.
    RefusedLate(Duration),
    Slow(Duration),
    Hang,
    BreaksUnread,
    BreaksOnceStored,
    BodyBreaksOnceStored,
    BodyStallsOnceStored,
    Garbage,
    WrongClock(i64),
    KeepsNothingOpen,
    Refused,
    Unresolved,
    Swallowed,
    Tls,
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

/// STS' own codes, and one that nobody knows.
const CODES: [(u16, &str); 17] = [
    (403, "AccessDenied"),
    (400, "ExpiredTokenException"),
    (400, "ExpiredToken"),
    (400, "IDPCommunicationError"),
    (403, "IDPRejectedClaim"),
    (500, "InternalFailure"),
    (400, "InvalidAction"),
    (403, "InvalidClientTokenId"),
    (400, "InvalidIdentityToken"),
    (400, "MalformedPolicyDocument"),
    (400, "PackedPolicyTooLarge"),
    (403, "RegionDisabledException"),
    (503, "ServiceUnavailable"),
    (403, "SignatureDoesNotMatch"),
    (400, "Throttling"),
    (400, "ValidationError"),
    (418, "TeapotException"),
];

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
            sts: windows(rng, chaos, sts_fault),
            amp: windows(rng, chaos, amp_fault),
            events: events(rng, chaos),
            senders: Vec::new(),
            longest_pause: (chaos / 16).clamp(Duration::from_secs(5), Duration::from_secs(120)),
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

    /// Whether batches may be split, which a thread of its own does.
    pub fn may_split(&self) -> bool {
        let too_large = |window: &Window<AmpFault>| matches!(window.fault, AmpFault::TooLarge(_));
        self.max_upstream_bytes < LARGEST_BODY || self.amp.iter().any(too_large)
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

/// The fault of this moment; the one that began last counts.
pub fn at<F>(windows: &[Window<F>], now: Duration) -> Option<&F> {
    let active = |window: &&Window<F>| window.from <= now && now < window.to;
    let last = windows
        .iter()
        .filter(active)
        .max_by_key(|window| window.from);
    last.map(|window| &window.fault)
}

fn windows<F>(rng: &mut Rng, chaos: Duration, fault: fn(&mut Rng) -> F) -> Vec<Window<F>> {
    let count = rng.usize(0..9);
    (0..count)
        .map(|_| {
            let from = chaos.mul_f64(rng.f64());
            // Mostly short, at times as long as a bad hour.
            let life = if rng.u8(..6) == 0 {
                chaos.mul_f64(rng.f64())
            } else {
                millis(rng, 100, 150_000)
            };
            Window {
                from,
                to: (from + life).min(chaos),
                fault: fault(rng),
            }
        })
        .collect()
}

fn sts_fault(rng: &mut Rng) -> StsFault {
    match rng.u8(..28) {
        0..10 => {
            let (status, code) = *pick(rng, &CODES);
            StsFault::Refuse(status, code)
        }
        10 => StsFault::Hang,
        11 => StsFault::Slow(millis(rng, 500, 7000)),
        12 => StsFault::Unreachable,
        13 => StsFault::Html(*pick(rng, &[200, 302, 403, 429, 502, 503])),
        14 => StsFault::Cut,
        15 => StsFault::NotUtf8,
        16 => StsFault::Huge,
        17 => StsFault::EmptyKey,
        18 => StsFault::NoTime,
        19 => StsFault::Over,
        20 | 21 => StsFault::Lives(rng.u64(1..90)),
        22 => StsFault::LivesUntilTheEnd,
        23 => StsFault::BodyStalls,
        24 => StsFault::BodyBreaks,
        25 => StsFault::Slow(millis(rng, 4500, 5500)),
        _ => StsFault::WrongDate(off_by(rng)),
    }
}

fn amp_fault(rng: &mut Rng) -> AmpFault {
    match rng.u8(..30) {
        0..5 => AmpFault::Status(
            *pick(rng, &[500, 502, 503, 504, 302, 404, 408, 409, 401]),
            rng.bool().then(|| rng.u64(0..600)),
        ),
        5 | 6 => AmpFault::Status(429, Some(rng.u64(0..600))),
        7 => AmpFault::BadData,
        8 | 9 => AmpFault::Denied,
        10 => AmpFault::Slow(millis(rng, 500, 30_000)),
        11 | 12 => AmpFault::Hang,
        13 => AmpFault::BreaksUnread,
        14 => AmpFault::BreaksOnceStored,
        15 => AmpFault::BodyBreaksOnceStored,
        16 => AmpFault::BodyStallsOnceStored,
        17 => AmpFault::Garbage,
        18 => AmpFault::WrongClock(off_by(rng)),
        19 | 20 => AmpFault::KeepsNothingOpen,
        21 => AmpFault::Refused,
        22 => AmpFault::Unresolved,
        23 | 24 => AmpFault::Swallowed,
        25 | 26 => AmpFault::TooLarge(*pick(rng, &[16_000, 50_000])),
        27 | 28 => AmpFault::RefusedLate(millis(rng, 1000, 5000)),
        _ => AmpFault::Tls,
    }
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
                .map(|_| BatchPlan {
                    at: if crowd {
                        together + millis(rng, 0, 1500)
                    } else {
                        until.mul_f64(rng.f64())
                    },
                    series: *pick(rng, &[1, 1, 1, 2, 3, 10, 40, 40, 150]),
                    shape: match rng.u8(..10) {
                        0 => Shape::NeverEnds,
                        1..4 => Shape::Chunks {
                            declared: rng.bool(),
                            pause: millis(rng, 1, 4000),
                        },
                        _ => Shape::Whole,
                    },
                    goes_away: (rng.u8(..5) == 0).then(|| millis(rng, 0, 8000)),
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

/// In milliseconds.
fn off_by(rng: &mut Rng) -> i64 {
    let far = *pick(
        rng,
        &[
            2_000, 25_000, 40_000, 290_000, 600_000, 3_500_000, 43_200_000,
        ],
    );
    if rng.bool() { far } else { -far }
}

fn pick<'a, T>(rng: &mut Rng, among: &'a [T]) -> &'a T {
    &among[rng.usize(..among.len())]
}

fn seconds(rng: &mut Rng, from: u64, to: u64) -> Duration {
    millis(rng, from * 1000, to * 1000)
}

fn millis(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..to))
}
