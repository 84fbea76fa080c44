//! Every error response to a query, except those of AMP's store.
//!
//! In: what went wrong. Out: a status and the JSON of Prometheus' API (`status`, `errorType`, `error`) or of Alertmanager's
//! (`code`, `message`; for 400 and 500 a string), which Grafana, `promtool` and `amtool` show to people. A query client holds no data that could be lost, so unlike a batch's verdict the status is simply
//! the true one: 403 if IAM denies the role, 502 if AMP is unreachable or rejects the signature, 503 if a retry may succeed.
#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use crate::credentials::Unavailable;
use crate::http::browser::CrossOrigin;
use crate::http::head::AmbiguousHead;
use crate::net::error::TransportError;
use crate::outcome::remedy;
use crate::query::error_form::ErrorForm;
use crate::remedies::Advice;
use crate::remedies::policies::{Denial, missing};
use crate::remedies::running::{NO_CREDENTIALS, QUERY_BUSY, QUERY_DENIED, QUERY_TIMED_OUT};
use crate::sigv4::SigningError;

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Two HTTP parsers could read the request differently.
    #[error(transparent)]
    AmbiguousHead(#[from] AmbiguousHead),
    /// A page of another site may have caused the request.
    #[error(transparent)]
    CrossOrigin(#[from] CrossOrigin),
    /// The client has no valid bearer token.
    #[error(
        "not authenticated: the request needs `Authorization: Bearer` with a token of --listen-bearer-token-file"
    )]
    ClientUnauthenticated,
    #[error(
        "queries are disabled: --allow-query (AMP_SIDECAR_ALLOW_QUERY=true) lets every client of this port read the workspace"
    )]
    Disabled,
    #[error(
        "the Alertmanager is not served: --allow-alertmanager (AMP_SIDECAR_ALLOW_ALERTMANAGER) with read or silence lets every client of this port use it"
    )]
    AlertmanagerDisabled,
    /// A change where only reading is allowed.
    #[error(
        "--allow-alertmanager is read: creating and ending silences needs --allow-alertmanager silence"
    )]
    ReadOnly,
    /// The path names no workspace, and several are configured.
    #[error(
        "several workspaces are configured: read from /workspaces/<name>/api/v1/… with one of {}",
        .names.join(", ")
    )]
    Ambiguous {
        /// The names of the configured workspaces.
        names: Vec<String>,
    },
    /// The path names a workspace that is not configured.
    #[error("no workspace of this name or id is configured here")]
    NoSuchWorkspace,
    /// Prometheus has this API, and AMP has not.
    #[error("AMP has no API {api}")]
    NotInAmp {
        /// The API's name.
        api: &'static str,
    },
    /// A method that AMP does not accept for this API.
    #[error("allowed methods: {}", list(.allowed))]
    Method {
        /// The accepted methods.
        allowed: &'static [Method],
    },
    /// A parameter that cannot be forwarded, in words.
    #[error("{0}")]
    Parameter(String),
    /// The parameters do not fit into a URL.
    #[error("the parameters are over {limit} bytes in a URL; use POST")]
    LongUrl {
        /// Maximum length in bytes.
        limit: usize,
    },
    /// The form is too large.
    #[error("the form is over {limit} bytes")]
    LargeForm {
        /// Maximum size in bytes.
        limit: usize,
    },
    /// The body is of another type, or compressed.
    #[error("the body must be {expected}, without a Content-Encoding")]
    BodyType {
        /// The content type.
        expected: &'static str,
    },
    /// The form did not arrive in time.
    #[error("the form did not arrive within {seconds} s")]
    SlowForm {
        /// The timeout.
        seconds: u64,
    },
    /// All slots and waiting places are taken.
    #[error("too many queries at once; the limit is {limit}")]
    Busy {
        /// Active and waiting queries together.
        limit: usize,
    },
    /// There are no usable credentials.
    #[error(transparent)]
    NoCredentials(Unavailable),
    /// IAM does not allow the role to query.
    #[error("{}; AMP said: {said}", missing(.said, .action, .workspace_arn))]
    Denied {
        /// The IAM action.
        action: &'static str,
        workspace_arn: String,
        /// AMP's error text.
        said: String,
    },
    /// AMP rejected the credentials or the signature, even after a refresh.
    #[error("AMP does not take the credentials: {said}")]
    CredentialsRejected {
        /// AMP's error text.
        said: String,
        /// Whether AMP has no such path.
        unserved: bool,
    },
    /// The request could not be signed, so it was not sent.
    #[error("not signed, so not sent: {0}")]
    Unsigned(#[source] SigningError),
    /// AMP did not respond.
    #[error("no answer from AMP: {0}")]
    Unreachable(#[source] TransportError),
    /// No response within the query timeout.
    #[error("no answer from AMP within --query-timeout")]
    TimedOut,
    /// The response is too large.
    #[error("AMP's response is over {limit} bytes; narrow the query")]
    LargeResponse {
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The response is not one of the query API.
    #[error("AMP responded {status}, but not with a response of the query API: {said}")]
    UnexpectedResponse {
        status: StatusCode,
        /// What the response has instead.
        said: String,
    },
    /// An error of AMP's front door.
    #[error("AMP responded {status}: {said}")]
    AmpError {
        status: StatusCode,
        /// AMP's error text.
        said: String,
    },
}

#[derive(Serialize)]
struct ApiError<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    kind: &'a str,
    error: &'a str,
}

#[derive(Serialize)]
struct CodedError<'a> {
    code: u16,
    message: &'a str,
}

// === impl QueryError ===

impl QueryError {
    /// Neither of the APIs is served.
    #[must_use]
    pub fn off(form: ErrorForm) -> Self {
        match form {
            ErrorForm::Prometheus => Self::Disabled,
            ErrorForm::Alertmanager => Self::AlertmanagerDisabled,
        }
    }

    /// The response to the client.
    #[must_use]
    pub fn respond(&self, form: ErrorForm) -> Response<Full<Bytes>> {
        let (status, kind) = self.status();
        let text = self.to_string();
        let body = match (form, status.as_u16()) {
            (ErrorForm::Prometheus, _) => serde_json::to_vec(&ApiError {
                status: "error",
                kind,
                error: &text,
            }),
            (ErrorForm::Alertmanager, 400 | 500) => serde_json::to_vec(&text),
            (ErrorForm::Alertmanager, code) => serde_json::to_vec(&CodedError {
                code,
                message: &text,
            }),
        };
        // Serializing strings and a number cannot fail.
        let body = body.unwrap_or_default();
        let mut response = json(status, Full::from(body));
        if matches!(self, Self::ClientUnauthenticated) {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        if let Self::Method { allowed } = self
            && let Ok(allowed) = HeaderValue::try_from(list(allowed))
        {
            response.headers_mut().insert(ALLOW, allowed);
        }
        response
    }

    /// The incident's name in the log; `None` if the client caused the error.
    #[must_use]
    pub fn incident(&self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => Some("query_busy"),
            Self::NoCredentials(_) => Some("query_no_credentials"),
            Self::Denied { .. } => Some("query_denied"),
            Self::CredentialsRejected { .. } => Some("query_unauthenticated"),
            Self::Unsigned(_) => Some("query_unsigned"),
            Self::Unreachable(_) => Some("query_unreachable"),
            Self::TimedOut => Some("query_timed_out"),
            Self::UnexpectedResponse { .. } => Some("query_unexpected"),
            Self::AmpError { status, .. } if status.is_server_error() => Some("query_amp_failing"),
            Self::AmpError { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => {
                Some("query_throttled")
            }
            Self::AmbiguousHead(_)
            | Self::CrossOrigin(_)
            | Self::ClientUnauthenticated
            | Self::Disabled
            | Self::AlertmanagerDisabled
            | Self::ReadOnly
            | Self::Ambiguous { .. }
            | Self::NoSuchWorkspace
            | Self::NotInAmp { .. }
            | Self::Method { .. }
            | Self::Parameter(_)
            | Self::LongUrl { .. }
            | Self::LargeForm { .. }
            | Self::BodyType { .. }
            | Self::SlowForm { .. }
            | Self::LargeResponse { .. }
            | Self::AmpError { .. } => None,
        }
    }

    /// What to do about it, if known.
    #[must_use]
    pub fn remedy(&self) -> Option<Advice> {
        let row = match self {
            Self::Denied { action, said, .. } => match Denial::of(said) {
                Some(denial) => denial.row,
                None => {
                    // The managed policy allows these four alone.
                    let managed = match *action {
                        "aps:QueryMetrics"
                        | "aps:GetSeries"
                        | "aps:GetLabels"
                        | "aps:GetMetricMetadata" => ", or AmazonPrometheusQueryAccess",
                        _ => "",
                    };
                    return Some(Advice::from(QUERY_DENIED).here(format!(
                        "attach a policy that allows {action} to the role{managed}"
                    )));
                }
            },
            Self::Unreachable(error) => return Some(remedy::of_transport(error)),
            Self::NoCredentials(why) => {
                let here = why.remedy().unwrap_or_default();
                return Some(Advice::from(NO_CREDENTIALS).here(here));
            }
            Self::CredentialsRejected { said, unserved } => remedy::of_rejection(said, *unserved),
            Self::Busy { .. } => QUERY_BUSY,
            Self::TimedOut => QUERY_TIMED_OUT,
            Self::AmbiguousHead(_)
            | Self::CrossOrigin(_)
            | Self::ClientUnauthenticated
            | Self::Disabled
            | Self::AlertmanagerDisabled
            | Self::ReadOnly
            | Self::Ambiguous { .. }
            | Self::NoSuchWorkspace
            | Self::NotInAmp { .. }
            | Self::Method { .. }
            | Self::Parameter(_)
            | Self::LongUrl { .. }
            | Self::LargeForm { .. }
            | Self::BodyType { .. }
            | Self::SlowForm { .. }
            | Self::Unsigned(_)
            | Self::LargeResponse { .. }
            | Self::UnexpectedResponse { .. }
            | Self::AmpError { .. } => return None,
        };
        Some(row.into())
    }

    /// The status, with Prometheus' `errorType` for it or the closest one.
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::ClientUnauthenticated => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Disabled
            | Self::AlertmanagerDisabled
            | Self::Ambiguous { .. }
            | Self::NoSuchWorkspace
            | Self::NotInAmp { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "bad_data"),
            Self::AmbiguousHead(_) | Self::Parameter(_) => (StatusCode::BAD_REQUEST, "bad_data"),
            Self::LongUrl { .. } => (StatusCode::URI_TOO_LONG, "bad_data"),
            Self::LargeForm { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "bad_data"),
            Self::BodyType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_data"),
            Self::SlowForm { .. } => (StatusCode::REQUEST_TIMEOUT, "timeout"),
            Self::Busy { .. } | Self::NoCredentials(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::CrossOrigin(_) | Self::Denied { .. } | Self::ReadOnly => {
                (StatusCode::FORBIDDEN, "forbidden")
            }
            Self::CredentialsRejected { .. }
            | Self::Unreachable(_)
            | Self::UnexpectedResponse { .. } => (StatusCode::BAD_GATEWAY, "unavailable"),
            Self::Unsigned(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Self::LargeResponse { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            Self::AmpError { status, .. } => (*status, kind_of(*status)),
        }
    }
}

pub(super) fn json<B>(status: StatusCode, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn kind_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        404 => "not_found",
        408 | 504 => "timeout",
        422 => "execution",
        429 => "too_many_requests",
        400..=499 => "bad_data",
        500 => "internal",
        _ => "unavailable",
    }
}

fn list(methods: &[Method]) -> String {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(", ")
}
