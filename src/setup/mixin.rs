//! Alerts and dashboard of `deploy/mixin`, for the manifests.
//!
//! In: where the runbooks are. Out: the rules' groups, and the dashboard's JSON on one line. They are the files of the mixin, built in, so that one
//! command prints everything that a Prometheus with the sidecar needs.

use super::template::fill;

const ALERTS: &str = include_str!("../../deploy/mixin/alerts.yaml");
const DASHBOARD: &str = include_str!("../../deploy/mixin/dashboards/amp-sidecar.json");
/// Where both look for the runbooks.
pub(super) const RUNBOOKS: &str = "https://git.example/amp-sidecar/blob/main/docs/runbooks.md";

/// The mapping `groups:` of the rules.
pub(super) fn alerts(runbooks: &str) -> String {
    let from = ALERTS.find("\ngroups:\n").map_or(0, |at| at + 1);
    ALERTS
        .get(from..)
        .unwrap_or_default()
        .replace(RUNBOOKS, runbooks)
}

/// A ConfigMap as Grafana's sidecar for dashboards finds it.
pub(super) fn dashboard(namespace: &str, runbooks: &str) -> String {
    let json: String = DASHBOARD.lines().map(str::trim_start).collect();
    fill(
        include_str!("templates/dashboard.yaml"),
        &[
            ("namespace", namespace),
            ("dashboard", &json.replace(RUNBOOKS, runbooks)),
        ],
    )
}

/// The text for a chart that reads it as a template: Grafana's legends have braces too.
pub(super) fn for_helm(text: &str) -> String {
    text.replace("{{", "{{`{{`}}")
}
