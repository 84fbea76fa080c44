//! Whatever bytes AMP, or another server in its place, sends: the sender gets one well-formed response of ours.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bodies;
use crate::rig::Rig;

/// Of all headers that AMP sends, or any server could, these may be in our response.
const OURS: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "transfer-encoding",
    "x-content-type-options",
    "x-prometheus-remote-write-exemplars-written",
    "x-prometheus-remote-write-histograms-written",
    "x-prometheus-remote-write-samples-written",
];
/// More than both sockets of a connection hold.
const MOST_TAKEN: u64 = 24 << 20;

const INTERIM: &str = "interim answers without end";
/// The limit for this process, of which the world takes about forty MiB.
const MOST_HELD: u64 = 256 << 20;

/// The bytes of a response, and what follows them.
#[derive(Clone)]
enum Says {
    /// The connection stays open for the next request.
    Once(Vec<u8>),
    Close(Vec<u8>),
    /// The second part again and again, for as long as the client reads.
    Endless(Vec<u8>, Vec<u8>),
}

/// A server in AMP's place that sends raw bytes.
struct Impostor {
    url: String,
    says: Arc<Mutex<Says>>,
    taken: Arc<AtomicU64>,
}

impl Impostor {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let says = Arc::new(Mutex::new(Says::Once(Vec::new())));
        let taken = Arc::new(AtomicU64::new(0));
        let (shared, counted) = (Arc::clone(&says), Arc::clone(&taken));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(converse(tcp, Arc::clone(&shared), Arc::clone(&counted)));
            }
        });
        Self {
            url: format!("http://{address}/workspaces/ws-1/api/v1/remote_write"),
            says,
            taken,
        }
    }

    /// Endless responses are not read for long. Interim responses are, each discarded as the next comes: the deadline ends that, and nothing is buffered.
    fn took_little(&self, what: &str) {
        let taken = self.taken.load(Ordering::Relaxed);
        if what == INTERIM {
            assert!(held() < MOST_HELD, "{} MiB are held", held() >> 20);
        } else {
            assert!(taken < MOST_TAKEN, "{what}: {taken} bytes were taken");
        }
    }

    fn will(&self, says: Says) {
        *self.says.lock().unwrap() = says;
        self.taken.store(0, Ordering::Relaxed);
    }
}

async fn converse(mut tcp: TcpStream, says: Arc<Mutex<Says>>, taken: Arc<AtomicU64>) {
    while asked(&mut tcp).await {
        let now = says.lock().unwrap().clone();
        let (first, again) = match &now {
            Says::Once(bytes) | Says::Close(bytes) => (bytes, None),
            Says::Endless(bytes, again) => (bytes, Some(again)),
        };
        let mut more = tcp.write_all(first).await.is_ok();
        while let (true, Some(again)) = (more, again) {
            more = tcp.write_all(again).await.is_ok();
            taken.fetch_add(again.len() as u64, Ordering::Relaxed);
        }
        if !matches!(now, Says::Once(_)) {
            return;
        }
    }
}

/// The peak memory of this process, in bytes.
fn held() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB").parse::<u64>();
    kib.unwrap() << 10
}

/// Reads a whole request.
async fn asked(tcp: &mut TcpStream) -> bool {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match tcp.read(&mut piece).await {
            Ok(0) | Err(_) => return false,
            Ok(len) => request.extend_from_slice(&piece[..len]),
        }
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1).unwrap_or("0");
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        let end = request.windows(4).position(|four| four == b"\r\n\r\n");
        if request.len() >= end.unwrap() + 4 + length {
            return true;
        }
    }
}

/// Whether a response is strictly valid, or the error in it.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap();
        let header = |line: &str| {
            assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            let (name, value) = line.split_once(": ").expect("a colon");
            assert!(OURS.contains(&name), "{name} is none of ours");
            (name.to_owned(), value.to_owned())
        };
        let headers: Vec<_> = lines.map(header).collect();
        let answer = Self {
            status: status.split(' ').next().unwrap().parse().unwrap(),
            body: body.to_owned(),
            headers,
        };
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert_eq!(length, body.len(), "{text:?}");
        answer
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|header| header.0 == name);
        let value = values.next().map(|header| header.1.as_str());
        assert!(values.next().is_none(), "{name} twice");
        value
    }
}

/// All bytes until the connection closes, after one request.
async fn exchange(rig: &Rig, head: &str, body: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(&rig.host).await.unwrap();
    let head = format!(
        "{head}host: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body].concat();
    tcp.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    let whole = tcp.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), whole)
        .await
        .unwrap()
        .unwrap();
    answer
}

async fn written(rig: &Rig) -> Answer {
    const HEAD: &str = "POST /api/v1/write HTTP/1.1\r\ncontent-type: application/x-protobuf\r\ncontent-encoding: snappy\r\n";
    Answer::parse(&exchange(rig, HEAD, &bodies::v1("up", 1).body).await)
}

async fn start() -> (Impostor, Rig) {
    let impostor = Impostor::start().await;
    let settings = [
        ("remote-write-url", impostor.url.as_str()),
        ("workspace-id", "ws-1"),
        ("upstream-timeout", "2s"),
        ("query-timeout", "2s"),
        ("allow-query", "true"),
    ];
    let rig = Rig::start_in(Default::default(), &settings).await;
    rig.until_ready().await;
    (impostor, rig)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n";

/// AMP's bytes, and the sender's response: success only if AMP's was strictly valid.
fn answers() -> Vec<(&'static str, Says, u16)> {
    let once = |text: &str| Says::Once(text.as_bytes().to_vec());
    let close = |text: &str| Says::Close(text.as_bytes().to_vec());
    let lasting = |head: &str, body: &str| {
        once(&format!(
            "{head}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let ok = |lines: &str| once(&format!("{OK}{lines}\r\n"));
    let written = "X-Prometheus-Remote-Write-Samples-Written:";
    let many: String = (0..5000).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(1 << 20));
    let endless = |start: &str, again: &str| {
        Says::Endless(start.as_bytes().to_vec(), again.repeat(4096).into_bytes())
    };
    vec![
        ("a success", ok(""), 200),
        (
            "foreign headers",
            ok(
                "set-cookie: a=b\r\nlocation: http://x\r\nserver: x\r\naccess-control-allow-origin: *\r\n",
            ),
            200,
        ),
        (
            "LF in a value",
            ok(&format!("{written} 1\nset-cookie: a=b\r\n")),
            200,
        ),
        (
            "CR in a value",
            ok(&format!("{written} 1\rset-cookie: a=b\r\n")),
            503,
        ),
        ("NUL in a value", ok(&format!("{written} 1\0\r\n")), 503),
        (
            "no number in a value",
            ok(&format!("{written} 1 <b>\r\n")),
            200,
        ),
        (
            "the same value twice",
            ok(&format!("{written} 1\r\n{written} 2\r\n")),
            200,
        ),
        ("a folded value", ok("x: y\r\n z: w\r\n"), 503),
        ("no colon", ok("nothing\r\n"), 503),
        (
            "two lengths",
            once("HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 9\r\n\r\n"),
            503,
        ),
        (
            "a length below nought",
            once("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
            503,
        ),
        (
            "an endless length",
            once("HTTP/1.1 400 No\r\ncontent-length: 18446744073709551616\r\n\r\n"),
            503,
        ),
        (
            "chunks and a length",
            once(
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            200,
        ),
        (
            "a chunk that is none",
            once("HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n"),
            503,
        ),
        (
            "another encoding",
            close("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nx"),
            200,
        ),
        ("no length", close("HTTP/1.1 200 OK\r\n\r\nanything"), 200),
        ("HTTP/1.0", close("HTTP/1.0 200 OK\r\n\r\n"), 200),
        ("HTTP/0.9", close("hello\r\n"), 503),
        ("HTTP/2.0", close("HTTP/2.0 200 OK\r\n\r\n"), 503),
        ("HTTP/1.2", close("HTTP/1.2 200 OK\r\n\r\n"), 503),
        ("no status", close("HTTP/1.1 \r\n\r\n"), 503),
        ("a short status", close("HTTP/1.1 20 OK\r\n\r\n"), 503),
        ("a long status", close("HTTP/1.1 2000 OK\r\n\r\n"), 503),
        (
            "a status of 999",
            close("HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n"),
            503,
        ),
        (
            "a status of 000",
            close("HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n"),
            503,
        ),
        (
            "switching protocols",
            once("HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx"),
            503,
        ),
        ("half a head", close("HTTP/1.1 200 OK\r\ncontent-le"), 503),
        ("nothing", close(""), 503),
        (
            "a success after one before it",
            once(&format!(
                "HTTP/1.1 103 Early\r\nset-cookie: a=b\r\n\r\n{OK}\r\n"
            )),
            200,
        ),
        (
            "a page",
            lasting(
                "HTTP/1.1 400 No\r\ncontent-type: text/html",
                "<script>alert(1)</script>\r\n\x1b[31m\0\x08\r\nx",
            ),
            503,
        ),
        (
            "an answer in a body",
            lasting(
                "HTTP/1.1 422 No",
                "no\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            ),
            503,
        ),
        (
            "an absurd pause",
            once(
                "HTTP/1.1 429 No\r\nretry-after: 99999999999999999999\r\ncontent-length: 0\r\n\r\n",
            ),
            503,
        ),
        (
            "a pause with more",
            once("HTTP/1.1 503 No\r\nretry-after: 1\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"),
            503,
        ),
        ("a large header", ok(&large), 503),
        ("many headers", ok(&many), 503),
        (
            "an endless reason",
            endless("HTTP/1.1 200 ", "very fine "),
            503,
        ),
        (
            "an endless header",
            endless("HTTP/1.1 200 OK\r\nx: ", "very fine "),
            503,
        ),
        (
            "headers without end",
            endless("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
            503,
        ),
        (INTERIM, endless("", "HTTP/1.1 100 Continue\r\n\r\n"), 503),
        (
            "a body without end",
            endless("HTTP/1.1 400 No\r\n\r\n", "very fine "),
            503,
        ),
        (
            "a success without end",
            endless("HTTP/1.1 200 OK\r\n\r\n", "very fine "),
            503,
        ),
        (
            "chunks without end",
            endless(
                "HTTP/1.1 422 No\r\ntransfer-encoding: chunked\r\n\r\n",
                "1;x=y\r\nz\r\n",
            ),
            503,
        ),
        (
            "an extension without end",
            endless(
                "HTTP/1.1 422 No\r\ntransfer-encoding: chunked\r\n\r\n1;",
                "very fine ",
            ),
            503,
        ),
        (
            "trailers without end",
            endless(
                "HTTP/1.1 422 No\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
                "x: y\r\n",
            ),
            503,
        ),
        ("garbage without end", endless("", "\0"), 503),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_hears_one_answer_of_ours() {
    let (impostor, rig) = start().await;
    for (what, says, status) in answers() {
        impostor.will(says);
        let answer = written(&rig).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        let line = answer.body.trim_end_matches('\n');
        assert!(line.len() < 1200, "{what}: {} bytes", line.len());
        assert!(!line.contains(char::is_control), "{what}: {line:?}");
        if !answer.body.is_empty() {
            assert_eq!(
                answer.header("content-type"),
                Some("text/plain; charset=utf-8")
            );
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        let counted = answer.header("x-prometheus-remote-write-samples-written");
        let digits = |value: &str| value.bytes().all(|b| b.is_ascii_digit());
        assert!(counted.is_none_or(digits), "{what}: {counted:?}");
        impostor.took_little(what);
    }
}

/// A response that comes before its request belongs to none: the next batch on the connection must not get it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_many_is_not_the_next_ones() {
    let (impostor, rig) = start().await;
    let two = format!("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n{OK}\r\n");
    for round in 0..50 {
        impostor.will(Says::Once(two.clone().into_bytes()));
        assert_eq!(written(&rig).await.status, 503, "{round}");
        impostor.will(Says::Once(
            b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ));
        assert_eq!(written(&rig).await.status, 500, "{round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_hears_one_answer_of_ours() {
    let (impostor, rig) = start().await;
    for (what, says, _) in answers() {
        impostor.will(says);
        let head = "GET /api/v1/query?query=up HTTP/1.1\r\n";
        let answer = Answer::parse(&exchange(&rig, head, b"").await);
        assert!(answer.status >= 400, "{what}: {}", answer.status);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let error: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(error["status"], "error", "{what}");
        impostor.took_little(what);
    }
}
