//! How long a connection may wait for a request, and a request for the rest of its head.
//!
//! In: a client's stream, and by a [`Phase`] whether one of its requests is in progress. Out: the same stream, whose reads fail once the
//! time is over, which closes the connection without a response. From the start of a connection, and from the first byte of a head, the
//! limit is [`Timeouts::head`]; between two requests it is [`Timeouts::idle`]. Further bytes do not extend it, so a client that
//! sends one byte at a time holds a connection no longer. While a request is in progress there is no limit here: its body and AMP
//! have their own.
//!
//! hyper's `header_read_timeout` was rejected: it runs from the end of the previous request, so it is one limit for both.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Senders send every 15, 30, 60 or 120 s, and a connection that closes just as the next request arrives breaks that request: so the
/// idle time is longer than each of these and no multiple of any.
pub const TIMEOUTS: Timeouts = Timeouts {
    head: Duration::from_secs(30),
    idle: Duration::from_secs(125),
};

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From a head's first byte to its last.
    pub head: Duration,
    /// From an answer to the next head's first byte.
    pub idle: Duration,
}

/// The state of a connection; set by the service, read by its stream.
#[derive(Debug, Default)]
pub struct Phase(AtomicU8);

const HEAD: u8 = 0;
const REQUEST: u8 = 1;
const ANSWERED: u8 = 2;
const IDLE: u8 = 3;
/// The first head, of which the first byte is that of a TLS handshake.
const TLS: u8 = 4;
/// A record of type handshake; no method begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// A stream whose reads time out.
#[derive(Debug)]
pub struct Timed<'a, C> {
    stream: C,
    phase: &'a Phase,
    timeouts: Timeouts,
    /// When the head or the idle time began.
    since: Instant,
    nothing_read: bool,
    /// Created when a read first has to wait.
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Phase ===

impl Phase {
    /// A head is complete.
    pub fn request_begins(&self) {
        self.set(REQUEST);
    }

    /// The response is being written.
    pub fn request_ends(&self) {
        self.set(ANSWERED);
    }

    /// Whether the client spoke TLS, so that there was no request.
    pub fn began_as_tls(&self) -> bool {
        self.get() == TLS
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }
}

// === impl Timed ===

impl<'a, C> Timed<'a, C> {
    /// Wraps a stream that waits for a head from now on.
    #[must_use]
    pub fn new(stream: C, phase: &'a Phase, timeouts: Timeouts) -> Self {
        Self {
            stream,
            phase,
            timeouts,
            since: Instant::now(),
            nothing_read: true,
            timer: None,
        }
    }

    fn begin(&mut self, phase: u8) {
        self.phase.set(phase);
        self.since = Instant::now();
    }

    /// Ready once the time limit has passed.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.phase.get() {
            HEAD | TLS => self.since + self.timeouts.head,
            IDLE => self.since + self.timeouts.idle,
            _ => return Poll::Pending,
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Timed<'_, C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.phase.get() == ANSWERED {
            self.begin(IDLE);
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            ready!(self.poll_over(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Some(first) = buffer.filled().get(before) {
            if self.nothing_read && *first == TLS_HANDSHAKE {
                self.phase.set(TLS);
            }
            self.nothing_read = false;
            if self.phase.get() == IDLE {
                self.begin(HEAD);
            }
        }
        read
    }
}

/// A write while no head is awaited restarts the idle time: a long response is not idleness.
impl<C: AsyncWrite + Unpin> AsyncWrite for Timed<'_, C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.phase.get() == IDLE {
            self.since = Instant::now();
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.phase.get() == IDLE {
            self.since = Instant::now();
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}
