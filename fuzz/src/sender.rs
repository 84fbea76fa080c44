//! Whatever bytes a sender's connection carries: nothing reaches AMP but signed batches and queries for the workspace, each
//! whole and as it came, and a sender gets 2xx no more often than AMP said it.

use std::cell::OnceCell;

use super::rig::Rig;

thread_local! {
    static RIG: OnceCell<Rig> = const { OnceCell::new() };
}

/// The input is what the connection carries until the sender shuts it down.
pub fn holds(input: &[u8]) {
    let (said, heard) = RIG.with(|rig| rig.get_or_init(Rig::new).exchange(input, Vec::new()));
    for request in &heard {
        request.is_what_may_leave();
        if request.line.contains("/remote_write ") {
            let chunked = input
                .to_ascii_lowercase()
                .windows(7)
                .any(|seven| seven == b"chunked");
            assert!(chunked || contains(input, &request.body), "not as it came");
        }
    }
    let mut stored = 0;
    for status in statuses(&said) {
        match status {
            200..=299 => stored += 1,
            100 | 400 | 403 | 404 | 405 | 413 | 414 | 415 | 431 | 500..=504 => {}
            other => panic!("a sender gets {other}"),
        }
    }
    assert!(
        stored <= heard.len(),
        "{stored} times 2xx, AMP heard {}",
        heard.len()
    );
    for secret in ["planted-secret-key", "planted-session-token"] {
        assert!(!contains(&said, secret.as_bytes()), "{secret} is shown");
    }
}

pub fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

/// The status of every answer on a connection; hyper frames them all with a Content-Length or in chunks.
pub fn statuses(mut said: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !said.is_empty() {
        let end = said
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap()
            + 4;
        let head = std::str::from_utf8(&said[..end]).unwrap();
        assert!(
            head.starts_with("HTTP/1.") && head.as_bytes()[8] == b' ',
            "{head:?}"
        );
        statuses.push(head[9..12].parse().unwrap());
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length: usize = length.map_or(0, |rest| {
            rest.split("\r\n").next().unwrap().parse().unwrap()
        });
        said = &said[end..];
        // Behind the head of an answer to HEAD there is no body, whatever it says.
        if !said.starts_with(b"HTTP/1.") {
            said = &said[length.min(said.len())..];
        }
    }
    statuses
}
