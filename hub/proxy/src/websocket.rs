//! A websocket after the upstream's 101: bytes both ways until one side, the route or the proxy
//! ends.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use berth_process::clock;
use hyper::header::{CONNECTION, HeaderMap, ORIGIN, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Version};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::copy::Copy;
use crate::frames::{Frames, GOING_AWAY};
use crate::headers::{self, Client};
use crate::metrics::Held;
use crate::route::Live;
use crate::shared::{Shared, turned};

/// When one side has ended, the other gets so long: enough for what is on its way, not a leak.
const LAST_BYTES: Duration = Duration::from_secs(10);

/// For the close frame to leave.
const FAREWELL: Duration = Duration::from_secs(1);

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

/// Carries a websocket to its end, or the proxy's. `alive` is held for as long as it lives.
pub async fn carry(
    client: OnUpgrade,
    server: OnUpgrade,
    live: Arc<Live>,
    shared: Arc<Shared>,
    alive: mpsc::Sender<()>,
) {
    let (client, server) = match tokio::try_join!(client, server) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a websocket's handshake broke");
            return;
        }
    };
    let _open = Held::new(&shared, |metrics| &metrics.websockets);
    let going = shared.going.subscribe();
    let mut frames = Frames::default();
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    let ended = live.watch_end();
    let mut up = Copy::default();
    let mut down = Copy::default();
    let told_to_end = tokio::select! {
        () = copy_both(&mut client, &mut server, &mut up, &mut down, &mut frames, &live) => false,
        () = turned(ended) => true,
        () = turned(going) => true,
    };
    if told_to_end && frames.between() && down.is_empty() {
        let farewell = async {
            client.write_all(&GOING_AWAY).await?;
            client.flush().await?;
            client.shutdown().await
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
    drop(alive);
}

async fn copy_both(
    client: &mut TokioIo<Upgraded>,
    server: &mut TokioIo<Upgraded>,
    up: &mut Copy,
    down: &mut Copy,
    frames: &mut Frames,
    live: &Live,
) {
    let (mut up_done, mut down_done) = (false, false);
    let mut both = async |either: bool| {
        poll_fn(|cx| {
            if !up_done {
                match up.poll(cx, client, server, |_| live.client_sent(clock::now())) {
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    other => up_done = other.is_ready(),
                }
            }
            if !down_done {
                let seen = |bytes: &[u8]| {
                    live.server_sent(clock::now());
                    frames.advance(bytes);
                };
                match down.poll(cx, server, client, seen) {
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    other => down_done = other.is_ready(),
                }
            }
            match (up_done && down_done, either && (up_done || down_done)) {
                (false, false) => Poll::Pending,
                _ => Poll::Ready(true),
            }
        })
        .await
    };
    if both(true).await {
        let _ = timeout(LAST_BYTES, both(false)).await;
    }
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
            scheme: "http".into(),
            host: "hub.example".into(),
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
