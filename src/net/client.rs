//! The HTTP client for few and small calls: STS, Entra ID, and an issuer's documents.
//!
//! In: a URL, headers and a form. Out: the [`HttpResponse`], whatever its status, or an [`HttpError`] that names DNS, proxy, TLS or
//! whatever else failed. Each call opens its own connection, made like those for batches; so it uses the same proxy and the current
//! trusted certificates. Time and size are bounded, and redirects are not followed, because the form carries a token. Forms and bodies
//! are wiped from memory when dropped.
//!
//! reqwest was rejected: it does not give a proxy's response, so a failed call had to be repeated to be explained, and it fixes the
//! trusted roots at construction.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::http::{between, date};
use crate::net::connect::{Connect, Connectors};
use crate::net::error::HttpError;

/// The content type of a form.
pub(crate) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// A longer call fails and is retried later.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A genuine response has about 2 KiB.
const LARGEST_BODY: usize = 64 * 1024;
/// Room for most bodies, which then grow without a copy.
const USUAL_BODY: usize = 8 * 1024;

/// Makes the calls; clones are the same.
#[derive(Debug, Clone)]
pub struct HttpClient(Arc<dyn Connectors>);

/// A complete response.
pub struct HttpResponse {
    pub status: StatusCode,
    /// The `Date` header of a peer that TLS has verified.
    pub verified_date: Option<SystemTime>,
    /// Who responded, by `Server`, `Via` or the title of a web page; often empty.
    pub(crate) responder: String,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

// === impl HttpClient ===

impl HttpClient {
    /// A client that connects through `connectors`.
    #[must_use]
    pub fn new(connectors: Arc<dyn Connectors>) -> Self {
        Self(connectors)
    }

    /// Posts a form.
    pub(crate) async fn post(
        &self,
        url: &Uri,
        mut headers: HeaderMap,
        form: String,
    ) -> Result<HttpResponse, HttpError> {
        headers.insert(CONTENT_TYPE, FORM);
        self.post_signed(url, headers, form).await
    }

    /// Posts a body whose type is among the headers.
    pub(crate) async fn post_signed(
        &self,
        url: &Uri,
        headers: HeaderMap,
        body: String,
    ) -> Result<HttpResponse, HttpError> {
        let body = Bytes::from_owner(Zeroizing::new(body));
        self.call(Method::POST, url, headers, body).await
    }

    /// Gets a document of one of these types.
    pub(crate) async fn get(
        &self,
        url: &Uri,
        accept: &'static str,
    ) -> Result<HttpResponse, HttpError> {
        let accept = (ACCEPT, HeaderValue::from_static(accept));
        self.get_with(url, HeaderMap::from_iter([accept])).await
    }

    /// Gets a document with these headers.
    pub(crate) async fn get_with(
        &self,
        url: &Uri,
        headers: HeaderMap,
    ) -> Result<HttpResponse, HttpError> {
        self.call(Method::GET, url, headers, Bytes::new()).await
    }

    async fn call(
        &self,
        method: Method,
        url: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpResponse, HttpError> {
        let connector = self.0.connector(url).ok_or(HttpError::Url)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        if let Some(path) = url.path_and_query() {
            *request.uri_mut() = Uri::from(path.clone());
        }
        *request.headers_mut() = headers;
        complete(request.headers_mut(), url);
        let call = exchange(&*connector, request);
        let answered = tokio::time::timeout(TIMEOUT, call).await;
        answered.unwrap_or(Err(HttpError::TimedOut))
    }
}

/// Adds the headers that every request has; a signed one already has its `Host`.
pub(crate) fn complete(headers: &mut HeaderMap, url: &Uri) {
    headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
    let usual_port = if url.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    let host = url.host().unwrap_or_default();
    let host = match url.port_u16().filter(|port| *port != usual_port) {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}")),
        None => HeaderValue::from_str(host),
    };
    if let Ok(host) = host {
        headers.entry(HOST).or_insert(host);
    }
}

/// One request over a connection of its own.
async fn exchange(
    connector: &dyn Connect,
    request: Request<Full<Bytes>>,
) -> Result<HttpResponse, HttpError> {
    let stream = connector.connect().await?;
    let handshake = http1::Builder::new()
        .max_buf_size(LARGEST_BODY)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(HttpError::of)?;
    // Ends the connection with the call, also if the call is cancelled.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(HttpError::of)?;
    let response = read(response, connector.is_verified()).await?;
    // Nothing is left but a clean close.
    driver.detach_all();
    Ok(response)
}

async fn read(response: Response<Incoming>, verified: bool) -> Result<HttpResponse, HttpError> {
    let (head, mut body) = response.into_parts();
    let length = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.clamp(USUAL_BODY, LARGEST_BODY)));
    while let Some(frame) = body.frame().await {
        if let Some(chunk) = frame.map_err(HttpError::of)?.data_ref() {
            if bytes.len() + chunk.len() > LARGEST_BODY {
                return Err(HttpError::TooLarge(head.status));
            }
            bytes.extend_from_slice(chunk);
        }
    }
    Ok(HttpResponse {
        status: head.status,
        verified_date: date::of(&head.headers).filter(|_| verified),
        responder: between::describe(&head.headers, &bytes),
        headers: head.headers,
        body: bytes,
    })
}

// === impl HttpResponse ===

impl HttpResponse {
    #[cfg(any(test, feature = "internals"))]
    /// A response of this status and body.
    #[must_use]
    pub fn new(status: StatusCode, verified_date: Option<SystemTime>, body: Vec<u8>) -> Self {
        Self {
            status,
            verified_date,
            responder: String::new(),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body),
        }
    }

    #[cfg(any(test, feature = "internals"))]
    /// The same with these headers.
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }

    /// A header of the response.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// The body, where it is UTF-8.
    #[must_use]
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may hold credentials.
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("verified_date", &self.verified_date)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Network;
    use crate::net::error::ConnectError;
    use crate::net::tls::Trust;
    use crate::net::transport::NetworkTransport;

    fn client() -> HttpClient {
        HttpClient::new(Arc::new(NetworkTransport {
            trust: Trust::new(&[]).unwrap(),
            network: Network::default(),
        }))
    }

    /// The result of a call that gets this response, and whether another request came.
    async fn answered(head: &str, body: Vec<u8>) -> (Result<HttpResponse, HttpError>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap();
        let head = head.replace("HOST", &host.to_string());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 2048];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(head.as_bytes()).await.unwrap();
            // The client may have closed early.
            stream.write_all(&body).await.unwrap_or_default();
            drop(stream);
            let again = tokio::time::timeout(Duration::from_millis(300), listener.accept());
            again.await.is_ok()
        });
        let url = format!("http://{host}/").parse().unwrap();
        let form = "a=b".to_owned();
        let answer = client().post(&url, HeaderMap::new(), form).await;
        (answer, serving.await.unwrap())
    }

    #[tokio::test]
    async fn an_answer_is_bounded_and_a_redirect_is_not_followed() {
        let length = 65 * 1024;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let (answer, _) = answered(&head, vec![b'x'; length]).await;
        assert!(
            matches!(answer, Err(HttpError::TooLarge(StatusCode::OK))),
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

    /// The request that reaches a server, and the call's result if the server then closes the connection.
    async fn sent(path: &str, headers: HeaderMap) -> (String, Result<HttpResponse, HttpError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let seen = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"a=b") {
                stream.read_buf(&mut request).await.unwrap();
            }
            String::from_utf8(request).unwrap()
        });
        let url = url.parse().unwrap();
        let result = client().post(&url, headers, "a=b".to_owned()).await;
        (seen.await.unwrap(), result)
    }

    #[tokio::test]
    async fn a_request_has_one_host_and_a_closed_connection_is_an_error_of_its_own() {
        let (request, result) = sent("/path?query", HeaderMap::new()).await;
        assert!(
            request.starts_with("POST /path?query HTTP/1.1\r\n"),
            "{request}"
        );
        for header in [
            "host: 127.0.0.1:",
            "user-agent: amp-sidecar/",
            "content-length: 3\r\n",
            "content-type: application/x-www-form-urlencoded\r\n",
        ] {
            assert_eq!(request.matches(header).count(), 1, "{request}");
        }
        let error = result.unwrap_err();
        assert!(matches!(error, HttpError::Broken(_)), "{error:?}");
        assert_eq!(error.name(), "unreachable");

        let signed = HeaderMap::from_iter([(HOST, HeaderValue::from_static("as.signed:443"))]);
        let (request, _) = sent("", signed).await;
        assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("host: as.signed:443\r\n"), "{request}");
        assert_eq!(request.matches("host: ").count(), 1, "{request}");
    }

    async fn failed(url: &str) -> HttpError {
        client()
            .get(&url.parse().unwrap(), "*/*")
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn an_error_names_what_failed() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        let error = failed(&format!("http://{address}/")).await;
        assert!(
            matches!(error, HttpError::Connect(ConnectError::Tcp { .. })),
            "{error:?}"
        );
        assert!(error.to_string().contains(&address.to_string()), "{error}");

        // RFC 6761: no resolver may find this name.
        let error = failed("https://nowhere.invalid/").await.to_string();
        let words = "name nowhere.invalid was not resolved";
        assert!(error.contains(words), "{error}");

        let (answer, _) = answered("SSH-2.0-OpenSSH_9.2\r\n\r\n", Vec::new()).await;
        assert!(matches!(answer, Err(HttpError::NotHttp(_))), "{answer:?}");

        for url in ["/no/host", "ftp://host.example/"] {
            let error = failed(url).await;
            assert!(matches!(error, HttpError::Url), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_not_shown() {
        let response = HttpResponse::new(StatusCode::OK, None, b"secret".to_vec());
        let shown = format!("{response:?}");
        let bytes = format!("{:?}", b"secret");
        assert!(!shown.contains("secret") && !shown.contains(bytes.trim_matches(['[', ']'])));
    }
}
