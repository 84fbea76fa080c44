//! The response to the sender.
//!
//! In: a [`Verdict`]. Out: a status that makes the sender keep the batch or drop it, as the verdict says, with what happened and
//! what to do about it as text. The match has no wildcard arm: a new verdict does not compile before its status is decided.
#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

use crate::outcome::remedy;
use crate::outcome::verdict::Verdict;

/// A longer pause would keep newer Prometheus silent past the end of an outage.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The response to the sender.
#[derive(Debug)]
pub enum SenderResponse {
    Respond(Response<Full<Bytes>>),
    /// Closes the connection without a response, after which every sender retries.
    Close,
}

// === impl Verdict ===

impl Verdict {
    #[must_use]
    pub fn answer(&self) -> SenderResponse {
        let Some((status, pause)) = self.status() else {
            return SenderResponse::Close;
        };
        let mut response = if self.is_stored() {
            Response::new(Full::default())
        } else {
            explained(status, pause, self)
        };
        *response.status_mut() = status;
        if let Some(written) = self.written() {
            let named = written.headers();
            let named = named.map(|(name, value)| (name.clone(), value.clone()));
            response.headers_mut().extend(named);
        }
        SenderResponse::Respond(response)
    }

    /// Whether the sender keeps the batch and sends it again.
    #[must_use]
    pub fn is_retried(&self) -> bool {
        let status = self.status();
        status.is_none_or(|(status, _)| status.is_server_error())
    }

    /// The status and the `Retry-After`; `None` if the connection is closed.
    fn status(&self) -> Option<(StatusCode, Option<Duration>)> {
        let again = StatusCode::SERVICE_UNAVAILABLE;
        Some(match self {
            Self::Stored { status, .. } | Self::Deduplicated { status, .. } => (*status, None),
            Self::SlowSender | Self::SenderGone => return None,
            Self::Unfinished { why, .. } => return why.status(),

            Self::NoCredentials { .. }
            | Self::Unauthenticated { .. }
            | Self::AccessDenied { .. }
            | Self::WorkspaceNotFound { .. }
            | Self::Unexpected { .. }
            | Self::Unreachable(_)
            | Self::Unsigned { .. }
            | Self::Overloaded
            | Self::ClientUnauthenticated
            | Self::CrossOrigin(_)
            | Self::AmbiguousPath { .. }
            | Self::WorkspaceNotConfigured(_)
            | Self::Misdirected { .. } => (again, None),
            Self::Throttled { pause, .. } => (again, Some(pause.unwrap_or(Duration::from_secs(1)))),
            Self::AmpFailing { status, pause, .. } => (*status, *pause),

            Self::SeriesLimit { .. }
            | Self::Refused { .. }
            | Self::Poison { .. }
            | Self::Malformed(_)
            | Self::AmbiguousHead(_) => (StatusCode::BAD_REQUEST, None),
            Self::RefusedOther { status, .. } => (*status, None),
            Self::TooLargeForAmp { .. } | Self::TooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, None)
            }
            Self::UnsupportedMedia { .. } | Self::ProtocolProbe => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, None)
            }
            Self::NoSuchPath => (StatusCode::NOT_FOUND, None),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, None),
        })
    }
}

fn explained(
    status: StatusCode,
    pause: Option<Duration>,
    verdict: &Verdict,
) -> Response<Full<Bytes>> {
    let text = match remedy::of_verdict(verdict) {
        None => format!("{verdict}\n"),
        Some(remedy) => format!("{verdict}; {remedy}\n"),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if let Some(pause) = pause {
        // Whole seconds, at least one: 0 means the same as no header.
        let seconds = pause
            .clamp(Duration::from_secs(1), MAX_RETRY_AFTER)
            .as_secs();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
