//! Credentials, admission, delivery and drain, simulated from seeds in virtual time.
//!
//! Each seed is a story of one to eighty minutes: STS and AMP fail in every way that the contract names, the token rotates well
//! and badly, the clock is set, the configuration is reloaded, senders arrive one by one or all at once and some disconnect in
//! the middle; then the sidecar drains and stops. The program is the real one (see `story`), and the invariants are checked
//! throughout (the table in `watch`).
//!
//! ```text
//! cargo nextest run -p amp-sidecar --test simulation                  the seeds of CI
//! SIMULATION=10000..30000 cargo nextest run … --no-capture            many more
//! SIMULATION=4711 cargo nextest run … --no-capture                    one, with its trace
//! ```
//!
//! `scripts/mutants` checks that it detects planted bugs.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod amp;
mod answers;
mod faults;
mod fleet;
mod metrics;
mod parts;
mod plan;
mod scenes;
mod senders;
mod story;
mod sts;
mod watch;
mod world;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use story::StoryReport;

/// The seeds of CI.
const SEEDS: Range<u64> = 0..250;
const VARIABLE: &str = "SIMULATION";
/// Stops after this many failures.
const ENOUGH: (&str, usize) = ("SIMULATION_ENOUGH", 20);

#[test]
fn the_invariants_hold_in_every_story() {
    story::record_panics();
    let value = std::env::var(VARIABLE).ok();
    let seeds = value.as_deref().map_or(SEEDS, seeds);
    let enough = std::env::var(ENOUGH.0).map_or(ENOUGH.1, |text| text.parse().unwrap());
    let only = seeds.end - seeds.start == 1;
    let sum = Mutex::new(Sum::default());
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(4) {
            scope.spawn(|| {
                while sum.lock().unwrap().failed.len() < enough {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = story::play(seed);
                    if only {
                        println!("{}", report.trace.join("\n"));
                    }
                    sum.lock().unwrap().add(seed, report);
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    println!("{sum}");
    assert!(sum.failed.is_empty(), "{}", sum.shown());
}

#[test]
fn the_same_seed_gives_the_same_story() {
    story::record_panics();
    // Threads may interleave differently within the same virtual millisecond.
    let on_one_thread = |seed: &u64| !plan::Plan::of(*seed).may_split();
    for seed in (0..).filter(on_one_thread).take(8) {
        let (first, second) = (story::play(seed), story::play(seed));
        for (n, (one, other)) in first.trace.iter().zip(&second.trace).enumerate() {
            assert_eq!(one, other, "seed {seed}, line {n}");
        }
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
    }
}

/// `7`, or `7..9`.
fn seeds(text: &str) -> Range<u64> {
    let number = |text: &str| text.trim().parse().expect("SIMULATION=FROM..TO or SEED");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(text)..number(text) + 1,
    }
}

/// Totals over all stories.
#[derive(Debug, Default)]
struct Sum {
    stories: u64,
    lasted: Duration,
    exchanges: usize,
    attempts: usize,
    stored: usize,
    answers: std::collections::BTreeMap<u16, usize>,
    slowest: Option<(Duration, u64)>,
    /// By seed: the violations and the trace.
    failed: std::collections::BTreeMap<u64, (Vec<String>, Vec<String>)>,
}

impl Sum {
    fn add(&mut self, seed: u64, report: StoryReport) {
        self.stories += 1;
        self.lasted += report.lasted;
        self.exchanges += report.exchanges;
        self.attempts += report.attempts;
        self.stored += report.stored;
        for (status, count) in report.answers {
            *self.answers.entry(status).or_default() += count;
        }
        self.slowest = self
            .slowest
            .max(report.flowed_again.map(|took| (took, seed)));
        if !report.violations.is_empty() {
            self.failed.insert(seed, (report.violations, report.trace));
        }
    }

    /// Each seed that failed, and the command to repeat it.
    fn shown(&self) -> String {
        let mut text = format!("{} of {} stories failed\n", self.failed.len(), self.stories);
        for (seed, (violations, _)) in &self.failed {
            text += &format!(
                "\nseed {seed}: {}\n  again, with its trace: {VARIABLE}={seed} cargo nextest run -p amp-sidecar --test simulation the_invariants --no-capture\n",
                violations
                    .iter()
                    .take(3)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n  ")
            );
        }
        if let Some((seed, (_, trace))) = self.failed.first_key_value() {
            let first = trace.iter().position(|line| line.contains("VIOLATED"));
            let end = first.map_or(trace.len(), |at| at + 1);
            let events = &trace[end.saturating_sub(60)..end];
            text += &format!("\nseed {seed} until then:\n{}\n", events.join("\n"));
        }
        text
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            stories,
            exchanges,
            attempts,
            stored,
            answers,
            ..
        } = self;
        let hours = self.lasted.as_secs_f64() / 3600.0;
        write!(
            f,
            "{stories} stories of {hours:.0} virtual hours: {exchanges} exchanges, {attempts} requests at AMP, {stored} stored, answers {answers:?}"
        )?;
        if let Some((took, seed)) = self.slowest {
            write!(
                f,
                "; data flowed again after {took:?} at most (seed {seed})"
            )?;
        }
        Ok(())
    }
}
