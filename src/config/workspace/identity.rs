//! Reads the identity: the token's source, the role, and the roles after it.
//!
//! The rules that no single setting shows are held here. What narrows a session narrows the one that signs, because an
//! earlier one needs nothing but to assume the next. A source identity is set by the first hop, since STS keeps it through
//! all later ones and refuses another. A hop never asks for more than an hour, and no session but the last for more than it
//! takes to make the next.
//!
//! `AZURE_…` variables are injected by Azure's webhook into every labelled pod, so with the token source `file` they are no
//! contradiction; as flags or in the file they are.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::loader::Reader;
use crate::config::values::{self, Expected};
use crate::config::{Entra, Identity, RoleSession, Setting, settings};

/// STS gives a session that another session asked for no longer than this, whatever the role's maximum.
const LONGEST_HOP: Duration = Duration::from_secs(60 * 60);
/// STS gives no session for less.
const SHORTEST: Duration = Duration::from_secs(15 * 60);
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// What every session of the chain has, or only one of them.
struct Common {
    name: String,
    duration: Duration,
    policy: Option<String>,
    policy_arns: Vec<String>,
    source_identity: Option<String>,
    tags: Vec<(String, String)>,
}

impl Reader<'_> {
    /// `region` is the workspace's.
    pub(super) fn identity(&mut self, region: Option<&str>) -> Option<Identity> {
        let role_arn = self.parse_required(
            &settings::ROLE_ARN,
            "the ARN of the role to assume",
            values::role_arn,
        );
        let token = self.token_source();
        let hops = self.list(&settings::ASSUME_ROLE, values::hop);
        if let (Some(first), Some(hops)) = (&role_arn, &hops) {
            self.check_chain(first, hops);
        }
        let common = self.common();
        let sts = self.sts(region);
        let (role_arn, hops, common) = (role_arn?, hops?, common?);
        self.refuse_without_hops(&hops);
        let (role, hops) = sessions(role_arn, hops, common);
        let (token_file, entra) = token?;
        let (sts_endpoint, sts_region) = sts?;
        Some(Identity {
            token_file,
            entra,
            role,
            hops,
            sts_endpoint,
            sts_region,
        })
    }

    /// The token's file, and the application that it is exchanged through.
    fn token_source(&mut self) -> Option<(PathBuf, Option<Entra>)> {
        let through_entra = self.parse(&settings::TOKEN_SOURCE, |text| match text {
            "file" => Ok(false),
            "entra" => Ok(true),
            _ => Err(Expected("file or entra".into())),
        })?;
        if through_entra {
            self.refuse(
                &settings::WEB_IDENTITY_TOKEN_FILE,
                "none beside --token-source entra, which reads --azure-federated-token-file",
            );
            let file = self.parse_required(
                &settings::AZURE_FEDERATED_TOKEN_FILE,
                "the path of the projected token for Entra ID, which Azure's webhook sets in pods labelled azure.workload.identity/use: \"true\"",
                values::token_path,
            );
            let entra = self.entra();
            Some((file?, Some(entra?)))
        } else {
            let none = "none, or --token-source entra beside it";
            for setting in [
                &settings::AZURE_FEDERATED_TOKEN_FILE,
                &settings::AZURE_CLIENT_ID,
                &settings::AZURE_TENANT_ID,
                &settings::AZURE_AUTHORITY_HOST,
            ] {
                self.refuse(setting, none);
            }
            if self.is_meant(&settings::ENTRA_SCOPE) {
                self.fault(&settings::ENTRA_SCOPE, none);
            }
            let file = self.parse_required(
                &settings::WEB_IDENTITY_TOKEN_FILE,
                "the path of the projected service-account token",
                values::token_path,
            );
            Some((file?, None))
        }
    }

    fn entra(&mut self) -> Option<Entra> {
        let client_id = self.parse_required(
            &settings::AZURE_CLIENT_ID,
            "the client id of the application or managed identity",
            values::client_id,
        );
        let tenant_id = self.parse_required(
            &settings::AZURE_TENANT_ID,
            "the id of the Entra tenant",
            values::tenant_id,
        );
        let authority_host = self.parse(&settings::AZURE_AUTHORITY_HOST, values::endpoint);
        let scope = self.parse_required(
            &settings::ENTRA_SCOPE,
            "the App ID URI of the application that stands for AWS, and /.default, as api://amp/.default",
            values::entra_scope,
        );
        Some(Entra {
            authority_host: authority_host?,
            tenant_id: tenant_id?,
            client_id: client_id?,
            scope: scope?,
        })
    }

    fn common(&mut self) -> Option<Common> {
        let duration = self.parse(&settings::SESSION_DURATION, |text| {
            values::duration_within(text, SHORTEST, LONGEST, "15m to 12h")
        });
        let policy = self.optional(&settings::SESSION_POLICY, values::session_policy);
        let policy_arns = self.list(&settings::SESSION_POLICY_ARN, values::policy_arn);
        if policy_arns.as_ref().is_some_and(|arns| arns.len() > 10) {
            self.fault(
                &settings::SESSION_POLICY_ARN,
                "at most 10, which is all that STS takes",
            );
        }
        let source_identity = self.optional(&settings::SOURCE_IDENTITY, values::source_identity);
        let tags = self.list(&settings::SESSION_TAG, values::tag);
        if tags.as_ref().is_some_and(|tags| tags.len() > 50) {
            self.fault(
                &settings::SESSION_TAG,
                "at most 50, which is all that STS takes",
            );
        }
        let name = match self.given(&settings::ROLE_SESSION_NAME) {
            Some(name) => values::session_name(&name),
            None => self.name_from_pod(),
        };
        Some(Common {
            name,
            duration: duration?,
            policy: policy?,
            policy_arns: policy_arns?,
            source_identity: source_identity?,
            tags: tags?,
        })
    }

    /// A role that assumes itself gains nothing and hides a mistake; and no trust crosses partitions.
    fn check_chain(&mut self, first: &str, hops: &[values::Hop]) {
        let partition = |arn: &str| arn.split(':').nth(1).map(str::to_owned);
        let mut seen = vec![first];
        for hop in hops {
            let arn = hop.role_arn.as_str();
            if seen.contains(&arn) {
                self.fault(
                    &settings::ASSUME_ROLE,
                    &format!("each role once: {arn} comes twice, and a role that is assumed again gives nothing that it did not give before"),
                );
            } else if partition(arn) != partition(first) {
                self.fault(
                    &settings::ASSUME_ROLE,
                    &format!("roles of the partition of {first}: no role of another can be assumed, as {arn}"),
                );
            }
            seen.push(arn);
        }
    }

    fn refuse_without_hops(&mut self, hops: &[values::Hop]) {
        for setting in [&settings::SOURCE_IDENTITY, &settings::SESSION_TAG] {
            if hops.is_empty() && self.is_meant(setting) {
                self.fault(
                    setting,
                    "--assume-role beside it: with a web identity STS takes it from the token alone",
                );
            }
        }
    }

    fn refuse(&mut self, setting: &Setting, expected: &str) {
        if self.is_chosen(setting) {
            self.fault(setting, expected);
        }
    }
}

/// Gives each session what is its own.
fn sessions(
    role_arn: String,
    hops: Vec<values::Hop>,
    common: Common,
) -> (RoleSession, Vec<RoleSession>) {
    let plain = |role_arn, external_id| RoleSession {
        role_arn,
        name: common.name.clone(),
        duration: SHORTEST,
        external_id,
        policy: None,
        policy_arns: Vec::new(),
        source_identity: None,
        tags: Vec::new(),
    };
    let mut role = plain(role_arn, None);
    let mut hops: Vec<RoleSession> = hops
        .into_iter()
        .map(|hop| plain(hop.role_arn, hop.external_id))
        .collect();
    if let Some(first) = hops.first_mut() {
        first.source_identity = common.source_identity;
    }
    let longest = if hops.is_empty() {
        LONGEST
    } else {
        LONGEST_HOP
    };
    let signing = hops.last_mut().unwrap_or(&mut role);
    signing.duration = common.duration.min(longest);
    signing.policy = common.policy;
    signing.policy_arns = common.policy_arns;
    signing.tags = common.tags;
    (role, hops)
}

#[cfg(test)]
mod tests;
