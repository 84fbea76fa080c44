use super::*;
use crate::query::api::Api;
use crate::query::request;
use aws_credential_types::Credentials;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::HeaderName;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A query as a client spells it, and the expected signature.
#[derive(Deserialize)]
struct Case {
    method: String,
    path: String,
    query: String,
    form: String,
    token: String,
    time: String,
    authorization: String,
}

fn signer() -> QuerySigner {
    let url =
        "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-0b1c/api/v1/remote_write";
    QuerySigner::at(&url.parse().unwrap(), "eu-central-1").unwrap()
}

async fn signed(case: &Case) -> Signed {
    let request = Request::builder()
        .method(case.method.as_str())
        .uri(format!("/api/v1/{}?{}", case.path, case.query))
        .header("accept-encoding", "deflate, gzip;q=0.5")
        .header("authorization", "Bearer of-the-reader")
        .header("x-scope-orgid", "tenant")
        .body(Full::new(Bytes::from(case.form.clone())))
        .unwrap();
    let query_request = request::read(Api::at(&case.path).unwrap(), request).await;
    let keys = Credentials::new(
        "ASIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        Some(case.token.clone()),
        None,
        "test",
    );
    let now = OffsetDateTime::parse(&case.time, &Rfc3339).unwrap();
    let identity = Identity::from(keys);
    signer()
        .sign(&query_request.unwrap(), &identity, now.into())
        .unwrap()
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/data/query-signatures.json")).unwrap()
}

#[tokio::test]
async fn any_spelling_of_a_query_gets_botocores_signature() {
    let cases = cases();
    assert_eq!(cases.len(), 11);
    for case in &cases {
        let OutgoingRequest {
            method,
            path,
            headers,
            chunks,
        } = signed(case).await.0;
        assert_eq!(
            headers["authorization"],
            case.authorization.as_str(),
            "{} {}?{} as {path}",
            case.method,
            case.path,
            case.query
        );
        assert_eq!(method, case.method.as_str());
        assert_eq!(chunks.contiguous(), case.form.as_bytes());
        let ours = format!("/workspaces/ws-0b1c/api/v1/{}", case.path);
        assert_eq!((path.path(), path.host()), (ours.as_str(), None));
    }
}

#[tokio::test]
async fn the_headers_are_a_fixed_set() {
    for (n, expected) in [
        (
            1,
            "accept-encoding authorization host user-agent x-amz-date x-amz-security-token",
        ),
        (
            8,
            "accept-encoding authorization content-type host user-agent x-amz-date x-amz-security-token",
        ),
    ] {
        let headers = signed(&cases()[n]).await.0.headers;
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected);
        assert_eq!(headers["accept-encoding"], "gzip");
        let shown = format!("{headers:?}");
        assert!(!shown.contains("Signature=") && !shown.contains("IQoJb"));
    }
}
