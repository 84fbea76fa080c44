//! One story: the whole sidecar between its four ends, from its start to its end.
//!
//! In: a [`Plan`]. Out: the [`Told`] record. The program is the real one from accept to drain; only what is outside of it (see
//! `world`) is not. When the plan's faults are over, data has to flow again; then, or in the middle of the faults, the sidecar
//! is told to leave.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Once};
use std::time::Duration;

use amp_sidecar::app::reload::Reloader;
use amp_sidecar::app::{App, Stage};
use amp_sidecar::batch::admission::Admission;
use amp_sidecar::config::{Config, Environment, InvalidConfig, SettingError};
use amp_sidecar::workspace::Externals;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::plan::{Event, LARGEST_BODY, Plan, Reload, TokenChange};
use crate::senders::Sender;
use crate::watch::{FLOWS_AGAIN, GRACE, Sent};
use crate::world::{Ends, Gate, REGION, WORKSPACE, World, role};

thread_local! {
    /// What panicked in the story that this thread plays; none where it plays none.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What came of a story.
#[derive(Debug)]
pub struct Told {
    pub trace: Vec<String>,
    pub violations: Vec<String>,
    pub lasted: Duration,
    pub exchanges: usize,
    pub attempts: usize,
    pub stored: usize,
    pub answers: BTreeMap<u16, usize>,
    /// From the end of the faults to a stored batch.
    pub flowed_again: Option<Duration>,
    /// By number, in the order in which they were made.
    pub batches: BTreeMap<usize, Sent>,
    /// When all batches had their end; of a story that is told to leave in the middle there are none.
    pub metrics: Option<Metrics>,
}

/// Tells of panics of this thread, which a task would swallow.
pub fn hear_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let outside = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let in_a_story = PANICS.with_borrow_mut(|panics| {
                let panics = panics.as_mut()?;
                panics.push(panic.to_string());
                Some(())
            });
            if in_a_story.is_none() {
                outside(panic);
            }
        }));
    });
}

/// Plays the story of this seed.
pub fn play(seed: u64) -> Told {
    play_plan(Plan::of(seed))
}

/// Plays this story.
pub fn play_plan(plan: Plan) -> Told {
    // Jitter is drawn from here.
    fastrand::seed(plan.seed);
    PANICS.set(Some(Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let mut told = runtime.block_on(played(plan));
    drop(runtime);
    told.violations.extend(PANICS.take().unwrap_or_default());
    told
}

async fn played(mut plan: Plan) -> Told {
    let senders = std::mem::take(&mut plan.senders);
    let events = plan.events.clone();
    let world = Arc::new(World::new(plan));
    let plan = &world.plan;

    let (gate, come) = Gate::of(&world);
    let (admin, ask) = Gate::for_admin(&world);
    let ends = Ends(Arc::clone(&world));
    let externals = Externals {
        transport: Arc::new(ends.clone()),
        token_files: Arc::new(ends),
    };
    let app = App::between(gate, admin, externals, config(plan, 0), world.clock.clone());
    let app = app.unwrap();
    let reloader = app.reloader();
    let mut rooms = rooms(&reloader);
    let (stage, wanted) = watch::channel(Stage::Serving);
    let mut running = tokio::spawn(app.run(wanted));
    let mut sending = tokio::task::JoinSet::new();
    for (number, plan) in senders.into_iter().enumerate() {
        sending.spawn(Sender::new(&world, &come, number, plan.elsewhere).run(plan));
    }

    let mut drained_at = None;
    for (at, event) in events {
        tokio::time::sleep(at.saturating_sub(world.now())).await;
        world.note(format_args!("{event:?}"));
        match event {
            Event::Token(change) => {
                world.change_token(change);
                world.watch().another_token();
            }
            Event::NewKey => world.new_key(),
            Event::Clock(millis) => world.clock.set_by_millis(millis),
            Event::Revoke => world.sessions.revoke_all(),
            Event::Reload(reload) => {
                let read = match reload {
                    Reload::Same => Ok(config(plan, 0)),
                    Reload::OtherName(n) => Ok(config(plan, n + 1)),
                    Reload::Rejected => Err(InvalidConfig {
                        errors: vec![SettingError {
                            setting: "--region".to_owned(),
                            value: String::new(),
                            expected: "a region".to_owned(),
                        }],
                        warnings: Vec::new(),
                    }),
                };
                let rejected = read.is_err();
                if reloader.reload(read).is_err() != rejected {
                    world.violated("a reload went the wrong way");
                }
                // Another workspace begins with an empty memory.
                world.watch().forgets();
                rooms.extend(self::rooms(&reloader));
            }
            Event::Drain => {
                drained_at = Some(world.now());
                stage.send_replace(Stage::Draining);
            }
            Event::Leave => {
                world.watch().leave_now();
                stage.send_replace(Stage::Stopping);
            }
        }
    }

    let mut flowed_again = None;
    let mut metrics = None;
    if !plan.leaves_early {
        tokio::time::sleep(plan.chaos.saturating_sub(world.now())).await;
        world.calm();
        let fit = world.file.lock().unwrap().bytes.clone().unwrap_or_default();
        if world.judge(&String::from_utf8_lossy(&fit)).is_some() {
            world.change_token(TokenChange::Rotated);
            world.watch().another_token();
        }
        world.note("the faults are over");
        let probe = Sender::new(&world, &come, 999, None);
        flowed_again = tokio::time::timeout(FLOWS_AGAIN, probe.probe())
            .await
            .ok()
            .flatten();
        if flowed_again.is_none() {
            world.violated(format_args!(
                "no data flowed within {FLOWS_AGAIN:?} of the last fault"
            ));
        }
        let most = plan.longest_pause * 2 + FLOWS_AGAIN;
        let all = async { while sending.join_next().await.is_some() {} };
        if tokio::time::timeout(most, all).await.is_err() {
            world.violated(format_args!(
                "batches are left {most:?} after the last fault"
            ));
        }
        metrics = Metrics::read(&ask).await;
        match &metrics {
            Some(metrics) => check_the_counts(&world, metrics),
            None => world.violated("the metrics could not be read"),
        }
        drained_at = Some(world.now());
        world.note("told to leave");
        stage.send_replace(Stage::Draining);
    }

    let drained_at = drained_at.unwrap();
    let left = drained_at + plan.drain_timeout + GRACE + Duration::from_secs(1);
    let leaving = tokio::time::timeout(left.saturating_sub(world.now()), &mut running).await;
    match leaving {
        Ok(Ok(())) => world.note("stopped"),
        Ok(Err(error)) => world.violated(format_args!("the program ended badly: {error}")),
        Err(_) => world.violated("the program did not leave in time"),
    }
    check_the_leave(&world, drained_at);
    // Whoever still waits has nobody to wait for.
    tokio::time::sleep(Duration::from_secs(1)).await;
    sending.shutdown().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    for room in &rooms {
        let held = (room.bytes_in_flight(), room.requests_in_flight());
        if held != (0, 0) {
            world.violated(format_args!(
                "room was not given back: {held:?} bytes and requests"
            ));
        }
    }

    let lasted = world.now();
    let mut watch = world.watch();
    Told {
        trace: std::mem::take(&mut watch.trace),
        violations: std::mem::take(&mut watch.violations),
        lasted,
        exchanges: watch.exchanges,
        attempts: watch.attempts,
        stored: watch.stored,
        answers: std::mem::take(&mut watch.answers),
        flowed_again,
        batches: std::mem::take(&mut watch.batches),
        metrics,
    }
}

/// The listener closes once no more requests from senders, or time is up, and not before.
fn check_the_leave(world: &World, drained_at: Duration) {
    let Some(stopped) = *world.stopped.lock().unwrap() else {
        return world.violated("the listener was never closed");
    };
    let plan = &world.plan;
    let told_twice = world.watch().leaving_now();
    let Some((open, last, come_again)) = world.watch().at_the_stop() else {
        return;
    };
    if told_twice || stopped >= drained_at + plan.drain_timeout {
        return;
    }
    let quiet_since = last.max(come_again.map_or(Duration::ZERO, |at| at + plan.drain_idle * 2));
    if open > 0 || stopped < quiet_since + plan.drain_idle {
        world.violated(format_args!(
            "left at {stopped:?} with {open} requests open, the last of them at {last:?}, one that comes again at {come_again:?}"
        ));
    }
}

/// Each part of a batch is counted once, as stored or as refused, however often the batch came.
fn check_the_counts(world: &World, metrics: &Metrics) {
    let (mut least, mut most) = (0, 0);
    let reload = |(_, event): &(Duration, Event)| matches!(event, Event::Reload(_));
    // Another configuration knows nothing of what the one before had begun.
    let reloads = world
        .plan
        .events
        .iter()
        .filter(|event| reload(event))
        .count() as u64;
    for sent in world.watch().batches.values() {
        let ended = sent.ended.is_some() && world.plan.inspect;
        least += if ended { sent.samples } else { 0 };
        most += sent.samples * (sent.whole + reloads);
    }
    let counted = metrics.forwarded() + metrics.refused("");
    if counted < least || counted > most {
        world.violated(format_args!(
            "{counted} samples are counted as stored or refused, and {least} to {most} are"
        ));
    }
}

fn rooms(reloader: &Reloader) -> Vec<Admission> {
    let routes = reloader.router().routes();
    let of = |running: &Arc<amp_sidecar::workspace::ActiveWorkspace>| {
        running.pipeline.admission().clone()
    };
    routes.workspaces().iter().map(of).collect()
}

fn config(plan: &Plan, name: u8) -> Config {
    let seconds = |duration: Duration| format!("{}ms", duration.as_millis());
    let mut flags = HashMap::from([
        ("region", REGION.to_owned()),
        ("role-arn", role(0)),
        ("workspace-id", WORKSPACE.to_owned()),
        ("web-identity-token-file", "/token".to_owned()),
        ("role-session-name", format!("pod-{name}")),
        ("session-duration", seconds(plan.session)),
        ("upstream-timeout", seconds(plan.upstream_timeout)),
        ("max-inflight-bytes", plan.budget.to_string()),
        ("max-body-bytes", LARGEST_BODY.to_string()),
        (
            "inspect",
            if plan.inspect { "on" } else { "off" }.to_owned(),
        ),
        ("max-upstream-bytes", plan.max_upstream_bytes.to_string()),
        ("drain-idle", seconds(plan.drain_idle)),
        ("drain-timeout", seconds(plan.drain_timeout)),
    ]);
    if plan.hops > 0 {
        let hops: Vec<_> = (1..=plan.hops).map(role).collect();
        flags.insert("assume-role", hops.join(" "));
    }
    let around = Environment {
        env: &|_| None,
        variables: Vec::new(),
        memory_limit: None,
        pod_namespace: None,
        stdout_is_terminal: false,
    };
    Config::read(&|setting| flags.get(setting.flag).cloned(), &around).unwrap()
}
