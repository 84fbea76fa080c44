//! Rows about processes that end.

use super::builders::{amp_says, message, seconds};
use crate::durability::form::Form;
use crate::durability::row::{Act, Ending, LossCheck, Row};
use crate::durability::shown::Shown;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let draining = Shown::Is("amp_sidecar_ready", 0.0, 0.0);
    let outage = Fault::new(FaultKind::answer(503, "down"));
    vec![
        Row::new(form, "sidecar-killed", "the sidecar is killed and comes back")
            .begin(Act::KillSidecar)
            .end(Act::StartSidecar)
            .shown(Shown::Restarted),
        Row::new(form, "sidecar-crashes", "the sidecar is killed and started again every other second")
            .begin(Act::CrashLoop)
            .shown(Shown::Restarted),
        Row::new(form, "sidecar-replaced", "the sidecar leaves (SIGTERM) while Prometheus writes on, another takes its place")
            .flag("--drain-timeout=3s")
            .begin(Act::StopSidecar)
            .end(Act::StartSidecar)
            .shown(Shown::Restarted),
        Row::new(form, "both-leave", "a plain second container: SIGTERM to both at once, Prometheus flushes")
            .default_queue()
            .ending(Ending::BothLeave)
            .shown(draining),
        Row::new(form, "both-leave-in-outage", "so, while AMP answers 503")
            .default_queue()
            .ending(Ending::BothLeave)
            .lasting(form.fault.min(seconds(20)))
            .faults(Target::Amp, [outage.clone()])
            .begin(Act::Wait(seconds(3)))
            .shown(draining),
        Row::new(form, "native-sidecar-leaves", "a native sidecar: SIGTERM to Prometheus, to the sidecar once it has left")
            .default_queue()
            .ending(Ending::SidecarLast)
            .shown(draining),
        Row::new(form, "native-sidecar-leaves-in-outage", "so, while AMP answers 503")
            .default_queue()
            .ending(Ending::SidecarLast)
            .lasting(form.fault.min(seconds(20)))
            .faults(Target::Amp, [outage])
            .begin(Act::Wait(seconds(3)))
            .shown(draining),
        deleted(form, "pod-deleted-in-outage", "a pod with a native sidecar is deleted while AMP answers 500, with a backlog in Prometheus' log")
            .ending(Ending::SidecarLast)
            .lost(
                LossCheck::InTheFault,
                "from SIGTERM on, Prometheus reads no further in its log: give its container the `preStop` hook",
            ),
        deleted(form, "pod-deleted-after-hook", "the same, but Prometheus gets SIGTERM once `/caught-up` has answered its `preStop` hook")
            .ending(Ending::AfterHook),
        Row::new(form, "sidecar-starts-without-sts", "the sidecar is killed and comes back before STS does")
            .begin(Act::Faults(Target::Sts, vec![Fault::new(FaultKind::Close)]))
            .begin(Act::KillSidecar)
            .begin(Act::StartSidecar)
            .end(Act::Faults(Target::Sts, Vec::new()))
            .shown(Shown::outcome("no_credentials")),
        amp_says(form, "prometheus-restarts-in-outage", "Prometheus is killed and started again while AMP refuses its token", message(403, "expired"))
            .begin(Act::Wait(form.fault / 2))
            .begin(Act::RestartSender)
            .lost(
                LossCheck::InTheFault,
                "Prometheus forgets at its start what it had not sent: keep it from restarting in an outage",
            )
            .shown(Shown::outcome("unauthenticated")),
    ]
}

/// Deleted over eleven seconds into an outage that lasts ten more. One shard with Prometheus' own settings holds seven batches of 500
/// samples by then, and over 2,000 samples are in the log alone. More shards, or the settings that `setup` prints, would hold all of it.
fn deleted(form: &Form, name: &'static str, what: &str) -> Row {
    let failing = Fault::new(FaultKind::answer(500, "upstream trouble"));
    Row::new(form, name, what)
        .series(500)
        .default_queue()
        .shards(1)
        .lasting(seconds(10))
        .faults(Target::Amp, [failing])
        .begin(Act::Wait(seconds(10)))
        .shown(Shown::outcome("amp_failing"))
}
