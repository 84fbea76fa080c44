//! Times as remote write has them: milliseconds since 1970, and spans in milliseconds.

use std::time::{Duration, SystemTime};

pub(super) fn unix_ms(moment: SystemTime) -> i64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).map(millis);
    since.unwrap_or_else(|before| -millis(before.duration()))
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
