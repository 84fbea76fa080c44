//! A series' identity, and what AMP demands of it.

use std::{fmt, sync::Arc};

use prost::Message;
use remote_write_proto::v1;

use super::{config::AmpConfig, go, limits::Limits};

/// A sorted label set. Cloning shares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(String, String)]>);

/// Why a label set is refused. The texts are Cortex', which shows at most 200 characters of each quoted part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LabelFault {
    #[error("sample missing metric name")]
    NoName,
    #[error("sample invalid metric name: {}", go::quoted_start(.0))]
    BadName(String),
    #[error(
        "sample invalid label: {} metric {}",
        go::quoted_start(label),
        go::quoted_start(series)
    )]
    BadLabel { label: String, series: String },
    #[error(
        "duplicate label name: {} metric {}",
        go::quoted_start(label),
        go::quoted_start(series)
    )]
    Duplicate { label: String, series: String },
    #[error("series has too many labels (actual: {actual}, limit: {limit}) series: '{series}'")]
    TooMany {
        actual: usize,
        limit: usize,
        series: String,
    },
    #[error(
        "label name too long for metric (actual: {}, limit: {limit}) metric: {} label name: {}",
        label.len(), go::quoted_start(series), go::quoted_start(label)
    )]
    NameTooLong {
        limit: usize,
        label: String,
        series: String,
    },
    #[error(
        "label value too long for metric (actual: {}, limit: {limit}) metric: {} label name: {} label value: {}",
        value.len(), go::quoted_start(series), go::quoted_start(label), go::quoted_start(value)
    )]
    ValueTooLong {
        limit: usize,
        label: String,
        value: String,
        series: String,
    },
    #[error(
        "labels size bytes exceeded for metric (actual: {actual}, limit: {limit}) metric: {}",
        go::quoted_start(series)
    )]
    TooLarge {
        actual: usize,
        limit: usize,
        series: String,
    },
}

impl Labels {
    /// A label set from its pairs, in any order.
    pub fn new<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<_> = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        pairs.sort();
        Self(pairs.into())
    }

    /// The value of one label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(candidate, value)| (candidate == name).then_some(value))
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Accepts only what may become a series, in the engine's order of checks. Labels without a value are as good as
    /// absent, and dropped; the others are sorted.
    pub(super) fn accept(
        mut raw: Vec<v1::Label>,
        config: &AmpConfig,
        limits: &Limits,
    ) -> Result<Self, LabelFault> {
        let Some(name) = raw.iter().find(|label| label.name == "__name__") else {
            return Err(LabelFault::NoName);
        };
        if !is_identifier(&name.value, true) {
            return Err(LabelFault::BadName(name.value.clone()));
        }
        raw.retain(|label| !label.value.is_empty());
        raw.sort_by(|left, right| left.name.cmp(&right.name));
        // Each label's own message: its tags and lengths count too.
        let bytes: usize = raw.iter().map(Message::encoded_len).sum();
        let pairs: Vec<(String, String)> = raw
            .into_iter()
            .map(|label| (label.name, label.value))
            .collect();
        let labels = Self(pairs.into());
        let series = || go::metric(labels.iter());

        let (actual, limit) = (labels.0.len(), config.max_labels);
        if actual > limit {
            return Err(LabelFault::TooMany {
                actual,
                limit,
                series: series(),
            });
        }
        let over = |text: &str, limit: Option<usize>| limit.filter(|limit| text.len() > *limit);
        let mut before: Option<&str> = None;
        for (name, value) in labels.iter() {
            let (label, series) = (|| name.to_owned(), &series);
            if !is_identifier(name, false) {
                return Err(LabelFault::BadLabel {
                    label: label(),
                    series: series(),
                });
            }
            if let Some(limit) = over(name, limits.max_label_name_length) {
                return Err(LabelFault::NameTooLong {
                    limit,
                    label: label(),
                    series: series(),
                });
            }
            if let Some(limit) = over(value, limits.max_label_value_length) {
                return Err(LabelFault::ValueTooLong {
                    limit,
                    label: label(),
                    value: value.to_owned(),
                    series: series(),
                });
            }
            if before == Some(name) {
                return Err(LabelFault::Duplicate {
                    label: label(),
                    series: series(),
                });
            }
            before = Some(name);
        }
        let (actual, limit) = (bytes, config.max_label_bytes);
        if actual > limit {
            return Err(LabelFault::TooLarge {
                actual,
                limit,
                series: series(),
            });
        }
        Ok(labels)
    }

    pub(super) fn to_proto(&self) -> Vec<v1::Label> {
        self.0
            .iter()
            .map(|(name, value)| v1::Label {
                name: name.clone(),
                value: value.clone(),
            })
            .collect()
    }
}

impl fmt::Display for Labels {
    /// `{__name__="up", job="x"}`, as the ingesters' error texts show a series.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&go::label_set(self.iter()))
    }
}

fn is_identifier(name: &str, colon: bool) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colon && byte == b':');
    name.bytes().all(legal)
        && name
            .bytes()
            .next()
            .is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(pairs: &[(&str, &str)]) -> Result<Labels, String> {
        let config = AmpConfig {
            max_labels: 4,
            max_label_bytes: 100,
            ..AmpConfig::default()
        };
        let limits = Limits {
            max_label_name_length: Some(20),
            max_label_value_length: Some(70),
            ..Limits::default()
        };
        let raw = pairs.iter().map(|(name, value)| v1::Label {
            name: (*name).into(),
            value: (*value).into(),
        });
        Labels::accept(raw.collect(), &config, &limits).map_err(|fault| fault.to_string())
    }

    #[test]
    fn accepts_a_series_sorts_it_and_drops_empty_labels() {
        let labels = accept(&[("job", "a\"b"), ("gone", ""), ("__name__", "job:up")]).unwrap();
        assert_eq!(
            labels,
            Labels::new([("job", "a\"b"), ("__name__", "job:up")])
        );
        assert_eq!(labels.to_string(), r#"{__name__="job:up", job="a\"b"}"#);
    }

    #[test]
    fn refuses_with_cortex_texts() {
        let (long, longer) = ("x".repeat(60), "x".repeat(71));
        let too_long = format!(
            r#"label value too long for metric (actual: 71, limit: 70) metric: "up{{a=\"{longer}\"}}" label name: "a" label value: "{longer}""#
        );
        let cases: [(&[(&str, &str)], &str); 11] = [
            (&[], "sample missing metric name"),
            (&[("job", "x")], "sample missing metric name"),
            (&[("__name__", "")], r#"sample invalid metric name: """#),
            (
                &[("__name__", "bad name\u{1}")],
                r#"sample invalid metric name: "bad name\x01""#,
            ),
            (
                &[("__name__", "m"), ("bad-label", "v")],
                r#"sample invalid label: "bad-label" metric "m{bad-label=\"v\"}""#,
            ),
            (
                &[("__name__", "up"), ("a:b", "x")],
                r#"sample invalid label: "a:b" metric "up{a:b=\"x\"}""#,
            ),
            (
                &[("__name__", "m"), ("a", "1"), ("b", ""), ("a", "2")],
                r#"duplicate label name: "a" metric "m{a=\"1\", a=\"2\"}""#,
            ),
            (
                &[
                    ("__name__", "up"),
                    ("a", "x"),
                    ("b", "x"),
                    ("c", "x"),
                    ("d", "x"),
                ],
                r#"series has too many labels (actual: 5, limit: 4) series: 'up{a="x", b="x", c="x", d="x"}'"#,
            ),
            (
                &[("__name__", "up"), ("nnnnnnnnnnnnnnnnnnnnn", "x")],
                "label name too long for metric (actual: 21, limit: 20) metric: \
                 \"up{nnnnnnnnnnnnnnnnnnnnn=\\\"x\\\"}\" label name: \"nnnnnnnnnnnnnnnnnnnnn\"",
            ),
            (&[("__name__", "up"), ("a", &longer)], &too_long),
            (
                &[
                    ("__name__", "up"),
                    ("a", &long),
                    ("b", "twenty characters xx"),
                ],
                "labels size bytes exceeded for metric (actual: 104, limit: 100) metric: \"up{a=\\\"xxxx",
            ),
        ];
        for (pairs, expected) in cases {
            let text = accept(pairs).unwrap_err();
            assert!(text.starts_with(expected), "{text}\n{expected}");
        }
    }
}
