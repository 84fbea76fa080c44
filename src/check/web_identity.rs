//! A web identity: the token's file, its claims, and its exchange through Entra ID.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hyper::Uri;

use super::step::StepOutcome;
use crate::config::{TokenConfig, WebIdentityConfig};
use crate::credentials::claims::Claims;
use crate::credentials::token::Token;
use crate::credentials::web_identity::WebIdentity;
use crate::remedies::first_hour::{
    TOKEN_EARLY, TOKEN_EXPIRED, TOKEN_MALFORMED, TOKEN_NO_AUDIENCE, TOKEN_NOT_RENEWED,
};

pub(super) async fn token(
    source: &WebIdentity,
    config: &WebIdentityConfig,
) -> (StepOutcome, Option<Token>) {
    match source.token().await {
        Ok(token) => {
            let outcome = match &config.token {
                TokenConfig::File(path) => there(path),
                TokenConfig::Entra(application) => there(&application.token_file),
                TokenConfig::AzureImds(config) => given(&config.endpoint, &config.audience),
                TokenConfig::GceMetadata(config) => given(&config.endpoint(), &config.audience),
            };
            (outcome, Some(token))
        }
        Err(error) => {
            let broken = StepOutcome::broken(error.to_string());
            (broken.advise(&error.remedy()), None)
        }
    }
}

/// Kubelet's file is a link into a folder that it swaps; it never refreshes any other.
fn there(path: &Path) -> StepOutcome {
    let shown = path.display();
    let mode =
        fs::metadata(path).map(|file| format!(", mode {:04o}", file.permissions().mode() & 0o7777));
    let mode = mode.unwrap_or_default();
    let swapped = fs::read_link(path).is_ok_and(|target| target.starts_with("..data"));
    if swapped {
        StepOutcome::ok(format!("{shown} is a projected token{mode}"))
    } else {
        StepOutcome::warning(format!(
            "{shown} can be read{mode}, but is not a link into ..data: kubelet never refreshes it"
        ))
        .remedy(TOKEN_NOT_RENEWED)
    }
}

fn given(endpoint: &Uri, audience: &str) -> StepOutcome {
    StepOutcome::ok(format!("{endpoint} gave a token for {audience}"))
}

/// The token's claims, checked against the clock alone: only AWS knows what it trusts.
pub(super) fn claims(token: &Token, now: SystemTime) -> (StepOutcome, Option<Claims>) {
    let Some(claims) = token.claims() else {
        let outcome = StepOutcome::broken("the token is not a JSON web token with iss and sub");
        return (outcome.remedy(TOKEN_MALFORMED), None);
    };
    let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let until = |then: Option<SystemTime>| then.and_then(|then| then.duration_since(now).ok());
    let evidence = claims.describe(now);
    let outcome = if claims.over_since(now).is_some() {
        StepOutcome::broken(evidence).remedy(TOKEN_EXPIRED)
    } else if let Some(early) = until(claims.nbf.and_then(at)).filter(|early| !early.is_zero()) {
        StepOutcome::broken(format!(
            "{evidence}; not valid before {} s from now",
            early.as_secs()
        ))
        .remedy(TOKEN_EARLY)
    } else if claims.aud.is_empty() {
        StepOutcome::broken(format!("{evidence}: no aud")).remedy(TOKEN_NO_AUDIENCE)
    } else {
        let left =
            until(claims.exp.and_then(at)).map(|left| format!(", valid for {} s", left.as_secs()));
        StepOutcome::ok(format!("{evidence}{}", left.unwrap_or_default()))
    };
    (outcome, Some(claims.clone()))
}

/// Exchanges it for the token that AWS gets.
pub(super) async fn through_entra(
    source: &WebIdentity,
    token: Token,
) -> (StepOutcome, Option<Token>) {
    match source.for_aws(token).await {
        Ok(token) => {
            let evidence = token
                .claims()
                .map(|claims| claims.describe(SystemTime::UNIX_EPOCH));
            let evidence =
                evidence.unwrap_or_else(|| "a token whose claims cannot be read".to_owned());
            (
                StepOutcome::ok(format!("token for AWS obtained: {evidence}")),
                Some(token),
            )
        }
        Err(error) => {
            let broken = StepOutcome::broken(error.to_string());
            (broken.advise(&error.remedy()), None)
        }
    }
}
