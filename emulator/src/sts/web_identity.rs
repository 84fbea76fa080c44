//! Judges a web identity token, as AWS does before it looks at the role.
//!
//! In: the token and the account that the role lies in, if there is such a one. Out: an [`Identity`]
//! whose signature, audience and times are right, with the condition keys for
//! the role's trust policy.
//!
//! Only registered issuers are fetched from, so that a token cannot send STS
//! anywhere.

use crate::fetch::Fetcher;
use crate::iam::ConditionKeys;
use crate::jwt::{Jwt, JwtError};
use crate::oidc::{KeysError, published_keys};
use crate::sts::account::{Account, OidcProvider};
use crate::sts::refusal::StsRefusal;

/// The issuer that AWS trusts without an OIDC provider.
pub(crate) const GOOGLE: &str = "https://accounts.google.com";

/// A token that is genuine, in time, and meant for AWS.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The provider's ARN, or the name of one that AWS has itself: the principal of trust policies.
    pub(crate) provider: String,
    pub(crate) subject: String,
    pub(crate) audience: String,
    /// `jti`, which distinguishes one token from the next.
    pub(crate) token_id: Option<String>,
    pub(crate) keys: ConditionKeys,
}

/// Who vouches for the token.
#[derive(Debug, Clone, Copy)]
enum Trusted<'a> {
    /// An OIDC provider of the role's account.
    Provider(&'a Account, &'a OidcProvider),
    /// Google, which AWS knows by itself, whatever providers there are.
    Google,
}

// === impl Trusted ===

impl<'a> Trusted<'a> {
    fn of(iss: &str, account: Option<&'a Account>) -> Result<Self, StsRefusal> {
        if iss == GOOGLE {
            return Ok(Self::Google);
        }
        account
            .and_then(|account| Some(Self::Provider(account, account.provider(iss)?)))
            .ok_or_else(|| StsRefusal::NoProvider(iss.to_owned()))
    }

    /// Google's audiences are for the trust policy alone.
    fn accepts(self, audience: &str) -> bool {
        match self {
            Self::Provider(_, provider) => provider.client_ids.iter().any(|id| id == audience),
            Self::Google => true,
        }
    }

    fn principal(self) -> String {
        match self {
            Self::Provider(account, provider) => account.provider_arn(provider),
            Self::Google => self.prefix().to_owned(),
        }
    }

    /// What condition keys begin with.
    fn prefix(self) -> &'a str {
        match self {
            Self::Provider(_, provider) => provider.without_scheme(),
            Self::Google => GOOGLE.trim_start_matches("https://"),
        }
    }
}

// === impl Identity ===

impl Identity {
    pub(crate) async fn of(
        token: &str,
        account: Option<&Account>,
        fetcher: &Fetcher,
        now: u64,
    ) -> Result<Self, StsRefusal> {
        let jwt = Jwt::parse(token).map_err(|_| StsRefusal::NotAJwt)?;
        let iss = jwt.text("iss").ok_or(StsRefusal::MissingClaim("iss"))?;
        let provider = Trusted::of(iss, account)?;

        let real_audience = jwt.audience();
        if real_audience.is_empty() {
            return Err(StsRefusal::MissingClaim("aud"));
        }
        // With an authorized party, that is what AWS takes for the audience.
        let audiences = jwt
            .text("azp")
            .map_or_else(|| real_audience.clone(), |azp| vec![azp]);
        let audience = audiences
            .iter()
            .find(|audience| provider.accepts(audience))
            .ok_or(StsRefusal::IncorrectAudience)?;

        let jwks = published_keys(iss, fetcher)
            .await
            .map_err(|error| match error {
                KeysError::Unreachable(_) => StsRefusal::IdpUnreachable,
                KeysError::Unreadable(_) | KeysError::AnotherIssuer => {
                    StsRefusal::NoVerificationKey
                }
            })?;
        let jwk = jwks
            .keys
            .iter()
            .find(|jwk| Some(&jwk.kid) == jwt.kid.as_ref())
            .ok_or(StsRefusal::NoVerificationKey)?;
        jwt.verify(jwk).map_err(|error| match error {
            JwtError::Signature | JwtError::Algorithm | JwtError::Shape => StsRefusal::BadSignature,
        })?;

        let exp = jwt.seconds("exp").ok_or(StsRefusal::MissingClaim("exp"))?;
        if now >= exp {
            return Err(StsRefusal::Expired { now, exp });
        }
        jwt.seconds("iat").ok_or(StsRefusal::MissingClaim("iat"))?;
        if jwt.seconds("nbf").is_some_and(|nbf| now < nbf) {
            return Err(StsRefusal::NotYetValid);
        }
        let subject = jwt.text("sub").ok_or(StsRefusal::MissingClaim("sub"))?;

        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let prefix = provider.prefix();
        Ok(Self {
            provider: provider.principal(),
            subject: subject.to_owned(),
            audience: (*audience).to_owned(),
            token_id: jwt.text("jti").map(str::to_owned),
            keys: ConditionKeys::from([
                (format!("{prefix}:sub"), vec![subject.to_owned()]),
                (format!("{prefix}:aud"), owned(&audiences)),
                (format!("{prefix}:oaud"), owned(&real_audience)),
            ]),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jwt::Key;
    use crate::names::Names;
    use crate::world::{World, WorldConfig};

    const ACCOUNT: &str = "123456789012";

    /// Judges a token with these claims, signed with the key that the issuer publishes.
    async fn judge(world: &World, iss: &str, changes: Value) -> Result<Identity, StsRefusal> {
        let mut claims =
            json!({"iss": iss, "sub": "s", "aud": ["sts.amazonaws.com"], "exp": 2000, "iat": 1000});
        for (claim, value) in changes.as_object().expect("an object") {
            claims[claim] = value.clone();
        }
        let token = Key::pooled(0).expect("key").sign(&claims);
        let account = Account {
            id: ACCOUNT.into(),
            partition: "aws".into(),
            providers: vec![OidcProvider {
                url: iss.into(),
                client_ids: vec!["sts.amazonaws.com".into(), "app".into()],
            }],
            roles: Vec::new(),
        };
        let fetcher = Fetcher::new(world.certificates().client_config(), Names::default());
        Identity::of(&token, Some(&account), &fetcher, 1500).await
    }

    #[tokio::test]
    async fn each_required_claim_is_missed_by_its_name() {
        let world = World::start(WorldConfig::default()).await.expect("a world");
        let iss = world.issuer_url();
        judge(&world, iss, json!({})).await.expect("complete");
        for claim in ["iss", "aud", "exp", "iat", "sub"] {
            let refusal = judge(&world, iss, json!({claim: null}))
                .await
                .expect_err(claim);
            assert_eq!(refusal, StsRefusal::MissingClaim(claim));
        }
        let late = judge(&world, iss, json!({"exp": 1500}))
            .await
            .expect_err("expired");
        assert_eq!(
            late,
            StsRefusal::Expired {
                now: 1500,
                exp: 1500
            }
        );
    }

    #[tokio::test]
    async fn with_an_authorized_party_that_is_the_audience() {
        let world = World::start(WorldConfig::default()).await.expect("a world");
        let iss = world.issuer_url();
        let azp = json!({"azp": "app", "aud": "api://resource"});
        let identity = judge(&world, iss, azp).await.expect("accepted");
        let key = |name: &str| {
            let place = iss.split_once("://").expect("a URL").1;
            identity.keys[&format!("{place}:{name}")].clone()
        };
        assert_eq!(
            (key("aud"), key("oaud")),
            (vec!["app".into()], vec!["api://resource".into()])
        );
        let stranger = judge(&world, iss, json!({"azp": "stranger"})).await;
        assert_eq!(
            stranger.expect_err("refused"),
            StsRefusal::IncorrectAudience
        );
    }

    #[tokio::test]
    async fn an_issuer_that_accepts_no_connection_is_a_fault_of_its_own() {
        let world = World::start(WorldConfig::default()).await.expect("a world");
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let iss = format!("http://{}/", nobody.local_addr().expect("bound"));
        drop(nobody);
        let refusal = judge(&world, &iss, json!({}))
            .await
            .expect_err("unreachable");
        assert_eq!(refusal, StsRefusal::IdpUnreachable);
    }

    #[tokio::test]
    async fn a_discovery_document_for_another_issuer_is_refused() {
        let world = World::start(WorldConfig::default()).await.expect("a world");
        // The same document is reached, but `iss` lacks the slash that it names.
        let iss = world.issuer_url().trim_end_matches('/');
        let refusal = judge(&world, iss, json!({})).await.expect_err("another");
        assert_eq!(refusal, StsRefusal::NoVerificationKey);
    }
}
