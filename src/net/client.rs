//! One call of a service that gives tokens or credentials: STS or Entra.
//!
//! In: a form and the headers to send it with. Out: the [`Answer`], whatever its status, or a [`CallError`]. Bounded in time and
//! size, and no redirect is followed, because the form carries a token. What was read is wiped from memory when dropped.
//! The way there is the [`Network`]'s, as it is for batches; what the environment says of proxies does not count here.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::config::Network;
use crate::http::date;
use crate::net::connect::{DialError, Dialer, LONGEST_DIAL};
use crate::net::tls::Trust;
use crate::net::tls_client::HttpClient;
use crate::remedies::{CONNECTION_REFUSED, STS_FOREIGN, TIMED_OUT};

/// The content type of what is sent.
pub const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// A call that takes longer is made again instead.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A true answer has about 2 KiB.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Takes a request to its service, and brings the head of the answer back.
pub trait Carry: fmt::Debug + Send + Sync {
    /// One request; its answer's body is read from what this gives.
    fn carry(
        &self,
        request: reqwest::Request,
    ) -> Pin<Box<dyn Future<Output = reqwest::Result<reqwest::Response>> + Send + '_>>;
}

/// Makes the calls; clones share one client.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Arc<dyn Carry>,
    network: Network,
    trust: Trust,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The time of a peer that TLS has verified.
    pub verified_date: Option<SystemTime>,
    body: Zeroizing<Vec<u8>>,
}

/// Why no answer came; the words complete the name of the service.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// DNS, connection, TLS or a connection that broke.
    #[error("could not be reached: {}", chain(.0))]
    Unreachable(#[source] reqwest::Error),
    /// The proxy on the way did not lead there.
    #[error("could not be reached: {0}")]
    Proxy(#[source] DialError),
    /// No whole answer came in time.
    #[error("did not answer within 5 s")]
    TimedOut,
    /// The answer is larger than any true one.
    #[error("answered ({0}) with more than 64 KiB")]
    TooLarge(StatusCode),
}

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the client for STS and Entra could not be built: {}", chain(.0))]
pub struct ClientError(#[source] pub(crate) reqwest::Error);

// === impl Caller ===

impl Caller {
    /// A client that trusts what `trust` says.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn new(trust: &Trust, network: &Network) -> Result<Self, ClientError> {
        let by = network.clone();
        let client = HttpClient::new(trust, move || {
            reqwest::Client::builder()
                .proxy(proxy(by.clone()))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(LONGEST_DIAL)
                .pool_max_idle_per_host(0)
                .user_agent(crate::USER_AGENT)
        });
        let client = client.map_err(ClientError)?;
        Ok(Self::over(Arc::new(client), trust, network))
    }

    /// A caller whose requests `client` carries.
    #[must_use]
    pub fn over(client: Arc<dyn Carry>, trust: &Trust, network: &Network) -> Self {
        Self {
            client,
            network: network.clone(),
            trust: trust.clone(),
        }
    }

    /// Posts a form.
    ///
    /// # Errors
    /// [`CallError`] where no whole answer came.
    pub async fn post(
        &self,
        url: &Uri,
        mut headers: HeaderMap,
        form: String,
    ) -> Result<Answer, CallError> {
        headers.insert(CONTENT_TYPE, FORM);
        self.call(Method::POST, url, headers, form).await
    }

    /// Reads what stands at a URL.
    ///
    /// # Errors
    /// [`CallError`] where no whole answer came.
    pub async fn get(&self, url: &Uri) -> Result<Answer, CallError> {
        self.call(Method::GET, url, HeaderMap::new(), String::new())
            .await
    }

    async fn call(
        &self,
        method: Method,
        url: &Uri,
        headers: HeaderMap,
        body: String,
    ) -> Result<Answer, CallError> {
        let mut request = hyper::Request::new(body);
        (*request.method_mut(), *request.uri_mut()) = (method, url.clone());
        *request.headers_mut() = headers;
        let request = reqwest::Request::try_from(request).map_err(CallError::of)?;
        let deadline = Instant::now() + TIMEOUT;
        let carried = match timeout_at(deadline, self.client.carry(request)).await {
            Ok(carried) => carried,
            Err(_) => return Err(CallError::TimedOut),
        };
        let response = match carried {
            Ok(response) => response,
            Err(error) => return Err(self.why(url, error).await),
        };
        let read = timeout_at(deadline, Self::read(url, response)).await;
        read.unwrap_or(Err(CallError::TimedOut))
    }

    async fn read(url: &Uri, mut response: reqwest::Response) -> Result<Answer, CallError> {
        let status = response.status();
        let verified = url.scheme_str() == Some("https");
        let verified_date = date::of(response.headers()).filter(|_| verified);
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(CallError::of)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(CallError::TooLarge(status));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            verified_date,
            body,
        })
    }
}

impl Carry for HttpClient {
    fn carry(
        &self,
        request: reqwest::Request,
    ) -> Pin<Box<dyn Future<Output = reqwest::Result<reqwest::Response>> + Send + '_>> {
        let client = self.get();
        Box::pin(async move { client.execute(request).await })
    }
}

impl Caller {
    /// reqwest keeps a proxy's answer to itself: the dialer, which tells it, takes the same way once more.
    async fn why(&self, url: &Uri, error: reqwest::Error) -> CallError {
        if error.is_connect()
            && self.network.proxy_for(url).is_some()
            && let Some(dialer) = Dialer::new(url, &self.network, &self.trust)
            && let Err(why) = dialer.dial().await
        {
            return CallError::Proxy(why);
        }
        CallError::of(error)
    }
}

/// reqwest asks for each URL.
pub(crate) fn proxy(network: Network) -> reqwest::Proxy {
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

// === impl Answer ===

impl Answer {
    /// An answer of this status and body.
    #[must_use]
    pub fn new(status: StatusCode, verified_date: Option<SystemTime>, body: Vec<u8>) -> Self {
        Self {
            status,
            verified_date,
            body: Zeroizing::new(body),
        }
    }

    /// The body, where it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

// === impl CallError ===

impl CallError {
    /// The metric's label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Proxy(_) => "proxy",
            Self::TimedOut => "timed_out",
            Self::TooLarge(_) => "unusable_answer",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => CONNECTION_REFUSED.remedy,
            Self::Proxy(error) => error.mistake().remedy,
            Self::TimedOut => TIMED_OUT.remedy,
            Self::TooLarge(_) => STS_FOREIGN.remedy,
        }
    }

    fn of(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else {
            // The URL may be private.
            Self::Unreachable(error.without_url())
        }
    }
}

/// An error with its causes, which reqwest's own text leaves out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of a call that is answered so, and whether another request came.
    async fn answered(head: &str, body: Vec<u8>) -> (Result<Answer, CallError>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap();
        let head = head.replace("HOST", &host.to_string());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 2048];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(head.as_bytes()).await.unwrap();
            // The reader may have had enough.
            stream.write_all(&body).await.unwrap_or_default();
            drop(stream);
            let again = tokio::time::timeout(Duration::from_millis(300), listener.accept());
            again.await.is_ok()
        });
        let caller = Caller::new(
            &crate::net::tls::Trust::new(&[]).unwrap(),
            &crate::config::Network::default(),
        )
        .unwrap();
        let url = format!("http://{host}/").parse().unwrap();
        let answer = caller.post(&url, HeaderMap::new(), "a=b".to_owned()).await;
        (answer, serving.await.unwrap())
    }

    #[tokio::test]
    async fn an_answer_is_bounded_and_a_redirect_is_not_followed() {
        let length = 65 * 1024;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let (answer, _) = answered(&head, vec![b'x'; length]).await;
        assert!(
            matches!(answer, Err(CallError::TooLarge(StatusCode::OK))),
            "{answer:?}"
        );

        let head = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://HOST/other\r\nContent-Length: 0\r\n\r\n";
        let (answer, again) = answered(head, Vec::new()).await;
        assert_eq!(answer.unwrap().status, StatusCode::TEMPORARY_REDIRECT);
        assert!(!again, "the redirect was followed");
    }

    #[tokio::test]
    async fn the_date_of_an_unverified_peer_teaches_nothing() {
        let head =
            "HTTP/1.1 200 OK\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\nContent-Length: 2\r\n\r\n";
        let (answer, _) = answered(head, b"ok".to_vec()).await;
        let answer = answer.unwrap();
        assert_eq!((answer.text(), answer.verified_date), (Some("ok"), None));
    }
}
