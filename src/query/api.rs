//! The closed list of query APIs.
//!
//! In: the part of a request path after `/api/v1/`. Out: an [`Api`], or nothing. AMP's path is built from the [`Api`] and never
//! from the client's path, so no spelling of a path can reach anything else.
//!
//! | path | methods | IAM action |
//! |---|---|---|
//! | `query`, `query_range` | GET, POST | `aps:QueryMetrics` |
//! | `series` | GET, POST | `aps:GetSeries` |
//! | `labels` | GET, POST | `aps:GetLabels` |
//! | `label/<name>/values` | GET | `aps:GetLabels` |
//! | `metadata` | GET | `aps:GetMetricMetadata` |
//! | `rules` | GET | `aps:ListRules` |
//! | `alerts` | GET | `aps:ListAlerts` |
//!
//! What Grafana asks Prometheus for and AMP does not have is [`LocalApi`]'s.

use std::fmt;

use hyper::Method;

use crate::query::local::LocalApi;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedApi {
    /// AMP answers.
    Amp(Api),
    /// The sidecar answers.
    Local(LocalApi),
}

/// A query API of Prometheus that AMP has too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Api {
    /// An instant query.
    Query,
    QueryRange,
    /// Series by matcher.
    Series,
    /// Label names.
    Labels,
    LabelValues(LabelName),
    /// Type and help of metrics.
    Metadata,
    /// Alerting and recording rules, with their state.
    Rules,
    /// Alerts that are pending or firing.
    Alerts,
}

/// A label's name: letters, digits and underscores, no digit first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelName(String);

// === impl RequestedApi ===

impl RequestedApi {
    /// The API at this path below `/api/v1/`.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let amp = Api::at(path).map(Self::Amp);
        amp.or_else(|| LocalApi::at(path).map(Self::Local))
    }

    /// The value of the metrics' label `api`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Amp(api) => api.name(),
            Self::Local(api) => api.name(),
        }
    }

    /// The accepted methods.
    #[must_use]
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Self::Amp(api) => api.methods(),
            Self::Local(api) => api.methods(),
        }
    }
}

// === impl Api ===

impl Api {
    /// The API at this path below `/api/v1/`.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Some(match path {
            "query" => Self::Query,
            "query_range" => Self::QueryRange,
            "series" => Self::Series,
            "labels" => Self::Labels,
            "metadata" => Self::Metadata,
            "rules" => Self::Rules,
            "alerts" => Self::Alerts,
            _ => {
                let name = path.strip_prefix("label/")?.strip_suffix("/values")?;
                Self::LabelValues(LabelName::of(name)?)
            }
        })
    }

    /// The value of the metrics' label `api`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::QueryRange => "query_range",
            Self::Series => "series",
            Self::Labels => "labels",
            Self::LabelValues(_) => "label_values",
            Self::Metadata => "metadata",
            Self::Rules => "rules",
            Self::Alerts => "alerts",
        }
    }

    /// The IAM action that the role needs on the workspace.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::Query | Self::QueryRange => "aps:QueryMetrics",
            Self::Series => "aps:GetSeries",
            Self::Labels | Self::LabelValues(_) => "aps:GetLabels",
            Self::Metadata => "aps:GetMetricMetadata",
            Self::Rules => "aps:ListRules",
            Self::Alerts => "aps:ListAlerts",
        }
    }

    /// The methods that AMP accepts.
    #[must_use]
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Self::Query | Self::QueryRange | Self::Series | Self::Labels => {
                &[Method::GET, Method::POST]
            }
            Self::LabelValues(_) | Self::Metadata | Self::Rules | Self::Alerts => &[Method::GET],
        }
    }
}

/// AMP's path, below `/api/v1/`.
impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LabelValues(LabelName(name)) => write!(f, "label/{name}/values"),
            Self::Query
            | Self::QueryRange
            | Self::Series
            | Self::Labels
            | Self::Metadata
            | Self::Rules
            | Self::Alerts => f.write_str(self.name()),
        }
    }
}

// === impl LabelName ===

impl LabelName {
    fn of(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let starts_well = text.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        (starts_well && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_closed() {
        for path in [
            "query",
            "query_range",
            "series",
            "labels",
            "metadata",
            "rules",
            "alerts",
            "label/__name__/values",
            "label/A9/values",
        ] {
            assert_eq!(Api::at(path).unwrap().to_string(), path);
        }
        for path in [
            "",
            "query/",
            "Query",
            "query_exemplars",
            "status/buildinfo",
            "remote_write",
            "rules/test/test",
            "alerts/",
            "status/config",
            "label",
            "label/values",
            "label//values",
            "label/9a/values",
            "label/a-b/values",
            "label/a%2Fb/values",
            "label/../values",
            "label/a/b/values",
            "label/ä/values",
            "label/a/values/",
            "query/../../../../workspaces",
            "query%3F",
        ] {
            assert_eq!(Api::at(path), None, "{path:?}");
        }
    }
}
