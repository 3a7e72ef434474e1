//! A connection whose requests passed the strict grammar of [`framing`](crate::framing). It stands
//! beneath the HTTP library, reads into that library's own buffer and keeps bytes only while a
//! head is incomplete, so an idle connection costs no memory here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::framing::{HEAD_MAX, State, Step, step};

/// Time for one head from its first byte: a sender slower than this ties up memory for nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What is handed to the HTTP library instead of a refused head: it answers 400 and closes.
const REFUSED: &[u8] = b"\0\r\n\r\n";

/// The most fields that a head may have: the HTTP library answers 431 to more. It is the library's
/// own limit, for which it has room on its stack; any other costs an allocation each request.
pub const FIELDS_MAX: usize = 100;

/// Where the service tells the guarded stream whether another protocol follows a request.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<Decision>>);

#[derive(Debug, Default)]
struct Decision {
    /// Number of requests whose head has passed.
    passed: u64,
    /// Number of the request behind which bytes are held.
    held: Option<u64>,
    /// Whether the bytes are the other protocol's.
    raw: Option<bool>,
    waker: Option<Waker>,
}

impl Gate {
    /// After the answer to the request of this number (from 1): whether it was a 101.
    pub fn decide(&self, request: u64, raw: bool) {
        let mut decision = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if decision.held == Some(request) {
            decision.held = None;
            decision.raw = Some(raw);
            if let Some(waker) = decision.waker.take() {
                waker.wake();
            }
        }
    }

    fn passed_head(&self, held: bool) {
        let mut decision = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        decision.passed = decision.passed.saturating_add(1);
        if held {
            decision.held = Some(decision.passed);
        }
    }

    fn poll_decision(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut decision = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match decision.raw.take() {
            Some(raw) => Poll::Ready(raw),
            None => {
                decision.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A byte stream of checked requests.
#[derive(Debug)]
pub struct Guarded<T> {
    inner: T,
    gate: Gate,
    state: State,
    /// Bytes read and not yet passed on.
    pending: Vec<u8>,
    /// How many of them are checked and may go.
    cleared: usize,
    /// How many behind those have been looked at.
    scanned: usize,
    refused: bool,
    ended: bool,
    head_deadline: Option<Pin<Box<Sleep>>>,
    /// How long nothing may come or go before the connection is dropped; websockets are exempt.
    silence: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl<T> Guarded<T> {
    /// Guards a stream. `silence` is how long it may be silent.
    pub fn new(inner: T, gate: Gate, silence: Option<Duration>) -> Self {
        let silence = silence.map(|limit| (limit, Box::pin(tokio::time::sleep(limit))));
        Self {
            silence,
            inner,
            gate,
            state: State::default(),
            pending: Vec::new(),
            cleared: 0,
            scanned: 0,
            refused: false,
            ended: false,
            head_deadline: None,
        }
    }

    /// Checks pending bytes as far as possible; sets `cleared`. An error is a broken body.
    fn check(&mut self) -> io::Result<()> {
        while !self.refused {
            let rest = self.pending.get(self.cleared..).unwrap_or_default();
            let in_head = self.state == State::Head;
            match step(&mut self.state, rest, self.scanned) {
                Step::Pass(count) => {
                    self.cleared = self.cleared.saturating_add(count);
                    self.scanned = 0;
                    if in_head {
                        self.gate.passed_head(self.state == State::Held);
                    }
                }
                Step::More => {
                    self.scanned = rest.len();
                    return Ok(());
                }
                Step::Hold => return Ok(()),
                Step::Refuse(reason) => {
                    tracing::debug!(reason, "request refused");
                    if !in_head {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                    }
                    self.refuse(REFUSED);
                }
                Step::TooLong => {
                    // A head with one field too many, for which the library has the right answer.
                    let fields = b"a:\r\n".repeat(FIELDS_MAX.saturating_add(1));
                    self.refuse(&[b"GET / HTTP/1.1\r\n", fields.as_slice(), b"\r\n"].concat());
                }
            }
        }
        Ok(())
    }

    /// Something came or went.
    fn heard(&mut self) {
        if let Some((limit, deadline)) = &mut self.silence {
            deadline.as_mut().reset(Instant::now() + *limit);
        }
    }

    fn refuse(&mut self, instead: &[u8]) {
        self.refused = true;
        self.pending.truncate(self.cleared);
        self.pending.extend_from_slice(instead);
        self.cleared = self.pending.len();
    }

    /// Hands out cleared bytes; whether there were any.
    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let count = self.cleared.min(buffer.remaining());
        if count == 0 {
            return false;
        }
        buffer.put_slice(self.pending.get(..count).unwrap_or_default());
        self.pending.drain(..count);
        self.cleared = self.cleared.saturating_sub(count);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        true
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.hand_out(buffer) || this.refused || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if this.state == State::Held
                && let Poll::Ready(raw) = this.gate.poll_decision(cx)
            {
                this.state = if raw { State::Raw } else { State::Head };
                this.scanned = 0;
                this.check()?;
                continue;
            }
            // While held, a limited look at the stream goes on, to notice a client that leaves.
            if this.state == State::Held && (this.ended || this.pending.len() >= HEAD_MAX) {
                return Poll::Pending;
            }
            let before = buffer.filled().len();
            let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
            if read.is_pending() && !this.pending.is_empty() && this.state == State::Head {
                let deadline = this
                    .head_deadline
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(HEAD_TIMEOUT)));
                ready!(deadline.as_mut().poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if read.is_pending()
                && this.state != State::Raw
                && let Some((_, deadline)) = &mut this.silence
            {
                ready!(deadline.as_mut().poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            ready!(read)?;
            this.heard();
            let filled = buffer.filled().len();
            if filled == before {
                this.ended = true;
                return Poll::Ready(Ok(()));
            }
            if this.state == State::Raw && this.pending.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let fresh = buffer.filled().get(before..).unwrap_or_default();
            if let State::Body(missing) = &mut this.state
                && this.pending.is_empty()
                && *missing > fresh.len() as u64
            {
                // The common case of a big upload: nothing is copied.
                *missing = missing.saturating_sub(fresh.len() as u64);
                return Poll::Ready(Ok(()));
            }
            this.pending.extend_from_slice(fresh);
            buffer.set_filled(before);
            this.check()?;
            if this.state != State::Head || this.pending.len() == this.cleared {
                this.head_deadline = None;
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.heard();
        Pin::new(&mut this.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.heard();
        Pin::new(&mut this.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
