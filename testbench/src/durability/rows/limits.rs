//! Rows about limits of AMP that a whole batch is over, while its parts are within them: nothing of it needs to be lost, and a
//! retried batch continues where it stopped.

use std::time::Duration;

use crate::durability::form::Form;
use crate::durability::row::Row;
use crate::durability::shown::Shown;
use emulator::amp::{Limits, Rate};

/// Below the packed body of 500 samples, so that each batch is split.
const BODY_AT_MOST: usize = 1500;
/// Enough for 205 samples a second where a batch takes eight seconds.
const SHARDS: usize = 4;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let limited = |name, what: &str, body_at_most: usize, change: fn(&mut Limits)| {
        Row::new(form, name, what)
            .world(|world| {
                world.amp.max_request_bytes = body_at_most;
                change(&mut world.amp.limits);
            })
            .shown(Shown::Moved("amp_sidecar_splits_total", None))
    };
    let too_large = |name, what: &str, change| limited(name, what, usize::MAX, change);
    vec![
        limited(
            "amp-413",
            "AMP takes no body above 1.5 kB, and says so with 413",
            BODY_AT_MOST,
            |_| {},
        ),
        limited(
            "amp-limit-known",
            "AMP takes no body above 1.5 kB, as the sidecar knows",
            BODY_AT_MOST,
            |_| {},
        )
        .flag(format!("--max-upstream-bytes={BODY_AT_MOST}")),
        too_large(
            "amp-400-too-large-packed",
            "AMP takes no more than 3 kB, and says so with 400 and the packed size",
            |limits| limits.max_recv_msg_size = 3000,
        ),
        too_large(
            "amp-400-too-large-unpacked",
            "AMP takes no more than 20 kB unpacked, and says so with 400",
            |limits| limits.max_recv_msg_size = 20_000,
        ),
        too_large(
            "amp-500-received-too-large",
            "an ingester receives no more than 20 kB: 500 ResourceExhausted",
            |limits| limits.ingester_max_recv_msg_size = Some(20_000),
        ),
        too_large(
            "amp-500-send-too-large",
            "the distributor sends no more than 20 kB: 500 ResourceExhausted",
            |limits| limits.ingester_max_send_msg_size = Some(20_000),
        ),
        limited(
            "split-against-rate",
            "no body above 1.5 kB, and of a batch of 500 samples 400 a second",
            BODY_AT_MOST,
            |limits| limits.ingestion_rate = Some(Rate::new(400.0, 400)),
        )
        .default_queue()
        .shards(SHARDS)
        .shown(Shown::outcome("throttled")),
        limited(
            "split-against-slow-store",
            "no body above 1.5 kB, each takes 0.7 s, and the deadline is 1.6 s",
            BODY_AT_MOST,
            |limits| limits.write_delay = Duration::from_millis(700),
        )
        .default_queue()
        .shards(SHARDS)
        .deadline(Duration::from_millis(1600))
        .shown(Shown::fault("timed_out")),
    ]
}
