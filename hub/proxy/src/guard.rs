//! A connection whose requests passed the strict grammar of [`framing`](crate::framing). It stands
//! beneath the HTTP library, reads into that library's own buffer and keeps bytes only while a
//! head is incomplete, so an idle connection costs no memory here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::Version;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::framing::{HEAD_MAX, State, Step, step};
use crate::io::Io;
use crate::socket;

/// Time for one head from its first byte: a sender slower than this ties up memory for nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a client that has closed its half is looked after while it waits for an answer.
const STILL_THERE: Duration = Duration::from_secs(1);

/// After so many looks it is sent an interim answer, which clients of HTTP/1.1 must expect at any
/// time (RFC 9110, 15.2). Only to sent bytes does a kernel say that a client has closed for good;
/// else that shows after the minute in which its kernel forgets the connection.
const LOOKS: u32 = 3;

/// That answer.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What is handed to the HTTP library instead of a refused head: it answers 400 and closes.
const REFUSED: &[u8] = b"\0\r\n\r\n";

/// The most fields that a head may have: the HTTP library answers 431 to more. It is the library's
/// own limit, for which it has room on its stack; any other costs an allocation each request.
pub const FIELDS_MAX: usize = 100;

/// What the service and the guarded stream tell each other about the requests of a connection.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How many heads have passed.
    passed: AtomicU64,
    /// How many answers have ended.
    answered: AtomicU64,
    /// Number of the request behind which bytes are held, or 0.
    held: AtomicU64,
    /// Whether an answer of HTTP/1.1 is awaited and its head has not been made.
    awaited: AtomicBool,
    decision: Mutex<Decision>,
}

#[derive(Debug, Default)]
struct Decision {
    /// Whether the held bytes are the other protocol's.
    raw: Option<bool>,
    waker: Option<Waker>,
}

/// An answer that has not ended.
#[derive(Debug)]
pub struct Answering(Gate);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A request has come to the service.
    pub fn begin(&self, version: Version) {
        self.0.awaited.store(version == Version::HTTP_11, Ordering::Release);
    }

    /// After the answer to the request of this number (from 1): whether it was a 101.
    pub fn decide(&self, request: u64, raw: bool) {
        self.0.awaited.store(false, Ordering::Release);
        if self.0.held.load(Ordering::Acquire) == request {
            self.0.held.store(0, Ordering::Release);
            let mut decision = self.decision();
            decision.raw = Some(raw);
            if let Some(waker) = decision.waker.take() {
                waker.wake();
            }
        }
    }

    /// To be held as long as an answer is on its way.
    pub fn answering(&self) -> Answering {
        Answering(self.clone())
    }

    fn passed_head(&self, held: bool) {
        let number = self.0.passed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if held {
            self.0.held.store(number, Ordering::Release);
        }
    }

    fn owes_an_answer(&self) -> bool {
        self.0.passed.load(Ordering::Relaxed) > self.0.answered.load(Ordering::Relaxed)
    }

    fn poll_decision(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut decision = self.decision();
        match decision.raw.take() {
            Some(raw) => Poll::Ready(raw),
            None => {
                decision.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn decision(&self) -> MutexGuard<'_, Decision> {
        self.0.decision.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A byte stream of checked requests.
#[derive(Debug)]
pub struct Guarded {
    inner: Io,
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
    /// Runs while a client that has closed its half waits for its answer.
    look_after: Option<Pin<Box<Sleep>>>,
    looks: u32,
    /// Whether the HTTP library has nothing half written.
    flushed: bool,
    /// How long nothing may come or go before the connection is dropped; websockets are exempt.
    silence: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Guarded {
    /// Guards a stream. `silence` is how long it may be silent.
    pub fn new(inner: Io, gate: Gate, silence: Option<Duration>) -> Self {
        let silence = silence.map(|limit| (limit, Box::pin(sleep(limit))));
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
            look_after: None,
            looks: 0,
            flushed: true,
        }
    }

    /// The bare stream, and what was read from it and not passed on.
    pub fn into_inner(self) -> (Io, Vec<u8>) {
        (self.inner, self.pending)
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

impl Guarded {
    /// The client has closed its half. It still wants the answers that it asked for; nobody who is
    /// gone does.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ended = true;
        if self.state != State::Head || !self.pending.is_empty() || !self.gate.owes_an_answer() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let look = self.look_after.get_or_insert_with(|| {
                socket::watch_closely(&self.inner, STILL_THERE);
                Box::pin(sleep(STILL_THERE))
            });
            ready!(look.as_mut().poll(cx));
            look.as_mut().reset(Instant::now() + STILL_THERE);
            let mut ends = [PollFd::new(&self.inner, PollFlags::empty())];
            let polled = poll(&mut ends, Some(&Timespec::default()));
            if polled.is_ok_and(|count| count > 0) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            self.looks = self.looks.saturating_add(1);
            if self.looks == LOOKS && self.flushed && self.gate.0.awaited.load(Ordering::Acquire) {
                // Into an empty buffer a few bytes always go whole.
                let _ = Pin::new(&mut self.inner).poll_write(cx, INTERIM)?;
                let _ = Pin::new(&mut self.inner).poll_flush(cx)?;
            }
        }
    }

    /// Looks at fresh bytes in the HTTP library's own buffer, from `before` on. Whether they may
    /// stay there; what may not is kept back.
    fn pass_in_place(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<bool> {
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(fresh);
            buffer.set_filled(before);
            self.check()?;
            return Ok(false);
        }
        if self.state == State::Raw {
            return Ok(true);
        }
        let mut passed = 0_usize;
        while let Some(rest) = fresh.get(passed..).filter(|rest| !rest.is_empty()) {
            let in_head = self.state == State::Head;
            let Step::Pass(count) = step(&mut self.state, rest, 0) else { break };
            passed = passed.saturating_add(count);
            if in_head {
                self.gate.passed_head(self.state == State::Held);
            }
        }
        if passed < fresh.len() {
            self.pending.extend_from_slice(fresh.get(passed..).unwrap_or_default());
            buffer.set_filled(before.saturating_add(passed));
            self.check()?;
        }
        Ok(passed > 0)
    }
}

impl AsyncRead for Guarded {
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
            if this.ended {
                return this.poll_ended(cx);
            }
            let before = buffer.filled().len();
            let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
            if read.is_pending() && !this.pending.is_empty() && this.state == State::Head {
                let deadline =
                    this.head_deadline.get_or_insert_with(|| Box::pin(sleep(HEAD_TIMEOUT)));
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
            if buffer.filled().len() == before {
                if this.state == State::Held {
                    this.ended = true;
                    return Poll::Ready(Ok(()));
                }
                return this.poll_ended(cx);
            }
            let stays = this.pass_in_place(buffer, before)?;
            if this.state != State::Head || this.pending.len() == this.cleared {
                this.head_deadline = None;
            }
            if stays {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.heard();
        this.flushed = false;
        Pin::new(&mut this.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.heard();
        this.flushed = false;
        Pin::new(&mut this.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        this.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
