//! What a process and its children take, by the kernel's own accounting.
//!
//! In: a process id. Out: processor time, resident memory now and at most, from `/proc`. `stat` counts time in ticks of 10 ms, which
//! twenty batches a second take half a second to fill; `schedstat` has nanoseconds, of each thread that lives. Of a thread that runs it
//! lags by one tick of the scheduler at most.

use std::collections::BTreeMap;
use std::fs;

/// A process, with whatever it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pid: u32,
}

/// Processor time so far, in nanoseconds, by thread.
#[derive(Debug, Clone)]
pub(crate) struct CpuTime(BTreeMap<u32, f64>);

// === impl Usage ===

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Processor time so far.
    pub(crate) fn cpu(self) -> CpuTime {
        let threads = self.family().into_iter().flat_map(threads);
        let time = |(pid, thread): (u32, u32)| {
            let path = format!("/proc/{pid}/task/{thread}/schedstat");
            let text = fs::read_to_string(path).ok()?;
            Some((thread, text.split(' ').next()?.parse().ok()?))
        };
        CpuTime(threads.filter_map(time).collect())
    }

    /// Milliseconds of user and of system so far, to 10 ms; what ended children took is in it once they were waited for.
    pub(crate) fn user_and_system(self) -> [f64; 2] {
        let tick = 1000.0 / rustix::param::clock_ticks_per_second() as f64;
        let all = self.family().into_iter().map(ticks);
        let sum = all.fold([0.0; 2], |[user, system], ticks| match ticks.as_slice() {
            [own, kernel, children, kernels] => [user + own + children, system + kernel + kernels],
            _ => [user, system],
        });
        sum.map(|ticks| tick * ticks)
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
            for (pid, thread) in threads(pid) {
                let path = format!("/proc/{pid}/task/{thread}/children");
                let children = fs::read_to_string(path).unwrap_or_default();
                let children = children.split_whitespace();
                family.extend(children.filter_map(|pid| pid.parse::<u32>().ok()));
            }
        }
        family
    }
}

// === impl CpuTime ===

impl CpuTime {
    /// Milliseconds since `before`. A thread that ended meanwhile does not count: only those end that had nothing to do for seconds.
    pub(crate) fn millis_since(&self, before: &Self) -> f64 {
        let more = |(thread, time): (&u32, &f64)| time - before.0.get(thread).unwrap_or(&0.0);
        self.0.iter().map(more).sum::<f64>() / 1e6
    }
}

fn threads(pid: u32) -> Vec<(u32, u32)> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter();
    let names = entries.flatten().flatten().map(|entry| entry.file_name());
    let threads = names.filter_map(|name| name.to_str()?.parse().ok());
    threads.map(|thread| (pid, thread)).collect()
}

/// User and system of a process and of its children that ended, fields 14 to 17; what precedes the last bracket is the program's name,
/// which may hold blanks.
fn ticks(pid: u32) -> Vec<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let fields = fields.split(' ').skip(11).take(4);
    fields.filter_map(|field| field.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_are_seen() {
        let own = Usage::of(std::process::id());
        let (before, [user, system]) = (own.cpu(), own.user_and_system());
        let started = std::time::Instant::now();
        let mut sum = 0_u64;
        while started.elapsed().as_millis() < 200 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        let took = own.cpu().millis_since(&before);
        // Other tests may run beside it, and the machine may be busy; but some of it was done.
        assert!(sum > 0 && took > 10.0, "{took}");
        let [more, kernel] = own.user_and_system();
        assert!(more + kernel > user + system);
        let held = vec![1_u8; 8 << 20];
        assert!(own.resident() > 8e6 && own.peak() >= 8e6);
        drop(held);
    }

    #[test]
    fn a_thread_that_ended_takes_nothing_away() {
        let before = CpuTime([(1, 5e6), (2, 9e6)].into());
        let after = CpuTime([(1, 7e6), (3, 1e6)].into());
        assert_eq!(after.millis_since(&before), 3.0);
    }
}
