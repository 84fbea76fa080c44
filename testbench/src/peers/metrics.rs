//! The text in which programs show their metrics, read just far enough to ask for a value.
//!
//! In: Prometheus' or OpenMetrics' text. Out: [`Metrics`]. Lines that cannot be read are left out: they are another
//! program's, and asking for what is missing says so.

use std::collections::BTreeMap;

/// Every line with a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Vec<Reading>);

#[derive(Debug, Clone, PartialEq)]
struct Reading {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

// === impl Metrics ===

impl Metrics {
    /// Reads a whole exposition.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(Reading::parse).collect())
    }

    /// The sum over all series of a metric that bear these labels; `None` where there is no such series.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut fitting = self
            .named(name)
            .filter(|reading| labels.iter().all(|(key, value)| reading.has(key, value)))
            .map(|reading| reading.value)
            .peekable();
        fitting.peek()?;
        Some(fitting.sum())
    }

    /// The sum over all series of a counter, 0 where there is none.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole, not negative, and far below 2^53"
    )]
    pub fn count(&self, name: &str) -> u64 {
        self.value(name, &[]).unwrap_or_default() as u64
    }

    /// A counter's sums by the values of one label.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole, not negative, and far below 2^53"
    )]
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for reading in self.named(name) {
            if let Some(value) = reading.label(label) {
                *sums.entry(value.to_owned()).or_default() += reading.value as u64;
            }
        }
        sums
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Reading> {
        self.0.iter().filter(move |reading| reading.name == name)
    }
}

// === impl Reading ===

impl Reading {
    fn parse(line: &str) -> Option<Self> {
        let name_end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(name_end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = match rest.split_whitespace().next()? {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            number => number.parse().ok()?,
        };
        Some(Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }

    fn label(&self, name: &str) -> Option<&str> {
        let label = self.labels.iter().find(|(key, _)| key == name);
        label.map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.label(name) == Some(value)
    }
}

/// `a="b",c="d"} 1`: the labels, and what follows the brace.
fn labels(mut text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = rest.char_indices();
        let end = loop {
            match letters.next()? {
                (end, '"') => break end,
                (_, '\\') => match letters.next()?.1 {
                    'n' => value.push('\n'),
                    letter => value.push(letter),
                },
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.trim().to_owned(), value));
        text = rest.get(end + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_nonsense_left_out() {
        let metrics = Metrics::parse(
            "# TYPE a counter\na_total{x=\"1\",y=\"a\\\"},{b\\n\"} 3\na_total{x=\"2\"} 4 1700000000123\n\
             b 1.5e3\nb_bucket{le=\"+Inf\"} +Inf\nbroken{x=\"1\nc NaN\n# EOF\n",
        );
        assert_eq!(metrics.count("a_total"), 7);
        assert_eq!(metrics.value("a_total", &[("x", "2")]), Some(4.0));
        assert_eq!(metrics.value("a_total", &[("y", "a\"},{b\n")]), Some(3.0));
        assert_eq!(metrics.value("a_total", &[("x", "3")]), None);
        assert_eq!(metrics.value("b", &[]), Some(1500.0));
        assert_eq!(
            metrics.value("b_bucket", &[("le", "+Inf")]),
            Some(f64::INFINITY)
        );
        assert!(metrics.value("c", &[]).is_some_and(f64::is_nan));
        assert_eq!(metrics.value("broken", &[]), None);
        assert_eq!(
            metrics.by("a_total", "x"),
            BTreeMap::from([("1".into(), 3), ("2".into(), 4)])
        );
    }
}
