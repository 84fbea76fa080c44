//! The AWS identity, step by step.
//!
//! In: the configured identity, and the last known state of each step. Out: an [`IdentityStatus`]. A step that was not reached yet shows
//! its configuration, and nothing for what only its response tells.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::moment::Moment;
use crate::config::{EntraConfig, IdentityConfig, RoleSession, SourceConfig};
use crate::credentials::cache::CredentialStatus;
use crate::credentials::claims::Claims;
use crate::credentials::identity_trail::{CertificateNames, RoleChain, Session};
use crate::remedies::credentials_file::STATIC_KEYS;
use crate::sanitize::sanitize;

/// The steps from the source to the credentials that sign.
#[derive(Debug, Serialize)]
pub(super) struct IdentityStatus {
    /// What the first credentials are, for people.
    source: &'static str,
    /// What is wrong with the source itself for as long as it is configured.
    warning: Option<String>,
    /// Whether they are given for a token.
    takes_token: bool,
    token_source: Option<&'static str>,
    token_file: Option<String>,
    token: Option<TokenStatus>,
    entra: Option<EntraStatus>,
    certificate: Option<CertificateStatus>,
    sts_endpoint: String,
    /// The source's role, and each that is assumed after it.
    roles: Vec<RoleStatus>,
    credentials: CredentialsStatus,
}

/// The claims of a token.
#[derive(Debug, Serialize)]
struct TokenStatus {
    issuer: String,
    subject: String,
    audiences: Vec<String>,
    authorised_party: Option<String>,
    expires: Option<Moment>,
}

#[derive(Debug, Serialize)]
struct EntraStatus {
    authority: String,
    tenant: String,
    client_id: String,
    scope: String,
    token: Option<TokenStatus>,
}

/// The certificate of Roles Anywhere; the names are missing until it was read.
#[derive(Debug, Serialize)]
struct CertificateStatus {
    file: String,
    subject: Option<String>,
    issuer: Option<String>,
    serial: Option<String>,
    expires: Option<Moment>,
}

#[derive(Debug, Serialize)]
struct RoleStatus {
    /// `None` if the source does not name its role.
    role_arn: Option<String>,
    session_name: Option<String>,
    assumed_role_arn: Option<String>,
    expires: Option<Moment>,
}

#[derive(Debug, Serialize)]
struct CredentialsStatus {
    usable: bool,
    obtained: Option<Moment>,
    expires: Option<Moment>,
    refresh: RefreshStatus,
}

#[derive(Debug, Serialize)]
struct RefreshStatus {
    due: Option<Moment>,
    in_progress: bool,
    error: Option<String>,
}

// === impl IdentityStatus ===

impl IdentityStatus {
    pub(super) fn of(
        identity: &IdentityConfig,
        status: &CredentialStatus,
        chain: &RoleChain,
    ) -> Self {
        let now = status.now;
        let token = |claims: &Option<Claims>| {
            let claims = claims.as_ref()?;
            Some(TokenStatus::of(claims, now))
        };
        let roles = std::iter::once(identity.source.role()).chain(identity.hops.iter().map(Some));
        let token_config = identity.source.token();
        let file = identity.source.files().into_iter().next();
        Self {
            source: identity.source.words(),
            warning: matches!(identity.source, SourceConfig::StaticKeys(_))
                .then(|| format!("{}: {}", STATIC_KEYS.cause, STATIC_KEYS.remedy)),
            takes_token: token_config.is_some(),
            token_source: token_config.map(|token| token.kind().name()),
            token_file: file.map(|file| file.display().to_string()),
            token: token(&chain.token),
            entra: token_config
                .and_then(|token| token.entra())
                .map(|entra| EntraStatus::of(entra, token(&chain.entra))),
            certificate: match &identity.source {
                SourceConfig::RolesAnywhere(config) => Some(CertificateStatus::of(
                    &config.certificate,
                    chain.certificate.as_ref(),
                    now,
                )),
                SourceConfig::WebIdentity(_)
                | SourceConfig::Container(_)
                | SourceConfig::File(_)
                | SourceConfig::StaticKeys(_) => None,
            },
            sts_endpoint: identity.sts_endpoint.to_string(),
            roles: roles
                .enumerate()
                .map(|(n, role)| RoleStatus::of(role, chain.sessions.get(n), now))
                .collect(),
            credentials: CredentialsStatus::of(status),
        }
    }
}

impl TokenStatus {
    fn of(claims: &Claims, now: SystemTime) -> Self {
        let exp = claims.exp.map(Duration::from_secs);
        let expires = exp.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        Self {
            issuer: sanitize(&claims.iss),
            subject: sanitize(&claims.sub),
            audiences: claims.aud.iter().take(8).map(|aud| sanitize(aud)).collect(),
            authorised_party: claims.azp.as_deref().map(sanitize),
            expires: expires.map(|expires| Moment::of(expires, now)),
        }
    }
}

impl EntraStatus {
    fn of(entra: &EntraConfig, token: Option<TokenStatus>) -> Self {
        Self {
            authority: entra.authority_host.to_string(),
            tenant: entra.tenant_id.clone(),
            client_id: entra.client_id.clone(),
            scope: entra.scope.clone(),
            token,
        }
    }
}

impl CertificateStatus {
    fn of(file: &Path, names: Option<&CertificateNames>, now: SystemTime) -> Self {
        Self {
            file: file.display().to_string(),
            subject: names.map(|names| names.subject.clone()),
            issuer: names.map(|names| names.issuer.clone()),
            serial: names.map(|names| names.serial.clone()),
            expires: names.map(|names| Moment::of(names.not_after, now)),
        }
    }
}

impl RoleStatus {
    fn of(role: Option<&RoleSession>, session: Option<&Session>, now: SystemTime) -> Self {
        Self {
            role_arn: role.map(|role| role.role_arn.clone()),
            session_name: role.and_then(|role| role.name.clone()),
            assumed_role_arn: session.and_then(|session| session.arn.clone()),
            expires: session
                .and_then(|session| session.expires)
                .map(|expires| Moment::of(expires, now)),
        }
    }
}

impl CredentialsStatus {
    fn of(status: &CredentialStatus) -> Self {
        let CredentialStatus {
            now,
            active,
            exchanging,
            due,
            error,
        } = status;
        let moment = |time| Moment::of(time, *now);
        Self {
            usable: active.is_some_and(|(_, expires)| expires.is_none_or(|expires| expires > *now)),
            obtained: active.map(|(obtained, _)| moment(obtained)),
            expires: active.and_then(|(_, expires)| expires).map(moment),
            refresh: RefreshStatus {
                due: due.filter(|_| !exchanging).map(moment),
                in_progress: *exchanging,
                error: error.as_ref().map(ToString::to_string),
            },
        }
    }
}
