//! What clients of Prometheus ask for, and AMP does not have.
//!
//! In: the part of a request path after `/api/v1/`. Out: a response that is made here; nothing is sent to AMP. Grafana reads the
//! build information to learn whom it talks to: it takes a 404 for Cortex, and then looks for an API that edits rules; from an
//! answer without `features` it learns that rules can only be read. The version is left empty, because AMP publishes none.
//! The other two get a 404 in the form of Prometheus' API, from which Grafana learns that there are no exemplars.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Response, StatusCode};

use crate::query::error::{QueryError, json};

/// Every field of Prometheus 2.42.
const BUILD_INFO: &str = r#"{"status":"success","data":{"version":"","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":""}}"#;

/// A query API of Prometheus that AMP does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalApi {
    /// Version of the server.
    BuildInfo,
    /// Exemplars by expression.
    QueryExemplars,
    /// An expression, formatted.
    FormatQuery,
}

// === impl LocalApi ===

impl LocalApi {
    /// The API at this path below `/api/v1/`.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "status/buildinfo" => Self::BuildInfo,
            "query_exemplars" => Self::QueryExemplars,
            "format_query" => Self::FormatQuery,
            _ => return None,
        })
    }

    /// The value of the metrics' label `api`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BuildInfo => "buildinfo",
            Self::QueryExemplars => "query_exemplars",
            Self::FormatQuery => "format_query",
        }
    }

    /// The methods that Prometheus accepts.
    #[must_use]
    pub fn methods(self) -> &'static [Method] {
        match self {
            Self::BuildInfo => &[Method::GET],
            Self::QueryExemplars | Self::FormatQuery => &[Method::GET, Method::POST],
        }
    }

    pub(super) fn respond(self) -> Result<Response<Full<Bytes>>, QueryError> {
        match self {
            Self::BuildInfo => Ok(json(StatusCode::OK, Full::from(BUILD_INFO))),
            Self::QueryExemplars | Self::FormatQuery => {
                Err(QueryError::NotInAmp { api: self.name() })
            }
        }
    }
}
