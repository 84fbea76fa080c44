//! Judges a web identity token, as AWS does before it looks at the role.
//!
//! In: the token and the account that the role lies in. Out: an [`Identity`]
//! whose signature, audience and times are right, with the condition keys for
//! the role's trust policy.
//!
//! The keys are fetched from the issuer's own documents each time, over the
//! network: a wrong issuer URL, an unreachable or slow issuer and a key that
//! is not published fail here as they do there. Only registered issuers are
//! fetched from, so that a token cannot send STS anywhere.

use serde::Deserialize;

use crate::fetch::{FetchError, Fetcher};
use crate::jwt::{Jwks, Jwt, JwtError};
use crate::sts::account::Account;
use crate::sts::refusal::Refusal;
use crate::sts::trust::Keys;

/// A token that is genuine, in time, and meant for AWS.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) provider_arn: String,
    pub(crate) subject: String,
    pub(crate) audience: String,
    /// `jti`, which tells one token from the next.
    pub(crate) token_id: Option<String>,
    pub(crate) keys: Keys,
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Identity {
    pub(crate) async fn of(
        token: &str,
        role_account: &str,
        account: &Account,
        fetcher: &Fetcher,
        now: u64,
    ) -> Result<Self, Refusal> {
        let jwt = Jwt::parse(token).map_err(|_| Refusal::NotAJwt)?;
        let iss = jwt.text("iss").ok_or(Refusal::MissingClaim("iss"))?;
        let provider = account
            .provider(role_account, iss)
            .ok_or_else(|| Refusal::NoProvider(iss.to_owned()))?;

        let real_audience = jwt.audience();
        if real_audience.is_empty() {
            return Err(Refusal::MissingClaim("aud"));
        }
        // With an authorized party, that is what AWS takes for the audience.
        let audiences = jwt
            .text("azp")
            .map_or_else(|| real_audience.clone(), |azp| vec![azp]);
        let audience = audiences
            .iter()
            .find(|audience| provider.client_ids.iter().any(|id| id == *audience))
            .ok_or(Refusal::IncorrectAudience)?;

        let jwks = published_keys(iss, fetcher).await?;
        let jwk = jwks
            .keys
            .iter()
            .find(|jwk| Some(&jwk.kid) == jwt.kid.as_ref())
            .ok_or(Refusal::NoVerificationKey)?;
        jwt.verify(jwk).map_err(|error| match error {
            JwtError::Signature | JwtError::Algorithm | JwtError::Shape => Refusal::BadSignature,
        })?;

        let exp = jwt.seconds("exp").ok_or(Refusal::MissingClaim("exp"))?;
        if now >= exp {
            return Err(Refusal::Expired { now, exp });
        }
        jwt.seconds("iat").ok_or(Refusal::MissingClaim("iat"))?;
        if jwt.seconds("nbf").is_some_and(|nbf| now < nbf) {
            return Err(Refusal::NotYetValid);
        }
        let subject = jwt.text("sub").ok_or(Refusal::MissingClaim("sub"))?;

        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let prefix = provider.without_scheme();
        Ok(Self {
            provider_arn: account.provider_arn(provider),
            subject: subject.to_owned(),
            audience: (*audience).to_owned(),
            token_id: jwt.text("jti").map(str::to_owned),
            keys: Keys::from([
                (format!("{prefix}:sub"), vec![subject.to_owned()]),
                (format!("{prefix}:aud"), owned(&audiences)),
                (format!("{prefix}:oaud"), owned(&real_audience)),
            ]),
        })
    }
}

async fn published_keys(iss: &str, fetcher: &Fetcher) -> Result<Jwks, Refusal> {
    let refused = |error: FetchError| match error {
        FetchError::Connect(_) => Refusal::IdpUnreachable,
        FetchError::Url(_)
        | FetchError::Tls(_)
        | FetchError::Http(_)
        | FetchError::Status(_)
        | FetchError::Body(_)
        | FetchError::Json(_)
        | FetchError::TimedOut => Refusal::NoVerificationKey,
    };
    let base = iss.trim_end_matches('/');
    let discovery: Discovery = fetcher
        .json(&format!("{base}/.well-known/openid-configuration"))
        .await
        .map_err(refused)?;
    if discovery.issuer != iss {
        return Err(Refusal::NoVerificationKey);
    }
    fetcher.json(&discovery.jwks_uri).await.map_err(refused)
}
