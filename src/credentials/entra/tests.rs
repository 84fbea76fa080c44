use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::net::tls::Trust;
use crate::net::transport::{NetworkTransport, Transport};

const TRACE: &str = "1f0c8a52-0000-4000-8000-6b1e3d5a7c90";
const CORRELATION: &str = "8c2d4e6f-0000-4000-8000-13579bdf2468";

fn entra(authority: &str) -> Entra {
    let application = config::EntraConfig {
        token_file: "/token".into(),
        authority_host: authority.parse().unwrap(),
        tenant_id: "contoso.onmicrosoft.com".to_owned(),
        client_id: "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a".to_owned(),
        scope: "api://amp/.default".to_owned(),
    };
    let transport = NetworkTransport {
        trust: Trust::new(&[]).unwrap(),
        network: config::Network::default(),
    };
    Entra::new(application, transport.client(), Clock::system())
}

fn assertion() -> Token {
    let claims = r#"{"iss": "https://issuer/", "sub": "system:serviceaccount:ns:sa", "aud": ["api://AzureADTokenExchange"], "exp": 1000}"#;
    Token::of(&format!(
        "eyJh.{}.c2lnbmF0dXJl",
        URL_SAFE_NO_PAD.encode(claims)
    ))
    .unwrap()
}

fn refusal(status: u16, code: u32, words: &str) -> EntraError {
    let json = serde_json::json!({
        "error": "invalid_client",
        "error_description": format!("AADSTS{code}: {words}\r\nTrace ID: {TRACE}\r\nCorrelation ID: {CORRELATION}\r\nTimestamp: 2027-01-15 08:00:00Z"),
        "error_codes": [code],
        "trace_id": TRACE,
        "correlation_id": CORRELATION,
        "error_uri": "https://login.microsoftonline.com/error",
    });
    let status = StatusCode::from_u16(status).unwrap();
    let refusal = serde_json::from_value(json).unwrap();
    entra("https://login.microsoftonline.com/").refused(status, refusal, &assertion())
}

#[test]
fn the_endpoint_is_the_tenants_at_the_authority() {
    for authority in [
        "https://login.microsoftonline.us",
        "https://login.microsoftonline.us/",
    ] {
        assert_eq!(
            entra(authority).endpoint.to_string(),
            "https://login.microsoftonline.us/contoso.onmicrosoft.com/oauth2/v2.0/token"
        );
    }
}

#[test]
fn a_known_refusal_says_what_is_wrong_what_to_do_and_what_the_token_says() {
    let error = refusal(
        401,
        700_213,
        "No matching federated identity record found for presented assertion subject",
    );
    let text = format!("{error}; {}", error.remedy());
    for words in [
        "Entra refused (401 Unauthorized, invalid_client): AADSTS700213: No matching",
        "no federated credential of the application has the projected token's subject",
        "system:serviceaccount:NAMESPACE:NAME",
        r#"sub "system:serviceaccount:ns:sa""#,
        r#"iss "https://issuer/""#,
        TRACE,
        CORRELATION,
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Timestamp"), "{text}");
    assert_eq!(
        (error.name(), error.pace()),
        ("entra_AADSTS700213", Pace::Slowly)
    );
    // A subcode of the same.
    assert_eq!(refusal(401, 7_002_138, "x").name(), "entra_AADSTS700213");
}

#[test]
fn the_code_is_found_in_the_words_and_an_unknown_one_is_shown_as_it_is() {
    let json = r#"{"error": "invalid_request", "error_description": "AADSTS90002: Tenant 'x' not found."}"#;
    let error = entra("https://x/").refused(
        StatusCode::BAD_REQUEST,
        serde_json::from_str(json).unwrap(),
        &assertion(),
    );
    assert_eq!(error.name(), "entra_AADSTS90002");

    let error = refusal(400, 99_999_999, "A new fault");
    assert_eq!((error.name(), error.pace()), ("entra_other", Pace::Slowly));
    assert!(error.to_string().contains("AADSTS99999999: A new fault"));
    assert_eq!(refusal(503, 99_999_999, "x").pace(), Pace::Soon);
    assert_eq!(refusal(401, 700_024, "x").pace(), Pace::Soon);
}

#[test]
fn a_rate_that_was_exceeded_is_named_and_passes() {
    let not_json = HttpResponse::new(StatusCode::TOO_MANY_REQUESTS, None, b"slow down".to_vec());
    let not_json = entra("https://x/").read(&not_json, &assertion());
    for error in [
        refusal(429, 90_024, "x"),
        refusal(400, 90_055, "There are too many incoming requests"),
        not_json.unwrap_err(),
    ] {
        assert_eq!(
            (error.name(), error.pace()),
            ("entra_throttled", Pace::Soon)
        );
        assert!(error.remedy().to_string().contains("temporary"), "{error}");
    }
}

#[test]
fn an_assertion_that_is_said_back_is_withheld() {
    let assertion = assertion();
    let words = format!("what is {}", assertion.expose());
    let error = refusal(400, 70_002, &words).to_string();
    assert!(error.contains("what is [withheld]"), "{error}");
}
