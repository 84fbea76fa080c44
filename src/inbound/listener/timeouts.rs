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
//! A connection without a request for [`Timeouts::park`] is parked, and at once where others wait for their turn: it drops the buffers
//! of its HTTP and waits with one byte ([`Timed::readable`]), which is handed on when it comes.
//!
//! hyper's `header_read_timeout` was rejected: it runs from the end of the previous request, so it is one limit for both.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

/// Senders send every 15, 30, 60 or 120 s, and a connection that closes just as the next request arrives breaks that request: so the
/// idle time is longer than each of these and no multiple of any.
pub const TIMEOUTS: Timeouts = Timeouts {
    head: Duration::from_secs(30),
    idle: Duration::from_secs(125),
    park: Duration::from_secs(1),
};

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From a head's first byte to its last.
    pub head: Duration,
    /// From an answer to the next head's first byte.
    pub idle: Duration,
    /// From an answer to the moment when it is parked.
    pub park: Duration,
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
/// Idle, and for so long that its buffers are to be dropped.
const PARKED: u8 = 6;
/// The first head, of which the first byte is that of a TLS handshake.
const TLS: u8 = 5;
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
    /// What was read before the next read, or why nothing was.
    held: Option<io::Result<Bytes>>,
    /// Returned when its request is answered.
    turn: Option<OwnedSemaphorePermit>,
    /// Whether all turns were taken then.
    crowded: bool,
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

    /// Returns once the connection is parked; polled whenever its stream was.
    pub async fn parked(&self) {
        poll_fn(|_| {
            if self.is_parked() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether it is parked now.
    pub fn is_parked(&self) -> bool {
        self.get() == PARKED
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
            held: None,
            turn: None,
            crowded: false,
            timer: None,
        }
    }

    /// Keeps this permit until the next request is answered.
    pub fn take_turn(&mut self, turn: Option<OwnedSemaphorePermit>) {
        self.turn = turn;
    }

    /// Hands these bytes on with the next read.
    pub fn hold(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.held = Some(Ok(bytes));
        }
    }

    fn begin(&mut self, phase: u8) {
        self.phase.set(phase);
        self.since = Instant::now();
    }

    /// Ready once the time limit has passed.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.phase.get() == IDLE {
            if !self.crowded {
                ready!(self.poll_until(self.since + self.timeouts.park, cx));
            }
            self.phase.set(PARKED);
        }
        match self.phase.get() {
            HEAD | TLS => self.poll_until(self.since + self.timeouts.head, cx),
            PARKED => self.poll_until(self.since + self.timeouts.idle, cx),
            _ => Poll::Pending,
        }
    }

    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
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
        if self.held.is_some() {
            return;
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            if read.is_err() || buffer.filled().is_empty() {
                self.phase.was_left.store(true, Ordering::Relaxed);
            }
            // The next request, which came before the response to the last one.
            self.hold(Bytes::copy_from_slice(buffer.filled()));
        }
    }

    /// Waits for the first byte, the end, an error or the time limit, with no buffer; the next read gets it.
    pub async fn readable(&mut self) {
        if self.held.is_none() {
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            let read = poll_fn(|cx| self.poll_in_time(cx, &mut buffer)).await;
            self.held = Some(read.map(|()| Bytes::copy_from_slice(buffer.filled())));
        }
        if self.phase.is_parked() {
            self.phase.set(IDLE);
        }
    }

    fn poll_in_time(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            ready!(self.poll_over(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }

    /// Hands on what is held, or reads.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.held.take() {
            None => self.poll_in_time(cx, buffer),
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(mut bytes)) => {
                let fits = bytes.len().min(buffer.remaining());
                buffer.put_slice(&bytes.copy_to_bytes(fits));
                self.hold(bytes);
                // As one read: hyper grows its buffer with what a read brings.
                if fits > 0 && self.held.is_none() {
                    let more = Pin::new(&mut self.stream).poll_read(cx, buffer);
                    if let Poll::Ready(Err(error)) = more {
                        self.held = Some(Err(error));
                    }
                }
                Poll::Ready(Ok(()))
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
            let turn = self.turn.take();
            self.crowded = turn.is_some_and(|turn| turn.semaphore().available_permits() == 0);
        }
        let before = buffer.filled().len();
        let read = ready!(self.poll_next(cx, buffer));
        if let Some(first) = buffer.filled().get(before) {
            if self.nothing_read && *first == TLS_HANDSHAKE {
                self.phase.set(TLS);
            }
            self.nothing_read = false;
            if self.phase.get() == IDLE {
                self.begin(HEAD);
            }
        }
        Poll::Ready(read)
    }
}

/// A write while no head is awaited restarts the idle time: a long response is not idleness. A parked connection stays open.
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
        if self.phase.is_parked() {
            return Poll::Ready(Ok(()));
        }
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
