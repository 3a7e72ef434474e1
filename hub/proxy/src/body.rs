//! Bodies on their way through: nothing is kept, each piece goes on as it comes, and the route's
//! clocks see it pass.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use berth_process::clock;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::pool::Sender;
use crate::route::Live;

/// What goes up.
#[derive(Debug)]
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// The client's bytes.
    Client(Incoming, Arc<Live>),
}

impl RequestBody {
    /// The client's body, or nothing if it has none.
    pub fn of(incoming: Incoming, live: &Arc<Live>) -> Self {
        if incoming.is_end_stream() { Self::Empty } else { Self::Client(incoming, live.clone()) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Client(incoming, live) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                if let Some(Ok(_)) = &frame {
                    live.client_sent(clock::now());
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(incoming, _) => incoming.size_hint(),
        }
    }
}

/// What goes down.
#[derive(Debug)]
pub enum ResponseBody {
    /// Our own words.
    Own(Full<Bytes>),
    /// The upstream's bytes.
    Upstream(Relay),
}

impl ResponseBody {
    /// A text of ours.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::Own(Full::new(text.into()))
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
        match self.get_mut() {
            Self::Own(text) => Pin::new(text)
                .poll_frame(cx)
                .map(|frame| frame.map(|ok| ok.map_err(|e| match e {}))),
            Self::Upstream(relay) => {
                let frame = ready!(Pin::new(&mut relay.incoming).poll_frame(cx));
                match &frame {
                    Some(Ok(_)) => relay.live.server_sent(clock::now()),
                    Some(Err(_)) => relay.finished = true,
                    None => relay.finish(),
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(text) => text.is_end_stream(),
            Self::Upstream(relay) => relay.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(text) => text.size_hint(),
            Self::Upstream(relay) => relay.incoming.size_hint(),
        }
    }
}
