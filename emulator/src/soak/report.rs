//! What came of it, as a table, and what of it is not as promised.
//!
//! Flat means: the most of the last half of the readings is no more than the most of the first half and a margin, which is for
//! what an allocator and a pool do from one round to the next. A leak of a kilobyte a batch is far above it after a minute.

use std::fmt::{self, Display, Formatter};

use super::crowd::Sent;
use super::{Options, Reading};

/// Of what it was, and KiB.
const MEMORY: (f64, u64) = (0.1, 2048);
/// A connection that is just being made, or read.
const DESCRIPTORS: u64 = 8;
/// Of tokio, for what blocks; they end after ten idle seconds.
const THREADS: u64 = 4;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// After each round.
    pub readings: Vec<Reading>,
    /// What became of batches.
    pub sent: Sent,
    /// Whether each batch was delivered while nothing went wrong any more.
    pub all_delivered: bool,
    /// Faults that were played, each with a rotation of the token.
    pub faults: u64,
    /// Sessions that STS gave.
    pub renewals: u64,
    senders: usize,
    seed: u64,
}

// === impl Report ===

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            readings: Vec::new(),
            sent: Sent::default(),
            all_delivered: true,
            faults: 0,
            renewals: 0,
            senders: options.senders,
            seed: options.seed,
        }
    }

    /// Each in words; none where all is as promised.
    #[must_use]
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let Sent {
            stored,
            missing,
            lost,
            ..
        } = self.sent;
        if stored == 0 {
            broken.push("nothing was stored at all".to_owned());
        }
        if missing + lost > 0 {
            broken.push(format!(
                "{missing} batches were said to be stored and are not, {lost} were refused for good"
            ));
        }
        if !self.all_delivered {
            broken.push("a batch was not delivered though nothing was wrong any more".to_owned());
        }
        if self.faults == 0 || self.renewals < 2 {
            broken.push("nothing went wrong, so nothing is shown".to_owned());
        }
        for reading in &self.readings {
            let Reading {
                at,
                in_flight,
                bytes,
                connections,
                ..
            } = reading;
            if in_flight + bytes + connections > 0 {
                broken.push(format!("at {} s it was idle and held {in_flight} requests, {bytes} bytes and {connections} connections", at.as_secs()));
            }
        }
        let memory = |before: u64| before + MEMORY.1 + (before as f64 * MEMORY.0) as u64;
        broken.extend(self.grown("resident KiB", |one| one.resident, memory));
        broken.extend(self.grown("anonymous KiB", |one| one.anonymous, memory));
        broken.extend(self.grown(
            "descriptors",
            |one| one.descriptors,
            |before| before + DESCRIPTORS,
        ));
        broken.extend(self.grown("threads", |one| one.threads, |before| before + THREADS));
        broken
    }

    fn grown(
        &self,
        what: &str,
        of: fn(&Reading) -> u64,
        most: impl Fn(u64) -> u64,
    ) -> Option<String> {
        let (first, last) = self.readings.split_at(self.readings.len().div_ceil(2));
        let before = first.iter().map(of).max()?;
        let after = last.iter().map(of).max()?;
        (after > most(before)).then(|| format!("{what} grew from {before} to {after}"))
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| s | resident KiB | anonymous KiB | descriptors | to AMP | threads | in flight |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for reading in &self.readings {
            writeln!(f, "{reading}")?;
        }
        let Sent {
            stored,
            missing,
            lost,
            retries,
            connections,
        } = self.sent;
        writeln!(
            f,
            "\n{} senders, {connections} connections, {stored} batches stored, {missing} missing, {lost} lost, {retries} sent again; {} faults, {} sessions; seed {}",
            self.senders, self.faults, self.renewals, self.seed
        )?;
        match self.broken_promises().as_slice() {
            [] => write!(f, "all as promised"),
            broken => write!(f, "not as promised: {}", broken.join("; ")),
        }
    }
}

impl Display for Reading {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            resident,
            anonymous,
            descriptors,
            upstream,
            threads,
            in_flight,
            ..
        } = self;
        let at = self.at.as_secs();
        write!(
            f,
            "| {at} | {resident} | {anonymous} | {descriptors} | {upstream} | {threads} | {in_flight} |"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::sidecar::Program;
    use std::time::Duration;

    fn report(residents: &[u64]) -> Report {
        let options = Options {
            program: Program::Command(String::new()),
            length: Duration::ZERO,
            senders: 1,
            seed: 1,
        };
        let readings = residents.iter().map(|&resident| Reading {
            at: Duration::ZERO,
            resident,
            anonymous: 1,
            descriptors: 10,
            upstream: 0,
            threads: 3,
            in_flight: 0,
            bytes: 0,
            connections: 0,
        });
        Report {
            readings: readings.collect(),
            sent: Sent {
                stored: 1,
                ..Sent::default()
            },
            faults: 1,
            renewals: 2,
            ..Report::new(&options)
        }
    }

    #[test]
    fn what_grows_leaks_or_loses_is_told() {
        assert!(
            report(&[20_000, 21_000, 20_500, 21_500])
                .broken_promises()
                .is_empty()
        );
        assert_eq!(
            report(&[20_000, 20_000, 20_000, 30_000])
                .broken_promises()
                .len(),
            1
        );
        let mut losing = report(&[1, 1]);
        losing.sent.missing = 1;
        losing.all_delivered = false;
        if let Some(reading) = losing.readings.last_mut() {
            reading.connections = 1;
            reading.descriptors = 100;
            reading.threads = 30;
        }
        assert_eq!(losing.broken_promises().len(), 5);
    }
}
