use super::*;
use crate::outcome::response::SenderResponse;
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::sample::select;

const ARN: &str = "arn:aws:aps:eu-central-1:111122223333:workspace/ws-1";

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> AmpResponse {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(
            hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    AmpResponse::new(
        StatusCode::from_u16(status).unwrap(),
        &map,
        body.as_bytes(),
        true,
    )
}

const PATH: &str = "/workspaces/ws-1/api/v1/remote_write/";

fn verdict(reply: AmpResponse) -> Verdict {
    reply.class(ARN, PATH).verdict()
}

/// A text of the store, as AMP's front door passes it on.
const PLAIN: &[(&str, &str)] = &[
    ("content-type", "text/plain; charset=utf-8"),
    ("x-amzn-requestid", "3f8e1c52-0000-4000-8000-000000000000"),
];
/// Headers that a proxy adds or responds with.
const HTML: &[(&str, &str)] = &[
    ("content-type", "text/html; charset=utf-8"),
    ("server", "squid/6.1"),
    ("via", "1.1 proxy.example"),
];
/// What the store puts before each error of an ingester.
const PREFIX: &str = "maxFailure (quorum) on a given error family, addr=10.1.2.3:9095 state=ACTIVE zone=, rpc error: code = Code(400) desc = user=111122223333_ws-1: ";

/// Status and Retry-After of the response to the sender.
fn response_to_sender(reply: AmpResponse) -> (u16, Option<u64>) {
    match verdict(reply).answer() {
        SenderResponse::Respond(response) => {
            let pause = response
                .headers()
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap().parse().unwrap());
            (response.status().as_u16(), pause)
        }
        SenderResponse::Close => panic!("AMP's answer never closes a sender's connection"),
    }
}

/// The contract, status by status, for a response without a body: AMP's with a request id, or a proxy's.
#[test]
fn every_status_is_translated_as_specified() {
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
            for is_amp in [true, false] {
                let mut headers: Vec<_> =
                    pause.iter().map(|pause| ("retry-after", *pause)).collect();
                if is_amp {
                    headers.extend_from_slice(PLAIN);
                }
                let asked = pause
                    .and_then(|pause| pause.parse::<u64>().ok())
                    .map(|pause| pause.clamp(1, 5));
                let expected = match status {
                    200..=299 => (status, None),
                    400 | 402 | 415 | 422 if is_amp => (status, None),
                    413 => (413, None),
                    429 => (503, asked.or(Some(1))),
                    500 | 502 | 503 | 504 => (status, asked),
                    _ => (503, None),
                };
                assert_eq!(
                    response_to_sender(reply(status, &headers, "")),
                    expected,
                    "{status}, Retry-After {pause:?}, AMP {is_amp}"
                );
            }
        }
    }
}

#[test]
fn a_web_page_never_decides_about_samples() {
    let page = "<html><head><title>Access blocked</title></head>Rate exceeded</html>";
    for status in 200..=599 {
        for headers in [HTML, &[][..]] {
            let class = reply(status, headers, page).class(ARN, PATH);
            if status == 413 {
                let is_kept = |verdict: &Verdict| verdict.name() == "unexpected";
                assert!(matches!(class, ReplyClass::TooLarge(verdict, _) if is_kept(&verdict)));
                continue;
            }
            let ReplyClass::Final(verdict) = class else {
                panic!("{status}: {class:?}")
            };
            assert_eq!(verdict.name(), "unexpected", "{status}");
            assert_eq!(verdict.lost(), None);
            if headers == HTML {
                assert_eq!(
                    verdict.to_string(),
                    format!(
                        "unexpected answer {}: Server: squid/6.1, Via: 1.1 proxy.example, a web page with the title \"Access blocked\"",
                        StatusCode::from_u16(status).unwrap()
                    )
                );
            }
        }
    }
}

/// The store's responses: status, text after the prefix if an ingester sends it, outcome, and why samples are lost. The texts
/// are those of a Cortex of August 2026.
const STORE: &[(u16, bool, &str, &str, Option<&str>)] = &[
    (
        400,
        true,
        r#"err: out of order sample. timestamp=2026-08-01T10:00:00Z, series={LABELS}"#,
        "refused",
        Some("out_of_order"),
    ),
    (
        400,
        true,
        r#"err: too old sample. timestamp=2026-08-01T10:00:00Z, tsdbHeadMaxTimestamp=2026-08-01T12:00:00Z, series={LABELS}"#,
        "refused",
        Some("too_old"),
    ),
    (
        400,
        true,
        r#"err: out of bounds. timestamp=2026-08-01T10:00:00Z, tsdbHeadMaxTimestamp=2026-08-01T12:00:00Z, series={LABELS}"#,
        "refused",
        Some("out_of_bounds"),
    ),
    (
        400,
        false,
        r#"timestamp too old: 1785578400000 metric: "NAME""#,
        "refused",
        Some("too_old"),
    ),
    (
        400,
        false,
        r#"timestamp too new: 1785578400000 metric: "NAME""#,
        "refused",
        Some("too_new"),
    ),
    (
        400,
        true,
        r#"err: duplicate sample for timestamp 2026-08-01T10:00:00Z; overrides not allowed: existing 1, new value 2. series={LABELS}"#,
        "refused",
        Some("duplicate"),
    ),
    (
        400,
        false,
        r#"label name too long for metric (actual: 30, limit: 20) metric: "NAME{LABELS}" label name: "NAME""#,
        "refused",
        Some("label_name_too_long"),
    ),
    (
        400,
        false,
        r#"label value too long for metric (actual: 700, limit: 200) metric: "NAME{LABELS}" label name: "n" label value: "VALUE""#,
        "refused",
        Some("label_value_too_long"),
    ),
    (
        400,
        false,
        r#"series has too many labels (actual: 151, limit: 150) series: 'NAME{LABELS}'"#,
        "refused",
        Some("too_many_labels"),
    ),
    (
        400,
        false,
        r#"labels size bytes exceeded for metric (actual: 8300, limit: 7000) metric: "NAME{LABELS}""#,
        "refused",
        Some("labels_size"),
    ),
    (
        400,
        false,
        "sample missing metric name",
        "refused",
        Some("missing_name"),
    ),
    (
        400,
        false,
        "empty labels found",
        "refused",
        Some("missing_name"),
    ),
    (
        400,
        false,
        r#"sample invalid metric name: "NAME""#,
        "refused",
        Some("invalid_name"),
    ),
    (
        400,
        false,
        r#"sample invalid label: "VALUE" metric "NAME{LABELS}""#,
        "refused",
        Some("invalid_label"),
    ),
    (
        400,
        false,
        r#"duplicate label name: "a" metric "NAME{LABELS}""#,
        "refused",
        Some("duplicate_label"),
    ),
    (
        400,
        true,
        "per-user series limit of 50000000 exceeded, please contact administrator to raise it (local limit: 0 global limit: 50000000 actual local limit: 5)",
        "series_limit",
        Some("series_limit"),
    ),
    (
        429,
        true,
        "per-user series limit of 50000000 exceeded, please contact administrator to raise it (local limit: 0 global limit: 50000000 actual local limit: 5)",
        "series_limit",
        Some("series_limit"),
    ),
    (
        400,
        true,
        "per-metric series limit of 2 exceeded for metric NAME, please contact administrator to raise it (local limit: 2 global limit: 0 actual local limit: 2) for series {LABELS}",
        "series_limit",
        Some("series_limit"),
    ),
    (
        400,
        true,
        r#"per-labelset series limit of 2 exceeded (labelSet: {LABELS}, global limit: 2 actual local limit: 2) for series {LABELS}"#,
        "series_limit",
        Some("series_limit"),
    ),
    (
        400,
        true,
        "per-user native histogram series limit of 1 exceeded, please contact administrator to raise it (local limit: 1 global limit: 0 actual local limit: 1)",
        "series_limit",
        Some("series_limit"),
    ),
    (
        400,
        false,
        r#"metadata 'HELP' value too long: "VALUE" metric "NAME""#,
        "refused",
        Some("metadata"),
    ),
    (
        400,
        false,
        "metadata missing metric name",
        "refused",
        Some("metadata"),
    ),
    (
        400,
        false,
        r#"native histogram bucket count exceeded for metric (limit: 1) metric: "NAME""#,
        "refused",
        Some("native_histogram"),
    ),
    (
        400,
        false,
        r#"invalid native histogram schema 12 for metric: "NAME". supported schema from -4 to 8"#,
        "refused",
        Some("native_histogram"),
    ),
    (
        400,
        false,
        r#"invalid native histogram, validation err: 5 observations found in buckets, but the Count field is 3: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN), metric: "NAME""#,
        "refused",
        Some("native_histogram"),
    ),
    (
        400,
        false,
        r#"native histogram sample size bytes exceeded for metric (actual: 39, limit: 10) metric: "NAME""#,
        "refused",
        Some("native_histogram"),
    ),
    (
        429,
        false,
        "native histogram ingestion rate limit (1) exceeded while adding 2 native histogram samples",
        "throttled",
        None,
    ),
    (
        429,
        false,
        "ingestion rate limit (70000) exceeded while adding 500 samples and 0 metadata",
        "throttled",
        None,
    ),
    (
        400,
        false,
        r#"exemplar combined labelset exceeds 128 characters, timestamp: 1785578400000 series: {LABELS} labels: {LABELS}"#,
        "refused",
        Some("exemplar"),
    ),
    (
        400,
        false,
        r#"exemplar missing labels, timestamp: 1785578400000 series: {LABELS} labels: {}"#,
        "refused",
        Some("exemplar"),
    ),
    (
        400,
        true,
        r#"err: out of order exemplar. timestamp=2026-08-01T10:00:00Z, series={LABELS}, exemplar={LABELS}"#,
        "stored",
        None,
    ),
    (
        202,
        false,
        "replicas did not match, rejecting sample: replica=VALUE, elected=VALUE",
        "deduplicated",
        None,
    ),
    (
        400,
        false,
        "too many HA replicaGroups (limit: 1)",
        "refused",
        Some("ha_groups"),
    ),
    (
        400,
        false,
        "labelRefs 1 (name) = 1000000 (value) outside of symbols table (size 3)",
        "refused",
        Some("invalid"),
    ),
    (
        400,
        false,
        "TimeSeries must contain at least one sample or histogram for series {LABELS}",
        "refused",
        Some("invalid"),
    ),
    (
        400,
        false,
        "snappy: corrupt input",
        "refused",
        Some("invalid"),
    ),
    (
        400,
        false,
        "proto: illegal wireType 7",
        "refused",
        Some("invalid"),
    ),
    (
        415,
        false,
        "expected application/x-protobuf as the first (media) part, got application/json content-type",
        "refused_other",
        Some("refused_other"),
    ),
    (
        415,
        false,
        "zstd encoding (compression) is not accepted by this server; only snappy is acceptable",
        "refused_other",
        Some("refused_other"),
    ),
    (
        400,
        false,
        "received message larger than max (449780 vs 300000)",
        "too_large_for_amp",
        Some("too_large_for_amp"),
    ),
    (
        503,
        false,
        "too many inflight push requests in distributor",
        "amp_failing",
        None,
    ),
    (
        500,
        true,
        "cannot push: too many inflight push requests in ingester",
        "amp_failing",
        None,
    ),
    (500, false, "empty ring", "amp_failing", None),
    (499, false, "context canceled", "unexpected", None),
    (401, false, "no org id", "unauthenticated", None),
];

/// Texts of AWS, of a proxy and of the store's other errors.
const WORDS: &[&str] = &[
    "Rate exceeded",
    "The security token included in the request is expired",
    "not authorized to perform: aps:RemoteWrite",
    "AccessDeniedException",
    "out of order sample",
    "err: out of order exemplar. ",
    "per-user series limit of 5 exceeded",
    "received message larger than max (2 vs 1)",
    "code = ResourceExhausted desc = received message after decompression larger than max 1",
    "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2 vs 1)",
    "replicas did not match, rejecting sample: ",
    "TimeSeries must contain at least one sample or histogram for series ",
    "ingestion rate limit (1) exceeded",
    "<html><title>blocked</title></html>",
    "{\"message\":\"Rate exceeded\"}",
    "The Canonical String for this request should have been",
    "user=1: timestamp too old: 1",
    "metadata missing metric name",
];

fn of_store(
    row: usize,
    tenant: &str,
    name: &str,
    value: &str,
    headers: &[(&str, &str)],
) -> AmpResponse {
    let (status, by_ingester, text, ..) = STORE[row];
    let labels = format!("__name__=\"{name}\", {value}=\"{value}\"");
    let text = text
        .replace("LABELS", &labels)
        .replace("NAME", name)
        .replace("VALUE", value);
    let prefix = PREFIX.replace("111122223333_ws-1", tenant);
    let prefix = if by_ingester { prefix.as_str() } else { "" };
    reply(status, headers, &format!("{prefix}{text}"))
}

#[test]
fn store_responses_are_classified_with_and_without_a_front_door() {
    for (row, (status, _, text, outcome, lost)) in STORE.iter().enumerate() {
        // A bare Cortex sends no request id, and a proxy before it may have dropped the content type.
        for headers in [PLAIN, &PLAIN[..1], &[][..]] {
            let verdict = verdict(of_store(row, "111122223333_ws-1", "up", "v", headers));
            assert_eq!(verdict.name(), *outcome, "{status} {text} {headers:?}");
            assert_eq!(verdict.lost(), *lost, "{status} {text}");
        }
    }
}

proptest! {
    #[test]
    fn quoted_names_labels_and_tenants_change_nothing(
        row in 0..STORE.len(),
        tenant in select(WORDS),
        name in select(WORDS),
        value in select(WORDS),
    ) {
        let (_, _, text, outcome, lost) = STORE[row];
        // A tenant's name has no colon, in AMP and in Cortex.
        let tenant = tenant.replace(':', "");
        let verdict = verdict(of_store(row, &tenant, name, value, PLAIN));
        prop_assert_eq!(verdict.name(), outcome, "{}", text);
        prop_assert_eq!(verdict.lost(), lost, "{}", text);
    }
}

#[test]
fn a_refusal_for_size_can_be_split_in_every_form() {
    let shown = |status, text: &str| match reply(status, PLAIN, text).class(ARN, PATH) {
        ReplyClass::TooLarge(verdict, shown) => {
            assert_eq!(verdict.name(), "too_large_for_amp");
            Some((shown.size, shown.limit))
        }
        _ => None,
    };
    assert_eq!(shown(413, ""), Some((None, None)));
    assert_eq!(
        shown(400, "received message larger than max (449780 vs 300000)"),
        Some((Some(449_780), Some(300_000)))
    );
    let inner = "maxFailure (quorum) on a given error family, addr=10.1.2.3:9095 state=ACTIVE zone=, rpc error: code = ResourceExhausted desc = grpc: received message after decompression larger than max 100000";
    assert_eq!(shown(500, inner), Some((None, Some(100_000))));
    assert_eq!(
        shown(
            500,
            "received message after decompression larger than max 1"
        ),
        None
    );
    assert_eq!(shown(503, inner), None);
}

#[test]
fn the_text_decides_where_the_status_is_ambiguous() {
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
        (403, "", "<html>blocked by the proxy</html>", "unexpected"),
        (403, "", "blocked by the proxy", "unauthenticated"),
        (400, "", "blocked by the proxy", "unexpected"),
        (400, "", r#"{"message":"no route"}"#, "unexpected"),
        (400, "ValidationException", r#"{"message":"no"}"#, "refused"),
        (407, "", "Proxy Authentication Required", "unexpected"),
        (404, "", "404 page not found", "unexpected"),
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
        (
            400,
            "",
            r#"{"message":"user=1: per-user series limit of 5 exceeded, please contact administrator"}"#,
            "series_limit",
        ),
        (
            404,
            "",
            r#"{"Message":"Workspace not found"}"#,
            "workspace_not_found",
        ),
        (422, "ValidationException", "no", "refused_other"),
        (422, "ThrottlingException", "no", "throttled"),
        (402, "ExpiredTokenException", "no", "unauthenticated"),
        (415, "ThrottlingException", "no", "throttled"),
        (422, "", "no", "unexpected"),
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
fn a_denied_role_gets_the_missing_permission() {
    let Verdict::AccessDenied { missing, .. } = verdict(reply(
        403,
        &[("x-amzn-errortype", "AccessDeniedException")],
        "",
    )) else {
        panic!("not denied")
    };
    assert_eq!(missing, format!("the role needs aps:RemoteWrite on {ARN}"));
}

#[test]
fn a_policy_that_denies_is_named_and_no_permission_is_said_to_be_missing() {
    let said = "User: arn:u is not authorized to perform: aps:RemoteWrite on resource: arn:w with an explicit deny in a VPC endpoint policy";
    let body = format!(r#"{{"Message": "{said}"}}"#);
    let verdict = verdict(reply(403, &[], &body));
    assert_eq!(
        verdict.to_string(),
        format!("a VPC endpoint policy denies aps:RemoteWrite on {ARN}; AMP said: {said}")
    );
}

#[test]
fn a_path_that_amp_does_not_have_is_named_and_asks_for_no_new_credentials() {
    let body = r#"{"message":"Missing Authentication Token"}"#;
    let class = reply(403, &[], body).class(ARN, PATH);
    let ReplyClass::Final(verdict) = class else {
        panic!("{class:?}")
    };
    assert_eq!(
        verdict.to_string(),
        format!("AMP has nothing at the path {PATH}: Missing Authentication Token")
    );
}

#[tokio::test]
async fn only_status_text_and_written_counts_of_amp_reach_the_sender() {
    let headers = [
        ("x-prometheus-remote-write-samples-written", "17"),
        ("set-cookie", "a=b"),
        ("location", "http://evil.example/"),
        ("transfer-encoding", "chunked"),
    ];
    let SenderResponse::Respond(response) = verdict(reply(204, &headers, "")).answer() else {
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

    let SenderResponse::Respond(response) = verdict(reply(
        400,
        &[&headers[..], PLAIN].concat(),
        "err: out of order sample\r\nX-Evil: 1\u{0}",
    ))
    .answer() else {
        panic!("closed")
    };
    assert!(
        response.headers().get("location").is_none()
            && response.headers().get("set-cookie").is_none()
    );
    assert_eq!(
        response.headers()["x-prometheus-remote-write-samples-written"],
        "17"
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let remedy = crate::remedies::running::REFUSED_ORDER.remedy;
    assert_eq!(
        body,
        format!("AMP refused this batch: err: out of order sample; {remedy}\n")
    );

    let SenderResponse::Respond(response) =
        verdict(reply(400, PLAIN, &"x".repeat(70_000))).answer()
    else {
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
fn a_date_is_used_only_over_verified_tls() {
    let mut headers = HeaderMap::new();
    headers.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
    assert!(
        AmpResponse::new(StatusCode::FORBIDDEN, &headers, b"", true)
            .date
            .is_some()
    );
    assert!(
        AmpResponse::new(StatusCode::FORBIDDEN, &headers, b"", false)
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
