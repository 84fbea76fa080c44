//! Real host names that lead to this process, and the proxy that anyone gets there by.
//!
//! In: names with the addresses of sockets here. Out: an address for a name, and a CONNECT proxy for `HTTPS_PROXY`, behind which every program
//! finds AWS, Entra ID and the issuer under their own names, with nothing else changed. Any other host is refused: nothing leaves the machine.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const HEAD_AT_MOST: usize = 8 * 1024;
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Host names, and who stands for each. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Arc<BTreeMap<String, SocketAddr>>);

/// A running proxy; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct NameProxy {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

// === impl Names ===

impl Names {
    pub(crate) fn address(&self, host: &str) -> Option<SocketAddr> {
        self.0.get(host).copied()
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}

impl FromIterator<(String, SocketAddr)> for Names {
    fn from_iter<I: IntoIterator<Item = (String, SocketAddr)>>(names: I) -> Self {
        Self(Arc::new(names.into_iter().collect()))
    }
}

// === impl NameProxy ===

impl NameProxy {
    /// Listens at `address`; port 0 takes a free one.
    pub(crate) async fn start(address: SocketAddr, names: Names) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            accepting: tokio::spawn(accept(listener, names)),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameProxy {
    fn drop(&mut self) {
        // The task owns every connection's task, so that they end with it.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, names: Names) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(relay(stream, names.clone()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn relay(mut client: TcpStream, names: Names) -> io::Result<()> {
    let head = tokio::time::timeout(HEAD_WITHIN, head(&mut client)).await??;
    let Some(address) = target(&head).and_then(|(host, _)| names.address(host)) else {
        let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return client.write_all(refusal.as_bytes()).await;
    };
    let mut server = TcpStream::connect(address).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Everything up to the empty line; the client sends nothing more before the answer.
async fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_AT_MOST {
        head.push(client.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// Host and port of `CONNECT host:port HTTP/1.1`.
fn target(head: &str) -> Option<(&str, &str)> {
    let line = head.lines().next()?;
    let (method, rest) = line.split_once(' ')?;
    let (authority, _) = rest.split_once(' ')?;
    (method == "CONNECT")
        .then(|| authority.rsplit_once(':'))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(proxy: &NameProxy, request: &str) -> String {
        let mut client = TcpStream::connect(proxy.address()).await.expect("proxy");
        client.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("read");
        answer
    }

    #[tokio::test]
    async fn a_known_name_leads_here_and_any_other_nowhere() {
        let here = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = here.local_addr().expect("bound");
        tokio::spawn(async move {
            let (mut stream, _) = here.accept().await.expect("a client");
            stream.write_all(b"it is me").await.expect("written");
        });
        let names = Names::from_iter([("sts.amazonaws.com".to_owned(), address)]);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let proxy = NameProxy::start(any, names).await.expect("a proxy");
        let known = "CONNECT sts.amazonaws.com:443 HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(said(&proxy, known).await, "HTTP/1.1 200 OK\r\n\r\nit is me");
        for other in [
            known.replace("sts.", "iam."),
            known.replace("CONNECT ", "GET http://"),
        ] {
            let answer = said(&proxy, &other).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        }
    }
}
