//! What the instance behind AMP's front door takes, and how it behaves: changeable while it runs.
//!
//! In: the `limits` of an [`AmpConfig`](super::AmpConfig) at the start, then [`Amp::set_limits`](super::Amp::set_limits),
//! or JSON over the admin endpoint. Out: what the stages of a write read, anew for each request. The names are those of
//! Cortex' own configuration where it has one. By default nothing here gets in the way of a good batch.
//!
//! [`AmpConfig`](super::AmpConfig) has the quotas that AMP documents for a workspace; they do not change. Limits whose
//! value at AMP nobody has documented (label name and value length, rates) are off, and histograms are always checked.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::answers::EngineAnswer;
use crate::seconds;

/// Limits and behavior of the instance. As JSON, each name may be left out; times are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests a second that AWS' front door lets pass; over it, 429 `Rate exceeded` as JSON, to an empty write too.
    pub request_rate: Option<Rate>,
    /// The largest request, packed **or** unpacked: over it, 400 `received message larger than max (A vs B)`.
    pub max_recv_msg_size: usize,
    /// The largest message, unpacked, that an ingester receives: over it, 500 `ResourceExhausted … received message
    /// after decompression larger than max N`.
    pub ingester_max_recv_msg_size: Option<usize>,
    /// The largest message, unpacked, that the distributor sends to an ingester: over it, 500 `ResourceExhausted …
    /// trying to send message larger than max (A vs. B)`.
    pub ingester_max_send_msg_size: Option<usize>,
    /// Samples, histograms, exemplars and metadata a second. A request takes all that it has at once or nothing (429), so
    /// that one over the burst never passes whole. An empty write takes nothing.
    pub ingestion_rate: Option<Rate>,
    /// The same for native histograms alone; the rest of the request is stored.
    pub native_histogram_ingestion_rate: Option<Rate>,
    /// How long each write takes that reaches an ingester.
    #[serde(with = "seconds")]
    pub write_delay: Duration,
    /// How long each sample or histogram of it takes in addition.
    #[serde(with = "seconds")]
    pub sample_delay: Duration,
    /// What every write is answered, whatever is in it. An answer that comes from an ingester spares empty writes.
    pub answer: Option<EngineAnswer>,
    /// What becomes of remote write 2.0.
    pub remote_write_2: RemoteWrite2,
    /// Takes one replica of each pair of Prometheuses; without it both, with their replica label.
    pub ha_tracker: Option<HaTracker>,
    /// The longest name of a label, in bytes. Cortex' default is 1,024.
    pub max_label_name_length: Option<usize>,
    /// The longest value of a label, in bytes. Cortex' default is 2,048.
    pub max_label_value_length: Option<usize>,
    /// Series of one metric name.
    pub max_series_per_metric: Option<usize>,
    /// Series with given labels.
    pub limits_per_label_set: Vec<LabelSetLimit>,
    /// Series with native histograms.
    pub max_native_histogram_series: Option<usize>,
    /// Buckets of one native histogram, after its resolution is reduced as far as that goes.
    pub max_native_histogram_buckets: Option<usize>,
    /// The size of one encoded native histogram.
    pub max_native_histogram_sample_size_bytes: Option<usize>,
    /// The longest metric name, help or unit in metadata, in bytes. Cortex' default is 1,024.
    pub max_metadata_length: Option<usize>,
    /// How far a sample may be ahead of the clock. Cortex' default is 10 minutes.
    #[serde(with = "seconds::optional")]
    pub creation_grace_period: Option<Duration>,
    /// Whether native histograms are stored; else they are dropped without a word.
    pub native_histograms: bool,
    /// Whether exemplars are stored, in order of time; else they are dropped without a word.
    pub exemplars: bool,
    /// Refuses what is stored already once it is older than the out-of-order window, as ingesters do. A sender that
    /// repeats a batch whose answer was lost then gets 400, though nothing is missing.
    pub refuse_late_repetitions: bool,
}

/// A token bucket, full at first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What comes in a second.
    pub per_second: f64,
    /// What it holds.
    pub burst: u64,
}

/// How remote write 2.0 is received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteWrite2 {
    /// As the engine does: stored, its counts reported.
    #[default]
    Accepted,
    /// A receiver of 1.0 that says so: 415.
    Rejected,
    /// A receiver of 1.0 that looks at no content type: 2xx without counts, and nothing is stored, since a 2.0 message
    /// is an empty 1.0 message.
    Misread,
}

/// Which series come from a pair of Prometheuses, and when the other one takes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HaTracker {
    /// The label that names the pair.
    pub cluster_label: String,
    /// The label that names the replica; dropped from what is stored.
    pub replica_label: String,
    /// How long the elected replica is silent before the other one is.
    #[serde(with = "seconds")]
    pub failover_timeout: Duration,
    /// Pairs at most; the next one's samples are refused with 400.
    pub max_replica_groups: Option<usize>,
}

/// How many series may bear these labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSetLimit {
    /// The labels, all of which a series must have to be counted.
    pub labels: BTreeMap<String, String>,
    /// How many such series.
    pub max_series: usize,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_rate: None,
            max_recv_msg_size: 100 << 20,
            ingester_max_recv_msg_size: None,
            ingester_max_send_msg_size: None,
            ingestion_rate: None,
            native_histogram_ingestion_rate: None,
            write_delay: Duration::ZERO,
            sample_delay: Duration::ZERO,
            answer: None,
            remote_write_2: RemoteWrite2::Accepted,
            ha_tracker: None,
            max_label_name_length: None,
            max_label_value_length: None,
            max_series_per_metric: None,
            limits_per_label_set: Vec::new(),
            max_native_histogram_series: None,
            max_native_histogram_buckets: None,
            max_native_histogram_sample_size_bytes: None,
            max_metadata_length: None,
            creation_grace_period: None,
            native_histograms: true,
            exemplars: false,
            refuse_late_repetitions: false,
        }
    }
}

impl Limits {
    /// How long a write of so many samples and histograms takes.
    pub(super) fn delay(&self, samples: u64) -> Duration {
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        self.write_delay
            .saturating_add(self.sample_delay.saturating_mul(samples))
    }
}

// === impl Rate ===

impl Rate {
    /// So much a second, and so much at once.
    #[must_use]
    pub fn new(per_second: f64, burst: u64) -> Self {
        Self { per_second, burst }
    }
}

impl std::str::FromStr for Rate {
    type Err = &'static str;

    /// `RATE` or `RATE:BURST`; by default the burst is what comes in a second, and at least one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "it is RATE or RATE:BURST, as 500 or 500:2000";
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let per_second: f64 = rate.parse().map_err(|_| WRONG)?;
        if !per_second.is_finite() || per_second < 0.0 {
            return Err(WRONG);
        }
        let burst = match burst {
            Some(burst) => burst.parse().map_err(|_| WRONG)?,
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is positive, and a cast from float saturates"
            )]
            None => (per_second as u64).max(1),
        };
        Ok(Self { per_second, burst })
    }
}

// === impl RemoteWrite2 ===

impl std::str::FromStr for RemoteWrite2 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "accepted" => Ok(Self::Accepted),
            "rejected" => Ok(Self::Rejected),
            "misread" => Ok(Self::Misread),
            _ => Err("it is accepted, rejected or misread"),
        }
    }
}

// === impl HaTracker ===

impl Default for HaTracker {
    /// As AMP documents it.
    fn default() -> Self {
        Self {
            cluster_label: "cluster".to_owned(),
            replica_label: "__replica__".to_owned(),
            failover_timeout: Duration::from_secs(30),
            max_replica_groups: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_leaves_out_is_the_default_and_what_it_misspells_is_refused() {
        let limits: Limits = serde_json::from_str(
            r#"{"ingestion_rate": {"per_second": 5, "burst": 10}, "write_delay": 0.5, "answer": "stopping",
                "ha_tracker": {"failover_timeout": 2}, "remote_write_2": "misread"}"#,
        )
        .expect("valid");
        assert_eq!(limits.ingestion_rate, Some(Rate::new(5.0, 10)));
        assert_eq!(limits.delay(3), Duration::from_millis(500));
        assert_eq!(limits.answer, EngineAnswer::named("stopping"));
        assert_eq!(
            limits.ha_tracker,
            Some(HaTracker {
                failover_timeout: Duration::from_secs(2),
                ..HaTracker::default()
            })
        );
        assert_eq!(
            limits.max_recv_msg_size,
            Limits::default().max_recv_msg_size
        );
        let again = serde_json::to_string(&limits).expect("serializes");
        assert_eq!(
            serde_json::from_str::<Limits>(&again).expect("valid"),
            limits
        );
        for text in [
            r#"{"ingestion_rat": null}"#,
            r#"{"write_delay": -1}"#,
            r#"{"answer": "hm"}"#,
        ] {
            assert!(serde_json::from_str::<Limits>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_read_with_or_without_its_burst() {
        assert_eq!("2.5:7".parse(), Ok(Rate::new(2.5, 7)));
        assert_eq!("20".parse(), Ok(Rate::new(20.0, 20)));
        assert_eq!("0:0".parse(), Ok(Rate::new(0.0, 0)));
        for text in ["", "x", "-1", "inf", "5:", "5:-1"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
