//! The faults of STS and AMP, and how they are drawn.
//!
//! In: the random numbers of a seed. Out: an [`StsFault`] or an [`AmpFault`]. The responses of an AMP fault are in `answers`.

use std::time::Duration;

use fastrand::Rng;

/// A fault of STS or of the network to it.
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

/// A fault of AMP or of the network to it.
#[derive(Debug, Clone)]
pub enum AmpFault {
    Status(u16, Option<u64>),
    BadData,
    /// 413 for every longer body.
    TooLarge(usize),
    Denied,
    /// Credentials are rejected, after this delay.
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
    /// Every request gets this response.
    Says(Reply),
    /// Every request gets this response after this delay.
    SaysLate(Duration, Reply),
    /// Every request with a poison series gets one of these responses, in turn.
    Poison(Reply, Reply),
    /// The engine accepts this many samples per second, with this burst.
    Rate(u32, u64),
    /// The engine accepts no larger message, compressed or uncompressed: 400.
    Message(usize),
    /// One component of the engine accepts no larger uncompressed message from another: 500.
    MessageInside(usize),
    /// AMP accepts it as if nothing were wrong.
    Takes,
}

/// A response that does not connections from the engine.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    pub status: u16,
    pub form: Form,
}

/// The form of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text without AWS' request id.
    Plain,
    Html,
    /// AWS' JSON with this message.
    FrontDoor(&'static str),
}

/// The text of a response to a poison series.
pub const BLOCKED: &str = "blocked for what it holds";

/// Statuses that only a proxy sends.
const IN_BETWEEN: [u16; 11] = [402, 407, 421, 422, 425, 426, 428, 431, 451, 499, 418];

/// STS' own error codes, and an unknown one.
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

// === impl AmpFault ===

impl AmpFault {
    /// Whether it needs a long window: its effect shows after a minute.
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Poison(..))
    }

    /// Whether its response makes the sidecar split a batch, or halve it after a minute.
    pub fn may_open_a_batch(&self) -> bool {
        match self {
            Self::Status(status, _) => *status < 500,
            Self::TooLarge(_)
            | Self::Denied
            | Self::RefusedLate(_)
            | Self::WrongClock(_)
            | Self::Says(_)
            | Self::Poison(..)
            | Self::Rate(..)
            | Self::Message(_)
            | Self::MessageInside(_) => true,
            _ => false,
        }
    }
}

// === impl Reply ===

impl Reply {
    pub const fn plain(status: u16) -> Self {
        let form = Form::Plain;
        Self { status, form }
    }

    pub const fn html(status: u16) -> Self {
        let form = Form::Html;
        Self { status, form }
    }

    pub const fn front_door(status: u16, words: &'static str) -> Self {
        let form = Form::FrontDoor(words);
        Self { status, form }
    }
}

pub fn sts_fault(rng: &mut Rng) -> StsFault {
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

pub fn amp_fault(rng: &mut Rng) -> AmpFault {
    match rng.u8(..46) {
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
        29..36 => {
            let reply = blocking(rng);
            let other = if rng.u8(..4) == 0 {
                blocking(rng)
            } else {
                reply
            };
            AmpFault::Poison(reply, other)
        }
        36..39 => AmpFault::Says(match rng.u8(..3) {
            0 => Reply::plain(*pick(rng, &IN_BETWEEN)),
            1 => Reply::html(*pick(rng, &[200, 202, 400, 403, 404, 413, 429, 451, 503])),
            _ => Reply::front_door(429, "Rate exceeded"),
        }),
        39..42 => AmpFault::Rate(rng.u32(1..40), rng.u64(1..60)),
        42 => AmpFault::Message(*pick(rng, &[16_000, 50_000])),
        43 => AmpFault::MessageInside(*pick(rng, &[16_000, 50_000])),
        _ => AmpFault::Tls,
    }
}

/// What a proxy responds to a series that it blocks.
fn blocking(rng: &mut Rng) -> Reply {
    match rng.u8(..3) {
        0 => Reply::html(*pick(rng, &[200, 403, 406])),
        _ => Reply::plain(*pick(rng, &[400, 403, 406, 451, 499])),
    }
}

/// In milliseconds.
pub fn off_by(rng: &mut Rng) -> i64 {
    let far = *pick(
        rng,
        &[
            2_000, 25_000, 40_000, 290_000, 600_000, 3_500_000, 43_200_000,
        ],
    );
    if rng.bool() { far } else { -far }
}

pub fn pick<'a, T>(rng: &mut Rng, among: &'a [T]) -> &'a T {
    &among[rng.usize(..among.len())]
}

pub fn seconds(rng: &mut Rng, from: u64, to: u64) -> Duration {
    millis(rng, from * 1000, to * 1000)
}

pub fn millis(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..to))
}
