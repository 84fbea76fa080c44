//! A question, read and bounded.
//!
//! In: an [`Api`] and a reader's request for it. Out: an [`QueryRequest`], or word of what is wrong with it. The URL's parameters are
//! taken apart and written again in the one form that AWS signs: `+` and `%20`, raw and escaped brackets, upper and lower
//! case escapes mean the same to a server and would not mean the same to a signature. Their order stays, since the
//! first of two with one name is the one that counts. A form is passed on byte for byte, as what is signed of it is its
//! hash. Nothing else of the request goes on, no header, no path.

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

/// All but the unreserved characters of RFC 3986, as Signature Version 4 has it.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Half of what a URI can hold here; load balancers take less.
const LONGEST_URL_QUERY: usize = 32 * 1024;
/// A long dashboard query has some KiB.
const LARGEST_FORM: usize = 1 << 20;
/// From head to last byte of a form.
const LONGEST_READ: Duration = Duration::from_secs(30);

/// What AMP is to be asked.
#[derive(Debug)]
pub struct QueryRequest {
    /// Which API.
    pub api: Api,
    /// One that the API takes.
    pub method: Method,
    /// The URL's parameters in canonical form; empty where there are none.
    pub query: String,
    /// The form; empty where there is none.
    pub form: ChunkedBody,
    /// Whether the reader takes a compressed answer.
    pub gzip: bool,
}

/// Why there is nothing to ask.
#[derive(Debug)]
pub enum FormError {
    /// The reader is told.
    Unanswered(QueryError),
    /// The reader is gone.
    Gone,
}

impl From<QueryError> for FormError {
    fn from(why: QueryError) -> Self {
        Self::Unanswered(why)
    }
}

/// Reads a request.
///
/// # Errors
/// [`FormError`].
pub async fn read<B>(api: Api, request: Request<B>) -> Result<QueryRequest, FormError>
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
        if !is_form(&head.headers) {
            return Err(QueryError::NoForm.into());
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
        gzip: takes_gzip(&head.headers),
    })
}

async fn form<B>(body: B) -> Result<Bytes, FormError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let whole = Limited::new(body, LARGEST_FORM).collect();
    match tokio::time::timeout(LONGEST_READ, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(QueryError::LargeForm {
            limit: LARGEST_FORM,
        }
        .into()),
        Ok(Err(_)) => Err(FormError::Gone),
        Err(_) => Err(QueryError::SlowForm {
            seconds: LONGEST_READ.as_secs(),
        }
        .into()),
    }
}

/// Every name and value decoded and encoded again in the one canonical way.
fn canonical(query: &str) -> Result<String, QueryError> {
    let mut written = String::with_capacity(query.len() + query.len() / 4);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        // AWS would take these for a signature in the URL.
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
        if written.len() > LONGEST_URL_QUERY {
            return Err(QueryError::LongUrl {
                limit: LONGEST_URL_QUERY,
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

pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    let kind = kind.map(|kind| kind.split(|b| *b == b';').next().unwrap_or_default());
    let is_form = kind.is_none_or(|kind| {
        kind.trim_ascii()
            .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    is_form && !headers.contains_key(CONTENT_ENCODING)
}

/// `gzip` among those named, and not with a weight of nought.
fn takes_gzip(headers: &HeaderMap) -> bool {
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
