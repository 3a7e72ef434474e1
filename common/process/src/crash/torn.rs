//! A send that is torn: the process dies when some of its bytes have left, and the rest has not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream with a crash point inside of each of its writes. Made by
/// [`crash_inside_writes!`](crate::crash_inside_writes).
#[derive(Debug)]
pub struct Torn<S> {
    stream: S,
    point: &'static str,
    /// Passed when what was written has left.
    sent: Option<&'static str>,
    unsent: bool,
    now: Now,
}

/// What becomes of the write under way: a stream that is not ready is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Idle,
    Passed,
    Tears,
}

impl<S> Torn<S> {
    /// A stream whose writes pass a registered point.
    pub fn new(stream: S, point: &'static str) -> Self {
        Self { stream, point, sent: None, unsent: false, now: Now::Idle }
    }

    /// Also passes a registered point whenever all that was written has left, before an answer to
    /// it is read.
    #[must_use]
    pub fn and_sent(self, point: &'static str) -> Self {
        Self { sent: Some(point), ..self }
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Torn<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Torn<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Of a single byte there is no half.
        let half = bytes.len() / 2;
        if self.now == Now::Idle && half > 0 {
            self.now = if super::is_due(self.point) { Now::Tears } else { Now::Passed };
        }
        let tears = self.now == Now::Tears;
        let bytes = if tears { bytes.get(..half).unwrap_or(bytes) } else { bytes };
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.now = Now::Idle;
        self.unsent = true;
        if tears {
            super::die();
        }
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unsent = true;
        if super::armed().is_none() {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[], |slice| slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        if std::mem::take(&mut self.unsent)
            && let Some(point) = self.sent
        {
            super::pass(point);
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
