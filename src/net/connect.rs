//! One connection to an endpoint: name, TCP, proxy, TLS.
//!
//! In: an endpoint's URL and the [`Network`]. Out: a [`Stream`] that counts the bytes of its answers, so that whoever uses it
//! can tell a connection that was closed as a request left from one that broke in the middle of an answer. The whole of it
//! has [`LONGEST_DIAL`]. TLS is never skipped or lowered, and with a proxy on the way it is spoken with the endpoint itself,
//! through the proxy; what is trusted was decided in `tls`.
//!
//! ```text
//! resolve ─▶ race ─▶ (TLS with the proxy) ─▶ (tunnel) ─▶ TLS with the endpoint ─▶ Stream
//! ```

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::{Network, Proxy};
pub use crate::net::proxy_tunnel::ProxyError;
use crate::net::resolver::Resolver;
use crate::net::stream::Io;
pub use crate::net::stream::{Meter, Stream, unsent};
use crate::net::tls::Trust;
use crate::net::{happy_eyeballs, proxy_tunnel};
use crate::remedies::{
    CONNECTION_REFUSED, CONNECTION_SILENT, NAME_UNRESOLVED, PROXY, Remedy, TLS_AUTHORITY,
    TLS_EXPIRED, TLS_FOREIGN, TLS_NAME,
};

/// Resolve, connect, pass the proxy and shake hands.
pub const LONGEST_DIAL: Duration = Duration::from_secs(3);

/// Opens connections to one endpoint.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Whether the peer proves who it is.
    fn is_verified(&self) -> bool;

    /// A new connection, within [`LONGEST_DIAL`].
    fn dial(&self) -> Pin<Box<dyn Future<Output = Result<Stream, DialError>> + Send + '_>>;
}

/// Dials one endpoint.
#[derive(Debug)]
pub struct Dialer {
    endpoint: Place,
    proxy: Option<Tunnel>,
}

/// A proxy on the way.
#[derive(Debug)]
struct Tunnel {
    place: Place,
    shown: String,
    target: Uri,
    authorization: Option<HeaderValue>,
}

/// Where one TCP connection goes, and whether TLS is spoken there.
struct Place {
    resolver: Resolver,
    tls: Option<(Trust, ServerName<'static>)>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
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
    /// The proxy did not lead there.
    #[error("proxy {proxy}: {source}")]
    Proxy {
        /// Its URL, without user and password.
        proxy: String,
        /// What it said.
        source: ProxyError,
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
    /// For the host of this URL; `None` where it has none, which a checked configuration cannot have.
    #[must_use]
    pub fn new(url: &Uri, network: &Network, trust: &Trust) -> Option<Self> {
        let endpoint = Place::of(url, trust)?;
        let proxy = match network.proxy_for(url) {
            Some(proxy) => Some(Tunnel::new(proxy, url, &endpoint, trust)?),
            None => None,
        };
        Some(Self { endpoint, proxy })
    }

    /// A new connection, within [`LONGEST_DIAL`].
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial(&self) -> Result<Stream, DialError> {
        let dialled = tokio::time::timeout(LONGEST_DIAL, async {
            match &self.proxy {
                None => self.endpoint.greet(self.endpoint.tcp().await?).await,
                Some(proxy) => self.endpoint.greet(proxy.open().await?).await,
            }
        });
        dialled.await.map_err(|_| {
            let host = self.endpoint.resolver.host();
            DialError::TimedOut(match &self.proxy {
                None => host.to_owned(),
                Some(proxy) => format!("{host} through proxy {}", proxy.shown),
            })
        })?
    }
}

impl Dial for Dialer {
    fn is_verified(&self) -> bool {
        self.endpoint.tls.is_some()
    }

    fn dial(&self) -> Pin<Box<dyn Future<Output = Result<Stream, DialError>> + Send + '_>> {
        Box::pin(Self::dial(self))
    }
}

// === impl Tunnel ===

impl Tunnel {
    fn new(proxy: &Proxy, url: &Uri, endpoint: &Place, trust: &Trust) -> Option<Self> {
        let target = format!("{}:{}", url.host()?, endpoint.resolver.port());
        Some(Self {
            place: Place::of(&proxy.url, trust)?,
            shown: proxy.to_string(),
            target: target.parse().ok()?,
            authorization: proxy.authorization.clone(),
        })
    }

    async fn open(&self) -> Result<impl Io + 'static, DialError> {
        let wrapped = |source| DialError::Proxy {
            proxy: self.shown.clone(),
            source,
        };
        let unreached = |error| wrapped(ProxyError::Unreached(Box::new(error)));
        let tcp = self.place.tcp().await.map_err(unreached)?;
        let stream = self.place.greet(tcp).await.map_err(unreached)?;
        proxy_tunnel::connect(stream, &self.target, self.authorization.as_ref())
            .await
            .map_err(wrapped)
    }
}

// === impl Place ===

impl Place {
    fn of(url: &Uri, trust: &Trust) -> Option<Self> {
        let encrypted = url.scheme_str() != Some("http");
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let tls = if encrypted {
            let name = ServerName::try_from(host.to_owned()).ok()?;
            Some((trust.clone(), name))
        } else {
            None
        };
        Some(Self {
            resolver: Resolver::new(host.to_owned(), port),
            tls,
        })
    }

    async fn tcp(&self) -> Result<TcpStream, DialError> {
        let unresolved = |source| DialError::Resolve {
            host: self.resolver.host().to_owned(),
            source,
        };
        let addresses = self.resolver.addresses().await.map_err(unresolved)?;
        happy_eyeballs::connect(&addresses)
            .await
            .map_err(|last| match last {
                Some((address, source)) => DialError::Connect { address, source },
                None => unresolved(io::Error::other("it has no address")),
            })
    }

    /// TLS over what leads here, where it is spoken here.
    async fn greet(&self, io: impl Io + 'static) -> Result<Stream, DialError> {
        let Some((trust, name)) = &self.tls else {
            return Ok(Stream::new(io));
        };
        let io: Box<dyn Io> = Box::new(io);
        let connector = TlsConnector::from(trust.client());
        let greeted = connector.connect(name.clone(), io).await;
        greeted
            .map(Stream::encrypted)
            .map_err(|source| DialError::Tls {
                host: self.resolver.host().to_owned(),
                source,
            })
    }
}

// === impl DialError ===

impl DialError {
    /// Its row of the remedies.
    pub(crate) fn mistake(&self) -> Remedy {
        match self {
            Self::Resolve { .. } => NAME_UNRESOLVED,
            Self::Connect { .. } => CONNECTION_REFUSED,
            Self::Proxy { .. } => PROXY,
            Self::TimedOut(_) => CONNECTION_SILENT,
            Self::Tls { source, .. } => of_tls(source),
        }
    }
}

fn of_tls(error: &std::io::Error) -> Remedy {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TLS_NAME
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TLS_EXPIRED,
            _ => TLS_AUTHORITY,
        },
        _ => TLS_FOREIGN,
    }
}
