//! The XML of STS' responses, as the API reference (2011-06-15) shows it; both actions give credentials in the same form.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use hyper::StatusCode;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::StsError;
use crate::aws_keys::AwsKeys;
use crate::credentials::redact::sanitize_without;
use crate::sanitize::sanitize;

/// The result of an exchange.
#[derive(Debug, Clone)]
pub struct SessionCredentials {
    /// The keys and the session token; their `Debug` redacts them.
    pub credentials: Credentials,
    /// When AWS stops accepting them, if their source says so.
    pub expires: Option<SystemTime>,
    /// Their `arn:aws:sts::…:assumed-role/…`, if STS named it.
    pub arn: Option<String>,
}

// === impl SessionCredentials ===

impl SessionCredentials {
    /// Keys that `provider` gives as they are.
    pub(crate) fn without_expiry(keys: &AwsKeys, provider: &'static str) -> Self {
        Self {
            credentials: keys.credentials(provider),
            expires: None,
            arn: None,
        }
    }
}

#[derive(Deserialize)]
struct StsBody {
    #[serde(rename = "AssumeRoleWithWebIdentityResult", alias = "AssumeRoleResult")]
    result: AnswerResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerResult {
    credentials: AnswerCredentials,
    assumed_role_user: Option<AnswerUser>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerUser {
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorAnswer {
    error: AnswerError,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerError {
    code: String,
    #[serde(default)]
    message: String,
}

/// The credentials of a successful response. Caps the lifetime at the requested duration, whatever the response says: an expiry far
/// ahead would keep dead credentials in use.
pub(super) fn credentials(
    status: StatusCode,
    xml: &str,
    now: SystemTime,
    asked_for: Duration,
) -> Result<SessionCredentials, StsError> {
    let unusable = |what: &str| StsError::Unusable {
        status,
        what: what.to_owned(),
    };
    // The parser's own message may quote the response, and with it a key.
    let response: StsBody = quick_xml::de::from_str(xml)
        .map_err(|_| unusable("it is not the XML of a response with credentials"))?;
    let AnswerCredentials {
        access_key_id,
        secret_access_key,
        session_token,
        expiration,
    } = response.result.credentials;
    let user = response.result.assumed_role_user;
    if access_key_id.is_empty() || secret_access_key.is_empty() || session_token.is_empty() {
        return Err(unusable("a key or the session token is empty"));
    }
    let header_safe = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    if !header_safe(&access_key_id) || !header_safe(&session_token) {
        return Err(unusable(
            "a key or the session token holds characters that no header can carry",
        ));
    }
    let expires = OffsetDateTime::parse(&expiration, &Rfc3339)
        .map_err(|_| unusable("its Expiration is not a time"))?;
    let expires = SystemTime::from(expires);
    if expires <= now {
        return Err(unusable("its Expiration is in the past"));
    }
    let expires = expires.min(now + asked_for);
    let credentials = Credentials::new(
        access_key_id,
        secret_access_key,
        Some(session_token),
        Some(expires),
        "sts",
    );
    Ok(SessionCredentials {
        credentials,
        expires: Some(expires),
        arn: user.map(|user| sanitize(&user.arn)),
    })
}

/// The error of a failed call, without the secret that STS may quote in it.
pub(super) fn refusal(status: StatusCode, xml: &str, secret: &str) -> StsError {
    match quick_xml::de::from_str::<ErrorAnswer>(xml) {
        Ok(ErrorAnswer { error }) => {
            let said = |words: &str| sanitize_without(words, &[secret]);
            StsError::Refused {
                status,
                code: said(&error.code),
                message: said(&error.message),
            }
        }
        Err(_) => StsError::Unusable {
            status,
            what: "it is not the XML of an STS error".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::sts::error::Pace;

    const NOW: u64 = 1_800_000_000;

    fn response(expiration: &str, key: &str) -> String {
        format!(
            r#"<?xml version="1.0"?>
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:monitoring:prometheus</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/amp/pod</Arn><AssumedRoleId>AROA:pod</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <SessionToken>dG9rZW4+/w==</SessionToken><SecretAccessKey>planted-secret</SecretAccessKey>
      <Expiration>{expiration}</Expiration><AccessKeyId>{key}</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#
        )
    }

    fn parse(xml: &str) -> Result<SessionCredentials, StsError> {
        credentials(
            StatusCode::OK,
            xml,
            SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
            Duration::from_secs(3600),
        )
    }

    #[test]
    fn a_true_response_gives_credentials_that_are_not_shown() {
        let obtained = parse(&response("2027-01-15T09:00:00Z", "ASIAEXAMPLE")).unwrap();
        assert_eq!(
            obtained.expires,
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 3600))
        );
        assert_eq!(obtained.credentials.access_key_id(), "ASIAEXAMPLE");
        assert_eq!(obtained.credentials.session_token(), Some("dG9rZW4+/w=="));
        let arn = "arn:aws:sts::111122223333:assumed-role/amp/pod";
        assert_eq!(obtained.arn.as_deref(), Some(arn));
        assert!(!format!("{obtained:?}").contains("planted-secret"));
    }

    #[test]
    fn a_response_to_assume_role_is_read_the_same_and_no_life_is_longer_than_was_asked_for() {
        let web_identity = response("2037-01-15T09:00:00Z", "ASIAEXAMPLE");
        let role = web_identity.replace("AssumeRoleWithWebIdentity", "AssumeRole");
        for xml in [web_identity, role] {
            let obtained = parse(&xml).unwrap();
            let an_hour_on = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 3600);
            assert_eq!(obtained.expires, Some(an_hour_on));
            assert_eq!(obtained.credentials.expiry(), Some(an_hour_on));
        }
        let other = response("2037-01-15T09:00:00Z", "ASIA")
            .replace("AssumeRoleWithWebIdentity", "GetSessionToken");
        assert!(parse(&other).is_err());
    }

    #[test]
    fn a_token_that_sts_quotes_is_withheld() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwcyJ9.c2lnbmF0dXJl";
        let xml = format!(
            "<ErrorResponse><Error><Code>ValidationError</Code><Message>Value '{token}' at 'webIdentityToken' failed</Message></Error></ErrorResponse>"
        );
        let error = refusal(StatusCode::BAD_REQUEST, &xml, token).to_string();
        assert!(error.contains("Value '[withheld]' at"), "{error}");
    }

    #[test]
    fn a_response_without_usable_credentials_is_an_error_that_quotes_no_key() {
        let whole = response("2027-01-15T09:00:00Z", "ASIAEXAMPLE");
        let cut: Vec<String> = (0..whole.len())
            .step_by(7)
            .map(|n| whole.chars().take(n).collect())
            .collect();
        let wrong = [
            response("2027-01-15T07:59:59Z", "ASIAEXAMPLE"),
            response("soon", "ASIAEXAMPLE"),
            response("2027-01-15T09:00:00Z", ""),
            response("2027-01-15T09:00:00Z", "AS IA\n"),
            "<html>Welcome to the hotel</html>".to_owned(),
            String::new(),
        ];
        for xml in cut.iter().chain(&wrong) {
            let error = parse(xml).unwrap_err();
            assert!(!error.to_string().contains("planted-secret"), "{error}");
            assert_eq!(error.pace(), Pace::Soon);
        }
    }

    #[test]
    fn a_refusal_keeps_code_and_message_and_knows_its_pace() {
        let xml = |code: &str, message: &str| {
            format!(
                r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>4c855db7</RequestId></ErrorResponse>"#
            )
        };
        let error = refusal(
            StatusCode::BAD_REQUEST,
            &xml("InvalidIdentityToken", "Incorrect token audience"),
            "",
        );
        assert_eq!(
            error.to_string(),
            "STS refused (400 Bad Request, InvalidIdentityToken): Incorrect token audience"
        );
        let read = |status: u16, xml: &str| refusal(StatusCode::from_u16(status).unwrap(), xml, "");
        let pace = |status: u16, code: &str| read(status, &xml(code, "x")).pace();
        for slow in [
            "InvalidIdentityToken",
            "AccessDenied",
            "IDPRejectedClaim",
            "RegionDisabledException",
            "ValidationError",
        ] {
            assert_eq!(pace(400, slow), Pace::Slowly, "{slow}");
        }
        for soon in [
            "ExpiredTokenException",
            "IDPCommunicationError",
            "Throttling",
        ] {
            assert_eq!(pace(400, soon), Pace::Soon, "{soon}");
        }
        assert_eq!(pace(503, "Anything"), Pace::Soon);
        let key = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements";
        assert_eq!(
            read(400, &xml("InvalidIdentityToken", key)).pace(),
            Pace::Soon
        );
        for throttled in [
            read(400, &xml("ThrottlingException", "Rate exceeded")),
            read(400, &xml("Throttling", "Rate exceeded")),
            read(400, &xml("RequestLimitExceeded", "x")),
            read(400, &xml("TooManyRequestsException", "x")),
            read(429, &xml("Anything", "x")),
            read(429, r#"{"message": "Too Many Requests"}"#),
        ] {
            assert_eq!(
                (throttled.name(), throttled.hop_name(), throttled.pace()),
                ("Throttling", "hop_Throttling", Pace::Soon),
                "{throttled}"
            );
        }
        assert_eq!(
            refusal(StatusCode::BAD_GATEWAY, "<html>", "").name(),
            "unusable_answer"
        );
        assert_eq!(
            refusal(StatusCode::BAD_REQUEST, &xml("New\u{7}Code", "x"), "").name(),
            "other_refusal"
        );
    }
}
