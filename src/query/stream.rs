//! Streams a response to the client.
//!
//! In: the body of AMP's response. Out: a [`Streamed`] body with the same bytes, at most [`MAX_RESPONSE_BYTES`] and not past
//! the deadline. On a failure the body ends with an error and the client's connection is closed, so that a truncated response
//! cannot look complete.
//!
//! A task of its own reads from AMP. If the client's connection drove the reading, a client that stops reading would hold AMP's
//! connection and the query's slot beyond every deadline. The end is an explicit message, and a channel that closes without it
//! is an error, so no failure on this side looks like an end. (http-body-util's own channel body has no such message and may
//! lose its last chunk.)

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::net::pool::{Connection, Pool};
use crate::query::slots::Slot;
use crate::telemetry::QueryMetrics;

/// Maximum response size; AMP limits what a query may read, not the size of the result.
pub const MAX_RESPONSE_BYTES: u64 = 64 << 20;

/// The body of a response.
#[derive(Debug)]
pub struct Streamed {
    parts: mpsc::Receiver<StreamPart>,
    ended: bool,
}

/// The response is incomplete.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the response is incomplete")]
pub struct Truncated;

#[derive(Debug)]
enum StreamPart {
    Chunk(Bytes),
    End,
}

/// Why a response is incomplete; also the metric's label.
enum StreamFailure {
    TooLarge,
    TimedOut,
    Upstream,
    Reader,
}

/// Everything that a response needs while it is streamed.
#[derive(Debug)]
pub(super) struct StreamSource {
    pub(super) body: Incoming,
    /// The body's connection, released to the pool after the last byte.
    pub(super) connection: Connection,
    pub(super) pool: Arc<Pool>,
    /// When the last byte must have arrived.
    pub(super) deadline: Instant,
    pub(super) metrics: QueryMetrics,
    /// The metric's label `api`.
    pub(super) api: &'static str,
    /// Released when the response is complete or the client is gone.
    pub(super) slot: Slot,
}

// === impl Streamed ===

impl Streamed {
    #[must_use]
    pub(super) fn from(source: StreamSource) -> Self {
        // One chunk waits while the one before it is written.
        let (sender, parts) = mpsc::channel(1);
        tokio::spawn(source.pump(sender));
        Self {
            parts,
            ended: false,
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = ready!(self.parts.poll_recv(cx));
        if let Some(StreamPart::Chunk(chunk)) = part {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        self.ended = true;
        Poll::Ready(match part {
            Some(_) => None,
            None => Some(Err(Truncated)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

// === impl StreamSource ===

impl StreamSource {
    async fn pump(self, sender: mpsc::Sender<StreamPart>) {
        let Self {
            mut body,
            connection,
            pool,
            deadline,
            metrics,
            api,
            slot,
        } = self;
        let result = async {
            let mut left = MAX_RESPONSE_BYTES;
            while let Some(frame) = body.frame().await {
                // Trailers are not forwarded.
                let Ok(chunk) = frame.map_err(|_| StreamFailure::Upstream)?.into_data() else {
                    continue;
                };
                let len = chunk.len() as u64;
                left = left.checked_sub(len).ok_or(StreamFailure::TooLarge)?;
                let sent = sender.send(StreamPart::Chunk(chunk)).await;
                sent.map_err(|_| StreamFailure::Reader)?;
                metrics.streamed(api, len);
            }
            sender
                .send(StreamPart::End)
                .await
                .map_err(|_| StreamFailure::Reader)
        };
        let result = tokio::select! {
            result = tokio::time::timeout_at(deadline, result) => {
                result.unwrap_or(Err(StreamFailure::TimedOut))
            }
            () = sender.closed() => Err(StreamFailure::Reader),
        };
        match result {
            Ok(()) => pool.release(connection),
            Err(why) => {
                tracing::debug!(api, reason = why.name(), "query response truncated");
                metrics.broken_off(why.name());
            }
        }
        drop(slot);
    }
}

// === impl StreamFailure ===

impl StreamFailure {
    fn name(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::TimedOut => "timed_out",
            Self::Upstream => "upstream",
            Self::Reader => "reader_gone",
        }
    }
}
