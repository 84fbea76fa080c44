//! The exchange: a form with a client assertion in, an access token or a [`EntraRefusal`] out.
//!
//! ```text
//! form ─▶ fields ─▶ tenant, scope ─▶ application, service principal ─▶ assertion ─▶ resource ─▶ access token
//! ```
//!
//! The assertion is compared with the application's federated credentials first, issuer, subject and audience each to
//! the letter, and only then are keys fetched: from an issuer that the application names, and from nobody else.

use serde_json::{Value, json};

use super::directory::{Application, EntraConfig, TokenVersion, resource_of};
use super::refusal::EntraRefusal;
use crate::fetch::Fetcher;
use crate::form::Form;
use crate::front::request_id;
use crate::jwt::{Jwt, JwtError};
use crate::oidc::published_keys;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Entra dates its tokens back, so that a clock that is slow takes them too.
const DATED_BACK: u64 = 300;

/// What is asked for.
#[derive(Debug)]
struct Asked<'a> {
    client_id: &'a str,
    resource: &'a str,
    assertion: &'a str,
}

/// Who asks for a token to what, everything checked.
#[derive(Debug)]
pub(super) struct EntraGrant<'a> {
    client: &'a Application,
    object_id: &'a str,
    resource: &'a str,
    target: &'a Application,
}

/// Judges the form, sent to the tenant of the path.
pub(super) async fn judge<'a>(
    config: &'a EntraConfig,
    tenant: &str,
    form: &'a Form,
    fetcher: &Fetcher,
    now: u64,
) -> Result<EntraGrant<'a>, EntraRefusal> {
    let asked = Asked::parse(form)?;
    if !tenant.eq_ignore_ascii_case(&config.tenant_id) {
        return Err(EntraRefusal::TenantNotFound(tenant.to_owned()));
    }
    let here = || config.tenant_id.clone();
    let client = config.with_client_id(asked.client_id).ok_or_else(|| {
        EntraRefusal::ApplicationNotFound {
            client_id: asked.client_id.to_owned(),
            tenant: here(),
        }
    })?;
    let object_id =
        client
            .service_principal
            .as_deref()
            .ok_or_else(|| EntraRefusal::NoServicePrincipal {
                client_id: asked.client_id.to_owned(),
                tenant: here(),
            })?;
    authenticate(client, asked.assertion, fetcher, now).await?;
    Ok(EntraGrant {
        client,
        object_id,
        resource: asked.resource,
        target: target(config, asked.resource)?,
    })
}

/// Who a managed identity is, which the machine authenticates, and what it asks for.
pub(super) fn of_managed_identity<'a>(
    config: &'a EntraConfig,
    client_id: &str,
    resource: &'a str,
) -> Result<EntraGrant<'a>, EntraRefusal> {
    let not_found = || EntraRefusal::ApplicationNotFound {
        client_id: client_id.to_owned(),
        tenant: config.tenant_id.clone(),
    };
    let client = config.with_client_id(client_id).ok_or_else(not_found)?;
    Ok(EntraGrant {
        client,
        object_id: client.service_principal.as_deref().ok_or_else(not_found)?,
        resource,
        target: target(config, resource)?,
    })
}

/// The application whose tokens are asked for.
fn target<'a>(config: &'a EntraConfig, resource: &str) -> Result<&'a Application, EntraRefusal> {
    config
        .resource(resource)
        .ok_or_else(|| EntraRefusal::ResourceNotFound {
            resource: resource.to_owned(),
            tenant: config.tenant_id.clone(),
        })
}

impl<'a> Asked<'a> {
    fn parse(form: &'a Form) -> Result<Self, EntraRefusal> {
        let field = |name: &'static str| {
            form.get(name)
                .map(String::as_str)
                .filter(|value| !value.is_empty())
                .ok_or(EntraRefusal::MissingParameter(name))
        };
        let grant = field("grant_type")?;
        if grant != "client_credentials" {
            return Err(EntraRefusal::GrantType(grant.to_owned()));
        }
        let (client_id, scope) = (field("client_id")?, field("scope")?);
        let resource = resource_of(scope).ok_or_else(|| EntraRefusal::Scope(scope.to_owned()))?;
        if field("client_assertion_type").ok() != Some(JWT_BEARER) {
            return Err(EntraRefusal::NoAssertion);
        }
        let assertion = field("client_assertion").map_err(|_| EntraRefusal::NoAssertion)?;
        Ok(Self {
            client_id,
            resource,
            assertion,
        })
    }
}

/// Whether the assertion speaks for the application.
async fn authenticate(
    client: &Application,
    assertion: &str,
    fetcher: &Fetcher,
    now: u64,
) -> Result<(), EntraRefusal> {
    let jwt = Jwt::parse(assertion).map_err(|_| EntraRefusal::NotAJwt)?;
    let claim = |name: &str| jwt.text(name).unwrap_or_default();
    let (iss, sub) = (claim("iss"), claim("sub"));
    let mut matching: Vec<_> = client.federated_credentials.iter().collect();
    if matching.is_empty() {
        return Err(EntraRefusal::NoCredentials(client.client_id.clone()));
    }
    matching.retain(|credential| credential.issuer.as_deref() == Some(iss));
    if matching.is_empty() {
        return Err(EntraRefusal::Issuer(iss.to_owned()));
    }
    matching.retain(|credential| credential.subject.as_deref() == Some(sub));
    if matching.is_empty() {
        return Err(EntraRefusal::Subject(sub.to_owned()));
    }
    let audiences = jwt.audience();
    if !matching
        .iter()
        .any(|credential| audiences.contains(&credential.audience.as_str()))
    {
        return Err(EntraRefusal::Audience(audiences.join(", ")));
    }

    let jwks = published_keys(iss, fetcher)
        .await
        .map_err(|_| EntraRefusal::OidcEndpoint)?;
    let jwk = jwks
        .keys
        .iter()
        .find(|jwk| Some(&jwk.kid) == jwt.kid.as_ref())
        .ok_or(EntraRefusal::Signature("The key was not found."))?;
    jwt.verify(jwk).map_err(|error| match error {
        JwtError::Signature | JwtError::Algorithm | JwtError::Shape => EntraRefusal::Signature(
            "The provided signature value did not match the expected signature value.",
        ),
    })?;
    let until = jwt.seconds("exp").ok_or(EntraRefusal::NotAJwt)?;
    let from = jwt.seconds("nbf").unwrap_or_default();
    if now < from || now >= until {
        return Err(EntraRefusal::NotInTime { now, from, until });
    }
    Ok(())
}

impl EntraGrant<'_> {
    /// The access token's claims, and the id that distinguishes it from the next one.
    pub(super) fn claims(
        &self,
        config: &EntraConfig,
        authority: &str,
        now: u64,
    ) -> (Value, String) {
        let version = self.target.accepted_version;
        let (tenant, id) = (&config.tenant_id, request_id());
        let dated = now.saturating_sub(DATED_BACK);
        let mut claims = json!({
            "iss": config.issuer(authority, version),
            "iat": dated,
            "nbf": dated,
            "exp": now + config.token_life.as_secs(),
            "oid": self.object_id,
            "sub": self.object_id,
            "tid": tenant,
            "uti": id,
        });
        let own = match version {
            TokenVersion::V1 => json!({
                "aud": self.resource,
                "appid": self.client.client_id,
                "appidacr": "2",
                "idp": config.issuer(authority, version),
                "ver": "1.0",
            }),
            TokenVersion::V2 => json!({
                "aud": self.target.client_id,
                "azp": self.client.client_id,
                "azpacr": "2",
                "ver": "2.0",
            }),
        };
        if let (Some(claims), Value::Object(own)) = (claims.as_object_mut(), own) {
            claims.extend(own);
        }
        (claims, id)
    }
}
