//! A fleet: many Prometheuses, some gateways without state, an outage of AMP, and the flood after it.
//!
//! The outage leaves each sender a backlog, and AMP takes little more than what is made meanwhile, as a quota does. It must all be
//! stored, before any of it is an hour old, and as fast as the quota allows: refused requests must not crowd out stored ones.
//!
//! ```text
//! SIMULATION_FLEET=1000 cargo nextest run -p amp-sidecar --test simulation fleet --no-capture
//! ```

use std::sync::Arc;
use std::time::Duration;

use amp_sidecar::app::{App, Stage};
use amp_sidecar::workspace::Externals;
use emulator::amp::Rate;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::faults::AmpFault;
use crate::plan::{BatchPlan, Plan, SenderPlan, Window};
use crate::senders::Sender;
use crate::story::config;
use crate::world::{Ends, Gate, World};

/// The senders in CI, and the variable for more.
const SENDERS: usize = 16;
const VARIABLE: &str = "SIMULATION_FLEET";
const GATEWAYS: usize = 6;
/// Each sender has a batch of so many samples at this interval.
const SAMPLES: usize = 2;
const SCRAPE: Duration = Duration::from_secs(15);
const BEFORE: Duration = Duration::from_secs(120);
const OUTAGE: Duration = Duration::from_secs(1200);
/// Regular data that comes after the outage.
const AFTER: Duration = Duration::from_secs(1500);
/// How many times what is made the quota allows.
const QUOTA: f64 = 2.0;
const TOO_OLD: Duration = Duration::from_secs(3600);

#[test]
fn a_fleet_catches_up_at_the_pace_of_its_quota() {
    let senders = std::env::var(VARIABLE).map_or(SENDERS, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    fastrand::seed(1);
    runtime.block_on(play(senders));
}

async fn play(senders: usize) {
    let world = Arc::new(World::new(plan(senders)));
    world.watch().is_terse = true;
    let stages = watch::channel(Stage::Serving).0;
    let mut gateways = JoinSet::new();
    let gateway_connections: Vec<_> = (0..GATEWAYS)
        .map(|_| {
            let (gate, connections) = Gate::of(&world);
            let (admin, _) = Gate::for_admin(&world);
            let ends = Ends(Arc::clone(&world));
            let externals = Externals {
                transport: Arc::new(ends.clone()),
                token_files: Arc::new(ends),
            };
            let config = config(&world.plan, 0);
            let app = App::between(gate, admin, externals, config, world.clock.clone()).unwrap();
            gateways.spawn(app.run(stages.subscribe()));
            connections
        })
        .collect();

    let mut sending = JoinSet::new();
    for number in 0..senders {
        let connections = &gateway_connections[number % GATEWAYS];
        // Some of them share an address, as behind a proxy.
        let elsewhere = u8::try_from(number % 250).ok();
        let sender = Sender::new(&world, connections, number, elsewhere);
        let batches = (0..).map(|n| due(number, n));
        let batches = batches.take_while(|at| *at < BEFORE + OUTAGE + AFTER);
        let batches = batches.map(|at| BatchPlan::at(at, SAMPLES)).collect();
        sending.spawn(sender.run(SenderPlan { elsewhere, batches }));
    }
    while let Some(ended) = sending.join_next().await {
        ended.unwrap();
    }

    let (caught_up, oldest) = report(&world, senders);
    stages.send_replace(Stage::Stopping);
    gateways.shutdown().await;
    // What the outage left over, at what the quota leaves over beside new data.
    let least = OUTAGE.mul_f64(1.0 / (QUOTA - 1.0));
    assert!(
        caught_up < least.mul_f64(1.15),
        "{caught_up:?}, and {least:?} is possible"
    );
    assert!(
        oldest < TOO_OLD,
        "a sample was {oldest:?} old when it was stored"
    );
}

fn plan(senders: usize) -> Plan {
    let made = (senders * SAMPLES) as f64 / SCRAPE.as_secs_f64();
    let mut plan = Plan::quiet(BEFORE + OUTAGE + AFTER);
    plan.limits.ingestion_rate = Some(Rate::new(made * QUOTA, (made * QUOTA) as u64 + 10));
    plan.budget = 64 << 20;
    plan.amp.push(Window {
        from: BEFORE,
        to: BEFORE + OUTAGE,
        fault: AmpFault::Status(503, None),
    });
    plan
}

/// When a sender's batch is due; they do not all scrape at once.
fn due(sender: usize, batch: u32) -> Duration {
    let offset = SCRAPE.mul_f64((sender as f64 * 0.618).fract());
    Duration::from_secs(5) + offset + SCRAPE * batch
}

/// How long after the outage no sender had a backlog any more, and the age of the oldest sample as it was stored.
fn report(world: &World, senders: usize) -> (Duration, Duration) {
    let watch = world.watch();
    assert_eq!(watch.violations, Vec::<String>::new());
    let mut of_sender = vec![0; senders];
    let (mut oldest, mut caught_up) = (Duration::ZERO, Duration::ZERO);
    let (mut stored, mut responses) = (0, 0);
    for sent in watch.batches.values() {
        let due = due(sent.sender, of_sender[sent.sender]);
        of_sender[sent.sender] += 1;
        let ended = sent.ended.expect("every batch ends");
        assert_eq!(
            sent.responses.last().map(|(status, _)| *status),
            Some(200),
            "{sent:?}"
        );
        stored += sent.samples;
        responses += sent.tries;
        oldest = oldest.max(ended - due);
        if ended - due > SCRAPE {
            caught_up = caught_up.max(ended.saturating_sub(BEFORE + OUTAGE));
        }
    }
    println!(
        "{senders} senders, {GATEWAYS} gateways: {stored} samples stored, none lost; caught up {:.0} s after the outage of {} s; \
         the oldest sample was {:.0} s old; {responses} requests of senders, {} of them stored, {} requests to AMP",
        caught_up.as_secs_f64(),
        OUTAGE.as_secs(),
        oldest.as_secs_f64(),
        watch.batches.len(),
        watch.attempts,
    );
    (caught_up, oldest)
}
