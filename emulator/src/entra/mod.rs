//! Microsoft Entra ID, as far as a workload exchanges its Kubernetes token for an access token.
//!
//! In: `POST /<tenant>/oauth2/v2.0/token` with a client assertion. Out: an access token of the version that the
//! resource's application takes, or AADSTS' JSON; and for AWS, which is to trust those tokens, the discovery document
//! of each version's issuer and their JWKS.
//!
//! The real issuers are `https://sts.windows.net/<tenant>/` and `https://login.microsoftonline.com/<tenant>/v2.0`. Where a
//! world has real names, `iss` is those; else it has the same shape, last slash included, below this authority's own
//! origin. A sovereign cloud is just another origin, and another world.
//!
//! Invariant: no token without an assertion whose signature was verified against keys that were really fetched.

mod directory;
mod exchange;
mod refusal;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use time::OffsetDateTime;

pub(crate) use directory::PUBLIC_CLOUD;
pub use directory::{
    Application, EXCHANGE_AUDIENCE, EntraConfig, FederatedCredential, TokenVersion,
};
pub use refusal::EntraRefusal;

use crate::call_log::CallLog;
use crate::clock::{Clock, unix_seconds};
use crate::fetch::Fetcher;
use crate::form;
use crate::front::{Answers, request_id};
use crate::http::answer;
use crate::jwt::{Jwks, Key};
use crate::secrets::Secrets;

/// The pool's key that signs access tokens, and that no Kubernetes issuer uses.
pub(crate) const ENTRAS_KEY: usize = 2;

/// A running Entra ID of one tenant. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Entra(Arc<EntraShared>);

#[derive(Debug)]
struct EntraShared {
    config: RwLock<Arc<EntraConfig>>,
    /// Its origin, with a slash at the end as in `AZURE_AUTHORITY_HOST`.
    authority: String,
    key: Key,
    clock: Clock,
    fetcher: Fetcher,
    calls: CallLog<EntraCall>,
    secrets: Secrets,
}

/// One token request, as Entra judged it. Those that a fault answered are not among them.
#[derive(Debug, Clone)]
pub struct EntraCall {
    /// When it was judged, by the world's clock.
    pub at: SystemTime,
    /// The tenant in the path.
    pub tenant: String,
    /// `client_id`, as sent.
    pub client_id: Option<String>,
    /// `scope`, as sent.
    pub scope: Option<String>,
    /// `uti` of the access token, or why there is none.
    pub outcome: Result<String, EntraRefusal>,
}

// === impl Entra ===

impl Entra {
    /// The tenant of `config` at `origin`; takes a while where its key is yet to be made.
    pub(crate) fn new(
        config: EntraConfig,
        origin: &str,
        clock: Clock,
        fetcher: Fetcher,
    ) -> Result<Self, rsa::Error> {
        Ok(Self(Arc::new(EntraShared {
            config: RwLock::new(Arc::new(config)),
            authority: format!("{origin}/"),
            key: Key::pooled(ENTRAS_KEY)?,
            clock,
            fetcher,
            calls: CallLog::default(),
            secrets: Secrets::default(),
        })))
    }

    /// The tenant, its applications and the scope, as they are now.
    #[must_use]
    pub fn config(&self) -> Arc<EntraConfig> {
        let config = self.0.config.read();
        Arc::clone(&config.unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on the tenant has these applications, and no others.
    pub fn set_applications(&self, applications: Vec<Application>) {
        let mut config = EntraConfig::clone(&self.config());
        config.applications = applications;
        let mut held = self
            .0
            .config
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(config);
    }

    /// For `AZURE_AUTHORITY_HOST`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// What access tokens of that version have as `iss`.
    #[must_use]
    pub fn issuer(&self, version: TokenVersion) -> String {
        self.config().issuer(&self.0.authority, version)
    }

    /// The token requests that it judged; those of managed identities are counted only.
    #[must_use]
    pub fn calls(&self) -> &CallLog<EntraCall> {
        &self.0.calls
    }

    /// The access tokens that were issued.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        self.0.secrets.all()
    }

    async fn token(&self, tenant: &str, body: &[u8]) -> Result<Value, EntraRefusal> {
        let config = &*self.config();
        let EntraShared {
            authority,
            key,
            clock,
            fetcher,
            calls,
            secrets,
            ..
        } = self.0.as_ref();
        let form = form::decoded(body);
        let at = clock.now();
        let now = unix_seconds(at);
        let granted = exchange::judge(config, tenant, &form, fetcher, now).await;
        let issued = granted.map(|granted| granted.claims(config, authority, now));
        let field = |name: &str| form.get(name).cloned();
        let call = EntraCall {
            at,
            tenant: tenant.to_owned(),
            client_id: field("client_id"),
            scope: field("scope"),
            outcome: issued
                .as_ref()
                .map(|(_, id)| id.clone())
                .map_err(Clone::clone),
        };
        calls.note(call, issued.is_ok());
        let life = config.token_life.as_secs();
        issued.map(|(claims, _)| {
            let access_token = key.sign(&claims);
            secrets.note("access token", &access_token);
            json!({
                "token_type": "Bearer",
                "expires_in": life,
                "ext_expires_in": life,
                "access_token": access_token,
            })
        })
    }

    /// An access token of a managed identity, or why there is none.
    pub(crate) fn for_managed_identity(
        &self,
        client_id: &str,
        resource: &str,
        now: u64,
    ) -> Result<String, EntraRefusal> {
        let config = &*self.config();
        let grant = exchange::of_managed_identity(config, client_id, resource)?;
        let (claims, _) = grant.claims(config, &self.0.authority, now);
        let access_token = self.0.key.sign(&claims);
        self.0.calls.count(true);
        self.0.secrets.note("access token", &access_token);
        Ok(access_token)
    }

    /// The discovery document of one version's issuer. AWS reads `issuer` and `jwks_uri`; Microsoft's own clients, which
    /// go by way of it to the token endpoint, want an authorization endpoint too, which is not served.
    fn discovery(&self, version: TokenVersion) -> Value {
        let (authority, tenant) = (&self.0.authority, &self.config().tenant_id);
        let keys = match version {
            TokenVersion::V1 => "discovery/keys",
            TokenVersion::V2 => "discovery/v2.0/keys",
        };
        json!({
            "issuer": self.issuer(version),
            "authorization_endpoint": format!("{authority}{tenant}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{authority}{tenant}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "jwks_uri": format!("{authority}{tenant}/{keys}"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    fn document(&self, tenant: &str, path: &str) -> Option<Result<Value, EntraRefusal>> {
        let document = match path {
            ".well-known/openid-configuration" => self.discovery(TokenVersion::V1),
            "v2.0/.well-known/openid-configuration" => self.discovery(TokenVersion::V2),
            "discovery/keys" | "discovery/v2.0/keys" => json!(Jwks {
                keys: vec![self.0.key.jwk()],
            }),
            _ => return None,
        };
        let known = tenant.eq_ignore_ascii_case(&self.config().tenant_id);
        Some(if known {
            Ok(document)
        } else {
            Err(EntraRefusal::TenantNotFound(tenant.to_owned()))
        })
    }
}

impl Answers for Entra {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path().trim_start_matches('/');
        let (tenant, rest) = path.split_once('/').unwrap_or((path, ""));
        let said = match (request.method(), rest) {
            (&Method::POST, "oauth2/v2.0/token") => Some(self.token(tenant, request.body()).await),
            (&Method::GET, _) => self.document(tenant, rest),
            _ => None,
        };
        match said {
            Some(Ok(document)) => {
                let kind = "application/json; charset=utf-8";
                let mut response = answer(StatusCode::OK, kind, document.to_string());
                response.headers_mut().insert(
                    header::CACHE_CONTROL,
                    HeaderValue::from_static("no-store, no-cache"),
                );
                response
            }
            Some(Err(refusal)) => {
                // The caller's own number comes back, so that it finds its request again.
                let correlation_id = request
                    .headers()
                    .get("client-request-id")
                    .and_then(|value| value.to_str().ok())
                    .map_or_else(request_id, str::to_owned);
                let now = OffsetDateTime::from(self.0.clock.now());
                refusal.answer(&self.0.authority, &correlation_id, now)
            }
            None => answer(StatusCode::NOT_FOUND, "text/plain", String::new()),
        }
    }
}
