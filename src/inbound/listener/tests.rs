//! In paused time, over a pipe.

use super::*;
use http_body_util::Full;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const HEAD: &str = "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";

/// Responds after the seconds that the path names.
struct Sleepy;

impl Service for Sleepy {
    type Body = Full<Bytes>;

    async fn call(
        &self,
        _: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Closed> {
        let seconds = request.uri().path().trim_start_matches('/').parse();
        tokio::time::sleep(Duration::from_secs(seconds.unwrap_or_default())).await;
        Ok(Response::new(Full::from("done")))
    }
}

/// The client's end of a connection, and the task that serves the other one.
fn connected() -> (DuplexStream, JoinHandle<()>, watch::Sender<bool>) {
    connected_with(&Arc::new(Semaphore::new(2)))
}

fn connected_with(turns: &Arc<Semaphore>) -> (DuplexStream, JoinHandle<()>, watch::Sender<bool>) {
    connected_by(duplex(1 << 16), turns)
}

fn connected_by(
    (sender, side): (DuplexStream, DuplexStream),
    turns: &Arc<Semaphore>,
) -> (DuplexStream, JoinHandle<()>, watch::Sender<bool>) {
    let turns = Arc::clone(turns);
    let (stop, stopped) = watch::channel(false);
    let peer = Ipv4Addr::LOCALHOST.into();
    let served = tokio::spawn(async move {
        let served = connection(side, peer, None, Arc::new(Sleepy), turns, stopped).await;
        tracing::debug!(?served, "ended");
    });
    (sender, served, stop)
}

async fn answered(sender: &mut DuplexStream) -> String {
    let mut heard = String::new();
    while !heard.ends_with("done") {
        let mut byte = [0];
        sender.read_exact(&mut byte).await.unwrap();
        heard.push(char::from(byte[0]));
    }
    heard
}

/// How long until the connection closes without a further response.
async fn closed_after(sender: &mut DuplexStream) -> u64 {
    let started = Instant::now();
    let mut rest = Vec::new();
    sender.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    started.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_outlives_every_usual_interval() {
    let (mut sender, served, _stop) = connected();
    for pause in [0, 30, 60, 120] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        sender.write_all(HEAD.as_bytes()).await.unwrap();
        assert!(answered(&mut sender).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(closed_after(&mut sender).await, 125);
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_cut_after_30_s_the_first_and_every_later_one() {
    let (mut sender, served, _stop) = connected();
    assert_eq!(closed_after(&mut sender).await, 30, "without a byte");
    served.await.unwrap();

    for before in [0, 1, 3] {
        let (sender, served, _stop) = connected();
        let (mut reading, mut writing) = tokio::io::split(sender);
        for _ in 0..before {
            writing.write_all(HEAD.as_bytes()).await.unwrap();
            let mut heard = [0; 4096];
            assert!(reading.read(&mut heard).await.unwrap() > 0);
            tokio::time::sleep(Duration::from_secs(50)).await;
        }
        let started = Instant::now();
        let dribble = async {
            for byte in HEAD.bytes().cycle() {
                if writing.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::join!(dribble, async { served.await.unwrap() });
        let took = started.elapsed().as_secs();
        assert!((29..=31).contains(&took), "{took} s after {before}");
    }
}

/// Pipelined requests do not evade the limit.
#[tokio::test(start_paused = true)]
async fn a_head_that_was_begun_early_has_no_more_time() {
    let (mut sender, served, _stop) = connected();
    let begun = format!("{HEAD}POST /x HT");
    sender.write_all(begun.as_bytes()).await.unwrap();
    answered(&mut sender).await;
    assert_eq!(
        closed_after(&mut sender).await,
        31,
        "from when it was parked"
    );
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_as_long_as_it_does() {
    let (mut sender, served, _stop) = connected();
    let slow = HEAD.replace("/x", "/500");
    sender.write_all(slow.as_bytes()).await.unwrap();
    answered(&mut sender).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    sender.write_all(HEAD.as_bytes()).await.unwrap();
    answered(&mut sender).await;
    assert_eq!(closed_after(&mut sender).await, 125);
    served.await.unwrap();
}

/// A connection drops its buffers while it waits, and nothing that arrives then is lost.
#[tokio::test(start_paused = true)]
async fn a_parked_connection_serves_what_comes_in_whatever_pieces() {
    let (mut sender, served, _stop) = connected();
    // A head that began before it was parked, a byte before the rest, and all at once.
    for pieces in [&[1, 20][..], &[1], &[HEAD.len()], &[20], &[1, 2, 3]] {
        let mut rest = HEAD.as_bytes();
        for piece in pieces {
            let (now, later) = rest.split_at(*piece);
            sender.write_all(now).await.unwrap();
            tokio::time::sleep(Duration::from_secs(3)).await;
            rest = later;
        }
        sender.write_all(rest).await.unwrap();
        assert!(answered(&mut sender).await.starts_with("HTTP/1.1 200 "));
        tokio::time::sleep(TIMEOUTS.park + Duration::from_millis(1)).await;
    }
    let (next, begun) = (format!("{HEAD}POST"), &HEAD["POST".len()..]);
    sender.write_all(next.as_bytes()).await.unwrap();
    answered(&mut sender).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    sender.write_all(begun.as_bytes()).await.unwrap();
    answered(&mut sender).await;
    drop(sender);
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_parked_connection_closes_at_the_end_and_when_its_sender_leaves() {
    let (mut sender, served, stop) = connected();
    sender.write_all(HEAD.as_bytes()).await.unwrap();
    answered(&mut sender).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop.send(true).unwrap();
    assert_eq!(closed_after(&mut sender).await, 0);
    served.await.unwrap();

    let (mut sender, served, _stop) = connected();
    sender.write_all(HEAD.as_bytes()).await.unwrap();
    answered(&mut sender).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(sender);
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn senders_that_come_at_once_take_turns_and_wait_for_none_too_long() {
    let turns = Arc::new(Semaphore::new(1));
    for (first, waits) in [("/1", 1), ("/500", LONGEST_TURN.as_secs())] {
        let (mut slow, _slow, _stop) = connected_with(&turns);
        let (mut quick, _quick, _stop) = connected_with(&turns);
        let slow_head = HEAD.replace("/x", first);
        slow.write_all(slow_head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let started = Instant::now();
        quick.write_all(HEAD.as_bytes()).await.unwrap();
        answered(&mut quick).await;
        assert_eq!(started.elapsed().as_secs_f64().round() as u64, waits);
        // Who has its buffers waits for no turn.
        quick.write_all(HEAD.as_bytes()).await.unwrap();
        answered(&mut quick).await;
        assert_eq!(started.elapsed().as_secs_f64().round() as u64, waits);
        answered(&mut slow).await;
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_crowd_a_connection_waits_for_each_turn() {
    let turns = Arc::new(Semaphore::new(1));
    let started = Instant::now();
    let slow = HEAD.replace("/x", "/1");
    let (mut one, _one, _stop) = connected_with(&turns);
    one.write_all(slow.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (mut other, _other, _stop) = connected_with(&turns);
    other.write_all(slow.as_bytes()).await.unwrap();
    answered(&mut one).await;
    assert_eq!(started.elapsed().as_secs(), 1);
    one.write_all(HEAD.as_bytes()).await.unwrap();
    answered(&mut one).await;
    assert_eq!(started.elapsed().as_secs(), 2, "after the other one's");
}

/// hyper reads on only when the whole response is written, so no connection is parked before.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_all_of_its_response() {
    // Of one turn, so that it would be parked at once, and of two.
    for turns in [1, 2] {
        let turns = Arc::new(Semaphore::new(turns));
        let (sender, _served, _stop) = connected_by(duplex(16), &turns);
        let (mut reading, mut writing) = tokio::io::split(sender);
        writing.write_all(HEAD.as_bytes()).await.unwrap();
        let mut heard = String::new();
        while !heard.ends_with("done") {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let mut bytes = [0; 8];
            let read = reading.read(&mut bytes).await.unwrap();
            assert!(read > 0, "after {heard}");
            heard.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    }
}
