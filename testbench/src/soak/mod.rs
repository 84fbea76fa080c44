//! Load for as long as it is wanted: does anything of the sidecar grow, and is a batch lost?
//!
//! ```text
//! crowd ─▶ sidecar ─▶ world     faults at random, tokens and sessions of seconds
//!    └── every round: pause ─▶ reading of the idle process ─▶ on again
//! ```
//!
//! In: how long, how many senders, a seed. Out: a [`SoakReport`] with a [`ProcessReading`] after each round, and what of it is not as promised.
//! Many senders each with a connection of its own send small batches, leave in the middle of some, come back by new connections;
//! the token rotates and sessions end every few seconds, and STS and AMP meet random faults, none of which may cost a batch.
//! After each round everybody falls silent and the process is read: idle, it must hold no request, and its memory, descriptors,
//! threads and tasks must not grow from round to round. Reading under load was rejected: what is in flight differs from one moment to the
//! next by more than a leak adds in an hour.
//!
//! Nothing is recorded of a batch but that it is in AMP's store when its sender got a 2xx: hours of it must fit into memory.

mod crowd;
mod error;
mod options;
mod reading;
mod report;

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

pub use error::SoakError;
pub use options::Options;
pub use reading::ProcessReading;
pub use report::SoakReport;

use crate::peers::sidecar::Sidecar;
use crowd::Crowd;
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, World, WorldConfig};

/// Sessions live for so long, so that they are renewed at half of it.
const SESSION_LIFE: Duration = Duration::from_secs(10);
/// No fault, and no rotation, is further from the next than this.
const LONGEST_CALM: f64 = 3.0;
/// Senders retry within 5 s.
const PATIENCE: Duration = Duration::from_secs(40);
const SHORTEST_ROUND: Duration = Duration::from_secs(4);
const LONGEST_ROUND: Duration = Duration::from_secs(60);
const EXPIRED: &str = r#"{"message":"The security token included in the request is expired"}"#;

/// Runs the soak; `progress` is called with each reading.
///
/// # Errors
/// [`SoakError`]; what is not as promised is none, but stands in the report.
pub async fn soak(
    options: &Options,
    progress: impl Fn(&ProcessReading),
) -> Result<SoakReport, SoakError> {
    let config = WorldConfig {
        session_life: Some(SESSION_LIFE),
        ..WorldConfig::default()
    };
    let world = World::start(config).await?;
    // Requests that hang end soon, so that each round meets many.
    let flags = ["--upstream-timeout=2s"];
    let mut sidecar = Sidecar::start(&options.program, &world, &flags).await?;
    let mut rng = Rng::with_seed(options.seed);
    let crowd = Crowd::gather(options.senders, &sidecar, world.store().clone(), &mut rng);
    let round = (options.length / 5).clamp(SHORTEST_ROUND, LONGEST_ROUND);
    let began = Instant::now();
    let mut report = SoakReport::new(options);
    while report.readings.is_empty() || began.elapsed() + round / 2 < options.length {
        crowd.go();
        report.faults += trouble(&world, &mut rng, round).await?;
        report.all_delivered &= crowd.fall_silent(PATIENCE).await;
        sidecar.process_mut().check().await?;
        let reading = reading::idle(&sidecar, began.elapsed()).await?;
        progress(&reading);
        report.readings.push(reading);
    }
    report.sent = crowd.sent();
    report.renewals = world.sessions().issued() as u64;
    Ok(report)
}

/// Faults one after the other, each with a rotation of the token; how many.
async fn trouble(world: &World, rng: &mut Rng, round: Duration) -> Result<u64, SoakError> {
    let until = Instant::now() + round;
    let mut faults = 0;
    loop {
        let calm = Duration::from_secs_f64(0.2 + rng.f64() * LONGEST_CALM);
        if Instant::now() + calm >= until {
            tokio::time::sleep_until(until).await;
            return Ok(faults);
        }
        tokio::time::sleep(calm).await;
        world.rotate_token()?;
        let target = if rng.u8(..4) == 0 {
            Target::Sts
        } else {
            Target::Amp
        };
        world.faults(target).set([Fault::new(any(target, rng))]);
        faults += 1;
        tokio::time::sleep(Duration::from_secs_f64(0.1 + rng.f64())).await;
        world.faults(target).clear();
    }
}

/// A fault that a sender sees as a 5xx, or not at all.
fn any(target: Target, rng: &mut Rng) -> FaultKind {
    match (rng.u8(..9), target) {
        (0, _) => FaultKind::Hang,
        (1, _) => FaultKind::Reset,
        (2, _) => FaultKind::Close,
        (3, _) => FaultKind::Garbage("nonsense\r\n".into()),
        (4, _) => FaultKind::Delay(Duration::from_millis(rng.u64(10..800))),
        (5, _) => FaultKind::ResetOnAccept,
        (6, _) => FaultKind::answer(500, ""),
        (7, Target::Amp) => FaultKind::answer(403, EXPIRED),
        (8, Target::Amp) => FaultKind::answer(429, "Rate exceeded"),
        _ => FaultKind::answer(503, ""),
    }
}
