//! Rows about what senders do: the version that they write, pairs of them, and where they write to.
//!
//! Where a real Prometheus' URL is repaired it begins with a new queue, so that the rows about wrong URLs have a built-in
//! sender, which goes on with the batch that was not taken.

use crate::durability::form::Form;
use crate::durability::row::{Act, Row, SendTarget, Sending};
use crate::durability::shown::Shown;
use crate::peers::sender::Schema;
use emulator::amp::{HaTracker, RemoteWrite2};

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let version_2 = |name, what: &str, exemplars, how| {
        Row::new(form, name, what)
            .sent_by(Sending::BuiltIn(Schema::V2 { exemplars }))
            .world(|world| world.amp.limits.remote_write_2 = how)
    };
    let writes_to = |name, what: &str, place, outcome| {
        Row::new(form, name, what)
            .sent_by(Sending::BuiltIn(Schema::V1))
            .begin(Act::SendTo(place))
            .end(Act::SendTo(SendTarget::Right))
            .shown(Shown::outcome(outcome))
    };
    vec![
        writes_to(
            "wrong-path",
            "a sender writes to a path with a letter missing, until its URL is repaired",
            SendTarget::Misspelled,
            "misdirected",
        ),
        writes_to(
            "wrong-port",
            "a sender writes to the port of metrics and probes, until its URL is repaired",
            SendTarget::AdminPort,
            "misdirected",
        ),
        writes_to(
            "slash-at-the-end",
            "a sender writes to a path with a slash at its end",
            SendTarget::WithSlash,
            "stored",
        ),
        version_2(
            "v2-healthy",
            "nothing; remote write 2.0",
            false,
            RemoteWrite2::Accepted,
        ),
        version_2(
            "v2-answered-415",
            "remote write 2.0, and AMP takes 1.0 alone: 415",
            false,
            RemoteWrite2::Rejected,
        )
        .shown(Shown::answered("415")),
        version_2(
            "v2-read-as-v1",
            "remote write 2.0, and AMP reads it as an empty 1.0: 200, nothing stored",
            false,
            RemoteWrite2::Misread,
        ),
        version_2(
            "v2-exemplars-alone",
            "remote write 2.0 with series of exemplars alone, which AMP refuses whole",
            true,
            RemoteWrite2::Accepted,
        )
        .shown(Shown::answered("400")),
        Row::new(
            form,
            "pair-of-replicas",
            "the second of a highly available pair starts to write; AMP takes the first",
        )
        .world(|world| world.amp.limits.ha_tracker = Some(HaTracker::default()))
        .replica()
        .begin(Act::StartReplica)
        .shown(Shown::outcome("deduplicated")),
    ]
}
