//! Times as `/status.json` gives them.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::clock::Stamp;

/// In seconds; a time of the day tells no more than this.
const DAY: i64 = 24 * 60 * 60;

/// A time, and how far it is ahead of the present by the clock that decides; negative where it is past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

    /// Something that happened: how long ago does not depend on the clock, which may have been set since.
    pub(super) fn past(stamp: Stamp) -> Self {
        let ago = i64::try_from(stamp.instant.elapsed().as_secs());
        Self {
            at: rfc3339(stamp.wall),
            in_seconds: -ago.unwrap_or(i64::MAX),
        }
    }
}

impl Moment {
    /// The time of the day in UTC; with the date, if that is another day.
    pub(super) fn time(&self) -> &str {
        let is_short = self.in_seconds > -DAY;
        let time = if is_short { self.at.get(11..19) } else { None };
        time.unwrap_or(&self.at)
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
