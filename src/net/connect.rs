//! One connection to an endpoint: name, TCP, proxy, TLS.
//!
//! In: an endpoint's URL and the [`Network`]. Out: a [`Stream`] that counts received bytes, so its user can distinguish a connection
//! closed before any response from one that broke in the middle of one; or a [`ConnectError`] that names the step that failed. All
//! steps together may take [`CONNECT_TIMEOUT`]. TLS is never skipped or downgraded, and through a proxy it still ends at the endpoint;
//! each connection gets the current trusted certificates from [`Trust`].
//!
//! ```text
//! resolve ─▶ happy eyeballs ─▶ (TLS with the proxy) ─▶ (tunnel) ─▶ TLS with the endpoint ─▶ Stream
//! ```

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::{Network, Proxy};
use crate::net::error::{ConnectError, ProxyError};
use crate::net::resolver::Resolver;
use crate::net::stream::{Io, Stream};
use crate::net::tls::Trust;
use crate::net::{happy_eyeballs, proxy_tunnel};

/// For name, TCP, proxy and TLS together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens connections to one endpoint.
pub trait Connect: fmt::Debug + Send + Sync {
    /// Whether the endpoint is authenticated.
    fn is_verified(&self) -> bool;

    /// A new connection, within [`CONNECT_TIMEOUT`].
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send + '_>>;
}

/// Creates connectors.
pub trait Connectors: fmt::Debug + Send + Sync {
    /// A connector to the endpoint of this URL; `None` if it has no host, or a scheme other than http and https.
    fn connector(&self, url: &Uri) -> Option<Box<dyn Connect>>;
}

/// Connects to one endpoint over the network.
#[derive(Debug)]
pub(crate) struct Connector {
    endpoint: Endpoint,
    proxy: Option<ProxyTunnel>,
}

/// The proxy, if one is used.
#[derive(Debug)]
struct ProxyTunnel {
    endpoint: Endpoint,
    /// Its URL, without user and password.
    name: String,
    target: Uri,
    authorization: Option<HeaderValue>,
}

/// One TCP peer, and whether it uses TLS.
struct Endpoint {
    resolver: Resolver,
    tls: Option<(Trust, ServerName<'static>)>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}

// === impl Connector ===

impl Connector {
    /// For the host of this URL; `None` if it has none, or a scheme other than http and https.
    #[must_use]
    pub(crate) fn new(url: &Uri, network: &Network, trust: &Trust) -> Option<Self> {
        let endpoint = Endpoint::of(url, trust)?;
        // HTTPS_PROXY is for https: proxies seldom allow tunnels to other ports than 443.
        let proxy = network.proxy_for(url).filter(|_| endpoint.tls.is_some());
        let proxy = match proxy {
            Some(proxy) => Some(ProxyTunnel::new(proxy, url, &endpoint, trust)?),
            None => None,
        };
        Some(Self { endpoint, proxy })
    }

    async fn open(&self) -> Result<Stream, ConnectError> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, async {
            let endpoint = &self.endpoint;
            match &self.proxy {
                None => endpoint.tls_handshake(endpoint.tcp().await?).await,
                Some(proxy) => endpoint.tls_handshake(proxy.open().await?).await,
            }
        });
        opened.await.map_err(|_| {
            let host = self.endpoint.resolver.host();
            ConnectError::TimedOut(match &self.proxy {
                None => host.to_owned(),
                Some(proxy) => format!("{host} through proxy {}", proxy.name),
            })
        })?
    }
}

impl Connect for Connector {
    fn is_verified(&self) -> bool {
        self.endpoint.tls.is_some()
    }

    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send + '_>> {
        Box::pin(self.open())
    }
}

// === impl ProxyTunnel ===

impl ProxyTunnel {
    fn new(proxy: &Proxy, url: &Uri, endpoint: &Endpoint, trust: &Trust) -> Option<Self> {
        let target = format!("{}:{}", url.host()?, endpoint.resolver.port());
        Some(Self {
            endpoint: Endpoint::of(&proxy.url, trust)?,
            name: proxy.to_string(),
            target: target.parse().ok()?,
            authorization: proxy.authorization.clone(),
        })
    }

    async fn open(&self) -> Result<impl Io + 'static, ConnectError> {
        let wrapped = |source| ConnectError::Proxy {
            proxy: self.name.clone(),
            source,
        };
        let unreachable = |error| wrapped(ProxyError::Unreachable(Box::new(error)));
        let tcp = self.endpoint.tcp().await.map_err(unreachable)?;
        let stream = self.endpoint.tls_handshake(tcp).await;
        proxy_tunnel::open(
            stream.map_err(unreachable)?,
            &self.target,
            self.authorization.as_ref(),
        )
        .await
        .map_err(wrapped)
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn of(url: &Uri, trust: &Trust) -> Option<Self> {
        let (encrypted, usual_port) = match url.scheme_str()? {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return None,
        };
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
        let tls = if encrypted {
            let name = ServerName::try_from(host.to_owned()).ok()?;
            Some((trust.clone(), name))
        } else {
            None
        };
        let port = url.port_u16().unwrap_or(usual_port);
        Some(Self {
            resolver: Resolver::new(host.to_owned(), port),
            tls,
        })
    }

    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let unresolved = |source| ConnectError::Resolve {
            host: self.resolver.host().to_owned(),
            source,
        };
        let addresses = self.resolver.addresses().await.map_err(unresolved)?;
        happy_eyeballs::connect(&addresses)
            .await
            .map_err(|last| match last {
                Some((address, source)) => ConnectError::Tcp { address, source },
                None => unresolved(io::Error::other("it has no address")),
            })
    }

    /// The TLS handshake over an open connection, if this endpoint uses TLS.
    async fn tls_handshake(&self, io: impl Io + 'static) -> Result<Stream, ConnectError> {
        let Some((trust, name)) = &self.tls else {
            return Ok(Stream::new(io));
        };
        let io: Box<dyn Io> = Box::new(io);
        let connector = TlsConnector::from(trust.client());
        let connected = connector.connect(name.clone(), io).await;
        connected
            .map(Stream::encrypted)
            .map_err(|source| ConnectError::Tls {
                host: self.resolver.host().to_owned(),
                source,
            })
    }
}
