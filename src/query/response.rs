//! What AMP answered a query, and what of it the reader is given.
//!
//! In: the head of an answer. Out: [`QueryResponse::Good`], whose body is streamed once [`fit`] has found it to be JSON; or
//! [`QueryResponse::QueryFailure`], read whole and bounded. An error of the store behind AMP's front door is already in the form of
//! Prometheus' API and is passed on as it is, status included; whatever else comes, from the front door or from nowhere that is
//! known, is put into that form with AMP's words in it. Of AMP's headers only content type and encoding are passed on.

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
use crate::query::api::Api;
use crate::query::error::{QueryError, json};
use crate::query::stream::{LARGEST_ANSWER, Streamed};
use crate::sanitize::sanitize;

/// As much as is read of an error that is not compressed.
const LARGEST_ERROR: u64 = 64 * 1024;

/// AMP's answer.
pub(super) enum QueryResponse {
    /// A 2xx, of which only the head was read.
    Good(Parts, Incoming, Connection),
    /// Anything else.
    Bad(QueryFailure),
}

/// An answer that is no 2xx.
pub(super) struct QueryFailure {
    status: StatusCode,
    /// What AMP's front door says by it.
    pub(super) reply: AmpResponse,
    /// Where it is an error of the API.
    api_error: Option<Bytes>,
}

/// What makes a body an error of Prometheus' API.
#[derive(Deserialize)]
struct AmpApiError {
    status: String,
    #[serde(rename = "errorType")]
    _kind: String,
    #[serde(rename = "error")]
    _error: String,
}

// === impl Answer ===

impl QueryResponse {
    pub(super) async fn read(
        response: Response<Incoming>,
        connection: Connection,
        pool: &Pool,
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
        let bytes = unpacked(body.bytes, head.headers.get(CONTENT_ENCODING));
        let verified = pool.is_verified();
        let reply = AmpResponse::new(head.status, &head.headers, &bytes, verified);
        let is_api_error = serde_json::from_slice::<AmpApiError>(&bytes)
            .is_ok_and(|error| error.status == "error");
        Ok(Self::Bad(QueryFailure {
            status: head.status,
            reply,
            api_error: is_api_error.then(|| bytes.into()),
        }))
    }
}

// === impl Bad ===

impl QueryFailure {
    /// Whether AMP did not take the signature. The store never says so, but its words may hold anything a query holds.
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
        api: &Api,
        workspace_arn: &str,
    ) -> Result<Response<Either<Full<Bytes>, Streamed>>, QueryError> {
        let refusal = self.refusal();
        let said = self.reply.said().to_owned();
        if let Some(body) = self.api_error {
            return Ok(json(self.status, Either::Left(Full::from(body))));
        }
        Err(match refusal {
            Some(RejectionCause::Denied) => QueryError::Denied {
                action: api.action(),
                workspace_arn: workspace_arn.to_owned(),
                said,
            },
            Some(RejectionCause::Clock | RejectionCause::Credentials) => {
                QueryError::NotTaken { said }
            }
            None if self.status.is_client_error() || self.status.is_server_error() => {
                QueryError::Said {
                    status: self.status,
                    said,
                }
            }
            None => QueryError::Unfit {
                status: self.status,
                said,
            },
        })
    }
}

/// An error's body, of which a judgement has to be made; what cannot be unpacked is none of the API's.
fn unpacked(body: Vec<u8>, encoding: Option<&HeaderValue>) -> Vec<u8> {
    if encoding.is_none_or(|encoding| encoding != "gzip") {
        return body;
    }
    let mut plain = Vec::new();
    let mut unpack = GzDecoder::new(body.as_slice()).take(LARGEST_ERROR);
    match unpack.read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => Vec::new(),
    }
}

/// The head that the reader is given, where the answer is JSON and not too large.
pub(super) fn fit(head: Parts, body: &Incoming, gzip: bool) -> Result<Response<()>, QueryError> {
    let unfit = |what: &str, value: &HeaderValue| QueryError::Unfit {
        status: head.status,
        said: format!(
            "{what} {}",
            sanitize(&String::from_utf8_lossy(value.as_bytes()))
        ),
    };
    if body.size_hint().lower() > LARGEST_ANSWER {
        return Err(QueryError::LargeAnswer {
            limit: LARGEST_ANSWER,
        });
    }
    let none = HeaderValue::from_static("none");
    let kind = head.headers.get(CONTENT_TYPE).unwrap_or(&none);
    let bare = kind.as_bytes().split(|b| *b == b';').next();
    if bare.unwrap_or_default().trim_ascii() != b"application/json" {
        return Err(unfit("Content-Type", kind));
    }
    let mut given = json(head.status, ());
    match head.headers.get(CONTENT_ENCODING) {
        None => {}
        Some(encoding) if gzip && encoding == "gzip" => {
            given
                .headers_mut()
                .insert(CONTENT_ENCODING, encoding.clone());
        }
        Some(encoding) => return Err(unfit("Content-Encoding", encoding)),
    }
    Ok(given)
}
