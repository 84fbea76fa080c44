//! The HTTP client for what is no batch: STS, Entra.
//!
//! In: what is trusted and the [`Network`]. Out: whole [`Answer`]s, bounded in time and size, or an [`HttpError`] in which no
//! URL and no secret stands. A redirect is an answer like any other, and no connection is kept: an exchange is too rare for
//! one to be still open. What is reached through a proxy is decided by the same rules as for batches.

use std::sync::Arc;
use std::time::Duration;

use hyper::{HeaderMap, StatusCode, Uri};
use zeroize::Zeroizing;

use crate::config::Network;
use crate::dial::{DialError, Dialer, LONGEST_DIAL};

/// An exchange that takes longer is tried again instead.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A true answer has about 2 KiB.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Calls whatever gives credentials.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    network: Network,
    tls: Arc<rustls::ClientConfig>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, wiped when it is dropped.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why no whole answer came.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// DNS, connection, TLS or a connection that broke.
    #[error("{}", chain(.0))]
    Transport(#[source] reqwest::Error),
    /// The proxy on the way did not lead there.
    #[error(transparent)]
    Proxy(DialError),
    /// It took longer than 5 s.
    #[error("no whole answer within 5 s")]
    TimedOut,
    /// More than 64 KiB.
    #[error("its answer ({0}) is larger than 64 KiB")]
    TooLarge(StatusCode),
    /// The client could not be built.
    #[error("the HTTP client could not be built: {}", chain(.0))]
    Build(#[source] reqwest::Error),
}

// === impl HttpClient ===

impl HttpClient {
    /// Trusts what `tls` trusts.
    ///
    /// # Errors
    /// [`HttpError::Build`].
    pub fn new(tls: &Arc<rustls::ClientConfig>, network: &Network) -> Result<Self, HttpError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(tls))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(LONGEST_DIAL)
            .pool_max_idle_per_host(0)
            .user_agent(crate::USER_AGENT)
            .proxy(proxy(network.clone()))
            .build()
            .map_err(HttpError::Build)?;
        Ok(Self {
            client,
            network: network.clone(),
            tls: Arc::clone(tls),
        })
    }

    /// A POST to be filled and sent with [`HttpClient::send`].
    pub fn post(&self, url: &Uri) -> reqwest::RequestBuilder {
        self.client.post(url.to_string())
    }

    /// Sends, and reads the answer whole.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, HttpError> {
        let request = request.build().map_err(transport)?;
        let url = request.url().as_str().parse().unwrap_or_default();
        let mut response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(self.why(&url, error).await),
            Err(error) => return Err(transport(error)),
        };
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(HttpError::TooLarge(response.status()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    /// reqwest does not tell what a proxy answered: the dialer, which does, takes the same way once more.
    async fn why(&self, url: &Uri, error: reqwest::Error) -> HttpError {
        if self.network.proxy_for(url).is_none() {
            return transport(error);
        }
        match Dialer::new(url, &self.network, &self.tls) {
            Some(dialer) => match dialer.dial().await {
                Ok(_) => transport(error),
                Err(why) => HttpError::Proxy(why),
            },
            None => transport(error),
        }
    }
}

/// reqwest asks for each URL; what stands in the environment does not count here.
fn proxy(network: Network) -> reqwest::Proxy {
    let authorization = network
        .proxy()
        .and_then(|proxy| proxy.authorization.clone());
    let by_url = reqwest::Proxy::custom(move |url: &reqwest::Url| {
        let url = url.as_str().parse().ok()?;
        network.proxy_for(&url).map(|proxy| proxy.url.to_string())
    });
    match authorization {
        Some(authorization) => by_url.custom_http_auth(authorization),
        None => by_url,
    }
}

fn transport(error: reqwest::Error) -> HttpError {
    if error.is_timeout() {
        HttpError::TimedOut
    } else {
        HttpError::Transport(error.without_url())
    }
}

/// An error with its causes, which reqwest's own text leaves out; never with the URL, which may be private.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
