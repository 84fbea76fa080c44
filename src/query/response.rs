//! AMP's response to a query, and how much of it the client gets.
//!
//! In: the head of a response. Out: [`QueryResponse::Good`], whose body is streamed once [`client_head`] has found it to be
//! JSON; or [`QueryResponse::Bad`], read completely within a limit. An error of the store behind AMP's front door already has
//! the form of its API and is passed on unchanged, status included. Any other error is converted to that form, with its
//! text. Of AMP's headers only content type and encoding are passed on.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};
use serde::Deserialize;

use crate::credentials::RejectionCause;
use crate::net::error::TransportError;
use crate::net::pool::{BoundedBody, Connection, Pool};
use crate::outcome::amp_response::AmpResponse;
use crate::query::error::{QueryError, json};
use crate::query::error_form::ErrorForm;
use crate::query::request::QueryRequest;
use crate::query::stream::{MAX_RESPONSE_BYTES, Streamed};
use crate::sanitize::sanitize;

/// Maximum size of a decompressed error.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// AMP's response.
pub(super) enum QueryResponse {
    /// A 2xx, with only its head read.
    Good(Parts, Incoming, Connection),
    /// Anything else.
    Bad(QueryFailure),
}

/// A response other than 2xx.
pub(super) struct QueryFailure {
    status: StatusCode,
    /// As the write path reads an error of AMP's front door.
    pub(super) reply: AmpResponse,
    /// The body, if it is an error of Prometheus' API.
    api_error: Option<Bytes>,
}

/// The shape of an error of Prometheus' API.
#[derive(Deserialize)]
struct AmpApiError {
    status: String,
    #[serde(rename = "errorType")]
    _kind: String,
    #[serde(rename = "error")]
    _error: String,
}

/// The shapes of an error of Alertmanager's API; AMP's front door sends no code.
#[derive(Deserialize)]
#[serde(untagged)]
enum AlertmanagerError {
    Text(#[expect(dead_code, reason = "only its shape counts")] String),
    Coded {
        #[serde(rename = "code")]
        _code: u32,
        #[serde(rename = "message")]
        _message: String,
    },
}

// === impl QueryResponse ===

impl QueryResponse {
    pub(super) async fn read(
        response: Response<Incoming>,
        connection: Connection,
        pool: &Pool,
        form: ErrorForm,
    ) -> Result<Self, TransportError> {
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Ok(Self::Good(head, body, connection));
        }
        let body = BoundedBody::read(body).await;
        let body = body.map_err(TransportError::Broken)?;
        if body.complete {
            pool.release(connection);
        }
        let bytes = decompressed(body.bytes, head.headers.get(CONTENT_ENCODING));
        let verified = pool.is_verified();
        let reply = AmpResponse::new(head.status, &head.headers, &bytes, verified);
        let is_api_error = match form {
            ErrorForm::Prometheus => serde_json::from_slice::<AmpApiError>(&bytes)
                .is_ok_and(|error| error.status == "error"),
            ErrorForm::Alertmanager => serde_json::from_slice::<AlertmanagerError>(&bytes).is_ok(),
        };
        Ok(Self::Bad(QueryFailure {
            status: head.status,
            reply,
            api_error: is_api_error.then(|| bytes.into()),
        }))
    }
}

// === impl QueryFailure ===

impl QueryFailure {
    /// Why AMP rejected the signature, if it did. The store never does, but its texts may contain anything that a query
    /// contains.
    pub(super) fn refusal(&self) -> Option<RejectionCause> {
        if self.api_error.is_some() || !self.reply.is_unauthenticated() {
            None
        } else if self.reply.is_denied() {
            Some(RejectionCause::Denied)
        } else {
            Some(RejectionCause::Credentials)
        }
    }

    pub(super) fn respond(
        self,
        action: &'static str,
        workspace_arn: &str,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, QueryError> {
        let refusal = self.refusal();
        let said = self.reply.said().to_owned();
        if let Some(body) = self.api_error {
            return Ok(json(self.status, Either::Left(Full::from(body))));
        }
        Err(match refusal {
            Some(RejectionCause::Denied) => QueryError::Denied {
                action,
                workspace_arn: workspace_arn.to_owned(),
                said,
            },
            Some(RejectionCause::Clock | RejectionCause::Credentials) => {
                let unserved = self.reply.is_unserved();
                QueryError::CredentialsRejected { said, unserved }
            }
            None if self.status.is_client_error() || self.status.is_server_error() => {
                QueryError::AmpError {
                    status: self.status,
                    said,
                }
            }
            None => QueryError::UnexpectedResponse {
                status: self.status,
                said,
            },
        })
    }
}

/// The decompressed body of an error, for classification; empty if it cannot be decompressed.
fn decompressed(body: Vec<u8>, encoding: Option<&HeaderValue>) -> Vec<u8> {
    if encoding.is_none_or(|encoding| encoding != "gzip") {
        return body;
    }
    let mut plain = Vec::new();
    let mut unpack = GzDecoder::new(body.as_slice()).take(MAX_ERROR_BYTES);
    match unpack.read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => Vec::new(),
    }
}

/// The response head for the client, if AMP's response is JSON and not too large.
pub(super) fn client_head(
    head: Parts,
    body: &Incoming,
    query_request: &QueryRequest,
) -> Result<Response<()>, QueryError> {
    let unexpected = |what: &str, value: &HeaderValue| QueryError::UnexpectedResponse {
        status: head.status,
        said: format!(
            "{what} {}",
            sanitize(&String::from_utf8_lossy(value.as_bytes()))
        ),
    };
    if body.size_hint().lower() > MAX_RESPONSE_BYTES {
        return Err(QueryError::LargeResponse {
            limit: MAX_RESPONSE_BYTES,
        });
    }
    // A silence that has ended is answered without a body.
    if body.is_end_stream() && query_request.api.changes(&query_request.method) {
        return Ok(json(head.status, ()));
    }
    let none = HeaderValue::from_static("none");
    let kind = head.headers.get(CONTENT_TYPE).unwrap_or(&none);
    let bare = kind.as_bytes().split(|b| *b == b';').next();
    if bare.unwrap_or_default().trim_ascii() != b"application/json" {
        return Err(unexpected("Content-Type", kind));
    }
    let mut result = json(head.status, ());
    match head.headers.get(CONTENT_ENCODING) {
        None => {}
        Some(encoding) if query_request.gzip && encoding == "gzip" => {
            result
                .headers_mut()
                .insert(CONTENT_ENCODING, encoding.clone());
        }
        Some(encoding) => return Err(unexpected("Content-Encoding", encoding)),
    }
    Ok(result)
}
