//! Reads the options of a session, and gives each session of the chain its own.

use std::time::Duration;

use crate::config::model::{RoleSession, SourceConfig};
use crate::config::settings;
use crate::config::sources::Sources;
use crate::config::values;

/// STS limits a session that another session requested to this, whatever the role's maximum.
const LONGEST_HOP: Duration = Duration::from_secs(60 * 60);

/// Options of one session.
pub(super) struct SessionOptions {
    duration: Duration,
    policy: Option<String>,
    policy_arns: Vec<String>,
    source_identity: Option<String>,
    tags: Vec<(String, String)>,
}

pub(super) fn options(sources: &mut Sources<'_>) -> Option<SessionOptions> {
    let duration = sources.read(&settings::SESSION_DURATION);
    let policy = sources.read_optional(&settings::SESSION_POLICY);
    let policy_arns = sources.read_list(&settings::SESSION_POLICY_ARN);
    if policy_arns.as_ref().is_some_and(|arns| arns.len() > 10) {
        sources.error(
            &settings::SESSION_POLICY_ARN,
            "at most 10, the limit of STS",
        );
    }
    let source_identity = sources.read_optional(&settings::SOURCE_IDENTITY);
    let tags = sources.read_list(&settings::SESSION_TAG);
    if tags.as_ref().is_some_and(|tags| tags.len() > 50) {
        sources.error(&settings::SESSION_TAG, "at most 50, the limit of STS");
    }
    Some(SessionOptions {
        duration: duration?,
        policy: policy?,
        policy_arns: policy_arns?,
        source_identity: source_identity?,
        tags: tags?,
    })
}

/// A pod's name is its host name unless the manifest sets another.
pub(super) fn name_from_pod(sources: &Sources<'_>) -> String {
    let env = |name: &str| {
        let value = (sources.environment.env)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    };
    let pod = env("POD_NAME").or_else(|| env("HOSTNAME"));
    let namespace = || sources.environment.pod_namespace.clone();
    match (pod, env("POD_NAMESPACE").or_else(namespace)) {
        (Some(pod), Some(namespace)) => values::session_name_of_pod(&pod, &namespace),
        (Some(pod), None) => values::session_name(&pod),
        (None, _) => "amp-sidecar".to_owned(),
    }
}

/// Gives each session its own options.
pub(super) fn set_options(
    source: &mut SourceConfig,
    hops: &mut [RoleSession],
    options: SessionOptions,
) {
    if let Some(first) = hops.first_mut() {
        first.source_identity = options.source_identity;
    }
    let duration = match hops {
        [] => options.duration,
        _ => options.duration.min(LONGEST_HOP),
    };
    if let Some(signing) = hops.last_mut().or(source.role_mut()) {
        signing.duration = duration;
        signing.policy = options.policy;
        signing.policy_arns = options.policy_arns;
        signing.tags = options.tags;
    }
}
