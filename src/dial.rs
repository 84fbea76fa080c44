//! One connection to AMP: name, TCP, TLS.
//!
//! In: the endpoint of the configuration. Out: a [`Stream`] that counts the bytes of its answers, so that whoever uses it can
//! tell a connection that was closed as a request left from one that broke in the middle of an answer. The whole of it
//! has [`LONGEST_DIAL`]. TLS is never skipped or lowered; what is trusted was decided in `tls`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Workspace;
use crate::resolve::Resolver;

/// Resolve, connect and shake hands.
pub const LONGEST_DIAL: Duration = Duration::from_secs(3);
/// How long sent bytes may stay unacknowledged before the kernel gives the connection up (TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Encrypted bytes that wait for a socket to take them; rustls would keep four times as many for each connection.
const UNSENT: usize = 16 * 1024;

/// Dials one endpoint.
pub struct Dialer {
    resolver: Resolver,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address, or the resolver did not say.
    #[error("name {host} was not resolved: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address took the connection.
    #[error("connection to {address}: {source}")]
    Connect {
        /// The last address that was tried.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The peer did not prove who it is, or does not speak TLS.
    #[error("TLS with {host}: {source}")]
    Tls {
        /// The name that it had to prove.
        host: String,
        /// What failed.
        source: io::Error,
    },
    /// It took longer than [`LONGEST_DIAL`].
    #[error("no connection to {0} within 3 s")]
    TimedOut(String),
}

// === impl Dialer ===

impl Dialer {
    /// For the host of this workspace's URL; `None` where it has none, which a checked configuration cannot have.
    #[must_use]
    pub fn new(workspace: &Workspace, tls: Arc<rustls::ClientConfig>) -> Option<Self> {
        let url = &workspace.remote_write_url;
        let encrypted = url.scheme_str() != Some("http");
        let host = url
            .host()?
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = url.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let tls = if encrypted {
            Some((
                TlsConnector::from(tls),
                ServerName::try_from(host.clone()).ok()?,
            ))
        } else {
            None
        };
        Some(Self {
            resolver: Resolver::new(host, port),
            tls,
        })
    }

    /// Whether the peer proves who it is.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.tls.is_some()
    }

    /// A new connection, within [`LONGEST_DIAL`].
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial(&self) -> Result<Stream, DialError> {
        let timed_out = |_| DialError::TimedOut(self.resolver.host().to_owned());
        tokio::time::timeout(LONGEST_DIAL, self.connect())
            .await
            .map_err(timed_out)?
    }

    async fn connect(&self) -> Result<Stream, DialError> {
        let addresses = self
            .resolver
            .addresses()
            .await
            .map_err(|source| self.unresolved(source))?;
        let tcp = self.tcp(&addresses).await?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Stream::new(Transport::Plain(tcp)));
        };
        let tls = connector.connect(name.clone(), tcp).await;
        let mut tls = tls.map_err(|source| DialError::Tls {
            host: self.resolver.host().to_owned(),
            source,
        })?;
        tls.get_mut().1.set_buffer_limit(Some(UNSENT));
        Ok(Stream::new(Transport::Tls(Box::new(tls))))
    }

    fn unresolved(&self, source: io::Error) -> DialError {
        DialError::Resolve {
            host: self.resolver.host().to_owned(),
            source,
        }
    }

    /// One address after the other; each but the last has its share of the time, so that one dead address costs little.
    async fn tcp(&self, addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
        let mut last = None;
        let share = LONGEST_DIAL / u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
        for (n, address) in addresses.iter().enumerate() {
            let patience = if n + 1 == addresses.len() {
                LONGEST_DIAL
            } else {
                share
            };
            let tried = tokio::time::timeout(patience, TcpStream::connect(address)).await;
            match tried
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .and_then(tuned)
            {
                Ok(tcp) => return Ok(tcp),
                Err(source) => {
                    last = Some(DialError::Connect {
                        address: *address,
                        source,
                    })
                }
            }
        }
        Err(last.unwrap_or_else(|| self.unresolved(io::Error::other("it has no address"))))
    }
}

fn tuned(tcp: TcpStream) -> io::Result<TcpStream> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(&tcp);
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5)),
    )?;
    Ok(tcp)
}

// === impl Stream ===

/// How many bytes of answers a connection has given.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Bytes read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    meter: Meter,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn new(transport: Transport) -> Self {
        Self {
            transport,
            meter: Meter::default(),
        }
    }

    /// Its meter, which outlives it.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let read = buf.filled().len() - before;
        if read > 0 {
            self.meter.0.fetch_add(read as u64, Ordering::Relaxed);
        }
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
