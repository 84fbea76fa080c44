//! A small HTTP/1.1 client for peers on loopback.
//!
//! In: an address, and TLS or none. Out: answers over one kept-alive connection that is made anew where it broke. A status
//! is known even where the body behind it breaks, because to Prometheus too a 2xx head is final. Nothing is sent twice:
//! whether that is right only the caller knows.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A minute of a large Prometheus' raw samples has some megabytes.
const BODY_AT_MOST: usize = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection.
    #[error("cannot connect")]
    Connect(#[from] io::Error),
    /// The connection broke, or what came is no HTTP.
    #[error("the connection broke before the response was complete")]
    Http(#[from] hyper::Error),
    /// The body broke or is too large.
    #[error("the body cannot be read: {0}")]
    Body(String),
    /// It took too long.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The request cannot be made.
    #[error("invalid request: {0}")]
    Request(#[from] http::Error),
    /// The answer is not 200.
    #[error("answered {status}: {text}")]
    Status {
        /// Its status.
        status: StatusCode,
        /// Its body.
        text: String,
    },
}

/// One connection at a time to one address.
#[derive(Debug)]
pub(crate) struct Caller {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    within: Duration,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// An answer whose head came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Bytes, CallError>,
}

// === impl Caller ===

impl Caller {
    /// Gives each call so long, connection and body included.
    pub(crate) fn new(address: SocketAddr, within: Duration) -> Self {
        Self {
            address,
            tls: None,
            within,
            open: None,
        }
    }

    /// Speaks TLS; the certificate must be for the address.
    pub(crate) fn secured(self, tls: Arc<ClientConfig>) -> Self {
        Self {
            tls: Some(tls),
            ..self
        }
    }

    /// Sends once and reads the answer.
    pub(crate) async fn call(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, CallError> {
        let within = self.within;
        let kept = self.open.take();
        let exchange = async {
            let mut sender = match still_open(kept).await {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY_AT_MOST).collect().await;
            let body = match body {
                Ok(body) => {
                    self.open = Some(sender);
                    Ok(body.to_bytes())
                }
                Err(error) => Err(CallError::Body(error.to_string())),
            };
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(CallError::TimedOut(within)),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, CallError> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => shake_hands(stream).await,
            Some(tls) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                let stream = TlsConnector::from(Arc::clone(tls))
                    .connect(name, stream)
                    .await?;
                shake_hands(stream).await
            }
        }
    }
}

async fn still_open(kept: Option<SendRequest<Full<Bytes>>>) -> Option<SendRequest<Full<Bytes>>> {
    let mut sender = kept?;
    sender.ready().await.is_ok().then_some(sender)
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> Result<SendRequest<Full<Bytes>>, CallError> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself once the sender is dropped.
    drop(tokio::spawn(connection));
    Ok(sender)
}

/// The text that `path` answers with 200.
pub(crate) async fn text(
    address: SocketAddr,
    method: http::Method,
    path: &str,
    within: Duration,
) -> Result<String, CallError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .body(Full::default())?;
    let answer = Caller::new(address, within).call(request).await?;
    let text = String::from_utf8_lossy(&answer.body?).into_owned();
    match answer.status {
        StatusCode::OK => Ok(text),
        status => Err(CallError::Status { status, text }),
    }
}
