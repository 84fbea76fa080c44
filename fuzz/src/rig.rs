//! The data path of the real program in one thread: listener, router and pipeline, and behind them a socket on loopback at
//! which STS and AMP are played.
//!
//! In: the bytes of a sender's connection, and the bytes that AMP answers with. Out: the bytes that the sender got, and the
//! requests that AMP got. The sender's side is a pipe in memory; AMP's is a real connection, connected and pooled as in
//! production. STS is asked once, as at every start.

use std::collections::HashMap;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amp_sidecar::app::reload::Reloader;
use amp_sidecar::clock::Clock;
use amp_sidecar::config::{Config, Environment};
use amp_sidecar::inbound::listener;
use amp_sidecar::router::Router;
use amp_sidecar::telemetry::Telemetry;
use amp_sidecar::workspace::Externals;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::sts::TOKEN;

/// What AMP says where the input does not say otherwise. Without a count a batch of version 2 would be sent as version 1, too.
pub const STORED: &[u8] =
    b"HTTP/1.1 200 OK\r\nX-Prometheus-Remote-Write-Samples-Written: 1\r\nContent-Length: 0\r\n\r\n";

/// A request that reached AMP.
#[derive(Debug)]
pub struct Exchanged {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The program, and what stands behind it.
pub struct Rig {
    runtime: tokio::runtime::Runtime,
    router: Arc<Router>,
    upstream: Arc<Upstream>,
    _stop: watch::Sender<bool>,
    stop: watch::Receiver<bool>,
    _token: std::fs::File,
}

/// AMP, as far as it is played.
#[derive(Default)]
struct Upstream {
    heard: Mutex<Vec<Exchanged>>,
    /// The n-th answer goes to the n-th request, and the last one to all after it; the connection is then closed.
    answers: Mutex<Vec<Vec<u8>>>,
}

// === impl Rig ===

impl Rig {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut token = tempfile::tempfile().unwrap();
        token.write_all(TOKEN.as_bytes()).unwrap();
        let upstream = Arc::new(Upstream::default());
        let router = runtime.block_on(start(Arc::clone(&upstream), token.as_raw_fd()));
        let (stopper, stop) = watch::channel(false);
        Self {
            runtime,
            router,
            upstream,
            _stop: stopper,
            stop,
            _token: token,
        }
    }

    /// What a sender of these bytes gets, and what reached AMP.
    pub fn exchange(&self, sent: &[u8], answers: Vec<Vec<u8>>) -> (Vec<u8>, Vec<Exchanged>) {
        *self.upstream.answers.lock().unwrap() = answers;
        self.upstream.heard.lock().unwrap().clear();
        let heard = self.runtime.block_on(async {
            let (sender, side) = duplex(1 << 20);
            let router = Arc::clone(&self.router);
            let served = tokio::spawn(listener::connection(
                side,
                Ipv4Addr::LOCALHOST.into(),
                None,
                router,
                Arc::new(Semaphore::new(1)),
                self.stop.clone(),
            ));
            let (mut reading, mut writing) = tokio::io::split(sender);
            let mut heard = Vec::new();
            let write = async {
                // A peer may close before all is sent.
                writing.write_all(sent).await.unwrap_or_default();
                writing.shutdown().await.unwrap_or_default();
            };
            let (_, read) = tokio::join!(write, reading.read_to_end(&mut heard));
            read.unwrap();
            // How it ended the sender has heard.
            served.await.unwrap().unwrap_or_default();
            heard
        });
        (
            heard,
            std::mem::take(&mut *self.upstream.heard.lock().unwrap()),
        )
    }
}

async fn start(upstream: Arc<Upstream>, token: i32) -> Arc<Router> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(Arc::clone(&upstream).serve(tcp));
        }
    });
    let config = config(&place, token);
    let externals = Externals::new(&config).unwrap();
    let (server_auth, telemetry) = (Arc::default(), Arc::new(Telemetry::new()));
    let address = config.listen;
    let reloader = Reloader::start(
        config,
        address,
        externals,
        server_auth,
        Clock::system(),
        telemetry,
    )
    .unwrap();
    let router = Arc::clone(reloader.router());
    while router.routes().workspaces()[0].missing().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    router
}

fn config(place: &str, token: i32) -> Config {
    let env: HashMap<&str, String> = HashMap::from([
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AMP_SIDECAR_WORKSPACE_ID", "ws-1".to_owned()),
        (
            "AWS_ROLE_ARN",
            "arn:aws:iam::111122223333:role/amp".to_owned(),
        ),
        (
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            format!("/proc/self/fd/{token}"),
        ),
        ("AWS_ENDPOINT_URL", place.to_owned()),
        ("AMP_SIDECAR_ALLOW_QUERY", "true".to_owned()),
    ]);
    let variable = |name: &str| env.get(name).cloned();
    let around = Environment::of(&variable);
    Config::read(&|_| None, &around).unwrap()
}

// === impl Upstream ===

impl Upstream {
    async fn serve(self: Arc<Self>, mut tcp: TcpStream) {
        let mut came = Vec::new();
        while let Some(heard) = request(&mut tcp, &mut came).await {
            if heard.line.starts_with("POST / ") {
                let xml = session();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", xml.len());
                tcp.write_all(&[head.as_bytes(), xml.as_bytes()].concat())
                    .await
                    .unwrap_or_default();
                continue;
            }
            let n = {
                let mut all = self.heard.lock().unwrap();
                all.push(heard);
                all.len() - 1
            };
            let answer = {
                let answers = self.answers.lock().unwrap();
                answers.get(n).or_else(|| answers.last()).cloned()
            };
            match answer {
                None => tcp.write_all(STORED).await.unwrap_or_default(),
                Some(answer) => {
                    tcp.write_all(&answer).await.unwrap_or_default();
                    return;
                }
            }
        }
    }
}

/// The next request of a connection; the sidecar's have a Content-Length or no body, and each is whole before the next.
async fn request(tcp: &mut TcpStream, came: &mut Vec<u8>) -> Option<Exchanged> {
    let end = loop {
        if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if tcp.read_buf(came).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(came[..end].to_vec()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<_> = lines.map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, length)| length.parse().unwrap());
    while came.len() < end + length {
        if tcp.read_buf(came).await.ok()? == 0 {
            return None;
        }
    }
    let body = came[end..end + length].to_vec();
    assert_eq!(
        came.len(),
        end + length,
        "more than one request came at once"
    );
    came.clear();
    Some(Exchanged {
        line,
        headers,
        body,
    })
}

fn session() -> String {
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
     <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>planted-secret-key</SecretAccessKey>\
     <SessionToken>planted-session-token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
     </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        .to_owned()
}

// === impl Exchanged ===

impl Exchanged {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Nothing goes to AMP but signed requests for the one workspace, with a fixed set of headers.
    pub fn is_what_may_leave(&self) {
        let below = self.line.strip_suffix(" HTTP/1.1").unwrap();
        let (method, target) = below.split_once(' ').unwrap();
        let path = target.split('?').next().unwrap();
        let below = path.strip_prefix("/workspaces/ws-1/api/v1/").unwrap();
        let signed = self.header("authorization").unwrap();
        let scope = "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/";
        assert!(signed.starts_with(scope) && signed.contains("/eu-central-1/aps/aws4_request"));
        assert_eq!(
            self.header("x-amz-security-token"),
            Some("planted-session-token")
        );
        for (name, _) in &self.headers {
            assert!(MAY_LEAVE.contains(&name.as_str()), "{name} leaves");
        }
        if below == "remote_write" {
            assert_eq!((method, path), ("POST", target));
        } else {
            assert!(amp_sidecar::query::api::Api::at(below).is_some(), "{path}");
        }
    }
}

/// The headers that AMP may be sent, all of them made here but for the two that say what a body is; `accept-encoding` goes with
/// queries alone.
pub const MAY_LEAVE: [&str; 10] = [
    "accept-encoding",
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "x-amz-date",
    "x-amz-security-token",
    "x-prometheus-remote-write-version",
];
