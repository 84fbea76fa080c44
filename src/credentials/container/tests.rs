use super::*;
use crate::config;
use crate::net::tls::Trust;
use crate::net::transport::{NetworkTransport, Transport};

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJwb2RzIn0.cGxhbnRlZC10b2tlbg";

fn container(authorization: Option<ContainerToken>) -> Container {
    let transport = NetworkTransport {
        trust: Trust::new(&[]).unwrap(),
        network: config::Network::default(),
    };
    let config = ContainerConfig {
        endpoint: "http://169.254.170.23/v1/credentials".parse().unwrap(),
        authorization,
    };
    Container::new(config, transport.direct_client(), Clock::system())
}

fn read(status: u16, body: &str) -> Result<SessionCredentials, ContainerError> {
    let status = StatusCode::from_u16(status).unwrap();
    let answer = HttpResponse::new(status, None, body.as_bytes().to_vec());
    container(None).read(&answer, Some(&HeaderValue::from_static(TOKEN)))
}

fn granted(changes: &[(&str, &str)]) -> String {
    let mut granted = serde_json::json!({
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "planted-secret-key",
        "Token": "planted-session-token",
        "AccountId": "111122223333",
        "Expiration": "2999-01-15T09:00:00.123456789Z",
    });
    for (name, value) in changes {
        granted[name] = (*value).into();
    }
    granted.to_string()
}

#[test]
fn credentials_are_taken_for_twelve_hours_at_most_and_not_shown() {
    let obtained = read(200, &granted(&[])).unwrap();
    let life = obtained
        .expires
        .unwrap()
        .duration_since(Clock::system().now())
        .unwrap();
    assert!(life <= LONGEST_SESSION && life > LONGEST_SESSION - Duration::from_secs(60));
    assert_eq!(
        obtained.credentials.session_token(),
        Some("planted-session-token")
    );
    assert!(!format!("{obtained:?}").contains("planted"));
}

#[test]
fn a_response_without_usable_credentials_quotes_nothing_of_them() {
    for (status, body, words) in [
        (200, granted(&[("Expiration", "soon")]), "not a time"),
        (200, granted(&[("AccessKeyId", "")]), "AccessKeyId is empty"),
        (
            200,
            granted(&[("Token", "planted\ntoken")]),
            "Token contains white space",
        ),
        (
            200,
            r#"{"AccessKeyId": "planted", "SecretAccessKey": "planted", "Token": "planted"}"#
                .to_owned(),
            "it has no Expiration",
        ),
        (200, "{}".to_owned(), "it has no Token"),
        (
            200,
            granted(&[]).replace("\"planted-secret-key\"", "7"),
            "its SecretAccessKey is not a string",
        ),
        (
            200,
            granted(&[("AccessKeyId", "planted/secret+key")]),
            "are ID and secret swapped?",
        ),
        (200, "<html>planted</html>".to_owned(), "it is not JSON"),
        (302, "planted".to_owned(), "redirects are not followed"),
    ] {
        let error = read(status, &body).unwrap_err();
        assert_eq!(
            (error.name(), error.pace()),
            ("container_unusable_answer", Pace::Soon)
        );
        let said = error.to_string();
        assert!(
            said.contains(words) && !said.contains("planted"),
            "{words}: {said}"
        );
    }
}

/// Both times are shown, since either may be the wrong one.
#[test]
fn credentials_that_have_expired_by_this_clock_name_the_clock() {
    let error = read(200, &granted(&[("Expiration", "2001-01-15T09:00:00Z")])).unwrap_err();
    assert_eq!(
        (error.name(), error.pace()),
        ("container_expired", Pace::Soon)
    );
    assert_eq!(error.remedy(), rows::EXPIRED.into());
    let said = error.to_string();
    let (_, now) = said
        .split_once("expired at 2001-01-15T09:00:00Z; this machine's clock says ")
        .unwrap();
    let now = SystemTime::from(OffsetDateTime::parse(now, &Rfc3339).unwrap());
    let off = Clock::system().now().duration_since(now).unwrap();
    assert!(off < Duration::from_secs(60), "{said}");
}

#[test]
fn an_error_is_read_in_the_words_of_each_agent() {
    for (status, body, name, pace, row) in [
        (
            400,
            "[042d8e16-eb43-43e3-a069-08c51a744ef6]: (AccessDeniedException): Unauthorized Exception! EKS does not have permissions to assume the associated role., fault: client\n",
            "container_refused",
            Pace::Slowly,
            rows::TRUST,
        ),
        (
            404,
            "[042d8e16]: (ResourceNotFoundException): there is none, fault: client",
            "container_refused",
            Pace::Slowly,
            rows::ASSOCIATION,
        ),
        (
            400,
            "Service account token failed basic claim validations: token has invalid claims: token is expired",
            "container_refused",
            Pace::Slowly,
            rows::TOKEN_REFUSED,
        ),
        (
            400,
            "[042d8e16]: (ExpiredTokenException): too old, fault: client",
            "container_refused",
            Pace::Slowly,
            rows::TOKEN_REFUSED,
        ),
        (
            400,
            r#"{"code": "InvalidIdInRequest", "message": "no such id", "HTTPErrorCode": 400}"#,
            "container_refused",
            Pace::Slowly,
            rows::REFUSED,
        ),
        (
            403,
            "Access Denied. Called agent through invalid address",
            "container_refused",
            Pace::Slowly,
            rows::REFUSED,
        ),
        (
            429,
            "Too Many Requests. slow down",
            "container_throttled",
            Pace::Soon,
            rows::BUSY,
        ),
        (
            400,
            "[x]: (ThrottlingException): slow down, fault: client",
            "container_throttled",
            Pace::Soon,
            rows::BUSY,
        ),
        (
            500,
            "operation error EKS Auth: timeout",
            "container_refused",
            Pace::Soon,
            rows::BUSY,
        ),
        (503, "", "container_refused", Pace::Soon, rows::BUSY),
    ] {
        let error = read(status, body).unwrap_err();
        assert_eq!((error.name(), error.pace()), (name, pace), "{body}");
        assert_eq!(error.remedy(), row.into(), "{body}");
    }
    let json = read(
        400,
        r#"{"code": "InvalidIdInRequest", "message": "no such id"}"#,
    );
    let json = json.unwrap_err().to_string();
    let words =
        "the credentials endpoint refused (400 Bad Request): InvalidIdInRequest: no such id";
    assert_eq!(json, words);
    let quoting = read(
        400,
        &format!("Service account token cannot be parsed: {TOKEN}"),
    );
    let quoting = quoting.unwrap_err().to_string();
    assert!(
        quoting.ends_with("cannot be parsed: [withheld]"),
        "{quoting}"
    );
}

#[test]
fn a_refusal_that_holds_keys_shows_none() {
    let keys = granted(&[("AccessKeyId", "planted")]);
    let in_message = serde_json::json!({"code": "Denied", "message": keys}).to_string();
    for body in [keys, in_message] {
        let said = read(403, &body).unwrap_err().to_string();
        let shown = said.contains("planted");
        assert!(!shown && said.contains("[withheld]"), "{said}");
    }
    let quoted = refused(
        StatusCode::FORBIDDEN,
        "not short12345",
        Some(&HeaderValue::from_static("short12345")),
    );
    let said = quoted.to_string();
    assert!(said.ends_with("not [withheld]"), "{said}");
}

#[test]
fn a_slow_agent_is_not_taken_for_a_proxy() {
    let slow = ContainerError::Silent(HttpError::TimedOut);
    assert_eq!(slow.remedy(), rows::BUSY.into());
}

#[tokio::test]
async fn the_tokens_file_is_read_at_each_call_and_what_cannot_be_sent_is_named() {
    let file = std::env::temp_dir().join(format!("amp-sidecar-container-{}", fastrand::u64(..)));
    let of_file = container(Some(ContainerToken::File(file.clone())));
    let missing = of_file.authorization().await.unwrap_err();
    assert_eq!(missing.name(), "container_token_unreadable");
    assert_eq!(missing.remedy(), rows::TOKEN_MISSING.into());
    assert!(!of_file.changed().await);
    for text in [TOKEN, "Basic b3RoZXI=", " kept as it is\t"] {
        std::fs::write(&file, text).unwrap();
        let value = of_file.authorization().await.unwrap().unwrap();
        assert_eq!(value, text);
        assert!(value.is_sensitive() && of_file.changed().await);
    }
    for (text, words) in [
        ("planted\n", "contains a line break"),
        ("planted\rmore", "contains a line break"),
        ("planted\u{1}", "contains a character"),
        ("", "is empty"),
        (&"planted".repeat(4096), "is longer"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = of_file.authorization().await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(words) && !said.contains("planted"), "{said}");
        assert_eq!(error.name(), "container_token_malformed");
        assert_eq!(error.remedy(), rows::TOKEN_CHARACTERS.into());
    }
    std::fs::remove_file(&file).unwrap();
}
