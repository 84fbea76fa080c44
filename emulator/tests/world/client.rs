//! A client that writes bytes and returns what came back, and how it ended.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use emulator::world::World;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(20);
const READ_AT_MOST: usize = 1 << 20;

/// How the server ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
    /// It did not, for as long as the client cared to wait.
    Silent,
    /// It would not stop talking.
    Endless,
}

/// Everything that came back.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The text of the first XML element with this name.
    pub(crate) fn element(&self, name: &str) -> &str {
        let (_, rest) = self
            .body
            .split_once(&format!("<{name}>"))
            .expect("the element");
        rest.split_once("</").expect("its end").0
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// The `host:port` of a URL of ours.
pub(crate) fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").expect("a URL");
    rest.split('/')
        .next()
        .expect("a host")
        .parse()
        .expect("an address")
}

/// Sends `text` over TCP and listens until the end, or until patience ends.
pub(crate) async fn say(to: SocketAddr, text: impl AsRef<[u8]>, patience: Duration) -> Received {
    let stream = TcpStream::connect(to).await.expect("connected");
    converse(stream, text, patience).await
}

/// The same over TLS.
pub(crate) async fn say_tls(
    to: SocketAddr,
    trust: Arc<ClientConfig>,
    text: impl AsRef<[u8]>,
    patience: Duration,
) -> Received {
    let stream = handshake(to, "127.0.0.1", trust)
        .await
        .expect("a handshake");
    converse(stream, text, patience).await
}

/// Only the handshake.
pub(crate) async fn handshake(
    to: SocketAddr,
    name: &str,
    trust: Arc<ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(trust).connect(name, stream).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    text: impl AsRef<[u8]>,
    patience: Duration,
) -> Received {
    let mut bytes = Vec::new();
    let listen = async {
        if let Err(error) = stream.write_all(text.as_ref()).await {
            return ended(&error);
        }
        stream.flush().await.expect("flushed");
        let mut chunk = [0; 16 * 1024];
        while bytes.len() < READ_AT_MOST {
            match stream.read(&mut chunk).await {
                Ok(0) => return End::Closed,
                Ok(length) => bytes.extend_from_slice(&chunk[..length]),
                Err(error) => return ended(&error),
            }
        }
        End::Endless
    };
    let end = tokio::time::timeout(patience, listen)
        .await
        .unwrap_or(End::Silent);
    Received { bytes, end }
}

fn ended(error: &std::io::Error) -> End {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => End::Reset,
        other => panic!("the connection ended in an unexpected way: {other}: {error}"),
    }
}

/// One request with a whole answer.
pub(crate) async fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> Answer {
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let received = say(to, &text, PATIENCE).await;
    assert_eq!(received.end, End::Closed);
    whole(&received.bytes)
}

/// Takes an answer apart and checks its length.
pub(crate) fn whole(bytes: &[u8]) -> Answer {
    let text = std::str::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .expect("a status")
        .parse()
        .expect("a number");
    let answer = Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    };
    assert_eq!(
        answer.header("content-length"),
        Some(body.len().to_string().as_str())
    );
    answer
}

/// A form to STS; a value of `-` leaves the field out.
pub(crate) async fn assume(world: &World, changes: &[(&str, &str)]) -> Answer {
    let token = std::fs::read_to_string(world.token_file()).unwrap_or_default();
    let mut fields = vec![
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", world.role_arn()),
        ("RoleSessionName", "prometheus-0"),
        ("WebIdentityToken", token.as_str()),
    ];
    for (name, value) in changes {
        fields.retain(|(present, _)| present != name);
        if *value != "-" {
            fields.push((name, value));
        }
    }
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    ask(address(world.sts_url()), "POST", "/", kind, &form).await
}
