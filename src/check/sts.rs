//! The sessions that STS gives, and the remedies of its errors.

use serde_json::json;

use super::step::StepOutcome;
use crate::clock::Clock;
use crate::config::{IdentityConfig, RoleSession};
use crate::credentials::claims::{Claims, quoted};
use crate::credentials::sts::{Pace, SessionCredentials, StsError, is_about_the_key};
use crate::credentials::token::Token;
use crate::credentials::{Exchange, ExchangeError, RoleHop};
use crate::remedies::first_hour::{
    HOP_EXTERNAL_ID, HOP_MISSING, HOP_PERMISSION, HOP_TRUST, ISSUER_SILENT, ISSUER_UNREACHABLE,
    KEY_UNKNOWN, PROVIDER_AUDIENCE, PROVIDER_MISSING, PROVIDER_SLASH, REGION_DISABLED,
    ROLE_MISSING, SESSION_TOO_LONG, STS_FOREIGN, STS_REFUSAL, STS_TROUBLE, TOKEN_AUDIENCE,
    TOKEN_EXPIRED, TOKEN_NO_AUDIENCE, TRUST_AUDIENCE, TRUST_ISSUER, TRUST_SUBJECT,
};
use crate::setup::policy::{Account, Federation};

/// Exchanges the token for the first session.
pub(super) async fn web_identity(
    exchange: &Exchange,
    identity: &IdentityConfig,
    token: &Token,
    clock: &Clock,
) -> (StepOutcome, Option<SessionCredentials>) {
    match exchange.session(token).await {
        Ok(obtained) => (given(&identity.role, &obtained, clock), Some(obtained)),
        Err(ExchangeError::WebIdentity { source, remedy }) => {
            let remedy = remedy.unwrap_or_default();
            (refused(&source, &remedy, token.claims(), identity), None)
        }
        Err(other) => (StepOutcome::broken(other.to_string()), None),
    }
}

/// Assumes the next role with the session of the one before.
pub(super) async fn hop(
    hop: RoleHop<'_>,
    before: &SessionCredentials,
    clock: &Clock,
) -> (StepOutcome, Option<SessionCredentials>) {
    match hop.assume(before).await {
        Ok(obtained) => (given(hop.role, &obtained, clock), Some(obtained)),
        Err(ExchangeError::Hop { source, remedy, .. }) => {
            let remedy = remedy.unwrap_or_default();
            (hop_refused(&source, &remedy, hop), None)
        }
        Err(other) => (StepOutcome::broken(other.to_string()), None),
    }
}

fn given(role: &RoleSession, obtained: &SessionCredentials, clock: &Clock) -> StepOutcome {
    let life = obtained.expires.duration_since(clock.now());
    StepOutcome::ok(format!(
        "{} gave a session {:?} for {} s",
        role.role_arn,
        role.name,
        life.unwrap_or_default().as_secs()
    ))
}

fn refused(
    error: &StsError,
    remedy: &str,
    claims: Option<&Claims>,
    identity: &IdentityConfig,
) -> StepOutcome {
    let outcome = StepOutcome::broken(error.to_string());
    let (code, message) = match error {
        StsError::Refused { code, message, .. } => (code.as_str(), message.as_str()),
        other => return without_refusal(outcome, other),
    };
    let role_arn = &identity.role.role_arn;
    match (code, claims) {
        ("InvalidIdentityToken", _) if message.contains("claim: aud") => {
            outcome.remedy(TOKEN_NO_AUDIENCE)
        }
        ("InvalidIdentityToken", _) if message.contains("audience") => outcome
            .remedy(TOKEN_AUDIENCE)
            .remedy_with(PROVIDER_AUDIENCE, remedy),
        ("InvalidIdentityToken", Some(claims)) if message.contains("OpenIDConnect provider") => {
            let outcome = outcome.remedy_with(PROVIDER_MISSING, remedy);
            if claims.iss.ends_with('/') {
                outcome.remedy(PROVIDER_SLASH)
            } else {
                outcome
            }
        }
        ("InvalidIdentityToken", _) if is_about_the_key(message) => outcome
            .remedy_with(ISSUER_UNREACHABLE, remedy)
            .remedy(KEY_UNKNOWN),
        ("IDPCommunicationError", _) => outcome.remedy_with(ISSUER_SILENT, remedy),
        ("AccessDenied", Some(claims)) => {
            let outcome = outcome
                .remedy_with(ROLE_MISSING, role_arn)
                .remedy_with(TRUST_SUBJECT, quoted(&[&claims.sub]))
                .remedy_with(TRUST_AUDIENCE, quoted(&claims.audiences()));
            let outcome = if claims.iss.ends_with('/') {
                outcome.remedy(TRUST_ISSUER)
            } else {
                outcome
            };
            outcome.paste(trust(claims, role_arn))
        }
        ("ExpiredTokenException", _) => outcome.remedy_with(TOKEN_EXPIRED, remedy),
        _ => common(outcome, error, code, message, remedy),
    }
}

fn hop_refused(error: &StsError, remedy: &str, hop: RoleHop<'_>) -> StepOutcome {
    let outcome = StepOutcome::broken(error.to_string());
    match error {
        StsError::Refused { code, .. } if code == "AccessDenied" => outcome
            .remedy_with(HOP_TRUST, remedy)
            .remedy(HOP_PERMISSION)
            .remedy(HOP_EXTERNAL_ID)
            .remedy(HOP_MISSING)
            .paste(trust_of_hop(hop)),
        StsError::Refused { code, message, .. } => common(outcome, error, code, message, remedy),
        other => without_refusal(outcome, other),
    }
}

/// Errors that mean the same for every session.
fn common(
    outcome: StepOutcome,
    error: &StsError,
    code: &str,
    message: &str,
    remedy: &str,
) -> StepOutcome {
    match code {
        "RegionDisabledException" => outcome.remedy_with(REGION_DISABLED, remedy),
        "ValidationError"
            if message.contains("DurationSeconds") || message.contains("MaxSessionDuration") =>
        {
            outcome.remedy_with(SESSION_TOO_LONG, remedy)
        }
        _ if error.pace() == Pace::Soon => outcome.remedy(STS_TROUBLE),
        _ => outcome.remedy_with(STS_REFUSAL, remedy),
    }
}

fn without_refusal(outcome: StepOutcome, error: &StsError) -> StepOutcome {
    match error {
        StsError::Unusable { .. } if !error.is_throttling() => outcome.remedy(STS_FOREIGN),
        _ => outcome.remedy(STS_TROUBLE),
    }
}

/// The trust policy that admits exactly this token, in the role's account.
fn trust(claims: &Claims, role_arn: &str) -> String {
    let audiences = claims.audiences();
    let usual = audiences
        .iter()
        .find(|audience| **audience == "sts.amazonaws.com");
    let federation = Federation {
        issuer: claims.iss.clone(),
        subject: claims.sub.clone(),
        audience: usual
            .or(audiences.first())
            .map(|&one| one.to_owned())
            .unwrap_or_default(),
    };
    federation.trust_policy(&Account::of(role_arn))
}

/// The trust policy that lets the previous role assume this one; the external id stays between the two parties.
fn trust_of_hop(hop: RoleHop<'_>) -> String {
    let mut statement = json!({
        "Effect": "Allow",
        "Principal": {"AWS": hop.before.role_arn},
        "Action": "sts:AssumeRole",
    });
    if hop.role.external_id.is_some()
        && let Some(statement) = statement.as_object_mut()
    {
        let condition = json!({"StringEquals": {"sts:ExternalId": "THE EXTERNAL ID"}});
        statement.insert("Condition".to_owned(), condition);
    }
    format!(
        "{:#}",
        json!({"Version": "2012-10-17", "Statement": [statement]})
    )
}
