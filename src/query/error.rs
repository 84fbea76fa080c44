//! All that a reader hears instead of an answer of AMP's store.
//!
//! In: what went wrong. Out: a status and the JSON of Prometheus' API (`status`, `errorType`, `error`), which Grafana and
//! `promtool` show to people. A reader keeps nothing that could be lost, so unlike a batch's verdict the status is simply
//! the true one: 403 where IAM denies the role, 502 where AMP was not reached or did not take the sidecar's signature,
//! 503 where another try later may do.
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
use crate::remedies::first_hour::AMP_CREDENTIALS;
use crate::remedies::running::{NO_CREDENTIALS, QUERY_BUSY, QUERY_TIMED_OUT};
use crate::sigv4::SigningError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The request can be read in two ways.
    #[error(transparent)]
    AmbiguousHead(#[from] AmbiguousHead),
    /// A page of another site may be behind it.
    #[error(transparent)]
    Foreign(#[from] CrossOrigin),
    /// The reader has no token that is taken here.
    #[error(
        "not authenticated: the request needs `Authorization: Bearer` with a token of --listen-bearer-token-file"
    )]
    ClientUnauthenticated,
    /// Reading is not allowed.
    #[error(
        "queries are disabled: --allow-query (AMP_SIDECAR_ALLOW_QUERY=true) lets every client of this port read the workspace"
    )]
    Off,
    /// The path names no workspace, and there are several.
    #[error(
        "several workspaces are configured: read from /workspaces/<name>/api/v1/… with one of {}",
        .names.join(", ")
    )]
    Ambiguous {
        /// Their names.
        names: Vec<String>,
    },
    /// The path names a workspace that is not configured.
    #[error("no workspace of this name or id is configured here")]
    NoSuchWorkspace,
    /// Another method than those that AMP takes.
    #[error("served here with {}", list(.allowed))]
    Method {
        /// What AMP takes.
        allowed: &'static [Method],
    },
    /// A parameter that cannot be passed on.
    #[error("{0}")]
    Parameter(String),
    /// A query that no URL can hold.
    #[error("the parameters are over {limit} bytes in a URL; send them by POST")]
    LongUrl {
        /// The most.
        limit: usize,
    },
    /// A form that is too large.
    #[error("the form is over {limit} bytes")]
    LargeForm {
        /// The most.
        limit: usize,
    },
    /// A body that is no form.
    #[error("the body must be application/x-www-form-urlencoded, without a Content-Encoding")]
    NoForm,
    /// A form that did not come.
    #[error("the form did not come within {seconds} s")]
    SlowForm {
        /// The time it had.
        seconds: u64,
    },
    /// Too many queries at once.
    #[error("too many queries at once, {limit}")]
    Busy {
        /// The most.
        limit: usize,
    },
    /// There are no usable credentials.
    #[error("no AWS credentials: {0}")]
    NoCredentials(#[source] Unavailable),
    /// The role may not read.
    #[error("the role needs {action} on {workspace_arn}; AMP said: {said}")]
    Denied {
        /// The IAM action.
        action: &'static str,
        /// The workspace.
        workspace_arn: String,
        /// AMP's words.
        said: String,
    },
    /// AMP did not take credentials or signature, not even renewed ones.
    #[error("AMP does not take the credentials: {said}")]
    NotTaken {
        /// AMP's words.
        said: String,
    },
    /// It could not be signed, so it was not sent.
    #[error("not signed, so not sent: {0}")]
    Unsigned(#[source] SigningError),
    /// AMP was not reached.
    #[error("no answer from AMP: {0}")]
    Unreachable(#[source] TransportError),
    /// No answer came in time.
    #[error("no answer from AMP within --query-timeout")]
    TimedOut,
    /// An answer that is larger than any reader is given.
    #[error("AMP's answer is over {limit} bytes; ask for less")]
    LargeAnswer {
        /// The most.
        limit: u64,
    },
    /// An answer that is none of the query API's.
    #[error("AMP answered {status} with something that is no response of the query API: {said}")]
    Unfit {
        /// AMP's status.
        status: StatusCode,
        /// What it was.
        said: String,
    },
    /// AMP's front door refuses, or fails.
    #[error("AMP answered {status}: {said}")]
    Said {
        /// AMP's status.
        status: StatusCode,
        /// AMP's words.
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

// === impl QueryError ===

impl QueryError {
    /// The response to the reader.
    #[must_use]
    pub fn respond(&self) -> Response<Full<Bytes>> {
        let (status, kind) = self.status();
        let error = ApiError {
            status: "error",
            kind,
            error: &self.to_string(),
        };
        // Three strings can always be written.
        let body = serde_json::to_vec(&error).unwrap_or_default();
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

    /// What it is called in the log where it is no doing of the reader's.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => Some("query_busy"),
            Self::NoCredentials(_) => Some("query_no_credentials"),
            Self::Denied { .. } => Some("query_denied"),
            Self::NotTaken { .. } => Some("query_unauthenticated"),
            Self::Unsigned(_) => Some("query_unsigned"),
            Self::Unreachable(_) => Some("query_unreachable"),
            Self::TimedOut => Some("query_timed_out"),
            Self::Unfit { .. } => Some("query_unexpected"),
            Self::Said { status, .. } if status.is_server_error() => Some("query_amp_failing"),
            Self::Said { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => {
                Some("query_throttled")
            }
            Self::AmbiguousHead(_)
            | Self::Foreign(_)
            | Self::ClientUnauthenticated
            | Self::Off
            | Self::Ambiguous { .. }
            | Self::NoSuchWorkspace
            | Self::Method { .. }
            | Self::Parameter(_)
            | Self::LongUrl { .. }
            | Self::LargeForm { .. }
            | Self::NoForm
            | Self::SlowForm { .. }
            | Self::LargeAnswer { .. }
            | Self::Said { .. } => None,
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let row = match self {
            Self::Denied { action, .. } => {
                return Some(format!(
                    "give the role a policy that allows {action}, or AmazonPrometheusQueryAccess"
                ));
            }
            Self::Unreachable(error) => remedy::of_transport(error),
            Self::NoCredentials(_) => NO_CREDENTIALS,
            Self::NotTaken { .. } => AMP_CREDENTIALS,
            Self::Busy { .. } => QUERY_BUSY,
            Self::TimedOut => QUERY_TIMED_OUT,
            Self::AmbiguousHead(_)
            | Self::Foreign(_)
            | Self::ClientUnauthenticated
            | Self::Off
            | Self::Ambiguous { .. }
            | Self::NoSuchWorkspace
            | Self::Method { .. }
            | Self::Parameter(_)
            | Self::LongUrl { .. }
            | Self::LargeForm { .. }
            | Self::NoForm
            | Self::SlowForm { .. }
            | Self::Unsigned(_)
            | Self::LargeAnswer { .. }
            | Self::Unfit { .. }
            | Self::Said { .. } => return None,
        };
        Some(row.remedy.to_owned())
    }

    /// The status, and the `errorType` that Prometheus has for it, where it has one.
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::ClientUnauthenticated => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Off | Self::Ambiguous { .. } | Self::NoSuchWorkspace => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "bad_data"),
            Self::AmbiguousHead(_) | Self::Parameter(_) => (StatusCode::BAD_REQUEST, "bad_data"),
            Self::LongUrl { .. } => (StatusCode::URI_TOO_LONG, "bad_data"),
            Self::LargeForm { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "bad_data"),
            Self::NoForm => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_data"),
            Self::SlowForm { .. } => (StatusCode::REQUEST_TIMEOUT, "timeout"),
            Self::Busy { .. } | Self::NoCredentials(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::Foreign(_) | Self::Denied { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotTaken { .. } | Self::Unreachable(_) | Self::Unfit { .. } => {
                (StatusCode::BAD_GATEWAY, "unavailable")
            }
            Self::Unsigned(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Self::LargeAnswer { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            Self::Said { status, .. } => (*status, kind_of(*status)),
        }
    }
}

/// An answer in JSON.
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
