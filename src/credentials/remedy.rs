//! What to do if STS gives no credentials.
//!
//! In: the error, the request, and the claims of the token. Out: the [`Advice`]: the rows that the error may point to, with the values
//! that AWS must hold. Log, `/readyz`, status page and `check` all get it from here.

use std::time::SystemTime;

use crate::config::RoleSession;
use crate::credentials::claims::{Claims, quoted};
use crate::credentials::issuer::UnfitIssuer;
use crate::credentials::sts::{Pace, StsError, is_about_the_key};
use crate::net::error::{ConnectError, HttpError};
use crate::remedies::first_hour::{
    CONNECTION_REFUSED, HOP_EXTERNAL_ID, HOP_MISSING, HOP_PERMISSION, HOP_TRUST, ISSUER_SILENT,
    ISSUER_UNREACHABLE, KEY_UNKNOWN, NAME_UNRESOLVED, PROVIDER_AUDIENCE, PROVIDER_MISSING,
    PROVIDER_SLASH, PROVIDER_THUMBPRINT, REGION_DISABLED, ROLE_MISSING, SESSION_TOO_LONG,
    STS_FOREIGN, STS_REFUSAL, STS_TROUBLE, SUBJECT_DEFAULT, TOKEN_AUDIENCE, TOKEN_EXPIRED,
    TOKEN_FOR_API_SERVER, TOKEN_MALFORMED, TOKEN_NO_AUDIENCE, TRUST_AUDIENCE, TRUST_ISSUER,
    TRUST_SUBJECT,
};
use crate::remedies::policies::Denial;
use crate::remedies::running::{PROXY_NO_PASSWORD, UNSIGNED};
use crate::remedies::{Advice, identity};

/// The audience in AWS' own instructions.
const STS_AUDIENCE: &str = "sts.amazonaws.com";

/// About AssumeRoleWithWebIdentity in `region`.
pub(super) fn web_identity(
    error: &StsError,
    session: &RoleSession,
    region: &str,
    claims: Option<&Claims>,
    now: SystemTime,
) -> Advice {
    let advice = match (error, claims) {
        (StsError::Refused { code, message, .. }, Some(claims)) => {
            of_token(code, message, session, claims)
        }
        (StsError::Refused { code, .. }, None) if is_about_the_token(code) => {
            Some(Advice::from(TOKEN_MALFORMED).here(identity::unreadable_claims()))
        }
        _ => None,
    };
    // Whatever failed: the token may have expired as well.
    let expired = claims.and_then(|claims| claims.over_since(now));
    let advice = advice.unwrap_or_else(|| of_any(error, &session.role_arn, region));
    advice.and(expired.map(identity::expired_since))
}

/// About the AssumeRole of a role in a chain.
pub(super) fn hop(
    error: &StsError,
    before: Option<&RoleSession>,
    hop: &RoleSession,
    region: &str,
) -> Advice {
    match error {
        StsError::Refused { code, message, .. }
            if code == "AccessDenied" && Denial::of(message).is_none() =>
        {
            let mut actions = vec!["sts:AssumeRole"];
            if hop.source_identity.is_some() {
                actions.push("sts:SetSourceIdentity");
            }
            if !hop.tags.is_empty() {
                actions.push("sts:TagSession");
            }
            Advice::any([HOP_TRUST, HOP_PERMISSION, HOP_EXTERNAL_ID, HOP_MISSING]).here(
                identity::role_chain(
                    &hop.role_arn,
                    before.map_or(identity::UNNAMED, |role| &role.role_arn),
                    &actions.join(", "),
                    hop.external_id.is_some(),
                ),
            )
        }
        other => of_any(other, &hop.role_arn, region),
    }
}

/// About a call of STS in `region` without a response.
pub(crate) fn unanswered(error: &HttpError, region: &str) -> Advice {
    match error {
        HttpError::Connect(ConnectError::Resolve { host, .. }) => {
            Advice::from(NAME_UNRESOLVED).here(identity::unresolved(host, region))
        }
        HttpError::Connect(ConnectError::Tcp { address, .. }) => {
            Advice::from(CONNECTION_REFUSED).here(identity::refused(*address))
        }
        other => other.remedy(STS_FOREIGN).into(),
    }
}

fn is_about_the_token(code: &str) -> bool {
    matches!(
        code,
        "InvalidIdentityToken" | "AccessDenied" | "ExpiredTokenException" | "IDPCommunicationError"
    )
}

/// A refusal that is about the token, its issuer, or the role's trust in both.
fn of_token(code: &str, message: &str, session: &RoleSession, claims: &Claims) -> Option<Advice> {
    let issuer = quoted(&[&claims.iss]);
    Some(match code {
        "InvalidIdentityToken" if message.contains("claim: aud") => TOKEN_NO_AUDIENCE.into(),
        "InvalidIdentityToken" if message.contains("audience") => of_audience(claims, &issuer),
        "InvalidIdentityToken" if message.contains("thumbprint") => {
            let arn = provider_arn(&session.role_arn, &claims.iss);
            Advice::from(PROVIDER_THUMBPRINT).here(identity::thumbprint(&arn))
        }
        "InvalidIdentityToken" if message.contains("OpenIDConnect provider") => {
            of_missing_provider(session, claims, &issuer)
        }
        "InvalidIdentityToken" if is_about_the_key(message) => {
            let issuer = claims.iss.trim_end_matches('/');
            Advice::any([ISSUER_UNREACHABLE, KEY_UNKNOWN]).here(identity::issuer_keys(issuer))
        }
        "IDPCommunicationError" => {
            let issuer = claims.iss.trim_end_matches('/');
            Advice::from(ISSUER_SILENT).here(identity::issuer_keys(issuer))
        }
        "AccessDenied" if Denial::of(message).is_none() => of_trust(session, claims, &issuer),
        "ExpiredTokenException" => TOKEN_EXPIRED.into(),
        _ => return None,
    })
}

fn of_audience(claims: &Claims, issuer: &str) -> Advice {
    let audiences = claims.audiences();
    let claim = if claims.azp.is_some() { "azp" } else { "aud" };
    let shown = quoted(&audiences);
    if claims.azp.is_some() || audiences.contains(&STS_AUDIENCE) {
        let here = identity::provider_audience(claim, &shown, issuer);
        Advice::from(PROVIDER_AUDIENCE).here(here)
    } else if claims.aud.iter().any(|aud| is_api_servers(aud)) {
        Advice::from(TOKEN_FOR_API_SERVER).here(identity::api_servers_audience(&shown))
    } else {
        let here = identity::audience(claim, &shown, issuer);
        Advice::any([TOKEN_AUDIENCE, PROVIDER_AUDIENCE]).here(here)
    }
}

/// An API server's own audiences are URLs, by default its issuer's; one that is meant for AWS is not.
fn is_api_servers(aud: &str) -> bool {
    aud.starts_with("https://") || aud.contains("kubernetes.default.svc")
}

fn of_missing_provider(session: &RoleSession, claims: &Claims, issuer: &str) -> Advice {
    if let Some(unfit) = UnfitIssuer::of(&claims.iss) {
        return of_unfit(&unfit, issuer);
    }
    let rows = if claims.iss.ends_with('/') {
        vec![PROVIDER_MISSING, PROVIDER_SLASH]
    } else {
        vec![PROVIDER_MISSING]
    };
    Advice::any(rows).here(identity::provider(account(&session.role_arn), issuer))
}

/// About an issuer that IAM cannot take.
pub(crate) fn of_unfit(unfit: &UnfitIssuer, issuer: &str) -> Advice {
    let row = unfit.row();
    let here = identity::unfit_issuer(issuer, &unfit.to_string(), row.remedy);
    Advice::from(row).here(here)
}

fn of_trust(session: &RoleSession, claims: &Claims, issuer: &str) -> Advice {
    if claims.is_default_account() {
        let here = identity::default_account(&quoted(&[&claims.sub]));
        return Advice::any([SUBJECT_DEFAULT, ROLE_MISSING]).here(here);
    }
    let mut rows = vec![ROLE_MISSING, TRUST_SUBJECT, TRUST_AUDIENCE];
    if claims.iss.ends_with('/') {
        rows.push(TRUST_ISSUER);
    }
    let conditions = conditions(claims);
    let principal = if claims.is_googles() {
        "accounts.google.com, which needs no OIDC provider".to_owned()
    } else {
        format!("the OIDC provider of {issuer}")
    };
    Advice::any(rows).here(identity::trust_policy(
        &session.role_arn,
        &principal,
        &conditions,
    ))
}

/// What means the same for every call.
fn of_any(error: &StsError, role_arn: &str, region: &str) -> Advice {
    let (code, message) = match error {
        StsError::Refused { code, message, .. } => (code.as_str(), message.as_str()),
        StsError::Silent(error) => return unanswered(error, region),
        StsError::Unusable { .. } if error.is_throttling() => return STS_TROUBLE.into(),
        // Something in between that was not asked for a tunnel.
        StsError::Unusable { status, .. } if status.as_u16() == 407 => {
            return PROXY_NO_PASSWORD.into();
        }
        StsError::Unusable { .. } => return STS_FOREIGN.into(),
        StsError::Unsigned(_) => return UNSIGNED.into(),
    };
    let is_about_duration =
        message.contains("DurationSeconds") || message.contains("MaxSessionDuration");
    match (code, Denial::of(message)) {
        ("AccessDenied", Some(denial)) => denial.row.into(),
        ("RegionDisabledException", _) => {
            Advice::from(REGION_DISABLED).here(identity::region_disabled(region))
        }
        ("ValidationError", _) if is_about_duration => {
            Advice::from(SESSION_TOO_LONG).here(identity::session_duration(role_arn))
        }
        _ if error.pace() == Pace::Soon => STS_TROUBLE.into(),
        _ => STS_REFUSAL.into(),
    }
}

/// The values of a trust policy's condition keys for this token.
fn conditions(claims: &Claims) -> String {
    let provider = without_scheme(&claims.iss);
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

/// The OIDC provider of the issuer in the role's account.
fn provider_arn(role_arn: &str, issuer: &str) -> String {
    let partition = role_arn.split(':').nth(1).unwrap_or("aws");
    let provider = quoted(&[without_scheme(issuer)]);
    let provider = provider.trim_matches('"');
    format!(
        "arn:{partition}:iam::{}:oidc-provider/{provider}",
        account(role_arn)
    )
}

fn without_scheme(issuer: &str) -> &str {
    issuer.split_once("://").map_or(issuer, |(_, rest)| rest)
}

#[cfg(test)]
mod tests;
