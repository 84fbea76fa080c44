//! The settings: whether the configuration is valid, and its main values.

use super::report::Report;
use super::step::StepOutcome;
use crate::config::{Config, InvalidConfig, SettingError};
use crate::remedies::Remedy;
use crate::remedies::first_hour::{ENTRA_SCOPE, SETTING, TOKEN_PASTED, WRITE_URL_SLASH};

/// The report of an invalid configuration: no other step can run.
#[must_use]
pub fn invalid(rejected: &InvalidConfig) -> Report {
    let mut report = Report::default();
    for fault in &rejected.errors {
        let outcome = StepOutcome::broken(fault.to_string()).remedy(mistake(fault));
        report.add("settings", outcome);
    }
    for outcome in warnings(&rejected.warnings) {
        report.add("settings", outcome);
    }
    report
}

/// Warnings, as `run` and `config` show them.
pub(super) fn warnings(warnings: &[String]) -> impl Iterator<Item = StepOutcome> {
    warnings.iter().map(StepOutcome::warning)
}

/// The outcome of a valid configuration.
pub(super) fn valid(config: &Config) -> StepOutcome {
    let workspaces: Vec<String> = config
        .workspaces
        .iter()
        .map(|workspace| {
            format!(
                "{} in {} by {}",
                workspace.id,
                workspace.region,
                workspace.identity.signer()
            )
        })
        .collect();
    let by_path = config.by_path.as_ref().map(|by_path| {
        format!(
            "workspaces that senders name, by {}",
            by_path.identity().signer()
        )
    });
    let workspaces = match by_path {
        Some(words) if workspaces.is_empty() => vec![words],
        _ => workspaces,
    };
    let proxy = config.network.proxy();
    let proxy = proxy.map(|proxy| format!("; through proxy {proxy}"));
    StepOutcome::ok(format!(
        "{}{}",
        workspaces.join("; "),
        proxy.unwrap_or_default()
    ))
}

fn mistake(fault: &SettingError) -> Remedy {
    let says = |mistake: Remedy| fault.expected.contains(mistake.symptom);
    if says(WRITE_URL_SLASH) && fault.value.ends_with('/') {
        WRITE_URL_SLASH
    } else if says(TOKEN_PASTED) {
        TOKEN_PASTED
    } else if says(ENTRA_SCOPE) {
        ENTRA_SCOPE
    } else {
        SETTING
    }
}
