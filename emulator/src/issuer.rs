//! The cluster's OIDC issuer: signing keys, the two public documents, tokens.
//!
//! In: what a token shall say ([`TokenSpec`]), or how it shall be wrong
//! ([`BrokenToken`]). Out: tokens with the claims of a Kubernetes projected
//! service-account token, and over HTTP the discovery document and the JWKS
//! that let STS verify them.
//!
//! The issuer's URL has a path and ends in a slash as on AKS, because there
//! the slash is part of `iss` and of IAM's condition keys, and forgetting it is
//! the commonest mistake. After a key rotation the old keys stay published,
//! as the real ones do for a day, so that tokens of before still verify.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::entra::ENTRAS_KEY;
use crate::front::{Answers, request_id};
use crate::http::answer;
use crate::jwt::{Jwks, Key};

/// The pool's key that no issuer ever publishes.
const STRANGERS_KEY: usize = 1;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// The pod's namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Its name.
    pub pod: String,
    /// Whom the token is for.
    pub audience: Vec<String>,
    /// How long it is valid.
    pub life: Duration,
}

/// The ways in which a token can be of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenToken {
    /// There is no file.
    Missing,
    /// The file is empty.
    Empty,
    /// Only its first half is there.
    Truncated,
    /// It is text, but no token.
    NotAToken,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is for the API server.
    WrongAudience,
    /// It has no `aud` at all.
    NoAudience,
    /// It is another service account's.
    WrongSubject,
    /// It is that of the namespace's default service account: the pod names none.
    DefaultSubject,
    /// `iss` lacks its last slash.
    WrongIssuer,
    /// A key signed it that the issuer does not publish.
    UnknownKey,
    /// Its claims were changed after signing.
    BadSignature,
}

/// The issuer. Clones share its keys.
#[derive(Debug, Clone)]
pub struct Issuer {
    url: String,
    /// The URL's path, with its slash at the end.
    path: String,
    clock: Clock,
    keys: Arc<Mutex<SigningKeys>>,
}

#[derive(Debug)]
struct SigningKeys {
    active: Key,
    /// The active one too.
    published: Vec<Key>,
    next: usize,
}

// === impl TokenSpec ===

impl TokenSpec {
    /// `sub`.
    #[must_use]
    pub fn subject(&self) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.namespace, self.service_account
        )
    }
}

// === impl Issuer ===

impl Issuer {
    /// An issuer at `<origin><path>`; `path` begins and ends with a slash.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(origin: &str, path: &str, clock: Clock) -> Result<Self, rsa::Error> {
        let active = Key::pooled(0)?;
        Ok(Self {
            url: format!("{origin}{path}"),
            path: path.to_owned(),
            clock,
            keys: Arc::new(Mutex::new(SigningKeys {
                published: vec![active.clone()],
                active,
                next: ENTRAS_KEY + 1,
            })),
        })
    }

    /// What tokens have as `iss`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Signs with a new key from now on. The old ones stay published.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rotate_keys(&self) -> Result<(), rsa::Error> {
        let next = self.lock().next;
        // Outside of the lock: it takes a while, and the documents must stay readable.
        let key = Key::pooled(next)?;
        let mut keys = self.lock();
        keys.next = next + 1;
        keys.published.push(key.clone());
        keys.active = key;
        Ok(())
    }

    /// Publishes the active key alone: tokens of before no longer verify.
    pub fn forget_old_keys(&self) {
        let mut keys = self.lock();
        keys.published = vec![keys.active.clone()];
    }

    /// A good token.
    #[must_use]
    pub fn mint(&self, spec: &TokenSpec) -> String {
        let claims = self.claims(spec);
        self.lock().active.sign(&claims)
    }

    /// A token that is wrong in one way; `None` where that way is to have none.
    ///
    /// # Errors
    /// When the stranger's key cannot be made.
    pub fn mint_broken(
        &self,
        spec: &TokenSpec,
        broken: BrokenToken,
    ) -> Result<Option<String>, rsa::Error> {
        let mut claims = self.claims(spec);
        let now = self.clock.unix_seconds();
        let mut set = |claim: &str, value: Value| {
            if let Some(claims) = claims.as_object_mut() {
                claims.insert(claim.to_owned(), value);
            }
        };
        match broken {
            BrokenToken::Missing => return Ok(None),
            BrokenToken::Empty => return Ok(Some(String::new())),
            BrokenToken::NotAToken => return Ok(Some("this is not a token".to_owned())),
            BrokenToken::Truncated => {
                let mut token = self.mint(spec);
                token.truncate(token.len() / 2);
                return Ok(Some(token));
            }
            BrokenToken::UnknownKey => {
                return Ok(Some(Key::pooled(STRANGERS_KEY)?.sign(&claims)));
            }
            BrokenToken::BadSignature => {
                let (token, mut other) = (self.mint(spec), spec.clone());
                other.life += Duration::from_secs(86_400);
                let forged = self.mint(&other);
                let signature = token.rsplit('.').next().unwrap_or_default();
                let signed = forged.rsplit_once('.').map_or("", |(signed, _)| signed);
                return Ok(Some(format!("{signed}.{signature}")));
            }
            BrokenToken::Expired => {
                set("iat", json!(now - 7200));
                set("nbf", json!(now - 7200));
                set("exp", json!(now - 3600));
            }
            BrokenToken::NotYetValid => set("nbf", json!(now + 1800)),
            BrokenToken::WrongAudience => set("aud", json!(["https://kubernetes.default.svc"])),
            BrokenToken::NoAudience => set("aud", json!([])),
            BrokenToken::WrongSubject => {
                set("sub", json!("system:serviceaccount:monitoring:grafana"));
            }
            BrokenToken::DefaultSubject => {
                set("sub", json!("system:serviceaccount:monitoring:default"));
            }
            BrokenToken::WrongIssuer => set("iss", json!(self.url.trim_end_matches('/'))),
        }
        Ok(Some(self.lock().active.sign(&claims)))
    }

    fn claims(&self, spec: &TokenSpec) -> Value {
        let now = self.clock.unix_seconds();
        json!({
            "aud": spec.audience,
            "exp": now + spec.life.as_secs(),
            "iat": now,
            "iss": self.url,
            "jti": request_id(),
            "kubernetes.io": {
                "namespace": spec.namespace,
                "node": {"name": "node-0", "uid": "6a7b3b5e-6a0a-4b0e-9d0c-0f5f3c2b1a00"},
                "pod": {"name": spec.pod, "uid": "0d9f3c1e-64d0-4b70-8f5a-2a6e4f7c9b11"},
                "serviceaccount": {
                    "name": spec.service_account,
                    "uid": "c1b7f4a2-3e5d-4f60-9a8b-7c6d5e4f3a22",
                },
            },
            "nbf": now,
            "sub": spec.subject(),
        })
    }

    fn jwks(&self) -> Jwks {
        Jwks {
            keys: self.lock().published.iter().map(Key::jwk).collect(),
        }
    }

    fn discovery(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}openid/v1/jwks", self.url),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    fn lock(&self) -> MutexGuard<'_, SigningKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Issuer {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (document, kind) = match request.uri().path().strip_prefix(&self.path) {
            Some(".well-known/openid-configuration") => (self.discovery(), "application/json"),
            Some("openid/v1/jwks") => (json!(self.jwks()), "application/jwk-set+json"),
            _ => {
                return answer(
                    StatusCode::NOT_FOUND,
                    "text/plain",
                    "not found\n".to_owned(),
                );
            }
        };
        if request.method() != Method::GET {
            let text = "GET only\n".to_owned();
            return answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", text);
        }
        if !accepts(request.headers(), kind) {
            let text = format!("406: Not Acceptable\n\nAvailable representations: {kind}\n");
            return answer(StatusCode::NOT_ACCEPTABLE, "text/plain", text);
        }
        answer(StatusCode::OK, kind, document.to_string())
    }
}

/// As kube-apiserver decides: any of the listed types, whatever their weight; nothing listed accepts everything.
fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let Some(accepted) = headers.get(header::ACCEPT) else {
        return true;
    };
    let accepted = accepted.to_str().unwrap_or_default();
    let mut types = accepted.split(',').map(|one| {
        let (name, _) = one.split_once(';').unwrap_or((one, ""));
        name.trim()
    });
    types.any(|name| name == "*/*" || name == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::Jwt;

    fn issuer() -> (Issuer, TokenSpec) {
        let issuer = Issuer::new("https://host", "/tenant/uuid/", Clock::new()).expect("key");
        let spec = TokenSpec {
            namespace: "monitoring".into(),
            service_account: "prometheus".into(),
            pod: "prometheus-0".into(),
            audience: vec!["sts.amazonaws.com".into()],
            life: Duration::from_secs(3600),
        };
        (issuer, spec)
    }

    #[test]
    fn a_token_has_kubernetes_claims() {
        let (issuer, spec) = issuer();
        let token = issuer.mint(&spec);
        let jwt = Jwt::parse(&token).expect("well-formed");
        assert_eq!(jwt.text("iss"), Some("https://host/tenant/uuid/"));
        assert_eq!(
            jwt.text("sub"),
            Some("system:serviceaccount:monitoring:prometheus")
        );
        assert!(jwt.claims["aud"].is_array());
        assert_eq!(jwt.seconds("exp"), jwt.seconds("iat").map(|iat| iat + 3600));
        assert_eq!(jwt.claims["kubernetes.io"]["pod"]["name"], "prometheus-0");
    }

    #[test]
    fn old_keys_stay_published_until_they_are_forgotten() {
        let (issuer, spec) = issuer();
        let old = issuer.mint(&spec);
        issuer.rotate_keys().expect("key");
        let new = issuer.mint(&spec);
        let verifies = |token: &str| {
            let jwt = Jwt::parse(token).expect("well-formed");
            issuer.jwks().keys.iter().any(|jwk| jwt.verify(jwk).is_ok())
        };
        assert!(verifies(&old) && verifies(&new));
        issuer.forget_old_keys();
        assert!(!verifies(&old) && verifies(&new));
    }

    #[tokio::test]
    async fn the_documents_are_served_below_the_path_alone() {
        let (issuer, _) = issuer();
        for (path, status) in [
            ("/tenant/uuid/.well-known/openid-configuration", 200),
            ("/tenant/uuid/openid/v1/jwks", 200),
            ("/.well-known/openid-configuration", 404),
        ] {
            let request = Request::get(path).body(Bytes::new()).expect("valid");
            assert_eq!(issuer.answer(request).await.status(), status, "{path}");
        }
    }

    #[tokio::test]
    async fn the_keys_are_a_key_set_and_not_given_to_who_accepts_only_json() {
        let (issuer, _) = issuer();
        for (path, accept, status) in [
            ("openid/v1/jwks", "application/json", 406),
            ("openid/v1/jwks", "application/jwk-set+json", 200),
            ("openid/v1/jwks", "application/json, */*;q=0.1", 200),
            (
                ".well-known/openid-configuration",
                "application/jwk-set+json",
                406,
            ),
            (".well-known/openid-configuration", "application/json", 200),
        ] {
            let request = Request::get(format!("/tenant/uuid/{path}")).header("accept", accept);
            let request = request.body(Bytes::new()).expect("valid");
            let answer = issuer.answer(request).await;
            assert_eq!(answer.status(), status, "{path}: {accept}");
        }
    }
}
