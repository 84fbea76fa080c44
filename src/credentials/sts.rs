//! AssumeRoleWithWebIdentity, as the STS API reference (2011-06-15) describes it.
//!
//! In: a web identity token. Out: temporary credentials ([`Obtained`]), or an [`StsError`] that keeps STS' code and message
//! and knows how soon another try makes sense. The call is unsigned: the token is the proof. The answer is bounded in
//! time and size, a redirect is not followed, and an answer that does not hold usable credentials is an error like any
//! other, so that the last good ones stay. The `Date` of an answer over verified TLS teaches the clock.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use hyper::StatusCode;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Clock;
use crate::config::Identity;
use crate::credentials::token::Token;
use crate::http_date;
use crate::quote::quote;

/// An exchange that takes longer is tried again instead.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A true answer has about 2 KiB.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Calls STS for one identity.
#[derive(Debug)]
pub struct Sts {
    client: reqwest::Client,
    identity: Identity,
    clock: Clock,
}

/// What an exchange gave.
#[derive(Debug, Clone)]
pub struct Obtained {
    /// The keys and the session token; their `Debug` withholds them.
    pub credentials: Credentials,
    /// When AWS stops taking them.
    pub expires: SystemTime,
}

/// Why STS gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    /// STS answered with an error.
    #[error("STS refused ({status}, {code}): {message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// STS' code, as `InvalidIdentityToken`.
        code: String,
        /// STS' words.
        message: String,
    },
    /// No answer came: DNS, connection, TLS or a connection that broke.
    #[error("STS could not be reached: {}", chain(.0))]
    Unreachable(#[source] reqwest::Error),
    /// No whole answer came in time.
    #[error("STS did not answer within 5 s")]
    TimedOut,
    /// Something answered, but not as STS does.
    #[error("the answer of STS ({status}) cannot be used: {what}")]
    Unusable {
        /// The HTTP status.
        status: StatusCode,
        /// What is wrong with it.
        what: String,
    },
    /// The client could not be built.
    #[error("the client for STS could not be built: {}", chain(.0))]
    Client(#[source] reqwest::Error),
}

/// How soon another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It may pass by itself.
    Soon,
    /// Somebody has to change something first.
    Slowly,
}

// === impl StsError ===

impl StsError {
    /// How soon another try makes sense.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            Self::Refused { status, code, .. } => match code.as_str() {
                "ExpiredTokenException"
                | "IDPCommunicationError"
                | "Throttling"
                | "InternalFailure"
                | "ServiceUnavailable" => Pace::Soon,
                _ if status.is_server_error() => Pace::Soon,
                _ => Pace::Slowly,
            },
            Self::Unreachable(_) | Self::TimedOut | Self::Unusable { .. } => Pace::Soon,
            Self::Client(_) => Pace::Slowly,
        }
    }

    /// The metric's label: STS' code where it is one that the documentation knows.
    #[must_use]
    pub fn name(&self) -> &'static str {
        const KNOWN: &[&str] = &[
            "AccessDenied",
            "ExpiredTokenException",
            "IDPCommunicationError",
            "IDPRejectedClaim",
            "InternalFailure",
            "InvalidAction",
            "InvalidIdentityToken",
            "MalformedPolicyDocument",
            "PackedPolicyTooLarge",
            "RegionDisabledException",
            "ServiceUnavailable",
            "Throttling",
            "ValidationError",
        ];
        match self {
            Self::Refused { code, .. } => KNOWN
                .iter()
                .find(|known| *known == code)
                .copied()
                .unwrap_or("other_refusal"),
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Unusable { .. } => "unusable_answer",
            Self::Client(_) => "client",
        }
    }
}

/// An error with its causes, which reqwest's own text leaves out; never with the URL, which may be private.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

// === impl Sts ===

impl Sts {
    /// A client for `identity` that trusts what `tls` trusts.
    ///
    /// # Errors
    /// Where the HTTP client cannot be built.
    pub fn new(
        identity: Identity,
        tls: &rustls::ClientConfig,
        clock: Clock,
    ) -> Result<Self, StsError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            // Neither STS nor AMP is reached through a proxy yet; one of them alone would help nobody.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(3))
            .pool_max_idle_per_host(0)
            .user_agent(crate::USER_AGENT)
            .build()
            .map_err(StsError::Client)?;
        Ok(Self {
            client,
            identity,
            clock,
        })
    }

    /// Exchanges the token for credentials.
    ///
    /// # Errors
    /// [`StsError`] where STS gives none, or none that can be used.
    pub async fn assume_role_with_web_identity(&self, token: &Token) -> Result<Obtained, StsError> {
        let duration = self.identity.session_duration.as_secs().to_string();
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.identity.role_arn),
            ("RoleSessionName", &self.identity.session_name),
            ("DurationSeconds", &duration),
            ("WebIdentityToken", token.expose()),
        ];
        let request = self
            .client
            .post(self.identity.sts_endpoint.to_string())
            .form(&form);
        let mut response = request.send().await.map_err(unreachable)?;

        let status = response.status();
        let verified = self.identity.sts_endpoint.scheme_str() == Some("https");
        if let Some(date) = http_date::of(response.headers()).filter(|_| verified) {
            self.clock.learn(date);
        }
        let unusable = |what: &str| StsError::Unusable {
            status,
            what: what.to_owned(),
        };
        let mut body = zeroize::Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(unusable("it is larger than 64 KiB"));
            }
            body.extend_from_slice(&chunk);
        }
        let xml = std::str::from_utf8(&body).map_err(|_| unusable("it is not UTF-8"))?;
        if status.is_success() {
            credentials(status, xml, self.clock.now())
        } else {
            Err(refusal(status, xml))
        }
    }
}

fn unreachable(error: reqwest::Error) -> StsError {
    if error.is_timeout() {
        StsError::TimedOut
    } else {
        StsError::Unreachable(error.without_url())
    }
}

// === the answer's XML ===

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    assume_role_with_web_identity_result: AnswerResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerResult {
    credentials: AnswerCredentials,
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

/// The credentials of a successful answer.
fn credentials(status: StatusCode, xml: &str, now: SystemTime) -> Result<Obtained, StsError> {
    let unusable = |what: &str| StsError::Unusable {
        status,
        what: what.to_owned(),
    };
    // The parser's own words may quote the answer, and with it a key.
    let answer: Answer = quick_xml::de::from_str(xml)
        .map_err(|_| unusable("it is not the XML of AssumeRoleWithWebIdentity"))?;
    let AnswerCredentials {
        access_key_id,
        secret_access_key,
        session_token,
        expiration,
    } = answer.assume_role_with_web_identity_result.credentials;
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
        .map_err(|_| unusable("its Expiration is no time"))?;
    let expires = SystemTime::from(expires);
    if expires <= now {
        return Err(unusable("its Expiration is over already"));
    }
    let credentials = Credentials::new(
        access_key_id,
        secret_access_key,
        Some(session_token),
        Some(expires),
        "sts",
    );
    Ok(Obtained {
        credentials,
        expires,
    })
}

fn refusal(status: StatusCode, xml: &str) -> StsError {
    match quick_xml::de::from_str::<ErrorAnswer>(xml) {
        Ok(ErrorAnswer { error }) => {
            let message = quote(&error.message);
            StsError::Refused {
                status,
                code: quote(&error.code),
                message,
            }
        }
        Err(_) => StsError::Unusable {
            status,
            what: "it is not the XML of an error of STS".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn answer(expiration: &str, key: &str) -> String {
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

    fn parse(xml: &str) -> Result<Obtained, StsError> {
        credentials(
            StatusCode::OK,
            xml,
            SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        )
    }

    #[test]
    fn a_true_answer_gives_credentials_that_are_not_shown() {
        let obtained = parse(&answer("2027-01-15T09:00:00Z", "ASIAEXAMPLE")).unwrap();
        assert_eq!(
            obtained.expires,
            SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 3600)
        );
        assert_eq!(obtained.credentials.access_key_id(), "ASIAEXAMPLE");
        assert_eq!(obtained.credentials.session_token(), Some("dG9rZW4+/w=="));
        assert!(!format!("{obtained:?}").contains("planted-secret"));
    }

    #[test]
    fn an_answer_without_usable_credentials_is_an_error_that_quotes_no_key() {
        let whole = answer("2027-01-15T09:00:00Z", "ASIAEXAMPLE");
        let cut: Vec<String> = (0..whole.len())
            .step_by(7)
            .map(|n| whole.chars().take(n).collect())
            .collect();
        let wrong = [
            answer("2027-01-15T07:59:59Z", "ASIAEXAMPLE"),
            answer("soon", "ASIAEXAMPLE"),
            answer("2027-01-15T09:00:00Z", ""),
            answer("2027-01-15T09:00:00Z", "AS IA\n"),
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
        );
        assert_eq!(
            error.to_string(),
            "STS refused (400 Bad Request, InvalidIdentityToken): Incorrect token audience"
        );
        let pace = |status: u16, code: &str| {
            refusal(StatusCode::from_u16(status).unwrap(), &xml(code, "x")).pace()
        };
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
        assert_eq!(
            refusal(StatusCode::BAD_GATEWAY, "<html>").name(),
            "unusable_answer"
        );
        assert_eq!(
            refusal(StatusCode::BAD_REQUEST, &xml("New\u{7}Code", "x")).name(),
            "other_refusal"
        );
    }
}
