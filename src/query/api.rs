//! The closed list of query APIs.
//!
//! In: the part of a request path below a workspace. Out: an [`Api`], or nothing. AMP's path is built from the [`Api`] and never
//! from the client's path, so no spelling of a path can reach anything else.
//!
//! | path below `/api/v1/` | methods | IAM action |
//! |---|---|---|
//! | `query`, `query_range` | GET, POST | `aps:QueryMetrics` |
//! | `series` | GET, POST | `aps:GetSeries` |
//! | `labels` | GET, POST | `aps:GetLabels` |
//! | `label/<name>/values` | GET | `aps:GetLabels` |
//! | `metadata` | GET | `aps:GetMetricMetadata` |
//! | `rules` | GET | `aps:ListRules` |
//! | `alerts` | GET | `aps:ListAlerts` |
//!
//! What Grafana asks Prometheus for and AMP does not have is [`LocalApi`]'s; the paths of Alertmanager are [`AlertmanagerApi`]'s.

use std::fmt;

use hyper::Method;

use crate::query::alertmanager::AlertmanagerApi;
use crate::query::error_form::ErrorForm;
use crate::query::local::LocalApi;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedApi {
    /// AMP answers.
    Amp(Api),
    /// The sidecar answers.
    Local(LocalApi),
}

/// An API of Prometheus or Alertmanager that AMP has too.
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
    Alertmanager(AlertmanagerApi),
}

/// A label's name: letters, digits and underscores, no digit first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelName(String);

// === impl RequestedApi ===

impl RequestedApi {
    /// The API at this path below a workspace.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        if let Some(path) = path.strip_prefix("alertmanager/api/v2/") {
            let api = AlertmanagerApi::at(path)?;
            return Some(Self::Amp(Api::Alertmanager(api)));
        }
        let path = path.strip_prefix("api/v1/")?;
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

    /// The content type of a body, if it has one.
    #[must_use]
    pub fn body_type(&self) -> &'static str {
        match self {
            Self::Amp(api) => api.body_type(),
            Self::Local(_) => FORM,
        }
    }

    /// The form of its errors.
    #[must_use]
    pub fn error_form(&self) -> ErrorForm {
        match self {
            Self::Amp(api) => api.error_form(),
            Self::Local(_) => ErrorForm::Prometheus,
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
            Self::Alertmanager(api) => api.name(),
        }
    }

    /// The IAM action that the role needs on the workspace.
    #[must_use]
    pub fn action(&self, method: &Method) -> &'static str {
        match self {
            Self::Query | Self::QueryRange => "aps:QueryMetrics",
            Self::Series => "aps:GetSeries",
            Self::Labels | Self::LabelValues(_) => "aps:GetLabels",
            Self::Metadata => "aps:GetMetricMetadata",
            Self::Rules => "aps:ListRules",
            Self::Alerts => "aps:ListAlerts",
            Self::Alertmanager(api) => api.action(method),
        }
    }

    /// The IAM actions of all of them but Alertmanager's.
    pub(crate) fn actions() -> [&'static str; 6] {
        [
            Self::Query,
            Self::Series,
            Self::Labels,
            Self::Metadata,
            Self::Rules,
            Self::Alerts,
        ]
        .map(|api| api.action(&Method::GET))
    }

    /// The methods that AMP accepts.
    #[must_use]
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Self::Query | Self::QueryRange | Self::Series | Self::Labels => {
                &[Method::GET, Method::POST]
            }
            Self::LabelValues(_) | Self::Metadata | Self::Rules | Self::Alerts => &[Method::GET],
            Self::Alertmanager(api) => api.methods(),
        }
    }

    /// The content type of a body, if it has one.
    #[must_use]
    pub fn body_type(&self) -> &'static str {
        match self {
            Self::Alertmanager(_) => JSON,
            _ => FORM,
        }
    }

    /// The form of its errors.
    #[must_use]
    pub fn error_form(&self) -> ErrorForm {
        match self {
            Self::Alertmanager(_) => ErrorForm::Alertmanager,
            _ => ErrorForm::Prometheus,
        }
    }

    /// Whether a request with this method changes something, and so must not be sent twice.
    #[must_use]
    pub fn changes(&self, method: &Method) -> bool {
        matches!(self, Self::Alertmanager(_)) && *method != Method::GET
    }
}

/// AMP's path, below the workspace.
impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LabelValues(LabelName(name)) => write!(f, "api/v1/label/{name}/values"),
            Self::Query
            | Self::QueryRange
            | Self::Series
            | Self::Labels
            | Self::Metadata
            | Self::Rules
            | Self::Alerts => write!(f, "api/v1/{}", self.name()),
            Self::Alertmanager(api) => write!(f, "alertmanager/api/v2/{api}"),
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
            assert_eq!(Api::at(path).unwrap().to_string(), format!("api/v1/{path}"));
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
