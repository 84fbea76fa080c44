//! Opens a payload: replaces it by smaller or converted payloads.
//!
//! In: a [`Payload`] and an [`Opening`]. Out: the payloads to send instead, or the [`Single`] series that the payload holds.
//! The work runs on a blocking thread within reserved budget. The same payload is always opened in the same way.

use std::pin::pin;

use crate::batch::deliver::attempt::Attempt;
use crate::batch::deliver::progress::Opening;
use crate::outcome::verdict::{RefusalReason, Verdict};
use crate::remote_write::content_type::WriteProtocol;
use crate::remote_write::convert::{self, ConvertError};
use crate::remote_write::inspect::{self, Version};
use crate::remote_write::payload::Payload;
use crate::remote_write::split::{self, Part, SeriesIdentity};
use crate::remote_write::written_stats::WrittenStats;
use crate::sanitize::sanitize_within;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::timings::{PhaseTimings, time};

/// The result of opening a payload.
pub(super) enum Opened {
    Parts(Vec<Payload>),
    /// Nothing: the payload cannot be halved.
    Single(Single),
}

/// A payload that cannot be halved: a single series or metadata entry.
pub(super) struct Single {
    /// For people, such as `series up`.
    pub(super) what: String,
    /// Equal for equal labels.
    pub(super) hash: Option<u64>,
}

// === impl Single ===

impl Single {
    fn of(message: &[u8], version: Version) -> Self {
        let named = |name: &str| sanitize_within(name, 256);
        match split::first_identity(message, version) {
            Ok(Some(SeriesIdentity::Series { name, hash })) => Self {
                what: format!("series {}", named(&name)),
                hash: Some(hash),
            },
            Ok(Some(SeriesIdentity::Metadata { family })) => Self {
                what: format!("metadata of {}", named(&family)),
                hash: None,
            },
            Ok(None) | Err(_) => Self {
                what: "a batch without series".to_owned(),
                hash: None,
            },
        }
    }
}

/// What a payload is opened into, with the budget for it.
pub(super) async fn open(
    payload: &Payload,
    opening: Opening,
    timings: &mut PhaseTimings,
    this: &Attempt<'_>,
    metrics: &WorkspaceMetrics,
) -> Result<Opened, Verdict> {
    let cannot = |said: String| Verdict::TooLargeForAmp {
        said,
        written: WrittenStats::default(),
    };
    // Its parts are counted as they are made.
    payload.contents.require_exact();
    let body = payload.chunks.contiguous().into_owned();
    let unpacked = inspect::unpacked_len(&body).map_err(Verdict::Malformed)?;
    // The body and its copy, the parts and their bodies, the message, and up to one rewritten copy of it.
    let room = body
        .len()
        .saturating_mul(4)
        .saturating_add(unpacked.saturating_mul(2));
    let largest_v1 = {
        let mut admitted = this.admitted.lock().await;
        if room > admitted.budget() {
            return Err(cannot(format!(
                "splitting it takes {room} bytes, more than --max-inflight-bytes"
            )));
        }
        let largest_v1 = unpacked.saturating_mul(8).min(admitted.budget() - room);
        let room = match opening {
            Opening::AsV1 => room.saturating_add(largest_v1),
            Opening::Cut(_) | Opening::Halved(_) => room,
        };
        let growing = pin!(admitted.grow_to(room));
        time(&mut timings.admission, growing).await?;
        largest_v1
    };
    let protocol = payload.protocol.clone();
    let is_converted = payload.is_converted;
    // A few megabytes take tens of milliseconds: too long for an async worker thread.
    let opened = tokio::task::spawn_blocking(move || {
        let message = inspect::unpack(&body, unpacked)
            .map_err(Verdict::Malformed)?
            .unwrap_or_default();
        let version = protocol.version;
        let of_split = |error: split::SplitError| match error {
            split::SplitError::Malformed(why) => Verdict::Malformed(why),
            why => cannot(why.to_string()),
        };
        let parts = match opening {
            Opening::AsV1 => {
                match convert::to_v1(&message, largest_v1) {
                    Ok(converted) => {
                        let body = converted.pack();
                        let body = body.map_err(|error| cannot(error.to_string()))?;
                        let payload = Payload::new(WriteProtocol::v1(), body, converted.contents);
                        return Ok::<_, Verdict>(Opened::Parts(vec![Payload {
                            is_converted: true,
                            ..payload
                        }]));
                    }
                    // Each half has its own reservation.
                    Err(error @ ConvertError::TooLarge { .. }) => {
                        let halves = split::halve(&message, version).map_err(of_split)?;
                        halves.ok_or_else(|| cannot(error.to_string()))?
                    }
                    Err(error) => {
                        return Err(Verdict::Refused {
                            reason: RefusalReason::Invalid,
                            said: error.to_string(),
                            written: WrittenStats::default(),
                        });
                    }
                }
            }
            Opening::Cut(limits) => {
                let mut parts = split::split(&message, version, limits).map_err(of_split)?;
                // Refused for its size though it holds nothing that could be cut, such as an empty batch.
                if let [whole] = parts.as_mut_slice() {
                    whole.is_indivisible |= whole.body.len() >= body.len();
                }
                parts
            }
            Opening::Halved(_) => match split::halve(&message, version).map_err(of_split)? {
                Some(halves) => halves,
                None => return Ok(Opened::Single(Single::of(&message, version))),
            },
        };
        let part = |part: Part| Payload {
            is_converted,
            is_indivisible: part.is_indivisible,
            waits: part.waits,
            ..Payload::new(protocol.clone(), part.body, part.contents)
        };
        Ok(Opened::Parts(parts.into_iter().map(part).collect()))
    });
    let opened = opened.await.map_err(|error| Verdict::Unsigned {
        why: error.to_string(),
    })??;
    match (opening, &opened) {
        (Opening::Cut(_), Opened::Parts(parts)) => metrics.split(parts.len()),
        (Opening::AsV1, _) => metrics.converted(),
        _ => {}
    }
    Ok(opened)
}
