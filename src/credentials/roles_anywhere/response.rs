//! The JSON of Roles Anywhere's responses.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use hyper::header::HeaderName;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::RolesAnywhereError;
use crate::credentials::sts::SessionCredentials;
use crate::net::client::HttpResponse;
use crate::sanitize::sanitize;

/// What AWS' JSON services name their exception by.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    credential_set: Vec<CredentialSet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialSet {
    assumed_role_user: Option<AssumedRoleUser>,
    credentials: Keys,
}

#[derive(Deserialize)]
struct AssumedRoleUser {
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

#[derive(Deserialize)]
struct AnywhereRejection {
    #[serde(alias = "Message")]
    message: String,
    #[serde(rename = "__type")]
    code: Option<String>,
}

/// The credentials of a successful response; they live no longer than was asked for, whatever it says.
pub(super) fn credentials(
    answer: &HttpResponse,
    now: SystemTime,
    asked_for: Duration,
) -> Result<SessionCredentials, RolesAnywhereError> {
    let unusable = |what: &str| unusable(answer, what);
    let text = answer.text().ok_or_else(|| unusable("it is not UTF-8"))?;
    // The parser's own message may quote the response, and with it a key.
    let created: Created = serde_json::from_str(text)
        .map_err(|_| unusable("it is not the JSON of a response with credentials"))?;
    let set = created.credential_set.into_iter().next();
    let set = set.ok_or_else(|| unusable("its credentialSet is empty"))?;
    let Keys {
        access_key_id,
        secret_access_key,
        session_token,
        expiration,
    } = set.credentials;
    let sendable = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if ![&access_key_id, &secret_access_key, &session_token]
        .into_iter()
        .all(|key| sendable(key))
    {
        return Err(unusable(
            "a key or the session token is empty, or holds characters that no header can carry",
        ));
    }
    let expires = OffsetDateTime::parse(&expiration, &Rfc3339);
    let expires = expires.map_err(|_| unusable("its expiration is not a time"))?;
    let expires = SystemTime::from(expires).min(now + asked_for);
    if expires <= now {
        return Err(unusable("its expiration is in the past"));
    }
    Ok(SessionCredentials {
        credentials: Credentials::new(
            access_key_id,
            secret_access_key,
            Some(session_token),
            Some(expires),
            "roles-anywhere",
        ),
        expires: Some(expires),
        arn: set.assumed_role_user.map(|user| sanitize(&user.arn)),
    })
}

/// Exception and message of a failed call.
pub(super) fn refusal(answer: &HttpResponse) -> Result<(String, String), RolesAnywhereError> {
    let error: Option<AnywhereRejection> = answer
        .text()
        .and_then(|text| serde_json::from_str(text).ok());
    let error = error.ok_or_else(|| unusable(answer, "it is not the JSON of an AWS error"))?;
    let header = answer
        .header(&ERROR_TYPE)
        .and_then(|name| name.to_str().ok());
    let code = header.map(str::to_owned).or(error.code);
    let code = code.ok_or_else(|| unusable(answer, "it names no exception of AWS"))?;
    // A namespace may come before it, a URL after it.
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    Ok((sanitize(code), sanitize(&error.message)))
}

fn unusable(answer: &HttpResponse, what: &str) -> RolesAnywhereError {
    RolesAnywhereError::Unusable {
        status: answer.status,
        what: match answer.responder.as_str() {
            "" => what.to_owned(),
            responder => format!("{what} ({responder})"),
        },
    }
}
