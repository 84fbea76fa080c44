//! Whatever AMP answers, a sender is never told to drop what it could still keep, and a 2xx is said only after AMP's.
//!
//! The judge is the contract once more, in its own words: which statuses are final, and which words make a 400 or 429 one
//! that passes.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use amp_sidecar::outcome::amp_response::{AmpResponse, ReplyClass};
use amp_sidecar::outcome::response::SenderResponse;
use amp_sidecar::outcome::verdict::Verdict;
use http_body_util::BodyExt;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, StatusCode};

use super::is_fit_to_be_shown;

const ARN: &str = "arn:aws:aps:eu-central-1:111122223333:workspace/ws-1";

/// Error types by which AWS says that credentials, a signature or a rate is at fault, and nothing about the batch.
const PASSES: &[&str] = &[
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "ThrottlingException",
    "UnrecognizedClientException",
];

/// Two bytes of status, then lines: the error type, `Retry-After`, a number of samples written, the content type; then the body.
pub fn holds(input: &[u8]) {
    let Some(([low, high], rest)) = input.split_first_chunk() else {
        return;
    };
    let status = 100 + u16::from_le_bytes([*low, *high]) % 500;
    let status = StatusCode::from_u16(status).unwrap();
    let mut lines = rest.splitn(5, |b| *b == b'\n');
    let mut headers = HeaderMap::new();
    let names = [
        HeaderName::from_static("x-amzn-errortype"),
        RETRY_AFTER,
        HeaderName::from_static("x-prometheus-remote-write-samples-written"),
        CONTENT_TYPE,
    ];
    for name in names {
        let line = lines.next().unwrap_or_default();
        if let Ok(value) = HeaderValue::from_bytes(line)
            && !line.is_empty()
        {
            headers.insert(name, value);
        }
    }
    let body = lines.next().unwrap_or_default();
    let reply = AmpResponse::new(status, &headers, body, true);
    is_fit_to_be_shown(&reply.said());
    let class = reply.class(ARN, "/path");
    if let ReplyClass::Unauthenticated(_) = class {
        assert!(matches!(status.as_u16(), 400 | 401 | 402 | 403 | 415 | 422));
    }
    let is_without_exemplars = matches!(class, ReplyClass::WithoutExemplars(_));
    let verdict = class.verdict();
    if is_without_exemplars {
        // All else is stored, though AMP's status is 400.
        assert!(status == 400 || status == 429);
        return assert!(verdict.is_stored());
    }
    judge(status, &headers, body, &verdict);
}

fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], verdict: &Verdict) {
    let SenderResponse::Respond(response) = verdict.answer() else {
        panic!("AMP's answer closes the sender's connection: {verdict}");
    };
    let heard = response.status();
    assert!(status.is_success() || !heard.is_success());
    // A web page is nobody's word that a batch is stored.
    let html = headers
        .get("content-type")
        .is_some_and(|kind| kind == "text/html");
    assert!(!html || !(heard.is_success() || heard.is_client_error()) || status == 413);
    assert!(heard.is_success() || heard.is_client_error() || heard.is_server_error());
    assert_eq!(heard.is_client_error(), verdict.lost().is_some());
    if heard.is_success() {
        assert_eq!(heard, status);
        let written = "x-prometheus-remote-write-samples-written";
        let number = |value: &&HeaderValue| {
            (0..=20).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_digit)
        };
        let said = headers.get(written).filter(number);
        assert_eq!(response.headers().get(written), said);
    }
    if heard.is_client_error() {
        assert!(may_lose(status, headers, body), "{status} became {heard}");
    }
    if status.is_server_error() || matches!(status.as_u16(), 500 | 502 | 503 | 504) {
        assert!(heard.is_server_error() || may_lose(status, headers, body));
    }
    if let Some(pause) = response.headers().get(RETRY_AFTER) {
        let pause: u64 = pause.to_str().unwrap().parse().unwrap();
        assert!((1..=5).contains(&pause) && heard.is_server_error());
    }
    let words = at_once(response.into_body().collect()).unwrap();
    let words = String::from_utf8(words.to_bytes().to_vec()).unwrap();
    is_fit_to_be_shown(words.trim_end_matches('\n'));
}

/// Whether the sender may drop the batch for this answer.
fn may_lose(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
    let said = String::from_utf8_lossy(body).to_ascii_lowercase();
    match status.as_u16() {
        400 | 402 | 415 | 422 => {
            let error_type = headers.get("x-amzn-errortype").map(HeaderValue::as_bytes);
            !PASSES
                .iter()
                .any(|name| error_type == Some(name.as_bytes()))
        }
        // The workspace is full, and waiting for room would block all others.
        429 => said.contains("limit") || said.contains("series"),
        413 => true,
        // The store says between its parts that a message is too large.
        500 => said.contains("resourceexhausted"),
        _ => false,
    }
}

/// A future that waits for nothing.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
