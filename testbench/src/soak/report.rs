//! The result, as a table, and what of it is not as promised.
//!
//! Flat is judged by the slope over the readings after the first third, in which pools and the allocator find their size: what
//! grows at that rate from the first of them to the last must be within a margin. The slope is the median of those between any two
//! readings (Theil and Sen), since the least squares of a few follow the one that is out of line, and a comparison of two
//! values does nothing else. A leak of a kilobyte a batch is far above the margin after a minute, one of a byte after hours.

use std::fmt::{self, Display, Formatter};

use super::crowd::CrowdStats;
use super::options::Options;
use super::reading::ProcessReading;

/// What must not grow.
struct Watched {
    what: &'static str,
    of: fn(&ProcessReading) -> u64,
    /// What of growth is none: so much, and so much of what there was.
    margin: (f64, f64),
}

/// A connection may just be made or read; threads of tokio for what blocks end after ten idle seconds.
const WATCHED: [Watched; 5] = [
    Watched {
        what: "resident KiB",
        of: |one| one.resident,
        margin: (2560.0, 0.02),
    },
    Watched {
        what: "anonymous KiB",
        of: |one| one.anonymous,
        margin: (2560.0, 0.02),
    },
    Watched {
        what: "descriptors",
        of: |one| one.descriptors,
        margin: (2.0, 0.0),
    },
    Watched {
        what: "threads",
        of: |one| one.threads,
        margin: (2.0, 0.0),
    },
    Watched {
        what: "tasks",
        of: |one| one.tasks,
        margin: (2.0, 0.0),
    },
];
/// Fewer have no slope that means anything.
const LEAST_READINGS: usize = 3;

/// How one thing went on after the first third.
struct Growth {
    /// The middle of what was read.
    middle: f64,
    /// By the slope, from the first reading to the last.
    by: f64,
    /// The slope.
    an_hour: f64,
}

/// The result of a soak test.
#[derive(Debug)]
pub struct SoakReport {
    /// After each round.
    pub readings: Vec<ProcessReading>,
    /// Results of batches.
    pub sent: CrowdStats,
    /// Whether each batch was delivered while nothing went wrong any more.
    pub all_delivered: bool,
    /// Faults that were played, each with a rotation of the token.
    pub faults: u64,
    /// Sessions that STS gave.
    pub renewals: u64,
    senders: usize,
    seed: u64,
}

// === impl SoakReport ===

impl SoakReport {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            readings: Vec::new(),
            sent: CrowdStats::default(),
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
        let CrowdStats {
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
                "{missing} batches were answered with 2xx and are not stored, {lost} were refused for good"
            ));
        }
        if !self.all_delivered {
            broken.push("a batch was not delivered though nothing was wrong any more".to_owned());
        }
        if self.faults == 0 || self.renewals < 2 {
            broken.push("nothing went wrong, so nothing is shown".to_owned());
        }
        for reading in &self.readings {
            let ProcessReading {
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
        if self.settled().len() < LEAST_READINGS {
            broken.push("too short to see whether anything grows".to_owned());
        }
        broken.extend(WATCHED.iter().filter_map(|watched| {
            let Growth { middle, by, .. } = self.growth(watched)?;
            let (most, part) = watched.margin;
            let what = watched.what;
            (by > most + part * middle).then(|| format!("{what} grew by {by:.0} to {middle:.0}"))
        }));
        broken
    }

    /// The readings that are judged.
    fn settled(&self) -> &[ProcessReading] {
        let third = self.readings.len() / 3;
        self.readings.get(third..).unwrap_or_default()
    }

    fn growth(&self, watched: &Watched) -> Option<Growth> {
        let settled = self.settled();
        let point = |one: &ProcessReading| (one.at.as_secs_f64(), (watched.of)(one) as f64);
        let mut slopes = Vec::new();
        for (n, one) in settled.iter().enumerate() {
            let (at, value) = point(one);
            slopes.extend(settled.iter().skip(n + 1).map(|later| {
                let (then, became) = point(later);
                (became - value) / (then - at).max(0.001)
            }));
        }
        let slope = middle(slopes)?;
        let span = settled.last()?.at.saturating_sub(settled.first()?.at);
        Some(Growth {
            middle: middle(settled.iter().map(|one| point(one).1).collect())?,
            by: slope * span.as_secs_f64(),
            an_hour: slope * 3600.0,
        })
    }
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl Display for SoakReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| s | resident KiB | anonymous KiB | descriptors | to AMP | threads | tasks | in flight |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for reading in &self.readings {
            writeln!(f, "{reading}")?;
        }
        let CrowdStats {
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
        write!(f, "after the first third, by the slope, an hour:")?;
        for watched in &WATCHED {
            if let Some(growth) = self.growth(watched) {
                write!(f, " {:+.1} {},", growth.an_hour, watched.what)?;
            }
        }
        writeln!(f)?;
        match self.broken_promises().as_slice() {
            [] => write!(f, "all as promised"),
            broken => write!(f, "not as promised: {}", broken.join("; ")),
        }
    }
}

impl Display for ProcessReading {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            resident,
            anonymous,
            descriptors,
            upstream,
            threads,
            tasks,
            in_flight,
            ..
        } = self;
        let at = self.at.as_secs();
        write!(
            f,
            "| {at} | {resident} | {anonymous} | {descriptors} | {upstream} | {threads} | {tasks} | {in_flight} |"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::sidecar::Program;
    use std::time::Duration;

    /// A reading a minute.
    fn report(residents: &[u64]) -> SoakReport {
        let options = Options {
            program: Program::Command(String::new()),
            length: Duration::ZERO,
            senders: 1,
            seed: 1,
        };
        let readings = (0..).zip(residents).map(|(n, &resident)| ProcessReading {
            at: Duration::from_secs(60 * n),
            resident,
            anonymous: 1,
            descriptors: 10,
            upstream: 0,
            threads: 3,
            tasks: 9,
            in_flight: 0,
            bytes: 0,
            connections: 0,
        });
        SoakReport {
            readings: readings.collect(),
            sent: CrowdStats {
                stored: 1,
                ..CrowdStats::default()
            },
            faults: 1,
            renewals: 2,
            ..SoakReport::new(&options)
        }
    }

    #[test]
    fn what_grows_is_found_by_its_slope() {
        let flat = |residents: &[u64]| report(residents).broken_promises();
        // It finds its size, and then stays there, but for one reading that is out of line.
        let found = [
            9_000, 20_000, 30_000, 30_500, 29_900, 30_400, 39_000, 30_100, 30_600,
        ];
        assert_eq!(flat(&found), Vec::<String>::new());
        // No two neighbours are further apart than in the one before.
        let leaking: Vec<u64> = (0..60).map(|n| 30_000 + n * 100 + n % 3 * 400).collect();
        let broken = flat(&leaking);
        assert!(
            broken.len() == 1 && broken[0].starts_with("resident KiB grew by 39"),
            "{broken:?}"
        );
        assert_eq!(flat(&[1, 1]), ["too short to see whether anything grows"]);
    }

    #[test]
    fn what_leaks_or_loses_is_reported() {
        let mut losing = report(&[1; 9]);
        losing.sent.missing = 1;
        losing.all_delivered = false;
        for (n, reading) in (0..).zip(&mut losing.readings) {
            reading.descriptors += n;
            reading.threads += n / 2;
            reading.tasks += n;
        }
        if let Some(reading) = losing.readings.last_mut() {
            reading.connections = 1;
        }
        let broken = losing.broken_promises();
        assert_eq!(broken.len(), 6, "{broken:?}");
    }
}
