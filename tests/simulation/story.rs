//! One story: the whole sidecar between its simulated peers, from start to stop.
//!
//! In: a [`Plan`]. Out: the [`StoryReport`]. The program is the real one from accept to drain; only its environment is
//! simulated (see `world`). When the plan's faults are over, data must flow again; then, or during the faults, the sidecar gets
//! the signal to stop.

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
    /// Panics in the story that this thread runs; `None` if it runs none.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// The result of a story.
#[derive(Debug)]
pub struct StoryReport {
    pub trace: Vec<String>,
    pub violations: Vec<String>,
    pub lasted: Duration,
    pub exchanges: usize,
    pub attempts: usize,
    pub stored: usize,
    pub answers: BTreeMap<u16, usize>,
    /// From the end of the faults to the next stored batch.
    pub flowed_again: Option<Duration>,
    /// By number, in order of creation.
    pub batches: BTreeMap<usize, Sent>,
    /// Scraped after all batches ended; `None` if the signal to stop came during the faults.
    pub metrics: Option<Metrics>,
}

/// Records panics of this thread, which a task would swallow.
pub fn record_panics() {
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

/// Runs the story of this seed.
pub fn play(seed: u64) -> StoryReport {
    play_plan(Plan::of(seed))
}

/// Runs this story.
pub fn play_plan(plan: Plan) -> StoryReport {
    // Jitter uses this generator.
    fastrand::seed(plan.seed);
    PANICS.set(Some(Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let mut report = runtime.block_on(played(plan));
    drop(runtime);
    report.violations.extend(PANICS.take().unwrap_or_default());
    report
}

async fn played(mut plan: Plan) -> StoryReport {
    let senders = std::mem::take(&mut plan.senders);
    let events = plan.events.clone();
    let world = Arc::new(World::new(plan));
    let plan = &world.plan;

    let (gate, connections) = Gate::of(&world);
    let (admin, ask) = Gate::for_admin(&world);
    let ends = Ends(Arc::clone(&world));
    let externals = Externals {
        transport: Arc::new(ends.clone()),
        token_files: Arc::new(ends),
    };
    let app = App::between(gate, admin, externals, config(plan, 0), world.clock.clone());
    let app = app.unwrap();
    let reloader = app.reloader();
    let mut budgets = budgets(&reloader);
    let (stage, wanted) = watch::channel(Stage::Serving);
    let mut running = tokio::spawn(app.run(wanted));
    let mut sending = tokio::task::JoinSet::new();
    for (number, plan) in senders.into_iter().enumerate() {
        sending.spawn(Sender::new(&world, &connections, number, plan.elsewhere).run(plan));
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
                // The new workspace starts without memory of earlier refusals.
                world.watch().forget_blocked();
                budgets.extend(self::budgets(&reloader));
            }
            Event::Drain => {
                drained_at = Some(world.now());
                stage.send_replace(Stage::Draining);
            }
            Event::Leave => {
                world.watch().stop_now();
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
        let probe = Sender::new(&world, &connections, 999, None);
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
            Some(metrics) => check_the_counters(&world, metrics),
            None => world.violated("the metrics could not be read"),
        }
        drained_at = Some(world.now());
        world.note("report to leave");
        stage.send_replace(Stage::Draining);
    }

    let drained_at = drained_at.unwrap();
    let left = drained_at + plan.drain_timeout + GRACE + Duration::from_secs(1);
    let ended = tokio::time::timeout(left.saturating_sub(world.now()), &mut running).await;
    match ended {
        Ok(Ok(())) => world.note("stopped"),
        Ok(Err(error)) => world.violated(format_args!("the program ended badly: {error}")),
        Err(_) => world.violated("the program did not stop in time"),
    }
    check_the_stop(&world, drained_at);
    // The remaining tasks have nothing left to wait for.
    tokio::time::sleep(Duration::from_secs(1)).await;
    sending.shutdown().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    for budget in &budgets {
        let held = (budget.bytes_in_flight(), budget.requests_in_flight());
        if held != (0, 0) {
            world.violated(format_args!(
                "budget was not released: {held:?} bytes and requests"
            ));
        }
    }

    let lasted = world.now();
    let mut watch = world.watch();
    StoryReport {
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

/// The listener closes exactly when no sender has a request to make or retry, or time is up.
fn check_the_stop(world: &World, drained_at: Duration) {
    let Some(stopped) = *world.stopped.lock().unwrap() else {
        return world.violated("the listener was never closed");
    };
    let plan = &world.plan;
    let stopped_early = world.watch().is_stopping();
    let Some((open, last, last_retry)) = world.watch().activity_at_stop() else {
        return;
    };
    if stopped_early || stopped >= drained_at + plan.drain_timeout {
        return;
    }
    let quiet_since = last.max(last_retry.map_or(Duration::ZERO, |at| at + plan.drain_idle * 2));
    if open > 0 || stopped < quiet_since + plan.drain_idle {
        world.violated(format_args!(
            "stopped at {stopped:?} with {open} requests open, the last activity at {last:?}, the last retry announced at {last_retry:?}"
        ));
    }
}

/// Each part of a batch is counted once, as stored or as refused, however often the batch was sent.
fn check_the_counters(world: &World, metrics: &Metrics) {
    // Too few batches to judge an estimate of them.
    if metrics.sum("amp_sidecar_uncounted_batches_total", "") > 0 {
        return;
    }
    let (mut least, mut most) = (0, 0);
    let reload = |(_, event): &(Duration, Event)| matches!(event, Event::Reload(_));
    // After a reload, the progress of earlier batches is forgotten.
    let reloads = world
        .plan
        .events
        .iter()
        .filter(|event| reload(event))
        .count() as u64;
    for sent in world.watch().batches.values() {
        let ended = sent.ended.is_some() && world.plan.inspect.0 != "off";
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

fn budgets(reloader: &Reloader) -> Vec<Admission> {
    let routes = reloader.router().routes();
    let of = |running: &Arc<amp_sidecar::workspace::ActiveWorkspace>| running.pipeline.admission();
    routes.workspaces().iter().map(of).collect()
}

pub fn config(plan: &Plan, name: u8) -> Config {
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
        ("inspect", plan.inspect.0.to_owned()),
        ("inspect-budget", plan.inspect.1.to_owned()),
        ("max-upstream-bytes", plan.max_upstream_bytes.to_string()),
        ("drain-idle", seconds(plan.drain_idle)),
        ("drain-timeout", seconds(plan.drain_timeout)),
    ]);
    if plan.hops > 0 {
        let hops: Vec<_> = (1..=plan.hops).map(role).collect();
        flags.insert("assume-role", hops.join(" "));
    }
    let variable = |_: &str| None;
    let around = Environment::of(&variable);
    Config::read(&|setting| flags.get(setting.flag).cloned(), &around).unwrap()
}
