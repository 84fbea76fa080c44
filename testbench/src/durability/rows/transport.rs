//! Rows about connections to AMP that fail below or beside its answers.

use std::time::Duration;

use super::builders::{amp_says, seconds};
use crate::durability::form::Form;
use crate::durability::row::{Act, Row, Sending};
use crate::durability::shown::Shown;
use emulator::fault::{Fault, FaultKind};
use emulator::tcp::{Cut, Direction, Only, TcpFault, TcpFaultKind};
use emulator::world::Target;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let mut rows = connections(form);
    rows.extend(kept_connections(form));
    rows.extend(answers(form));
    rows
}

fn connections(form: &Form) -> Vec<Row> {
    let below = |name, what: &str, faults: Vec<TcpFault>, reason| {
        Row::new(form, name, what)
            .tcp(Target::Amp, faults)
            .shown(Shown::fault(reason))
    };
    let reset = || TcpFault::new(TcpFaultKind::End(Cut::Reset));
    let refused = || vec![TcpFault::new(TcpFaultKind::Refuse), reset()];
    let end = |how| TcpFault::new(TcpFaultKind::End(how));
    let mid_request = TcpFaultKind::CutAfter {
        direction: Direction::Request,
        bytes: 3000,
        how: Cut::Reset,
    };
    vec![
        below(
            "amp-refused",
            "AMP refuses connections",
            refused(),
            "connect",
        ),
        below(
            "vmagent-amp-refused",
            "AMP refuses connections",
            refused(),
            "connect",
        )
        .sent_by(Sending::Vmagent),
        below(
            "amp-syn-dropped",
            "AMP does not even refuse connections",
            vec![TcpFault::new(TcpFaultKind::Unanswered), reset()],
            "connect_timed_out",
        ),
        below(
            "amp-reset-at-accept",
            "AMP resets every connection at once",
            vec![end(Cut::Reset)],
            "tls",
        ),
        below(
            "amp-closed-at-accept",
            "AMP closes every connection at once",
            vec![end(Cut::Close)],
            "tls",
        ),
        below(
            "amp-reset-mid-request",
            "connections are reset within the request",
            vec![TcpFault::new(mid_request)],
            "broken",
        ),
        Row::new(
            form,
            "amp-black-hole",
            "all connections to AMP stand and nothing passes",
        )
        .begin(Act::Tcp(
            Target::Amp,
            vec![TcpFault::new(TcpFaultKind::Freeze)],
        ))
        // What went into a black hole never comes out of it again.
        .end(Act::Tcp(Target::Amp, vec![reset().only(Only::Standing)]))
        .shown(Shown::outcome("unreachable")),
        Row::new(
            form,
            "amp-swallowed",
            "all that is sent to AMP is acknowledged and lost",
        )
        .begin(Act::Tcp(
            Target::Amp,
            vec![TcpFault::new(TcpFaultKind::Swallow)],
        ))
        .end(Act::Tcp(Target::Amp, vec![reset().only(Only::Standing)]))
        .shown(Shown::outcome("unreachable")),
        Row::new(
            form,
            "amp-half-open",
            "the standing connections are dead and stay so, new ones are good",
        )
        .begin(Act::Tcp(
            Target::Amp,
            vec![TcpFault::new(TcpFaultKind::Freeze).only(Only::Standing)],
        ))
        .shown(Shown::fault("timed_out")),
        below(
            "amp-drip",
            "1 KiB a tenth of a second passes each way",
            vec![TcpFault::new(TcpFaultKind::Drip {
                bytes: 1024,
                every: Duration::from_millis(100),
            })],
            "",
        )
        .shown(Shown::slower("0.25")),
        below(
            "amp-far",
            "AMP is half a second away, each way",
            vec![TcpFault::new(TcpFaultKind::Delay(Duration::from_millis(
                500,
            )))],
            "",
        )
        .shown(Shown::slower("0.5")),
    ]
}

/// Once a second every kept connection is doomed.
fn kept_connections(form: &Form) -> Vec<Row> {
    let doomed = |name, what: &str, kind| {
        let every_second = (0..form.fault.as_secs()).map(|second| {
            TcpFault::new(kind)
                .after(seconds(second))
                .lasting(seconds(1))
                .only(Only::Standing)
        });
        Row::new(form, name, what)
            .tcp(Target::Amp, every_second)
            .shown(Shown::resent("stale_connection"))
    };
    let cut = |direction, how| TcpFaultKind::CutAfter {
        direction,
        bytes: 0,
        how,
    };
    vec![
        doomed(
            "kept-reset-as-request-leaves",
            "kept connections are reset as the request leaves",
            cut(Direction::Request, Cut::Reset),
        ),
        doomed(
            "kept-closed-as-request-leaves",
            "kept connections are closed as the request leaves",
            cut(Direction::Request, Cut::Close),
        ),
        doomed(
            "kept-reset-before-answer",
            "kept connections are reset once AMP has stored the batch",
            cut(Direction::Answer, Cut::Reset),
        ),
        doomed(
            "kept-half-closed",
            "kept connections are shut down by AMP while idle",
            TcpFaultKind::HalfClose(Direction::Answer),
        )
        .shown(Shown::Moved("amp_sidecar_upstream_connections_total", None)),
    ]
}

fn answers(form: &Form) -> Vec<Row> {
    let garbage = FaultKind::Garbage("SSH-2.0-OpenSSH_9.2\r\n".to_owned());
    let slow = form.slow.as_secs();
    let beyond = form.deadline + form.deadline / 5;
    vec![
        amp_says(
            form,
            "amp-reset-unanswered",
            "AMP resets instead of an answer",
            FaultKind::Reset,
        )
        .shown(Shown::fault("broken")),
        amp_says(
            form,
            "amp-closed-unanswered",
            "AMP closes instead of an answer",
            FaultKind::Close,
        )
        .shown(Shown::fault("broken")),
        Row::new(
            form,
            "amp-stores-and-resets",
            "AMP stores and resets instead of an answer",
        )
        .faults(Target::Amp, [Fault::new(FaultKind::Reset).taking_effect()])
        .shown(Shown::fault("broken")),
        amp_says(form, "amp-hangs", "AMP never answers", FaultKind::Hang)
            .shown(Shown::fault("timed_out")),
        amp_says(
            form,
            "amp-slow",
            &format!("AMP takes {slow} s"),
            FaultKind::Delay(form.slow),
        )
        .shown(Shown::slower("1.0")),
        amp_says(
            form,
            "amp-slower-than-deadline",
            "AMP stores, and answers after the sidecar's deadline",
            FaultKind::Delay(beyond),
        )
        .shown(Shown::fault("timed_out")),
        amp_says(form, "amp-garbage", "AMP answers what is no HTTP", garbage)
            .shown(Shown::fault("garbage")),
        amp_says(
            form,
            "amp-endless-503",
            "AMP's 503 never ends",
            FaultKind::EndlessBody { status: Some(503) },
        )
        .shown(Shown::outcome("amp_failing")),
        amp_says(
            form,
            "amp-endless-200",
            "AMP's 200 never ends",
            FaultKind::EndlessBody { status: None },
        )
        .shown(Shown::fault("endless")),
        amp_says(
            form,
            "amp-200-broken-body",
            "AMP stores, and its 200 breaks off in its body",
            FaultKind::BrokenBody { status: None },
        )
        .shown(Shown::fault("broken")),
        amp_says(
            form,
            "amp-200-broken-unstored",
            "something in between answers a 200 that breaks off in its body",
            FaultKind::BrokenBody { status: Some(200) },
        )
        .shown(Shown::fault("broken")),
        amp_says(
            form,
            "amp-200-head-only",
            "AMP's 200 is a head and then silence",
            FaultKind::HeaderOnly { status: None },
        )
        .shown(Shown::fault("timed_out")),
        amp_says(
            form,
            "amp-503-broken-body",
            "AMP's 503 breaks off in its body",
            FaultKind::BrokenBody { status: Some(503) },
        )
        .shown(Shown::fault("broken")),
        amp_says(
            form,
            "amp-503-head-only",
            "AMP's 503 is a head and then silence",
            FaultKind::HeaderOnly { status: Some(503) },
        )
        .shown(Shown::fault("timed_out")),
        amp_says(
            form,
            "amp-half-a-head",
            "AMP stores, and its answer breaks off within the head",
            FaultKind::ResetAfter { bytes: 20 },
        )
        .shown(Shown::outcome("unreachable")),
    ]
}
