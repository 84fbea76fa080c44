use std::path::Path;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HeaderName;

use super::signer::Signer;
use super::*;
use crate::config::{Network, RoleSession};
use crate::credentials::identity_trail::IdentityTrail;
use crate::credentials::sts::Pace;
use crate::net::tls::Trust;
use crate::net::transport::NetworkTransport;
use crate::remedies::Remedy;
use crate::telemetry::Telemetry;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/roles-anywhere/");

/// Files of openssl, one after the other.
fn pem(names: &[&str]) -> Vec<u8> {
    let read = names
        .iter()
        .map(|name| std::fs::read(format!("{FOLDER}{name}")));
    read.map(Result::unwrap).collect::<Vec<_>>().concat()
}

fn signer(chain: &[&str], key: &str) -> Result<Signer, SignerError> {
    Signer::of(
        (Path::new("/tls.crt"), &pem(chain)),
        (Path::new("/tls.key"), &pem(&[key])),
    )
}

fn config() -> RolesAnywhereConfig {
    let arn = |rest| format!("arn:aws:rolesanywhere:eu-central-1:111122223333:{rest}");
    RolesAnywhereConfig {
        certificate: "/tls.crt".into(),
        private_key: "/tls.key".into(),
        trust_anchor_arn: arn("trust-anchor/t"),
        profile_arn: arn("profile/p"),
        role: RoleSession {
            duration: Duration::from_secs(3600),
            ..RoleSession::plain("arn:aws:iam::111122223333:role/amp".to_owned(), None)
        },
        endpoint: "https://rolesanywhere.eu-central-1.amazonaws.com/sessions"
            .parse()
            .unwrap(),
        region: "eu-central-1".to_owned(),
    }
}

fn clock() -> Clock {
    Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

fn source() -> RolesAnywhere {
    let way = NetworkTransport {
        trust: Trust::new(&[]).unwrap(),
        network: Network::default(),
    };
    let steps = StepRecord {
        metrics: Arc::new(Telemetry::new().metrics("ws-1")),
        trail: IdentityTrail::default(),
    };
    RolesAnywhere::new(&config(), &way, &clock(), steps)
}

#[test]
fn every_form_of_a_key_signs_for_its_certificate() {
    for (leaf, key, algorithm) in [
        ("rsa.pem", "rsa-pkcs1.key", "AWS4-X509-RSA-SHA256"),
        ("rsa.pem", "rsa-pkcs8.key", "AWS4-X509-RSA-SHA256"),
        ("ec.pem", "ec-sec1.key", "AWS4-X509-ECDSA-SHA256"),
        ("ec.pem", "ec-pkcs8.key", "AWS4-X509-ECDSA-SHA256"),
        ("ec-no-usage.pem", "ec-sec1.key", "AWS4-X509-ECDSA-SHA256"),
    ] {
        let signer = signer(&[leaf], key).unwrap();
        assert_eq!(signer.algorithm(), algorithm);
        assert!(signer.sign("text").unwrap().len() > 60);
        assert_eq!(signer.encoded_chain(), None);
        assert!(!format!("{signer:?}").contains("key"));
    }
    let with_root = ["ec.pem", "intermediate.pem", "ca.pem"];
    let chain = signer(&with_root, "ec-sec1.key").unwrap().encoded_chain();
    assert!(
        chain.is_some_and(|chain| !chain.contains(',')),
        "the root is not sent"
    );
}

#[test]
fn what_cannot_sign_is_named_with_its_fix() {
    let rows: &[(&[&str], &str, &str, Remedy)] = &[
        (
            &["rsa.pem"],
            "ec-sec1.key",
            "is not that of the certificate",
            rows::MISMATCH,
        ),
        (
            &["intermediate.pem"],
            "ec-sec1.key",
            "is a certificate authority",
            rows::UNFIT,
        ),
        (
            &["intermediate.pem", "ec.pem"],
            "ec-sec1.key",
            "is number 2, not the first",
            rows::UNFIT,
        ),
        (
            &["ec.pem", "ca.pem", "intermediate.pem"],
            "ec-sec1.key",
            "certificate 1 is not issued by certificate 2",
            rows::UNFIT,
        ),
        (
            &["ec-no-signature.pem"],
            "ec-sec1.key",
            "lacks digitalSignature",
            rows::UNFIT,
        ),
        (
            &["ec-sec1.key"],
            "ec-sec1.key",
            "this holds a private key",
            rows::NO_CERTIFICATE,
        ),
        (&[], "ec-sec1.key", "it is empty", rows::NO_CERTIFICATE),
        (
            &["ec.pem"],
            "ec.pem",
            "this holds a certificate",
            rows::NO_KEY,
        ),
        (
            &["ec.pem"],
            "ec-encrypted.key",
            "is encrypted",
            rows::NO_KEY,
        ),
        (
            &["rsa.pem"],
            "rsa-encrypted.key",
            "is encrypted",
            rows::NO_KEY,
        ),
        (&["ec.pem"], "p384.key", "nor ECDSA on P-256", rows::NO_KEY),
        (&["ec.pem"], "p521.key", "nor ECDSA on P-256", rows::NO_KEY),
        (
            &["rsa.pem"],
            "rsa1024.key",
            "RSA with 2048 to 4096",
            rows::NO_KEY,
        ),
        (
            &["ec.pem"],
            "ed25519.key",
            "nor ECDSA on P-256",
            rows::NO_KEY,
        ),
    ];
    for (chain, key, words, row) in rows {
        let error = RolesAnywhereError::from(signer(chain, key).unwrap_err());
        let text = error.to_string();
        assert!(text.contains(words), "{text}");
        assert_eq!(error.remedy().rows(), [*row], "{text}");
        assert!(!text.contains("MII") && text.contains("/tls."), "{text}");
    }
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(&pem(&["ec.pem"]));
    let der: rustls::pki_types::CertificateDer<'_> = der.unwrap();
    let cut = &pem(&["ec.pem"])[..300];
    for (certificate, words) in [(&*der, "this is DER"), (cut, "damaged or cut off")] {
        let key = pem(&["ec-sec1.key"]);
        let read = Signer::of((Path::new("c"), certificate), (Path::new("k"), &key));
        let error = read.unwrap_err();
        assert!(
            error.to_string().contains(words) && error.may_pass(),
            "{error}"
        );
    }
}

#[test]
fn the_request_has_what_the_user_guide_asks_for() {
    let signer = signer(&["rsa.pem", "intermediate.pem"], "rsa-pkcs1.key").unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut config = config();
    let (headers, body) = request::create_session(&config, &signer, now).unwrap();
    let of = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(
        body,
        r#"{"durationSeconds":3600,"profileArn":"arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p","roleArn":"arn:aws:iam::111122223333:role/amp","trustAnchorArn":"arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/t"}"#
    );
    assert_eq!(of("host"), "rolesanywhere.eu-central-1.amazonaws.com");
    assert_eq!(of("x-amz-date"), "20270115T080000Z");
    assert!(of("x-amz-x509").starts_with("MII") && of("x-amz-x509-chain").starts_with("MII"));
    let authorization = of("authorization");
    let start = "AWS4-X509-RSA-SHA256 Credential=183760593556558440296444174660608556687/20270115/eu-central-1/rolesanywhere/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-x509;x-amz-x509-chain, Signature=";
    // 256 bytes in hexadecimal.
    assert!(authorization.starts_with(start), "{authorization}");
    assert_eq!(authorization.len(), start.len() + 512);
    config.role.name = Some("me".to_owned());
    let (_, body) = request::create_session(&config, &signer, now).unwrap();
    assert!(body.contains(r#""roleSessionName":"me""#), "{body}");
}

fn answer(status: u16, exception: Option<&str>, body: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap();
    let header = exception.map(|name| {
        (
            HeaderName::from_static("x-amzn-errortype"),
            name.parse().unwrap(),
        )
    });
    HttpResponse::new(status, None, body.as_bytes().to_vec())
        .with_headers(header.into_iter().collect())
}

fn read(answer: &HttpResponse) -> Result<SessionCredentials, RolesAnywhereError> {
    let signer = signer(&["ec.pem"], "ec-sec1.key").unwrap();
    source().read(answer, signer.certificate())
}

fn created(expiration: &str, key: &str) -> String {
    format!(
        r#"{{"credentialSet":[{{"assumedRoleUser":{{"arn":"arn:aws:sts::111122223333:assumed-role/amp/07","assumedRoleId":"AROA:07"}},"credentials":{{"accessKeyId":"{key}","expiration":"{expiration}","secretAccessKey":"planted-secret","sessionToken":"dG9rZW4+/w=="}},"packedPolicySize":10,"roleArn":"arn:aws:iam::111122223333:role/amp","sourceIdentity":"amp-sidecar"}}],"subjectArn":"arn:aws:rolesanywhere:eu-central-1:111122223333:subject/s"}}"#
    )
}

#[test]
fn a_true_response_gives_credentials_and_any_other_one_none() {
    let whole = created("2099-01-15T09:00:00Z", "ASIAEXAMPLE");
    let obtained = read(&answer(201, None, &whole)).unwrap();
    assert_eq!(obtained.credentials.access_key_id(), "ASIAEXAMPLE");
    let arn = "arn:aws:sts::111122223333:assumed-role/amp/07";
    assert_eq!(obtained.arn.as_deref(), Some(arn));
    let life = obtained.expires.unwrap().duration_since(clock().now());
    let asked_for = Duration::from_secs(3600);
    assert!(life.unwrap() <= asked_for + Duration::from_secs(60));
    assert!(!format!("{obtained:?}").contains("planted-secret"));

    let cut = (0..whole.len())
        .step_by(11)
        .map(|length| whole[..length].to_owned());
    let wrong = [
        created("2020-01-15T09:00:00Z", "ASIAEXAMPLE"),
        created("soon", "ASIAEXAMPLE"),
        created("2099-01-15T09:00:00Z", ""),
        created("2099-01-15T09:00:00Z", "AS IA"),
        r#"{"credentialSet":[]}"#.to_owned(),
        "<html>Welcome to the hotel</html>".to_owned(),
    ];
    for body in cut.chain(wrong) {
        let error = read(&answer(201, None, &body)).unwrap_err();
        assert!(!error.to_string().contains("planted-secret"), "{error}");
        assert_eq!(
            (error.name(), error.pace()),
            ("anywhere_unusable_answer", Pace::Soon)
        );
        assert_eq!(error.remedy().rows(), [rows::FOREIGN]);
    }
}

#[test]
fn each_refusal_has_its_label_its_pace_and_its_rows() {
    let denied = "AccessDeniedException";
    let cases: &[(u16, &str, &str, Pace, &[Remedy])] = &[
        (
            403,
            denied,
            "Untrusted Signing Certificate",
            Pace::Slowly,
            &[rows::UNTRUSTED, rows::INSUFFICIENT],
        ),
        (
            403,
            denied,
            "Untrusted certificate. Insufficient certificate",
            Pace::Slowly,
            &[rows::UNTRUSTED, rows::INSUFFICIENT],
        ),
        (
            403,
            denied,
            "Invalid signature",
            Pace::Soon,
            &[rows::REFUSED],
        ),
        (
            403,
            denied,
            "Not authorized to set roleSessionName.",
            Pace::Slowly,
            &[rows::SESSION_NAME],
        ),
        (
            403,
            denied,
            "Unable to assume role for arn:aws:iam::1:role/a",
            Pace::Slowly,
            &[rows::TRUST, rows::PROFILE],
        ),
        (
            403,
            denied,
            "Unable to assume role for arn:aws:iam::1:role/a. Some attributes failed to be mapped into session tags. Issuer: [  ]; Subject: [ CN ]; SAN: [  ]",
            Pace::Slowly,
            &[rows::SESSION_TAGS],
        ),
        (
            403,
            denied,
            "Profile is disabled",
            Pace::Slowly,
            &[rows::DISABLED],
        ),
        (
            404,
            "ResourceNotFoundException",
            "Profile not found",
            Pace::Slowly,
            &[rows::NOT_FOUND],
        ),
        (
            400,
            "ValidationException",
            "Value '50000' at 'durationSeconds' failed",
            Pace::Slowly,
            &[SESSION_TOO_LONG],
        ),
        (
            400,
            "ValidationException",
            "x",
            Pace::Slowly,
            &[rows::REFUSED],
        ),
        (
            429,
            "ThrottlingException",
            "Rate exceeded",
            Pace::Soon,
            &[rows::TROUBLE],
        ),
        (
            400,
            "TooManyRequestsException",
            "x",
            Pace::Soon,
            &[rows::TROUBLE],
        ),
        (
            500,
            "InternalServerException",
            "x",
            Pace::Soon,
            &[rows::TROUBLE],
        ),
    ];
    for (status, exception, message, pace, rows) in cases {
        let body = serde_json::json!({"message": message}).to_string();
        let error = read(&answer(*status, Some(exception), &body)).unwrap_err();
        let remedy = error.remedy();
        assert_eq!((error.pace(), remedy.rows()), (*pace, *rows), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let role = read(&answer(
        403,
        Some(denied),
        r#"{"message":"Unable to assume role"}"#,
    ));
    let advice = role.unwrap_err().remedy().to_string();
    for value in [
        "x509Subject/CN is \"amp-sidecar\"",
        "trust-anchor/t",
        "profile/p",
        "role/amp",
    ] {
        assert!(advice.contains(value), "{advice}");
    }
    let qualified = "com.amazonaws#AccessDeniedException:http://internal.amazon.com/";
    let error = read(&answer(403, Some(qualified), r#"{"Message":"x"}"#)).unwrap_err();
    assert_eq!(error.name(), "anywhere_AccessDeniedException");
    let error = read(&answer(
        403,
        None,
        r#"{"message":"x","__type":"aws#ValidationException"}"#,
    ));
    assert_eq!(error.unwrap_err().name(), "anywhere_ValidationException");
    let foreign = read(&answer(403, None, r#"{"message":"no"}"#)).unwrap_err();
    assert_eq!(foreign.name(), "anywhere_unusable_answer");
}

#[test]
fn an_expired_certificate_comes_first_among_what_may_be_wrong() {
    let source = source();
    let signer = signer(&["ec.pem"], "ec-sec1.key").unwrap();
    let over = signer.certificate().not_after() + Duration::from_secs(60);
    let advice = source.of_certificate(signer.certificate(), over);
    assert_eq!(advice.rows(), [rows::EXPIRED, rows::UNTRUSTED]);
    assert!(advice.to_string().contains("ended 60 s ago"), "{advice}");
}
