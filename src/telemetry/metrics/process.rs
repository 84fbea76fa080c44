//! The process' resources, under the names that all Prometheus client libraries use.
//!
//! In: `/proc/self`, read at each scrape. Out: `process_*`. What cannot be read is omitted, as on a system without `/proc`. A
//! crate for this would parse all of `/proc` where four lines are enough.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};

use crate::telemetry::metrics::registry::{MetricEntry, stem};

/// Reads `/proc`; caches the boot time.
#[derive(Debug)]
pub(crate) struct Process {
    booted: Option<f64>,
}

/// One sample.
struct ProcessReading {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    advice: &'static str,
    value: fn(&Seen) -> Option<f64>,
}

/// The values in `/proc`.
#[derive(Default)]
struct Seen {
    cpu_seconds: Option<f64>,
    started: Option<f64>,
    virtual_bytes: Option<f64>,
    resident_bytes: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
}

const READINGS: [ProcessReading; 6] = [
    ProcessReading {
        name: "process_cpu_seconds_total",
        kind: "counter",
        help: "Processor time of user and system",
        advice: "its rate against the CPU limit of the container",
        value: |seen| seen.cpu_seconds,
    },
    ProcessReading {
        name: "process_start_time_seconds",
        kind: "gauge",
        help: "When the process started, since the epoch",
        advice: "`changes()` of it are restarts",
        value: |seen| seen.started,
    },
    ProcessReading {
        name: "process_virtual_memory_bytes",
        kind: "gauge",
        help: "Memory that is mapped",
        advice: "seldom of use",
        value: |seen| seen.virtual_bytes,
    },
    ProcessReading {
        name: "process_resident_memory_bytes",
        kind: "gauge",
        help: "Memory that is in use",
        advice: "against the memory limit of the container",
        value: |seen| seen.resident_bytes,
    },
    ProcessReading {
        name: "process_open_fds",
        kind: "gauge",
        help: "Files and sockets that are open",
        advice: "against `process_max_fds`",
        value: |seen| seen.open_fds,
    },
    ProcessReading {
        name: "process_max_fds",
        kind: "gauge",
        help: "Files and sockets that may be open",
        advice: "raise the limit where `process_open_fds` comes near",
        value: |seen| seen.max_fds,
    },
];

// === impl Process ===

impl Default for Process {
    fn default() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted = stat.lines().find_map(|line| line.strip_prefix("btime "));
        Self {
            booted: booted.and_then(|seconds| seconds.trim().parse().ok()),
        }
    }
}

impl Process {
    pub(crate) fn entries() -> impl Iterator<Item = MetricEntry> {
        READINGS.iter().map(|reading| MetricEntry {
            name: reading.name.to_owned(),
            kind: reading.kind,
            labels: &[],
            help: reading.help.to_owned(),
            advice: reading.advice,
        })
    }

    fn look(&self) -> Seen {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The program's name, which may contain blanks, ends at the last bracket; state, field 3, follows.
        let fields: Vec<&str> = stat
            .rsplit_once(") ")
            .map(|(_, fields)| fields.split(' ').collect())
            .unwrap_or_default();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let (ticks, page) = (
            rustix::param::clock_ticks_per_second() as f64,
            rustix::param::page_size() as f64,
        );
        let cpu = field(14).zip(field(15));
        let open = std::fs::read_dir("/proc/self/fd").ok();
        Seen {
            cpu_seconds: cpu.map(|(user, system)| (user + system) / ticks),
            started: self
                .booted
                .zip(field(22))
                .map(|(booted, after)| booted + after / ticks),
            virtual_bytes: field(23),
            resident_bytes: field(24).map(|pages| pages * page),
            // Without the one that reads the folder.
            open_fds: open.map(|open| open.count().saturating_sub(1) as f64),
            max_fds: getrlimit(Resource::Nofile)
                .current
                .map(|limit| limit as f64),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let seen = self.look();
        for reading in &READINGS {
            let Some(value) = (reading.value)(&seen) else {
                continue;
            };
            let (stem, unit) = stem(reading.name);
            let kind = match reading.kind {
                "counter" => MetricType::Counter,
                _ => MetricType::Gauge,
            };
            let metric = encoder.encode_descriptor(stem, reading.help, unit.as_ref(), kind)?;
            match kind {
                MetricType::Counter => ConstCounter::new(value).encode(metric)?,
                _ => ConstGauge::new(value).encode(metric)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_seen_as_it_is() {
        let process = Process::default();
        let before = process.look();
        let held: Vec<_> = (0..10)
            .map(|_| std::fs::File::open("/proc/self/stat").unwrap())
            .collect();
        let memory = vec![1_u8; 32 << 20];
        let seen = process.look();
        // Other tests of this process open files too.
        assert!(seen.open_fds.unwrap() >= 10.0 && seen.open_fds < seen.max_fds);
        assert!(
            seen.resident_bytes.unwrap() - before.resident_bytes.unwrap() > f64::from(16 << 20)
        );
        assert!(seen.virtual_bytes > seen.resident_bytes);
        assert!(seen.cpu_seconds >= before.cpu_seconds && seen.cpu_seconds.unwrap() < 3600.0);
        #[allow(
            clippy::disallowed_methods,
            reason = "the test compares with the system's own clock"
        )]
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let age = now.as_secs_f64() - seen.started.unwrap();
        assert!((-2.0..3600.0).contains(&age), "{age}");
        drop((held, memory));
    }
}
