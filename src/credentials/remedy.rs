//! What to do about a refusal of STS.
//!
//! STS says what it refuses and seldom why: a role that is missing and a trust policy that does not match sound the same. In:
//! the refusal, what was asked for, and what the token says of itself. Out: words that go on from the error's own, with the
//! values that AWS must hold, or none where there is nothing to add. The check command and the status page show the same.

use std::time::SystemTime;

use crate::config::RoleSession;
use crate::credentials::claims::{Claims, quoted};
use crate::credentials::sts::{StsError, is_about_the_key};

/// About AssumeRoleWithWebIdentity.
pub(super) fn web_identity(
    error: &StsError,
    session: &RoleSession,
    claims: Option<&Claims>,
    now: SystemTime,
) -> String {
    let StsError::Refused { code, message, .. } = error else {
        return over(claims, now);
    };
    let Some(claims) = claims else {
        return "; the token's claims cannot be read: it is none that STS can know".to_owned();
    };
    let remedy = match code.as_str() {
        "InvalidIdentityToken" if message.contains("audience") => format!(
            "the token's {} {}, which the IAM OIDC provider for {} must list among its audiences",
            if claims.azp.is_some() { "azp (which AWS takes for its audience) is" } else { "aud is" },
            quoted(&claims.audiences()),
            quoted(&[&claims.iss]),
        ),
        "InvalidIdentityToken" if message.contains("OpenIDConnect provider") => format!(
            "account {} needs an IAM OIDC provider whose URL is the token's iss to the letter, the slash at its end included: {}",
            account(&session.role_arn),
            quoted(&[&claims.iss]),
        ),
        "InvalidIdentityToken" | "IDPCommunicationError" if is_about_the_key(message) || code == "IDPCommunicationError" => format!(
            "AWS must be able to read {}/.well-known/openid-configuration and the keys it names from the internet within 5 s; it often passes",
            claims.iss.trim_end_matches('/'),
        ),
        "AccessDenied" => format!(
            "{} must exist, and its trust policy must allow sts:AssumeRoleWithWebIdentity to the OIDC provider of {}, with conditions that fit: {}",
            session.role_arn,
            quoted(&[&claims.iss]),
            conditions(claims),
        ),
        "ExpiredTokenException" => {
            "kubelet renews the file at 80 % of the token's life: see that this pod reads the one that it renews (no subPath)".to_owned()
        }
        "ValidationError" if message.contains("DurationSeconds") || message.contains("MaxSessionDuration") => format!(
            "ask for less by --session-duration, or raise the maximum session duration of {}",
            session.role_arn
        ),
        _ => String::new(),
    };
    if remedy.is_empty() {
        over(Some(claims), now)
    } else {
        format!("; {remedy}{}", over(Some(claims), now))
    }
}

/// About the AssumeRole of a hop.
pub(super) fn hop(error: &StsError, before: &RoleSession, hop: &RoleSession) -> String {
    let StsError::Refused { code, .. } = error else {
        return String::new();
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
            let actions = actions.join(", ");
            let external = match hop.external_id {
                Some(_) => ", with no sts:ExternalId in its conditions but the one given here",
                None => ", with no sts:ExternalId in its conditions, since none is given here (external-id=)",
            };
            format!(
                "; the trust policy of {} must allow {actions} to {}{external}; and a policy of {} must allow {actions} on {}",
                hop.role_arn, before.role_arn, before.role_arn, hop.role_arn,
            )
        }
        "RegionDisabledException" => {
            "; STS is off in this region for that account: turn it on under IAM's account settings, or set another --sts-endpoint".to_owned()
        }
        _ => String::new(),
    }
}

/// What the condition keys of a trust policy are for this token.
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

fn over(claims: Option<&Claims>, now: SystemTime) -> String {
    claims
        .and_then(|claims| claims.over_since(now))
        .map(|over| {
            format!(
                "; the token says that it expired {} s ago, unless this machine's clock is wrong",
                over.as_secs()
            )
        })
        .unwrap_or_default()
}

fn account(role_arn: &str) -> &str {
    role_arn.split(':').nth(4).unwrap_or_default()
}

#[cfg(test)]
mod tests;
