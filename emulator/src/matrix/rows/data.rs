//! Rows about samples that AMP will never take: they are lost by design, and
//! exactly they.

use super::{amp_says, with_headers};
use crate::fault::FaultKind;
use crate::matrix::form::Form;
use crate::matrix::row::{Counted, Row, Sending, Shown};

const NEVER: &str =
    "AMP can never take these samples, and holding them back would block their whole shard";
const TENANT: &str = "user=123456789012_ws-12345678-abcd-1234-abcd-123456789012";

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let refused = |name, what: &str, status, body: String, reason| {
        amp_says(form, name, what, FaultKind::answer(status, body))
            .lost(Counted::BySidecar, NEVER)
            .shown(Shown::lost(reason))
    };
    let out_of_order = format!(
        "{TENANT}: err: out of order sample. timestamp=2025-01-01T00:00:00Z, series={{__name__=\"up\"}}"
    );
    let series_limit = format!(
        "{TENANT}: per-user series limit of 50000000 exceeded, please contact administrator to raise it (local limit: 0 \
         global limit: 50000000 actual local limit: 50000000)"
    );
    vec![
        refused(
            "amp-400-out-of-order",
            "AMP 400, out of order",
            400,
            out_of_order.clone(),
            "out_of_order",
        ),
        refused(
            "vmagent-amp-400-out-of-order",
            "AMP 400, out of order",
            400,
            out_of_order,
            "out_of_order",
        )
        .sent_by(Sending::Vmagent),
        refused(
            "amp-400-too-old",
            "AMP 400, too old",
            400,
            "timestamp too old: 1735689600000 metric: \"up\"".to_owned(),
            "too_old",
        ),
        refused(
            "amp-400-duplicate",
            "AMP 400, duplicate",
            400,
            format!(
                "{TENANT}: err: duplicate sample for timestamp. timestamp=2025-01-01T00:00:00Z, series={{__name__=\"up\"}}"
            ),
            "duplicate",
        ),
        refused(
            "amp-400-label-limit",
            "AMP 400, too many labels",
            400,
            "received a series whose number of label names exceeds the limit (actual: 151, limit: 150) series: 'up'".to_owned(),
            "label_limit",
        ),
        refused(
            "amp-400-invalid",
            "AMP 400, invalid label",
            400,
            "sample invalid label: \"a-b\" metric \"up\"".to_owned(),
            "invalid",
        ),
        refused(
            "amp-400-series-limit",
            "AMP 400, series limit",
            400,
            series_limit.clone(),
            "series_limit",
        ),
        refused(
            "amp-429-series-limit",
            "AMP 429, series limit",
            429,
            series_limit,
            "series_limit",
        ),
        refused(
            "amp-415",
            "AMP 415",
            415,
            "unsupported media type".to_owned(),
            "refused_other",
        ),
        refused(
            "amp-422",
            "AMP 422",
            422,
            "unprocessable".to_owned(),
            "refused_other",
        ),
        Row::new(
            form,
            "amp-series-limit-reached",
            "the workspace holds 150 series, 205 come",
        )
        .world(|world| world.amp.max_series = 150)
        .lost(
            Counted::ByAmp,
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
        Counted::ByAmp,
        "AMP refuses samples older than an hour, whoever sends them",
    )
    .shown(Shown::lost("too_old"))
}
