//! A proxy asked for the way by CONNECT (RFC 9110, 9.3.6).
//!
//! In: an open connection to the proxy. Out: the same connection, leading to the target, or a [`ProxyError`] with the proxy's
//! answer and what to do about it. hyper speaks it, which bounds the answer's head and hands over what was read beyond it;
//! the time is the dialer's. hyper-util's own tunnel was left because it keeps the answer's status to itself.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::upgrade::{self, Upgraded};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::stream::Io;
use crate::net::connect::DialError;

/// The least that hyper takes for the head of an answer.
const LARGEST_HEAD: usize = 8 * 1024;

/// Why a proxy did not lead to the target.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy itself could not be reached.
    #[error(transparent)]
    Unreached(Box<DialError>),
    /// It would not or could not.
    #[error("it answered CONNECT {target} with {status}{}", hint(*.status, *.authorized))]
    Refused {
        /// Host and port that were asked for.
        target: String,
        /// Its answer.
        status: StatusCode,
        /// Whether it was shown user and password.
        authorized: bool,
    },
    /// It closed the connection, or spoke something else than HTTP.
    #[error("it gave no answer to CONNECT {target}: {source}")]
    NoAnswer {
        /// Host and port that were asked for.
        target: String,
        /// What hyper made of it.
        source: hyper::Error,
    },
}

fn hint(status: StatusCode, authorized: bool) -> &'static str {
    match status.as_u16() {
        // tinyproxy says 401 to a wrong password.
        401 | 407 if authorized => {
            ": it does not take the user and password of --https-proxy (HTTPS_PROXY)"
        }
        401 | 407 => {
            ": it wants user and password, as http://user:password@host:port in --https-proxy (HTTPS_PROXY)"
        }
        403 | 405 => {
            ": host and port must be allowed there, or the host be named in --no-proxy (NO_PROXY)"
        }
        500..=599 => ": it could not reach that host itself",
        _ => "",
    }
}

/// Asks for `target`, host and port.
pub(super) async fn connect(
    proxy: impl Io + 'static,
    target: &Uri,
    authorization: Option<&HeaderValue>,
) -> Result<TokioIo<Upgraded>, ProxyError> {
    let no_answer = |source| ProxyError::NoAnswer {
        target: target.to_string(),
        source,
    };
    let handshake = http1::Builder::new()
        .max_buf_size(LARGEST_HEAD)
        .handshake(TokioIo::new(proxy));
    let (mut sender, connection) = handshake.await.map_err(no_answer)?;
    // Ends with this function: by then it has handed the connection over.
    let mut driver = JoinSet::new();
    driver.spawn(connection.with_upgrades());

    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    request.uri_mut().clone_from(target);
    let headers = request.headers_mut();
    if let Ok(host) = HeaderValue::from_str(&target.to_string()) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
    if let Some(authorization) = authorization {
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    let response = sender.send_request(request).await.map_err(no_answer)?;
    if !response.status().is_success() {
        return Err(ProxyError::Refused {
            target: target.to_string(),
            status: response.status(),
            authorized: authorization.is_some(),
        });
    }
    upgrade::on(response)
        .await
        .map(TokioIo::new)
        .map_err(no_answer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// What becomes of CONNECT where the proxy says `answer`, and what it had been asked.
    async fn ask(
        answer: &[u8],
        authorization: Option<&HeaderValue>,
    ) -> (Result<DuplexEnd, ProxyError>, String) {
        let (ours, mut proxy) = tokio::io::duplex(64 * 1024);
        let answer = answer.to_vec();
        let asked = tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(proxy.read_u8().await.unwrap());
            }
            // Whoever has heard enough may be gone.
            let _told = proxy.write_all(&answer).await;
            (String::from_utf8(head).unwrap(), proxy)
        });
        let target = Uri::from_static("aps-workspaces.eu-central-1.amazonaws.com:443");
        let result = tokio::time::timeout(
            Duration::from_secs(5),
            connect(ours, &target, authorization),
        );
        let result = result.await.expect("it hangs");
        let (head, proxy) = asked.await.unwrap();
        (result.map(|io| DuplexEnd { io, _proxy: proxy }), head)
    }

    struct DuplexEnd {
        io: TokioIo<Upgraded>,
        _proxy: DuplexStream,
    }

    #[tokio::test]
    async fn what_follows_the_answer_belongs_to_the_target() {
        let (result, head) = ask(
            b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello",
            None,
        )
        .await;
        let mut heard = [0; 5];
        result
            .ok()
            .unwrap()
            .io
            .read_exact(&mut heard)
            .await
            .unwrap();
        assert_eq!(&heard, b"hello");
        assert!(
            head.starts_with("CONNECT aps-workspaces.eu-central-1.amazonaws.com:443 HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(
            head.contains("host: aps-workspaces.eu-central-1.amazonaws.com:443\r\n"),
            "{head}"
        );
        assert!(!head.contains("proxy-authorization"), "{head}");
    }

    #[tokio::test]
    async fn each_refusal_says_what_to_do() {
        let secret = HeaderValue::from_static("Basic c2VjcmV0");
        for (status, authorization, words) in [
            (
                "407 Authenticate",
                None,
                "407 Proxy Authentication Required: it wants user and password",
            ),
            (
                "407 Authenticate",
                Some(&secret),
                "does not take the user and password of --https-proxy",
            ),
            (
                "401 Unauthorized",
                Some(&secret),
                "does not take the user and password of --https-proxy",
            ),
            (
                "403 Filtered",
                Some(&secret),
                "403 Forbidden: host and port must be allowed there",
            ),
            (
                "502 Bad",
                None,
                "502 Bad Gateway: it could not reach that host itself",
            ),
            ("302 Found", None, "with 302 Found"),
        ] {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno\n");
            let (result, head) = ask(answer.as_bytes(), authorization).await;
            let told = result.err().unwrap().to_string();
            assert!(
                told.contains(words) && told.contains("amazonaws.com:443"),
                "{told}"
            );
            assert!(!told.contains("c2VjcmV0"), "{told}");
            assert_eq!(
                head.contains("proxy-authorization: Basic c2VjcmV0\r\n"),
                authorization.is_some()
            );
        }
    }

    #[tokio::test]
    async fn an_answer_is_bounded_and_garbage_is_none() {
        let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
        endless.extend(b"X-A: b\r\n".repeat(4000));
        for answer in [
            &endless[..],
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
        ] {
            let told = ask(answer, None).await.0.err().unwrap().to_string();
            assert!(told.starts_with("it gave no answer to CONNECT "), "{told}");
        }
    }
}
