//! Whatever a request contains, only the configured URLs are signed, and none of its headers are forwarded: checked on the emulator's side, with raw requests
//! that no client has normalized.

use emulator::journal::Seen;
use emulator::world::{Target, WorldConfig};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bodies;
use crate::corpora::promises::rig::MAY_LEAVE;
use crate::drop_in;
use crate::rig::Rig;

/// In every header's value that must not be forwarded.
const MARK: &str = "planted";

/// A request, in random parts.
#[derive(Debug, Clone)]
struct Drawn {
    method: &'static str,
    target: String,
    version: &'static str,
    host: &'static str,
    media: &'static str,
    chunked: bool,
    headers: Vec<String>,
}

fn targets() -> impl Strategy<Value = String> {
    let known = select(vec![
        "/api/v1/remote_write",
        "/api/v1/write",
        "/workspaces/ID/api/v1/remote_write",
        "/api/v1/query",
        "/api/v1/query",
        "/api/v1/label/job/values",
    ]);
    let before = select(vec![
        "http://localhost",
        "https://localhost:8005",
        "http://169.254.169.254",
        "http://me:planted@localhost",
        "/",
        "/..",
        "/.",
        "/%2e%2e",
        "/workspaces/ID/..",
        "/workspaces/ws-other/../ID",
        "//sts.amazonaws.com",
    ]);
    let after = prop_oneof![
        6 => Just(String::new()),
        2 => Just("?query=up&planted=1".to_owned()),
        1 => select(vec!["/", "/.", "/..", "//", "%2f", "%00", "#planted", ";planted", "\\", "?"]).prop_map(str::to_owned),
        1 => "\\?[!-~]{0,12}",
        1 => "[!-~]{1,4}",
    ];
    // One letter in another case, escaped, doubled or removed.
    let change = prop_oneof![4 => Just(None), 1 => (0..40_usize, 0..5_u8).prop_map(Some)];
    let path = (known, change).prop_map(|(path, change)| {
        let Some((at, how)) = change else {
            return path.to_owned();
        };
        let at = at % path.len();
        let (start, rest) = path.split_at(at);
        let (one, end) = rest.split_at(1);
        let byte = one.as_bytes()[0];
        let one = match how {
            0 => one.to_ascii_uppercase(),
            1 => format!("%{byte:02x}"),
            2 => format!("{one}{one}"),
            3 => String::new(),
            _ => format!("%25{byte:02X}"),
        };
        format!("{start}{one}{end}")
    });
    let asked = (prop_oneof![4 => Just(""), 1 => before], path, after)
        .prop_map(|(before, path, after)| format!("{before}{path}{after}"));
    let strange = select(vec![
        "*",
        "localhost:8005",
        "169.254.169.254:80",
        "",
        "/",
        "http:",
    ]);
    prop_oneof![12 => asked, 1 => strange.prop_map(str::to_owned), 1 => "[!-~]{1,20}"]
}

fn headers() -> impl Strategy<Value = Vec<String>> {
    let known = select(vec![
        "Authorization: Bearer planted",
        "Authorization: AWS4-HMAC-SHA256 Credential=planted",
        "Proxy-Authorization: Basic planted",
        "Proxy-Connection: planted",
        "Cookie: session=planted",
        "Connection: close, x-planted\r\nX-Planted: planted",
        "Connection: host, content-type, authorization",
        "Keep-Alive: timeout=5, planted",
        "Te: trailers, planted",
        "Trailer: x-planted",
        "Upgrade: planted\r\nConnection: upgrade",
        "Forwarded: for=planted",
        "X-Forwarded-For: planted",
        "X-Forwarded-Host: planted",
        "X-Forwarded-Proto: planted",
        "X-Real-Ip: planted",
        "X-Scope-OrgID: planted",
        "Traceparent: 00-planted",
        "Tracestate: planted",
        "Baggage: planted",
        "User-Agent: planted",
        "X-Amz-Date: planted",
        "X-Amz-Security-Token: planted",
        "X-Amz-Content-Sha256: planted",
        "X-Amz-Target: planted",
        "X-Http-Method-Override: DELETE-planted",
        "X-Original-Url: /planted",
        "X-Rewrite-Url: /planted",
        "Accept-Encoding: planted",
        "Accept: planted",
        "Range: bytes=planted",
        "If-None-Match: planted",
        "Expect: 100-continue",
        "Max-Forwards: 0",
        "Via: planted",
        "X-Prometheus-Remote-Write-Version: planted and far too long to be a version",
    ]);
    let any = "[A-Za-z-]{1,12}".prop_map(|name| format!("X-{name}: {MARK}"));
    let one = prop_oneof![5 => known.prop_map(str::to_owned), 1 => any];
    proptest::collection::vec(one, 0..6)
}

/// What senders write, or one time in eight something else.
fn mostly(usual: &'static str, other: Vec<&'static str>) -> impl Strategy<Value = &'static str> {
    prop_oneof![7 => Just(usual), 1 => select(other)]
}

fn requests() -> impl Strategy<Value = Drawn> {
    let methods = vec![
        "POST", "POST", "POST", "POST", "GET", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS",
        "TRACE", "CONNECT", "post", "POSTX",
    ];
    let versions = vec!["HTTP/1.0", "HTTP/2.0"];
    let hosts = vec![
        "Host: 127.0.0.1\r\n",
        "Host: planted.example\r\n",
        "Host: aps-workspaces.us-east-1.amazonaws.com\r\n",
        "Host: localhost\r\nHost: planted\r\n",
        "",
    ];
    let media = vec![
        "application/x-protobuf;proto=prometheus.WriteRequest",
        "application/x-www-form-urlencoded",
        "text/plain",
    ];
    let parts = (
        mostly("POST", methods),
        targets(),
        mostly("HTTP/1.1", versions),
        mostly("Host: localhost\r\n", hosts),
        mostly("application/x-protobuf", media),
        proptest::bool::weighted(0.2),
        headers(),
    );
    parts.prop_map(
        |(method, target, version, host, media, chunked, headers)| Drawn {
            method,
            target,
            version,
            host,
            media,
            chunked,
            headers,
        },
    )
}

impl Drawn {
    fn bytes(&self, id: &str, batch: &[u8]) -> Vec<u8> {
        const FORM: &str = "application/x-www-form-urlencoded";
        // A query in a write request gets nowhere.
        let usual = self.media == "application/x-protobuf";
        let media = if usual && self.target.contains("query") {
            FORM
        } else {
            self.media
        };
        let form = media == FORM;
        let body = if form { b"query=up" } else { batch };
        let encoding = if form {
            ""
        } else {
            "Content-Encoding: snappy\r\n"
        };
        let (framing, body) = if self.chunked {
            let size = format!("{:x}\r\n", body.len());
            let chunks = [size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
            ("Transfer-Encoding: chunked\r\n".to_owned(), chunks)
        } else {
            (format!("Content-Length: {}\r\n", body.len()), body.to_vec())
        };
        let more: String = self
            .headers
            .iter()
            .map(|line| format!("{line}\r\n"))
            .collect();
        let target = self.target.replace("ID", id);
        let head = format!(
            "{} {target} {}\r\n{}Content-Type: {}\r\n{encoding}{framing}{more}\r\n",
            self.method, self.version, self.host, media
        );
        [head.into_bytes(), body].concat()
    }
}

/// Sends it, and waits until the peer is done.
async fn say(host: &str, bytes: &[u8]) {
    let mut tcp = TcpStream::connect(host).await.unwrap();
    // The peer may reset garbage early.
    if tcp.write_all(bytes).await.is_ok() && tcp.shutdown().await.is_ok() {
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).await.unwrap_or_default();
    }
}

/// Whether AMP could have made this id.
fn is_id(text: &str) -> bool {
    let tail = text.strip_prefix("ws-").unwrap_or_default();
    let plain = |c: char| c == '-' || c.is_ascii_alphanumeric();
    !tail.is_empty() && tail.len() <= 64 && tail.chars().all(plain)
}

/// The error in a request that reached AMP, if any; without `id`, any workspace may be named.
fn fault(seen: &Seen, id: Option<&str>, amp: &str, reads: bool) -> Option<String> {
    let rest = seen.path.strip_prefix("/workspaces/");
    let (named, below) = rest.and_then(|rest| rest.split_once("/api/v1/")).unzip();
    let is_ours = named.is_some_and(|named| match id {
        Some(id) => named == id,
        None => is_id(named),
    });
    let below = below.filter(|_| is_ours);
    let api = below.and_then(|below| below.split('?').next());
    let is_write = seen.method == "POST" && below == Some("remote_write");
    let is_read = match (seen.method.as_str(), api) {
        ("GET" | "POST", Some("query")) => true,
        ("GET", Some(path)) => {
            let name = path
                .strip_prefix("label/")
                .and_then(|rest| rest.strip_suffix("/values"));
            let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
            name.is_some_and(|name| !name.is_empty() && name.chars().all(plain))
        }
        _ => false,
    };
    if !(is_write || reads && is_read) {
        return Some(format!("{} {}", seen.method, seen.path));
    }
    if is_write && seen.path.contains('?') {
        return Some(seen.path.clone());
    }
    for (name, value) in &seen.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if !MAY_LEAVE.contains(&name.as_str()) || value.contains(MARK) {
            return Some(format!("{name}: {value}"));
        }
    }
    let is = |name: &str, wanted: &str| {
        seen.headers
            .get_all(name)
            .iter()
            .all(|value| value == wanted)
    };
    let signature = seen.headers["authorization"].as_bytes();
    let made = seen.headers.get_all("host").iter().count() == 1
        && is("host", amp)
        && is(
            "user-agent",
            concat!("amp-sidecar/", env!("CARGO_PKG_VERSION")),
        )
        && signature.starts_with(b"AWS4-HMAC-SHA256 Credential=ASIA");
    (!made).then(|| format!("{:?}", seen.headers))
}

/// Who names the workspace.
#[derive(PartialEq)]
enum Named {
    Configured,
    BySender,
}

fn holds(named: &Named, reads: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = WorldConfig {
        role_may_query: true,
        ..WorldConfig::default()
    };
    let settings = [("allow-query", if reads { "true" } else { "false" })];
    let rig = runtime.block_on(async {
        let rig = match named {
            Named::Configured => Rig::start_in(world, &settings).await,
            Named::BySender => drop_in::start(world, true).await,
        };
        rig.until_ready().await;
        rig
    });
    let id = rig.world.workspace_id();
    let amp = rig.world.amp_url().split('/').nth(2).unwrap();
    let journal = rig.world.journal(Target::Amp);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 1200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&requests(), |drawn| {
        let before = journal.total();
        runtime.block_on(say(&rig.host, &drawn.bytes(id, &bodies::v1("up", 1).body)));
        let came = usize::try_from(journal.total() - before).unwrap();
        prop_assert!(came < 2, "one became {}", came);
        for seen in journal.requests().iter().rev().take(came) {
            let id = (*named == Named::Configured).then_some(id);
            let fault = fault(seen, id, amp, reads);
            prop_assert!(fault.is_none(), "{}", fault.unwrap_or_default());
        }
        Ok(())
    });
    result.unwrap();
    let requests = journal.requests();
    let writes = requests
        .iter()
        .filter(|seen| seen.path.ends_with("remote_write"));
    let (writes, all) = (writes.count(), requests.len());
    println!("{writes} batches and {} queries reached AMP", all - writes);
    // A third of the paths names a workspace.
    let enough = match named {
        Named::Configured => 50,
        Named::BySender => 15,
    };
    assert!(
        writes > enough,
        "only {writes} batches, which proves little"
    );
    assert!(!reads || all - writes > 5, "only {} queries", all - writes);
}

#[test]
fn where_only_writing_is_allowed() {
    holds(&Named::Configured, false);
}

#[test]
fn where_reading_is_allowed_too() {
    holds(&Named::Configured, true);
}

#[test]
fn where_senders_name_the_workspace() {
    holds(&Named::BySender, false);
}
