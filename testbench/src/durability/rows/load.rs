//! Rows about many senders, and about more than the sidecar has room for.

use std::time::Duration;

use super::builders::{amp_says, seconds};
use crate::durability::form::Form;
use crate::durability::row::{Act, Row, Sending};
use crate::durability::shown::Shown;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let crowd = form.crowd;
    // A body has 30 s, which the short form does not wait for.
    let dribbled = if form.fault > seconds(30) {
        "slow_sender"
    } else {
        "sender_gone"
    };
    vec![
        amp_says(
            form,
            "many-senders",
            &format!("{crowd} senders at once, AMP 503"),
            FaultKind::answer(503, "down"),
        )
        .sent_by(Sending::Crowd(crowd))
        .series(5)
        .shown(Shown::outcome("amp_failing")),
        Row::new(
            form,
            "no-room",
            "50 senders, room for 64 KiB in flight, AMP takes half a second",
        )
        .sent_by(Sending::Crowd(50))
        .flag("--max-inflight-bytes=64KiB")
        .flag("--max-body-bytes=64KiB")
        .faults(
            Target::Amp,
            [Fault::new(FaultKind::Delay(Duration::from_millis(500)))],
        )
        .shown(Shown::outcome("overloaded")),
        Row::new(
            form,
            "dribblers",
            "1000 connections promise 100 kB each and send a byte a second",
        )
        .begin(Act::Dribble(1000))
        .end(Act::Dribble(0))
        .shown(Shown::outcome(dribbled)),
    ]
}
