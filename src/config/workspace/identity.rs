//! Reads the identity: the token's source, the role, and the chained roles.
//!
//! The rules that involve more than one setting are here. Session policies and tags belong to the session that signs, because
//! an earlier one only has to assume the next role. A source identity is set by the first hop, since STS keeps it through all
//! later ones and rejects another. A hop never requests more than an hour, and no session but the last more than it takes to
//! obtain the next.
//!
//! Azure's webhook injects `AZURE_…` variables into every labelled pod, so with the token source `file` they are ignored; as flags or in
//! the file they are an error.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::model::{EntraConfig, IdentityConfig, RoleSession};
use crate::config::settings::{self, Setting};
use crate::config::sources::Sources;
use crate::config::values::identity::ChainedRole;
use crate::config::{endpoints, other_credentials, values};

/// STS limits a session that another session requested to this, whatever the role's maximum.
const LONGEST_HOP: Duration = Duration::from_secs(60 * 60);
/// STS grants no session for less.
const SHORTEST: Duration = Duration::from_secs(15 * 60);

/// Options of every session of the chain, or of one of them.
struct SessionOptions {
    name: String,
    duration: Duration,
    policy: Option<String>,
    policy_arns: Vec<String>,
    source_identity: Option<String>,
    tags: Vec<(String, String)>,
}

/// `region` is the workspace's.
pub(super) fn read(sources: &mut Sources<'_>, region: Option<&str>) -> Option<IdentityConfig> {
    let role_arn = role_arn(sources);
    let token = token_source(sources);
    let hops = sources.read_list(&settings::ASSUME_ROLE);
    if let (Some(first), Some(hops)) = (&role_arn, &hops) {
        check_chain(sources, first, hops);
    }
    let options = session_options(sources);
    let sts = endpoints::sts(sources, region);
    let (role_arn, hops, options) = (role_arn?, hops?, options?);
    for setting in [
        settings::SOURCE_IDENTITY.setting(),
        settings::SESSION_TAG.setting(),
    ] {
        if hops.is_empty() && sources.is_set_here(setting) {
            let expected =
                "--assume-role as well: for a web identity, STS takes this from the token alone";
            sources.error(setting, expected);
        }
    }
    let (role, hops) = sessions(role_arn, hops, options);
    let (token_file, entra) = token?;
    let (sts_endpoint, sts_region) = sts?;
    Some(IdentityConfig {
        token_file,
        entra,
        role,
        hops,
        sts_endpoint,
        sts_region,
    })
}

/// Those who have set other credentials may take them for enough.
fn role_arn(sources: &mut Sources<'_>) -> Option<String> {
    let others: Vec<_> = other_credentials::found(sources.environment.env).collect();
    if sources.is_set(&settings::ROLE_ARN) {
        for (kind, variable) in others {
            let words = format!("{kind} are not used: the role of --role-arn signs");
            sources.warn_of_variable(variable, &words);
        }
        return sources.read_set(&settings::ROLE_ARN);
    }
    let mut expected = "the ARN of the role to assume".to_owned();
    if !others.is_empty() {
        let others = others
            .iter()
            .map(|(kind, variable)| format!("{kind} ({variable})"));
        let others: Vec<String> = others.collect();
        expected = format!(
            "{expected} with the pod's projected token (`amp-sidecar setup aws` prints how to create it); set but not supported: {}",
            others.join(", ")
        );
    }
    sources.error(&settings::ROLE_ARN, &expected);
    None
}

/// The token's file, and the application that exchanges it.
fn token_source(sources: &mut Sources<'_>) -> Option<(PathBuf, Option<EntraConfig>)> {
    if sources.read(&settings::TOKEN_SOURCE)? {
        let expected = "no value: --token-source entra reads --azure-federated-token-file instead";
        refuse(sources, &settings::WEB_IDENTITY_TOKEN_FILE, expected);
        let file = sources.read_required(
            &settings::AZURE_FEDERATED_TOKEN_FILE,
            "the path of the projected token for Entra ID, which Azure's webhook sets in pods labelled azure.workload.identity/use: \"true\"",
        );
        let entra = entra(sources);
        return Some((file?, Some(entra?)));
    }
    let expected = "no value, or --token-source entra as well";
    refuse(sources, &settings::AZURE_FEDERATED_TOKEN_FILE, expected);
    refuse(sources, &settings::AZURE_CLIENT_ID, expected);
    refuse(sources, &settings::AZURE_TENANT_ID, expected);
    refuse(sources, &settings::AZURE_AUTHORITY_HOST, expected);
    if sources.is_set_here(&settings::ENTRA_SCOPE) {
        sources.error(&settings::ENTRA_SCOPE, expected);
    }
    let expected = "the path of the projected service-account token";
    let file = sources.read_required(&settings::WEB_IDENTITY_TOKEN_FILE, expected);
    Some((file?, None))
}

fn entra(sources: &mut Sources<'_>) -> Option<EntraConfig> {
    let client_id = sources.read_required(
        &settings::AZURE_CLIENT_ID,
        "the client ID of the application or managed identity",
    );
    let tenant_id = sources.read_required(&settings::AZURE_TENANT_ID, "the ID of the Entra tenant");
    let authority_host = sources.read(&settings::AZURE_AUTHORITY_HOST);
    let scope = sources.read_required(
        &settings::ENTRA_SCOPE,
        "the App ID URI of the application that represents AWS, followed by /.default, for example api://amp/.default",
    );
    Some(EntraConfig {
        authority_host: authority_host?,
        tenant_id: tenant_id?,
        client_id: client_id?,
        scope: scope?,
    })
}

fn session_options(sources: &mut Sources<'_>) -> Option<SessionOptions> {
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
    let name = sources.read_set(&settings::ROLE_SESSION_NAME);
    Some(SessionOptions {
        name: name.unwrap_or_else(|| name_from_pod(sources)),
        duration: duration?,
        policy: policy?,
        policy_arns: policy_arns?,
        source_identity: source_identity?,
        tags: tags?,
    })
}

/// A pod's name is its host name unless the manifest sets another.
fn name_from_pod(sources: &Sources<'_>) -> String {
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

/// Assuming a role again gains nothing and hides a mistake; and trust does not cross partitions.
fn check_chain(sources: &mut Sources<'_>, first: &str, hops: &[ChainedRole]) {
    let partition = |arn: &str| arn.split(':').nth(1).map(str::to_owned);
    let mut seen = vec![first];
    for ChainedRole { role_arn, .. } in hops {
        let expected = if seen.contains(&role_arn.as_str()) {
            format!(
                "each role once: {role_arn} is in the chain twice, and assuming a role again gains nothing"
            )
        } else if partition(role_arn) != partition(first) {
            format!(
                "roles in the partition of {first}: a role in another, such as {role_arn}, cannot be assumed"
            )
        } else {
            seen.push(role_arn);
            continue;
        };
        sources.error(&settings::ASSUME_ROLE, &expected);
    }
}

fn refuse(sources: &mut Sources<'_>, setting: &Setting, expected: &str) {
    if sources.is_chosen(setting) {
        sources.error(setting, expected);
    }
}

/// Gives each session its own options.
fn sessions(
    role_arn: String,
    hops: Vec<ChainedRole>,
    options: SessionOptions,
) -> (RoleSession, Vec<RoleSession>) {
    let plain = |role_arn, external_id| RoleSession {
        role_arn,
        name: options.name.clone(),
        duration: SHORTEST,
        external_id,
        policy: None,
        policy_arns: Vec::new(),
        source_identity: None,
        tags: Vec::new(),
    };
    let mut role = plain(role_arn, None);
    let hops = hops.into_iter();
    let mut hops: Vec<RoleSession> = hops
        .map(|hop| plain(hop.role_arn, hop.external_id))
        .collect();
    if let Some(first) = hops.first_mut() {
        first.source_identity = options.source_identity;
    }
    let duration = match hops.is_empty() {
        true => options.duration,
        false => options.duration.min(LONGEST_HOP),
    };
    let signing = hops.last_mut().unwrap_or(&mut role);
    signing.duration = duration;
    signing.policy = options.policy;
    signing.policy_arns = options.policy_arns;
    signing.tags = options.tags;
    (role, hops)
}

#[cfg(test)]
mod tests;
