//! Rows about what AMP answers where it does not answer 2xx.

use super::builders::{amp_says, message, with_headers};
use crate::durability::form::Form;
use crate::durability::row::{Act, Row, Sending};
use crate::durability::shown::Shown;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let mut rows = vec![
        amp_says(
            form,
            "amp-404",
            "AMP 404, no such workspace",
            with_headers(404, &[], "{\"Message\":\"Workspace not found\"}"),
        )
        .shown(Shown::outcome("workspace_not_found")),
        unexpected(form, "amp-405", 405),
        unexpected(form, "amp-408", 408),
        unexpected(form, "amp-409", 409),
        unexpected(form, "amp-101", 101),
        unexpected(form, "amp-304", 304),
    ];
    rows.extend(
        [
            ("amp-301", 301),
            ("amp-302", 302),
            ("amp-303", 303),
            ("amp-307", 307),
            ("amp-308", 308),
        ]
        .map(|(name, status)| redirect(form, name, status)),
    );
    rows.push(redirect(form, "vmagent-amp-302", 302).sent_by(Sending::Vmagent));
    rows.extend([
        amp_says(
            form,
            "amp-429-rate",
            "AMP 429, rate exceeded",
            message(429, "Rate exceeded"),
        )
        .shown(Shown::outcome("throttled")),
        amp_says(
            form,
            "amp-429-ingestion-rate",
            "AMP 429, ingestion rate, Retry-After 90",
            with_headers(
                429,
                &[("retry-after", "90")],
                "ingestion rate limit (70000) exceeded while adding 500 samples and 0 metadata",
            ),
        )
        .shown(Shown::outcome("throttled")),
        failing(form, "amp-500", 500),
        failing(form, "amp-502", 502),
        failing(form, "amp-503", 503),
        failing(form, "amp-504", 504),
        retry_after(form, "amp-503-retry-after-90"),
        retry_after(form, "vmagent-amp-503-retry-after-90").sent_by(Sending::Vmagent),
        amp_says(
            form,
            "amp-507",
            "AMP 507",
            FaultKind::answer(507, "Insufficient Storage"),
        )
        .shown(Shown::outcome("unexpected")),
    ]);
    rows
}

fn unexpected(form: &Form, name: &'static str, status: u16) -> Row {
    amp_says(
        form,
        name,
        &format!("AMP {status}"),
        FaultKind::answer(status, ""),
    )
    .shown(Shown::outcome("unexpected"))
}

fn redirect(form: &Form, name: &'static str, status: u16) -> Row {
    Row::new(
        form,
        name,
        format!("AMP {status}, to where a GET is answered 200"),
    )
    .begin(Act::Redirect(status))
    .end(Act::Faults(Target::Amp, Vec::new()))
    .shown(Shown::outcome("unexpected"))
}

fn failing(form: &Form, name: &'static str, status: u16) -> Row {
    amp_says(
        form,
        name,
        &format!("AMP {status}"),
        FaultKind::answer(status, "upstream trouble"),
    )
    .shown(Shown::outcome("amp_failing"))
}

fn retry_after(form: &Form, name: &'static str) -> Row {
    let answer = with_headers(503, &[("retry-after", "90")], "come back later");
    Row::new(form, name, "AMP 503 with Retry-After 90")
        .faults(Target::Amp, [Fault::new(answer)])
        .shown(Shown::outcome("amp_failing"))
}
