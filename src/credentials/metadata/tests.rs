use hyper::StatusCode;

use super::*;
use crate::credentials::sts::Pace;

/// {"iss":"https://i/","sub":"s","aud":"a"}
const TOKEN: &str =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2kvIiwic3ViIjoicyIsImF1ZCI6ImEifQ.c2ln";

fn response(cloud: Cloud, status: u16, body: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap();
    let headers = match cloud {
        Cloud::Azure => HeaderMap::new(),
        Cloud::Google => HeaderMap::from_iter([google::HEADER]),
    };
    HttpResponse::new(status, None, body.into()).with_headers(headers)
}

fn error(cloud: Cloud, status: u16, body: &str) -> MetadataError {
    read(cloud, &response(cloud, status, body)).unwrap_err()
}

#[test]
fn the_requests_are_those_of_the_clouds_documentation() {
    let address = "http://169.254.169.254/";
    let client = || {
        crate::net::client::HttpClient::new(std::sync::Arc::new(
            crate::net::transport::NetworkTransport {
                trust: crate::net::tls::Trust::new(&[]).unwrap(),
                network: crate::config::Network::default(),
            },
        ))
    };
    let mut config = AzureImdsConfig {
        endpoint: address.parse().unwrap(),
        audience: "api://a/b".to_owned(),
        client_id: None,
    };
    let path = "metadata/identity/oauth2/token?api-version=2018-02-01&resource=api%3A%2F%2Fa%2Fb";
    let server = MetadataServer::azure(&config, client());
    assert_eq!(server.url().to_string(), format!("{address}{path}"));
    config.client_id = Some("id".to_owned());
    let server = MetadataServer::azure(&config, client());
    assert_eq!(
        server.url().to_string(),
        format!("{address}{path}&client_id=id")
    );
    let config = GceMetadataConfig {
        host: "[fd20:ce::254]".to_owned(),
        audience: "sts.amazonaws.com".to_owned(),
    };
    let server = MetadataServer::google(&config, client());
    assert_eq!(
        server.url().to_string(),
        "http://[fd20:ce::254]/computeMetadata/v1/instance/service-accounts/default/identity?audience=sts.amazonaws.com&format=full"
    );
}

#[test]
fn a_token_is_read_from_the_response_of_either() {
    let azure = format!(r#"{{"access_token": "{TOKEN}", "expires_on": "1800000000"}}"#);
    let of_google = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20iLCJzdWIiOiIxMDciLCJhdWQiOiJzdHMuYW1hem9uYXdzLmNvbSJ9.c2ln";
    let google = format!("{of_google}\n");
    for (cloud, body, token) in [
        (Cloud::Azure, azure, TOKEN),
        (Cloud::Google, google, of_google),
    ] {
        let given = read(cloud, &response(cloud, 200, &body)).unwrap();
        assert_eq!(given.expose(), token);
    }
    let foreign = read(Cloud::Google, &response(Cloud::Google, 200, TOKEN)).unwrap_err();
    assert!(
        foreign
            .to_string()
            .contains("not of https://accounts.google.com"),
        "{foreign}"
    );
}

#[test]
fn a_refusal_is_named_and_retried_as_fast_as_it_may_pass() {
    use Cloud::{Azure, Google};
    use Pace::{Slowly, Soon};
    let invalid =
        |words: &str| format!(r#"{{"error": "invalid_request", "error_description": "{words}"}}"#);
    for (cloud, status, body, name, pace) in [
        (Azure, 400, invalid("Identity not found"), "imds_no_identity", Slowly),
        (
            Azure,
            400,
            invalid("Multiple user assigned identities exist, please specify the clientId"),
            "imds_several_identities",
            Slowly,
        ),
        (
            Azure,
            400,
            r#"{"error": "invalid_resource", "error_description": "AADSTS500011: The resource principal named api://x was not found"}"#.to_owned(),
            "entra_AADSTS500011",
            Slowly,
        ),
        (Azure, 400, invalid("AADSTS90033: A transient error"), "entra_AADSTS90033", Soon),
        (Azure, 400, invalid("AADSTS1: new"), "imds_other", Slowly),
        (Azure, 403, invalid("new"), "imds_other", Slowly),
        (Azure, 404, String::new(), "imds_unavailable", Soon),
        (Azure, 410, String::new(), "imds_unavailable", Soon),
        (Azure, 429, invalid("slow down"), "imds_throttled", Soon),
        (Azure, 500, String::new(), "imds_unavailable", Soon),
        (Google, 404, "<html>".to_owned(), "gce_no_service_account", Slowly),
        (Google, 403, String::new(), "gce_denied", Slowly),
        (Google, 400, "non-empty audience".to_owned(), "gce_other", Slowly),
        (Google, 429, String::new(), "gce_throttled", Soon),
        (Google, 503, String::new(), "gce_unavailable", Soon),
    ] {
        let error = error(cloud, status, &body);
        assert_eq!((error.name(), error.pace()), (name, pace), "{status} {body}");
        let words = format!("{cloud}'s metadata server refused ({status}");
        assert!(error.to_string().starts_with(&words), "{error}");
    }
}

#[test]
fn what_another_server_says_is_not_believed_and_not_shown() {
    for (cloud, status, body, what) in [
        (Cloud::Azure, 302, "", "it is not the JSON of an error"),
        (
            Cloud::Azure,
            400,
            "<html>",
            "it is not the JSON of an error",
        ),
        (
            Cloud::Azure,
            200,
            r#"{"access_token": 1, "x": "secret"}"#,
            "it has no access_token",
        ),
        (
            Cloud::Azure,
            200,
            r#"{"access_token": "secret"}"#,
            "its access_token is not a JSON web token",
        ),
        (Cloud::Google, 200, "secret", "it is not a JSON web token"),
    ] {
        let error = error(cloud, status, body);
        assert!(error.to_string().ends_with(what), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(error.pace(), Pace::Soon);
    }
    let status = StatusCode::OK;
    let response = HttpResponse::new(status, None, TOKEN.into());
    let error = read(Cloud::Google, &response).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it lacks the header Metadata-Flavor: Google"),
        "{error}"
    );
    assert_eq!(error.name(), "gce_unusable_answer");
}
