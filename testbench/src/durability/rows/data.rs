//! Rows about samples that AMP will never take: they are lost by design, and
//! exactly they.

use super::builders::{amp_says, engine, with_headers};
use crate::durability::form::Form;
use crate::durability::row::{LossCheck, Row, Sending};
use crate::durability::shown::Shown;
use emulator::fault::FaultKind;

const NEVER: &str =
    "AMP can never take these samples, and holding them back would block their whole shard";

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let refused = |name, what: &str, answer, reason| {
        amp_says(form, name, what, answer)
            .lost(LossCheck::BySidecar, NEVER)
            .shown(Shown::lost(reason))
    };
    let of_store = |status, text: &str| FaultKind::plain_text(status, format!("{text}\n"));
    let series_limit = "per-user series limit of 50000000 exceeded, please contact administrator to raise it (local limit: 0 \
                        global limit: 50000000 actual local limit: 50000000)";
    vec![
        refused(
            "amp-400-out-of-order",
            "AMP 400, out of order",
            engine("ooo-window-0"),
            "out_of_order",
        ),
        refused(
            "vmagent-amp-400-out-of-order",
            "AMP 400, out of order",
            engine("ooo-window-0"),
            "out_of_order",
        )
        .sent_by(Sending::Vmagent),
        refused(
            "amp-400-too-old",
            "AMP 400, too old",
            engine("reject-old-samples"),
            "too_old",
        ),
        refused(
            "amp-400-too-new",
            "AMP 400, too new",
            engine("future"),
            "too_new",
        ),
        refused(
            "amp-400-duplicate",
            "AMP 400, duplicate",
            engine("duplicate-other-value"),
            "duplicate",
        ),
        refused(
            "amp-400-label-limit",
            "AMP 400, too many labels",
            engine("too-many-labels"),
            "too_many_labels",
        ),
        refused(
            "amp-400-invalid",
            "AMP 400, invalid label",
            engine("invalid-label-name"),
            "invalid_label",
        ),
        refused(
            "amp-400-series-limit",
            "AMP 400, series limit",
            engine("series-per-user"),
            "series_limit",
        ),
        refused(
            "amp-429-series-limit",
            "AMP 429, series limit",
            of_store(429, series_limit),
            "series_limit",
        ),
        refused(
            "amp-415",
            "AMP 415",
            engine("content-type-json"),
            "refused_other",
        ),
        refused(
            "amp-422",
            "AMP 422",
            of_store(422, "unprocessable"),
            "refused_other",
        ),
        Row::new(
            form,
            "amp-series-limit-reached",
            "the workspace holds 150 series, 205 come",
        )
        .world(|world| world.amp.max_series = 150)
        .lost(
            LossCheck::ByAmp,
            "AMP takes no new series above the workspace's limit; those within it are kept",
        )
        .shown(Shown::lost("series_limit")),
        outage_longer_than_amp_takes(form),
    ]
}

/// AMP's hour, made as short as half of the outage.
fn outage_longer_than_amp_takes(form: &Form) -> Row {
    let half = form.fault / 2;
    let down = with_headers(503, &[], "down");
    amp_says(
        form,
        "outage-beyond-an-hour",
        "an outage twice as long as AMP takes old samples (an hour, here less)",
        down,
    )
    .world(move |world| world.amp.max_sample_age = half)
    .lost(
        LossCheck::ByAmp,
        "AMP refuses samples older than an hour, from every sender",
    )
    .shown(Shown::lost("too_old"))
}
