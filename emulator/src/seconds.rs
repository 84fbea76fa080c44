//! Durations as JSON numbers of seconds, for `#[serde(with = "seconds")]`.
//!
//! Fractions are allowed; what is negative or no number is refused. Not serde's own form of a `Duration`, two fields that
//! nobody types by hand.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
}

pub(crate) mod optional {
    use super::{Deserialize as _, Deserializer, Duration, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        use serde::de::Error as _;
        Option::<f64>::deserialize(from)?
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(D::Error::custom)
    }
}
