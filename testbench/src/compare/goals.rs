//! What was to be reached, and whether it was.
//!
//! In: a [`Results`]. Out: [`Goal`]s: a measure, its bound, what was measured, and so whether it is met or short by how much. All
//! but sizes and times of amp-sidecar alone are ratios of medians of one run, since nothing else carries over to another machine.

use super::bodies::{LARGE, SMALL};
use super::measurements::Measurements;
use super::options::CROWD_BUDGET;
use super::pace;
use super::proxies::{COUNTING, COUNTING_ALL, ENVOY, ENVOY_GATEWAY, GATEWAY, HAPROXY, OFF};
use super::results::{Results, median};

const MIB: f64 = 1_048_576.0;

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub(crate) what: String,
    /// At most this.
    pub(crate) bound: f64,
    pub(crate) measured: f64,
    pub(crate) unit: &'static str,
}

/// All of them.
#[derive(Debug, Default)]
struct Goals(Vec<Goal>);

// === impl Goal ===

impl Goal {
    pub(crate) fn is_met(&self) -> bool {
        self.measured <= self.bound
    }

    /// `pass`, or `short by 12 %`
    pub(crate) fn outcome(&self) -> String {
        if self.is_met() {
            "pass".to_owned()
        } else {
            format!(
                "short by {:.0} %",
                100.0 * (self.measured / self.bound - 1.0)
            )
        }
    }
}

// === impl Goals ===

impl Goals {
    fn add(&mut self, what: String, bound: f64, measured: f64, unit: &'static str) {
        self.0.push(Goal {
            what,
            bound,
            measured,
            unit,
        });
    }
}

/// Which goals there are, with what was measured.
pub(crate) fn goals(report: &Results) -> Vec<Goal> {
    let mut goals = Goals::default();
    let against = |ours: &str, other: &str, key: &str| {
        median(&report.cpu, ours, key) / median(&report.cpu, other, key)
    };
    for (ours, other, words, bounds) in [
        (
            COUNTING,
            ENVOY,
            "default settings, CPU against Envoy's signing",
            [0.65, 0.75, 0.85, 0.95],
        ),
        (
            OFF,
            HAPROXY,
            "`--inspect off`, CPU against HAProxy forwarding unsigned",
            [1.2, 1.35, 1.2, 1.25],
        ),
    ] {
        for (name, bound) in [SMALL, LARGE, "2000", "10000"].into_iter().zip(bounds) {
            let Some(body) = report.bodies.iter().find(|body| body.name == name) else {
                continue;
            };
            let what = format!("{words}: {}", body.title());
            goals.add(what, bound, against(ours, other, name), "");
        }
    }
    if !report.options.only.is_empty() {
        goals.0.retain(|goal| goal.measured.is_finite());
        return goals.0;
    }
    for (body, rate) in report.paced() {
        let key = pace::key(body, rate);
        let cost = |name| median(&report.pace.cpu, name, &key);
        for (name, words) in [
            (COUNTING, "default settings"),
            (COUNTING_ALL, "`--inspect on`, every batch counted"),
        ] {
            let what = format!(
                "{words}, CPU against Envoy's signing at {rate} batches/s: {}",
                body.title()
            );
            goals.add(what, 1.0, cost(name) / cost(ENVOY), "");
        }
    }
    let gateway = |name| median(&report.gateways, name, LARGE);
    goals.add(
        "gateway with TLS and bearer token from 64 senders, CPU against Envoy's".to_owned(),
        0.8,
        gateway(GATEWAY) / gateway(ENVOY_GATEWAY),
        "",
    );
    for name in [COUNTING, GATEWAY] {
        goals.add(
            format!(
                "{name}: CPU a batch of two worker threads against one (1.11: 1.8 times the capacity)"
            ),
            1.11,
            report.sharing(name),
            "",
        );
    }
    let [idle, peak] = report
        .memory
        .get(COUNTING)
        .copied()
        .unwrap_or([f64::NAN; 2]);
    let [_, envoy] = report.memory.get(ENVOY).copied().unwrap_or([f64::NAN; 2]);
    goals.add(
        "peak memory, 8 senders of 1 MB bodies, against Envoy".to_owned(),
        0.3,
        peak / envoy,
        "",
    );
    let [crowd, left] = report.crowd;
    goals.add("resident memory, idle".to_owned(), 7.0, idle / MIB, " MiB");
    goals.add(
        format!("peak memory, 1000 senders at once, `--max-inflight-bytes {CROWD_BUDGET}MiB`"),
        f64::from(CROWD_BUDGET) + 12.0,
        crowd / MIB,
        " MiB",
    );
    goals.add(
        format!(
            "resident memory {} s after they left",
            report.options.calm.as_secs()
        ),
        f64::from(CROWD_BUDGET),
        left / MIB,
        " MiB",
    );
    for key in ["p50", "p99"] {
        let what = format!("added latency at 100 batches/s, {key}, against HAProxy's");
        goals.add(
            what,
            1.2,
            report.added(COUNTING, key) / report.added(HAPROXY, key),
            "",
        );
    }
    goals.add(
        "binary, stripped".to_owned(),
        8.5,
        report.binary / MIB,
        " MiB",
    );
    goals.add(
        "start to listening".to_owned(),
        5.0,
        report.start_up.median(),
        " ms",
    );
    goals.add(
        "cost of a byte, bodies of 10,000 samples against 2,000 (linear: 1)".to_owned(),
        1.15,
        report.growth(),
        "",
    );
    goals.add(
        "CPU a batch, 64 connections against the median of 1 to 64 (flat: 1)".to_owned(),
        1.15,
        flatness(report),
        "",
    );
    goals.0
}

fn flatness(report: &Results) -> f64 {
    let mut medians: Vec<f64> = report
        .by_connections
        .values()
        .map(Measurements::median)
        .collect();
    medians.sort_by(f64::total_cmp);
    let middle = medians.get(medians.len() / 2).copied().unwrap_or(f64::NAN);
    median(&report.by_connections, COUNTING, "64") / middle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_met() {
        let goal = |measured| Goal {
            what: String::new(),
            bound: 1.0,
            measured,
            unit: "",
        };
        assert!(goal(1.0).is_met() && !goal(f64::NAN).is_met());
        assert_eq!(goal(1.1).outcome(), "short by 10 %");
    }
}
