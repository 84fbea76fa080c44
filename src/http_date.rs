//! The `Date` header of an answer (RFC 9110, section 5.6.7), in the one form that a sender may generate.

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::DATE;
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const IMF_FIXDATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// The answer's date, where it has a readable one.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<SystemTime> {
    let text = headers.get(DATE)?.to_str().ok()?;
    PrimitiveDateTime::parse(text, IMF_FIXDATE)
        .ok()
        .map(|date| date.assume_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_example_of_the_rfc() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(
            of(&headers),
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
        );
        for wrong in [
            "",
            "yesterday",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 +0100",
        ] {
            headers.insert(DATE, wrong.parse().unwrap());
            assert_eq!(of(&headers), None, "{wrong}");
        }
    }
}
