//! A series' identity, and what AMP demands of it.

use std::{fmt, sync::Arc};

use super::{config::AmpConfig, proto::v1};

/// A sorted label set. Cloning shares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(String, String)]>);

/// Why a label set is refused. The texts are Cortex'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LabelFault {
    #[error("sample missing metric name")]
    NoName,
    #[error("sample invalid metric name: {0:?}")]
    BadName(String),
    #[error("sample invalid label: {label:?} metric {series:?}")]
    BadLabel { label: String, series: String },
    #[error("duplicate label name: {label:?} metric {series:?}")]
    Duplicate { label: String, series: String },
    #[error("labels not sorted: {label:?} metric {series:?}")]
    NotSorted { label: String, series: String },
    #[error("series has too many labels (actual: {actual}, limit: {limit}) series: '{series}'")]
    TooMany {
        actual: usize,
        limit: usize,
        series: String,
    },
    #[error(
        "labels size bytes exceeded for metric (actual: {actual}, limit: {limit}) metric: {series:?}"
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

    /// Accepts only what may become a series. Labels without a value are as good as absent, and dropped.
    pub(super) fn accept(raw: Vec<v1::Label>, config: &AmpConfig) -> Result<Self, LabelFault> {
        let pairs: Vec<(String, String)> = raw
            .into_iter()
            .filter(|label| !label.value.is_empty())
            .map(|label| (label.name, label.value))
            .collect();
        let labels = Self(pairs.into());
        let Some(name) = labels.get("__name__") else {
            return Err(LabelFault::NoName);
        };
        if !is_identifier(name, true) {
            return Err(LabelFault::BadName(name.to_owned()));
        }
        let (actual, limit) = (labels.0.len(), config.max_labels);
        if actual > limit {
            return Err(LabelFault::TooMany {
                actual,
                limit,
                series: labels.to_string(),
            });
        }
        let mut before: Option<&str> = None;
        for (name, _) in labels.iter() {
            let texts = || (name.to_owned(), labels.to_string());
            if !is_identifier(name, false) {
                let (label, series) = texts();
                return Err(LabelFault::BadLabel { label, series });
            }
            if before == Some(name) {
                let (label, series) = texts();
                return Err(LabelFault::Duplicate { label, series });
            }
            if before > Some(name) {
                let (label, series) = texts();
                return Err(LabelFault::NotSorted { label, series });
            }
            before = Some(name);
        }
        let (actual, limit) = (
            labels
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum(),
            config.max_label_bytes,
        );
        if actual > limit {
            return Err(LabelFault::TooLarge {
                actual,
                limit,
                series: labels.to_string(),
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
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
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
        let raw = pairs.iter().map(|(name, value)| v1::Label {
            name: (*name).into(),
            value: (*value).into(),
        });
        Labels::accept(raw.collect(), &config).map_err(|fault| fault.to_string())
    }

    #[test]
    fn accepts_a_series_and_drops_empty_labels() {
        let labels = accept(&[("__name__", "job:up"), ("gone", ""), ("job", "a\"b")]).unwrap();
        assert_eq!(
            labels,
            Labels::new([("job", "a\"b"), ("__name__", "job:up")])
        );
        assert_eq!(labels.to_string(), r#"{__name__="job:up", job="a\"b"}"#);
    }

    #[test]
    fn refuses_with_cortex_texts() {
        let long = "x".repeat(100);
        let cases: [(&[(&str, &str)], &str); 10] = [
            (&[], "sample missing metric name"),
            (&[("job", "x")], "sample missing metric name"),
            (&[("__name__", "")], "sample missing metric name"),
            (
                &[("__name__", "1up")],
                "sample invalid metric name: \"1up\"",
            ),
            (
                &[("__name__", "up"), ("a-b", "x")],
                "sample invalid label: \"a-b\" metric ",
            ),
            (
                &[("__name__", "up"), ("a:b", "x")],
                "sample invalid label: \"a:b\" metric ",
            ),
            (
                &[("__name__", "up"), ("a", "x"), ("a", "y")],
                "duplicate label name: \"a\" metric ",
            ),
            (
                &[("__name__", "up"), ("b", "x"), ("a", "y")],
                "labels not sorted: \"a\" metric ",
            ),
            (
                &[
                    ("__name__", "up"),
                    ("a", "x"),
                    ("b", "x"),
                    ("c", "x"),
                    ("d", "x"),
                ],
                "series has too many labels (actual: 5, limit: 4) series: '{__name__=\"up\"",
            ),
            (
                &[("__name__", "up"), ("a", &long)],
                "labels size bytes exceeded for metric (actual: 111, limit: 100)",
            ),
        ];
        for (pairs, expected) in cases {
            let text = accept(pairs).unwrap_err();
            assert!(text.starts_with(expected), "{text}");
        }
    }
}
