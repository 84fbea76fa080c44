use super::*;
use hyper::Request;

fn head(headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::post("/api/v1/receive");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn senders_are_recognized_by_their_headers() {
    for writes in [
        &[("content-encoding", "snappy")][..],
        &[("content-type", "application/x-protobuf")],
        &[("content-type", "Application/X-Protobuf; proto=anything")],
        &[("content-type", "application/vnd.google.protobuf")],
        &[("x-prometheus-remote-write-version", "2.0.0")],
        &[("x-victoriametrics-remote-write-version", "1")],
        &[("user-agent", "Prometheus/2.42.0")],
        &[("user-agent", "vmagent"), ("content-type", "")],
    ] {
        assert!(by_head(&head(writes)), "{writes:?}");
    }
    for other in [
        &[][..],
        &[("user-agent", "curl/8.5.0")],
        // Alerts, and remote read.
        &[
            ("user-agent", "Prometheus/2.42.0"),
            ("content-type", "application/json"),
        ],
        &[
            ("content-encoding", "snappy"),
            ("content-type", "application/x-protobuf"),
            ("x-prometheus-remote-read-version", "0.1.0"),
        ],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-encoding", "gzip")],
    ] {
        assert!(!by_head(&head(other)), "{other:?}");
    }
    let mut get = head(&[("content-encoding", "snappy")]);
    get.method = Method::GET;
    assert!(!by_head(&get));
}

#[tokio::test(start_paused = true)]
async fn remembered_senders_are_bounded_in_number_text_and_time() {
    let (senders, clock) = (MisdirectedSenders::default(), Clock::system());
    let long = "x".repeat(1000);
    let came = |path: &str, agent: &str| {
        let mut head = head(&[("user-agent", agent)]);
        head.uri = format!("/{path}").parse().unwrap();
        let peer = "127.0.0.1".parse().unwrap();
        senders.note(MisdirectedSender::of(
            &head,
            peer,
            8006,
            &Verdict::Misdirected {
                asked: String::new(),
                right: "http://127.0.0.1:8005".to_owned(),
            },
            &clock,
        ));
    };
    came("a", "Prometheus/2.42.0");
    came("b", &long);
    came("a", "Prometheus/2.42.0");
    let seen = senders.recent();
    assert_eq!((seen.len(), seen[0].count), (2, 2));
    assert_eq!(
        seen[0].to_string(),
        "a sender (Prometheus/2.42.0, 127.0.0.1) writes to port 8006 path /a; nothing of it is stored"
    );
    assert!(seen[1].agent.len() <= MAX_TEXT_LEN + 3);
    for n in 0..100 {
        came(&format!("{n}"), "");
    }
    assert_eq!(senders.recent().len(), MAX_SENDERS);
    assert!(
        senders.recent()[0]
            .to_string()
            .starts_with("a sender (127.0.0.1) ")
    );
    tokio::time::advance(RECENT).await;
    assert!(senders.recent().is_empty());
}
