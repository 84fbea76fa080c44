//! The table: for people, for the documentation, for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::outcome::Outcome;

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct DurabilityReport {
    /// What stood between sender and AMP.
    pub proxy: String,
    /// The Prometheus that sent, as `2.42.0`.
    pub prometheus: String,
    /// `full` or `short`.
    pub form: &'static str,
    /// How long a fault lasted.
    pub fault_seconds: u64,
    /// How long the whole of it took.
    pub seconds: f64,
    /// Every row, in the table's order.
    pub rows: Vec<Outcome>,
}

// === impl DurabilityReport ===

impl DurabilityReport {
    /// Whether every row is as promised.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(Outcome::is_good)
    }

    /// The whole as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        // Numbers, strings and maps with string keys always serialize.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For a terminal: names short, faults in full only where something is wrong.
    #[must_use]
    pub fn table(&self) -> String {
        let lines: Vec<[String; 7]> = self.rows.iter().map(line).collect();
        let head = [
            "row",
            "responses",
            "samples",
            "missing",
            "twice",
            "again after",
            "judgement",
        ]
        .map(str::to_owned);
        let mut text = aligned(&head, &lines);
        for row in self.rows.iter().filter(|row| !row.is_good()) {
            let _written = writeln!(text, "\n{} ({}):", row.row, row.fault);
            for broken in &row.broken {
                let _written = writeln!(text, "  {broken}");
            }
            for log in row.log.lines() {
                let _written = writeln!(text, "    | {log}");
            }
        }
        let _written = writeln!(text, "\n{}", self.summary());
        text
    }

    /// For the documentation.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "<!-- Written by `cargo run --release -p testbench -- durability --markdown FILE`; do not edit. -->\n\n{}\n\n",
            self.summary()
        );
        text.push_str(
            "| row | what goes wrong | responses to the sender | samples | missing | twice | flows again after | shown by |\n\
             |---|---|---|---:|---:|---:|---:|---|\n",
        );
        for row in &self.rows {
            let again = row
                .seconds_until_flow
                .map_or("–".to_owned(), |seconds| format!("{seconds} s"));
            let missing = if row.missing == 0 {
                "**0**".to_owned()
            } else {
                row.missing.to_string()
            };
            let _written = writeln!(
                text,
                "| {} | {} | {} | {} | {missing} | {} | {again} | `{}` |",
                row.row,
                row.fault,
                responses(row),
                row.samples,
                row.duplicates,
                row.metric.replace('|', "\\|"),
            );
        }
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in &self.rows {
            let Some(why) = row.lost_because else {
                continue;
            };
            match reasons.iter_mut().find(|(known, _)| *known == why) {
                Some((_, names)) => names.push(row.row),
                None => reasons.push((why, vec![row.row])),
            }
        }
        if !reasons.is_empty() {
            text.push_str(
                "\nLost by design, and exactly as many as AMP or the sender gave up:\n\n",
            );
        }
        for (why, names) in reasons {
            let _written = writeln!(text, "- {}: {why}.", names.join(", "));
        }
        text
    }

    fn summary(&self) -> String {
        let bad = self.rows.iter().filter(|row| !row.is_good()).count();
        let kept = self.rows.iter().filter(|row| row.lost_because.is_none());
        let missing: u64 = kept.clone().map(|row| row.missing).sum();
        format!(
            "{} through {}, Prometheus {}: {} rows, faults of {} s, {} s in all. Samples missing in the {} rows where they \
             can be kept: {missing}. Rows not as promised: {bad}.",
            if self.form == "short" {
                "The short form"
            } else {
                "The full form"
            },
            self.proxy,
            self.prometheus,
            self.rows.len(),
            self.fault_seconds,
            self.seconds,
            kept.count(),
        )
    }
}

fn line(row: &Outcome) -> [String; 7] {
    let judgement = match (row.is_good(), row.lost_because) {
        (false, _) => "BROKEN",
        (true, None) => "kept",
        (true, Some(_)) => "lost as it must be",
    };
    [
        row.row.to_owned(),
        responses(row),
        row.samples.to_string(),
        row.missing.to_string(),
        row.duplicates.to_string(),
        row.seconds_until_flow
            .map_or("-".to_owned(), |seconds| format!("{seconds:.1} s")),
        judgement.to_owned(),
    ]
}

fn responses(row: &Outcome) -> String {
    let answers: Vec<_> = row
        .responses
        .iter()
        .map(|(status, count)| format!("{count}× {status}"))
        .collect();
    answers.join(", ")
}

/// Columns as wide as their widest cell.
fn aligned<const N: usize>(head: &[String; N], lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines.iter().chain([head]) {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in [head].into_iter().chain(lines) {
        let cells = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let _written = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}
