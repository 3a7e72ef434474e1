//! Bytes in one direction, without a buffer of their own while nothing flows: an idle websocket
//! holds no memory here.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// On the stack, for the time of one read.
const PIECE: usize = 16 * 1024;

/// One direction.
#[derive(Debug, Default)]
pub struct Copy {
    /// What was read and could not be written yet: at most one piece.
    held: Vec<u8>,
    written: usize,
    unflushed: bool,
    ended: bool,
}

impl Copy {
    /// Begins with bytes that were read before.
    pub fn of(held: Vec<u8>) -> Self {
        Self { held, ..Self::default() }
    }

    /// Copies until nothing more can be read or written. Ready when the source has ended and the
    /// sink was told. `seen` gets each piece read.
    ///
    /// # Errors
    /// When either side breaks.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        mut seen: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest) = self.held.get(self.written..).filter(|rest| !rest.is_empty()) {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written = self.written.saturating_add(count);
                self.unflushed = true;
            }
            self.held = Vec::new();
            self.written = 0;
            if self.ended {
                return Pin::new(to).poll_shutdown(cx);
            }
            let mut space = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *from).poll_read(cx, &mut piece) {
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(result) => result?,
            }
            let bytes = piece.filled();
            if bytes.is_empty() {
                self.ended = true;
                continue;
            }
            seen(bytes);
            let count = match Pin::new(&mut *to).poll_write(cx, bytes) {
                Poll::Pending => 0,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(result) => result?,
            };
            self.unflushed = true;
            self.held.extend_from_slice(bytes.get(count..).unwrap_or_default());
        }
    }

    /// Whether nothing that was read waits to be written.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
