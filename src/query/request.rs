//! Reads and checks a query request.
//!
//! In: an [`Api`] and a client's request for it. Out: a [`QueryRequest`], or a [`ReadError`]. The URL's parameters are decoded
//! and encoded again in the one form that AWS signs: `+` and `%20`, raw and escaped brackets, upper-case and lower-case escapes
//! are equal to a server but not to a signature. Their order is kept, because the first of two equal names counts. A form, or a silence,
//! is forwarded byte for byte, because only its hash is signed. Nothing else of the request is forwarded: no header, no path.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{HeaderMap, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::http::body::ChunkedBody;
use crate::query::api::Api;
use crate::query::error::QueryError;
use crate::sanitize::sanitize;

/// Everything except the unreserved characters of RFC 3986, as Signature Version 4 requires.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Half of what a URI can hold here; load balancers accept less.
const MAX_QUERY_BYTES: usize = 32 * 1024;
/// A long dashboard query has a few KiB.
const MAX_FORM_BYTES: usize = 1 << 20;
/// Time from the request head to the last byte of the form.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A query in the form in which it is signed.
#[derive(Debug)]
pub struct QueryRequest {
    pub api: Api,
    /// One that the API accepts.
    pub method: Method,
    /// The URL's parameters in canonical form; empty if there are none.
    pub query: String,
    /// The form; empty if there is none.
    pub form: ChunkedBody,
    /// Whether the client accepts a compressed response.
    pub gzip: bool,
}

impl QueryRequest {
    /// The IAM action that the role needs on the workspace.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.api.action(&self.method)
    }
}

/// Why a request could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The client gets this error.
    Query(QueryError),
    /// The client closed the connection.
    Gone,
}

impl From<QueryError> for ReadError {
    fn from(why: QueryError) -> Self {
        Self::Query(why)
    }
}

/// Reads a request.
pub async fn read<B>(api: Api, request: Request<B>) -> Result<QueryRequest, ReadError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let allowed = api.methods();
    if !allowed.contains(&head.method) {
        return Err(QueryError::Method { allowed }.into());
    }
    let query = canonical(head.uri.query().unwrap_or_default())?;
    let chunks = if head.method == Method::POST {
        let expected = api.body_type();
        if !has_type(&head.headers, expected) {
            return Err(QueryError::BodyType { expected }.into());
        }
        vec![form(body).await?]
    } else {
        Vec::new()
    };
    Ok(QueryRequest {
        api,
        method: head.method,
        query,
        form: ChunkedBody::new(chunks),
        gzip: accepts_gzip(&head.headers),
    })
}

async fn form<B>(body: B) -> Result<Bytes, ReadError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let whole = Limited::new(body, MAX_FORM_BYTES).collect();
    match tokio::time::timeout(READ_TIMEOUT, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(QueryError::LargeForm {
            limit: MAX_FORM_BYTES,
        }
        .into()),
        Ok(Err(_)) => Err(ReadError::Gone),
        Err(_) => Err(QueryError::SlowForm {
            seconds: READ_TIMEOUT.as_secs(),
        }
        .into()),
    }
}

/// Decodes every name and value and encodes it in the canonical way.
fn canonical(query: &str) -> Result<String, QueryError> {
    let mut written = String::with_capacity(query.len() + query.len() / 4);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        // AWS would read these as a signature in the URL.
        if name.to_ascii_lowercase().starts_with("x-amz-") {
            let what = format!("parameter {} belongs to a signature", sanitize(&name));
            return Err(QueryError::Parameter(what));
        }
        if !written.is_empty() {
            written.push('&');
        }
        written.extend(utf8_percent_encode(&name, ESCAPED));
        written.push('=');
        written.extend(utf8_percent_encode(&value, ESCAPED));
        if written.len() > MAX_QUERY_BYTES {
            return Err(QueryError::LongUrl {
                limit: MAX_QUERY_BYTES,
            });
        }
    }
    Ok(written)
}

fn decoded(text: &str) -> Result<String, QueryError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded
        .map_err(|_| QueryError::Parameter(format!("parameter {} is not UTF-8", sanitize(text))))?;
    Ok(decoded.into_owned())
}

/// Whether a body without a type of its own, or with this one, was sent uncompressed.
pub(crate) fn has_type(headers: &HeaderMap, expected: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    let kind = kind.map(|kind| kind.split(|b| *b == b';').next().unwrap_or_default());
    let fits = kind.is_none_or(|kind| kind.trim_ascii().eq_ignore_ascii_case(expected.as_bytes()));
    fits && !headers.contains_key(CONTENT_ENCODING)
}

/// `gzip` is listed, and its weight is not 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = weight.trim().trim_start_matches("q=").parse::<f32>();
            name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
        })
}

#[cfg(test)]
mod tests;
