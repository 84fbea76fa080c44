//! The sessions that STS gives, and what its refusals mean.

use serde_json::json;

use super::step::Outcome;
use crate::clock::Clock;
use crate::config::{Identity, RoleSession};
use crate::credentials::claims::{Claims, quoted};
use crate::credentials::sts::{Obtained, Pace, StsError, is_about_the_key};
use crate::credentials::token::Token;
use crate::credentials::{Exchange, ExchangeError, Hop};
use crate::remedies::{
    HOP_EXTERNAL_ID, HOP_MISSING, HOP_PERMISSION, HOP_TRUST, ISSUER_SILENT, ISSUER_UNREACHABLE,
    KEY_UNKNOWN, PROVIDER_AUDIENCE, PROVIDER_MISSING, PROVIDER_SLASH, REGION_DISABLED,
    ROLE_MISSING, SESSION_TOO_LONG, STS_FOREIGN, STS_REFUSAL, STS_TROUBLE, TOKEN_AUDIENCE,
    TOKEN_EXPIRED, TOKEN_NO_AUDIENCE, TRUST_AUDIENCE, TRUST_ISSUER, TRUST_SUBJECT,
};
use crate::setup::policy::{Account, Federation};

/// Exchanges the token for the first session.
pub(super) async fn web_identity(
    exchange: &Exchange,
    identity: &Identity,
    token: &Token,
    clock: &Clock,
) -> (Outcome, Option<Obtained>) {
    match exchange.session(token).await {
        Ok(obtained) => (given(&identity.role, &obtained, clock), Some(obtained)),
        Err(ExchangeError::WebIdentity { source, mend }) => {
            let mend = mend.trim_start_matches("; ");
            (refused(&source, mend, token.claims(), identity), None)
        }
        Err(other) => (Outcome::broken(other.to_string()), None),
    }
}

/// Assumes the next role with the session of the one before.
pub(super) async fn hop(
    hop: Hop<'_>,
    before: &Obtained,
    clock: &Clock,
) -> (Outcome, Option<Obtained>) {
    match hop.assume(before).await {
        Ok(obtained) => (given(hop.role, &obtained, clock), Some(obtained)),
        Err(ExchangeError::Hop { source, mend, .. }) => {
            let mend = mend.trim_start_matches("; ");
            (hop_refused(&source, mend, hop), None)
        }
        Err(other) => (Outcome::broken(other.to_string()), None),
    }
}

fn given(role: &RoleSession, obtained: &Obtained, clock: &Clock) -> Outcome {
    let life = obtained.expires.duration_since(clock.now());
    Outcome::ok(format!(
        "{} gave a session {:?} for {} s",
        role.role_arn,
        role.name,
        life.unwrap_or_default().as_secs()
    ))
}

fn refused(error: &StsError, mend: &str, claims: Option<&Claims>, identity: &Identity) -> Outcome {
    let outcome = Outcome::broken(error.to_string());
    let (code, message) = match error {
        StsError::Refused { code, message, .. } => (code.as_str(), message.as_str()),
        other => return without_refusal(outcome, other),
    };
    let role_arn = &identity.role.role_arn;
    match (code, claims) {
        ("InvalidIdentityToken", _) if message.contains("claim: aud") => {
            outcome.mend(TOKEN_NO_AUDIENCE)
        }
        ("InvalidIdentityToken", _) if message.contains("audience") => outcome
            .mend(TOKEN_AUDIENCE)
            .mend_with(PROVIDER_AUDIENCE, mend),
        ("InvalidIdentityToken", Some(claims)) if message.contains("OpenIDConnect provider") => {
            let outcome = outcome.mend_with(PROVIDER_MISSING, mend);
            if claims.iss.ends_with('/') {
                outcome.mend(PROVIDER_SLASH)
            } else {
                outcome
            }
        }
        ("InvalidIdentityToken", _) if is_about_the_key(message) => outcome
            .mend_with(ISSUER_UNREACHABLE, mend)
            .mend(KEY_UNKNOWN),
        ("IDPCommunicationError", _) => outcome.mend_with(ISSUER_SILENT, mend),
        ("AccessDenied", Some(claims)) => {
            let outcome = outcome
                .mend_with(ROLE_MISSING, role_arn)
                .mend_with(TRUST_SUBJECT, quoted(&[&claims.sub]))
                .mend_with(TRUST_AUDIENCE, quoted(&claims.audiences()));
            let outcome = if claims.iss.ends_with('/') {
                outcome.mend(TRUST_ISSUER)
            } else {
                outcome
            };
            outcome.paste(trust(claims, role_arn))
        }
        ("ExpiredTokenException", _) => outcome.mend_with(TOKEN_EXPIRED, mend),
        _ => common(outcome, error, code, message, mend),
    }
}

fn hop_refused(error: &StsError, mend: &str, hop: Hop<'_>) -> Outcome {
    let outcome = Outcome::broken(error.to_string());
    match error {
        StsError::Refused { code, .. } if code == "AccessDenied" => outcome
            .mend_with(HOP_TRUST, mend)
            .mend(HOP_PERMISSION)
            .mend(HOP_EXTERNAL_ID)
            .mend(HOP_MISSING)
            .paste(trust_of_hop(hop)),
        StsError::Refused { code, message, .. } => common(outcome, error, code, message, mend),
        other => without_refusal(outcome, other),
    }
}

/// What means the same of every session.
fn common(outcome: Outcome, error: &StsError, code: &str, message: &str, mend: &str) -> Outcome {
    match code {
        "RegionDisabledException" => outcome.mend_with(REGION_DISABLED, mend),
        "ValidationError"
            if message.contains("DurationSeconds") || message.contains("MaxSessionDuration") =>
        {
            outcome.mend_with(SESSION_TOO_LONG, mend)
        }
        _ if error.pace() == Pace::Soon => outcome.mend(STS_TROUBLE),
        _ => outcome.mend_with(STS_REFUSAL, mend),
    }
}

fn without_refusal(outcome: Outcome, error: &StsError) -> Outcome {
    match error {
        StsError::Unusable { .. } if !error.is_throttling() => outcome.mend(STS_FOREIGN),
        _ => outcome.mend(STS_TROUBLE),
    }
}

/// The trust policy that lets in exactly this token, in the role's account.
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

/// The trust policy that lets the role before assume this one; the external id is between the two parties.
fn trust_of_hop(hop: Hop<'_>) -> String {
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
