//! Reads the identity: the source of the credentials, and the chained roles.
//!
//! The rules that involve more than one setting are here. Session policies and tags belong to the session that signs, because
//! an earlier one only has to assume the next role. A source identity is set by the first hop, since STS keeps it through all
//! later ones and rejects another. A hop never requests more than an hour, and no session but the last more than it takes to
//! obtain the next.
//!
//! Each source has a reader of its own. A platform sets variables for everything that runs there, so those of another source are
//! ignored; as flags or in the file they are an error.

mod container;
mod file;
mod machine;
mod roles_anywhere;
mod session;
mod web_identity;

use crate::config::endpoints;
use crate::config::model::{IdentityConfig, RoleSession, SourceConfig, SourceKind};
use crate::config::settings::{self, Setting};
use crate::config::sources::Sources;
use crate::config::values::identity::ChainedRole;

/// The settings of one source each.
const OF_SOURCES: [(SourceKind, &[&Setting]); 4] = [
    (
        SourceKind::WebIdentity,
        &[
            settings::ROLE_ARN.setting(),
            settings::WEB_IDENTITY_TOKEN_FILE.setting(),
        ],
    ),
    (
        SourceKind::RolesAnywhere,
        &[
            settings::ROLES_ANYWHERE_CERTIFICATE.setting(),
            settings::ROLES_ANYWHERE_PRIVATE_KEY.setting(),
            settings::TRUST_ANCHOR_ARN.setting(),
            settings::PROFILE_ARN.setting(),
            settings::ROLES_ANYWHERE_ENDPOINT.setting(),
        ],
    ),
    (
        SourceKind::Container,
        &[
            settings::CONTAINER_CREDENTIALS_FULL_URI.setting(),
            settings::CONTAINER_CREDENTIALS_RELATIVE_URI.setting(),
            settings::CONTAINER_AUTHORIZATION_TOKEN_FILE.setting(),
        ],
    ),
    (
        SourceKind::File,
        &[
            settings::SHARED_CREDENTIALS_FILE.setting(),
            settings::PROFILE.setting(),
        ],
    ),
];

/// `region` is the workspace's.
pub(super) fn read(sources: &mut Sources<'_>, region: Option<&str>) -> Option<IdentityConfig> {
    let name = sources.read_set(&settings::ROLE_SESSION_NAME);
    let name = name.unwrap_or_else(|| session::name_from_pod(sources));
    let kind = sources.read(&settings::CREDENTIALS);
    let source = kind.and_then(|kind| match kind {
        SourceKind::WebIdentity => {
            web_identity::read(sources, &name).map(|read| SourceConfig::WebIdentity(Box::new(read)))
        }
        SourceKind::RolesAnywhere => roles_anywhere::read(sources)
            .map(Box::new)
            .map(SourceConfig::RolesAnywhere),
        SourceKind::Container => container::read(sources).map(SourceConfig::Container),
        SourceKind::File => file::read(sources),
    });
    if let Some(kind) = kind {
        refuse_other_sources(sources, kind);
    }
    let hops = sources.read_list(&settings::ASSUME_ROLE);
    if kind == Some(SourceKind::RolesAnywhere) {
        let expected = "no value: Roles Anywhere sets the certificate's common name as the source identity, and STS keeps it";
        sources.refuse(&settings::SOURCE_IDENTITY, expected);
    }
    if let (Some(kind), Some([])) = (kind, hops.as_deref()) {
        refuse_what_needs_a_chain(sources, kind);
    }
    let options = session::options(sources);
    let sts = endpoints::sts(sources, region);
    let hops = hops?;
    let first = match kind? {
        SourceKind::WebIdentity | SourceKind::RolesAnywhere => {
            sources.read_set(&settings::ROLE_ARN)
        }
        SourceKind::Container | SourceKind::File => None,
    };
    check_chain(sources, first.as_deref(), &hops);
    let mut source = source?;
    let mut hops: Vec<RoleSession> = hops
        .into_iter()
        .map(|hop| RoleSession {
            external_id: hop.external_id,
            ..RoleSession::plain(hop.role_arn, Some(name.clone()))
        })
        .collect();
    session::set_options(&mut source, &mut hops, options?);
    let (sts_endpoint, sts_region) = sts?;
    Some(IdentityConfig {
        source,
        hops,
        sts_endpoint,
        sts_region,
    })
}

/// The options that the source itself cannot give its credentials.
fn refuse_what_needs_a_chain(sources: &mut Sources<'_>, kind: SourceKind) {
    let (options, why): (&[&Setting], _) = match kind {
        SourceKind::WebIdentity => (
            &[
                settings::SOURCE_IDENTITY.setting(),
                settings::SESSION_TAG.setting(),
            ],
            "for a web identity, STS takes this from the token alone",
        ),
        SourceKind::RolesAnywhere => (
            &[
                settings::SESSION_POLICY.setting(),
                settings::SESSION_POLICY_ARN.setting(),
                settings::SESSION_TAG.setting(),
            ],
            "CreateSession of Roles Anywhere takes none of its own; the profile may hold session policies, and the certificate's names become tags",
        ),
        SourceKind::Container | SourceKind::File => (
            &[
                settings::SESSION_DURATION.setting(),
                settings::SESSION_POLICY.setting(),
                settings::SESSION_POLICY_ARN.setting(),
                settings::SOURCE_IDENTITY.setting(),
                settings::SESSION_TAG.setting(),
            ],
            "this source gives credentials as they are, and only a role that is assumed with them takes this",
        ),
    };
    for setting in options {
        if sources.is_set_here(setting) {
            sources.error(setting, &format!("--assume-role as well: {why}"));
        }
    }
}

/// Refuses the settings of other sources, unless a platform may have set them.
fn refuse_other_sources(sources: &mut Sources<'_>, kind: SourceKind) {
    for (other, settings) in OF_SOURCES {
        let other = other.name();
        for setting in settings {
            match kind {
                _ if kind.name() == other => {}
                SourceKind::RolesAnywhere if setting.flag == "role-arn" => {}
                SourceKind::Container | SourceKind::File if setting.flag == "role-arn" => {
                    let expected = format!(
                        "no value: the credentials of --credentials {} sign as they are; to assume a role with them, set --assume-role",
                        kind.name()
                    );
                    sources.refuse(setting, &expected);
                }
                _ => {
                    let expected = format!("no value, or --credentials {other} as well");
                    // No platform sets a variable of ours.
                    let ours = setting
                        .env
                        .iter()
                        .all(|name| name.starts_with("AMP_SIDECAR_"));
                    if ours && sources.is_set_here(setting) {
                        sources.error(setting, &expected);
                    } else {
                        sources.refuse(setting, &expected);
                    }
                }
            }
        }
    }
    let needed = kind == SourceKind::File || !sources.is_set_here(&settings::ALLOW_STATIC_KEYS);
    if !needed && sources.read(&settings::ALLOW_STATIC_KEYS) == Some(true) {
        let expected = "false, or --credentials file as well";
        sources.error(&settings::ALLOW_STATIC_KEYS, expected);
    }
}

/// Assuming a role again gains nothing and hides a mistake; and trust does not cross partitions.
fn check_chain(sources: &mut Sources<'_>, first: Option<&str>, hops: &[ChainedRole]) {
    let partition = |arn: &str| arn.split(':').nth(1).map(str::to_owned);
    let mut seen: Vec<&str> = first.into_iter().collect();
    let Some(first) = first.or(hops.first().map(|hop| hop.role_arn.as_str())) else {
        return;
    };
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

#[cfg(test)]
mod tests;
