//! Rows about one series that is refused whenever it is sent: it is lost, and nothing else is, though its batch holds up the
//! only shard.
//!
//! An empty write distinguishes what is refused for ever from an outage, and only after a minute. So those rows last longer than
//! that in any form, and CI does not wait for them.

use super::builders::{engine, seconds};
use crate::durability::form::Form;
use crate::durability::row::{Act, LossCheck, Row, Sending};
use crate::durability::shown::Shown;
use crate::peers::source::ERROR;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;

const THROTTLED: &str = "Rate exceeded: the request was throttled, and the client has stopped after ten tries with backoff";
const EXPIRED: &str =
    "The security token included in the request is expired (Service: Sts, Status Code: 403)";
/// Longer than any other value of a label here, and shorter than those.
const VALUE_AT_MOST: usize = 60;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let words = |name, words: &'static str| {
        Row::new(
            form,
            name,
            "a label is too long and holds words of AWS, which the store quotes",
        )
        .world(|world| world.amp.limits.max_label_value_length = Some(VALUE_AT_MOST))
        .shards(1)
        .begin(Act::ShowError(words, form.fault.as_secs()))
        .lost(
            LossCheck::OfMetric(ERROR),
            "AMP can never take this series, and takes the others of its batches",
        )
        .shown(Shown::lost("label_value_too_long"))
    };
    vec![
        words("poison-words-throttled", THROTTLED),
        words("poison-words-expired", EXPIRED),
        words("vmagent-poison-words", EXPIRED).sent_by(Sending::Vmagent),
        refused_for_ever(
            form,
            "poison-451",
            "something in between answers 451 to one series, for ever",
            FaultKind::answer(451, "blocked"),
        ),
        refused_for_ever(
            form,
            "vmagent-poison-499",
            "one series is answered 499, for ever",
            engine("canceled"),
        )
        .sent_by(Sending::Vmagent),
    ]
}

fn refused_for_ever(form: &Form, name: &'static str, what: &str, answer: FaultKind) -> Row {
    let poison = Fault::new(answer).on_series(ERROR);
    Row::new(form, name, what)
        .shards(1)
        .lasting(seconds(75))
        .begin(Act::Faults(Target::Amp, vec![poison]))
        .begin(Act::ShowError("down", 1))
        .lost(
            LossCheck::OfMetric(ERROR),
            "it is always refused, while AMP accepts an empty write: only this series is dropped",
        )
        .shown(Shown::lost("poison"))
        .long()
}
