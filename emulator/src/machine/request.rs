//! What both metadata servers look for in a request.

use bytes::Bytes;
use http::Request;

/// Whether the request has this header with this value, which is to show that it was meant.
pub(super) fn is_meant(request: &Request<Bytes>, name: &str, value: &str) -> bool {
    let headers = request.headers();
    let meant = headers.get(name).and_then(|found| found.to_str().ok());
    meant.is_some_and(|found| found.eq_ignore_ascii_case(value))
        && !headers.contains_key("x-forwarded-for")
}

/// A parameter of the query that is there and not empty.
pub(super) fn parameter(request: &Request<Bytes>, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .find(|(known, value)| known == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}
