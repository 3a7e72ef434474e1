//! Bodies on their way through: nothing is kept, each piece goes on as it comes, and the route's
//! clocks see it pass.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use berth_process::clock;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::access::Entry;
use crate::guard::Answering;
use crate::limits::Passage;
use crate::pace::Pace;
use crate::pool::Sender;
use crate::route::Live;

/// What goes up.
#[derive(Debug)]
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// The client's bytes.
    Client(Upload),
}

/// Why a request's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client broke off, or the framing.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The client is slower than the limit.
    #[error("the client sends its body too slowly")]
    Slow,
}

/// A client's body, and how fast it comes.
#[derive(Debug)]
pub struct Upload {
    incoming: Incoming,
    live: Arc<Live>,
    pace: Pace,
}

impl RequestBody {
    /// The client's body, or nothing if it has none. It must bring so many bytes a second.
    pub fn of(incoming: Incoming, live: &Arc<Live>, least_per_second: u64) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        let pace = Pace::new(least_per_second);
        Self::Client(Upload { incoming, live: live.clone(), pace })
    }
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => {
                ready!(self.pace.poll_slow(cx));
                return Poll::Ready(Some(Err(BodyError::Slow)));
            }
            Poll::Ready(frame) => frame,
        };
        if let Some(Ok(frame)) = &frame {
            self.live.client_sent(clock::now());
            self.pace.came(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Client(upload) => upload.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(upload) => upload.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(upload) => upload.incoming.size_hint(),
        }
    }
}

/// What goes down, and what ends with it.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    /// Lets go when the answer has ended.
    pub ends: Ends,
}

#[derive(Debug)]
enum Content {
    /// Our own words.
    Own(Full<Bytes>),
    /// The upstream's bytes.
    Upstream(Relay),
}

/// What ends with an answer.
#[derive(Debug, Default)]
pub struct Ends {
    /// Its place among those that may be under way.
    pub passage: Option<Passage>,
    /// The connection's account of answers.
    pub answering: Option<Answering>,
    /// Its line in the access log.
    pub entry: Option<Box<Entry>>,
}

impl ResponseBody {
    /// A text of ours.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self { content: Content::Own(Full::new(text.into())), ends: Ends::default() }
    }

    /// An upstream's body.
    pub fn upstream(relay: Relay) -> Self {
        Self { content: Content::Upstream(relay), ends: Ends::default() }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // The front does not ask for the end of a body whose length is known.
        let whole = self.is_end_stream();
        if let Some(entry) = &mut self.ends.entry {
            entry.whole |= whole;
        }
    }
}

/// An upstream's body, with the connection it comes on. Read to its end, it gives the connection
/// back; dropped before, it closes it.
#[derive(Debug)]
pub struct Relay {
    incoming: Incoming,
    live: Arc<Live>,
    sender: Option<Sender>,
    counts: bool,
    finished: bool,
}

impl Relay {
    /// `counts` says whether the end of this answer is activity.
    pub fn new(incoming: Incoming, live: Arc<Live>, sender: Sender, counts: bool) -> Self {
        Self { incoming, live, sender: Some(sender), counts, finished: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => self.live.server_sent(clock::now()),
            Some(Err(_)) => self.finished = true,
            None => self.finish(),
        }
        Poll::Ready(frame)
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if self.counts {
            self.live.active(clock::now());
        }
        if let Some(sender) = self.sender.take() {
            self.live.pool.put(sender);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The front does not ask for the end of a body whose length is known.
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(match &mut this.content {
            Content::Own(text) => Pin::new(text)
                .poll_frame(cx)
                .map(|frame| frame.map(|ok| ok.map_err(|e| match e {}))),
            Content::Upstream(relay) => relay.poll(cx),
        });
        if let Some(entry) = &mut this.ends.entry {
            match &frame {
                Some(Ok(frame)) => {
                    let count = frame.data_ref().map_or(0, Bytes::len);
                    entry.bytes = entry.bytes.saturating_add(count as u64);
                }
                Some(Err(_)) => {}
                None => entry.whole = true,
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(text) => text.is_end_stream(),
            Content::Upstream(relay) => relay.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(text) => text.size_hint(),
            Content::Upstream(relay) => relay.incoming.size_hint(),
        }
    }
}
