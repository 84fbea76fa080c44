//! The published vectors, through the code that judges real requests. Whole requests, refused ones and tampered ones
//! are in `tests/amp.rs`.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::*;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is missing"))
}

#[test]
fn published_vectors_hold() {
    let table: Value =
        serde_json::from_str(include_str!("../../tests/data/sigv4-vectors.json")).unwrap();
    let secret = text(&table, "secret_access_key");
    let cases = table["cases"].as_array().unwrap();
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    for case in cases {
        let name = text(case, "name");
        let mut headers = HeaderMap::new();
        for pair in case["headers"].as_array().unwrap() {
            let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
            headers.append(
                name,
                HeaderValue::from_str(pair[1].as_str().unwrap().trim()).unwrap(),
            );
        }
        let authorization =
            Authorization::parse(headers["authorization"].to_str().unwrap(), &[ALGORITHM]).unwrap();
        let (path, query) = text(case, "target")
            .split_once('?')
            .unwrap_or((text(case, "target"), ""));
        let payload_hash = hex::encode(Sha256::digest(text(case, "body")));
        let parts = Parts {
            method: text(case, "method"),
            path,
            query,
            headers: &headers,
            signed_headers: &authorization.signed_headers,
            payload_hash: &payload_hash,
        };
        let encoding = if text(case, "encode") == "twice" {
            PathEncoding::Twice
        } else {
            PathEncoding::Once
        };
        let canonical = canonical_request(&parts, encoding);
        assert_eq!(
            String::from_utf8_lossy(&canonical),
            text(case, "canonical_request"),
            "{name}"
        );
        let timestamp = headers[DATE_HEADER].to_str().unwrap();
        let to_sign = string_to_sign(
            ALGORITHM,
            timestamp,
            &authorization.scope.text(),
            &canonical,
        );
        assert_eq!(to_sign, text(case, "string_to_sign"), "{name}");
        assert!(
            is_signed_by(secret, &authorization, &to_sign),
            "{name}: signature"
        );

        let mut forged = authorization.clone();
        forged.signature[31] ^= 1;
        assert!(
            !is_signed_by(secret, &forged, &to_sign),
            "{name}: a forged signature passed"
        );
        assert!(
            !is_signed_by("another", &authorization, &to_sign),
            "{name}: another secret passed"
        );
    }
}

/// "Derive a signing key" in the IAM user guide.
#[test]
fn signing_key_is_the_documented_one() {
    let scope = Scope {
        day: "20150830".into(),
        region: "us-east-1".into(),
        service: "iam".into(),
        terminator: "aws4_request".into(),
    };
    let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &scope).unwrap();
    assert_eq!(
        hex::encode(key),
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    );
}

#[test]
fn the_clock_is_bounded_on_both_sides() {
    let signed = "20150830T123600Z";
    let at = |offset: i64| {
        SystemTime::from(
            time::macros::datetime!(2015-08-30 12:36:00 UTC) + time::Duration::seconds(offset),
        )
    };
    for offset in [0, 299, 300, -300] {
        assert!(check_clock(at(offset), signed).is_ok(), "{offset}");
    }
    assert_eq!(
        check_clock(at(302), signed).unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123602Z (20150830T124102Z - 5 min.)"
    );
    assert_eq!(
        check_clock(at(-301), signed).unwrap_err().to_string(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"
    );
    for wrong in [
        "",
        "2015-08-30T12:36:00Z",
        "20150830T123600",
        "20151330T123600Z",
        "+0150830T123600Z",
        "20150830T123600z",
    ] {
        let fault = check_clock(at(0), wrong).unwrap_err();
        assert!(
            matches!(fault, SignatureFault::Incomplete(_)),
            "{wrong}: {fault}"
        );
    }
}
