//! The query API and the Alertmanager: signed, permitted questions, answered by the real Prometheus or Alertmanager behind
//! this AMP.
//!
//! In: a request whose signature and permission were judged. Out: its own status and body. Without a Prometheus or an
//! Alertmanager to forward to there is nobody who could answer, and the answer says so rather than to invent one.

use bytes::Bytes;
use http::{Method, Request, Response, header};

use super::{
    config::AmpConfig,
    prometheus::{CallError, call},
};

/// Where a Prometheus takes remote writes; its API lies next to it.
const WRITE: &str = "/write";

/// What AMP can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    answerer: Answerer,
    /// Below `/api/v1/` or `/alertmanager/api/v2/`.
    path: &'a str,
    /// The IAM action that it needs.
    pub(super) action: &'static str,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answerer {
    Prometheus,
    Alertmanager,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    #[error(
        "this emulator evaluates no PromQL: it hands queries on to a real Prometheus, and there is none (forward_to, --forward-to)"
    )]
    NoPrometheus,
    #[error(
        "this emulator has no Alertmanager: it hands requests on to a real one, and there is none (alertmanager, --alertmanager)"
    )]
    NoAlertmanager,
    #[error("{0:?} does not end in /api/v1/write, so that its query API cannot be found")]
    NoApi(String),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl<'a> Question<'a> {
    /// The question at this path below the workspace, if AMP takes it with this method.
    pub(super) fn at(path: &'a str, method: &Method) -> Option<Self> {
        match path.strip_prefix("alertmanager/api/v2/") {
            Some(path) => Self::for_alertmanager(path, method),
            None => Self::for_prometheus(path.strip_prefix("api/v1/")?, method),
        }
    }

    fn for_alertmanager(path: &'a str, method: &Method) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').collect();
        let action = match (method.as_str(), segments.as_slice()) {
            ("GET", ["status"]) => "aps:GetAlertManagerStatus",
            ("GET", ["receivers"]) => "aps:ListAlertManagerReceivers",
            ("GET", ["alerts"]) => "aps:ListAlertManagerAlerts",
            ("POST", ["alerts"]) => "aps:CreateAlertManagerAlerts",
            ("GET", ["alerts", "groups"]) => "aps:ListAlertManagerAlertGroups",
            ("GET", ["silences"]) => "aps:ListAlertManagerSilences",
            ("POST", ["silences"]) => "aps:PutAlertManagerSilences",
            ("GET", ["silence", id]) if !id.is_empty() => "aps:GetAlertManagerSilence",
            ("DELETE", ["silence", id]) if !id.is_empty() => "aps:DeleteAlertManagerSilence",
            _ => return None,
        };
        let answerer = Answerer::Alertmanager;
        Some(Self {
            answerer,
            path,
            action,
        })
    }

    fn for_prometheus(path: &'a str, method: &Method) -> Option<Self> {
        let (action, with_post) = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["query" | "query_range"] => ("aps:QueryMetrics", true),
            ["series"] => ("aps:GetSeries", true),
            ["labels"] => ("aps:GetLabels", true),
            ["label", name, "values"] if !name.is_empty() => ("aps:GetLabels", false),
            ["metadata"] => ("aps:GetMetricMetadata", false),
            ["rules"] => ("aps:ListRules", false),
            ["alerts"] => ("aps:ListAlerts", false),
            _ => return None,
        };
        let fits = method == Method::GET || (with_post && method == Method::POST);
        let answerer = Answerer::Prometheus;
        fits.then_some(Self {
            answerer,
            path,
            action,
        })
    }

    /// The URL below which the one that is asked has its API.
    fn base(self, config: &AmpConfig) -> Result<String, QueryError> {
        if self.answerer == Answerer::Alertmanager {
            let base = config.alertmanager.as_ref();
            let base = base.ok_or(QueryError::NoAlertmanager)?;
            return Ok(format!("{}/api/v2", base.trim_end_matches('/')));
        }
        let write = config.forward_to.as_ref();
        let write = write.ok_or(QueryError::NoPrometheus)?;
        let base = write.strip_suffix(WRITE);
        let base = base.filter(|base| base.ends_with("/api/v1"));
        base.map(str::to_owned)
            .ok_or_else(|| QueryError::NoApi(write.clone()))
    }

    /// Prometheus' or Alertmanager's answer.
    pub(super) async fn ask(
        self,
        config: &AmpConfig,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, QueryError> {
        let api = self.base(config)?;
        let no_api = || QueryError::NoApi(api.clone());
        let query = request
            .uri()
            .query()
            .map_or_else(String::new, |query| format!("?{query}"));
        let mut onward = Request::builder()
            .method(request.method().clone())
            .uri(format!("{api}/{}{query}", self.path));
        for name in [header::CONTENT_TYPE, header::ACCEPT_ENCODING] {
            if let Some(value) = request.headers().get(&name) {
                onward = onward.header(name, value);
            }
        }
        let onward = onward.body(request.body().clone()).map_err(|_| no_api())?;
        let answer = call(onward).await?;
        let mut relayed = Response::new(answer.body().clone());
        *relayed.status_mut() = answer.status();
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            if let Some(value) = answer.headers().get(&name) {
                relayed.headers_mut().insert(name, value.clone());
            }
        }
        Ok(relayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_closed() {
        let action = |path: &str, method| {
            let path = format!("api/v1/{path}");
            Question::at(&path, &method).map(|question| question.action)
        };
        assert_eq!(action("query", Method::GET), Some("aps:QueryMetrics"));
        assert_eq!(
            action("query_range", Method::POST),
            Some("aps:QueryMetrics")
        );
        assert_eq!(action("series", Method::POST), Some("aps:GetSeries"));
        assert_eq!(action("labels", Method::GET), Some("aps:GetLabels"));
        assert_eq!(
            action("label/job/values", Method::GET),
            Some("aps:GetLabels")
        );
        assert_eq!(
            action("metadata", Method::GET),
            Some("aps:GetMetricMetadata")
        );
        assert_eq!(action("rules", Method::GET), Some("aps:ListRules"));
        assert_eq!(action("alerts", Method::GET), Some("aps:ListAlerts"));
        for (path, method) in [
            ("query/", Method::GET),
            ("query", Method::DELETE),
            ("label/job/values", Method::POST),
            ("label//values", Method::GET),
            ("label/a/b/values", Method::GET),
            ("metadata", Method::POST),
            ("rules", Method::POST),
            ("status/buildinfo", Method::GET),
            ("query_exemplars", Method::GET),
            ("format_query", Method::GET),
            ("status/config", Method::GET),
            ("remote_write", Method::GET),
            ("", Method::GET),
        ] {
            assert_eq!(action(path, method.clone()), None, "{method} {path}");
        }
    }
}
