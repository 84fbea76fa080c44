//! Whatever bytes AMP answers with: a sender gets 2xx only if AMP said it of every series, never a 4xx unless AMP refused the
//! batch for good, and nothing of what the answer carries beside its words. A retried batch continues where it stopped:
//! what AMP has taken is not sent again, and nothing is suspected before a minute has passed, however often it is refused.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;

use amp_sidecar::remote_write::inspect;
use prost::Message;
use remote_write_proto::v1;

use super::rig::{Exchanged, Rig, STORED};
use super::sender::{contains, statuses};

thread_local! {
    /// Left alone when the thread ends, since what it would be dropped by may be gone before.
    static RIG: ManuallyDrop<RefCell<Option<Rig>>> = const { ManuallyDrop::new(RefCell::new(None)) };
    /// Each input has a batch of its own, since the program remembers those of the inputs before.
    static INPUTS: Cell<i64> = const { Cell::new(0) };
}

/// Between the answers to one request and the next.
const NEXT: &[u8] = b"\n====\n";

/// The first byte chooses the size of the batch and how often it comes, the rest are AMP's answers.
pub fn holds(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let answers = divided(rest);
    let series = 1 + usize::from(choice % 8);
    let tries = 1 + usize::from(choice / 8 % 3);
    let number = INPUTS.with(|inputs| inputs.replace(inputs.get() + 1));
    let sent = request(series, number);
    RIG.with(|rig| {
        let mut rig = rig.borrow_mut();
        let mut sequence = Sequence::default();
        for _ in 0..tries {
            // The sender's next try meets the next answers.
            let left = answers.get(sequence.requests..).unwrap_or_default();
            let left = if left.is_empty() {
                answers.last().cloned().into_iter().collect()
            } else {
                left.to_vec()
            };
            let rig = rig.get_or_insert_with(Rig::new);
            let (said, heard) = rig.exchange(&sent, left.clone());
            if !sequence.is_retried(&said, &heard, &left, series) {
                break;
            }
        }
        // A limit that is shown counts for an hour, and would for the next input too.
        let shows_a_limit =
            |answer: &Vec<u8>| contains(answer, b"413") || contains(answer, b"larger than max");
        if answers.iter().any(shows_a_limit) {
            *rig = None;
        }
    });
}

/// The tries of one batch.
#[derive(Default)]
struct Sequence {
    requests: usize,
    said_by_amp: Vec<u16>,
    /// What AMP may have taken, by series.
    reached: BTreeSet<usize>,
    /// What it has certainly taken.
    taken: BTreeSet<usize>,
}

// === impl Sequence ===

impl Sequence {
    /// One more try; whether the sender has to send the batch again.
    fn is_retried(
        &mut self,
        said: &[u8],
        heard: &[Exchanged],
        answers: &[Vec<u8>],
        series: usize,
    ) -> bool {
        self.requests += heard.len();
        let taken_before = self.taken.clone();
        for (n, request) in heard.iter().enumerate() {
            request.is_what_may_leave();
            let answer = answers
                .get(n)
                .or(answers.last())
                .map_or(STORED, Vec::as_slice);
            let numbers = series_in(request);
            assert!(!numbers.is_empty(), "a canary within the first minute");
            assert!(
                numbers.is_disjoint(&taken_before),
                "what AMP has taken is sent again"
            );
            let mut statuses = statuses_in(answer);
            // All but those is stored.
            if contains(answer, b"out of order exemplar") {
                statuses.push(200);
            }
            if statuses.iter().any(|status| (200..300).contains(status)) {
                self.reached.extend(&numbers);
            }
            if answer == STORED {
                self.taken.extend(&numbers);
            }
            self.said_by_amp.extend(statuses);
        }
        self.judge(said, series)
    }

    fn judge(&self, said: &[u8], series: usize) -> bool {
        let heard_by_sender = statuses(said);
        assert_eq!(
            heard_by_sender.len(),
            1,
            "{}",
            String::from_utf8_lossy(said)
        );
        assert!(
            !contains(said, b"is refused every time"),
            "poison within the first minute"
        );
        let said_by_amp = &self.said_by_amp;
        shows_nothing_else(said);
        match heard_by_sender[0] {
            status @ 200..=299 => {
                assert!(said_by_amp.contains(&status), "{status} is invented");
                assert_eq!(self.reached, (0..series).collect());
                false
            }
            413 => {
                // The store's own words for the same are of 400 or 500.
                assert!(
                    [413, 400, 500]
                        .iter()
                        .any(|status| said_by_amp.contains(status))
                );
                false
            }
            status @ 400..=499 => {
                let final_one = |said: &u16| matches!(said, 400 | 402 | 415 | 422 | 429);
                assert!(
                    said_by_amp.iter().any(final_one),
                    "{status} loses the batch after {said_by_amp:?}"
                );
                false
            }
            500..=599 => true,
            other => panic!("a sender gets {other}"),
        }
    }
}

/// Of AMP's headers none goes on but what it says to have written, and no secret at all.
fn shows_nothing_else(said: &[u8]) {
    for secret in ["planted-secret-key", "planted-session-token"] {
        assert!(!contains(said, secret.as_bytes()), "{secret} is shown");
    }
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

/// Every status that an answer could be taken to have.
fn statuses_in(answer: &[u8]) -> Vec<u16> {
    let mut found = Vec::new();
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
    found
}

/// The numbers of the series in what reached AMP: a batch or a part of one.
fn series_in(request: &Exchanged) -> BTreeSet<usize> {
    let number = |series: v1::TimeSeries| series.labels[1].value.parse().unwrap();
    let message = inspect::unpack(&request.body, 1 << 16)
        .unwrap()
        .unwrap_or_default();
    let message = v1::WriteRequest::decode(&*message).unwrap();
    message.timeseries.into_iter().map(number).collect()
}

/// A batch of so many series, sent as Prometheus does.
fn request(series: usize, number: i64) -> Vec<u8> {
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
            timestamp: 1_800_000_000_000 + number,
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
