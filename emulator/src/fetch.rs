//! STS' own small client: reads an identity provider's documents.
//!
//! In: a URL. Out: the JSON behind it, or which of the ways of not getting it
//! happened. One connection a document, a few seconds in all, a capped body,
//! no redirects: as little as AWS grants an identity provider.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::names::Names;

const DOCUMENT_AT_MOST: usize = 256 * 1024;
/// kube-apiserver has the keys as a key set alone, and answers 406 to who accepts only JSON.
const ACCEPT: &str = "application/json, application/jwk-set+json";
/// How long AWS waits for an identity provider.
const WITHIN: Duration = Duration::from_secs(5);

/// Reads JSON documents over http and https.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    tls: Arc<ClientConfig>,
    names: Names,
}

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("not a URL that can be fetched: {0}")]
    Url(String),
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the connection broke before the response was complete")]
    Http(#[from] hyper::Error),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("the body cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the body is not what was expected")]
    Json(#[from] serde_json::Error),
    #[error("no answer in time")]
    TimedOut,
}

impl Fetcher {
    /// Who trusts as `tls` says, and finds the hosts in `names` here.
    pub(crate) fn new(tls: Arc<ClientConfig>, names: Names) -> Self {
        Self { tls, names }
    }

    /// The JSON at `url`.
    pub(crate) async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let body = tokio::time::timeout(WITHIN, self.get(url))
            .await
            .map_err(|_elapsed| FetchError::TimedOut)??;
        Ok(serde_json::from_slice(&body)?)
    }

    async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let bad_url = || FetchError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad_url())?;
        let host = uri.host().ok_or_else(bad_url)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad_url()),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connected = match self.names.address(host) {
            Some(address) => TcpStream::connect(address).await,
            None => TcpStream::connect((host, port)).await,
        };
        let stream = connected.map_err(FetchError::Connect)?;
        let request = Request::get(uri.path())
            .header(
                header::HOST,
                uri.authority().map_or(host, |authority| authority.as_str()),
            )
            .header(header::ACCEPT, ACCEPT)
            .body(Empty::new())
            .map_err(|_| bad_url())?;
        if secure {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| bad_url())?;
            let stream = TlsConnector::from(Arc::clone(&self.tls))
                .connect(name, stream)
                .await
                .map_err(FetchError::Tls)?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<Bytes, FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself once the sender is dropped.
    drop(tokio::spawn(connection));
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), DOCUMENT_AT_MOST)
        .collect()
        .await
        .map_err(FetchError::Body)?;
    Ok(body.to_bytes())
}
