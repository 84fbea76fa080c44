//! Times as `/status.json` gives them.

use std::time::{Duration, SystemTime};

use serde::Serialize;

/// A time, and how far it is ahead of the present by the clock that decides; negative where it is past.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Moment {
    at: String,
    in_seconds: i64,
}

impl Moment {
    pub(super) fn of(time: SystemTime, now: SystemTime) -> Self {
        Self {
            at: rfc3339(time),
            in_seconds: seconds_until(time, now),
        }
    }
}

/// In whole seconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = seconds_until(time, SystemTime::UNIX_EPOCH);
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| {
        let format = &time::format_description::well_known::Rfc3339;
        time.format(format).ok()
    })
    .unwrap_or_default()
}

/// How long until a time, in seconds; negative where it is past.
#[must_use]
pub(super) fn seconds_until(time: SystemTime, now: SystemTime) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(now) {
        Ok(ahead) => whole(ahead),
        Err(behind) => -whole(behind.duration()),
    }
}
