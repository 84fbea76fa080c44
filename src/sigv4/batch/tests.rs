use super::*;
use crate::remote_write::content_type::WriteProtocol;
use crate::remote_write::contents::Contents;
use crate::remote_write::inspect::Version;
use crate::sigv4::{Scope, sign_post};
use aws_sigv4::http_request::SignableBody;
use hyper::header::HeaderName;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Deserialize)]
struct Case {
    url: String,
    region: String,
    content_type: String,
    write_version: String,
    body: String,
    token: String,
    time: String,
    amz_date: String,
    authorization: String,
}

fn signed(case: &Case) -> Signed {
    let body = case.body.clone().into_bytes();
    let protocol = WriteProtocol {
        version: Version::V1,
        content_type: case.content_type.parse().unwrap(),
        write_version: case.write_version.parse().unwrap(),
    };
    let batch = Payload::new(protocol, body.into(), Contents::default());
    let token = Some(case.token.clone());
    let keys = Credentials::new(
        "ASIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        token,
        None,
        "test",
    );
    let identity = Identity::from(keys);
    let now = OffsetDateTime::parse(&case.time, &Rfc3339).unwrap().into();
    BatchSigner::new(&case.region, &case.url.parse().unwrap())
        .unwrap()
        .sign(&batch, &identity, now)
        .unwrap()
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/data/signatures.json")).unwrap()
}

#[test]
fn signatures_are_those_of_botocore() {
    let cases = cases();
    assert_eq!(cases.len(), 3);
    for case in &cases {
        let OutgoingRequest { path, headers, .. } = signed(case).0;
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("authorization"), case.authorization, "{}", case.url);
        assert_eq!(header("x-amz-date"), case.amz_date);
        assert_eq!(header("x-amz-security-token"), case.token);
        assert!(case.url.ends_with(&path.to_string()) && path.host().is_none());
    }
}

#[test]
fn the_headers_are_a_fixed_set_whose_secrets_are_not_shown() {
    let case = cases().swap_remove(1);
    let headers = signed(&case).0.headers;
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "authorization",
        "content-encoding",
        "content-type",
        "host",
        "user-agent",
        "x-amz-date",
        "x-amz-security-token",
        "x-prometheus-remote-write-version",
    ];
    assert_eq!(names, expected);
    let shown = format!("{headers:?}");
    assert!(
        !shown.contains(&case.token) && !shown.contains("Signature="),
        "{shown}"
    );
}

#[test]
fn the_canonical_request_matches_the_librarys() {
    let url =
        "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-0b1c/api/v1/remote_write";
    let signer = BatchSigner::new("eu-central-1", &url.parse().unwrap()).unwrap();
    let mut now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_000);
    for (n, content_type) in [
        "application/x-protobuf",
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "application/x-protobuf;  proto=\"prometheus.WriteRequest\" ;  a=b",
        "Application/X-Protobuf ;x",
    ]
    .into_iter()
    .enumerate()
    {
        // Other credentials and another day each time: a stale key would fail here.
        now += std::time::Duration::from_secs(86_400 * (n as u64 % 2));
        for token in [Some("token+/=".to_owned()), None] {
            let keys = Credentials::new(format!("AKID{n}"), "secret", token, None, "test");
            let identity = Identity::from(keys);
            let protocol = WriteProtocol {
                version: Version::V1,
                content_type: content_type.parse().unwrap(),
                write_version: "0.1.0".parse().unwrap(),
            };
            let batch = Payload::new(protocol, content_type.into(), Contents::default());
            let signed = signer.sign(&batch, &identity, now).unwrap();
            let mut headers = signed.headers.clone();
            headers.remove(AUTHORIZATION);
            headers.remove(USER_AGENT);
            headers.remove(DATE);
            headers.remove(TOKEN);
            let scope = Scope {
                region: "eu-central-1",
                service: "aps",
                time: now,
            };
            let body = SignableBody::Precomputed(batch.payload_hash.clone());
            sign_post(&mut headers, url, body, scope, &identity).unwrap();
            for name in [AUTHORIZATION, DATE, TOKEN] {
                assert_eq!(
                    signed.headers.get(&name),
                    headers.get(&name),
                    "{content_type}"
                );
            }
        }
    }
    let escaped = url.replace("ws-0b1c", "ws%20");
    assert!(BatchSigner::new("eu-central-1", &escaped.parse().unwrap()).is_err());
}
