//! Azure's Instance Metadata Service, as far as it gives access tokens of the machine's managed identities.
//!
//! In: `GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=<App ID URI>[&client_id=…]` with `Metadata: true`.
//! Out: Entra's access token for the identity that is meant, or an error in the wording that users report. Like the real
//! one it keeps a token and gives it again, here until half of its life is over: to ask again gets no fresher one.
//!
//! A managed identity is a service principal without a federated credential; the machine itself authenticates it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use time::OffsetDateTime;

use super::request::{is_meant, parameter};
use crate::clock::Clock;
use crate::entra::Entra;
use crate::http::answer;

const PATH: &str = "/metadata/identity/oauth2/token";
const JSON: &str = "application/json; charset=utf-8";

/// A machine in Azure.
#[derive(Debug, Clone)]
pub struct AzureVm {
    /// The client ids of the tenant's applications that are assigned to it as managed identities.
    pub identities: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Imds {
    vm: AzureVm,
    entra: Entra,
    clock: Clock,
    /// By identity and resource: a token, and when it was made and ends.
    kept: Mutex<HashMap<(String, String), Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    access_token: String,
    from: u64,
    until: u64,
}

#[derive(Debug)]
struct ImdsRefusal {
    error: &'static str,
    description: String,
}

// === impl Imds ===

impl Imds {
    pub(crate) fn new(vm: AzureVm, entra: Entra, clock: Clock) -> Self {
        Self {
            vm,
            entra,
            clock,
            kept: Mutex::default(),
        }
    }

    pub(super) fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        if request.method() != Method::GET || request.uri().path() != PATH {
            return answer(StatusCode::NOT_FOUND, "text/html", String::new());
        }
        match self.token(request) {
            Ok(body) => answer(StatusCode::OK, JSON, body),
            Err(ImdsRefusal { error, description }) => {
                let body = json!({"error": error, "error_description": description});
                answer(StatusCode::BAD_REQUEST, JSON, body.to_string())
            }
        }
    }

    fn token(&self, request: &Request<Bytes>) -> Result<String, ImdsRefusal> {
        if !is_meant(request, "metadata", "true") {
            return Err(invalid("Required metadata header not specified"));
        }
        if parameter(request, "api-version").as_deref() != Some("2018-02-01") {
            return Err(invalid("The api-version is missing or not supported"));
        }
        let resource = parameter(request, "resource")
            .ok_or_else(|| invalid("The required parameter resource is missing"))?;
        let client_id = self.identity(parameter(request, "client_id"))?;
        let kept = self.current(&client_id, &resource)?;
        let Kept {
            access_token,
            from,
            until,
        } = kept;
        let left = until.saturating_sub(self.clock.unix_seconds());
        let body = json!({
            "access_token": access_token,
            "client_id": client_id,
            "expires_in": left.to_string(),
            "expires_on": until.to_string(),
            "ext_expires_in": (until - from).to_string(),
            "not_before": from.to_string(),
            "resource": resource,
            "token_type": "Bearer",
        });
        Ok(body.to_string())
    }

    /// The one that is named, else the only one.
    fn identity(&self, named: Option<String>) -> Result<String, ImdsRefusal> {
        let assigned = &self.vm.identities;
        match (named, assigned.as_slice()) {
            (Some(named), _) if assigned.iter().any(|one| one.eq_ignore_ascii_case(&named)) => {
                Ok(named)
            }
            (None, [only]) => Ok(only.clone()),
            (None, [_, _, ..]) => Err(invalid(
                "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request",
            )),
            (Some(_), _) | (None, []) => Err(invalid("Identity not found")),
        }
    }

    fn current(&self, client_id: &str, resource: &str) -> Result<Kept, ImdsRefusal> {
        let now = self.clock.unix_seconds();
        let key = (client_id.to_owned(), resource.to_owned());
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = all.get(&key)
            && now < kept.from.midpoint(kept.until)
        {
            return Ok(kept.clone());
        }
        let life = self.entra.config().token_life.max(Duration::from_secs(1));
        let access_token = self
            .entra
            .for_managed_identity(client_id, resource, now)
            .map_err(|refusal| {
                let (error, _) = refusal.error();
                let said = refusal.description("-", OffsetDateTime::from(self.clock.now()));
                ImdsRefusal {
                    error,
                    description: said.text,
                }
            })?;
        let kept = Kept {
            access_token,
            from: now,
            until: now + life.as_secs(),
        };
        all.insert(key, kept.clone());
        Ok(kept)
    }
}

fn invalid(description: &str) -> ImdsRefusal {
    ImdsRefusal {
        error: "invalid_request",
        description: description.to_owned(),
    }
}
