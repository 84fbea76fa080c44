//! Who sends: a real Prometheus with something to scrape, or the built-in sender.
//!
//! Both answer the same three questions: how it goes, what they had to send in all, and whether anything is still on its
//! way. A Prometheus answers them from its own metrics and database.

use std::path::Path;
use std::time::Duration;

use super::error::DemoError;
use super::options::SenderChoice;
use crate::peers::PeerError;
use crate::peers::prometheus::{Installed, Prometheus, Setup};
use crate::peers::samples::Samples;
use crate::peers::sender::{Sender, SenderConfig};
use crate::peers::source::Source;

/// So that even the shortest fault meets some batches.
const INTERVAL: Duration = Duration::from_millis(500);
const BATCH_DEADLINE: Duration = Duration::from_millis(100);

/// The sender, whichever it is.
#[derive(Debug)]
pub(super) struct Traffic {
    sender: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Prometheus {
        prometheus: Box<Prometheus>,
        _source: Source,
    },
    BuiltIn(Sender),
}

/// What a sender counts by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    pub(super) made: u64,
    pub(super) lost: u64,
    pub(super) pending: u64,
}

// === impl Traffic ===

impl Traffic {
    pub(super) async fn start(
        choice: &SenderChoice,
        series: usize,
        url: String,
    ) -> Result<Self, DemoError> {
        let installed = match choice {
            SenderChoice::BuiltIn => None,
            SenderChoice::Any => Installed::find(None).await?,
            SenderChoice::Prometheus(path) => Installed::find(Some(path)).await?,
        };
        match installed {
            Some(installed) => Self::real(&installed, series, url).await,
            None => Self::built_in(series, url),
        }
    }

    /// `Prometheus 2.42.0` or `built-in sender`.
    pub(super) fn sender(&self) -> &str {
        &self.sender
    }

    pub(super) async fn look(&mut self) -> Result<Flow, DemoError> {
        match &mut self.kind {
            Kind::Prometheus { prometheus, .. } => {
                prometheus.process_mut().check().await?;
                let metrics = prometheus.metrics().await?;
                let count = |name| metrics.count(name, &[]).map_err(PeerError::from);
                // 3.x counts what is dropped by reason, which shows with the first drop.
                let dropped = metrics
                    .find_count("prometheus_remote_storage_samples_dropped_total", &[])
                    .map_err(PeerError::from)?;
                let failed = count("prometheus_remote_storage_samples_failed_total")?;
                Ok(Flow {
                    made: count("prometheus_remote_storage_samples_in_total")?,
                    lost: failed + dropped.unwrap_or(0),
                    pending: count("prometheus_remote_storage_samples_pending")?,
                })
            }
            Kind::BuiltIn(sender) => {
                let sent = sender.sent();
                Ok(Flow {
                    made: sent.made,
                    lost: sent.lost,
                    pending: sent.pending(),
                })
            }
        }
    }

    /// Makes nothing new from now on; what there is goes on being sent.
    pub(super) async fn stop_making(&self) -> Result<(), DemoError> {
        match &self.kind {
            Kind::Prometheus { prometheus, .. } => prometheus.stop_scraping().await?,
            Kind::BuiltIn(sender) => sender.stop_making(),
        }
        Ok(())
    }

    /// All that it had to send.
    pub(super) async fn samples(&self) -> Result<Samples, DemoError> {
        match &self.kind {
            Kind::Prometheus { prometheus, .. } => Ok(prometheus.sent().await?),
            Kind::BuiltIn(sender) => Ok(sender.samples()),
        }
    }

    pub(super) async fn end(&mut self, within: Duration) -> Result<(), DemoError> {
        match &mut self.kind {
            Kind::Prometheus { prometheus, .. } => {
                prometheus.stop(within).await?;
            }
            Kind::BuiltIn(sender) => {
                sender.finish(Duration::ZERO).await;
            }
        }
        Ok(())
    }

    async fn real(installed: &Installed, series: usize, url: String) -> Result<Self, DemoError> {
        let source = Source::start(series).await.map_err(DemoError::Source)?;
        let program: &Path = &installed.program;
        let setup = Setup::new(program, source.address(), url);
        Ok(Self {
            sender: format!("Prometheus {}", installed.version),
            kind: Kind::Prometheus {
                prometheus: Box::new(Prometheus::start(setup).await?),
                _source: source,
            },
        })
    }

    fn built_in(series: usize, url: String) -> Result<Self, DemoError> {
        let config = SenderConfig {
            series,
            interval: INTERVAL,
            batch_deadline: BATCH_DEADLINE,
            ..SenderConfig::new(url)
        };
        Ok(Self {
            sender: "built-in sender".to_owned(),
            kind: Kind::BuiltIn(Sender::start(&config)?),
        })
    }
}
