//! Which replica of each pair of Prometheuses is accepted: Cortex' HA tracker.
//!
//! In: cluster and replica of a request's first series, and the time. Out: take it, or why not. The first replica that
//! writes is elected; another one is, once the elected one was silent for the failover time. Cortex writes the time of the
//! last sample down at most every 15 s, so that its failover may come that much earlier; here it is exact.

use std::{collections::HashMap, time::SystemTime};

use super::limits::HaTracker;

/// Who is elected, by cluster.
#[derive(Debug, Default)]
pub(super) struct Elections(HashMap<String, Elected>);

#[derive(Debug)]
struct Elected {
    replica: String,
    last_seen: SystemTime,
}

/// Why a replica's samples are not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotElected {
    #[error("replicas did not match, rejecting sample: replica={replica}, elected={elected}")]
    Other { replica: String, elected: String },
    #[error("too many HA replicaGroups (limit: {limit})")]
    TooManyGroups { limit: usize },
}

impl Elections {
    /// Whether this replica's samples are taken now; if so, it is noted as seen.
    pub(super) fn admit(
        &mut self,
        tracker: &HaTracker,
        cluster: &str,
        replica: &str,
        now: SystemTime,
    ) -> Result<(), NotElected> {
        let groups = self.0.len();
        match self.0.get_mut(cluster) {
            Some(elected) if elected.replica == replica => {
                elected.last_seen = elected.last_seen.max(now)
            }
            Some(elected) => {
                let silent = now.duration_since(elected.last_seen).unwrap_or_default();
                if silent < tracker.failover_timeout {
                    return Err(NotElected::Other {
                        replica: replica.to_owned(),
                        elected: elected.replica.clone(),
                    });
                }
                *elected = Elected::new(replica, now);
            }
            None => {
                if let Some(limit) = tracker.max_replica_groups.filter(|limit| groups >= *limit) {
                    return Err(NotElected::TooManyGroups { limit });
                }
                self.0
                    .insert(cluster.to_owned(), Elected::new(replica, now));
            }
        }
        Ok(())
    }
}

impl Elected {
    fn new(replica: &str, last_seen: SystemTime) -> Self {
        Self {
            replica: replica.to_owned(),
            last_seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_replica_is_elected_until_it_is_silent() {
        let tracker = HaTracker {
            max_replica_groups: Some(1),
            ..HaTracker::default()
        };
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + seconds);
        let mut elections = Elections::default();
        let mut admit = |cluster: &str, replica: &str, seconds| {
            elections
                .admit(&tracker, cluster, replica, at(seconds))
                .map_err(|error| error.to_string())
        };
        assert_eq!(admit("one", "a", 0), Ok(()));
        assert_eq!(
            admit("one", "b", 10).unwrap_err(),
            "replicas did not match, rejecting sample: replica=b, elected=a"
        );
        assert_eq!(admit("one", "a", 20), Ok(()));
        assert!(admit("one", "b", 49).is_err());
        assert_eq!(admit("one", "b", 50), Ok(()));
        assert!(admit("one", "a", 51).is_err());
        assert_eq!(
            admit("two", "a", 51).unwrap_err(),
            "too many HA replicaGroups (limit: 1)"
        );
    }
}
