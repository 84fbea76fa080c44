//! A tunnel through a proxy, by CONNECT (RFC 9110, 9.3.6).
//!
//! In: an open connection to the proxy. Out: the same connection, which now leads to the target, or a [`ProxyError`] with the proxy's
//! response and its remedy. hyper limits the size of the response head and hands over what it read beyond it; the caller sets the
//! timeout. hyper-util's own tunnel was rejected because it does not give the response status.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::upgrade::{self, Upgraded};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::net::error::ProxyError;
use crate::net::stream::Io;

/// hyper's minimum for the head of a response.
const LARGEST_HEAD: usize = 8 * 1024;

/// Opens a tunnel to `target`, host and port.
pub(super) async fn open(
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
    // Ends with this function, after it has handed over the connection.
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
    use crate::net::error::ConnectError;
    use crate::remedies::first_hour::PROXY;
    use crate::remedies::running::{PROXY_DENIED, PROXY_FAILED, PROXY_NO_PASSWORD, PROXY_PASSWORD};

    /// The result of CONNECT for this response, and the request that the proxy got.
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
            // The client may have closed early.
            let _written = proxy.write_all(&answer).await;
            (String::from_utf8(head).unwrap(), proxy)
        });
        let target = Uri::from_static("aps-workspaces.eu-central-1.amazonaws.com:443");
        let result =
            tokio::time::timeout(Duration::from_secs(5), open(ours, &target, authorization));
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
        for (status, authorization, remedy) in [
            ("407 Authenticate", None, PROXY_NO_PASSWORD),
            ("407 Authenticate", Some(&secret), PROXY_PASSWORD),
            ("401 Unauthorized", Some(&secret), PROXY_PASSWORD),
            ("403 Filtered", Some(&secret), PROXY_DENIED),
            ("502 Bad", None, PROXY_FAILED),
            ("302 Found", None, PROXY),
        ] {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno\n");
            let (result, head) = ask(answer.as_bytes(), authorization).await;
            let error = ConnectError::Proxy {
                proxy: "http://proxy:3128".to_owned(),
                source: result.err().unwrap(),
            };
            let text = error.to_string();
            assert!(
                text.contains("amazonaws.com:443 with ") && text.contains(&status[..3]),
                "{text}"
            );
            assert!(!text.contains("c2VjcmV0"), "{text}");
            assert_eq!(error.remedy(), remedy, "{status}");
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
            let error = ask(answer, None).await.0.err().unwrap().to_string();
            assert!(error.starts_with("no response to CONNECT "), "{error}");
        }
    }
}
