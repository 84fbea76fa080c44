//! Whatever bytes AMP answers with: a sender hears 2xx only where AMP said it and every series had reached AMP, never a 4xx
//! unless AMP refused the batch for good, and nothing of what the answer carries beside its words.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use amp_sidecar::batch::inspect;
use prost::Message;
use remote_write_proto::v1;

use super::rig::{Heard, Rig};
use super::sender::{contains, statuses};

thread_local! {
    static RIG: OnceCell<Rig> = const { OnceCell::new() };
}

/// Between the answers to one request and the next.
const NEXT: &[u8] = b"\n====\n";

/// The first byte chooses the size of the batch, the rest are AMP's answers.
pub fn holds(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let answers = divided(rest);
    let series = 1 + usize::from(choice % 8);
    let sent = request(series);
    let (said, heard) = RIG.with(|rig| rig.get_or_init(Rig::new).exchange(&sent, answers.clone()));
    for request in &heard {
        request.is_what_may_leave();
    }
    let said_by_amp = statuses_in(&answers);
    let heard_by_sender = statuses(&said);
    assert_eq!(
        heard_by_sender.len(),
        1,
        "{}",
        String::from_utf8_lossy(&said)
    );
    match heard_by_sender[0] {
        status @ 200..=299 => {
            assert!(said_by_amp.contains(&status), "{status} is invented");
            assert_eq!(series_in(&heard), (0..series).collect());
        }
        413 => assert!(said_by_amp.contains(&413)),
        status @ 400..=499 => {
            let final_one = |said: &u16| {
                matches!(said, 400..=499) && !matches!(said, 401 | 403 | 404 | 405 | 408 | 409)
            };
            assert!(
                said_by_amp.iter().any(final_one),
                "{status} loses the batch after {said_by_amp:?}"
            );
        }
        500..=599 => {}
        other => panic!("a sender hears {other}"),
    }
    for secret in ["planted-secret-key", "planted-session-token"] {
        assert!(!contains(&said, secret.as_bytes()), "{secret} is shown");
    }
    // Of AMP's headers none goes on but what it says to have written.
    let end = said
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&said[..end]).to_ascii_lowercase();
    for line in head.split("\r\n").skip(1) {
        let name = line.split(':').next().unwrap();
        let known = [
            "content-length",
            "content-type",
            "date",
            "retry-after",
            "connection",
            "x-content-type-options",
        ];
        assert!(
            known.contains(&name) || name.starts_with("x-prometheus-remote-write-"),
            "{line}"
        );
    }
}

fn divided(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    while let Some(at) = rest.windows(NEXT.len()).position(|window| window == NEXT) {
        answers.push(rest[..at].to_vec());
        rest = &rest[at + NEXT.len()..];
    }
    answers.push(rest.to_vec());
    answers
}

/// Every status that any of the answers could be taken to have.
fn statuses_in(answers: &[Vec<u8>]) -> Vec<u16> {
    let mut found = Vec::new();
    for answer in answers {
        for window in answer.windows(12) {
            if let Some(status) = window.strip_prefix(b"HTTP/1.")
                && let [b'0' | b'1', b' ', digits @ ..] = status
                && let Some(status) = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|text| text.parse().ok())
            {
                found.push(status);
            }
        }
    }
    found
}

/// The numbers of the series that AMP heard of, whole or in parts.
fn series_in(heard: &[Heard]) -> BTreeSet<usize> {
    let number = |series: v1::TimeSeries| series.labels[1].value.parse().unwrap();
    heard
        .iter()
        .flat_map(|request| {
            let message = inspect::unpack(&request.body, 1 << 16).unwrap().unwrap();
            v1::WriteRequest::decode(&*message).unwrap().timeseries
        })
        .map(number)
        .collect()
}

/// A batch of so many series, sent as Prometheus does.
fn request(series: usize) -> Vec<u8> {
    let label = |name: &str, value: String| v1::Label {
        name: name.to_owned(),
        value,
    };
    let one = |n: usize| v1::TimeSeries {
        labels: vec![
            label("__name__", "up".to_owned()),
            label("n", n.to_string()),
        ],
        samples: vec![v1::Sample {
            value: 1.0,
            timestamp: 1_800_000_000_000,
        }],
        ..Default::default()
    };
    let message = v1::WriteRequest {
        timeseries: (0..series).map(one).collect(),
        ..Default::default()
    };
    let body = snap::raw::Encoder::new()
        .compress_vec(&message.encode_to_vec())
        .unwrap();
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: 127.0.0.1:8005\r\nContent-Encoding: snappy\r\n\
         Content-Type: application/x-protobuf\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}
