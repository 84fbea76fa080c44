//! The floor: a relay that does what no proxy that signs can do without, and nothing else.
//!
//! In: the environment that every proxy gets. Out: a listener that reads a request, hashes its body, signs it with keys it was given,
//! sends it over TLS and hands the response back, on one thread, with the runtime and the TLS that amp-sidecar has too. It knows of
//! HTTP the end of a head and a Content-Length; it has no limits, no timeouts, no pool (a sender has a connection of its own) and no
//! metrics, and copies no body. So it is a measure and nothing to put before a workspace.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::peers::environment;
use crate::signer::{DirectSigner, stamp};
use emulator::clock::Clock;

/// Before a request there is room for the head that goes on, so that the body can stay where it was read.
const HEADROOM: usize = 8 * 1024;
const RESPONSE: usize = 4 * 1024;

struct Relay {
    clock: Clock,
    signer: DirectSigner,
    upstream: SocketAddr,
    tls: TlsConnector,
}

/// Relays what comes to `listen`, until the process ends.
///
/// # Errors
/// Where the environment lacks something, or it cannot listen.
pub async fn serve(listen: SocketAddr) -> io::Result<()> {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        runtime.block_on(accept(Arc::new(Relay::new()?), listen))
    };
    // A runtime of one thread, as the sidecar has on one core; the command's own has more.
    tokio::task::spawn_blocking(run).await?
}

async fn accept(relay: Arc<Relay>, listen: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (sender, _) = listener.accept().await?;
        sender.set_nodelay(true)?;
        let relay = Arc::clone(&relay);
        drop(tokio::spawn(async move { relay.carry(sender).await }));
    }
}

// === impl Relay ===

impl Relay {
    fn new() -> io::Result<Self> {
        let read = |name: &str| {
            let value = environment(name).and_then(|value| value.into_string().ok());
            value.ok_or_else(|| io::Error::other(format!("{name} is not set")))
        };
        let url = read("AMP_SIDECAR_REMOTE_WRITE_URL")?;
        let (host, path) = url
            .strip_prefix("https://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| io::Error::other(format!("{url} is no https URL with a path")))?;
        let mut roots = RootCertStore::empty();
        let authorities = CertificateDer::pem_file_iter(read("AWS_CA_BUNDLE")?);
        for authority in authorities.map_err(io::Error::other)? {
            let authority = authority.map_err(io::Error::other)?;
            roots.add(authority).map_err(io::Error::other)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            clock: Clock::default(),
            upstream: host.parse().map_err(io::Error::other)?,
            tls: TlsConnector::from(Arc::new(tls)),
            signer: DirectSigner {
                access_key_id: read("AWS_ACCESS_KEY_ID")?,
                secret_access_key: read("AWS_SECRET_ACCESS_KEY")?,
                session_token: read("AWS_SESSION_TOKEN")?,
                region: read("AWS_REGION")?,
                host: host.to_owned(),
                path: format!("/{path}"),
            },
        })
    }

    async fn carry(&self, mut sender: TcpStream) -> io::Result<()> {
        let upstream = TcpStream::connect(self.upstream).await?;
        upstream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.upstream.ip().into());
        let mut upstream = self.tls.connect(name, upstream).await?;
        let day = stamp(self.clock.now());
        let key = self.signer.signing_key(day.get(..8).unwrap_or_default());
        let mut request = vec![0; HEADROOM];
        let mut response = Vec::with_capacity(RESPONSE);
        loop {
            let mut hash = Sha256::new();
            let seen = |part: &[u8]| hash.update(part);
            let Some(body) = message(&mut sender, &mut request, HEADROOM, seen).await? else {
                return Ok(());
            };
            let head = self.head(&key, hash, request.get(HEADROOM..body));
            let start = body.saturating_sub(head.len());
            let place = request
                .get_mut(start..body)
                .filter(|place| place.len() == head.len());
            place
                .ok_or_else(|| io::Error::other("the head is too long"))?
                .copy_from_slice(head.as_bytes());
            upstream
                .write_all(request.get(start..).unwrap_or_default())
                .await?;
            upstream.flush().await?;
            let answered = message(&mut upstream, &mut response, 0, |_| ()).await?;
            answered.ok_or(ErrorKind::UnexpectedEof)?;
            sender.write_all(&response).await?;
        }
    }

    /// The head that goes on: signed, with all that the sender said of its body. Its key is of the day on which the connection began.
    fn head(&self, key: &[u8], hash: Sha256, given: Option<&[u8]>) -> String {
        let hash = hex::encode(hash.finalize());
        let stamp = stamp(self.clock.now());
        let authorization = self.signer.authorization(key, &stamp, &hash);
        let DirectSigner {
            host,
            path,
            session_token,
            ..
        } = &self.signer;
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\nx-amz-content-sha256: {hash}\r\n\
             x-amz-date: {stamp}\r\nx-amz-security-token: {session_token}\r\n"
        );
        let given = std::str::from_utf8(given.unwrap_or_default()).unwrap_or_default();
        for line in given.split_inclusive("\r\n").skip(1) {
            if !line.starts_with("host:") {
                head.push_str(line);
            }
        }
        head
    }
}

/// Reads a request or a response behind `from`: where its body begins, or nothing where there is none any more. `seen` is given the
/// body as it comes, while it is in the processor's cache.
async fn message(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    from: usize,
    mut seen: impl FnMut(&[u8]),
) -> io::Result<Option<usize>> {
    buffer.truncate(from);
    loop {
        let head = buffer.get(from..).unwrap_or_default();
        if let Some(end) = head.windows(4).position(|end| end == b"\r\n\r\n") {
            let len = content_length(head.get(..end).unwrap_or_default());
            let body = from + end + 4;
            buffer.reserve((body + len).saturating_sub(buffer.len()));
            seen(buffer.get(body..).unwrap_or_default());
            while buffer.len() < body + len {
                let read = buffer.len();
                if stream.read_buf(buffer).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                seen(buffer.get(read..).unwrap_or_default());
            }
            return Ok(Some(body));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// What a head says, and 0 where it says nothing.
fn content_length(head: &[u8]) -> usize {
    let text = std::str::from_utf8(head).unwrap_or_default();
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    found.map_or(0, |(_, value)| value.trim().parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_read_to_their_end_and_their_bodies_are_seen() {
        let text = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let mut buffer = vec![0; 10];
        for cut in 1..=text.len() {
            let (first, rest) = text.split_at(cut);
            let mut body = Vec::new();
            let seen = |part: &[u8]| body.extend_from_slice(part);
            let read = message(&mut first.chain(rest), &mut buffer, 10, seen).await;
            let start = read.expect("a message").expect("a body");
            assert_eq!(
                (body.as_slice(), buffer.get(start..)),
                (&b"abc"[..], Some(&b"abc"[..]))
            );
        }
        for (text, end) in [(&b""[..], true), (&text[..30], true), (&text[..40], false)] {
            match message(&mut { text }, &mut buffer, 10, |_| ()).await {
                Ok(body) => assert!(end && body.is_none()),
                Err(error) => assert!(!end && error.kind() == ErrorKind::UnexpectedEof),
            }
        }
    }
}
