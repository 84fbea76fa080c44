//! Every answer that AMP gives, and its form on the wire.
//!
//! Two layers answer, and they speak differently. The AWS layer in front (routes, signatures, permissions, sizes) sends
//! JSON with `x-amzn-ErrorType`, `message` mostly lower case but capital where IAM or AMP itself writes it. The ingest
//! layer behind it is Cortex' and sends plain text that ends in a line feed. Senders and proxies that classify by body
//! meet both. The engine's `-Written` headers stand on whatever it answers to a version 2 batch that it could read, 400,
//! 429 and 500 included.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    answers::plain, forward::ForwardError, query::QueryError, written_stats::WrittenStats,
};
use crate::{iam::Denial, sigv4::SignatureFault};

/// Why a request is not answered with 200.
#[derive(Debug, thiserror::Error)]
pub(super) enum AmpRefusal {
    /// No such path or method; API Gateway answers so, signed or not.
    #[error("Missing Authentication Token")]
    NoRoute,
    /// A header that AMP does not let pass.
    #[error("Forbidden header: {0}")]
    ForbiddenHeader(&'static str),
    #[error("Request Too Long")]
    TooLong,
    /// Too many requests for AWS' front door.
    #[error("Rate exceeded")]
    Throttled,
    #[error(transparent)]
    Signature(#[from] SignatureFault),
    #[error("{}", .denial.message(.user, .action, .resource))]
    NotAllowed {
        user: String,
        action: &'static str,
        resource: String,
        denial: Denial,
    },
    #[error("Workspace not found")]
    NoWorkspace,
    #[error("{0}")]
    UnsupportedMedia(String),
    /// Neither snappy nor protobuf, or a schema's own rules broken: nothing of it was stored.
    #[error("{0}")]
    Malformed(String),
    /// What the engine answers once it has read the request. With a 400 of its own it stores the good samples.
    #[error("{message}")]
    Engine {
        status: StatusCode,
        message: String,
        written: Option<WrittenStats>,
    },
    /// The copy for the real Prometheus did not arrive.
    #[error("Internal server error: {0}")]
    Forward(#[from] ForwardError),
    /// There is no answer from the real Prometheus.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// A batch is stored: an empty body.
pub(super) fn accepted(status: StatusCode, written: Option<WrittenStats>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    push_written(response.headers_mut(), written);
    response
}

// === impl AmpRefusal ===

impl AmpRefusal {
    pub(super) fn into_response(self) -> Response<Bytes> {
        let text = self.to_string();
        match self {
            Self::NoRoute => json(
                StatusCode::FORBIDDEN,
                "MissingAuthenticationTokenException",
                "message",
                &text,
            ),
            Self::ForbiddenHeader(_) => json(
                StatusCode::FORBIDDEN,
                "ForbiddenException",
                "message",
                &text,
            ),
            Self::TooLong => json(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLargeException",
                "message",
                &text,
            ),
            Self::Throttled => json(
                StatusCode::TOO_MANY_REQUESTS,
                "ThrottlingException",
                "message",
                &text,
            ),
            Self::Signature(fault) => {
                let (status, kind) = fault.kind();
                json(status, kind, "message", &text)
            }
            Self::NotAllowed { .. } => json(
                StatusCode::FORBIDDEN,
                "AccessDeniedException",
                "Message",
                &text,
            ),
            Self::NoWorkspace => json(
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                "Message",
                &text,
            ),
            Self::Forward(_) => json(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerException",
                "message",
                &text,
            ),
            Self::Query(QueryError::Call(_)) => json(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerException",
                "message",
                &text,
            ),
            Self::Query(
                QueryError::NoPrometheus | QueryError::NoAlertmanager | QueryError::NoApi(_),
            ) => json(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplementedException",
                "message",
                &text,
            ),
            Self::UnsupportedMedia(_) => plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text),
            Self::Malformed(_) => plain(StatusCode::BAD_REQUEST, &text),
            Self::Engine {
                status, written, ..
            } => {
                let mut response = plain(status, &text);
                push_written(response.headers_mut(), written);
                response
            }
        }
    }
}

fn json(status: StatusCode, kind: &'static str, key: &str, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(serde_json::json!({ key: message }).to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
    response
}

fn push_written(headers: &mut HeaderMap, written: Option<WrittenStats>) {
    let Some(written) = written else { return };
    headers.insert(
        "x-prometheus-remote-write-samples-written",
        written.samples.into(),
    );
    headers.insert(
        "x-prometheus-remote-write-histograms-written",
        written.histograms.into(),
    );
    headers.insert(
        "x-prometheus-remote-write-exemplars-written",
        written.exemplars.into(),
    );
}
