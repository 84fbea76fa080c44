//! Whether the collector accepts traces: an export without spans.

use super::step::StepOutcome;
use crate::config::{Config, Tracing};
use crate::telemetry::traces::Collector;

/// Never broken: data flows without traces too.
pub(super) async fn collector(config: &Config, tracing: &Tracing) -> StepOutcome {
    let endpoint = &tracing.endpoint;
    let collector = match Collector::new(tracing, &config.extra_roots, &config.network) {
        Ok(collector) => collector,
        Err(error) => return StepOutcome::warning(error.to_string()),
    };
    match collector.probe().await {
        Ok(()) => StepOutcome::ok(format!("{endpoint} accepts them")),
        Err(error) => {
            StepOutcome::warning(format!("{endpoint}: {error}; batches are not affected"))
        }
    }
}
