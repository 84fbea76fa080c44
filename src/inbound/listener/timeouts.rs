//! How long a connection may wait for a request, and a request for the rest of its head.
//!
//! In: a client's stream, and by a [`Phase`] whether one of its requests is in progress. Out: the same stream, whose reads fail once the
//! time is over, which closes the connection without a response. From the start of a connection, and from the first byte of a head, the
//! limit is [`Timeouts::head`]; between two requests it is [`Timeouts::idle`]. Further bytes do not extend it, so a client that
//! sends one byte at a time holds a connection no longer. While a request is in progress there is no limit here: its body and AMP
//! have their own.
//!
//! As a response begins, the stream also looks whether its client is still there ([`Phase::was_left`]). hyper does not: a client may have closed
//! its sending half only, and then gets its response. One that hung up does not, and sends the same batch again.
//!
//! hyper's `header_read_timeout` was rejected: it runs from the end of the previous request, so it is one limit for both.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
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
pub struct Phase {
    state: AtomicU8,
    was_left: AtomicBool,
}

const HEAD: u8 = 0;
const REQUEST: u8 = 1;
const ANSWERED: u8 = 2;
const IDLE: u8 = 3;
/// The response is under way, and the client was there when it began, or does not matter.
const UNDER_WAY: u8 = 5;
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
    /// The first byte of the next request, if it came before the response to the last one.
    ahead: Option<u8>,
    /// Created when a read first has to wait.
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Phase ===

impl Phase {
    /// A head is complete.
    pub fn request_begins(&self) {
        self.set(REQUEST);
    }

    /// The response is being written; `is_awaited` if it matters whether the client is still there.
    pub fn request_ends(&self, is_awaited: bool) {
        self.set(if is_awaited { ANSWERED } else { UNDER_WAY });
    }

    /// Whether the client had hung up when a response began that it should have awaited.
    pub fn was_left(&self) -> bool {
        self.was_left.load(Ordering::Relaxed)
    }

    /// Whether the client spoke TLS, so that there was no request.
    pub fn began_as_tls(&self) -> bool {
        self.get() == TLS
    }

    fn get(&self) -> u8 {
        self.state.load(Ordering::Relaxed)
    }

    fn set(&self, phase: u8) {
        self.state.store(phase, Ordering::Relaxed);
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
            ahead: None,
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

impl<C: AsyncRead + Unpin> Timed<'_, C> {
    /// Before the first byte of a response: whether the client is still there.
    fn look(&mut self, cx: &mut Context<'_>) {
        if self.phase.get() != ANSWERED {
            return;
        }
        self.phase.set(UNDER_WAY);
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            self.ahead = buffer.filled().first().copied();
            if read.is_err() || self.ahead.is_none() {
                self.phase.was_left.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Timed<'_, C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if matches!(self.phase.get(), ANSWERED | UNDER_WAY) {
            self.begin(IDLE);
        }
        let before = buffer.filled().len();
        let read = match self.ahead.take() {
            Some(byte) => {
                buffer.put_slice(&[byte]);
                Poll::Ready(Ok(()))
            }
            None => Pin::new(&mut self.stream).poll_read(cx, buffer),
        };
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
impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<'_, C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.phase.get() == IDLE {
            self.since = Instant::now();
        }
        self.look(cx);
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
        self.look(cx);
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}
