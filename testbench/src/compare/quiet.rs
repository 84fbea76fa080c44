//! Whether the machine was quiet: what others took of its processors.
//!
//! In: readings of `/proc`, at the beginning and at the end. Out: a [`Load`], and whether it is small enough for figures to be
//! published. What is not idle, and was taken neither by this program nor by what it started, was taken by others: processes, the
//! kernel on its own account, or the host of a virtual machine. A single look would miss a build that runs for a minute; a mean over
//! the whole run does not.

use std::fmt;
use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use super::usage::Usage;

/// The share of one core that others may take. A machine that only waits takes about one percent.
const LIMIT: f64 = 0.05;

/// What has been taken so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    at: Instant,
    cores: f64,
    /// Milliseconds that all cores together were idle.
    idle: f64,
    /// Milliseconds of this program and of what it started.
    ours: f64,
}

/// What others took of the processors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    took: Duration,
    over: Duration,
}

// === impl Reading ===

impl Reading {
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let [user, system] = Usage::of(std::process::id()).user_and_system();
        Self {
            at: Instant::now(),
            cores: stat.lines().filter(|line| is_core(line)).count() as f64,
            idle: idle_ticks(&stat) * 1000.0 / rustix::param::clock_ticks_per_second() as f64,
            ours: user + system,
        }
    }

    /// What others took since.
    pub(crate) fn until(&self, now: &Self) -> Load {
        let over = now.at - self.at;
        let busy = self.cores * over.as_secs_f64() * 1000.0 - (now.idle - self.idle);
        let others = busy - (now.ours - self.ours);
        Load {
            took: Duration::from_secs_f64(others.max(0.0) / 1000.0),
            over,
        }
    }
}

// === impl Load ===

impl Load {
    /// Of the next so many seconds.
    pub(crate) async fn over(time: Duration) -> Self {
        let before = Reading::now();
        tokio::time::sleep(time).await;
        before.until(&Reading::now())
    }

    pub(crate) fn is_quiet(self) -> bool {
        self.took.as_secs_f64() <= LIMIT * self.over.as_secs_f64()
    }

    /// An error where it is too much.
    pub(crate) fn quiet(self) -> Result<(), Error> {
        match self.is_quiet() {
            true => Ok(()),
            false => Err(Error::Busy(self.to_string())),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (took, over) = (self.took.as_secs_f64(), self.over.as_secs_f64());
        write!(
            text,
            "other processes took {took:.1} s of CPU in {over:.0} s, {:.1} % of a core (at most {:.0} %)",
            100.0 * took / over,
            100.0 * LIMIT,
        )
    }
}

/// `cpu1 …`, unlike the sum `cpu  …`.
fn is_core(line: &str) -> bool {
    let rest = line.strip_prefix("cpu");
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// Idle and waiting for a disk, of all cores: the fourth and the fifth number.
fn idle_ticks(stat: &str) -> f64 {
    let sum = stat.lines().find(|line| line.starts_with("cpu "));
    let fields = sum.unwrap_or_default().split_whitespace().skip(4).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 0 50 700 30 0 5 5 0 0\ncpu0 50 0 25 350 15 0 2 3 0 0\ncpu1 50 0 25 350 15 0 3 2 0 0\nintr 1\n";

    #[test]
    fn cores_and_idle_time_are_read() {
        let cores = STAT.lines().filter(|line| is_core(line)).count();
        assert_eq!((cores, idle_ticks(STAT)), (2, 730.0));
    }

    /// Two cores and 100 s: 200 s, of which we took 120.
    #[test]
    fn what_is_neither_idle_nor_ours_is_of_others() {
        let before = Reading {
            at: Instant::now(),
            cores: 2.0,
            idle: 1000.0,
            ours: 500.0,
        };
        let after = |idle_more: f64| Reading {
            at: before.at + Duration::from_secs(100),
            idle: before.idle + idle_more,
            ours: before.ours + 120_000.0,
            ..before
        };
        let load = |idle: f64| before.until(&after(idle));
        for (idle, quiet, words) in [
            (
                80_000.0,
                true,
                "other processes took 0.0 s of CPU in 100 s, 0.0 % of a core (at most 5 %)",
            ),
            (
                75_100.0,
                true,
                "other processes took 4.9 s of CPU in 100 s, 4.9 % of a core (at most 5 %)",
            ),
            (
                74_900.0,
                false,
                "other processes took 5.1 s of CPU in 100 s, 5.1 % of a core (at most 5 %)",
            ),
            // A build on the core that was left.
            (
                0.0,
                false,
                "other processes took 80.0 s of CPU in 100 s, 80.0 % of a core (at most 5 %)",
            ),
            // Ticks are rounded, and never are others owed anything.
            (
                80_100.0,
                true,
                "other processes took 0.0 s of CPU in 100 s, 0.0 % of a core (at most 5 %)",
            ),
        ] {
            let load = load(idle);
            assert_eq!((load.is_quiet(), load.to_string().as_str()), (quiet, words));
        }
    }

    #[tokio::test]
    async fn own_work_is_not_others() {
        let before = Reading::now();
        let started = std::time::Instant::now();
        while started.elapsed().as_millis() < 300 {
            std::hint::black_box(1);
        }
        let after = Reading::now();
        assert!(after.ours > before.ours && after.cores >= 1.0);
    }
}
