//! The log of the process: format, level, and the errors that end it before it serves.
//!
//! What ends it is a log line like any other, since in a pod nobody reads anything else; only with the text format is it what people on a terminal
//! expect: a list on stderr.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{InvalidConfig, Log, LogFormat};
use crate::telemetry::logfmt::Logfmt;

/// Starts the log. Only our own lines go below warnings: libraries at trace would log the data that they carry.
pub fn init(config: Log) {
    let ours = LevelFilter::from_level(config.level);
    let theirs = ours.min(LevelFilter::WARN);
    let filter = Targets::new()
        .with_default(theirs)
        .with_target("amp_sidecar", ours);
    let lines = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Json => lines.with(fmt::layer().json().flatten_event(true)).init(),
        LogFormat::Logfmt => lines.with(fmt::layer().event_format(Logfmt)).init(),
        LogFormat::Text => lines.with(fmt::layer()).init(),
    }
}

/// Reports every error of a configuration.
pub fn invalid_configuration(config: Log, invalid: &InvalidConfig) {
    if config.format == LogFormat::Text {
        eprintln!("amp-sidecar: the configuration is invalid\n{invalid}");
        return;
    }
    init(config);
    for error in &invalid.errors {
        let value = Some(&error.value).filter(|value| !value.is_empty());
        let (setting, expected) = (&error.setting, &error.expected);
        tracing::error!(setting, value, expected, "invalid configuration");
    }
    for warning in &invalid.warnings {
        tracing::warn!(reason = warning, "configuration warning");
    }
}

/// Reports a command line that cannot be parsed; `usage` is the text for people.
pub fn invalid_arguments(config: Log, usage: &str) {
    init(config);
    // What begins with the usage is for somebody who types.
    let (error, _) = usage.split_once("\n\nUsage:").unwrap_or((usage, ""));
    let paragraphs = error
        .split("\n\n")
        .map(|text| text.split_whitespace().collect::<Vec<_>>());
    let paragraphs: Vec<String> = paragraphs.map(|words| words.join(" ")).collect();
    let reason = paragraphs.join("; ");
    let reason = reason.trim_start_matches("error: ");
    tracing::error!(reason, "invalid arguments");
}
