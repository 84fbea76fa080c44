//! What a process and its children take, by the kernel's own accounting.
//!
//! In: a process id. Out: processor time of user and system, resident memory now and at most, from `/proc`. The kernel
//! counts time in ticks of 10 ms, so a reading is good to a percent over a second of work and no better.

use std::fs;

/// A process, with whatever it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pid: u32,
}

// === impl Usage ===

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Processor time so far, in milliseconds.
    pub(crate) fn cpu_millis(self) -> f64 {
        let ticks: f64 = self.family().into_iter().map(ticks).sum();
        1000.0 * ticks / rustix::param::clock_ticks_per_second() as f64
    }

    /// Resident memory now, in bytes.
    pub(crate) fn resident(self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most resident memory since [`Usage::forget_peak`], in bytes.
    pub(crate) fn peak(self) -> f64 {
        self.status("VmHWM:")
    }

    /// Counts the peak from now on.
    pub(crate) fn forget_peak(self) {
        for pid in self.family() {
            // Where that is not allowed the peak is one since the start, and no smaller.
            let _written = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    fn status(self, name: &str) -> f64 {
        let of = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        1024.0 * self.family().into_iter().filter_map(of).sum::<f64>()
    }

    fn family(self) -> Vec<u32> {
        let mut family = vec![self.pid];
        let mut next = 0;
        while let Some(pid) = family.get(next).copied() {
            next += 1;
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        family
    }
}

/// User and system, fields 14 and 15; what precedes the last bracket is the program's name, which may hold blanks.
fn ticks(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let fields = fields.split(' ').skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_are_seen() {
        let own = Usage::of(std::process::id());
        let before = own.cpu_millis();
        let started = std::time::Instant::now();
        let mut sum = 0_u64;
        while started.elapsed().as_millis() < 200 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        assert!(sum > 0 && own.cpu_millis() > before);
        let held = vec![1_u8; 8 << 20];
        assert!(own.resident() > 8e6 && own.peak() >= 8e6);
        drop(held);
    }
}
