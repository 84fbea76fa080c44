//! The sessions that STS gives, and the remedies of its errors.

use serde_json::json;

use super::step::StepOutcome;
use crate::clock::Clock;
use crate::config::{RoleSession, WebIdentityConfig};
use crate::credentials::claims::Claims;
use crate::credentials::sts::{SessionCredentials, StsError};
use crate::credentials::token::Token;
use crate::credentials::web_identity::WebIdentity;
use crate::credentials::{ExchangeError, RoleHop};
use crate::remedies::Advice;
use crate::remedies::first_hour::{HOP_TRUST, TRUST_SUBJECT};
use crate::setup::policy::{Account, Federation};

/// Exchanges the token for the first session.
pub(super) async fn web_identity(
    source: &WebIdentity,
    config: &WebIdentityConfig,
    token: &Token,
    clock: &Clock,
) -> (StepOutcome, Option<SessionCredentials>) {
    match source.session(token).await {
        Ok(obtained) => (given(&config.role, &obtained, clock), Some(obtained)),
        Err(ExchangeError::WebIdentity { source, remedy }) => {
            let role_arn = &config.role.role_arn;
            (refused(&source, &remedy, token.claims(), role_arn), None)
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
            (hop_refused(&source, &remedy, hop), None)
        }
        Err(other) => (StepOutcome::broken(other.to_string()), None),
    }
}

/// The evidence of a session.
pub(super) fn given(
    role: &RoleSession,
    obtained: &SessionCredentials,
    clock: &Clock,
) -> StepOutcome {
    let life = obtained
        .expires
        .and_then(|expires| expires.duration_since(clock.now()).ok());
    let named = obtained
        .arn
        .as_deref()
        .and_then(|arn| arn.rsplit('/').next());
    StepOutcome::ok(format!(
        "{} gave a session {:?} for {} s",
        role.role_arn,
        role.name.as_deref().or(named).unwrap_or_default(),
        life.unwrap_or_default().as_secs()
    ))
}

/// A policy is ready to paste where one may be missing, but never one that trusts a namespace's default account.
fn refused(
    error: &StsError,
    remedy: &Advice,
    claims: Option<&Claims>,
    role_arn: &str,
) -> StepOutcome {
    let outcome = StepOutcome::broken(error.to_string()).advise(remedy);
    match claims {
        Some(claims) if remedy.rows().contains(&TRUST_SUBJECT) => {
            outcome.paste(trust(claims, role_arn))
        }
        _ => outcome,
    }
}

fn hop_refused(error: &StsError, remedy: &Advice, hop: RoleHop<'_>) -> StepOutcome {
    let outcome = StepOutcome::broken(error.to_string()).advise(remedy);
    if remedy.rows().contains(&HOP_TRUST) {
        outcome.paste(trust_of_hop(hop))
    } else {
        outcome
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
        original_audience: claims.aud.first().filter(|_| claims.is_googles()).cloned(),
    };
    federation.trust_policy(&Account::of(role_arn))
}

/// The trust policy that lets the previous role assume this one; the external id stays between the two parties.
fn trust_of_hop(hop: RoleHop<'_>) -> String {
    let mut statement = json!({
        "Effect": "Allow",
        "Principal": {"AWS": hop.before.map_or("ARN OF THE SOURCE'S ROLE", |role| &role.role_arn)},
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
