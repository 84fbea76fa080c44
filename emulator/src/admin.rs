//! The admin endpoint: the world's controls over HTTP, for another process.
//!
//! | call | what it does |
//! |---|---|
//! | `GET /state` | counts of everything |
//! | `GET`, `PUT`, `DELETE /faults/{issuer,sts,amp,entra,metadata,roles_anywhere,container}` | the target's fault script, JSON as in [`crate::fault`] |
//! | the same at `/faults/amp/<workspace id>` | that of another workspace |
//! | `GET`, `PUT`, `PATCH`, `DELETE /limits` | limits of AMP's instance, JSON as in [`crate::amp::Limits`]: all, or the named ones |
//! | the same at `/limits/<workspace id>` | those of another workspace |
//! | `POST /token/rotate` | a new token into the folder |
//! | `POST /credentials-file/rotate` | new keys into the shared credentials file |
//! | `POST /token/break` | `{"how": "expired"}`: a token of no use |
//! | `POST /token/mint` | `{"namespace", "service_account", "pod", "audience": [], "seconds"}`: a token of anybody's |
//! | `GET /identity` | the issuer, and Entra's tenant |
//! | `PUT /entra/applications` | all of the tenant's applications, JSON as in [`crate::entra::Application`] |
//! | `POST /keys/rotate` | the issuer signs with a new key |
//! | `POST /clock` | `{"offset_seconds": 600}` |
//! | `POST /sessions/revoke` | AMP no longer knows any session |
//! | `POST /sessions/life` | `{"seconds": 10}`, or `null` for what is asked |
//! | `POST /workload-certificate/renew` | a new certificate for Roles Anywhere |
//! | `POST /certificate` | `{"present": "expired"}`: what AMP shows |
//!
//! It is on loopback and authenticates nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::entra::Application;
use crate::fault::Fault;
use crate::http::{Reply, Serve, answer};
use crate::issuer::{BrokenToken, TokenSpec};
use crate::tls::Presented;
use crate::world::controls::Controls;

/// Serves a world's controls.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) controls: Arc<Controls>,
}

#[derive(Debug, thiserror::Error)]
enum AdminError {
    #[error("there is no such call; see the emulator's README")]
    NotFound,
    #[error("invalid body: {0}")]
    Body(#[from] serde_json::Error),
    #[error("failed: {0}")]
    Failed(#[from] crate::world::error::Error),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ScriptBody {
    Many(Vec<Fault>),
    One(Fault),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Break {
    how: BrokenToken,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mint {
    namespace: String,
    service_account: String,
    pod: String,
    audience: Vec<String>,
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offset {
    offset_seconds: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Life {
    seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    present: Presented,
}

impl From<Mint> for TokenSpec {
    fn from(mint: Mint) -> Self {
        Self {
            namespace: mint.namespace,
            service_account: mint.service_account,
            pod: mint.pod,
            audience: mint.audience,
            life: Duration::from_secs(mint.seconds),
        }
    }
}

impl Serve for Admin {
    async fn serve(&self, request: Request<Bytes>, _peer: SocketAddr) -> Reply {
        Reply::Whole(match self.carry_out(&request) {
            Ok(value) => json_answer(StatusCode::OK, &value),
            Err(error) => {
                let status = match error {
                    AdminError::NotFound => StatusCode::NOT_FOUND,
                    AdminError::Body(_) => StatusCode::BAD_REQUEST,
                    AdminError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
                };
                json_answer(status, &json!({"error": error.to_string()}))
            }
        })
    }
}

impl Admin {
    fn carry_out(&self, request: &Request<Bytes>) -> Result<Value, AdminError> {
        let controls = &self.controls;
        let body = request.body();
        if let Some(target) = request.uri().path().strip_prefix("/faults/") {
            let faults = controls.faults_named(target).ok_or(AdminError::NotFound)?;
            match *request.method() {
                Method::GET => {
                    return Ok(json!({"script": faults.script(), "hits": faults.hits()}));
                }
                Method::PUT => match parsed(body)? {
                    ScriptBody::Many(script) => faults.set(script),
                    ScriptBody::One(fault) => faults.set([fault]),
                },
                Method::DELETE => faults.clear(),
                _ => return Err(AdminError::NotFound),
            }
            return Ok(json!({"script": faults.script()}));
        }
        if let Some(workspace) = request.uri().path().strip_prefix("/limits") {
            return self.limits(workspace, request.method(), body);
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/state") => return Ok(controls.state()),
            (&Method::GET, "/identity") => return Ok(controls.identity()),
            (&Method::POST, "/token/mint") => {
                let spec = TokenSpec::from(parsed::<Mint>(body)?);
                return Ok(json!({"token": controls.mint(&spec)}));
            }
            (&Method::PUT, "/entra/applications") => {
                let applications: Vec<Application> = parsed(body)?;
                if !controls.set_applications(applications) {
                    return Err(AdminError::NotFound);
                }
            }
            (&Method::POST, "/token/rotate") => controls.rotate_token()?,
            (&Method::POST, "/credentials-file/rotate") => controls.rotate_credentials_file()?,
            (&Method::POST, "/token/break") => {
                controls.break_token(parsed::<Break>(body)?.how)?;
            }
            (&Method::POST, "/workload-certificate/renew") => {
                if !controls.renew_certificate()? {
                    return Err(AdminError::NotFound);
                }
            }
            (&Method::POST, "/keys/rotate") => controls.rotate_keys()?,
            (&Method::POST, "/clock") => {
                let offset = parsed::<Offset>(body)?.offset_seconds;
                controls.clock.set_offset_seconds(offset);
            }
            (&Method::POST, "/sessions/revoke") => controls.sessions.revoke_all(),
            (&Method::POST, "/sessions/life") => {
                let life = parsed::<Life>(body)?.seconds.map(Duration::from_secs);
                controls.sts.set_session_life(life);
            }
            (&Method::POST, "/certificate") => {
                controls
                    .certificates
                    .present(parsed::<Certificate>(body)?.present);
            }
            _ => return Err(AdminError::NotFound),
        }
        Ok(json!({"done": true}))
    }
}

impl Admin {
    /// `path` is empty, or a slash and a workspace.
    fn limits(&self, path: &str, method: &Method, body: &Bytes) -> Result<Value, AdminError> {
        let workspace = match path {
            "" => None,
            path => Some(path.strip_prefix('/').ok_or(AdminError::NotFound)?),
        };
        let amp = self
            .controls
            .amp_of(workspace)
            .ok_or(AdminError::NotFound)?;
        match *method {
            Method::GET => {}
            Method::PUT => amp.set_limits(parsed(body)?),
            Method::PATCH => {
                let mut limits = json!(amp.limits());
                let changes: Map<String, Value> = parsed(body)?;
                if let Some(limits) = limits.as_object_mut() {
                    limits.extend(changes);
                }
                amp.set_limits(serde_json::from_value(limits)?);
            }
            Method::DELETE => amp.set_limits(amp.config().limits.clone()),
            _ => return Err(AdminError::NotFound),
        }
        Ok(json!(amp.limits()))
    }
}

fn parsed<T: DeserializeOwned>(body: &Bytes) -> Result<T, AdminError> {
    Ok(serde_json::from_slice(body)?)
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Bytes> {
    answer(status, "application/json", format!("{value:#}\n"))
}
