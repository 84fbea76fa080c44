//! The `Date` header of an answer (RFC 9110, section 6.6.1).

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::DATE;

/// The answer's date, where it has a readable one.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}
