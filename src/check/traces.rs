//! Whether the collector takes traces: an export of nothing.

use super::step::Outcome;
use crate::config::{Config, Tracing};
use crate::telemetry::traces::Collector;

/// Never broken: data flows without traces too.
pub(super) async fn collector(config: &Config, tracing: &Tracing) -> Outcome {
    let endpoint = &tracing.endpoint;
    let collector = match Collector::new(tracing, &config.extra_roots, &config.network) {
        Ok(collector) => collector,
        Err(error) => return Outcome::warning(error.to_string()),
    };
    match collector.probe().await {
        Ok(()) => Outcome::ok(format!("{endpoint} takes them")),
        Err(error) => Outcome::warning(format!("{endpoint}: {error}; batches flow without traces")),
    }
}
