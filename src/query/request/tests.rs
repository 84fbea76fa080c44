use super::*;
use crate::query::error_form::ErrorForm;
use http_body_util::{Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::http::request::Builder;
use proptest::prelude::*;
use std::convert::Infallible;

async fn query_request(
    api: &str,
    request: Builder,
    form: impl Into<Bytes>,
) -> Result<QueryRequest, ReadError> {
    let request = request.body(Full::new(form.into())).unwrap();
    read(Api::at(api).unwrap(), request).await
}

fn status(result: Result<QueryRequest, ReadError>) -> u16 {
    match result {
        Err(ReadError::Query(why)) => why.respond(ErrorForm::Prometheus).status().as_u16(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_query_is_encoded_as_aws_signs_it() {
    for (spelled, canonical_form) in [
        ("", ""),
        ("&&", ""),
        ("query=a+b%20c", "query=a%20b%20c"),
        ("match[]=a&match%5B%5D=b", "match%5B%5D=a&match%5B%5D=b"),
        ("b=2&a=1", "b=2&a=1"),
        ("empty=&flag&=v", "empty=&flag=&=v"),
        ("q=%7e~%2f/%C3%a4ä'", "q=~~%2F%2F%C3%A4%C3%A4%27"),
        ("q=a=b%3Dc;d", "q=a%3Db%3Dc%3Bd"),
        ("q=100%&r=%zz", "q=100%25&r=%25zz"),
    ] {
        assert_eq!(canonical(spelled).unwrap(), canonical_form, "{spelled:?}");
    }
}

#[test]
fn invalid_parameters_are_rejected() {
    for wrong in [
        "q=%ff",
        "%fe=1",
        "X-Amz-Signature=0",
        "query=up&x%2Damz-date=1",
    ] {
        assert!(
            matches!(canonical(wrong), Err(QueryError::Parameter(_))),
            "{wrong:?}"
        );
    }
    let long = format!("query={}", "{".repeat(MAX_QUERY_BYTES / 2));
    assert!(matches!(canonical(&long), Err(QueryError::LongUrl { .. })));
}

proptest! {
    /// A server decodes the signed form to the parameters that the client sent, in their order.
    #[test]
    fn encoding_keeps_names_values_and_order(pairs in proptest::collection::vec(("\\PC{0,12}", "\\PC{0,40}"), 0..6)) {
        let mut spelled = form_urlencoded::Serializer::new(String::new());
        spelled.extend_pairs(&pairs);
        let pairs: Vec<_> = pairs.into_iter().collect();
        prop_assume!(pairs.iter().all(|(name, _)| !name.to_lowercase().starts_with("x-amz-")));
        let written = canonical(&spelled.finish()).unwrap();
        prop_assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%=&".contains(&b)));
        let read: Vec<(String, String)> = form_urlencoded::parse(written.as_bytes()).into_owned().collect();
        prop_assert_eq!(read, pairs);
    }

    #[test]
    fn any_query_text_gets_a_response(text in "\\PC*") {
        if let Ok(written) = canonical(&text) {
            prop_assert_eq!(canonical(&written).unwrap(), written);
        }
    }
}

#[tokio::test]
async fn only_amps_methods_are_accepted() {
    for (api, method, expected) in [
        ("query", "PUT", "GET, POST"),
        ("query", "HEAD", "GET, POST"),
        ("label/job/values", "POST", "GET"),
        ("metadata", "POST", "GET"),
        ("metadata", "OPTIONS", "GET"),
    ] {
        let request = Request::builder().method(method).uri("/");
        let Err(ReadError::Query(why)) = query_request(api, request, "").await else {
            panic!("{method} {api}");
        };
        let response = why.respond(ErrorForm::Prometheus);
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], expected);
    }
}

#[tokio::test]
async fn a_body_must_be_a_form_and_is_bounded() {
    let post = || Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    let largest = query_request("query", post(), vec![b'a'; MAX_FORM_BYTES]).await;
    assert_eq!(largest.unwrap().form.len(), MAX_FORM_BYTES);
    let larger = query_request("query", post(), vec![b'a'; MAX_FORM_BYTES + 1]).await;
    assert_eq!(status(larger), 413);
    let charset = Request::post("/").header(
        "content-type",
        "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
    );
    assert!(query_request("query", charset, "query=up").await.is_ok());
    let json = Request::post("/").header("content-type", "application/json");
    assert_eq!(status(query_request("query", json, "{}").await), 415);
    let packed = post().header("content-encoding", "gzip");
    assert_eq!(status(query_request("query", packed, "x").await), 415);
}

#[tokio::test]
async fn a_truncated_form_is_not_forwarded() {
    let chunks = [
        Ok(Frame::data(Bytes::from_static(b"query=up"))),
        Err(std::io::Error::other("reset")),
    ];
    let body = StreamBody::new(futures_util::stream::iter(chunks));
    let request = Request::post("/").body(body).unwrap();
    assert!(matches!(
        read(Api::Query, request).await,
        Err(ReadError::Gone)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_form_that_does_not_arrive_times_out() {
    let never = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
    let request = Request::post("/").body(StreamBody::new(never)).unwrap();
    assert_eq!(status(read(Api::Query, request).await), 408);
}

#[tokio::test]
async fn compression_is_requested_if_the_client_accepts_it() {
    for (accepted, gzip) in [
        ("gzip", true),
        ("br, GZIP ;q=0.1", true),
        ("gzip;q=0", false),
        ("gzip; q=0.0, deflate", false),
        ("identity", false),
        ("*", false),
    ] {
        let request = Request::get("/").header("accept-encoding", accepted);
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let query_request = read(Api::Labels, request).await.unwrap();
        assert_eq!(query_request.gzip, gzip, "{accepted}");
    }
}
