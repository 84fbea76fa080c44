//! The TCP fault proxy against raw sockets: what each fault looks like to a peer and to the service behind.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy.toml exempts only functions that are marked as tests"
)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use emulator::tcp::{Cut, Direction, Observer, Only, TcpFault, TcpFaultKind, TcpFaults};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(5);
/// Long enough for anything that is to come to have come.
const A_WHILE: Duration = Duration::from_millis(150);

/// How a connection ended at the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Served {
    received: Vec<u8>,
    ended: Option<Result<(), ErrorKind>>,
}

/// A service that echoes, and remembers every connection.
struct Echo {
    address: SocketAddr,
    served: Arc<Mutex<Vec<Served>>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served: Arc<Mutex<Vec<Served>>> = Arc::default();
        let all = Arc::clone(&served);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut all = all.lock().unwrap();
                    all.push(Served::default());
                    all.len() - 1
                };
                tokio::spawn(echo(stream, Arc::clone(&all), number));
            }
        });
        Self { address, served }
    }

    fn served(&self, number: usize) -> Served {
        self.served.lock().unwrap()[number].clone()
    }

    async fn ended(&self, number: usize) -> Result<(), ErrorKind> {
        timeout(SOON, async {
            loop {
                if let Some(ended) = self.served(number).ended {
                    return ended;
                }
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the service's connection ends")
    }
}

async fn echo(mut stream: TcpStream, all: Arc<Mutex<Vec<Served>>>, number: usize) {
    let mut chunk = vec![0; 65_536];
    let ended = loop {
        match stream.read(&mut chunk).await {
            Ok(0) => break Ok(()),
            Ok(length) => {
                all.lock().unwrap()[number]
                    .received
                    .extend_from_slice(&chunk[..length]);
                if let Err(error) = stream.write_all(&chunk[..length]).await {
                    break Err(error.kind());
                }
            }
            Err(error) => break Err(error.kind()),
        }
    };
    all.lock().unwrap()[number].ended = Some(ended);
}

async fn start() -> (Echo, TcpFaults) {
    let echo = Echo::start().await;
    let proxy = TcpFaults::start(echo.address).unwrap();
    (echo, proxy)
}

async fn connect(proxy: &TcpFaults) -> TcpStream {
    timeout(SOON, TcpStream::connect(proxy.address()))
        .await
        .expect("in time")
        .expect("connected")
}

/// Sends and reads it back.
async fn exchange(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    timeout(SOON, stream.read_exact(&mut back))
        .await
        .expect("in time")
        .unwrap();
    assert_eq!(back, text);
}

/// How a connection ends: nothing more, or the error.
async fn end(stream: &mut TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut rest = Vec::new();
    let ended = timeout(SOON, stream.read_to_end(&mut rest))
        .await
        .expect("it ends");
    (rest, ended.map(drop).map_err(|error| error.kind()))
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(A_WHILE, stream.read_u8()).await.is_err()
}

/// Until `what` holds, which it soon does.
async fn eventually(what: impl Fn() -> bool) {
    timeout(SOON, async {
        while !what() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it becomes so");
}

#[tokio::test]
async fn without_faults_bytes_and_either_end_pass_unchanged() {
    let (echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut from, mut to) = stream.split();
    let mut back = vec![0; large.len()];
    let (sent, received) = tokio::join!(to.write_all(&large), from.read_exact(&mut back));
    sent.unwrap();
    received.unwrap();
    assert_eq!(back, large);
    stream.shutdown().await.unwrap();
    assert_eq!(end(&mut stream).await, (vec![], Ok(())));
    assert_eq!(echo.ended(0).await, Ok(()));
    assert_eq!(echo.served(0).received, large);
    eventually(|| !proxy.connections()[0].open).await;
    let connection = proxy.connections()[0];
    assert_eq!(
        (connection.request_bytes, connection.answer_bytes),
        (1_000_000, 1_000_000)
    );
}

#[tokio::test]
async fn the_end_of_one_side_leaves_the_other_open() {
    // A service that answers only once its peer is done.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = TcpFaults::start(listener.local_addr().unwrap()).unwrap();
    let service = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(b"late answer").await.unwrap();
        all
    });
    let mut stream = connect(&proxy).await;
    stream.write_all(b"request").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(end(&mut stream).await, (b"late answer".to_vec(), Ok(())));
    assert_eq!(service.await.unwrap(), b"request");
}

#[tokio::test]
async fn a_service_that_is_down_resets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let proxy = TcpFaults::start(nobody).unwrap();
    let mut stream = connect(&proxy).await;
    assert_eq!(end(&mut stream).await.1, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn existing_and_new_connections_are_reset_separately() {
    let (echo, proxy) = start().await;
    let mut old = connect(&proxy).await;
    exchange(&mut old, b"before").await;

    proxy.set([TcpFault::new(TcpFaultKind::End(Cut::Reset)).only(Only::New)]);
    let mut new = connect(&proxy).await;
    assert_eq!(end(&mut new).await.1, Err(ErrorKind::ConnectionReset));
    exchange(&mut old, b"still there").await;

    proxy.set([TcpFault::new(TcpFaultKind::End(Cut::Reset)).only(Only::Standing)]);
    assert_eq!(end(&mut old).await.1, Err(ErrorKind::ConnectionReset));
    assert_eq!(echo.ended(0).await, Err(ErrorKind::ConnectionReset));
    exchange(&mut connect(&proxy).await, b"new ones go on").await;
    assert_eq!(proxy.hits(), [1]);
}

#[tokio::test]
async fn an_orderly_end_is_no_reset() {
    let (echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, b"before").await;
    proxy.set([TcpFault::new(TcpFaultKind::End(Cut::Close))]);
    assert_eq!(end(&mut stream).await, (vec![], Ok(())));
    assert_eq!(echo.ended(0).await, Ok(()));
}

#[tokio::test]
async fn nobody_listens_and_then_somebody_does_again() {
    let (_echo, proxy) = start().await;
    let mut old = connect(&proxy).await;
    exchange(&mut old, b"before").await;
    let refused = Duration::from_millis(400);
    proxy.set([TcpFault::new(TcpFaultKind::Refuse).lasting(refused)]);
    sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    let mut refusals = 0;
    let mut stream = loop {
        match TcpStream::connect(proxy.address()).await {
            Ok(stream) => break stream,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                refusals += 1;
            }
        }
        assert!(began.elapsed() < SOON, "it never listens again");
        sleep(Duration::from_millis(10)).await;
    };
    assert!(refusals > 5, "{refusals}");
    exchange(&mut stream, b"after").await;
    exchange(&mut old, b"standing ones were left alone").await;
}

#[tokio::test]
async fn a_syn_is_dropped_and_sent_again() {
    let (_echo, proxy) = start().await;
    proxy.set([TcpFault::new(TcpFaultKind::Unanswered)]);
    sleep(Duration::from_millis(200)).await;
    let knock = TcpStream::connect(proxy.address());
    let mut knock = std::pin::pin!(knock);
    assert!(
        timeout(Duration::from_millis(500), &mut knock)
            .await
            .is_err()
    );
    proxy.clear();
    // The kernel's second and third SYN follow after one and three seconds.
    let mut stream = timeout(SOON, knock)
        .await
        .expect("answered")
        .expect("connected");
    exchange(&mut stream, b"after").await;
}

#[tokio::test]
async fn one_direction_ends_and_the_other_goes_on() {
    let (echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, b"before").await;
    proxy.set([TcpFault::new(TcpFaultKind::HalfClose(Direction::Answer))]);
    assert_eq!(end(&mut stream).await, (vec![], Ok(())));
    stream.write_all(b", and after").await.unwrap();
    eventually(|| echo.served(0).received == b"before, and after").await;
    assert_eq!(echo.served(0).ended, None);

    let (echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, b"before").await;
    proxy.set([TcpFault::new(TcpFaultKind::HalfClose(Direction::Request))]);
    // The service sees its peer done, is done too, and that passes.
    assert_eq!(end(&mut stream).await, (vec![], Ok(())));
    assert_eq!(echo.ended(0).await, Ok(()));
}

#[tokio::test]
async fn a_frozen_connection_stands_and_goes_on_when_it_thaws() {
    let (echo, proxy) = start().await;
    let mut old = connect(&proxy).await;
    exchange(&mut old, b"before").await;
    proxy.set([TcpFault::new(TcpFaultKind::Freeze)]);
    old.write_all(b"unread").await.unwrap();
    let mut new = connect(&proxy).await;
    new.write_all(b"unread").await.unwrap();
    assert!(is_silent(&mut old).await && is_silent(&mut new).await);
    assert_eq!(echo.served(0).received, b"before");
    assert_eq!(
        echo.served.lock().unwrap().len(),
        1,
        "the newcomer has not reached the service"
    );
    proxy.clear();
    for stream in [&mut old, &mut new] {
        let mut back = [0; 6];
        timeout(SOON, stream.read_exact(&mut back))
            .await
            .expect("in time")
            .unwrap();
        assert_eq!(&back, b"unread");
    }
}

#[tokio::test]
async fn a_black_hole_takes_everything_and_gives_nothing() {
    let (echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, b"before").await;
    proxy.set([TcpFault::new(TcpFaultKind::Swallow)]);
    // More than any kernel buffers: it is read, or this would not end.
    timeout(SOON, stream.write_all(&vec![7; 32 << 20]))
        .await
        .expect("taken")
        .unwrap();
    assert!(is_silent(&mut stream).await);
    assert_eq!(echo.served(0).received, b"before");
}

#[tokio::test]
async fn bytes_drip_in_both_directions() {
    let (_echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    let every = Duration::from_millis(20);
    proxy.set([TcpFault::new(TcpFaultKind::Drip { bytes: 10, every })]);
    let began = Instant::now();
    exchange(&mut stream, &[1; 200]).await;
    assert!(began.elapsed() >= every * 19, "{:?}", began.elapsed());
    proxy.clear();
    let began = Instant::now();
    exchange(&mut stream, &[1; 200]).await;
    assert!(began.elapsed() < every * 10, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_delay_is_met_on_the_way_there_and_on_the_way_back() {
    let (_echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    let delay = Duration::from_millis(80);
    proxy.set([TcpFault::new(TcpFaultKind::Delay(delay))]);
    let began = Instant::now();
    exchange(&mut stream, b"there and back").await;
    assert!(began.elapsed() >= 2 * delay, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_request_is_cut_after_exactly_so_many_bytes() {
    let (echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, b"before").await;
    let cut = TcpFaultKind::CutAfter {
        direction: Direction::Request,
        bytes: 7,
        how: Cut::Close,
    };
    proxy.set([TcpFault::new(cut)]);
    exchange(&mut stream, b"1234").await;
    assert!(
        is_silent(&mut stream).await,
        "four bytes are not more than seven"
    );
    stream.write_all(b"56789").await.unwrap();
    let (_, ended) = end(&mut stream).await;
    // Its last two bytes were never read, so the kernel resets even an orderly end.
    assert!(
        matches!(ended, Ok(()) | Err(ErrorKind::ConnectionReset)),
        "{ended:?}"
    );
    echo.ended(0).await.ok();
    assert_eq!(echo.served(0).received, b"before1234567");
}

#[tokio::test]
async fn an_answer_is_cut_after_exactly_so_many_bytes() {
    let (echo, proxy) = start().await;
    proxy.set([TcpFault::new(TcpFaultKind::CutAfter {
        direction: Direction::Answer,
        bytes: 4,
        how: Cut::Close,
    })]);
    let mut stream = connect(&proxy).await;
    stream.write_all(b"123456").await.unwrap();
    assert_eq!(end(&mut stream).await.0, b"1234");
    assert_eq!(echo.served(0).received, b"123456");
}

#[tokio::test]
async fn a_kept_connection_ends_as_the_next_request_leaves() {
    let (echo, proxy) = start().await;
    let mut kept = connect(&proxy).await;
    exchange(&mut kept, b"first").await;
    let cut = TcpFaultKind::CutAfter {
        direction: Direction::Request,
        bytes: 0,
        how: Cut::Reset,
    };
    proxy.set([TcpFault::new(cut).only(Only::Standing).times(1)]);
    assert!(
        is_silent(&mut kept).await,
        "nothing happens before the request"
    );
    assert_eq!(proxy.hits(), [0]);
    kept.write_all(b"second").await.unwrap();
    assert_eq!(
        end(&mut kept).await,
        (vec![], Err(ErrorKind::ConnectionReset))
    );
    assert_eq!(echo.ended(0).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(
        echo.served(0).received,
        b"first",
        "no byte of it reached the service"
    );
    exchange(&mut connect(&proxy).await, b"second").await;
    assert_eq!(proxy.hits(), [1]);
}

#[tokio::test]
async fn a_served_request_whose_answer_never_begins() {
    let (echo, proxy) = start().await;
    let mut kept = connect(&proxy).await;
    exchange(&mut kept, b"first").await;
    let cut = TcpFaultKind::CutAfter {
        direction: Direction::Answer,
        bytes: 0,
        how: Cut::Reset,
    };
    proxy.set([TcpFault::new(cut)]);
    kept.write_all(b"second").await.unwrap();
    assert_eq!(
        end(&mut kept).await,
        (vec![], Err(ErrorKind::ConnectionReset))
    );
    assert_eq!(echo.served(0).received, b"firstsecond");
}

#[tokio::test]
async fn a_script_is_a_timeline_and_names_connections_by_number() {
    let (_echo, proxy) = start().await;
    let end_it = TcpFault::new(TcpFaultKind::End(Cut::Reset));
    proxy.set([end_it.clone().on(1..2)]);
    let mut zero = connect(&proxy).await;
    exchange(&mut zero, b"0").await;
    let mut one = connect(&proxy).await;
    assert_eq!(end(&mut one).await.1, Err(ErrorKind::ConnectionReset));
    let mut two = connect(&proxy).await;
    exchange(&mut two, b"2").await;

    let (wait, last) = (Duration::from_millis(200), Duration::from_millis(200));
    let began = Instant::now();
    proxy.set([
        TcpFault::new(TcpFaultKind::Freeze)
            .after(wait)
            .lasting(last),
        end_it.after(wait + last).on(2..3),
    ]);
    exchange(&mut zero, b"not yet").await;
    sleep(wait.saturating_sub(began.elapsed()) + Duration::from_millis(20)).await;
    zero.write_all(b"frozen").await.unwrap();
    let mut back = [0; 6];
    zero.read_exact(&mut back).await.unwrap();
    assert!(began.elapsed() >= wait + last, "{:?}", began.elapsed());
    assert_eq!(end(&mut two).await.1, Err(ErrorKind::ConnectionReset));
    exchange(&mut zero, b"thawed").await;
}

#[tokio::test]
async fn dropping_the_proxy_ends_everything() {
    let (echo, proxy) = start().await;
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, b"before").await;
    let address = proxy.address();
    drop(proxy);
    end(&mut stream).await.1.ok();
    echo.ended(0).await.ok();
    let refused = TcpStream::connect(address)
        .await
        .map(drop)
        .map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
}

/// Writes down what passes.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<Note>>);

/// A connection, and either what passed or, without a direction, its end.
type Note = (u64, Option<Direction>, Vec<u8>);

impl Observer for Notes {
    fn passes(&self, connection: u64, direction: Direction, bytes: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .push((connection, Some(direction), bytes.to_vec()));
    }

    fn unreached(&self, connection: u64) {
        let note = (connection, None, b"unreached".to_vec());
        self.0.lock().unwrap().push(note);
    }

    fn ended(&self, connection: u64) {
        self.0.lock().unwrap().push((connection, None, Vec::new()));
    }
}

#[tokio::test]
async fn an_observer_sees_both_directions_and_the_end() {
    let echo = Echo::start().await;
    let notes = Arc::new(Notes::default());
    let proxy = TcpFaults::observed(echo.address, Some(notes.clone())).unwrap();
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, b"hello").await;
    drop(stream);
    let expected = [
        (0, Some(Direction::Request), b"hello".to_vec()),
        (0, Some(Direction::Answer), b"hello".to_vec()),
        (0, None, vec![]),
    ];
    eventually(|| *notes.0.lock().unwrap() == expected).await;
}

#[tokio::test]
async fn an_observer_sees_a_service_that_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let notes = Arc::new(Notes::default());
    let proxy = TcpFaults::observed(nobody, Some(notes.clone())).unwrap();
    end(&mut connect(&proxy).await).await.1.unwrap_err();
    let expected = [(0, None, b"unreached".to_vec()), (0, None, vec![])];
    eventually(|| *notes.0.lock().unwrap() == expected).await;
}
