//! The agents that give containers their credentials: EKS Pod Identity's and ECS'.
//!
//! | path | agent | authorized by |
//! |---|---|---|
//! | `/v1/credentials` | EKS Pod Identity | a token of the pod for the audience `pods.eks.amazonaws.com`, as the whole `Authorization` |
//! | `/v2/credentials/<id>` | ECS | knowing the id |
//!
//! In: a request, however it came. Out: JSON with keys of the role, or an error as each agent words it: EKS' in plain text, with the code of EKS
//! Auth in parentheses and its status; ECS' in JSON. The pod's service account is associated with the world's role, whose trust policy is
//! judged with the service `pods.eks.amazonaws.com` as the caller, for `sts:AssumeRole` and for `sts:TagSession`.
//!
//! What EKS Auth says beside its code is not known for every code; where it is not, the text is the code's meaning in AWS' API model.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Clock;
use crate::fetch::Fetcher;
use crate::front::{Answers, request_id};
use crate::http::answer;
use crate::iam::ConditionKeys;
use crate::jwt::Jwt;
use crate::oidc::published_keys;
use crate::sessions::{Session, SessionContext};
use crate::sts::{Caller, Role, Sts, Trust};

/// The service that assumes a pod's role.
const SERVICE: &str = "pods.eks.amazonaws.com";
/// EKS' and ECS' sessions last so long.
const LIFE: Duration = Duration::from_secs(6 * 60 * 60);
const CLUSTER: &str = "emulated";

/// Who gives the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// EKS, by the association of the pod's service account.
    PodIdentity,
    /// ECS, by the id in the task's URL.
    Ecs,
}

/// Both agents, for one pod and one task. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct ContainerAgent {
    pub(crate) sts: Sts,
    pub(crate) clock: Clock,
    pub(crate) fetcher: Fetcher,
    /// The cluster's issuer: EKS knows no other.
    pub(crate) issuer: String,
    /// The associated service account, as tokens name it.
    pub(crate) subject: String,
    pub(crate) role_arn: String,
    /// The task's id.
    pub(crate) task: String,
}

/// An error of EKS Auth: its code, status and text.
#[derive(Debug, PartialEq, Eq)]
struct EksError(&'static str, u16, &'static str);

const INVALID_TOKEN: EksError = EksError(
    "InvalidTokenException",
    400,
    "The specified Kubernetes service account token is invalid.",
);

// === impl ContainerAgent ===

impl ContainerAgent {
    /// As the Pod Identity agent, which looks at the token first and then passes it on to EKS Auth.
    async fn pod_identity(&self, token: &str) -> Response<Bytes> {
        let claims =
            "Service account token failed basic claim validations: token has invalid claims";
        let jwt = match Jwt::parse(token) {
            _ if token.is_empty() => {
                return plain(400, "Service account token cannot be empty".to_owned());
            }
            Err(error) => {
                let why =
                    format!("Service account token cannot be parsed: token is malformed: {error}");
                return plain(400, why);
            }
            Ok(jwt) => jwt,
        };
        let now = self.clock.unix_seconds();
        if jwt.seconds("exp").is_some_and(|exp| exp <= now) {
            return plain(400, format!("{claims}: token is expired"));
        }
        if jwt.seconds("nbf").is_some_and(|nbf| nbf > now) {
            return plain(400, format!("{claims}: token is not valid yet"));
        }
        match self.eks_auth(&jwt).await {
            Ok(session) => granted(&session, &json!({"AccountId": session.account})),
            Err(EksError(code, status, text)) => {
                let id = request_id();
                plain(status, format!("[{id}]: ({code}): {text}, fault: client"))
            }
        }
    }

    /// AssumeRoleForPodIdentity.
    async fn eks_auth(&self, jwt: &Jwt<'_>) -> Result<Session, EksError> {
        if jwt.text("iss") != Some(self.issuer.as_str()) || !jwt.audience().contains(&SERVICE) {
            return Err(INVALID_TOKEN);
        }
        let keys = published_keys(&self.issuer, &self.fetcher).await;
        let keys = keys.map_err(|_| INVALID_TOKEN)?;
        let key = keys
            .keys
            .iter()
            .find(|key| Some(&key.kid) == jwt.kid.as_ref());
        key.and_then(|key| jwt.verify(key).ok())
            .ok_or(INVALID_TOKEN)?;
        if jwt.text("sub") != Some(self.subject.as_str()) {
            let text = "The specified resource could not be found.";
            return Err(EksError("ResourceNotFoundException", 404, text));
        }
        let mut account = self.subject.rsplit(':');
        let (name, namespace) = (
            account.next().unwrap_or_default(),
            account.next().unwrap_or_default(),
        );
        let tags = [
            ("eks-cluster-name", CLUSTER),
            ("kubernetes-namespace", namespace),
            ("kubernetes-service-account", name),
        ];
        let keys: ConditionKeys = tags
            .iter()
            .map(|(tag, value)| (format!("aws:RequestTag/{tag}"), vec![(*value).to_owned()]))
            .collect();
        let session_name = format!("eks-{CLUSTER}-{name}");
        let actions = &["sts:AssumeRole", "sts:TagSession"];
        self.session(SERVICE, actions, &session_name, &keys)
            .ok_or(EksError(
                "AccessDeniedException",
                400,
                "Unauthorized Exception! EKS does not have permissions to assume the associated role.",
            ))
    }

    /// A session of the role, if it trusts the service with all of `actions`.
    fn session(
        &self,
        service: &str,
        actions: &[&str],
        name: &str,
        keys: &ConditionKeys,
    ) -> Option<Session> {
        let trusts = |role: &Role| {
            let trust = |action| role.trust.trust(action, Caller::Service(service), keys);
            actions.iter().all(|action| trust(action) == Trust::Itself)
        };
        let context = SessionContext::default();
        self.sts
            .for_service(&self.role_arn, trusts, name, LIFE, context)
    }

    fn ecs(&self, id: &str) -> Response<Bytes> {
        let service = "ecs-tasks.amazonaws.com";
        let keys = ConditionKeys::new();
        let session = self.session(service, &["sts:AssumeRole"], &self.task, &keys);
        match session.filter(|_| id == self.task) {
            Some(session) => granted(&session, &json!({"RoleArn": self.role_arn})),
            None => {
                let error = json!({
                    "code": "InvalidIdInRequest",
                    "message": "CredentialsV2Request: Credentials not found",
                    "HTTPErrorCode": 400,
                });
                answer(
                    StatusCode::BAD_REQUEST,
                    "application/json",
                    error.to_string(),
                )
            }
        }
    }
}

impl Answers for ContainerAgent {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let token = authorization.and_then(|value| value.to_str().ok());
        match request.uri().path() {
            "/v1/credentials" => self.pod_identity(token.unwrap_or_default()).await,
            path => match path.strip_prefix("/v2/credentials/") {
                Some(id) => self.ecs(id),
                None => plain(404, "404 page not found".to_owned()),
            },
        }
    }
}

/// As Go's `http.Error`.
fn plain(status: u16, text: String) -> Response<Bytes> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn granted(session: &Session, more: &serde_json::Value) -> Response<Bytes> {
    let expiration = OffsetDateTime::from(session.expiration).format(&Rfc3339);
    let mut granted = json!({
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token,
        "Expiration": expiration.unwrap_or_default(),
    });
    if let (Some(granted), Some(more)) = (granted.as_object_mut(), more.as_object()) {
        granted.extend(more.clone());
    }
    answer(StatusCode::OK, "application/json", granted.to_string())
}
