//! The senders of a row, whichever they are, seen alike.
//!
//! In: where to write to and what to scrape. Out: once they have finished, the
//! [`Samples`] that they had to send, which for each kind come from the most
//! independent witness there is: Prometheus' own database, the twin of a
//! vmagent, the record of a built-in sender.

use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::Error;
use super::fixture::Fixture;
use super::row::{Row, Sending};
use super::vmagent::Vmagent;
use crate::peers::PeerError;
use crate::peers::prometheus::{Prometheus, Setup};
use crate::peers::samples::Samples;
use crate::peers::sender::{Sender, SenderConfig};
use crate::peers::source::Source;
use crate::timestamp::millis;
use emulator::clock::Clock;
use emulator::world::World;

const LOOK_EVERY: Duration = Duration::from_millis(150);
const TWO_SCRAPES: Duration = Duration::from_secs(2);
/// Where what was sent last was dropped, only a queue that stays empty shows the end: Prometheus' reader of the
/// write-ahead log waits up to 5 s (`max_backoff`) before it offers a queue that was full the next sample.
const QUIET: Duration = Duration::from_secs(6);
/// The label that distinguishes the replicas of a pair, and that AMP drops.
const REPLICA: &str = "__replica__";
/// How often a sender of a crowd makes samples, and how long a batch waits for them.
const CROWD_INTERVAL: Duration = Duration::from_secs(2);

/// What a row's samples come from.
#[derive(Debug)]
pub(super) enum Senders {
    Prometheus {
        process: Box<Prometheus>,
        source: Source,
        /// The other one of a pair, and what its samples come from.
        other: Option<(Box<Prometheus>, Source)>,
    },
    Vmagent {
        process: Box<Vmagent>,
        source: Source,
        series: usize,
    },
    Crowd(Vec<Sender>),
}

// === impl Senders ===

impl Senders {
    pub(super) async fn start(row: &Row, fixture: &Fixture, url: &str) -> Result<Self, Error> {
        let source = || async { Source::start(row.series).await.map_err(Error::Source) };
        match row.sender {
            Sending::Prometheus => {
                let source = source().await?;
                let process = prometheus(row, fixture, url, &source, "a").await?;
                Ok(Self::Prometheus {
                    process,
                    source,
                    other: None,
                })
            }
            Sending::Vmagent => {
                let source = source().await?;
                let started =
                    Vmagent::start(&fixture.vmagent, fixture, url, source.address()).await;
                Ok(Self::Vmagent {
                    process: Box::new(started?),
                    source,
                    series: row.series,
                })
            }
            Sending::Crowd(number) => {
                let sender = |number: usize| {
                    let mut config = SenderConfig::new(url.to_owned());
                    config.series = row.series;
                    config.shards = 1;
                    config.interval = CROWD_INTERVAL;
                    config
                        .external_labels
                        .push(("sender".to_owned(), number.to_string()));
                    Sender::start(&config)
                };
                let senders = (0..number).map(sender).collect::<Result<_, _>>()?;
                Ok(Self::Crowd(senders))
            }
            Sending::BuiltIn(schema) => {
                let mut config = SenderConfig::new(url.to_owned());
                config.series = row.series;
                config.schema = schema;
                Ok(Self::Crowd(vec![Sender::start(&config)?]))
            }
        }
    }

    /// Starts the other Prometheus of a pair.
    pub(super) async fn start_replica(
        &mut self,
        row: &Row,
        fixture: &Fixture,
        url: &str,
    ) -> Result<(), Error> {
        if let Self::Prometheus { other, .. } = self {
            let source = Source::start(row.series).await.map_err(Error::Source)?;
            *other = Some((prometheus(row, fixture, url, &source, "b").await?, source));
        }
        Ok(())
    }

    /// Changes the URL of built-in senders.
    pub(super) fn write_to(&self, url: &str) -> Result<(), Error> {
        if let Self::Crowd(senders) = self {
            senders.iter().try_for_each(|sender| sender.write_to(url))?;
        }
        Ok(())
    }

    /// Has the source show an error in its next so many scrapes; a built-in sender has no source.
    pub(super) fn show_error(&self, text: &str, scrapes: u64) {
        match self {
            Self::Prometheus { source, .. } | Self::Vmagent { source, .. } => {
                source.show_error(text, scrapes);
            }
            Self::Crowd(_) => {}
        }
    }

    /// Lets them send what they have, and returns all that they had to send.
    pub(super) async fn finish(
        &mut self,
        world: &World,
        within: Duration,
    ) -> Result<Samples, Error> {
        match self {
            Self::Prometheus { process, other, .. } => {
                process.stop_scraping().await?;
                drain(process, within).await?;
                // Nothing of the other one is stored, and nothing would be missed if it were.
                drop(other.take());
                Ok(process.sent().await?.without_label(REPLICA))
            }
            Self::Vmagent {
                process,
                source,
                series,
            } => {
                let scrapes = source.scrapes();
                let sent = process.sent(world.store(), within).await?;
                // The scrape under way is allowed to be on neither side.
                let scraped = scrapes.saturating_sub(1) * *series as u64;
                if sent.len() < scraped {
                    return Err(Error::Twin {
                        scraped,
                        sent: sent.len(),
                    });
                }
                Ok(sent)
            }
            Self::Crowd(senders) => {
                let mut finishing = JoinSet::new();
                for mut sender in senders.drain(..) {
                    finishing.spawn(async move {
                        let all = sender.finish(within).await;
                        (all, sender.samples())
                    });
                }
                let mut sent = Samples::new();
                while let Some(finished) = finishing.join_next().await {
                    if let Ok((_whether_all_shows_as_missing, samples)) = finished {
                        sent.absorb(samples);
                    }
                }
                Ok(sent)
            }
        }
    }

    /// Until a scrape has reached the queue and the next one is not due. One just before SIGTERM may be lost with any hook: Prometheus
    /// stops reading its log within milliseconds.
    pub(super) async fn between_scrapes(&self) {
        let Self::Prometheus { source, .. } = self else {
            return;
        };
        let scrapes = source.scrapes();
        let deadline = Instant::now() + TWO_SCRAPES;
        while source.scrapes() == scrapes && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }

    /// SIGTERM, and what was to be sent up to then; `None` for senders that are no processes.
    pub(super) async fn leave(&mut self, within: Duration) -> Result<Option<SystemTime>, Error> {
        let Self::Prometheus { process, .. } = self else {
            return Ok(None);
        };
        let signalled_at = Clock::new().now();
        process.stop(within).await?;
        Ok(Some(signalled_at))
    }

    /// What a Prometheus that has left had to send until `signalled_at`.
    pub(super) async fn left(&mut self, signalled_at: SystemTime) -> Result<Samples, Error> {
        let Self::Prometheus { process, .. } = self else {
            return Ok(Samples::new());
        };
        process.start_again().await?;
        Ok(process.sent().await?.until(millis(signalled_at)))
    }

    /// SIGKILL, and another start on the same database.
    pub(super) async fn restart(&mut self) -> Result<(), Error> {
        if let Self::Prometheus { process, .. } = self {
            process.process_mut().kill().await?;
            process.start_again().await?;
        }
        Ok(())
    }
}

/// A Prometheus, as the replica of this name where it is one of a pair.
async fn prometheus(
    row: &Row,
    fixture: &Fixture,
    url: &str,
    source: &Source,
    replica: &str,
) -> Result<Box<Prometheus>, Error> {
    let mut setup = Setup::new(&fixture.prometheus, source.address(), url.to_owned());
    setup.remote_write = row.remote_write.clone();
    if row.is_replica {
        let label = (REPLICA.to_owned(), replica.to_owned());
        setup.external_labels.push(label);
    }
    Ok(Box::new(Prometheus::start(setup).await?))
}

/// Until nothing is left to be sent, or `within` is over: what is left then shows as missing.
async fn drain(prometheus: &Prometheus, within: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + within;
    let mut quiet_since = Instant::now();
    while Instant::now() < deadline && quiet_since.elapsed() < QUIET {
        tokio::time::sleep(LOOK_EVERY).await;
        let metrics = prometheus.metrics().await?;
        let pending = metrics.count("prometheus_remote_storage_samples_pending", &[]);
        // Both show only once they have a value: until then it is not done.
        let find = |name| metrics.find_count(name, &[]).map_err(PeerError::from);
        let newest_sent = find("prometheus_remote_storage_queue_highest_sent_timestamp_seconds")?;
        let newest = find("prometheus_remote_storage_highest_timestamp_in_seconds")?;
        if pending.map_err(PeerError::from)? > 0 {
            quiet_since = Instant::now();
        } else if newest.is_some() && newest_sent >= newest {
            break;
        }
    }
    Ok(())
}
