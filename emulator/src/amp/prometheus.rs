//! One exchange with the real Prometheus behind this AMP: a connection, a request, a whole answer.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// For connection, request and answer together.
const DEADLINE: Duration = Duration::from_secs(10);
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("{0:?} is not a plain http URL")]
    Url(String),
    #[error("the real Prometheus took longer than {DEADLINE:?}")]
    Deadline,
    #[error("cannot reach the real Prometheus: {0}")]
    Connect(#[from] io::Error),
    #[error("no answer from the real Prometheus: {0}")]
    Http(#[from] hyper::Error),
    #[error("cannot read the real Prometheus' answer: {0}")]
    Body(String),
}

/// Sends `request`, whose URI is the whole URL, and waits for its answer.
pub(super) async fn call(request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
    timeout(DEADLINE, exchange(request))
        .await
        .map_err(|_| CallError::Deadline)?
}

async fn exchange(mut request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
    let url = request.uri().clone();
    let not_a_url = || CallError::Url(url.to_string());
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(not_a_url());
    };
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| not_a_url())?;
    request.headers_mut().insert(header::HOST, host);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| not_a_url())?;

    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when `sender` is dropped; what goes wrong in it also comes out of `send_request`.
    tokio::spawn(connection);
    let (head, body) = sender
        .send_request(request.map(Full::new))
        .await?
        .into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| CallError::Body(error.to_string()))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}
