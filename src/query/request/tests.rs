use super::*;
use http_body_util::{Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::http::request::Builder;
use proptest::prelude::*;
use std::convert::Infallible;

async fn asked(
    api: &str,
    request: Builder,
    form: impl Into<Bytes>,
) -> Result<QueryRequest, FormError> {
    let request = request.body(Full::new(form.into())).unwrap();
    read(Api::at(api).unwrap(), request).await
}

fn status(result: Result<QueryRequest, FormError>) -> u16 {
    match result {
        Err(FormError::Unanswered(why)) => why.respond().status().as_u16(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_query_is_written_as_aws_signs_it() {
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
fn what_no_parameter_may_be_is_refused() {
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
    let long = format!("query={}", "{".repeat(LONGEST_URL_QUERY / 2));
    assert!(matches!(canonical(&long), Err(QueryError::LongUrl { .. })));
}

proptest! {
    /// A server decodes what is sent to the very parameters that a reader spelled, in their order.
    #[test]
    fn nothing_is_changed_by_the_way_it_is_written(pairs in proptest::collection::vec(("\\PC{0,12}", "\\PC{0,40}"), 0..6)) {
        let mut spelled = form_urlencoded::Serializer::new(String::new());
        spelled.extend_pairs(&pairs);
        let pairs: Vec<_> = pairs.into_iter().collect();
        prop_assume!(pairs.iter().all(|(name, _)| !name.to_lowercase().starts_with("x-amz-")));
        let written = canonical(&spelled.finish()).unwrap();
        prop_assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%=&".contains(&b)));
        let read: Vec<(String, String)> = form_urlencoded::parse(written.as_bytes()).into_owned().collect();
        prop_assert_eq!(read, pairs);
    }

    /// Whatever is sent as a query, there is an answer.
    #[test]
    fn no_query_is_too_strange(text in "\\PC*") {
        if let Ok(written) = canonical(&text) {
            prop_assert_eq!(canonical(&written).unwrap(), written);
        }
    }
}

#[tokio::test]
async fn methods_are_those_that_amp_takes() {
    for (api, method, expected) in [
        ("query", "PUT", "GET, POST"),
        ("query", "HEAD", "GET, POST"),
        ("label/job/values", "POST", "GET"),
        ("metadata", "POST", "GET"),
        ("metadata", "OPTIONS", "GET"),
    ] {
        let request = Request::builder().method(method).uri("/");
        let Err(FormError::Unanswered(why)) = asked(api, request, "").await else {
            panic!("{method} {api}");
        };
        let response = why.respond();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], expected);
    }
}

#[tokio::test]
async fn a_form_is_bounded_and_must_be_one() {
    let post = || Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    let largest = asked("query", post(), vec![b'a'; LARGEST_FORM]).await;
    assert_eq!(largest.unwrap().form.len(), LARGEST_FORM);
    let larger = asked("query", post(), vec![b'a'; LARGEST_FORM + 1]).await;
    assert_eq!(status(larger), 413);
    let charset = Request::post("/").header(
        "content-type",
        "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
    );
    assert!(asked("query", charset, "query=up").await.is_ok());
    let json = Request::post("/").header("content-type", "application/json");
    assert_eq!(status(asked("query", json, "{}").await), 415);
    let packed = post().header("content-encoding", "gzip");
    assert_eq!(status(asked("query", packed, "x").await), 415);
}

#[tokio::test]
async fn a_form_that_breaks_off_is_not_asked() {
    let chunks = [
        Ok(Frame::data(Bytes::from_static(b"query=up"))),
        Err(std::io::Error::other("reset")),
    ];
    let body = StreamBody::new(futures_util::stream::iter(chunks));
    let request = Request::post("/").body(body).unwrap();
    assert!(matches!(
        read(Api::Query, request).await,
        Err(FormError::Gone)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_form_that_does_not_come_is_given_up() {
    let never = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
    let request = Request::post("/").body(StreamBody::new(never)).unwrap();
    assert_eq!(status(read(Api::Query, request).await), 408);
}

#[tokio::test]
async fn a_compressed_answer_is_asked_for_where_the_reader_takes_one() {
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
        let asked = read(Api::Labels, request).await.unwrap();
        assert_eq!(asked.gzip, gzip, "{accepted}");
    }
}
