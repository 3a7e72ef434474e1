//! A websocket after the upstream's 101: bytes both ways until one side, the route or the proxy
//! ends.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use berth_process::clock;
use hyper::header::{CONNECTION, HeaderMap, ORIGIN, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::copy::Copy;
use crate::forward::Held;
use crate::frames::{self, Frames};
use crate::guard::Guarded;
use crate::headers::{self, Client};
use crate::hub_away::{self, TokenHash};
use crate::io::Io;
use crate::limits::Passage;
use crate::route::Live;
use crate::shared::Shared;
use crate::sockets::Entry;
use crate::{cookies, metrics, path};

/// When one side has ended, the other gets so long: enough for what is on its way, not a leak.
const LAST_BYTES: Duration = Duration::from_secs(10);

/// For the close frame to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Secrets of one handshake that are remembered; more is no browser.
const SHOWN_MAX: usize = 8;

/// Whether a request is a websocket handshake. Any other offer to upgrade is simply not taken.
pub fn is_handshake<B: hyper::body::Body>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && headers::lists(request.headers(), UPGRADE, "websocket")
        && headers::lists(request.headers(), CONNECTION, "upgrade")
        && request.body().is_end_stream()
}

/// Whether the handshake comes from a page that may: one of ours, or a program that shows a token
/// (which no foreign page can).
pub fn origin_allowed<B>(request: &Request<B>, client: &Client, listed: &[String]) -> bool {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => shows_token(request.headers(), request.uri().query().unwrap_or_default()),
        (Some(origin), None) => {
            origin.to_str().is_ok_and(|origin| headers::origin_allowed(origin, client, listed))
        }
        (Some(_), Some(_)) => false,
    }
}

fn shows_token(headers: &HeaderMap, query: &str) -> bool {
    headers.contains_key(hyper::header::AUTHORIZATION)
        || query.split('&').any(|pair| pair.strip_prefix("token=").is_some_and(|t| !t.is_empty()))
}

/// A handshake that both sides have accepted.
pub struct Accepted {
    /// The client's end.
    pub client: OnUpgrade,
    /// The server's end.
    pub server: OnUpgrade,
    /// Its route's clocks.
    pub live: Arc<Live>,
    /// What holds the client's connection, and its place among the websockets that may be open.
    pub held: (Arc<Held>, Option<Passage>),
    /// Its entry among the open ones.
    pub entry: Entry,
}

/// One end of a websocket.
enum End {
    /// The bare stream.
    Bare(Io),
    /// A stream within HTTP/2.
    Layered(Box<TokioIo<Upgraded>>),
}

impl End {
    /// The client's stream, and what was read of it before.
    fn of_client(upgraded: Upgraded) -> (Self, Vec<u8>) {
        match upgraded.downcast::<TokioIo<Guarded>>() {
            Ok(parts) => {
                let (io, pending) = parts.io.into_inner().into_inner();
                (Self::Bare(io), [&parts.read_buf, pending.as_slice()].concat())
            }
            Err(upgraded) => (Self::Layered(Box::new(TokioIo::new(upgraded))), Vec::new()),
        }
    }

    fn of_server(upgraded: Upgraded) -> (Self, Vec<u8>) {
        match upgraded.downcast::<TokioIo<Io>>() {
            Ok(parts) => (Self::Bare(parts.io.into_inner()), parts.read_buf.to_vec()),
            Err(upgraded) => (Self::Layered(Box::new(TokioIo::new(upgraded))), Vec::new()),
        }
    }
}

/// Carries a websocket to its end, its route's or the proxy's.
pub async fn carry(accepted: Accepted, shared: Arc<Shared>) {
    let Accepted { client, server, live, held, entry } = accepted;
    let (client, server) = match tokio::try_join!(client, server) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a websocket's handshake broke");
            return;
        }
    };
    let _open = metrics::Held::new(&shared, |metrics| &metrics.websockets);
    let (client, early) = End::of_client(client);
    let (server, spoken) = End::of_server(server);
    let mut frames = Frames::default();
    if !spoken.is_empty() {
        live.server_sent(clock::now());
        frames.advance(&spoken);
    }
    if !early.is_empty() {
        live.client_sent(clock::now());
    }
    let mut socket =
        Socket { up: Copy::of(early), down: Copy::of(spoken), frames, live: &live, entry };
    match (client, server) {
        (End::Bare(client), End::Bare(server)) => socket.run(client, server).await,
        (End::Layered(client), End::Bare(server)) => socket.run(*client, server).await,
        (End::Bare(client), End::Layered(server)) => socket.run(client, *server).await,
        (End::Layered(client), End::Layered(server)) => socket.run(*client, *server).await,
    }
    drop(held);
}

/// A websocket at work.
struct Socket<'a> {
    up: Copy,
    down: Copy,
    frames: Frames,
    live: &'a Live,
    entry: Entry,
}

/// Why it came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// A side broke.
    Broken,
    /// A side is done.
    Half,
    /// Both are.
    Done,
    /// It was told to, with this close code.
    Told(u16),
}

impl Socket<'_> {
    async fn run(
        &mut self,
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        mut server: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        let mut done = (false, false);
        let mut ended =
            poll_fn(|cx| self.poll(cx, &mut client, &mut server, &mut done, true)).await;
        if ended == Ended::Half {
            let rest = poll_fn(|cx| self.poll(cx, &mut client, &mut server, &mut done, false));
            ended = timeout(LAST_BYTES, rest).await.unwrap_or(Ended::Broken);
        }
        let Ended::Told(code) = ended else { return };
        if self.frames.between() && self.down.is_empty() {
            let farewell = async {
                client.write_all(&frames::close(code)).await?;
                client.flush().await?;
                client.shutdown().await
            };
            let _ = timeout(FAREWELL, farewell).await;
        }
    }

    /// Copies what there is. With `half`, one side's end is an end.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        server: &mut (impl AsyncRead + AsyncWrite + Unpin),
        done: &mut (bool, bool),
        half: bool,
    ) -> Poll<Ended> {
        let (live, frames) = (self.live, &mut self.frames);
        if !done.0 {
            match self.up.poll(cx, client, server, |_| live.client_sent(clock::now())) {
                Poll::Ready(Err(_)) => return Poll::Ready(Ended::Broken),
                other => done.0 = other.is_ready(),
            }
        }
        if !done.1 {
            let seen = |bytes: &[u8]| {
                live.server_sent(clock::now());
                frames.advance(bytes);
            };
            match self.down.poll(cx, server, client, seen) {
                Poll::Ready(Err(_)) => return Poll::Ready(Ended::Broken),
                other => done.1 = other.is_ready(),
            }
        }
        match *done {
            (true, true) => Poll::Ready(Ended::Done),
            (true, false) | (false, true) if half => Poll::Ready(Ended::Half),
            _ => self.entry.poll_end(cx).map(Ended::Told),
        }
    }
}

/// What a handshake shows by which it can be revoked: hashes of the hub's session cookies and of a
/// token.
pub fn shown(headers: &HeaderMap, query: &str) -> Box<[TokenHash]> {
    let cookies = cookies::sessions(headers).map(hub_away::hash);
    let in_query = query.split('&').filter_map(|pair| pair.strip_prefix("token="));
    let in_query =
        in_query.filter_map(|token| path::decode(token).ok()).map(|t| hub_away::hash(&t));
    cookies.chain(hub_away::token_of(headers)).chain(in_query).take(SHOWN_MAX).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    #[test]
    fn pages_need_an_origin_of_ours_and_programs_a_token() {
        let client = Client {
            address: "127.0.0.1".parse().unwrap(),
            scheme: "http",
            host: "hub.example".parse().unwrap(),
            port: 80,
        };
        for (uri, headers, expected) in [
            ("/x", vec![("origin", "http://hub.example")], true),
            ("/x", vec![("origin", "http://evil.example"), ("authorization", "token x")], false),
            (
                "/x",
                vec![("origin", "http://hub.example"), ("origin", "http://evil.example")],
                false,
            ),
            ("/x", vec![], false),
            ("/x", vec![("authorization", "token x")], true),
            ("/x?a=1&token=y", vec![], true),
            ("/x?token=", vec![], false),
            ("/x?xtoken=y", vec![], false),
        ] {
            let mut request = Request::get(uri);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
            assert_eq!(origin_allowed(&request, &client, &[]), expected, "{uri} {headers:?}");
        }
    }
}
