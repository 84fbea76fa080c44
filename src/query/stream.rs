//! An answer on its way to the reader.
//!
//! In: the body of AMP's answer. Out: a [`Streamed`] body that gives the same bytes as they come, never more than
//! [`LARGEST_ANSWER`] and never after the deadline: then it breaks off, and the reader's connection with it, so that half an
//! answer cannot be taken for a whole one.
//!
//! A task of its own does the reading. Were it done while the reader's connection asks for more, a reader that stops
//! asking would keep AMP's connection and the query's slot beyond every deadline. The end is sent as a word of its own,
//! and a channel that closes without it is a break: so no fault on this side can look like an end. (For want of that,
//! http-body-util's own channel body may lose its last chunk where it ends.)

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

/// The most that a reader is given; AMP bounds what a query may touch, not what it answers.
pub const LARGEST_ANSWER: u64 = 64 << 20;

/// The body of an answer.
#[derive(Debug)]
pub struct Streamed {
    parts: mpsc::Receiver<StreamPart>,
    ended: bool,
}

/// The answer was not given to its end.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer breaks off")]
pub struct BrokenOff;

#[derive(Debug)]
enum StreamPart {
    Chunk(Bytes),
    End,
}

/// Why an answer was not given to its end; also the metric's label.
enum Break {
    TooLarge,
    TimedOut,
    Upstream,
    Reader,
}

/// What an answer holds on to while it is on its way.
#[derive(Debug)]
pub(super) struct StreamSource {
    /// The body.
    pub(super) body: Incoming,
    /// What it comes from, to be released once it was read to its end.
    pub(super) connection: Connection,
    /// Where it is released to.
    pub(super) pool: Arc<Pool>,
    /// By when the last byte must have come.
    pub(super) deadline: Instant,
    /// Counts the bytes.
    pub(super) metrics: QueryMetrics,
    /// Which API was asked: the metric's label.
    pub(super) api: &'static str,
    /// Free again when all was given or nobody takes it any more.
    pub(super) slot: Slot,
}

// === impl Streamed ===

impl Streamed {
    /// Begins to read.
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
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
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
            None => Some(Err(BrokenOff)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

// === impl Source ===

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
        let given = async {
            let mut left = LARGEST_ANSWER;
            while let Some(frame) = body.frame().await {
                // Trailers are no part of an answer.
                let Ok(chunk) = frame.map_err(|_| Break::Upstream)?.into_data() else {
                    continue;
                };
                let len = chunk.len() as u64;
                left = left.checked_sub(len).ok_or(Break::TooLarge)?;
                let sent = sender.send(StreamPart::Chunk(chunk)).await;
                sent.map_err(|_| Break::Reader)?;
                metrics.streamed(api, len);
            }
            sender
                .send(StreamPart::End)
                .await
                .map_err(|_| Break::Reader)
        };
        let given = tokio::select! {
            given = tokio::time::timeout_at(deadline, given) => {
                given.unwrap_or(Err(Break::TimedOut))
            }
            () = sender.closed() => Err(Break::Reader),
        };
        match given {
            Ok(()) => pool.release(connection),
            Err(why) => {
                tracing::debug!(api, reason = why.name(), "an answer broke off");
                metrics.broken_off(why.name());
            }
        }
        drop(slot);
    }
}

// === impl Break ===

impl Break {
    fn name(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::TimedOut => "timed_out",
            Self::Upstream => "upstream",
            Self::Reader => "reader_gone",
        }
    }
}
