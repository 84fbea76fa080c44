//! The results of a comparison: tables for people, numbers for programs.
//!
//! In: everything that was measured. Out: Markdown for a README, JSON, and by [`super::plot`] a picture. A number is a median, with
//! the least and the most of the rounds behind it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::bodies::{Body, LARGE};
use super::gateway::THREADS;
use super::goals::{Goal, goals};
use super::grid::{cell, grid};
use super::measurements::{Measurements, Table};
use super::pace;
use super::plot::{self, Group};
use super::proxies::{COUNTING, ENVOY_GATEWAY, FLOOR, GATEWAY};
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
        let mut text = self.goal_table() + &self.cpu_table();
        if self.options.only.is_empty() {
            text += &self.pace_table();
            text += &self.gateway_tables();
            text += &self.latency_table();
            text += &self.growth_tables();
            text += &self.last_line();
        }
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
        let [crowd, left] = self.crowd;
        let value = json!({
            "rounds": self.options.rounds,
            "window_seconds": self.options.window.as_secs_f64(),
            "goals": goals,
            "signs": self.signs,
            "cpu_ms_a_batch": numbers(&self.cpu),
            "cpu_ms_a_batch_at_rates": numbers(&self.pace.cpu),
            "counting_ms_a_batch_at_rates": numbers(&self.pace.counting),
            "estimated_batches_of_all_at_rates": self.pace.estimated,
            "cpu_ms_a_batch_of_gateways": numbers(&self.gateways),
            "worker_threads": numbers(&self.scale),
            "cpu_ms_a_batch_by_connections": numbers(&self.by_connections),
            "cpu_ms_a_batch_by_samples": numbers(&self.by_size),
            "latency_ms": numbers(&self.latency),
            "memory_bytes": memory,
            "crowd_bytes": { "peak": crowd, "after": left, "after_seconds": self.options.calm.as_secs() },
            "others": self.others.iter().map(ToString::to_string).collect::<Vec<_>>(),
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
            // What answers before it forwards does several times the work, and would leave no room for the others.
            let waiting = self.waits.iter().filter(|(_, waits)| **waits);
            let costs = waiting.map(|(name, _)| cost(name));
            let shown = |(name, cost): &(String, f64)| cost.is_finite() && name != FLOOR;
            let mut bars: Vec<_> = costs.filter(shown).collect();
            bars.sort_by(|(_, one), (_, other)| one.total_cmp(other));
            Group {
                title: body.title(),
                floor: median(&self.cpu, FLOOR, &body.name),
                bars,
            }
        };
        let groups: Vec<_> = self.bodies.iter().map(bars).collect();
        plot::bars(
            "CPU milliseconds a batch, user and system: less is better",
            &groups,
            &self.signs,
        )
    }

    fn goal_table(&self) -> String {
        let mut text = "| measure | goal | measured | |\n|---|---|---|---|\n".to_owned();
        for goal in goals(self) {
            let (what, unit, outcome) = (&goal.what, goal.unit, goal.outcome());
            let (bound, measured) = (goal.bound, goal.measured);
            let row = format!("| {what} | ≤ {bound}{unit} | {measured:.2}{unit} | {outcome} |\n");
            text.push_str(&row);
        }
        text
    }

    fn cpu_table(&self) -> String {
        let mut names: Vec<_> = self.waits.keys().cloned().collect();
        let first = self.bodies.first().map_or("", |body| &body.name);
        let order = |name: &String| median(&self.cpu, name, first);
        names.sort_by(|one, other| order(one).total_cmp(&order(other)));
        let mut columns: Vec<_> = self.bodies.iter().map(Body::title).collect();
        columns.extend(["memory idle, MB", "peak, 8 senders of 1 MB"].map(str::to_owned));
        let rows = names.into_iter().map(|name| {
            let costs = self.bodies.iter();
            let mut row: Vec<_> = costs
                .map(|body| cell(&self.cpu, &name, &body.name))
                .collect();
            let memory = self.memory.get(&name).copied().unwrap_or([f64::NAN; 2]);
            row.extend(memory.map(|bytes| format!("{:.1}", bytes / MB)));
            (self.title(&name), row)
        });
        let title = "CPU milliseconds a batch, user and system: median (least to most)";
        grid(title, "", &columns, rows)
    }

    /// `Envoy, signing`
    fn title(&self, name: &str) -> String {
        if name == FLOOR {
            return "**floor**: receive, hash, sign, encrypt, send".to_owned();
        }
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

    fn pace_table(&self) -> String {
        let keys: Vec<_> = self.paced();
        let title = |(body, rate): &(&Body, u32)| format!("{}, {rate}/s", body.title());
        let columns: Vec<_> = keys.iter().map(title).collect();
        let keys: Vec<_> = keys
            .iter()
            .map(|(body, rate)| pace::key(body, *rate))
            .collect();
        let cells = |table, name: &str| keys.iter().map(|key| cell(table, name, key)).collect();
        let names: BTreeSet<_> = self.pace.cpu.keys().map(|(name, _)| name).collect();
        let mut rows: Vec<(String, Vec<String>)> = names
            .into_iter()
            .map(|name| (self.title(name), cells(&self.pace.cpu, name)))
            .collect();
        let counting = cells(&self.pace.counting, COUNTING);
        rows.push((format!("{COUNTING}, of it counting"), counting));
        let estimated = keys.iter().map(|key| match self.pace.estimated.get(key) {
            Some([0.0, all]) => format!("all {all} counted"),
            Some([some, all]) => format!("**{some} of {all} estimated**"),
            None => "–".to_owned(),
        });
        rows.push((format!("{COUNTING}, batches"), estimated.collect()));
        let title = "CPU milliseconds a batch at the rates of one Prometheus, each batch at its time: median (least to most)";
        grid(title, "", &columns, rows)
    }

    fn gateway_tables(&self) -> String {
        let costs = [GATEWAY, ENVOY_GATEWAY]
            .map(|name| (name.to_owned(), vec![cell(&self.gateways, name, LARGE)]));
        let title = "CPU milliseconds a batch of a gateway: TLS and a bearer token from 64 senders";
        let body = self.bodies.iter().find(|body| body.name == LARGE);
        let columns = [body.map_or_else(String::new, Body::title)];
        let gateways = grid(title, "", &columns, costs);
        let columns = [
            "worker threads",
            "CPU milliseconds a batch",
            "of it in the kernel",
            "cores used",
            "million samples/s, as the load came",
            "million samples/s a core, at this cost",
            "capacity",
        ]
        .map(str::to_owned);
        let samples = body.map_or(f64::NAN, |body| body.samples as f64);
        let rows = [COUNTING, GATEWAY].into_iter().flat_map(|name| {
            THREADS.map(|(threads, _)| {
                let of = |what: &str| median(&self.scale, name, &format!("{what} {threads}"));
                let capacity = match threads {
                    "1" => 1.0,
                    _ => 2.0 / self.sharing(name),
                };
                let row = vec![
                    threads.to_owned(),
                    cell(&self.scale, name, &format!("cost {threads}")),
                    format!("{:.0} %", 100.0 * of("kernel")),
                    format!("{:.2}", of("cores")),
                    format!("{:.1}", of("samples") / 1e6),
                    format!("{:.1}", samples / of("cost") / 1e3),
                    format!("{capacity:.2}"),
                ];
                (name.to_owned(), row)
            })
        });
        gateways
            + &grid(
                "One worker thread and two, 64 connections, real bodies of 2,000 samples",
                "",
                &columns,
                rows,
            )
    }

    fn latency_table(&self) -> String {
        let names: BTreeSet<_> = self.latency.keys().map(|(name, _)| name).collect();
        let rows = names.into_iter().map(|name| {
            let of = |key| {
                [
                    cell(&self.latency, name, key),
                    format!("{:.2}", self.added(name, key)),
                ]
            };
            (name.clone(), ["p50", "p99"].map(of).concat())
        });
        let columns = ["p50", "added", "p99", "added"].map(str::to_owned);
        let title = "Milliseconds from a batch's moment to its answer, 100 a second: median (least to most)";
        grid(title, "", &columns, rows)
    }

    fn growth_tables(&self) -> String {
        let connections = ["1", "2", "4", "8", "16", "32", "64"].map(str::to_owned);
        let cells = |table, name, keys: &mut dyn Iterator<Item = &String>| {
            keys.map(|key| cell(table, name, key)).collect()
        };
        let row = cells(&self.by_connections, COUNTING, &mut connections.iter());
        let title = "CPU milliseconds a batch as the work grows";
        let rows = [(COUNTING.to_owned(), row)];
        let text = grid(title, "connections, 2,000 samples", &connections, rows);
        let columns: Vec<_> = self.sizes.iter().map(Body::title).collect();
        let rows = [COUNTING, super::OFF].map(|name| {
            let mut keys = self.sizes.iter().map(|body| &body.name);
            (name.to_owned(), cells(&self.by_size, name, &mut keys))
        });
        text + &grid("", "samples, 8 connections", &columns, rows)
    }

    fn last_line(&self) -> String {
        let (least, most) = self.start_up.spread();
        let [crowd, left] = self.crowd.map(|bytes| bytes / MB);
        format!(
            "\nStart to listening: {:.1} ms ({least:.1} to {most:.1}); 1000 senders at once: {crowd:.1} MB at most, {left:.1} MB {} s \
             after they left; binary: {:.2} MB. Before the run and during it: {}.\n",
            self.start_up.median(),
            self.options.calm.as_secs(),
            self.binary / MB,
            self.others
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        )
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
