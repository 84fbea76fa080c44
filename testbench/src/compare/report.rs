//! The results of a comparison: tables for people, numbers for programs.
//!
//! In: everything that was measured. Out: Markdown for a README, JSON, and by [`super::plot`] a picture. A number is a median, with
//! the least and the most of the rounds behind it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::bodies::Body;
use super::goals::{Goal, goals};
use super::measurements::{Measurements, Table};
use super::plot;
use super::proxies::COUNTING;
use super::results::{Results, median};

const MB: f64 = 1e6;

// === impl Results ===

impl Results {
    /// Whether every goal is met.
    #[must_use]
    pub fn is_good(&self) -> bool {
        goals(self).iter().all(Goal::is_met)
    }

    /// All tables.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        self.goal_table(&mut text);
        self.cpu_table(&mut text);
        self.latency_table(&mut text);
        self.growth_tables(&mut text);
        text
    }

    /// Every number.
    #[must_use]
    pub fn json(&self) -> String {
        let goals: Vec<Value> = goals(self)
            .iter()
            .map(|goal| {
                json!({ "what": goal.what, "bound": goal.bound, "measured": goal.measured,
                    "unit": goal.unit.trim(), "met": goal.is_met() })
            })
            .collect();
        let memory: BTreeMap<_, _> = self
            .memory
            .iter()
            .map(|(name, [idle, peak])| (name, json!({ "idle": idle, "peak": peak })))
            .collect();
        let value = json!({
            "rounds": self.options.rounds,
            "window_seconds": self.options.window.as_secs_f64(),
            "goals": goals,
            "signs": self.signs,
            "cpu_ms_a_batch": numbers(&self.cpu),
            "cpu_ms_a_batch_by_connections": numbers(&self.by_connections),
            "cpu_ms_a_batch_by_samples": numbers(&self.by_size),
            "latency_ms": numbers(&self.latency),
            "memory_bytes": memory,
            "crowd_peak_bytes": self.crowd,
            "start_ms": number(&self.start_up),
            "binary_bytes": self.binary,
        });
        format!("{value:#}\n")
    }

    /// A picture of what a batch costs.
    #[must_use]
    pub fn svg(&self) -> String {
        let bars = |body: &Body| {
            let cost = |name: &String| (name.clone(), median(&self.cpu, name, &body.name));
            let costs = self.waits.keys().map(cost);
            let mut bars: Vec<_> = costs.filter(|(_, cost)| cost.is_finite()).collect();
            bars.sort_by(|(_, one), (_, other)| one.total_cmp(other));
            (body.title(), bars)
        };
        let groups: Vec<_> = self.bodies.iter().map(bars).collect();
        plot::bars(
            "CPU milliseconds a batch, user and system: less is better",
            &groups,
            &self.signs,
        )
    }

    fn goal_table(&self, text: &mut String) {
        push(text, "| measure | goal | measured | |\n|---|---|---|---|\n");
        for goal in goals(self) {
            let (what, unit, outcome) = (&goal.what, goal.unit, goal.outcome());
            let (bound, measured) = (goal.bound, goal.measured);
            push(
                text,
                &format!("| {what} | ≤ {bound}{unit} | {measured:.2}{unit} | {outcome} |\n"),
            );
        }
    }

    fn cpu_table(&self, text: &mut String) {
        push(
            text,
            "\nCPU milliseconds a batch, user and system: median (least to most)\n\n| |",
        );
        for body in &self.bodies {
            push(text, &format!(" {} |", body.title()));
        }
        push(text, " memory idle, MB | peak, 8 senders of 1 MB |\n|---|");
        push(text, &"---|".repeat(self.bodies.len() + 2));
        push(text, "\n");
        let mut names: Vec<_> = self.waits.keys().collect();
        let order = |name: &&String| {
            self.bodies
                .first()
                .map(|body| median(&self.cpu, name, &body.name))
        };
        names.sort_by(|one, other| {
            order(one)
                .partial_cmp(&order(other))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        for name in names {
            push(text, &format!("| {} |", self.title(name)));
            for body in &self.bodies {
                push(text, &format!(" {} |", cell(&self.cpu, name, &body.name)));
            }
            let [idle, peak] = self.memory.get(name).copied().unwrap_or([f64::NAN; 2]);
            push(text, &format!(" {:.1} | {:.1} |\n", idle / MB, peak / MB));
        }
    }

    /// `Envoy, signing`
    fn title(&self, name: &str) -> String {
        let signs = self.signs.get(name).copied().unwrap_or(false);
        let waits = self.waits.get(name).copied().unwrap_or(true);
        let signs = if signs { "signing" } else { "*unsigned*" };
        let waits = if waits {
            ""
        } else {
            ", answers before it forwards"
        };
        format!("{name}, {signs}{waits}")
    }

    fn latency_table(&self, text: &mut String) {
        push(
            text,
            "\nMilliseconds from a batch's moment to its answer, 100 a second: median (least to most)\n\n",
        );
        push(
            text,
            "| | p50 | added | p99 | added |\n|---|---|---|---|---|\n",
        );
        let names: std::collections::BTreeSet<_> =
            self.latency.keys().map(|(name, _)| name).collect();
        for name in names {
            let of = |key| (cell(&self.latency, name, key), self.added(name, key));
            let ((p50, more50), (p99, more99)) = (of("p50"), of("p99"));
            push(
                text,
                &format!("| {name} | {p50} | {more50:.2} | {p99} | {more99:.2} |\n"),
            );
        }
    }

    fn growth_tables(&self, text: &mut String) {
        push(
            text,
            "\nCPU milliseconds a batch as the work grows\n\n| connections, 2,000 samples |",
        );
        let connections = ["1", "2", "4", "8", "16", "32", "64"];
        push(
            text,
            &connections.map(|number| format!(" {number} |")).concat(),
        );
        push(
            text,
            &format!(
                "\n|---|{}\n| amp-sidecar |",
                "---|".repeat(connections.len())
            ),
        );
        for number in connections {
            push(
                text,
                &format!(" {} |", cell(&self.by_connections, COUNTING, number)),
            );
        }
        push(text, "\n\n| samples, 8 connections |");
        for body in &self.sizes {
            push(text, &format!(" {} |", body.title()));
        }
        push(
            text,
            &format!("\n|---|{}\n", "---|".repeat(self.sizes.len())),
        );
        for name in [COUNTING, super::OFF] {
            push(text, &format!("| {name} |"));
            for body in &self.sizes {
                push(
                    text,
                    &format!(" {} |", cell(&self.by_size, name, &body.name)),
                );
            }
            push(text, "\n");
        }
        let (least, most) = self.start_up.spread();
        push(
            text,
            &format!(
                "\nStart to listening: {:.1} ms ({least:.1} to {most:.1}); peak of 1000 senders at once: {:.1} MB; binary: {:.2} MB.\n",
                self.start_up.median(),
                self.crowd / MB,
                self.binary / MB,
            ),
        );
    }
}

fn cell(table: &Table, proxy: &str, key: &str) -> String {
    match table.get(&(proxy.to_owned(), key.to_owned())) {
        Some(samples) => {
            let (least, most) = samples.spread();
            format!("{:.3} ({least:.3}–{most:.3})", samples.median())
        }
        None => "–".to_owned(),
    }
}

fn numbers(table: &Table) -> Value {
    let mut all = BTreeMap::<&String, BTreeMap<&String, Value>>::new();
    for ((proxy, key), samples) in table {
        all.entry(proxy).or_default().insert(key, number(samples));
    }
    json!(all)
}

fn number(samples: &Measurements) -> Value {
    let (least, most) = samples.spread();
    json!({ "median": samples.median(), "least": least, "most": most })
}

/// Writing into a string cannot fail.
fn push(text: &mut String, more: &str) {
    let _written = text.write_str(more);
}
