//! The two forms of the durability test: the full one of the documentation, and the short one of CI.
//!
//! Both play the same rows. The short form shortens the faults and, so that a
//! fault still outlasts what it is meant to outlast, the sessions, the sidecar's
//! deadline and the wait of Prometheus' queue for a full batch; in the full form
//! every setting of sidecar and sender is at its default.

use std::time::Duration;

use serde_json::{Value, json};

/// How long everything takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Whether this is the short form.
    pub is_short: bool,
    /// How long a fault lasts.
    pub fault: Duration,
    /// How long sessions live where they are to end within a fault.
    pub session: Duration,
    /// How long AMP takes where it is slow.
    pub slow: Duration,
    /// The sidecar's deadline for a batch.
    pub deadline: Duration,
    /// How long data may take to flow, at first and again after a fault.
    pub flows_within: Duration,
    /// How long a sender may take to send what it still has.
    pub settles_within: Duration,
    /// How many senders a crowd is.
    pub crowd: usize,
}

// === impl Form ===

impl Form {
    /// Faults of a minute, all settings at their defaults.
    #[must_use]
    pub fn full() -> Self {
        Self {
            is_short: false,
            fault: Duration::from_secs(60),
            session: Duration::from_secs(20),
            slow: Duration::from_secs(10),
            deadline: Duration::from_secs(25),
            flows_within: Duration::from_secs(150),
            settles_within: Duration::from_secs(120),
            crowd: 1000,
        }
    }

    /// Faults of some seconds.
    #[must_use]
    pub fn short() -> Self {
        Self {
            is_short: true,
            fault: Duration::from_secs(8),
            session: Duration::from_secs(4),
            slow: Duration::from_secs(2),
            deadline: Duration::from_secs(4),
            flows_within: Duration::from_secs(60),
            settles_within: Duration::from_secs(60),
            crowd: 200,
        }
    }

    /// The sidecar's flags.
    pub(super) fn flags(&self) -> Vec<String> {
        if self.is_short {
            vec![format!("--upstream-timeout={}s", self.deadline.as_secs())]
        } else {
            Vec::new()
        }
    }

    /// Prometheus' settings of `remote_write`.
    pub(super) fn remote_write(&self) -> Value {
        if self.is_short {
            json!({"queue_config": {"batch_send_deadline": "1s"}})
        } else {
            json!({})
        }
    }
}
