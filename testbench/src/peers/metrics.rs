//! The text in which programs show their metrics, read just far enough to ask for a value.
//!
//! In: Prometheus' or OpenMetrics' text. Out: [`Metrics`]. A metric that is not shown is an error, never 0: a test that reads
//! a misspelt or renamed counter must fail. Some series appear with their first event only (errors by their reason): for
//! those there are [`Metrics::find_count`] and [`Metrics::find_value`], whose `None` the caller has to handle. Counts are whole numbers and are read as
//! such.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Add;

/// Every line with a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Vec<SeriesValue>);

#[derive(Debug, Clone, PartialEq)]
struct SeriesValue {
    name: String,
    labels: Vec<(String, String)>,
    /// As it is written: whether it is a whole number shows in the digits.
    value: String,
}

/// Why a metric has no value that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// No series of this name has these labels.
    #[error("there is no metric {0}")]
    Absent(Selector),
    /// A value is no number, or where a count is asked for not a whole one.
    #[error("the metric {selector} is {value}, which is not {expected}")]
    Invalid {
        /// What was asked for.
        selector: Selector,
        /// What is shown.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// A metric's name and the labels asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

// === impl Metrics ===

impl Metrics {
    /// Reads a whole exposition. Lines that cannot be read are left out: asking for what they show is an error.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(SeriesValue::parse).collect())
    }

    /// The sum over all series of a gauge, or of a histogram's `_sum`, that have these labels.
    ///
    /// # Errors
    /// [`MetricError`], also where there is no such series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64, MetricError> {
        self.find_value(name, labels)?
            .ok_or_else(|| MetricError::Absent(Selector::new(name, labels)))
    }

    /// As [`Self::value`], for series that appear with their first event: `None` where there is none yet.
    ///
    /// # Errors
    /// [`MetricError::Invalid`].
    pub fn find_value(
        &self,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Result<Option<f64>, MetricError> {
        let values = self.selected(name, labels).map(|series| {
            series.float().ok_or_else(|| MetricError::Invalid {
                selector: Selector::new(name, labels),
                value: series.value.clone(),
                expected: "a number",
            })
        });
        sum(values)
    }

    /// The sum over all series of a counter, or of a gauge of whole numbers, that have these labels.
    ///
    /// # Errors
    /// [`MetricError`], also where there is no such series.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> Result<u64, MetricError> {
        self.find_count(name, labels)?
            .ok_or_else(|| MetricError::Absent(Selector::new(name, labels)))
    }

    /// As [`Self::count`], for series that appear with their first event: `None` where there is none yet.
    ///
    /// # Errors
    /// [`MetricError::Invalid`].
    pub fn find_count(
        &self,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Result<Option<u64>, MetricError> {
        let counts = self.selected(name, labels).map(|series| {
            series.whole().ok_or_else(|| MetricError::Invalid {
                selector: Selector::new(name, labels),
                value: series.value.clone(),
                expected: "a count",
            })
        });
        sum(counts)
    }

    /// A counter's sums by the values of one label.
    ///
    /// # Errors
    /// [`MetricError`], also where no series has the label.
    pub fn counts_by(&self, name: &str, label: &str) -> Result<BTreeMap<String, u64>, MetricError> {
        let mut sums = BTreeMap::new();
        for value in self
            .selected(name, &[])
            .filter_map(|series| series.label(label))
        {
            if !sums.contains_key(value) {
                sums.insert(value.to_owned(), self.count(name, &[(label, value)])?);
            }
        }
        match sums.is_empty() {
            true => Err(MetricError::Absent(Selector::new(name, &[(label, "*")]))),
            false => Ok(sums),
        }
    }

    fn selected<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a SeriesValue> {
        let has_all = |series: &&SeriesValue| {
            labels
                .iter()
                .all(|(key, value)| series.label(key) == Some(value))
        };
        let named = self.0.iter().filter(move |series| series.name == name);
        named.filter(has_all)
    }
}

/// `None` of nothing.
fn sum<T: Add<Output = T>>(
    mut values: impl Iterator<Item = Result<T, MetricError>>,
) -> Result<Option<T>, MetricError> {
    let Some(first) = values.next() else {
        return Ok(None);
    };
    values
        .try_fold(first?, |sum, value| Ok(sum + value?))
        .map(Some)
}

// === impl SeriesValue ===

impl SeriesValue {
    fn parse(line: &str) -> Option<Self> {
        let name_end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(name_end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        Some(Self {
            name: name.to_owned(),
            labels,
            value: rest.split_whitespace().next()?.to_owned(),
        })
    }

    fn label(&self, name: &str) -> Option<&str> {
        let label = self.labels.iter().find(|(key, _)| key == name);
        label.map(|(_, value)| value.as_str())
    }

    /// Rust reads `+Inf` and `NaN` as they are written.
    fn float(&self) -> Option<f64> {
        self.value.parse().ok()
    }

    /// Go writes counters as floats: a million is `1e+06`.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative, and at most 2^53"
    )]
    fn whole(&self) -> Option<u64> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if let Ok(whole) = self.value.parse() {
            return Some(whole);
        }
        let float = self.float()?;
        let is_whole = (0.0..=EXACT).contains(&float) && float.fract() == 0.0;
        is_whole.then_some(float as u64)
    }
}

// === impl Selector ===

impl Selector {
    fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Self {
            name: name.to_owned(),
            labels: labels.iter().map(owned).collect(),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect();
        match labels.as_slice() {
            [] => Ok(()),
            labels => write!(f, "{{{}}}", labels.join(",")),
        }
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
    fn both_formats_are_read() {
        let metrics = Metrics::parse(
            "# TYPE a counter\na_total{x=\"1\",y=\"a\\\"},{b\\n\"} 3\na_total{x=\"2\"} 4 1700000000123\n\
             b 1.5e3\nb_bucket{le=\"+Inf\"} +Inf\nc NaN\n# EOF\n",
        );
        assert_eq!(metrics.count("a_total", &[]), Ok(7));
        assert_eq!(metrics.count("a_total", &[("x", "2")]), Ok(4));
        assert_eq!(metrics.count("a_total", &[("y", "a\"},{b\n")]), Ok(3));
        assert_eq!(metrics.value("b", &[]), Ok(1500.0));
        assert_eq!(metrics.count("b", &[]), Ok(1500));
        let infinite = metrics.value("b_bucket", &[("le", "+Inf")]);
        assert_eq!(infinite, Ok(f64::INFINITY));
        assert!(metrics.value("c", &[]).is_ok_and(f64::is_nan));
        assert_eq!(
            metrics.counts_by("a_total", "x"),
            Ok(BTreeMap::from([("1".into(), 3), ("2".into(), 4)]))
        );
    }

    #[test]
    fn what_is_absent_or_no_count_is_an_error() {
        let metrics = Metrics::parse("a_total{x=\"1\"} 3\nb 0.5\nc -1\nbroken{x=\"1\nd none\n");
        let error = |name, labels| {
            let result = metrics.count(name, labels);
            result.map_err(|error| error.to_string())
        };
        let absent = |selector: &str| Err(format!("there is no metric {selector}"));
        assert_eq!(error("a_total", &[("x", "2")]), absent("a_total{x=\"2\"}"));
        assert_eq!(error("broken", &[]), absent("broken"));
        assert_eq!(metrics.find_count("a_total", &[("x", "2")]), Ok(None));
        let by_y = metrics.counts_by("a_total", "y");
        assert!(matches!(by_y, Err(MetricError::Absent(_))), "{by_y:?}");
        for name in ["b", "c", "d"] {
            let invalid = metrics.count(name, &[]).expect_err("no count");
            assert!(matches!(invalid, MetricError::Invalid { .. }), "{invalid}");
        }
        assert!(metrics.value("d", &[]).is_err() && metrics.value("e", &[]).is_err());
    }
}
