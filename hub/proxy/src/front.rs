//! Where users' connections come in: listeners, and one task a connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::forward::{self, From};
use crate::guard::{FIELDS_MAX, Gate, Guarded};
use crate::shared::{Shared, turned};
use crate::socket;

/// Between two requests: longer than browsers keep an idle connection, so they close first.
const IDLE: Duration = Duration::from_secs(75);

/// For an address that is not there yet, and after a failed accept (no descriptors left).
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// More than the guard lets through, so that the guard's limit is the one that counts.
const BUFFER_MAX: usize = 256 * 1024;

/// Waits until an address can be listened on, for ever; says once that it waits.
pub async fn bind_patiently(address: SocketAddr) -> TcpListener {
    let mut said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(%address, "listening");
                return listener;
            }
            Err(error) if !said => {
                tracing::warn!(%address, %error, "cannot listen yet, trying every second");
                said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// Accepts connections until the proxy ends.
pub async fn accept(listener: TcpListener, shared: Arc<Shared>, alive: mpsc::Sender<()>) {
    let going = shared.going.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = turned(going.clone()) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(serve(stream, peer, shared.clone(), alive.clone()));
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

/// Whether a failed accept concerns a connection that is gone already.
pub fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, alive: mpsc::Sender<()>) {
    socket::tune(&stream);
    let gate = Gate::default();
    let guarded = Guarded::new(stream, gate.clone());
    let going = shared.going.subscribe();
    let from = From { peer: peer.ip(), alive };
    let requests = AtomicU64::new(0);
    let service = service_fn(|request| {
        // Requests of one connection come one after the other, so their order is their number.
        let number = requests.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let (shared, from, gate) = (&shared, &from, &gate);
        async move {
            let response = forward::answer(shared, from, request).await;
            gate.decide(number, response.status() == StatusCode::SWITCHING_PROTOCOLS);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_headers(FIELDS_MAX)
        .max_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(guarded), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = turned(going) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
