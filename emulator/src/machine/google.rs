//! Google's metadata server, as far as it gives identity tokens of the machine's service account, and Google's own
//! documents, by which AWS verifies them.
//!
//! In: `GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=…&format=full` with `Metadata-Flavor: Google`.
//! Out: a token, as bare text, in an answer that has that header too; a client looks for it to know who answered.
//!
//! The token's `azp` is the service account's unique id, like its `sub`: what AWS compares with `:aud` is therefore that id.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::request::{is_meant, parameter};
use crate::clock::Clock;
use crate::entra::ENTRAS_KEY;
use crate::front::Answers;
use crate::http::answer;
use crate::jwt::{Jwks, Key};
use crate::secrets::Secrets;
use crate::sts::GOOGLE;

/// Where Google's discovery document is.
pub(crate) const GOOGLE_HOST: &str = "accounts.google.com";
/// Where its keys are.
pub(crate) const KEYS_HOST: &str = "www.googleapis.com";
/// The same as Entra's: a machine is in one cloud.
const GOOGLES_KEY: usize = ENTRAS_KEY;
const ACCOUNT: &str = "/computeMetadata/v1/instance/service-accounts/default/";
const FLAVOR: &str = "metadata-flavor";
const LIFE_SECONDS: u64 = 3600;

/// An instance of Compute Engine.
#[derive(Debug, Clone)]
pub struct GoogleVm {
    /// Its service account, if it has one.
    pub service_account: Option<ServiceAccount>,
}

/// A service account of Google's IAM.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Its name.
    pub email: String,
    /// Its number, which is never given again.
    pub unique_id: String,
    /// Whether the metadata server may give tokens of it.
    pub may_give_tokens: bool,
}

/// The metadata server of an instance.
#[derive(Debug)]
pub(crate) struct Google {
    vm: GoogleVm,
    key: Key,
    clock: Clock,
    secrets: Secrets,
}

/// What Google publishes for everybody.
#[derive(Debug)]
pub(crate) struct GoogleDocuments {
    key: Key,
}

// === impl GoogleVm ===

impl Default for GoogleVm {
    fn default() -> Self {
        Self {
            service_account: Some(ServiceAccount {
                email: "prometheus@example-project.iam.gserviceaccount.com".to_owned(),
                unique_id: "107517467455664443765".to_owned(),
                may_give_tokens: true,
            }),
        }
    }
}

// === impl Google ===

impl Google {
    /// Takes a while where its key is yet to be made.
    pub(crate) fn new(vm: GoogleVm, clock: Clock, secrets: Secrets) -> Result<Self, rsa::Error> {
        Ok(Self {
            vm,
            key: Key::pooled(GOOGLES_KEY)?,
            clock,
            secrets,
        })
    }

    pub(crate) fn documents(&self) -> GoogleDocuments {
        GoogleDocuments {
            key: self.key.clone(),
        }
    }

    pub(super) fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let mut answered = self.given(request);
        let headers = answered.headers_mut();
        headers.insert(FLAVOR, HeaderValue::from_static("Google"));
        headers.insert(
            "server",
            HeaderValue::from_static("Metadata Server for GCE"),
        );
        answered
    }

    fn given(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let refused =
            |status, words: &str| answer(status, "text/html; charset=UTF-8", words.into());
        if !is_meant(request, FLAVOR, "Google") {
            let words = "Missing Metadata-Flavor:Google header.";
            return refused(StatusCode::FORBIDDEN, words);
        }
        let path = request.uri().path();
        if request.method() == Method::GET && path == "/" {
            return answer(
                StatusCode::OK,
                "application/text",
                "computeMetadata/\n".into(),
            );
        }
        let asked = path.strip_prefix(ACCOUNT);
        let Some((asked, account)) = asked.zip(self.vm.service_account.as_ref()) else {
            return refused(
                StatusCode::NOT_FOUND,
                "<title>Error 404 (Not Found)</title>",
            );
        };
        match asked {
            "" => {
                let said = json!({"aliases": ["default"], "email": account.email, "scopes": []});
                answer(StatusCode::OK, "application/json", said.to_string())
            }
            "identity" if !account.may_give_tokens => {
                let words = "Permission 'iam.serviceAccounts.getOpenIdToken' denied on resource (or it may not exist).";
                refused(StatusCode::FORBIDDEN, words)
            }
            "identity" => match parameter(request, "audience") {
                None => refused(
                    StatusCode::BAD_REQUEST,
                    "non-empty audience parameter required",
                ),
                Some(audience) => {
                    let full = parameter(request, "format").as_deref() == Some("full");
                    let token = self.key.sign(&self.claims(account, &audience, full));
                    self.secrets.note("Google's token", &token);
                    answer(StatusCode::OK, "text/html", token)
                }
            },
            _ => refused(
                StatusCode::NOT_FOUND,
                "<title>Error 404 (Not Found)</title>",
            ),
        }
    }

    fn claims(&self, account: &ServiceAccount, audience: &str, full: bool) -> Value {
        let now = self.clock.unix_seconds();
        let mut claims = Map::new();
        let mut say = |claim: &str, value: Value| claims.insert(claim.to_owned(), value);
        say("aud", json!(audience));
        say("azp", json!(account.unique_id));
        say("exp", json!(now + LIFE_SECONDS));
        say("iat", json!(now));
        say("iss", json!(GOOGLE));
        say("sub", json!(account.unique_id));
        if full {
            say("email", json!(account.email));
            say("email_verified", json!(true));
            let instance = json!({
                "instance_creation_timestamp": now.saturating_sub(86_400),
                "instance_id": "4152131234532123456",
                "instance_name": "prometheus-0",
                "project_id": "example-project",
                "project_number": 739_419_398_126_u64,
                "zone": "europe-west3-a",
            });
            say("google", json!({"compute_engine": instance}));
        }
        Value::Object(claims)
    }
}

impl Answers for GoogleDocuments {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let document = match request.uri().path() {
            "/.well-known/openid-configuration" => json!({
                "issuer": GOOGLE,
                "jwks_uri": format!("https://{KEYS_HOST}/oauth2/v3/certs"),
            }),
            "/oauth2/v3/certs" => json!(Jwks {
                keys: vec![self.key.jwk()],
            }),
            _ => return answer(StatusCode::NOT_FOUND, "text/plain", String::new()),
        };
        answer(StatusCode::OK, "application/json", document.to_string())
    }
}
