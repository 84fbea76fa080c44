//! Signatures: every way in which a request can fail to authenticate.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};

use crate::world::{Answer, Signing, World, packed, series};

const MISMATCH: &str =
    "The request signature we calculated does not match the signature you provided.";

fn body(world: &World) -> Vec<u8> {
    let series = vec![series("up", &[(world.now_ms(), 1.0)])];
    packed(&emulator::amp::proto::v1::WriteRequest {
        timeseries: series,
        metadata: Vec::new(),
    })
}

/// Signs a good body as changed by `change`, and sends it.
async fn signed(world: &World, change: impl FnOnce(&mut Signing)) -> Answer {
    let mut signing = world.signing();
    change(&mut signing);
    world.handle(signing.sign(body(world))).await
}

/// Signs a good body as it should be, changes the request afterwards, and sends it.
async fn tampered(world: &World, change: impl FnOnce(&mut Request<Bytes>)) -> Answer {
    let mut request = world.signing().sign(body(world));
    change(&mut request);
    world.handle(request).await
}

#[tokio::test]
async fn what_the_official_signer_signs_is_accepted() {
    let world = World::new();
    for checksum in [true, false] {
        signed(&world, |signing| signing.checksum = checksum)
            .await
            .assert_ok();
    }
    let odd = signed(&world, |signing| {
        signing
            .headers
            .push(("user-agent", "  two   spaces ".into()));
        signing.headers.push(("x-other", "twice".into()));
        signing.headers.push(("x-other", "more".into()));
        signing.target.push_str("?b=2&a=%20x&a=%2F&c");
    });
    odd.await.assert_ok();
    assert_eq!(world.amp.store().stats().batches, 3);
}

#[tokio::test]
async fn an_escaped_path_is_escaped_once_more() {
    let world = World::new();
    let answer = signed(&world, |signing| {
        signing.target = "/workspaces/ws%20%C3%A4/api/v1/remote_write".into()
    })
    .await;
    answer.assert_aws(
        404,
        "ResourceNotFoundException",
        "Message",
        "Workspace not found",
    );
}

#[tokio::test]
async fn no_byte_of_the_body_can_be_changed() {
    let world = World::new();
    for checksum in [true, false] {
        let signing = Signing {
            checksum,
            ..world.signing()
        };
        let good = body(&world);
        for index in 0..good.len() {
            let mut request = signing.sign(good.clone());
            let mut bad = good.clone();
            bad[index] ^= 1;
            *request.body_mut() = bad.into();
            let answer = world.handle(request).await;
            let text = if checksum {
                "The provided 'x-amz-content-sha256' header does not match"
            } else {
                MISMATCH
            };
            answer.assert_aws(403, "InvalidSignatureException", "message", text);
        }
    }
    assert_eq!(world.amp.store().stats().batches, 0);
}

#[tokio::test]
async fn no_byte_of_a_header_can_be_changed() {
    let world = World::new();
    let good = world.signing().sign(body(&world));
    let mut tried = 0;
    for (name, value) in good.headers() {
        for index in 0..value.len() {
            let mut bytes = value.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'x' { b'y' } else { b'x' };
            let mut request = good.clone();
            request
                .headers_mut()
                .insert(name, HeaderValue::from_bytes(&bytes).unwrap());
            let answer = world.handle(request).await;
            assert!(
                matches!(answer.status.as_u16(), 400 | 403),
                "{name} byte {index}: {}",
                answer.status
            );
            assert!(
                answer.headers.contains_key("x-amzn-errortype"),
                "{name} byte {index}: {}",
                answer.text
            );
            tried += 1;
        }
    }
    assert!(tried > 400, "only {tried} bytes tried");
    assert_eq!(world.amp.store().stats().batches, 0);
}

#[tokio::test]
async fn method_path_and_query_are_covered() {
    let world = World::new();
    let other_query = tampered(&world, |request| {
        *request.uri_mut() = format!("{}?a=1", world.path()).parse().unwrap()
    });
    other_query
        .await
        .assert_aws(403, "InvalidSignatureException", "message", MISMATCH);
    let other_path = tampered(&world, |request| {
        *request.uri_mut() = "/workspaces/ws-other/api/v1/remote_write".parse().unwrap();
    });
    other_path
        .await
        .assert_aws(403, "InvalidSignatureException", "message", MISMATCH);
    let other_method = signed(&world, |signing| signing.method = "PUT").await;
    other_method.assert_aws(
        403,
        "MissingAuthenticationTokenException",
        "message",
        "Missing Authentication Token",
    );
}

#[tokio::test]
async fn the_mismatch_text_gives_the_token_away_as_aws_does() {
    let world = World::new();
    let answer = tampered(&world, |request| {
        request
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("text/plain"));
    });
    let text = answer.await.text;
    assert!(
        text.contains(&format!(
            "x-amz-security-token:{}",
            world.session.session_token
        )),
        "{text}"
    );
    assert!(
        text.contains("The String-to-Sign should have been"),
        "{text}"
    );
    assert!(!text.contains(&world.session.secret_access_key));
}

#[tokio::test]
async fn the_clock_may_be_five_minutes_off() {
    let world = World::new();
    for off in [0, 299] {
        signed(&world, |signing| {
            signing.at = world.now - Duration::from_secs(off)
        })
        .await
        .assert_ok();
        signed(&world, |signing| {
            signing.at = world.now + Duration::from_secs(off)
        })
        .await
        .assert_ok();
    }
    let late = signed(&world, |signing| {
        signing.at = world.now - Duration::from_secs(600)
    })
    .await;
    let text = "Signature expired: 20251231T235000Z is now earlier than 20251231T235500Z (20260101T000000Z - 5 min.)";
    late.assert_aws(403, "InvalidSignatureException", "message", text);
    let early = signed(&world, |signing| {
        signing.at = world.now + Duration::from_secs(600)
    })
    .await;
    let text = "Signature not yet current: 20260101T001000Z is still later than 20260101T000500Z (20260101T000000Z + 5 min.)";
    early.assert_aws(403, "InvalidSignatureException", "message", text);
    assert_eq!(early.header("date"), Some("Thu, 01 Jan 2026 00:00:00 GMT"));
}

#[tokio::test]
async fn the_scope_must_fit() {
    let world = World::new();
    let region = signed(&world, |signing| signing.region = "eu-west-1").await;
    region.assert_aws(
        403,
        "InvalidSignatureException",
        "message",
        "Credential should be scoped to a valid region. ",
    );
    let service = signed(&world, |signing| signing.service = "sts").await;
    service.assert_aws(
        403,
        "InvalidSignatureException",
        "message",
        "Credential should be scoped to correct service: 'aps'. ",
    );
    for (from, to, text) in [
        (
            "/20260101/",
            "/20260102/",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260102' != '20260101', from '20260101T000000Z'.",
        ),
        (
            "/aws4_request",
            "/aws3_request",
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws3_request'.",
        ),
    ] {
        let answer = tampered(&world, |request| {
            let header = request.headers()["authorization"]
                .to_str()
                .unwrap()
                .replace(from, to);
            request
                .headers_mut()
                .insert("authorization", header.try_into().unwrap());
        });
        answer
            .await
            .assert_aws(403, "InvalidSignatureException", "message", text);
    }
}

#[tokio::test]
async fn the_session_must_be_known_and_alive() {
    let world = World::new();
    let unknown = "The security token included in the request is invalid.";
    let mut other = world.session.clone();
    other.access_key_id = "ASIAUNKNOWN".into();
    let answer = signed(&world, |signing| signing.session = other).await;
    answer.assert_aws(403, "UnrecognizedClientException", "message", unknown);
    let answer = signed(&world, |signing| signing.token = false).await;
    answer.assert_aws(403, "UnrecognizedClientException", "message", unknown);
    let mut other = world.session.clone();
    other.session_token = world
        .sessions
        .issue(&other.role_arn, "two", Duration::from_secs(900), world.now)
        .session_token;
    let answer = signed(&world, |signing| signing.session = other).await;
    answer.assert_aws(403, "UnrecognizedClientException", "message", unknown);
    let mut other = world.session.clone();
    other.secret_access_key.push('x');
    let answer = signed(&world, |signing| signing.session = other).await;
    answer.assert_aws(403, "InvalidSignatureException", "message", MISMATCH);

    let short = world.sessions.issue(
        crate::world::ROLE,
        "short",
        Duration::from_secs(60),
        world.now,
    );
    let request = Signing {
        session: short,
        ..world.signing()
    }
    .sign(body(&world));
    let in_time = world
        .amp
        .handle(world.now + Duration::from_secs(59), request.clone())
        .await;
    assert_eq!(in_time.status(), StatusCode::OK);
    let late = world
        .amp
        .handle(world.now + Duration::from_secs(60), request)
        .await;
    assert_eq!(late.status(), StatusCode::FORBIDDEN);
    assert_eq!(late.headers()["x-amzn-errortype"], "ExpiredTokenException");
    assert_eq!(
        late.body(),
        r#"{"message":"The security token included in the request is expired"}"#
    );

    world.sessions.revoke_all();
    signed(&world, |_| {})
        .await
        .assert_aws(403, "UnrecognizedClientException", "message", unknown);
}

#[tokio::test]
async fn headers_that_must_be_signed() {
    let world = World::new();
    for name in [
        "x-amz-meta",
        "x-amz-target",
        "traceparent",
        "x-amzn-trace-id",
    ] {
        let added = tampered(&world, |request| {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static("1"));
        });
        let text = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
        added
            .await
            .assert_aws(403, "InvalidSignatureException", "message", &text);
    }
    for (from, to, text) in [
        (";host;", ";", "'Host' must be a 'SignedHeader'"),
        (
            ";x-amz-security-token",
            "",
            "'x-amz-security-token' must be a 'SignedHeader'",
        ),
        (";x-amz-date", "", "'x-amz-date' must be a 'SignedHeader'"),
    ] {
        let answer = tampered(&world, |request| {
            let header = request.headers()["authorization"]
                .to_str()
                .unwrap()
                .replace(from, to);
            request
                .headers_mut()
                .insert("authorization", header.try_into().unwrap());
        });
        answer
            .await
            .assert_aws(403, "InvalidSignatureException", "message", text);
    }
}

#[tokio::test]
async fn headers_that_must_be_there_once() {
    let world = World::new();
    let answer = tampered(&world, |request| {
        drop(request.headers_mut().remove("authorization"))
    })
    .await;
    answer.assert_aws(
        403,
        "MissingAuthenticationTokenException",
        "message",
        "Missing Authentication Token",
    );
    let answer = tampered(&world, |request| {
        drop(request.headers_mut().remove("x-amz-date"))
    })
    .await;
    answer.assert_aws(
        400,
        "IncompleteSignatureException",
        "message",
        "Authorization header requires existence of either",
    );
    for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
        let answer = tampered(&world, |request| {
            let value = request.headers()[name].clone();
            request.headers_mut().append(name, value);
        });
        answer.await.assert_aws(
            400,
            "IncompleteSignatureException",
            "message",
            &format!("'{name}' must be present exactly once."),
        );
    }
    let answer = tampered(&world, |request| {
        drop(request.headers_mut().remove("content-type"))
    })
    .await;
    answer.assert_aws(
        400,
        "IncompleteSignatureException",
        "message",
        "'content-type' is signed but not in the request.",
    );
    let answer = tampered(&world, |request| {
        request.headers_mut().insert(
            "x-amz-content-sha256",
            HeaderValue::from_static("UNSIGNED-PAYLOAD"),
        );
    });
    answer.await.assert_aws(
        403,
        "InvalidSignatureException",
        "message",
        "The provided 'x-amz-content-sha256'",
    );
}
