//! Reads what each workspace has of its own.
//!
//! In: the [`Reader`], set to a section of the file where there is one. Out: a valid [`Workspace`], or `None` and the faults
//! noted.

mod identity;

use std::time::Duration;

use super::target::Target;
use super::values;
use super::{Limits, Reading, Workspace, settings};
use crate::config::loader::Reader;

impl Reader<'_> {
    /// A workspace, from the entry of the file that is being read or without one.
    pub(super) fn workspace(&mut self) -> Option<Workspace> {
        let given = self.given_amp();
        let region = self.region(given.as_ref());
        let target = self.target(given, region.as_deref());
        let identity = self.identity(region.as_deref());
        let limits = self.limits();
        let reading = self.reading();
        let name = self.name();
        let Target {
            id,
            remote_write_url,
        } = target?;
        Some(Workspace {
            name: name?.unwrap_or_else(|| id.clone()),
            id,
            region: region?,
            remote_write_url,
            identity: identity?,
            limits: limits?,
            reading: reading?,
        })
    }

    /// What stands in paths and metrics, so it must need no escaping in either.
    fn name(&mut self) -> Option<Option<String>> {
        let Some(name) = self.given_name().map(str::to_owned) else {
            return Some(None);
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.len() <= 64 && name.chars().all(plain) {
            Some(Some(name))
        } else {
            self.fault_of_name(
                &name,
                "at most 64 letters, digits, dashes, dots and underscores",
            );
            None
        }
    }

    /// A pod's name is its host name unless the manifest says otherwise.
    fn name_from_pod(&self) -> String {
        let env = |name: &str| {
            let value = (self.around.env)(name)?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        let pod = env("POD_NAME").or_else(|| env("HOSTNAME"));
        let namespace = env("POD_NAMESPACE").or_else(|| self.around.pod_namespace.clone());
        match (pod, namespace) {
            (Some(pod), Some(namespace)) => values::session_name_of_pod(&pod, &namespace),
            (Some(pod), None) => values::session_name(&pod),
            (None, _) => "amp-sidecar".to_owned(),
        }
    }

    fn limits(&mut self) -> Option<Limits> {
        let upstream_timeout = self.parse(&settings::UPSTREAM_TIMEOUT, |text| {
            values::duration_within(
                text,
                Duration::from_secs(1),
                Duration::from_secs(300),
                "1s to 5m",
            )
        });
        let max_inflight_bytes = match self.given(&settings::MAX_INFLIGHT_BYTES) {
            Some(_) => self.parse_given(&settings::MAX_INFLIGHT_BYTES, values::bytes),
            None => Some(default_budget(
                self.around.memory_limit,
                self.file.workspaces.len(),
            )),
        };
        let explicit = self.given(&settings::MAX_BODY_BYTES).is_some();
        let max_body_bytes = self.parse(&settings::MAX_BODY_BYTES, values::bytes);
        let inspect = self.parse(&settings::INSPECT, values::on_or_off);
        let max_upstream_bytes = self.parse(&settings::MAX_UPSTREAM_BYTES, values::bytes);
        let client_share_percent = self.parse(&settings::CLIENT_SHARE, values::percent);
        let (budget, max_body) = (max_inflight_bytes?, max_body_bytes?);
        if explicit && max_body > budget {
            self.fault(
                &settings::MAX_BODY_BYTES,
                &format!("at most --max-inflight-bytes, {budget}"),
            );
        }
        Some(Limits {
            upstream_timeout: upstream_timeout?,
            max_body_bytes: max_body.min(budget),
            inspect: inspect?,
            max_upstream_bytes: max_upstream_bytes?,
            max_inflight_bytes: budget,
            client_share_percent: client_share_percent?,
        })
    }

    /// `Some(None)` where it is off.
    fn reading(&mut self) -> Option<Option<Reading>> {
        let allowed = self.parse(&settings::ALLOW_QUERY, values::switch);
        let timeout = self.parse(&settings::QUERY_TIMEOUT, |text| {
            let (least, most) = (Duration::from_secs(1), Duration::from_secs(600));
            values::duration_within(text, least, most, "1s to 10m")
        })?;
        Some(allowed?.then_some(Reading { timeout }))
    }
}

/// A quarter of the memory limit, shared by all workspaces: a thousand open connections take about 28 MiB, and the budget
/// costs a little more than its own size (measured; a test holds both to 64 MiB).
fn default_budget(memory_limit: Option<u64>, workspaces: usize) -> usize {
    const UNLIMITED: usize = 64 << 20;
    const LEAST: usize = 4 << 20;
    let all = memory_limit
        .and_then(|limit| usize::try_from(limit / 4).ok())
        .map_or(UNLIMITED, |quarter| quarter.min(UNLIMITED));
    (all / workspaces.max(1)).max(LEAST)
}
