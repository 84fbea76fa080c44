//! Times as remote write has them: milliseconds since 1970.

use std::time::SystemTime;

/// 0 for whatever is before 1970.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
