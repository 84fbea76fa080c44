//! The issuer as AWS sees it: discovery document, then keys.
//!
//! In: the token and its claims. Out: whether the issuer's name matches the token, and whether it publishes the key that signed it. Only AWS'
//! view from the internet matters: what cannot be read from here is a warning.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::{StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::step::StepOutcome;
use crate::credentials::claims::{Claims, quoted};
use crate::credentials::issuer::UnfitIssuer;
use crate::credentials::token::Token;
use crate::net::client::HttpClient;
use crate::remedies::first_hour::{
    ISSUER_FORBIDDEN, ISSUER_LETTER, ISSUER_UNREACHABLE, KEY_UNKNOWN,
};

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    #[serde(default)]
    kid: String,
}

/// kube-apiserver has the keys as a key set alone, and answers 406 to who accepts only JSON.
const ACCEPT: &str = "application/json, application/jwk-set+json";

/// The token's header, which is not secret.
#[derive(Deserialize)]
struct Head {
    kid: String,
}

/// Reads what the issuer publishes.
pub(super) async fn published(
    token: &Token,
    claims: &Claims,
    client: &HttpClient,
) -> (StepOutcome, Option<()>) {
    (
        look(token, claims, client)
            .await
            .unwrap_or_else(|broken| broken),
        None,
    )
}

async fn look(
    token: &Token,
    claims: &Claims,
    client: &HttpClient,
) -> Result<StepOutcome, StepOutcome> {
    let iss = quoted(&[&claims.iss]);
    if claims.is_googles() {
        return Ok(StepOutcome::ok(format!(
            "AWS trusts {iss} by itself: no OIDC provider is needed"
        )));
    }
    if let Some(unfit) = UnfitIssuer::of(&claims.iss) {
        let evidence = format!("IAM cannot take the issuer {iss}: {unfit}");
        return Err(StepOutcome::broken(evidence).remedy(unfit.row()));
    }
    let place = format!(
        "{}/.well-known/openid-configuration",
        claims.iss.trim_end_matches('/')
    );
    let discovery: Discovery = get(client, &place).await?;
    if discovery.issuer != claims.iss {
        let evidence = format!(
            "the token's iss is {iss}, but its discovery document names another issuer: {}",
            quoted(&[&discovery.issuer])
        );
        return Err(StepOutcome::broken(evidence).remedy(ISSUER_LETTER));
    }
    let keys: Jwks = get(client, &discovery.jwks_uri).await?;
    let count = keys.keys.len();
    match key_id(token) {
        Some(kid) if keys.keys.iter().all(|key| key.kid != kid) => {
            let evidence = format!(
                "{iss} publishes {count} keys, but no key {}, which signed the token",
                quoted(&[&kid])
            );
            Err(StepOutcome::broken(evidence).remedy(KEY_UNKNOWN))
        }
        _ => Ok(StepOutcome::ok(format!(
            "{iss} is readable from here, its discovery document matches, and the token's key is among its {count}"
        ))),
    }
}

async fn get<T: DeserializeOwned>(client: &HttpClient, url: &str) -> Result<T, StepOutcome> {
    let unread = |what: &str| {
        StepOutcome::warning(format!(
            "{} could not be read from here: {what}",
            quoted(&[url])
        ))
        .remedy(ISSUER_UNREACHABLE)
    };
    let url: Uri = url.parse().map_err(|_| unread("it is not a URL"))?;
    let answer = client
        .get(&url, ACCEPT)
        .await
        .map_err(|error| unread(&format!("it {error}")))?;
    if matches!(
        answer.status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        let evidence = format!(
            "{} could not be read from here: the response was {}",
            quoted(&[url.to_string()]),
            answer.status
        );
        return Err(StepOutcome::warning(evidence).remedy(ISSUER_FORBIDDEN));
    }
    if !answer.status.is_success() {
        return Err(unread(&format!("the response was {}", answer.status)));
    }
    let text = answer.text().ok_or_else(|| unread("it is not UTF-8"))?;
    serde_json::from_str(text).map_err(|_| unread("it is not the expected JSON"))
}

fn key_id(token: &Token) -> Option<String> {
    let head = token.expose().split('.').next()?;
    let json = URL_SAFE_NO_PAD.decode(head.trim_end_matches('=')).ok()?;
    let head: Head = serde_json::from_slice(&json).ok()?;
    Some(head.kid)
}
