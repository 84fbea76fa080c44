use super::*;
use crate::batch::verdict::Answer;
use http_body_util::BodyExt;

const ARN: &str = "arn:aws:aps:eu-central-1:111122223333:workspace/ws-1";

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(
            hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    Reply::new(
        StatusCode::from_u16(status).unwrap(),
        &map,
        body.as_bytes(),
        true,
    )
}

fn verdict(reply: Reply) -> Verdict {
    match reply.meaning(ARN) {
        Meaning::Final(verdict)
        | Meaning::Unauthenticated(verdict)
        | Meaning::TooLarge(verdict) => verdict,
    }
}

/// Status and Retry-After, as the sender hears them.
fn heard(reply: Reply) -> (u16, Option<u64>) {
    match verdict(reply).answer() {
        Answer::Respond(response) => {
            let pause = response
                .headers()
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap().parse().unwrap());
            (response.status().as_u16(), pause)
        }
        Answer::Close => panic!("AMP's answer never closes a sender's connection"),
    }
}

/// The contract, status by status, for an answer that says nothing else.
#[test]
fn every_status_is_translated_as_the_contract_says() {
    for status in 100..=599 {
        for pause in [
            None,
            Some("0"),
            Some("2"),
            Some("90"),
            Some("Fri, 31 Dec 1999 23:59:59 GMT"),
            Some("-1"),
            Some("soon"),
        ] {
            let headers: Vec<_> = pause.iter().map(|pause| ("retry-after", *pause)).collect();
            let asked = pause
                .and_then(|pause| pause.parse::<u64>().ok())
                .map(|pause| pause.clamp(1, 5));
            let expected = match status {
                200..=299 => (status, None),
                100..=199 | 300..=399 => (503, None),
                400 => (400, None),
                401 | 403 | 404 | 405 | 408 | 409 => (503, None),
                413 => (413, None),
                429 => (503, asked.or(Some(1))),
                402 | 406..=499 => (status, None),
                500 | 502 | 503 | 504 => (status, asked),
                _ => (503, None),
            };
            assert_eq!(
                heard(reply(status, &headers, "")),
                expected,
                "{status}, Retry-After {pause:?}"
            );
        }
    }
}

#[test]
fn what_amp_says_decides_where_the_status_does_not() {
    // From AMP's documentation and public reports; the last column is the verdict's name.
    let table: &[(u16, &str, &str, &str)] = &[
        (
            403,
            "",
            r#"{"message":"The security token included in the request is expired"}"#,
            "unauthenticated",
        ),
        (
            403,
            "",
            r#"{"message":"The request signature we calculated does not match the signature you provided."}"#,
            "unauthenticated",
        ),
        (
            403,
            "",
            r#"{"message":"Missing Authentication Token"}"#,
            "unauthenticated",
        ),
        (
            403,
            "",
            "<html>blocked by the proxy</html>",
            "unauthenticated",
        ),
        (
            403,
            "",
            r#"{"Message":"User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: aps:RemoteWrite on resource: x"}"#,
            "access_denied",
        ),
        (403, "AccessDeniedException", "{}", "access_denied"),
        (400, "ExpiredTokenException", "{}", "unauthenticated"),
        (
            400,
            "com.amazon.coral.service#UnrecognizedClientException:http://internal.amazon.com/",
            "{}",
            "unauthenticated",
        ),
        (
            400,
            "",
            r#"{"__type":"IncompleteSignature","message":"x"}"#,
            "unauthenticated",
        ),
        (
            400,
            "",
            r#"{"message":"Signature expired: 20270101T000000Z is now earlier than 20270101T001000Z"}"#,
            "unauthenticated",
        ),
        (
            400,
            "ThrottlingException",
            r#"{"message":"Rate exceeded"}"#,
            "throttled",
        ),
        (429, "", r#"{"message":"Rate exceeded"}"#, "throttled"),
        (
            429,
            "",
            "ingestion rate limit (70000) exceeded while adding 500 samples",
            "throttled",
        ),
        (
            429,
            "",
            "per-user series limit of 50000000 exceeded",
            "series_limit",
        ),
        (
            400,
            "",
            "user=1: per-user series limit of 50000000 exceeded, please contact administrator",
            "series_limit",
        ),
        (400, "", "out of order sample", "refused"),
        (
            404,
            "",
            r#"{"Message":"Workspace not found"}"#,
            "workspace_not_found",
        ),
        (422, "", "no", "refused_other"),
        (507, "", "", "unexpected"),
        (301, "", "", "unexpected"),
    ];
    for (status, error_type, body, name) in table {
        let headers: &[_] = if error_type.is_empty() {
            &[]
        } else {
            &[("x-amzn-errortype", *error_type)]
        };
        assert_eq!(
            verdict(reply(*status, headers, body)).name(),
            *name,
            "{status} {error_type} {body}"
        );
    }
}

#[test]
fn refused_samples_are_counted_by_what_is_wrong_with_them() {
    let table = [
        (
            "out of order sample, series: {__name__=\"up\"}",
            "out_of_order",
        ),
        (
            "the sample has been rejected because its timestamp is too old",
            "too_old",
        ),
        ("out of bounds", "too_old"),
        ("duplicate sample for timestamp", "duplicate"),
        (
            "received a series whose number of label names exceeds the limit (label names: 151)",
            "label_limit",
        ),
        ("label value too long", "label_limit"),
        ("sample invalid label", "invalid"),
        ("", "invalid"),
    ];
    for (body, name) in table {
        assert_eq!(verdict(reply(400, &[], body)).lost(), Some(name), "{body}");
    }
    assert_eq!(
        verdict(reply(429, &[], "per-user series limit of 1 exceeded")).lost(),
        Some("series_limit")
    );
    assert_eq!(verdict(reply(503, &[], "")).lost(), None);
}

#[test]
fn a_denied_role_is_told_what_it_lacks() {
    let Verdict::AccessDenied { missing, .. } = verdict(reply(
        403,
        &[("x-amzn-errortype", "AccessDeniedException")],
        "",
    )) else {
        panic!("not denied")
    };
    assert_eq!(missing, format!("the role needs aps:RemoteWrite on {ARN}"));
}

#[tokio::test]
async fn nothing_of_amp_reaches_the_sender_but_status_words_and_written_counts() {
    let headers = [
        ("x-prometheus-remote-write-samples-written", "17"),
        ("set-cookie", "a=b"),
        ("location", "http://evil.example/"),
        ("transfer-encoding", "chunked"),
    ];
    let Answer::Respond(response) = verdict(reply(204, &headers, "")).answer() else {
        panic!("closed")
    };
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(
        response
            .headers()
            .get("X-Prometheus-Remote-Write-Samples-Written")
            .unwrap(),
        "17"
    );

    let Answer::Respond(response) =
        verdict(reply(400, &headers, "out of order\r\nX-Evil: 1\u{0}")).answer()
    else {
        panic!("closed")
    };
    assert!(
        response.headers().get("location").is_none()
            && response.headers().get("set-cookie").is_none()
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "AMP refused this batch: out of order\n");

    let Answer::Respond(response) = verdict(reply(400, &[], &"x".repeat(70_000))).answer() else {
        panic!("closed")
    };
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .len()
            < 1200
    );
}

#[test]
fn a_date_counts_only_over_verified_tls() {
    let mut headers = HeaderMap::new();
    headers.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
    assert!(
        Reply::new(StatusCode::FORBIDDEN, &headers, b"", true)
            .date
            .is_some()
    );
    assert!(
        Reply::new(StatusCode::FORBIDDEN, &headers, b"", false)
            .date
            .is_none()
    );
}

#[test]
fn the_session_token_in_an_explained_signature_is_not_passed_on() {
    for divided in ["\\n\\n", " "] {
        let body = format!(
            r#"{{"message":"The request signature we calculated does not match.{divided}The Canonical String for this request should have been'POST x-amz-security-token:planted'"}}"#
        );
        let verdict = verdict(reply(403, &[], &body));
        assert_eq!(verdict.name(), "unauthenticated");
        assert!(
            verdict.to_string().ends_with("does not match."),
            "{verdict}"
        );
        assert!(!format!("{verdict:?}").contains("planted"));
    }
}
