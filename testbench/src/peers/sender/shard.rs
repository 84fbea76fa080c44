//! One queue of a built-in sender: batches, one after the other, each until there is an answer to it that is final.
//!
//! In: points, in the order in which they were made, and where to write to. Out: requests, and the results of their samples in
//! the sender's record. A URL that changes counts for the batch that is tried too, so that one whose URL is repaired loses
//! nothing that was not refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::body::{Entry, Schema};
use super::record::Shared;
use crate::peers::PeerError;
use crate::peers::call::{Answer, CallError, Caller};

/// Prometheus' `remote_timeout`.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const SHORTEST_PAUSE: Duration = Duration::from_millis(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One sample on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) series: usize,
    pub(super) timestamp: i64,
    pub(super) value: f64,
}

pub(super) struct Shard {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: mpsc::Receiver<Point>,
    pub(super) schema: Schema,
    pub(super) caller: Caller,
    pub(super) target: watch::Receiver<WriteTarget>,
    pub(super) batch: usize,
    pub(super) batch_deadline: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct WriteTarget {
    pub(super) address: SocketAddr,
    host: String,
    path: String,
}

/// What an answer means for a batch.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing is sent again.
    Final {
        is_success: bool,
        /// So many samples are stored.
        stored: u64,
    },
    Again(Option<Duration>),
}

// === impl Shard ===

impl Shard {
    /// Sends until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        let mut points = Vec::with_capacity(self.batch);
        while self.fill(&mut points).await {
            match self.body(&points) {
                Ok(body) => self.deliver(body, points.len() as u64).await,
                // Cannot happen below 4 GiB; it would show as samples missing.
                Err(_too_large) => self.shared.record().sent.lost += points.len() as u64,
            }
            points.clear();
        }
    }

    /// False once the queue is closed and empty.
    async fn fill(&mut self, points: &mut Vec<Point>) -> bool {
        let Some(first) = self.queue.recv().await else {
            return false;
        };
        points.push(first);
        let deadline = Instant::now() + self.batch_deadline;
        while points.len() < self.batch {
            match tokio::time::timeout_at(deadline, self.queue.recv()).await {
                Ok(Some(point)) => points.push(point),
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    fn body(&self, points: &[Point]) -> Result<Bytes, snap::Error> {
        let labels = &self.shared.labels;
        let entries = points.iter().filter_map(|point| {
            Some(Entry {
                labels: labels.get(point.series)?,
                timestamp: point.timestamp,
                value: point.value,
            })
        });
        self.schema.pack(entries)
    }

    /// Tries for as long as there is hope.
    async fn deliver(&mut self, body: Bytes, samples: u64) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            if self.target.has_changed().unwrap_or_default() {
                let address = self.target.borrow_and_update().address;
                self.caller = Caller::new(address, ANSWER_WITHIN);
            }
            let request = self.target.borrow().request(self.schema, body.clone());
            let fate = match request {
                Ok(request) => fate(&self.caller.call(request).await, self.schema, samples),
                Err(_) => Fate::lost(),
            };
            match fate {
                Fate::Final { is_success, stored } => {
                    let sent = &mut self.shared.record().sent;
                    sent.batches += u64::from(is_success);
                    sent.delivered += stored;
                    sent.lost += samples - stored;
                    return;
                }
                Fate::Again(asked) => {
                    self.shared.record().sent.retries += 1;
                    tokio::time::sleep(asked.unwrap_or(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

impl WriteTarget {
    /// Of a plain http URL with an IP address.
    pub(super) fn of(url: &str) -> Result<Self, PeerError> {
        let parsed = || {
            let uri: Uri = url.parse().ok()?;
            let authority = uri.authority()?;
            let address = authority.as_str().parse().ok()?;
            (uri.scheme_str() == Some("http")).then(|| Self {
                address,
                host: authority.to_string(),
                path: uri.path().to_owned(),
            })
        };
        parsed().ok_or_else(|| PeerError::Url(url.to_owned()))
    }

    fn request(&self, schema: Schema, body: Bytes) -> Result<Request<Full<Bytes>>, http::Error> {
        let [content_type, version] = schema.headers();
        Request::post(&self.path)
            .header(header::HOST, &self.host)
            .header(
                header::USER_AGENT,
                concat!("emulator/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONTENT_TYPE, content_type)
            .header(header::CONTENT_ENCODING, "snappy")
            .header("x-prometheus-remote-write-version", version)
            .body(Full::new(body))
    }
}

impl Fate {
    fn lost() -> Self {
        Self::Final {
            is_success: false,
            stored: 0,
        }
    }
}

/// A head below 500 is final whatever its body does; no answer and 5xx are tried again.
fn fate(called: &Result<Answer, CallError>, schema: Schema, samples: u64) -> Fate {
    match called {
        Ok(answer) if answer.status.is_server_error() => {
            let asked = answer.headers.get(header::RETRY_AFTER);
            let seconds = asked.and_then(|value| value.to_str().ok()?.parse().ok());
            Fate::Again(seconds.map(Duration::from_secs))
        }
        Ok(answer) => {
            let is_success = answer.status.is_success();
            Fate::Final {
                is_success,
                stored: schema.stored(is_success, &answer.headers, samples),
            }
        }
        Err(_) => Fate::Again(None),
    }
}
