//! Signed requests: `aws-sigv4` signs, the emulator's own code verifies.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use emulator::sessions::Session;
use emulator::world::World;

use crate::client::{Answer, address, assume, say, say_tls, whole};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const PATIENCE: Duration = Duration::from_secs(20);

/// How a request is signed; the default of its parts is what a good sidecar does.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) session: Session,
    pub(crate) service: &'static str,
    pub(crate) region: String,
    pub(crate) at: SystemTime,
}

impl Signer {
    pub(crate) fn new(session: &Session, service: &'static str, region: &str) -> Self {
        Self {
            session: session.clone(),
            service,
            region: region.to_owned(),
            at: SystemTime::now(),
        }
    }

    /// The whole request as it goes over the wire.
    pub(crate) fn request(&self, method: &str, url: &str, kind: &str, body: &[u8]) -> Vec<u8> {
        let (_, rest) = url.split_once("://").expect("a URL");
        let (host, path) = rest.split_once('/').expect("a path");
        let session = &self.session;
        let identity = Credentials::new(
            &session.access_key_id,
            &session.secret_access_key,
            Some(session.session_token.clone()),
            None,
            "test",
        )
        .into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(self.at)
            .settings(SigningSettings::default())
            .build()
            .expect("complete")
            .into();
        let headers = [("host", host), ("content-type", kind)];
        let signable =
            SignableRequest::new(method, url, headers.into_iter(), SignableBody::Bytes(body))
                .expect("signable");
        let (signed, _) = sign(signable, &params).expect("signed").into_parts();
        let mut text = format!(
            "{method} /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in signed.headers() {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

/// AssumeRole, signed as asked; a value of `-` leaves the field out.
pub(crate) async fn chain_with(
    world: &World,
    signer: &Signer,
    role_arn: &str,
    changes: &[(&str, &str)],
) -> Answer {
    let mut fields = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role_arn),
        ("RoleSessionName", "prometheus-0"),
    ];
    for (name, value) in changes {
        fields.retain(|(present, _)| present != name);
        if *value != "-" {
            fields.push((name, value));
        }
    }
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let url = format!("{}/", world.sts_url());
    let request = signer.request("POST", &url, FORM, form.as_bytes());
    whole(&say(address(&url), request, PATIENCE).await.bytes)
}

/// AssumeRole with `session`, as a good sidecar signs it.
pub(crate) async fn chain(
    world: &World,
    session: &Session,
    role_arn: &str,
    changes: &[(&str, &str)],
) -> Answer {
    let signer = Signer::new(session, "sts", world.region());
    chain_with(world, &signer, role_arn, changes).await
}

/// The session in an answer of STS.
#[track_caller]
pub(crate) fn session(world: &World, answer: &Answer) -> Session {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let key = answer.element("AccessKeyId");
    world.sessions().find(key).expect("issued")
}

/// The session that the pod's token leads to.
pub(crate) async fn first(world: &World) -> Session {
    session(world, &assume(world, &[]).await)
}

/// A batch without a sample to a workspace's URL: 200 where it may be written.
pub(crate) async fn write(world: &World, session: &Session, url: &str, region: &str) -> Answer {
    let signer = Signer::new(session, "aps", region);
    let request = signer.request("POST", url, "application/x-protobuf", &[0]);
    // AMP asks for snappy, whatever it is that was signed.
    let text = String::from_utf8(request).expect("text");
    let text = text.replacen("connection:", "content-encoding: snappy\r\nconnection:", 1);
    let trust = world.certificates().client_config();
    whole(&say_tls(address(url), trust, text, PATIENCE).await.bytes)
}

/// A signed question to AMP.
pub(crate) async fn question(
    world: &World,
    session: &Session,
    method: &str,
    url: &str,
    body: &str,
) -> Answer {
    let signer = Signer::new(session, "aps", world.region());
    let request = signer.request(method, url, FORM, body.as_bytes());
    let trust = world.certificates().client_config();
    whole(&say_tls(address(url), trust, request, PATIENCE).await.bytes)
}
