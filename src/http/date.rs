//! The `Date` header of a response (RFC 9110, section 6.6.1).

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::DATE;

/// The response's date; `None` if it is missing or invalid.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}
