//! What to do about a refusal of STS.
//!
//! In: the rejection, the request, and the claims of the token. Out: the remedy, with the values that AWS must hold, or `None` if
//! STS' own message is enough.

use std::time::SystemTime;

use crate::config::RoleSession;
use crate::credentials::claims::{Claims, quoted};
use crate::credentials::sts::{StsError, is_about_the_key};
use crate::remedies::identity;

/// About AssumeRoleWithWebIdentity.
pub(super) fn web_identity(
    error: &StsError,
    session: &RoleSession,
    claims: Option<&Claims>,
    now: SystemTime,
) -> Option<String> {
    let expired = claims
        .and_then(|claims| claims.over_since(now))
        .map(identity::expired_since);
    let StsError::Refused { code, message, .. } = error else {
        return expired;
    };
    let Some(claims) = claims else {
        return Some(identity::unreadable_claims());
    };
    let issuer = quoted(&[&claims.iss]);
    let remedy = match code.as_str() {
        "InvalidIdentityToken" if message.contains("audience") => {
            let claim = if claims.azp.is_some() { "azp" } else { "aud" };
            identity::provider_audience(claim, &quoted(&claims.audiences()), &issuer)
        }
        "InvalidIdentityToken" if message.contains("OpenIDConnect provider") => {
            identity::provider(account(&session.role_arn), &issuer)
        }
        "InvalidIdentityToken" if is_about_the_key(message) => {
            identity::issuer_keys(claims.iss.trim_end_matches('/'))
        }
        "IDPCommunicationError" => identity::issuer_keys(claims.iss.trim_end_matches('/')),
        "AccessDenied" => identity::trust_policy(&session.role_arn, &issuer, &conditions(claims)),
        "ExpiredTokenException" => identity::expired_token(),
        "ValidationError"
            if message.contains("DurationSeconds") || message.contains("MaxSessionDuration") =>
        {
            identity::session_duration(&session.role_arn)
        }
        _ => return expired,
    };
    Some(match expired {
        Some(expired) => format!("{remedy}; {expired}"),
        None => remedy,
    })
}

/// About the AssumeRole of a role in a chain.
pub(super) fn hop(error: &StsError, before: &RoleSession, hop: &RoleSession) -> Option<String> {
    let StsError::Refused { code, .. } = error else {
        return None;
    };
    match code.as_str() {
        "AccessDenied" => {
            let mut actions = vec!["sts:AssumeRole"];
            if hop.source_identity.is_some() {
                actions.push("sts:SetSourceIdentity");
            }
            if !hop.tags.is_empty() {
                actions.push("sts:TagSession");
            }
            let (role, previous) = (&hop.role_arn, &before.role_arn);
            let external_id = hop.external_id.is_some();
            Some(identity::role_chain(
                role,
                previous,
                &actions.join(", "),
                external_id,
            ))
        }
        "RegionDisabledException" => Some(identity::region_disabled()),
        _ => None,
    }
}

/// The values of a trust policy's condition keys for this token.
fn conditions(claims: &Claims) -> String {
    let provider = claims
        .iss
        .split_once("://")
        .map_or(claims.iss.as_str(), |(_, rest)| rest);
    let mut conditions = format!(
        "{} is {} and {} is {}",
        quoted(&[format!("{provider}:sub")]),
        quoted(&[&claims.sub]),
        quoted(&[format!("{provider}:aud")]),
        quoted(&claims.audiences()),
    );
    if claims.azp.is_some() {
        conditions.push_str(&format!(
            " (its azp) and {} is {}",
            quoted(&[format!("{provider}:oaud")]),
            quoted(&claims.aud)
        ));
    }
    conditions
}

fn account(role_arn: &str) -> &str {
    role_arn.split(':').nth(4).unwrap_or_default()
}

#[cfg(test)]
mod tests;
